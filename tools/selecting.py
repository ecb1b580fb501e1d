#!/usr/bin/env python3
"""Simulated labelling: `make selecting` into benches/selecting.md.

Rows of public sets whose labels are hidden form a pool. `cloze select` chooses rows, their labels are looked up, a model is trained on all rows labelled
so far (LoRA, one pattern, one seed) and tested on other rows; the next rows are chosen with that model. Strategies are held against rows at random: same
pools, same test rows, same seeds. What is done stays in the work folder, step by step, so that a run that was stopped goes on.
"""

import argparse
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tables import read, write

SETS = {  # rows, the pattern that is trained, the folder whose patterns choose the first rows, label words
    "sst2_cased": ("data/sst2_cased", "sentiment/it-was.json", "sentiment", "sentiment.json"),
    "ag_news": ("data/ag_news", "topic/news.json", "topic", "topic.json"),
    "emotion": ("data/emotion", "emotion/i-feel.json", "emotion", "emotion.json"),
}
STRATEGIES = {  # of the first rows, and of those that a trained model chooses
    "random": ("random", "random"),
    "entropy": ("entropy", "entropy"),
    "clusters, entropy": ("clusters", "entropy"),
    "clusters, margin": ("clusters", "margin"),
    "k-center": ("k-center", "k-center"),
}


def run(args, *command):
    done = subprocess.run([str(args.cloze), *map(str, command)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")


class Pool:
    """The rows of a set and a seed."""

    def __init__(self, args, name, seed):
        folder, pattern, self.patterns, verbalizer = SETS[name]
        self.name, self.seed, self.work = name, seed, args.work / f"{name}-{seed}"
        self.work.mkdir(parents=True, exist_ok=True)
        self.verbalizer = Path("verbalizers") / verbalizer
        self.all = sorted((Path("templates") / self.patterns).glob("*.json"))
        self.one = Path("templates") / pattern
        dice = random.Random(seed)
        rows = read(args.data / folder / "train.csv")
        self.column = next(column for column in rows[0] if column != "label")
        rows = dice.sample(rows, min(args.pool, len(rows)))
        self.labels = [row["label"] for row in rows]
        self.texts = [row[self.column] for row in rows]
        self.pool, self.test = self.work / "pool.csv", self.work / "test.csv"
        write(self.pool, ["text"], [[text] for text in self.texts])
        test = random.Random(0).sample(read(args.data / folder / "test.csv"), args.test)
        write(self.test, ["text", "label"], [(row[self.column], row["label"]) for row in test])


def chosen(args, pool, strategy, known, count, model):
    """The numbers of the rows that are chosen next."""
    labelled = pool.work / "labelled.csv"
    out = pool.work / "chosen.csv"
    files = ["--run", model] if model else ["--template", *pool.all, "--verbalizer", pool.verbalizer]
    more = []
    if known:
        write(labelled, ["text", "label"], [(pool.texts[row], pool.labels[row]) for row in known])
        more = ["--labelled", labelled]
    run(args, "select", *files, "--data", pool.pool, "-n", count, "--by", strategy, "--random-share", 0, "--choice-seed", pool.seed,
        "--max-length", 128, "--threads", args.threads, "--out", out, "--quiet", *more)
    return [int(row["row"]) - 1 for row in read(out)]


def curve(args, pool, name):
    """Accuracy by the number of labelled rows."""
    stem = name.replace(", ", "-")
    kept = pool.work / f"{stem}.json"
    steps = json.loads(kept.read_text()) if kept.exists() else []
    first, later = STRATEGIES[name]
    for count in args.rows:
        if any(step["rows"] == count for step in steps):
            continue
        known = steps[-1]["chosen"] if steps else []
        model = pool.work / f"{stem}-{len(known)}" if known else None
        rows = known + chosen(args, pool, later if known else first, known, count - len(known), model)
        train, folder = pool.work / "train.csv", pool.work / f"{stem}-{count}"
        write(train, ["text", "label"], [(pool.texts[row], pool.labels[row]) for row in rows])
        shutil.rmtree(folder, ignore_errors=True)
        run(args, "train", "--template", pool.one, "--verbalizer", pool.verbalizer, "--train", train, "--test", pool.test, "--seeds", pool.seed,
            "--method", "lora", "--steps", args.steps, "--max-length", 128, "--threads", args.threads, "--out", folder, "--quiet")
        found = json.loads((folder / "metrics.json").read_text())["seeds"][0]
        classes = len({pool.labels[row] for row in rows})
        steps.append({"rows": count, "chosen": rows, "classes": classes, "accuracy": found["evaluation"]["accuracy"]})
        kept.write_text(json.dumps(steps))
        print(f"{pool.name} seed {pool.seed} {name} {count} rows ({classes} classes): {steps[-1]['accuracy']:.3f}", file=sys.stderr)
    return {step["rows"]: step["accuracy"] for step in steps}


def mean_and_interval(values):
    """The mean, and the 95 % t interval over seeds."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, None
    t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}[len(values)]
    return mean, t * statistics.stdev(values) / math.sqrt(len(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cloze", type=Path, default=Path("target/release/cloze"))
    parser.add_argument("--data", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("target/selecting"))
    parser.add_argument("--sets", default="sst2_cased,ag_news,emotion")
    parser.add_argument("--strategies", default=";".join(STRATEGIES), help="between semicolons")
    parser.add_argument("--seeds", type=int, nargs="*", default=[13, 21, 42, 87, 100])
    parser.add_argument("--rows", type=int, nargs="*", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--pool", type=int, default=2000)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benches/selecting.md"))
    args = parser.parse_args()
    names = args.strategies.split(";")
    lines = ["# Which rows to label", "", " ".join(__doc__.split("\n\n")[1].split()), "",
             f"Accuracy in percent on {args.test} rows, the mean of {len(args.seeds)} seeds (each with a pool of {args.pool} rows of its own), and in "
             "brackets the difference from random rows with its 95 % interval over seeds. Regenerate with `make selecting`.", ""]
    for name in args.sets.split(","):
        curves = {strategy: [] for strategy in names}
        for seed in args.seeds:
            pool = Pool(args, name, seed)
            for strategy in names:
                curves[strategy].append(curve(args, pool, strategy))
        lines += [f"## {name}", "", "| chosen by | " + " | ".join(f"{count} rows" for count in args.rows) + " |", "|---|" + "--:|" * len(args.rows)]
        for strategy in names:
            cells = []
            for count in args.rows:
                own = [found[count] * 100 for found in curves[strategy]]
                text = f"{statistics.mean(own):.1f}"
                if strategy != "random" and "random" in curves:
                    mean, half = mean_and_interval([one - found[count] * 100 for one, found in zip(own, curves["random"])])
                    text += f" ({mean:+.1f}" + (f" ± {half:.1f})" if half is not None else ")")
                cells.append(text)
            lines.append(f"| {strategy} | " + " | ".join(cells) + " |")
        lines.append("")
    args.out.write_text("\n".join(lines))


main()
