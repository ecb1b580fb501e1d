#!/usr/bin/env python3
"""How the cost of `cloze score` grows, with rows, length, classes and patterns: tables and a plot.

    python3 benches/growth.py --cloze target/release/cloze [--model DIR] [--tiny DIR] [--threads N] [--reps N] [--plot growth.svg]

Made-up rows of words of the vocabulary, all distinct, each series in one run and in alternation, medians. Rows are many, so they go through the tiny
model of the tests, whose forward pass costs little: what reading, tokenising and writing cost shows there. The rest is the default model's.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import HERE, python_with_transformers

ROWS = [1_000, 10_000, 100_000, 1_000_000]
LENGTHS = [16, 32, 64, 128, 256, 512]
CLASSES = [2, 5, 15, 50, 150]
PATTERNS = [1, 2, 4, 8, 16]
BEGINNINGS = "It This That All Here Now Then There Overall Really Simply Just Today So Still Also".split()  # one token each


def words_of(model):
    """Whole words that are one token, of letters alone"""
    lines = (Path(model) / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.isascii() and line.isalpha() and len(line) > 2]


def data(path, rows, tokens, vocabulary):
    """Rows of so many tokens with the pattern (four of its own and two special ones)"""
    generator = random.Random(0)
    with open(path, "w", encoding="utf-8") as f:
        f.write("text\n")
        for _ in range(rows):
            f.write(" ".join(generator.choices(vocabulary, k=max(tokens - 6, 1))) + "\n")
    return path


def verbalizer(path, classes, vocabulary):
    spec = {"version": 1, "classes": [{"label": f"c{n}", "words": [word]} for n, word in enumerate(vocabulary[:classes])]}
    path.write_text(json.dumps(spec))
    return path


def templates(folder, count):
    paths = [folder / f"t{n}.json" for n in range(count)]
    for n, path in enumerate(paths):
        path.write_text(json.dumps({"version": 1, "pattern": f"{{text|shorten}} {BEGINNINGS[n]} was {{mask}}."}))
    return paths


def score(args, model, rows, verbalizer, templates, length):
    """-> (seconds of scoring as the report says, peak memory in MB)"""
    report = rows.parent / "report.json"
    command = [args.cloze, "score", "--model", model, "--data", rows, "--verbalizer", verbalizer, "--threads", args.threads,
               "--max-length", length, "--out", rows.parent / "out.csv", "--report", report, "--quiet", "--template", *templates]
    process = subprocess.Popen([str(part) for part in command])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {command}")
    return json.loads(report.read_text())["seconds"], usage.ru_maxrss / 1024


def series(args, cases):
    """cases: (size, arguments of score) -> (size, median seconds, median memory)"""
    found = {size: [] for size, _ in cases}
    for _ in range(args.reps):
        for size, call in cases:
            found[size].append(score(args, *call))
    return [(size, *(statistics.median(column) for column in zip(*figures))) for size, figures in found.items()]


def table(title, unit, figures, per):
    print(f"\n**{title}**\n\n| {unit} | seconds | per {per[0]}, ms | peak memory, MB |\n|---|---|---|---|")
    for size, seconds, memory in figures:
        print(f"| {size:,} | {seconds:.2f} | {seconds * 1e3 / per[1](size):.4g} | {memory:.0f} |")


def plot(path, panels):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "font.size": 9})
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, len(panels), figsize=(3.1 * len(panels), 3))
    for axis, (title, figures) in zip(axes, panels):
        sizes, seconds = [f[0] for f in figures], [f[1] for f in figures]
        axis.loglog(sizes, seconds, "o-", label="measured")
        axis.loglog(sizes, [seconds[-1] * size / sizes[-1] for size in sizes], ":", color="gray", label="in proportion")
        axis.set_xlabel(title)
        axis.set_xticks(sizes, [f"{s:,}" if s < 1000 else f"1e{len(str(s)) - 1}" for s in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--model", type=Path, default=HERE.parent / "models/cloze-minilm-l6")
    p.add_argument("--tiny", type=Path, default=HERE.parent / "tests/fixtures/tiny")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--plot", type=Path, default=HERE / "growth.svg")
    args = p.parse_args()
    args.cloze = args.cloze.resolve()
    python = python_with_transformers()
    if python != sys.executable:  # for the plot
        os.execv(python, [python, *sys.argv])
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        vocabulary, tiny = words_of(args.model), words_of(args.tiny)
        one = templates(work, 1)
        two = verbalizer(work / "v2.json", 2, vocabulary)
        small = verbalizer(work / "tiny.json", 2, tiny)
        rows = series(args, [(n, (args.tiny, data(work / f"rows{n}.csv", n, 16, tiny), small, one, 32)) for n in ROWS])
        lengths = series(args, [(n, (args.model, data(work / f"long{n}.csv", 128, n, vocabulary), two, one, n)) for n in LENGTHS])
        some = data(work / "some.csv", 1000, 32, vocabulary)
        classes = series(args, [(n, (args.model, some, verbalizer(work / f"v{n}.json", n, vocabulary), one, 64)) for n in CLASSES])
        few = data(work / "few.csv", 250, 32, vocabulary)
        patterns = series(args, [(n, (args.model, few, two, templates(work, n), 64)) for n in PATTERNS])
    table("Rows of 16 tokens, tiny model", "rows", rows, ("row", lambda n: n))
    table("Length: 128 rows", "tokens a row", lengths, ("1,000 tokens", lambda n: n * 0.128))
    table("Classes: 1,000 rows of 32 tokens", "classes", classes, ("row", lambda n: 1000))
    table("Patterns: 250 rows of 32 tokens", "patterns", patterns, ("row and pattern", lambda n: 250 * n))
    plot(args.plot, [("rows", rows), ("tokens a row", lengths), ("classes", classes), ("patterns", patterns)])


if __name__ == "__main__":
    main()
