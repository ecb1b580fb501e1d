"""The tasks of the default model and their shares: the one place that says what is learned from what, in which patterns."""

# Templates of a name with a slash before it are those that ship; the others stand beside this file.
SENTIMENT, TOPIC, INFERENCE = ["/sentiment", "verdict"], ["/topic", "topic"], ["/inference", "inference"]


def task(name, rows, templates, words, share):
    return {"name": name, "rows": rows, "templates": templates, "verbalizer": words, "share": share}


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
    task("snli", "snli", INFERENCE, "inference", 4),
    task("snli-judgement", "snli", INFERENCE, "judgement", 1),
    task("snli-2", "snli-2", INFERENCE, "inference-2", 3),
    task("snli-claim", "snli-2", ["claim"], "claim", 1),
    task("snli-claim-3", "snli", ["claim"], "claim-3", 1),
    task("articles", "articles-inference", INFERENCE, "inference", 3),
    task("articles-2", "articles-inference-2", INFERENCE, "inference-2", 3),
    task("articles-claim", "articles-inference-2", ["claim"], "claim", 1),
    *(task(f"{rows}-statements", f"{rows}-statements", INFERENCE, "inference-2", 0.5)
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


# The tasks that are looked at while it learns; looking at all of them would take longer than learning.
LOOKS = ("amazon-verdict", "topics", "intents", "snli-2")

# The training, in stages: each begins with the weights of the one before, and a learning rate of its own that rises and falls.
# `texts` is the share of steps that read texts, `sequences` how many sequences such a step has. A step of a task has 32 rows.
# In the end each weight is an average, `original` of version 1 and the rest of what was learned (WiSE-FT: Wortsman et al. 2022):
# half the language that tasks make a model forget comes back, and on tasks that it never learned it gets better.
STAGES = [
    {"name": "first", "steps": 6500, "learning_rate": 1.5e-4, "warm_up": 0.04, "texts": 0.247, "sequences": 12, "seed": 1, "original": 0},
    # The first forgets some of the language that it had: more texts, more slowly.
    {"name": "second", "steps": 2000, "learning_rate": 8e-5, "warm_up": 0.05, "texts": 0.5, "sequences": 12, "seed": 2, "original": 0.3},
    {"name": "third", "steps": 6500, "learning_rate": 1.2e-4, "warm_up": 0.04, "texts": 0.5, "sequences": 16, "seed": 3, "original": 0.35},
]
FLAGS = ["--method", "full", "--batch-size", "32", "--dropout", "0.05", "--max-length", "128", "--batch-tokens", "4096",
         "--checkpoint-every", "250"]


def entry(task):
    """A task as a file of tasks has it; its paths are from the folder that prepare.py fills."""
    return {"name": task["name"], "templates": [f"templates/{task['name']}"], "verbalizer": f"verbalizers/{task['name']}.json",
            "train": f"tasks/{task['rows']}.csv", "dev": f"tasks/{task['rows']}-dev.csv", "share": task["share"], **DEFAULTS}


def tasks_file():
    """The file of all tasks, every second step language modelling."""
    tasks = [entry(task) for task in TASKS]
    return {"version": 1, "language_modelling": {**LANGUAGE_MODELLING, "share": sum(task["share"] for task in TASKS)}, "tasks": tasks}


def stage_file(stage):
    """The file of tasks of a stage: its share of texts, and few looks."""
    written = tasks_file()
    for task in written["tasks"]:
        if task["name"] not in LOOKS:
            del task["dev"]
    shares = sum(task["share"] for task in written["tasks"])
    written["language_modelling"] |= {
        "held_out": [f"held-out/{name}.npy" for name in SOURCES],
        "share": shares * stage["texts"] / (1 - stage["texts"]),
        "batch_size": stage["sequences"],
    }
    return written
