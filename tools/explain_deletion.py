#!/usr/bin/env python3
"""Do the words that `cloze explain` marks carry the label?

Explains rows, then deletes the k words that speak most for each row's answer, and scores what is left; beside it
the same with k random words, the mean of several draws. The numbers are how much the probability of the answer
falls. With --method it is leave-one-out or gradients; rows of fewer words than twice the most that are deleted
are left out.
"""
import argparse
import csv
import json
import random
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEED = 13


def score(cloze, model, texts, work):
    """Each text's probabilities by class."""
    data, out = work / "deleted.csv", work / "scores.csv"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        writer.writerows([text] for text in texts)
    subprocess.run([cloze, "score", *model, "--data", data, "--out", out, "--quiet"], cwd=ROOT, check=True)
    return list(csv.DictReader(out.open()))


def explain(cloze, model, data, rows, method, steps, work):
    out = work / "words.json"
    command = [cloze, "explain", *model, "--data", data, "--row", f"1-{rows}", "--method", method, "--json", out, "--quiet"]
    if method == "gradients":
        command += ["--steps", str(steps)]
    subprocess.run(command, cwd=ROOT, check=True)
    return json.loads(out.read_text())


def interval(values):
    """The mean and its 95 % interval by the normal distribution."""
    mean = statistics.fmean(values)
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{100 * mean:.1f} ({100 * (mean - half):.1f} to {100 * (mean + half):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", default=ROOT / "target/release/cloze")
    parser.add_argument("--data", default=ROOT / "data/reviews/test.csv")
    parser.add_argument("--template", default="templates/sentiment/it-was.json")
    parser.add_argument("--verbalizer", default="verbalizers/sentiment.json")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--method", default="leave-one-out", choices=["leave-one-out", "gradients"])
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--deleted", type=int, nargs="+", default=[1, 2, 3, 5])
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    model = ["--template", args.template, "--verbalizer", args.verbalizer]
    dice = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        found = explain(args.cloze, model, args.data, args.rows, args.method, args.steps, work)
        found = [row for row in found if len(row["words"]) >= 2 * max(args.deleted)]
        texts, keys = [], []
        for number, row in enumerate(found):
            words = [word["word"] for word in row["words"]]
            order = sorted(range(len(words)), key=lambda place: -row["words"][place]["effect"])
            for count in args.deleted:
                ways = [("marked", order[:count])]
                ways += [("random", dice.sample(range(len(words)), count)) for _ in range(args.draws)]
                for way, places in ways:
                    texts.append(" ".join(word for place, word in enumerate(words) if place not in places))
                    keys.append((number, count, way))
        said = score(args.cloze, model, texts, work)
    falls = {}
    for (number, count, way), row in zip(keys, said):
        fall = found[number]["probability"] - float(row["p_" + found[number]["label"]])
        falls.setdefault((count, way), {}).setdefault(number, []).append(fall)
    print(f"{args.method}, {len(found)} rows of {Path(args.data).name}: fall of the answer's probability, points")
    print("deleted  the marked words        as many random words    marked falls more, % of rows")
    for count in args.deleted:
        marked, drawn = (
            [statistics.fmean(falls[count, way][number]) for number in range(len(found))] for way in ("marked", "random")
        )
        more = statistics.fmean(one > other for one, other in zip(marked, drawn))
        print(f"{count:7}  {interval(marked):22}  {interval(drawn):22}  {100 * more:.1f}")


if __name__ == "__main__":
    main()
