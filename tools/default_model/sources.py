"""The labelled sets that the default model learns from: which files may be read, which rows are left out, which are held out."""

import csv
import hashlib
import re
from pathlib import Path

# All that is ever trained on, below the shared folder. Whatever else is asked for is refused.
TRAINED_ON = ("instruct", "pretrain/tokens", "ship/clinc150/train.csv")

# Their texts are read, but only to leave equal rows out. Sets that are unseen tasks, and test rows of the sets that are learned.
UNSEEN = ("data", "ship/sentences", "ship/banking77", "ship/nlupp", "ship/clinc150/dev.csv", "ship/clinc150/test.csv")

# The project's own sets are unseen too.
REPOSITORY = Path(__file__).resolve().parents[2]

# A set's name here, its file, and the names that patterns use for its columns.
SETS = {
    "amazon": ("instruct/amazon_polarity/train.csv", {"text_a": "text"}),
    "cr": ("instruct/cr/train.csv", {"text_a": "text"}),
    "mpqa": ("instruct/mpqa/train.csv", {"text_a": "text"}),
    "trec": ("instruct/trec/train.csv", {"text_a": "text"}),
    "subj": ("instruct/subj/train.csv", {"text_a": "text"}),
    "cola": ("instruct/cola/train.csv", {"text_a": "text"}),
    "spam": ("instruct/sms_spam/train.csv", {"text_a": "text"}),
    "dbpedia": ("instruct/dbpedia14/train.csv", {"text_a": "text"}),
    "snli": ("instruct/snli/train.csv", {"text_a": "premise", "text_b": "hypothesis"}),
    "clinc150": ("ship/clinc150/train.csv", {"text": "text"}),
}

# A row that has so many words in a row in common with an unseen text is left out; of unseen texts every so many-th such run is kept.
RUN, STEP = 12, 8

# So many rows of a set are held out, or a tenth if that is less.
DEV_ROWS = 300
SEED = 13


def allowed(shared, path):
    """The path, if its file may be trained on; links are followed first."""
    found = Path(path).resolve().relative_to(Path(shared).resolve()).as_posix()
    if not any(found == name or found.startswith(name + "/") for name in TRAINED_ON):
        raise ValueError(f"{found} is not among what the default model may learn from: {', '.join(TRAINED_ON)}")
    return Path(path)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def normal(text):
    """What is the same in two copies of a text: letters and digits, in lower case."""
    return re.sub(r"[\W_]+", " ", text.lower()).strip()


def texts(row):
    return [value for column, value in row.items() if not column.startswith("label") and value]


def runs(words, step):
    return {hash(tuple(words[at : at + RUN])) for at in range(0, len(words) - RUN + 1, step)}


class Unseen:
    """The texts, field by field, of all sets that must stay unseen; they serve to leave rows out and for nothing else."""

    def __init__(self, shared):
        roots = [Path(shared, name) for name in UNSEEN] + [REPOSITORY / "data"]
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*.csv")))]
        self.texts = {normal(text) for file in files for row in read(file) for text in texts(row)} - {""}
        self.runs = set().union(*(runs(text.split(), STEP) for text in self.texts))

    def has(self, row):
        """Whether a text of the row is one of them, or shares so many words in a row with one (all of RUN + STEP, some from RUN on)."""
        each = [normal(text) for text in texts(row)]
        return any(text in self.texts for text in each) or any(not self.runs.isdisjoint(runs(text.split(), 1)) for text in each)


def is_dev(text, share):
    """Whether rows with this text are held out: by the text alone, so that sets that share texts agree."""
    digest = hashlib.sha256(f"{SEED} {normal(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def split(rows, share):
    """Rows for training and for choosing, each once. No first text is in both."""
    parts, seen = ([], []), set()
    for row in rows:
        key = tuple(normal(text) for text in texts(row))
        if key not in seen:
            seen.add(key)
            parts[is_dev(next(iter(row.values())), share)].append(row)
    return parts


def load(shared, name, unseen):
    """A set's rows for training, those for choosing, and how many were left out because an unseen set has one of their texts."""
    file, columns = SETS[name]
    rows = [{columns.get(key, key): value for key, value in row.items()} for row in read(allowed(shared, Path(shared, file)))]
    clean = [row for row in rows if not unseen.has(row)]
    return *split(clean, min(0.1, DEV_ROWS / len(clean))), len(rows) - len(clean)
