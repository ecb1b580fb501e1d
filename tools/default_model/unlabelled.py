"""More tasks from text without labels: topics of articles, what somebody feels, what follows from the beginning of an article.

Rules make the labels, so a part of them is wrong; the rules are here and in topics.json and emotions.json. No review's verdict is guessed:
film reviews stay an unseen task.
"""

import array
import json
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

import sources

HERE = Path(__file__).resolve().parent
VOCABULARY = sources.REPOSITORY / "models/cloze-minilm-l6/vocab.txt"
SEP = 102

# At most so many rows of a class, and so many of them for one word that tells a feeling.
MOST_OF_CLASS, MOST_OF_WORD = 900, 60
# Rows held out, as a share.
DEV_SHARE = 0.04


def documents(path, most):
    """Each document's first so many tokens, as text."""
    vocabulary = VOCABULARY.read_text(encoding="utf-8").split("\n")
    tokens = array.array("H")
    tokens.frombytes(path.read_bytes()[128:])
    start = 0
    while start < len(tokens):
        try:
            end = tokens.index(SEP, start)
        except ValueError:
            return
        yield readable(" ".join(vocabulary[id] for id in tokens[start:min(end, start + most)]).replace(" ##", ""))
        start = end + 1


# What WordPiece tore apart, put together again.
JOINED = [(re.compile(pattern), by) for pattern, by in (
    (r" & \\ t ?", " "), (r"\[UNK\] ?", ""), (r"(\w) ' (s|t|re|ve|ll|d|m)\b", r"\1'\2"), (r"(\w) ([-–]) (?=\w)", r"\1\2"),
    (r" ([,;:!?%)])", r"\1"), (r" (\.)(?=( |$))", r"\1"), (r"\( ", "("), (r" ?\([ ,;]*(?:or)?[ ,;]*\)", ""), (r"(\d)([.,]) (?=\d{3}\b|\d\b)", r"\1\2"), (r"\$ ", "$"))]


def readable(text):
    for pattern, by in JOINED:
        text = pattern.sub(by, text)
    return text


def sentences(text):
    """The text's sentences; headings and other short pieces are left out."""
    pieces = re.split(r"(?<=[a-z0-9)\"]{3}[.!?]) ", text)
    return [piece for piece in pieces if len(piece.split()) >= 5]


def passage(some, words):
    """Sentences from the beginning until there are about so many words."""
    taken = []
    for sentence in some:
        if taken and len(" ".join(taken).split()) + len(sentence.split()) > words:
            break
        taken.append(sentence)
    return " ".join(taken)


# The first sentence of an article: what it is about, and what that is.
DEFINITION = re.compile(
    r"^(?P<name>[^.]{2,70}?)(?P<aside> \([^)]*\))?(?:,[^.]{0,80}?,)? (?P<verb>is|was|are|were) (?P<what>(?:an?|the) [^.]+?)"
    r"(?= (?:who|which|that|in|of|from|for|by|at|on|and|located|based|published|written|directed|released|founded|born|to|with)\b|[.,;(])")


def json_of(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


class Topics:
    """topics.json, ready to be asked."""

    def __init__(self):
        spec = json_of("topics.json")
        self.nouns = {noun: topic["label"] for topic in spec["topics"] for noun in topic["nouns"]}
        self.openings = [(opening, topic["label"]) for topic in spec["topics"] for opening in topic["openings"]]
        self.sections = {topic: section["label"] for section in spec["sections"] for topic in section["topics"]}
        self.newswire = {section["label"]: re.compile(r"\b(?:" + "|".join(section["newswire"]) + r")\b")
                         for section in spec["sections"] if "newswire" in section}

    def noun(self, what):
        """The longest noun of the table that a phrase ends with."""
        words = what.split()
        return next((noun for n in (3, 2, 1) if (noun := " ".join(words[-n:])) in self.nouns), None)

    def of_article(self, first):
        opened = next((topic for opening, topic in self.openings if re.match(re.escape(opening) + r"\b", first)), None)
        found = DEFINITION.match(first)
        noun = self.noun(found["what"]) if found else None
        return opened or (self.nouns[noun] if noun else None)

    def of_newswire(self, text):
        """The section whose words are clearly the most."""
        counts = Counter({section: len(words.findall(text)) for section, words in self.newswire.items()})
        (first, most), (_, next_most), *_ = counts.most_common()
        return first if most >= 3 and next_most <= most / 3 else None


def capped(rows, rng):
    """The rows, shuffled, at most so many of each class."""
    rng.shuffle(rows)
    counts, kept = Counter(), []
    for row in rows:
        counts[row["label"]] += 1
        if counts[row["label"]] <= MOST_OF_CLASS:
            kept.append(row)
    return kept


def topic_rows(articles, newswire, topics, rng):
    """Passages of articles by topic and by section; of some the sentence that gave the label is left out."""
    by_topic, by_section = [], []
    for some in articles:
        topic = topics.of_article(some[0])
        if topic is None:
            continue
        texts = [passage(some, rng.randint(15, 60)), passage(some[1:], rng.randint(20, 60))]
        if len(some) > 8:
            start = rng.randrange(4, len(some) - 3)
            texts.append(passage(some[start:], rng.randint(20, 60)))
        for text in filter(None, texts):
            by_topic.append({"text": text, "label": topic})
            if topic in topics.sections:
                by_section.append({"text": text, "label": topics.sections[topic]})
    by_topic = capped(by_topic, rng)
    by_section = capped(by_section, rng)
    news = []
    for some in newswire:
        text = passage(some, rng.randint(20, 60)) if some else ""
        section = topics.of_newswire(" ".join(some))
        if text and section:
            news.append({"text": text, "label": section})
    return {"topics": by_topic, "sections": by_section + capped(news, rng)}


# What a sentence on the film itself has: a verdict on it may be near, so it is left out.
FILM = re.compile(r"\b(?:films?|movies?|cinema|watch\w*|seen|cast|plots?|scenes?|acting|actors?|actress\w*|scripts?|direct(?:or|ed|ing)|ending|dvd|video|"
                  r"performances?|characters?|story|stories|sequels?|shows?|series|episodes?|audience|hollywood|screen\w*|reviews?|comed\w+|rent\w*)\b")
NOT = re.compile(r"\b(?:not|never|no|nobody|hardly|nothing|without)\b|n't")


def feeling_rows(texts, rng):
    """Sentences in which somebody is said to feel something, by the feeling; some with the sentence before them."""
    told = {word: each["label"] for each in json_of("emotions.json")["emotions"] for word in each["told_by"]}
    says = re.compile(r"\b(?:feel|feels|feeling|felt|i'm|(?:i|he|she|we|they|you|who|everyone|everybody) (?:am|was|were|are|is|got|get|gets|became|become)|"
                      r"(?:left|made|makes|leaves) (?:me|him|her|us|them|you))(?: (?:so|very|really|quite|a bit|a little|pretty|extremely|completely|more|most|"
                      r"totally|deeply|always|still|too|rather|feel|feeling))* (" + "|".join(told) + r")\b(?! (?:to say|of a|by the way|from|by the))")
    by_word = defaultdict(list)
    for some in texts:
        for before, sentence in zip([""] + some, some):
            found = says.search(sentence)
            if found and len(sentence.split()) <= 40 and not NOT.search(sentence) and not FILM.search(sentence):
                fits = before and not FILM.search(before) and len((before + sentence).split()) <= 45
                context = before if fits and rng.random() < 0.3 else ""
                by_word[found[1]].append({"text": f"{context} {sentence}".strip(), "label": told[found[1]]})
    rows = [row for word in sorted(by_word) for row in rng.sample(by_word[word], min(MOST_OF_WORD, len(by_word[word])))]
    return {"feelings": capped(rows, rng)}


BORN = re.compile(r"\((?:born )?(?:[a-z]+ )?(?:\d{1,2} )?(?:[a-z]+ )?(?:\d{1,2}, )?(1[0-9]{3}|20[0-2][0-9])\b")
PLACE = re.compile(r"\b(?:located|situated|based|headquartered) in ([a-z][a-z .'-]{3,40}?)(?=[.,;(]| and| which| that)")
CLAUSE = re.compile(r"^((?:he|she|it|they|the [a-z]+) (?:[a-z]+ )?(?:is|was|were|are|had|has|have|did|became|won|made|played|wrote|died|served|moved|"
                    r"contains|includes|received|began|used) [^,.;(]{10,70}?)(?=[,.;(]| and | which | who | where )")


def facts(found, first):
    """Pairs of a word before and the fact after it: what may be said of an article's subject, as (verb, fact, kind)."""
    name = found["name"].replace('"', "").strip()
    said = [(name, found["verb"], found["what"], "what")]
    if found["aside"] and (born := BORN.search(found["aside"])) and found["verb"] in ("is", "was"):
        said.append((name, "was", f"born in {born[1]}", "born"))
    if place := PLACE.search(first):
        said.append((name, found["verb"], f"in {place[1]}", "place"))
    return said


def inference_rows(articles, topics, rng):
    """Statements on the beginning of an article: what it says, what it denies, and what only the rest of the article says.

    What is denied has another subject's kind, year or place, or a `not`; some of what follows has a `not` too."""
    defined = [(some, found) for some in articles
               if len(some) > 3 and (found := DEFINITION.match(some[0])) and topics.noun(found["what"]) and len(found["name"].split()) <= 6]
    group = lambda kind, fact: topics.nouns.get(topics.noun(fact)) if kind == "what" else fact
    person = lambda found: bool(found["aside"] and BORN.search(found["aside"]))
    others = defaultdict(list)
    for some, found in defined:
        for _, _, fact, kind in facts(found, some[0]):
            for others_of in (others[kind], others[kind, person(found)]):
                others_of.append((fact, group(kind, fact)))
    pairs, asked = [], []
    for some, found in defined:
        premise = passage(some, rng.randint(25, 90))
        name, verb, fact, kind = rng.choice(facts(found, some[0]))
        own = group(kind, fact)
        # Of three others two are near: a person's of persons, a thing's of things.
        pool = others[kind, person(found)] if rng.random() < 0.67 else others[kind]
        other = next((fact for fact, its in (rng.choice(pool) for _ in range(20)) if its != own), None)
        if other is None:
            continue
        yes, no = f"{name} {verb} {fact}.", f"{name} {verb} {other}."
        if rng.random() < 0.15:
            yes, no = f"{name} {verb} not {other}.", f"{name} {verb} not {fact}."
        inside = [match[1] for sentence in some[1:] if sentence in premise and (match := CLAUSE.match(sentence))]
        outside = [match[1] for sentence in some[1:] if sentence not in premise and (match := CLAUSE.match(sentence))]
        if inside and rng.random() < 0.5:
            yes = f"{rng.choice(inside)}."
        pairs.append({"premise": premise, "hypothesis": yes, "label": "entailment"})
        pairs.append({"premise": premise, "hypothesis": no, "label": "contradiction"})
        if outside:
            pairs.append({"premise": premise, "hypothesis": f"{rng.choice(outside)}.", "label": "neutral"})
        asked.append({"passage": premise, "question": f"{verb} {name} {fact}?", "label": "true"})
        asked.append({"passage": premise, "question": f"{verb} {name} {other}?", "label": "false"})
    return {"articles-inference": pairs, "articles-questions": asked}


def made(tokens):
    """All rows that text without labels gives, by the name of the set; `tokens` is the folder of what is trained on."""
    rng, topics = random.Random("text without labels"), Topics()
    whole = [some for name in ("wiki-full", "wiki18") for text in documents(tokens / f"{name}.npy", 6000) if (some := sentences(text))]
    # Their beginnings say best what they are about.
    articles = [some[:40] for some in whole]
    newswire = [sentences(text) for text in documents(tokens / "reuters.npy", 300)]
    reviews = [sentences(text) for text in documents(tokens / "imdb.npy", 1200)]
    return {**topic_rows(articles, newswire, topics, rng), **feeling_rows(reviews + whole, rng), **inference_rows(articles, topics, rng)}
