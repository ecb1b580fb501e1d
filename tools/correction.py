#!/usr/bin/env python3
"""What corrections without labels do where labels are even and where they are not: `make correction` into benches/correction.md.

A pool of rows of each set is scored once in each pattern of `cloze init`, uncorrected; inputs without content and random texts give their
corrections. Then files of all sizes and shares of labels are drawn from the pool, corrected here, and their accuracy is averaged.
"""

import argparse
import csv
import json
import math
import random
import subprocess
import sys
from pathlib import Path

# The rows' file in the folder of sets or in data/, and what is asked.
SETS = {
    "sms_spam": ("{data}/instruct/sms_spam/train.csv", "general"),
    "sms_spam_asked": ("{data}/instruct/sms_spam/train.csv", "spam"),
    "sentences": ("data/sentences/test.csv", "sentiment"),
    "sst2": ("{data}/data/sst2_cased/test.csv", "general"),
    "cr": ("{data}/instruct/cr/train.csv", "general"),
    "ag_news": ("{data}/data/ag_news/test.csv", "general"),
    "emotion": ("{data}/data/emotion/test.csv", "general"),
    "tickets": ("data/tickets/test.csv", "general"),
    "banking77": ("data/banking77/test.csv", "general"),
}
SPAM = ["sms_spam", "sms_spam_asked"]
TWO = ["sentences", "sst2", "cr"]
# Files that are drawn: from which sets, and the share of one label; `None` leaves the shares as they are, "even" makes them alike.
FILES = {
    "sms_spam, 88 : 12": (SPAM, None),
    "sms_spam, even": (SPAM, "even"),
    "two labels, even": (TWO, "even"),
    "two labels, 25 %": (TWO, 0.25),
    "two labels, 10 %": (TWO, 0.10),
    "4 to 6 labels": (["ag_news", "emotion", "tickets"], None),
    "77 labels": (["banking77"], None),
}
METHODS = ["none", "contextual", "domain", "batch", "mixed", "prior"]


def score(args, *flags):
    command = [args.cloze, "score", *flags, "--max-length", 128, "--quiet"]
    done = subprocess.run([str(part) for part in command], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measure(args, name):
    """A set's truths, each pattern's logarithms of probabilities, and the biases of contextual and domain; kept in a file."""
    kept = args.work / f"{name}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    path, ask = SETS[name]
    rows = read(path.format(data=args.data))
    random.Random(0).shuffle(rows)
    rows, folder = rows[: args.pool], args.work / name
    folder.mkdir(parents=True, exist_ok=True)
    columns = [column for column in rows[0] if column != "label"]
    for file, some in (("pool", rows), ("one", rows[:1]), ("few", rows[:100])):
        with open(folder / f"{file}.csv", "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, columns + ["label"])
            writer.writeheader()
            writer.writerows(some)
    labels = sorted({row["label"] for row in rows})
    (folder / "labels.json").write_text(json.dumps(labels))
    if not (folder / "files").exists():
        command = [args.cloze, "init", folder / "files", "--labels-file", folder / "labels.json", "--text-column", ",".join(columns), "--ask", ask, "-q"]
        subprocess.run([str(part) for part in command], check=True)
    templates = sorted((folder / "files/templates").glob("*.json")) + [folder / "files/compared.json"]
    words = ["--verbalizer", folder / "files/verbalizer.json"]
    said = []
    for template in templates:
        score(args, "--template", template, *words, "--data", folder / "pool.csv", "--out", folder / "out.csv")
        said.append([[math.log(max(float(row[f"p_{label}"]), 1e-12)) for label in labels] for row in read(folder / "out.csv")])
    biases = {}
    for method, on in (("contextual", []), ("domain", ["--calibrate-on", folder / "few.csv"])):
        score(args, "--template", *templates, *words, "--data", folder / "one.csv", "--calibrate", method, *on,
              "--calibration-out", folder / f"{method}.json", "--out", "/dev/null")
        biases[method] = [pattern["correction"]["biases"] for pattern in json.loads((folder / f"{method}.json").read_text())["patterns"]]
    found = {"labels": labels, "truths": [labels.index(row["label"]) for row in rows], "said": said, "biases": biases}
    kept.write_text(json.dumps(found))
    return found


def softmax(scores):
    raised = [math.exp(score - max(scores)) for score in scores]
    return [number / sum(raised) for number in raised]


def rows_mean(said, biases):
    corrected = [softmax([log + bias for log, bias in zip(row, biases)]) for row in said]
    return [max(sum(column) / len(said), 1e-12) for column in zip(*corrected)]


def corrections(said, contextual, domain):
    """Each method's biases of a pattern, from what it says of these rows."""
    none = [0.0] * len(contextual)
    batch = [-math.log(mean) for mean in rows_mean(said, none)]
    prior = none
    for _ in range(10):
        prior = [bias - math.log(mean * len(none)) for bias, mean in zip(prior, rows_mean(said, prior))]
    mixed = [(one + other) / 2 for one, other in zip(domain, batch)]
    return dict(zip(METHODS, (none, contextual, domain, batch, mixed, prior)))


def macro_f1(truths, answers):
    scores = []
    for label in set(truths) | set(answers):
        both = sum(truth == answer == label for truth, answer in zip(truths, answers))
        scores.append(2 * both / (truths.count(label) + answers.count(label)))
    return sum(scores) / len(scores)


def draw(truths, share, rows, number, dice):
    """The rows of a file that is drawn."""
    labels = sorted(set(truths))
    of = {label: [row for row, truth in enumerate(truths) if truth == label] for label in labels}
    if share is None:
        return dice.sample(range(len(truths)), min(rows, len(truths)))
    if share == "even":
        each = min(rows // len(labels), *(len(some) for some in of.values()))
        return [row for label in labels for row in dice.sample(of[label], each)]
    few = labels[number % len(labels)]
    rest = [row for row, truth in enumerate(truths) if truth != few]
    count = min(len(rest), rows - round(share * rows), round(len(of[few]) * (1 - share) / share))
    return dice.sample(rest, count) + dice.sample(of[few], max(1, round(count * share / (1 - share))))


def accuracies(args, sets, share, rows):
    """Accuracy and macro-F1 by method, the mean over sets and draws."""
    sums, count = {method: [0.0, 0.0] for method in METHODS}, 0
    for name in sets:
        found = measure(args, name)
        dice = random.Random(0)
        for number in range(args.draws):
            chosen = draw(found["truths"], share, rows, number, dice)
            truths = [found["truths"][row] for row in chosen]
            totals = {method: [[0.0] * len(found["labels"]) for _ in chosen] for method in METHODS}
            for index, pattern in enumerate(found["said"]):
                said = [pattern[row] for row in chosen]
                for method, biases in corrections(said, found["biases"]["contextual"][index], found["biases"]["domain"][index]).items():
                    for total, row in zip(totals[method], said):
                        for label, probability in enumerate(softmax([log + bias for log, bias in zip(row, biases)])):
                            total[label] += probability
            for method, rows_totals in totals.items():
                answers = [total.index(max(total)) for total in rows_totals]
                sums[method][0] += sum(truth == answer for truth, answer in zip(truths, answers)) / len(truths)
                sums[method][1] += macro_f1(truths, answers)
            count += 1
    return {method: [value / count for value in values] for method, values in sums.items()}


def page(args):
    lines = []
    for rows in args.rows:
        cells = {file: accuracies(args, sets, share, rows) for file, (sets, share) in FILES.items() if rows >= 100 or file != "77 labels"}
        cells["mean"] = {method: [sum(cell[method][i] for cell in cells.values()) / len(cells) for i in (0, 1)] for method in METHODS}
        lines += [f"## Files of {rows} rows", "", "| file | " + " | ".join(METHODS) + " |", "|---" * (1 + len(METHODS)) + "|"]
        for file, cell in cells.items():
            lines.append(f"| {file} | " + " | ".join(f"{100 * a:.1f} ({100 * f:.1f})" for a, f in (cell[method] for method in METHODS)) + " |")
        lines.append("")
        print(f"{rows} rows are done", file=sys.stderr, flush=True)
    # What people wrote before the tables stays.
    head = args.out.read_text().split("\n## ")[0].rstrip() + "\n\n" if args.out.exists() else ""
    args.out.write_text(head + "\n".join(lines).rstrip() + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", type=Path, default=Path("../shared"), help="a folder with the folders data and instruct of sets")
    p.add_argument("--work", type=Path, default=Path("target/correction"), help="where what the model says is kept")
    p.add_argument("--out", type=Path, default=Path("benches/correction.md"))
    p.add_argument("--pool", type=int, default=300, help="rows of each set, at most")
    p.add_argument("--draws", type=int, default=6, help="files that are drawn of each kind and set")
    p.add_argument("--rows", type=int, nargs="+", default=[150, 50, 20, 10], help="rows of a file")
    args = p.parse_args()
    args.cloze = args.cloze.resolve()
    page(args)


if __name__ == "__main__":
    main()
