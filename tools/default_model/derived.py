"""More kinds of task from the same labels: coarser and finer classes, and questions that are answered by yes or no."""

import json
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Kinds of things of DBpedia, coarser.
THINGS = {"person": ("Artist", "Athlete", "OfficeHolder"), "organisation": ("Company", "EducationalInstitution"),
          "place": ("Building", "NaturalPlace", "Village"), "living": ("Animal", "Plant"),
          "work": ("Album", "Film", "WrittenWork"), "machine": ("MeanOfTransportation",)}

# Which questions are asked of which set; `label` makes the class that a question is about.
ASKED = {"amazon": "reviews", "cr": "reviews", "mpqa": "phrases", "trec": "answers", "subj": "styles", "spam": "messages",
         "dbpedia": "kinds", "domains": "domains", "intents": "intents", "topics": "topics", "feelings": "feelings"}

# Which statements are made on which set.
CLAIMED = {"amazon": "reviews", "cr": "reviews", "trec": "answers", "dbpedia": "kinds", "domains": "domains"}


def json_of(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def intents():
    """The map that was written by hand: intents that a word names well, and desks of a company."""
    return json_of("intents.json")


def relabelled(rows, classes):
    """The rows whose label has a class, with it; `classes` maps label to class."""
    return [{**row, "label": classes[row["label"]]} for row in rows if row["label"] in classes]


def by_intent(groups):
    return {intent: group["label"] for group in groups for intent in group["intents"]}


def requests(rows):
    """What CLINC150 gives, by name: its domains, its intents, desks, what is out of scope, and the intents of each domain alone."""
    names = intents()
    domains = {row["label"]: row["label"].split("/")[0] for row in rows if "/" in row["label"]}
    sets = {"domains": relabelled(rows, domains),
            "intents": relabelled(rows, by_intent(names["words"])),
            "desks": relabelled(rows, by_intent(names["desks"]))}
    for domain in sorted(set(domains.values())):
        inside = {intent: label for intent, label in by_intent(names["words"]).items() if intent.startswith(domain + "/")}
        sets[f"intents-{domain.replace('_', '-')}"] = relabelled(rows, inside)
    return sets


def two_classes(rows):
    """Inference with two classes: what does not follow is one."""
    return [{**row, "label": "entailment" if row["label"] == "entailment" else "not_entailment"} for row in rows]


def coarse_kinds(rows):
    return relabelled(rows, {kind: thing for thing, kinds in THINGS.items() for kind in kinds})


def wordings(file, about):
    """class → its questions or statements, of what a file has for a set; names may be those of another file's classes."""
    spec = json_of(file)[about]
    classes, forms = spec["classes"], spec.get("wordings", ["{x}"])
    if "file" in classes:
        classes = {each["label"]: each[classes["names"]] for each in json_of(classes["file"])[classes["list"]]}
    return {label: [form.replace("{x}", name) for form in forms for name in names] for label, names in classes.items()}


def asked(rows, said, rng, columns, answers):
    """Two rows for each: with a question or statement on its own class, and with one on another class."""
    text, other_column = columns
    made = []
    for row in rows:
        other = rng.choice([label for label in said if label != row["label"]])
        for label, answer in zip((row["label"], other), answers):
            made.append({text: row["text"], other_column: rng.choice(said[label]), "label": answer})
    return made


def questions(rows, about, rng):
    return asked(rows, wordings("questions.json", about), rng, ("passage", "question"), ("true", "false"))


def statements(rows, about, rng):
    return asked(rows, wordings("statements.json", about), rng, ("premise", "hypothesis"), ("entailment", "not_entailment"))


def ends(rows):
    """The last two sentences of long reviews: a review often ends with its verdict, so they have its label."""
    made = []
    for row in rows:
        pieces = re.split(r"(?<=[a-z]{2}[.!?])\s+", row["text"])
        if len(pieces) >= 5:
            made.append({**row, "text": " ".join(pieces[-2:])})
    return made


# "a man is asleep" → "is a man asleep".
STATEMENT = re.compile(r"^(?P<who>(?:the|a|an|two|some|three|there|people|men|women|this|these|his|her)\b.*?) (?P<verb>is|are|was|were) (?P<rest>.+)$")
THAT = ["is it true that {x}?", "does it follow that {x}?", "can one say that {x}?", "do we learn that {x}?"]


def as_question(statement, rng):
    """The statement as a question: turned round where its verb is plain, else asked whether it is so."""
    found = STATEMENT.match(statement)
    if found and rng.random() < 0.7:
        return f"{found['verb']} {found['who']} {found['rest']}?"
    return rng.choice(THAT).format(x=statement)


def inference_questions(rows, rng):
    """Inference as questions on the premise, as many to be answered by yes as by no; what may be so is not asked."""
    made = {"entailment": [], "contradiction": []}
    for row in rows:
        if row["label"] in made:
            answer = "true" if row["label"] == "entailment" else "false"
            made[row["label"]].append({"passage": row["premise"], "question": as_question(row["hypothesis"], rng), "label": answer})
    fewest = min(map(len, made.values()))
    return [row for pair in zip(*(rows[:fewest] for rows in made.values())) for row in pair]


def everything(name, rows):
    """All sets that come of one set's rows, by name."""
    rng = random.Random(f"questions on {name}")
    sets = requests(rows) if name == "clinc150" else {name: rows}
    if name == "amazon":
        sets["amazon-ends"] = ends(rows)
    if name in ("snli", "articles-inference"):
        sets[f"{name}-2"] = two_classes(rows)
    if name == "snli":
        sets["snli-questions"] = inference_questions(rows, rng)
    if name == "dbpedia":
        sets["dbpedia-things"] = coarse_kinds(rows)
    for each in [each for each in sets if each in ASKED]:
        sets[f"{each}-questions"] = questions(sets[each], ASKED[each], rng)
    for each in [each for each in sets if each in CLAIMED]:
        sets[f"{each}-statements"] = statements(sets[each], CLAIMED[each], rng)
    return sets
