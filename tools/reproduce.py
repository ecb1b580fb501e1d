#!/usr/bin/env python3
"""The protocols of two papers as one command, for whoever has RoBERTa's weights: `make reproduce`.

PET (Schick & Schütze 2021, Table 1: AG News, Yelp, MNLI) and LM-BFF (Gao et al. 2021, Table 3: SST-2, MR, CR, Subj, TREC). The published
number stands beside the measured one. Cells that are done are kept, and a cell that was stopped goes on where it stood: the same command again.
docs/reproduce.md says which data files it reads, and what is not as in the papers.
"""

import argparse
import csv
import hashlib
import itertools
import json
import math
import random
import shlex
import shutil
import statistics
import string
import subprocess
import sys
from pathlib import Path

# Patterns as the authors' code has them for RoBERTa, spaces too. Those of templates/ are written for people: a byte-level vocabulary tells a word or
# a sign behind a space from one that is not. PET puts a space before every part of a pattern, so its patterns begin with one here; behind it
# the blank takes label words in the form with a space, which both papers always take.
PATTERNS = {
    "pet-ag_news": [" {mask} : {title|shorten} {body|shorten}", " {mask} News: {title|shorten} {body|shorten}",
                    " {title|shorten} ( {mask} ) {body|shorten}", " {title|shorten} {body|shorten} ( {mask} )",
                    " [ Category: {mask} ] {title|shorten} {body|shorten}", " {mask} - {title|shorten} {body|shorten}"],
    "pet-yelp": [" It was {mask} . {text|shorten}", " {text|shorten} . All in all, it was {mask} .",
                 " Just {mask} !{sep} {text|shorten}", " {text|shorten}{sep} In summary, the restaurant is {mask} ."],
    "pet-mnli": [' " {premise|shorten} " ?{sep} {mask} , " {hypothesis|shorten} "', " {premise|shorten} ?{sep} {mask} , {hypothesis|shorten}"],
    "lm-bff-sst2": ["{text|shorten} It was {mask}."], "lm-bff-mr": ["{text|shorten} It was {mask}."], "lm-bff-cr": ["{text|shorten} It was {mask}."],
    "lm-bff-subj": ["{text|shorten} This is {mask}."], "lm-bff-trec": [" {mask}: {text|shorten}"],
}

# Label words, in the order of the authors' labels: PET gives the first classes one row more where the rows cannot be shared evenly.
VERDICTS = [{"negative": "terrible", "positive": "great"}]
WORDS = {
    "pet-ag_news": [{"world": "World", "sports": "Sports", "business": "Business", "sci_tech": "Tech"}],
    "pet-yelp": [{"very_negative": "terrible", "negative": "bad", "neutral": "okay", "positive": "good", "very_positive": "great"}],
    "pet-mnli": [{"contradiction": "Wrong", "entailment": "Right", "neutral": "Maybe"}, {"contradiction": "No", "entailment": "Yes", "neutral": "Maybe"}],
    "lm-bff-sst2": VERDICTS, "lm-bff-mr": VERDICTS, "lm-bff-cr": VERDICTS,
    "lm-bff-subj": [{"subjective": "subjective", "objective": "objective"}],
    "lm-bff-trec": [{"description": "Description", "entity": "Entity", "abbreviation": "Expression", "human": "Human", "location": "Location", "number": "Number"}],
}

# Where a task's rows are: folders below --data, the first that has the files, and the codes of the classes there. The last layout of a task is that of
# copies with the columns text_a, text_b, label; the papers' rows are not in them.
CODES = {
    "pet-ag_news": dict(zip("1234", WORDS["pet-ag_news"][0])), "pet-yelp": dict(zip("12345", WORDS["pet-yelp"][0])),
    "pet-mnli": {label: label for label in WORDS["pet-mnli"][0]},
    **{task: dict(zip("012345", WORDS[task][0])) for task in WORDS if task.startswith("lm-bff")},
}
COPY = "a copy with columns of its own, not the paper's files"
LAYOUTS = {
    "pet-ag_news": [(["ag_news_csv", "ag_news", "."], {"train": "train.csv", "test": "test.csv"}, "csv", ["title", "body"]),
                    (["ag_news"], {"train": "train.csv", "test": "test.csv"}, "copy", ["title", "body"])],
    "pet-yelp": [(["yelp_review_full_csv", "yelp_full", "."], {"train": "train.csv", "test": "test.csv"}, "csv", ["text"]),
                 (["yelp_full"], {"train": "train.csv", "test": "test.csv"}, "copy", ["text"])],
    "pet-mnli": [(["MNLI", "mnli", "."], {"train": "train.tsv", "test": "dev_matched.tsv", "mismatched": "dev_mismatched.tsv"}, "tsv", ["premise", "hypothesis"]),
                 (["multinli_1.0", "."], {"train": "multinli_1.0_train.txt", "test": "multinli_1.0_dev_matched.txt",
                                          "mismatched": "multinli_1.0_dev_mismatched.txt"}, "tsv", ["premise", "hypothesis"]),
                 (["mnli"], {"train": "dev.csv", "test": "test.csv"}, "copy", ["premise", "hypothesis"])],
    "lm-bff-sst2": [(["original/SST-2", "SST-2", "."], {"train": "train.tsv", "test": "dev.tsv"}, "sst2", ["text"]),
                    (["sst2"], {"train": "train.csv", "test": "dev.csv"}, "copy", ["text"])],
    **{f"lm-bff-{name}": [([f"original/{name}", name, "."], {"train": "train.csv", "test": "test.csv"}, "csv", ["text"])] for name in ("mr", "cr", "subj", "trec")},
}
TEST_ROWS = {"pet-ag_news": 7600, "pet-yelp": 50000, "pet-mnli": 9815, "lm-bff-sst2": 872, "lm-bff-mr": 2000, "lm-bff-cr": 2000, "lm-bff-subj": 2000, "lm-bff-trec": 500}
# What copies call the classes, where that is not the class itself.
COPY_LABELS = {"pet-yelp": {f"{star}_star": label for star, label in CODES["pet-yelp"].items()}}


def by_task(rows):
    """A paper's table as task, examples and row: mean and deviation. A number without a deviation has None there."""
    tasks = ["pet-yelp", "pet-ag_news", "pet-mnli", "pet-mnli/mismatched"]
    return {(task, examples, row): (*cell, None)[:2] for examples, row, *cells in rows for task, cell in zip(tasks, cells) if cell}


# PET, Table 1 (RoBERTa-large, mean and deviation of three trainings) and Table 2 (RoBERTa-base, which has means alone): Yelp, AG News, MNLI matched and
# mismatched. Only what was read in the paper stands here.
PET_LARGE = by_task([
    (0, "unsupervised, mean", (33.8, 9.6), (69.5, 7.2), (39.1, 4.3), (39.8, 5.1)),
    (0, "unsupervised, best", (40.8,), (79.4,), (43.8,), (45.0,)),
    (10, "supervised", (21.1, 1.6), (25.0, 0.1), (34.2,), (34.1,)),
    (10, "PET", (52.9, 0.1), (87.5, 0.0), (41.8,), (41.5,)),
    (10, "iPET", (57.6,), (89.3, 0.1), (43.2,), (45.7,)),
    (50, "supervised", (44.8, 2.7), (82.1, 2.5), (45.6,), (47.6,)),
    (50, "PET", (60.0, 0.1), (86.3, 0.0), (63.9,), (64.2,)),
    (50, "iPET", (60.7, 0.1), (88.4, 0.1), (67.4,), (68.3,)),
    (100, "supervised", (53.0, 3.1), (86.0, 0.7), (47.9,), (51.2,)),
    (100, "PET", (61.9,), (88.3, 0.1), (74.7,), (75.9,)),
    (100, "iPET", (62.9,), (89.6, 0.1), (78.4,), (78.6,)),
    (1000, "supervised", (63.0, 0.5), (86.9, 0.4), (73.1,), (74.8,)),
    (1000, "PET", (64.8, 0.1), (86.9, 0.2), (85.3,), (85.5,)),
])
PET_BASE = by_task([
    (10, "PET", (48.8,), (84.1,), (39.5,), None),
    (10, "iPET", (52.9,), (87.5,), (42.1,), None),
    (50, "PET", (55.3,), (86.4,), (55.1,), None),
    (50, "iPET", (56.7,), (87.3,), (56.3,), None),
])
# LM-BFF, Table 3 (RoBERTa-large): the means that were found quoted elsewhere too. The others are in the paper.
LM_BFF_LARGE = {
    ("lm-bff-sst2", "zero-shot"): (83.6, None), ("lm-bff-sst2", "fine-tuning"): (81.4, None), ("lm-bff-sst2", "prompt-based fine-tuning"): (92.7, None),
    ("lm-bff-cr", "zero-shot"): (79.5, None), ("lm-bff-cr", "fine-tuning"): (75.8, None), ("lm-bff-cr", "prompt-based fine-tuning"): (90.3, None),
}

PET = {"seeds": [13, 21, 42], "steps": 1000, "student_steps": 5000, "supervised_steps": 250, "learning_rate": 1e-5, "max_length": 256, "unlabeled_rows": 10000}
LM_BFF = {"seeds": [13, 21, 42, 87, 100], "shots": 16, "steps": 1000, "looks": 10, "learning_rates": ["1e-5", "2e-5", "5e-5"], "batch_sizes": [2, 4, 8],
          "max_length": 128}
# The rows that LM-BFF drew, by the MD5 of its files (data/k-shot/checksum of its repository): train and dev of each seed, and the test file.
CHECKSUMS = {
    "lm-bff-sst2": {13: ("fe166f3b9e9952cb729a8d2c3bd682ae", "0eeeb2195d82899d15ab5eeaddcaa944"), 21: ("6661938fcefe356e8c9c3f866b67c047", "74a12c79dea73deb5526c398b1bc7bc0"),
                    42: ("edce4c52734c2084476ac03bfdfa5c77", "4ba7f2ffe0fc89844d1184f294f15774"), 87: ("783b9e625ec6dea210cc4062d464aba2", "2972df0d5eace29b48eb8ce77770c3d5"),
                    100: ("f5079b5b5bd27087a7d836e7e8faedc7", "1d65f0f67026bbdcbfef6ed3ada2510a"), "test": "aeac355ccdb43bc747e816eff2d74aa4"},
    "lm-bff-mr": {13: ("77e589985c38f642b743c00f454a8f72", "0487ece2b558b211787050177529cc15"), 21: ("50f61d4ad574c862103a281cfb277568", "36a5b9a0aef14b5ef85a794a79f7a670"),
                  42: ("7f2be6d8286c853be70d6b731529110e", "f331ad440925ff5550065bafa4d1e14e"), 87: ("9ad43ad9a35fd4fe88a8d74c164f3056", "7650a096ae10bc0d22de08d28b080736"),
                  100: ("edab3bd41c79c073dda7469f31761202", "d241fa66a9302aa417876971fcc309a1"), "test": "2ab6b6176555e141e7682bfbd17626c4"},
    "lm-bff-cr": {13: ("fef4839c9b1532845efe85f459c4657a", "543574c5b1fe954e1d82f109a060b8a1"), 21: ("890b0ed3d8f57ed19e90884580cc08af", "02246fc77e862f8d973058478d89bfb9"),
                  42: ("09260d2c41f4fbf48fad2cdb09b9bd19", "23f70a47d55def2c4308cebcdaf1f5b9"), 87: ("2c47c48c1223ff979f2e6e8243fa3219", "1f0f5e7a984740751ea2b5314f847566"),
                  100: ("6c11804b15bbe6582ebf0eab71513d0d", "844e4d9cbc956e9495dfd77e3881caba"), "test": "829c32e754d756b5da2b6d88cde7bc1a"},
    "lm-bff-subj": {13: ("9007424294b4a73428032b4ba872d798", "ed1c7a9a31cb8ed53798e5d5c0a0ba6a"), 21: ("e91660061eac76f4d2496f0ee3a17a55", "9bb1c6a470f9c437734d5000a9887298"),
                    42: ("5ad5810af6f69c0cae872f9b8ac96e4b", "d689743060587300b50ba25303cee457"), 87: ("116db5d05fb7152af549b322138ddf0c", "8fcbfc9937902ed65b5f457db143eeae"),
                    100: ("dafc9f79ea2643f9d0db4bb9cd50ed68", "d205bd3e890483010b73b40fe2341874"), "test": "94c0bea4a5ff6092de1dcda7c46c7b65"},
    "lm-bff-trec": {13: ("50cff1542195f5321cb951ca1d980ec0", "97ca7ed4ec756c13b6233c2d66c97ee5"), 21: ("178b968a79785571398a99082f2059aa", "df1be41d4a11a1f10b99bfa9dab069fd"),
                    42: ("f17a8bb90b8110ad37632ded1dc0b515", "682e1b9724b472132249396e826c7741"), 87: ("efe409aae7de9e639e5da33430626e83", "62eb496a54c2c810703c8a3d47213237"),
                    100: ("5df9333e324779c32bdc14eed7a3f51c", "983ce074f8cc101e7539122d20dc2815"), "test": "b4e08b69eb3aae325197216450e3a28b"},
}


class Mistake(Exception):
    """What the user can put right."""


# Rows.

def numpy_shuffle(items, seed):
    """A list in the order of `numpy.random.seed(seed); numpy.random.shuffle(items)`, which drew LM-BFF's rows."""
    # numpy fills the state of its Mersenne Twister from the seed alone (Knuth's rule); Python seeds its own otherwise, and steps it the same.
    state = [seed & 0xFFFFFFFF]
    for place in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + place) & 0xFFFFFFFF)
    twister = random.Random()
    twister.setstate((3, (*state, 624), None))
    items = list(items)
    for place in range(len(items) - 1, 0, -1):
        # Bits that cannot be too many, drawn again where the number is too large.
        mask = (1 << place.bit_length()) - 1
        other = place + 1
        while other > place:
            other = twister.getrandbits(32) & mask
        items[place], items[other] = items[other], items[place]
    return items


def k_shot(items, label, shots, seed):
    """LM-BFF's draw: so many of each class to learn from, and as many others to choose by. Classes are in the order in which they come."""
    classes = {}
    for item in numpy_shuffle(items, seed):
        classes.setdefault(label(item), []).append(item)
    return [[item for rows in classes.values() for item in rows[start:start + shots]] for start in (0, shots)], classes


def shares(examples, classes):
    """PET's even shares: the first classes have one row more."""
    return [examples // classes + (place < examples % classes) for place in range(classes)]


def first_of_each(rows, wanted):
    """The first rows of each class, as many as are wanted of it, in the file's order."""
    left, taken = dict(wanted), []
    for row in rows:
        if left[row[0]] > 0:
            left[row[0]] -= 1
            taken.append(row)
            if not any(left.values()):
                break
    return taken, {label: count for label, count in left.items() if count > 0}


def cleaned(task, texts):
    """Texts as PET's reader leaves them; LM-BFF's leaves them alone."""
    if task == "pet-yelp":
        return [text.replace("\\n", " ").replace("\\", " ") for text in texts]
    if task == "pet-ag_news":
        return [text.replace("\\", " ") for text in texts]
    if task == "pet-mnli":
        return [texts[0].rstrip(string.punctuation), *texts[1:]]
    return texts


class Source:
    """A task's files below the folder that the user named."""

    def __init__(self, task, data):
        self.task, self.classes = task, list(WORDS[task][0])
        data = Path(data)
        if not data.is_dir():
            raise Mistake(f"there is no folder {data}; DATA (--data) names the one with the data files")
        for folders, files, self.form, self.columns in LAYOUTS[task]:
            for self.folder in (data / name for name in folders):
                self.files = {part: self.folder / name for part, name in files.items()}
                if all(path.is_file() for path in self.files.values()) and self.copied() == (self.form == "copy"):
                    return
        asked = sorted({str(data / name / file) for names, files, form, _ in LAYOUTS[task] if form != "copy" for name in names for file in files.values()})
        raise Mistake(f"{task}: its data files are not below {data}; it looks for\n  " + "\n  ".join(asked) + "\ndocs/reproduce.md says where to get them")

    def copied(self):
        """Whether the first line names the columns that the copies have."""
        with open(self.files["train"], encoding="utf-8-sig", newline="") as file:
            return {"text_a", "label"} <= set(next(csv.reader(file), []))

    def joined(self):
        """Whether AG News's title and text are one column."""
        if self.form != "copy" or self.task != "pet-ag_news":
            return False
        with open(self.files["train"], encoding="utf-8-sig", newline="") as file:
            return "text_b" not in next(csv.reader(file))

    def rows(self, part):
        """A part's rows one by one: class, and the texts. MNLI's without a class of their own are left out, as in the paper."""
        path = self.files[part]
        codes = CODES[self.task]
        with open(path, encoding="utf-8-sig", newline="") as file:
            if self.form in ("tsv", "sst2"):
                reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                reader = csv.reader(file)
            head = None if self.form == "csv" else next(reader, [])
            places = self.places(path, head)
            for row in reader:
                if not row or (self.form == "csv" and reader.line_num == 1 and row[0] not in codes):
                    # A blank line, or a header that the published file has not.
                    continue
                if len(row) <= max(place for place in places if place is not None):
                    raise Mistake(f"{path}:{reader.line_num}: {len(row)} columns, of which {max(p for p in places if p is not None) + 1} are needed")
                label = row[places[0]]
                if self.form == "copy":
                    label = COPY_LABELS.get(self.task, {}).get(label, label)
                    known = label in self.classes
                else:
                    known, label = label in codes, codes.get(label, label)
                if not known and self.task == "pet-mnli" and label == "-":
                    continue
                if not known:
                    allowed = self.classes if self.form == "copy" else list(codes)
                    raise Mistake(f"{path}:{reader.line_num}: the class {label!r} is none of {', '.join(allowed)}; is this the file of {self.task}?")
                yield label, *cleaned(self.task, [row[place] if place is not None else "" for place in places[1:]])

    def places(self, path, head):
        """Where the class and the texts stand in a row."""
        if self.form == "csv":
            return list(range(1 + len(self.columns)))
        names = {"sst2": ["label", "sentence"], "tsv": ["gold_label", "sentence1", "sentence2"], "copy": ["label", "text_a", "text_b"]}[self.form]
        found = [head.index(name) if name in head else None for name in names[:1 + len(self.columns)]]
        # AG News has copies in which title and text are one.
        needed = 2 if self.form == "copy" and self.task == "pet-ag_news" else len(found)
        for name, place in list(zip(names, found))[:needed]:
            if place is None:
                raise Mistake(f"{path}: its first line has no column {name}; it has {', '.join(head)}")
        return found

    def raw(self):
        """The train rows as LM-BFF's script holds them, and how to tell a row's class: lines of GLUE's file, or records of a CSV file."""
        path = self.files["train"]
        if self.form == "sst2":
            with open(path, encoding="utf-8") as file:
                head, *lines = file.readlines()
            return lines, lambda line: line.strip().split("\t")[-1], head
        return list(self.rows("train")), lambda row: row[0], None


def numbered(rows, most):
    """At most so many rows, spread over the file: many files are sorted by class."""
    rows = list(rows)
    if most is None or len(rows) <= most:
        return rows
    return [rows[place * len(rows) // most] for place in range(most)]


def write_csv(path, columns, rows):
    """A file for cloze, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with open(partial, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(rows)
    partial.replace(path)


# Running cloze.

class Runner:
    """Runs cells, and keeps what is done."""

    def __init__(self, args, folder):
        self.args, self.folder, self.failed = args, folder, []
        self.task = args.task
        self.templates, self.verbalizers = [], []
        for place, pattern in enumerate(PATTERNS[self.task]):
            self.templates.append(self.write(f"templates/pattern-{place}.json", {"version": 1, "pattern": pattern}))
        for place, words in enumerate(WORDS[self.task]):
            name = "words" if len(WORDS[self.task]) == 1 else f"words-{place}"
            self.verbalizers.append(self.write(f"verbalizers/{name}.json", {
                "version": 1, "classes": [{"label": label, "words": [word]} for label, word in words.items()]}))

    def write(self, name, value):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def machine(self):
        """Options of every command that computes."""
        args = self.args
        return ["--model", args.model, *(["--device", args.device] if args.device else []), *(["--threads", args.threads] if args.threads else [])]

    def run(self, command):
        """Runs a command to its end, and tells whether it went well. Ctrl-C reaches cloze too, which stops after its step."""
        command = [str(part) for part in [self.args.cloze, *command]]
        if self.args.verbose:
            print("  " + shlex.join(command), flush=True)
        try:
            process = subprocess.Popen(command)
        except OSError as error:
            raise Mistake(f"{self.args.cloze} does not start ({error}); `make build` makes target/release/cloze") from error
        stopped = False
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                stopped = True
        if stopped:
            raise KeyboardInterrupt
        return status == 0

    def cell(self, name, fresh, done="metrics.json"):
        """A run's folder, made or gone on with; None where it did not finish."""
        folder = self.folder / "cells" / name
        if (folder / done).exists():
            return folder
        print(f"{self.task}: {name}", flush=True)
        started = (folder / "manifest.json").exists()
        resumed = [fresh[0], "--resume", "--out", folder, *(["--threads", self.args.threads] if self.args.threads else [])]
        folder.parent.mkdir(parents=True, exist_ok=True)
        went_well = self.run(resumed if started else [*fresh, "--out", folder])
        if (folder / done).exists():
            # An ensemble of which a seed diverged has a report of the others.
            if not went_well:
                self.failed.append(f"part of {name}")
            return folder
        if not (folder / "manifest.json").exists():
            # Nothing was trained: what is wrong here is wrong in the other cells.
            raise Mistake(f"cloze could not begin with {name}; what it said is above")
        self.failed.append(name)
        return None

    def score(self, name, what, data, templates=()):
        """A report of scored rows, made if it is not there."""
        report = self.folder / "scores" / f"{name}.json"
        if not report.exists():
            print(f"{self.task}: {name}", flush=True)
            report.parent.mkdir(parents=True, exist_ok=True)
            partial = report.with_suffix(".partial")
            command = ["score", *what, *(["--template", *templates] if templates else []), "--data", data, "--report", partial, "--out", "/dev/null",
                       "--quiet", *self.machine()]
            if not self.run(command):
                raise Mistake(f"cloze could not score {data}; what it said is above")
            partial.replace(report)
        return json.loads(report.read_text(encoding="utf-8"))


def deviation(values, spread):
    return spread(values) if len(values) > 1 else None


def measured(values, spread):
    """A row's numbers, in percent; none where nothing was measured."""
    values = [100 * value for value in values]
    return {"mean": statistics.mean(values), "deviation": deviation(values, spread), "values": values} if values else None


# PET.

def generations(examples):
    """iPET trains new generations until each model has learned from a thousand rows."""
    return max(0, math.ceil(math.log(1000 / examples, 5) - 1e-9))


def pet_experiment(runner, train, unlabeled, test, generation_count):
    """The experiment for `cloze ensemble`: Table 5 of the paper."""
    args = runner.args
    plan = {"learning_rate": PET["learning_rate"], "warm_up": 0, "weight_decay": 0.01, "clip_norm": 1}
    experiment = {
        "version": 1, "experiment": "ensemble", "templates": [str(path) for path in runner.templates], "verbalizers": [str(path) for path in runner.verbalizers],
        "train": str(train), "unlabeled": str(unlabeled), "test": str(test), "seeds": args.seeds, "model": str(args.model), "max_length": args.max_length,
        # Four labelled rows in a step, and beside them twelve unlabelled ones, which cloze adds by itself.
        "tuning": "full", "plan": {"steps": args.steps, "batch_size": 4, **plan}, "mlm_weight": 1e-4, "merge": "logits", "weights": "accuracy", "temperature": 2,
        "student": {"tuning": "cls", "plan": {"steps": args.student_steps, "batch_size": 16, **plan}},
        "generations": generation_count, "growth": 5, "annotators": 0.25,
    }
    for key, value in (("device", args.device), ("threads", args.threads)):
        if value:
            experiment[key] = value
    return experiment


def pet_rows(runner, source, notes):
    """The files for cloze: the first rows of each class to learn from, ten thousand of each without their labels, and the test rows."""
    args, classes, data = runner.args, list(WORDS[runner.task][0]), runner.folder / "data"
    columns = ["label", *source.columns]
    trains = {}
    for examples in args.examples:
        if examples == 0:
            continue
        trains[examples] = data / f"train-{examples}.csv"
        if not trains[examples].exists():
            rows, short = first_of_each(source.rows("train"), dict(zip(classes, shares(examples, len(classes)))))
            if short:
                lacking = ", ".join(f"{count} of {label}" for label, count in short.items())
                raise Mistake(f"{source.files['train']} has too few rows for {examples} examples: it lacks {lacking}; ask for fewer with --examples")
            write_csv(trains[examples], columns, rows)
    unlabeled = data / "unlabeled.csv"
    if not unlabeled.exists():
        rows, _ = first_of_each(source.rows("train"), {label: args.unlabeled_rows for label in classes})
        write_csv(unlabeled, source.columns, [row[1:] for row in rows])
    with open(unlabeled, encoding="utf-8", newline="") as file:
        found = sum(1 for _ in csv.reader(file)) - 1
    for examples in args.examples if args.ipet else []:
        needed = examples * 5 ** generations(examples) - examples if examples else 0
        # The first rows of each class are among the unlabelled ones too, and no generation is given those.
        if needed > found - examples:
            raise Mistake(f"iPET with {examples} examples lets members label {needed:,} rows, and there are {found - examples:,}; "
                          f"give more with --unlabeled-rows (of each class) or a larger train file, or leave --ipet out")
    if found < args.unlabeled_rows * len(classes):
        notes.append(f"{found:,} unlabelled rows: the train file has no {args.unlabeled_rows:,} of each class.")
    tests = {part: data / f"{part}.csv" for part in source.files if part != "train"}
    for part, path in tests.items():
        if not path.exists():
            write_csv(path, columns, numbered(source.rows(part), args.rows))
    return trains, unlabeled, tests


def pet(runner, source, notes, show):
    """Runs the protocol, and shows the table as it grows."""
    args, task = runner.args, runner.task
    trains, unlabeled, tests = pet_rows(runner, source, notes)
    key = {"test": task, "mismatched": f"{task}/mismatched"}
    rows = []

    def add(method, examples, part, numbers, count):
        name = f"{method}, {part}" if part == "mismatched" else method + (", matched" if "mismatched" in tests else "")
        rows.append({"examples": examples, "row": name, "measured": numbers, "of": count, "published": args.published.get((key[part], examples, method))})
        show(rows)

    for part, test in tests.items():
        # Each pattern with each verbalizer by itself; the paper's deviation is over them.
        accuracies = []
        for verbalizer in runner.verbalizers:
            report = runner.score(f"unsupervised-{part}-{verbalizer.stem}", ["--verbalizer", verbalizer, "--max-length", args.max_length], test, runner.templates)
            accuracies += [pattern["evaluation"]["accuracy"] for pattern in report["patterns"]] if len(runner.templates) > 1 else [report["evaluation"]["accuracy"]]
        add("unsupervised, mean", 0, part, measured(accuracies, statistics.stdev), None)
        add("unsupervised, best", 0, part, measured([max(accuracies)], statistics.stdev), None)

    def of_seeds(name, folder, part, accuracies, predictions="predictions/student-seed-{}.csv"):
        """The seeds' accuracies on the test file of the run, or on another; those seeds that came to an end."""
        if part == "test":
            return accuracies
        seeds = [seed for seed in args.seeds if (folder / predictions.format(seed)).exists()]
        return [runner.score(f"{name}-{part}-seed-{seed}", ["--run", folder, "--seed", seed], tests[part])["evaluation"]["accuracy"] for seed in seeds]

    for examples, train in trains.items():
        if args.fine_tuning:
            command = ["train", "--method", "cls", "--verbalizer", runner.verbalizers[0], "--template", runner.templates[0], "--train", train, "--test", tests["test"],
                       "--seeds", ",".join(map(str, args.seeds)), "--steps", args.supervised_steps, "--learning-rate", PET["learning_rate"], "--batch-size", 16, "--warm-up", 0,
                       "--weight-decay", 0.01, "--max-length", args.max_length, "--quiet", *runner.machine()]
            folder = runner.cell(f"supervised-{examples}", command)
            if folder:
                found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["seeds"]
                found = [seed["evaluation"]["accuracy"] for seed in found]
                for part in tests:
                    accuracies = of_seeds(f"supervised-{examples}", folder, part, found, "predictions/seed-{}.csv")
                    add("supervised", examples, part, measured(accuracies, statistics.stdev), len(args.seeds))
        for method in ["PET", *(["iPET"] if args.ipet else [])]:
            count = generations(examples) if method == "iPET" else 0
            if method == "iPET" and count == 0:
                continue
            name = f"{method.lower()}-{examples}"
            experiment = runner.write(f"experiments/{name}.json", pet_experiment(runner, train, unlabeled, tests["test"], count))
            folder = runner.cell(name, ["ensemble", "--experiment", experiment], "report.json")
            if folder:
                student = json.loads((folder / "report.json").read_text(encoding="utf-8"))["stages"][-1]["student"]
                found = student["accuracy"]["by_seed"] if student else []
                for part in tests:
                    add(method, examples, part, measured(of_seeds(name, folder, part, found), statistics.stdev), len(args.seeds))
    return rows


# LM-BFF.

class _Lines(list):
    """What csv.writer writes to."""
    write = list.append


def as_pandas_writes(task, rows):
    """LM-BFF's CSV files: a class's code and a text, in quotes where it needs them."""
    code, lines = {label: code for code, label in CODES[task].items()}, _Lines()
    csv.writer(lines, lineterminator="\n").writerows((code[row[0]], *row[1:]) for row in rows)
    return "".join(lines)


def as_lm_bff_writes(source, part):
    """A whole part as it stands in LM-BFF's folders: GLUE's files as they are, the others by way of pandas."""
    if source.form == "sst2":
        return source.files[part].read_text(encoding="utf-8")
    return as_pandas_writes(source.task, source.rows(part))


def lm_bff_rows(runner, source, notes):
    """Each seed's files, drawn as LM-BFF draws them, and the test rows."""
    task, data, shots = runner.task, runner.folder / "data", LM_BFF["shots"]
    raw, label, head = source.raw()
    theirs = 0
    for seed in runner.args.seeds:
        parts, classes = k_shot(raw, label, shots, seed)
        short = [name for name, rows in classes.items() if len(rows) < 2 * shots]
        if short or len(classes) < len(source.classes):
            found = ", ".join(f"{len(rows)} of {name}" for name, rows in sorted(classes.items()))
            raise Mistake(f"{source.files['train']} needs {2 * shots} rows of each class; it has {found}")
        sums = []
        for part, rows in zip(("train", "dev"), parts):
            if head is not None:
                text = head + "".join(rows)
                rows = [(CODES[task].get(line.rstrip("\n").split("\t")[-1].strip()), line.rstrip("\n").split("\t")[0]) for line in rows]
            else:
                text = as_pandas_writes(task, rows)
            sums.append(hashlib.md5(text.encode()).hexdigest())
            kept = data / "k-shot" / f"{shots}-{seed}" / f"{part}{'.tsv' if head is not None else '.csv'}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            with open(kept, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            write_csv(data / f"{part}-{seed}.csv", ["label", *source.columns], rows)
        theirs += CHECKSUMS[task].get(seed) == tuple(sums)
    whose = f"{theirs} of {len(runner.args.seeds)} seeds have LM-BFF's own train and dev rows, by the MD5 of its files"
    notes.append(whose + ("." if theirs == len(runner.args.seeds) else
                          ": the others are drawn in the same way from a file that is not the same, or with a seed that LM-BFF has not."))
    if source.form != "copy":
        same = hashlib.md5(as_lm_bff_writes(source, "test").encode()).hexdigest() == CHECKSUMS[task]["test"]
        notes.append(f"The test file is {'' if same else 'not '}LM-BFF's own, by its MD5.")
    test = data / "test.csv"
    if not test.exists():
        write_csv(test, ["label", *source.columns], numbered(source.rows("test"), runner.args.rows))
    return test


def lm_bff_command(runner, method, seed, rate, batch):
    """A cell's command: the paper's thousand steps, the best of ten looks at the dev rows, no warm-up and no weight decay."""
    args, data = runner.args, runner.folder / "data"
    return ["train", "--method", method, "--template", runner.templates[0], "--verbalizer", runner.verbalizers[0], "--train", data / f"train-{seed}.csv",
            "--dev", data / f"dev-{seed}.csv", "--select", "dev", "--evaluate-every", max(1, args.steps // LM_BFF["looks"]), "--patience", args.steps + 1,
            "--seeds", seed, "--steps", args.steps, "--learning-rate", rate, "--batch-size", batch, "--warm-up", 0, "--weight-decay", 0,
            "--max-length", args.max_length, "--quiet", *runner.machine()]


def best_look(folder):
    """The best accuracy on the dev rows in a cell."""
    return max(look["accuracy"] for look in json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["seeds"][0]["looks"])


def lm_bff(runner, source, notes, show):
    args, task = runner.args, runner.task
    test = lm_bff_rows(runner, source, notes)
    rows = []
    zero = runner.score("zero-shot", ["--verbalizer", runner.verbalizers[0], "--max-length", args.max_length], test, runner.templates)
    rows.append({"row": "zero-shot", "measured": measured([zero["evaluation"]["accuracy"]], statistics.pstdev), "of": None,
                 "published": args.published.get((task, "zero-shot"))})
    show(rows)
    for name, method in [*([("fine-tuning", "cls")] if args.fine_tuning else []), ("prompt-based fine-tuning", "full")]:
        accuracies = []
        rows.append({"row": name, "measured": None, "of": len(args.seeds), "published": args.published.get((task, name)), "chosen": {}})
        for seed in args.seeds:
            best = None
            # The order of the authors' loops: of equals they take the first.
            for batch, rate in itertools.product(args.batch_sizes, args.learning_rates):
                cell = f"{method}/seed-{seed}/batch-{batch}-rate-{rate}"
                folder = runner.folder / "cells" / cell
                if (folder / "metrics.json").exists() and (best is None or best_look(folder) > best[0]) and not (folder / "learned").exists():
                    # It lost in a larger grid, and wins in this one.
                    shutil.rmtree(folder)
                folder = runner.cell(cell, lm_bff_command(runner, method, seed, rate, batch))
                if folder is None:
                    continue
                loser = folder
                if best is None or best_look(folder) > best[0]:
                    loser, best = best and best[1], (best_look(folder), folder, {"batch": batch, "rate": rate})
                if loser:
                    # A model of RoBERTa-large's size for each of 45 cells would fill a disk.
                    shutil.rmtree(loser / "learned", ignore_errors=True)
            if best is None:
                continue
            rows[-1]["chosen"][seed] = best[2]
            report = runner.score(f"{method}-seed-{seed}-batch-{best[2]['batch']}-rate-{best[2]['rate']}", ["--run", best[1]], test)
            accuracies.append(report["evaluation"]["accuracy"])
            rows[-1]["measured"] = measured(accuracies, statistics.pstdev)
            show(rows)
    return rows


# Results.

def number(mean, spread):
    return f"{mean:.1f}" + (f" ± {spread:.1f}" if spread is not None else "")


def cells_of(row):
    """A row of the table as texts."""
    found, published = row["measured"], row["published"]
    values = found["values"] if found else []
    seeds = ""
    if row["of"] is not None:
        seeds = " ".join(f"{value:.1f}" for value in values) + (f" ({len(values)} of {row['of']})" if len(values) < row["of"] else "")
    return [*([str(row["examples"])] if "examples" in row else []), row["row"], number(found["mean"], found["deviation"]) if found else "–", seeds,
            number(*published) if published else "–", f"{found['mean'] - published[0]:+.1f}" if found and published else "–"]


def headers(rows, reference):
    return [*(["examples"] if rows and "examples" in rows[0] else []), "row", "measured", "by seed", f"published ({reference})", "difference"]


def terminal_table(rows, reference):
    lines = [headers(rows, reference), *(cells_of(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown(args, rows, notes, protocol):
    head = headers(rows, args.reference)
    lines = [f"# {args.task} with {args.model.name}", "", protocol, "", "Accuracy in percent.", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(cells_of(row)) + " |" for row in rows]
    chosen = [f"- {row['row']}: " + ", ".join(f"seed {seed} batch {best['batch']} rate {best['rate']}" for seed, best in row["chosen"].items())
              for row in rows if row.get("chosen")]
    if chosen:
        lines += ["", "Chosen on the dev rows:", "", *chosen]
    lines += ["", "What differs from the paper:", "", *(f"- {note}" for note in notes), "",
              "A dash is a number that was not measured, or one that the paper has and this tool has not (docs/reproduce.md)."]
    return "\n".join(lines) + "\n"


def size_of(model):
    """Which RoBERTa a folder has: large, base, or neither."""
    path = model / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Mistake(f"{model} has no config.json; MODEL (--model) is a folder with a Hugging Face model: config.json, the weights and the tokenizer's files") from None
    except ValueError as error:
        raise Mistake(f"{path} is not JSON: {error}") from None
    shape = (config.get("model_type"), config.get("hidden_size"), config.get("num_hidden_layers"))
    return {("roberta", 1024, 24): "large", ("roberta", 768, 12): "base"}.get(shape)


def changes(args, defaults, names):
    """What the user asked for in place of the paper's settings."""
    out = []
    for name, value in names.items():
        now, usual = getattr(args, name), defaults.get(name)
        if now != usual:
            say = lambda v: ", ".join(map(str, v)) if isinstance(v, list) else f"{v:,}" if isinstance(v, int) else "all" if v is None else str(v)
            out.append(f"{value} {say(now)} in place of {say(usual)}.")
    return out


def keep_to(folder, settings):
    """Cells of one protocol in a folder: others must not be taken for them."""
    path = folder / "protocol.json"
    if not any(folder.glob("scores/*.json")) and not any(folder.glob("cells/*")):
        # Nothing was computed yet: a first try with a mistake in it binds nobody. Files for cloze are made anew.
        shutil.rmtree(folder / "data", ignore_errors=True)
        if path.exists():
            path.unlink()
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        other = [f"{key} {before.get(key)!r}, now {value!r}" for key, value in settings.items() if before.get(key) != value]
        if other:
            raise Mistake(f"{folder} holds cells of another protocol: {'; '.join(other)}\nname another folder with WORK (--work), ask as before, or remove this one")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def numbers_of(text, kind):
    return [kind(part) for part in text.split(",") if part.strip()]


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter, epilog="Tasks: " + ", ".join(PATTERNS))
    parser.add_argument("--cloze", default="target/release/cloze")
    parser.add_argument("--model", default="", help="folder of the model: RoBERTa-large for the papers' tables")
    parser.add_argument("--task", default="", help="which row of which table (below)")
    parser.add_argument("--data", default="", help="folder of the data files (docs/reproduce.md)")
    parser.add_argument("--work", type=Path, default=Path("target/reproduce"), help="where cells and results are kept [default: target/reproduce]")
    parser.add_argument("--examples", default="10", help="PET: labelled rows in all, 0, 10, 50, 100 or 1000, several with commas [default: 10]")
    parser.add_argument("--ipet", action="store_true", help="PET: iPET besides")
    parser.add_argument("--fine-tuning", action="store_true", help="the row of ordinary fine-tuning besides, without a pattern")
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--verbose", action="store_true", help="show every command of cloze")
    trial = parser.add_argument_group("for a trial", "in place of the papers' settings; the results say so")
    trial.add_argument("--seeds", help="as 13,21")
    trial.add_argument("--steps", type=int, help="optimiser steps of a training [1000]")
    trial.add_argument("--student-steps", type=int, help="PET: of the student [5000]")
    trial.add_argument("--rows", type=int, help="at most so many test rows, spread over the file [all]")
    trial.add_argument("--unlabeled-rows", type=int, help="PET: unlabelled rows of each class [10000, with RoBERTa-base 5000]")
    trial.add_argument("--learning-rates", help="LM-BFF: as 1e-5,2e-5")
    trial.add_argument("--batch-sizes", help="LM-BFF: as 2,8")
    trial.add_argument("--max-length", type=int, help="longest input in tokens [PET 256, LM-BFF 128]")
    return parser.parse_args(argv)


def check(args):
    """Fills in the papers' settings, and refuses what cannot be."""
    if args.task not in PATTERNS:
        asked = f"there is no task {args.task!r}" if args.task else "no task is named"
        raise Mistake(f"{asked}; TASK (--task) is one of {', '.join(PATTERNS)}")
    if not args.model:
        raise Mistake("no model is named; MODEL (--model) is a folder with RoBERTa's weights")
    args.model = Path(args.model)
    if not args.model.is_dir():
        raise Mistake(f"there is no folder {args.model}; MODEL (--model) is a folder with RoBERTa's weights")
    args.model = args.model.resolve()
    args.size = size_of(args.model)
    if not args.data:
        raise Mistake("no data are named; DATA (--data) is the folder of the data files, which docs/reproduce.md lists")
    args.is_pet = args.task.startswith("pet-")
    usual = dict(PET if args.is_pet else LM_BFF)
    if args.is_pet and args.size == "base":
        # Table 2's comparison halves them (the paper's appendix B.4).
        usual["unlabeled_rows"] = 5000
    if not args.is_pet and args.ipet:
        raise Mistake("--ipet is PET's; LM-BFF has no such row")
    try:
        args.examples = numbers_of(args.examples, int)
        args.seeds = numbers_of(args.seeds, int) if args.seeds else usual["seeds"]
        args.batch_sizes = numbers_of(args.batch_sizes, int) if args.batch_sizes else usual.get("batch_sizes")
        rates = numbers_of(args.learning_rates, str) if args.learning_rates else usual.get("learning_rates")
        args.learning_rates = rates and [rate for rate in map(str.strip, rates) if float(rate) > 0]
    except ValueError as error:
        raise Mistake(f"--examples, --seeds, --batch-sizes and --learning-rates are numbers with commas between: {error}") from None
    for name in ("steps", "student_steps", "unlabeled_rows", "max_length"):
        if getattr(args, name) is None:
            setattr(args, name, usual.get(name))
    for name in ("steps", "student_steps", "rows", "unlabeled_rows", "max_length", "threads"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise Mistake(f"--{name.replace('_', '-')} is at least 1")
    if not args.seeds or len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise Mistake("--seeds are numbers from 0, each once")
    args.examples = list(dict.fromkeys(args.examples))
    wrong = [count for count in args.examples if count not in (0, 10, 50, 100, 1000)]
    if args.is_pet and (wrong or not args.examples):
        raise Mistake(f"--examples is 0, 10, 50, 100 or 1000, as in the paper's table{', not ' + str(wrong[0]) if wrong else ''}")
    args.supervised_steps = min(PET["supervised_steps"], args.steps)
    args.reference = "RoBERTa-base" if args.is_pet and args.size == "base" else "RoBERTa-large"
    args.published = (PET_BASE if args.size == "base" else PET_LARGE) if args.is_pet else LM_BFF_LARGE
    return usual


def differences(args, usual, source):
    """What is not as in the paper, before anything is run."""
    notes = []
    if args.size is None:
        notes.append(f"The model is neither RoBERTa-large nor RoBERTa-base; the published numbers are those of {args.reference}.")
    elif not args.is_pet and args.size == "base":
        notes.append("The model is RoBERTa-base; the published numbers are those of RoBERTa-large.")
    if source.form == "copy":
        notes.append(f"The data are {COPY}: the rows, and how many there are, are not the paper's.")
    if source.joined():
        notes.append("Title and text are one text in these data: a blank between the two stands behind both.")
    names = {"seeds": "Seeds", "steps": "Steps", "max_length": "Longest input in tokens", "rows": "Test rows, at most"}
    notes += changes(args, usual, {**names, **({"student_steps": "Steps of the student", "unlabeled_rows": "Unlabelled rows of each class"} if args.is_pet else
                                               {"learning_rates": "Learning rates", "batch_sizes": "Batch sizes"})})
    if args.is_pet:
        count = len(PATTERNS[args.task]) * len(WORDS[args.task])
        notes.append(f"A seed's ensemble has {count} members, one for each pattern, and a student of its own; "
                     f"the paper's ensemble has {3 * count}, three for each pattern.")
        if args.ipet:
            notes.append("In iPET two members label rows for another, the least that cloze takes; in the paper a quarter of three times as many. "
                         "iPET without labelled rows is not run.")
        if args.task == "pet-mnli":
            notes.append("The student, too, reads premises without their last punctuation.")
    else:
        notes.append("Of looks at the dev rows with the same accuracy cloze keeps the one with the lowest loss, LM-BFF's code the first.")
    notes.append("Texts that are too long lose words by cloze's rule, not tokens by that of the paper's code. Random numbers, and so the order of batches, are others.")
    return notes


def protocol_of(args):
    """The protocol in a line."""
    seeds = f"{len(args.seeds)} seed{'s' if len(args.seeds) > 1 else ''}"
    if args.is_pet:
        return (f"PET (Schick & Schütze 2021): all patterns, the first examples of each class, {args.steps:,} steps with the auxiliary loss at rate 1e-5, "
                f"members weighted by their accuracy before training, a student of {args.student_steps:,} steps on {args.unlabeled_rows:,} unlabelled rows of "
                f"each class at temperature 2, {seeds}.")
    return (f"LM-BFF (Gao et al. 2021): 16 rows of each class to learn from and 16 to choose by, {seeds}, the manual pattern and label words, "
            f"{args.steps:,} steps, for each seed the best on the dev rows of learning rates {', '.join(args.learning_rates)} with batch sizes "
            f"{', '.join(map(str, args.batch_sizes))}.")


def work(args):
    usual = check(args)
    source = Source(args.task, args.data)
    args.work = args.work.resolve()
    folder = args.work / args.task / args.model.name
    settings = {"model": str(args.model), "data": str(source.folder.resolve()), "steps": args.steps, "max_length": args.max_length, "test_rows": args.rows}
    if args.is_pet:
        settings.update(seeds=args.seeds, student_steps=args.student_steps, unlabeled_rows=args.unlabeled_rows)
    keep_to(folder, settings)
    runner, notes, protocol, result = Runner(args, folder), differences(args, usual, source), protocol_of(args), folder / "result.md"

    def show(rows):
        partial = result.with_suffix(".partial")
        partial.write_text(markdown(args, rows, notes, protocol), encoding="utf-8")
        partial.replace(result)

    rows = (pet if args.is_pet else lm_bff)(runner, source, notes, show)
    with open(folder / "data" / "test.csv", encoding="utf-8", newline="") as file:
        tested = sum(1 for _ in csv.reader(file)) - 1
    if args.rows is None and tested != TEST_ROWS[args.task]:
        notes.append(f"{tested:,} test rows; the paper's file has {TEST_ROWS[args.task]:,}.")
    notes += [f"Not finished: {name}." for name in runner.failed]
    show(rows)
    print(f"\n{args.task} with {args.model.name}: accuracy in percent\n\n{terminal_table(rows, args.reference)}\n\n{protocol}\nWhat differs from the paper:")
    print("\n".join(f"- {note}" for note in notes) + f"\n\nThe same as a page: {result}")
    if runner.failed:
        raise Mistake("these cells did not finish: " + ", ".join(runner.failed) + "\nwhat cloze said is above; the same command again tries them again")


def main(argv=None):
    args = arguments(argv)
    try:
        work(args)
    except Mistake as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it stood", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
