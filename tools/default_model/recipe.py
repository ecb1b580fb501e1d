"""The tasks of the default model and their shares: the one place that says what is learned from what, in which patterns."""

# Templates of a name with a slash before it are those that ship; the others stand beside this file.
SENTIMENT, TOPIC, INFERENCE = ["/sentiment", "verdict"], ["/topic", "topic"], ["/inference", "inference"]


def task(name, rows, templates, words, share, **other):
    return {"name": name, "rows": rows, "templates": templates, "verbalizer": words, "share": share, **other}


def two_ways(rows, share):
    """Questions on a set's rows, answered by yes or no and, less often, by true or false."""
    return [task(f"{rows}-yes-no", rows, ["/yes-no-question", "yes-no"], "yes-no", share),
            task(f"{rows}-true-false", rows, ["true-false"], "true-false", share / 4)]


# Label words that are those of another file's classes: its name, its list, the key of the words.
WORDS = {"topic": ("topics.json", "topics", "words"), "section": ("topics.json", "sections", "words"),
         "emotion": ("emotions.json", "emotions", "words"), "emotion-name": ("emotions.json", "emotions", "names")}

TASKS = [
    # Sentiment: of product reviews, of sentences on products, of phrases.
    task("amazon-verdict", "amazon", SENTIMENT, "verdict", 4),
    task("cr-verdict", "cr", SENTIMENT, "verdict", 4),
    task("mpqa-verdict", "mpqa", ["phrase", "/sentiment"], "phrase", 3),
    task("amazon-ends", "amazon-ends", SENTIMENT, "verdict", 2),
    task("amazon-tone", "amazon", ["tone"], "tone", 1),
    task("cr-tone", "cr", ["tone"], "tone", 1),
    task("mpqa-tone", "mpqa", ["tone"], "tone", 1),
    task("amazon-feeling", "amazon", ["feeling"], "feeling", 1),
    task("cr-feeling", "cr", ["feeling"], "feeling", 1),
    task("amazon-liking", "amazon", ["liking"], "liking", 0.7),
    task("cr-liking", "cr", ["liking"], "liking", 0.7),
    task("amazon-recommending", "amazon", ["recommending"], "recommending", 0.7),
    task("cr-recommending", "cr", ["recommending"], "recommending", 0.7),
    # Topics, kinds of things.
    task("topics", "topics", TOPIC, "topic", 4),
    task("sections", "sections", TOPIC, "section", 4),
    task("dbpedia-topic", "dbpedia", TOPIC, "kind-topic", 2),
    task("dbpedia-kind", "dbpedia", ["kind"], "kind", 2),
    task("dbpedia-things", "dbpedia-things", ["kind"], "thing", 1),
    # What somebody feels.
    task("feelings", "feelings", ["/emotion", "emotion"], "emotion", 3),
    task("feelings-name", "feelings", ["emotion-name"], "emotion-name", 1),
    # Requests to an assistant.
    task("domains", "domains", ["request"], "domain", 2),
    task("domains-topic", "domains", TOPIC, "domain", 1),
    task("intents", "intents", ["request"], "intents", 5),
    task("desks", "desks", ["request"], "desk", 2),
    # Inference.
    task("snli", "snli", INFERENCE, "inference", 4, without=["true-or-false"]),
    task("snli-judgement", "snli", INFERENCE, "judgement", 1, without=["true-or-false"]),
    task("snli-2", "snli-2", INFERENCE, "inference-2", 3, without=["true-or-false"]),
    task("snli-claim", "snli-2", ["claim"], "claim", 1),
    task("snli-claim-3", "snli", ["claim"], "claim-3", 1),
    task("articles", "articles-inference", INFERENCE, "inference", 3, without=["true-or-false"]),
    task("articles-2", "articles-inference-2", INFERENCE, "inference-2", 3, without=["true-or-false"]),
    task("articles-claim", "articles-inference-2", ["claim"], "claim", 1),
    *(task(f"{rows}-statements", f"{rows}-statements", INFERENCE, "inference-2", 0.5, without=["true-or-false"])
      for rows in ("amazon", "cr", "trec", "dbpedia", "domains")),
    # Questions that are answered by yes or no.
    *two_ways("articles-questions", 3),
    *two_ways("topics-questions", 1),
    *two_ways("feelings-questions", 0.5),
    *two_ways("snli-questions", 2),
    *two_ways("amazon-questions", 0.5),
    *two_ways("cr-questions", 0.5),
    *two_ways("mpqa-questions", 0.5),
    *two_ways("trec-questions", 0.5),
    *two_ways("subj-questions", 0.3),
    *two_ways("spam-questions", 0.3),
    *two_ways("dbpedia-questions", 1),
    *two_ways("domains-questions", 0.7),
    *two_ways("intents-questions", 1),
    # Kinds of question, opinions, messages, grammar.
    task("trec", "trec", ["/question-type", "answer-kind"], "answer-kind", 2),
    task("subj", "subj", ["/subjectivity", "subjectivity"], "subjectivity", 1),
    task("subj-plot", "subj", ["plot"], "plot", 0.5),
    task("spam", "spam", ["/spam", "spam"], "spam", 1),
    task("spam-unwanted", "spam", ["unwanted"], "unwanted", 0.5),
    task("cola", "cola", ["/acceptability", "acceptability"], "acceptability", 0.5),
]

# The intents of one domain at a time: few classes that are near to each other.
TASKS += [task(f"intents-{domain}", f"intents-{domain}", ["request"], f"intents-{domain}", 0.4)
          for domain in ("auto-and-commute", "banking", "credit-cards", "home", "kitchen-and-dining", "meta", "small-talk",
                         "travel", "utility", "work")]

# How a task is learned unless it says otherwise.
DEFAULTS = {"templates_each_step": "one", "words_each_step": "one", "vocabulary_weight": 0.1, "balance": True}

# What stays a language model: tokens of each source, read through one after the other.
SOURCES = ("wiki-full", "wiki18", "imdb", "reuters")
LANGUAGE_MODELLING = {"text": [f"tokens/{name}.npy" for name in SOURCES], "weight": 1, "sequence_length": 128, "mask_rate": 0.15}


def tasks_file(form):
    """The file of tasks; its paths are from the folder that prepare.py fills."""
    def entry(task):
        files = {"name": task["name"], "templates": [f"templates/{task['name']}"], "verbalizer": f"verbalizers/{task['name']}.json",
                 "train": f"tasks/{task['rows']}.csv"}
        dev = f"tasks/{task['rows']}-dev.csv"
        if form == "first":
            return {**files, "test": dev, "share": task["share"]}
        return {**files, "dev": dev, "share": task["share"], **DEFAULTS}
    written = {"version": 1, "tasks": [entry(task) for task in TASKS]}
    if form == "first":
        return written
    # Every second step is language modelling.
    return {"version": 1, "language_modelling": {**LANGUAGE_MODELLING, "share": sum(task["share"] for task in TASKS)}, "tasks": written["tasks"]}
