#!/usr/bin/env python3
"""Searches for label words and patterns on public sets, with few labelled rows: `make search` into benches/search.md.

A cell is one search, or one `cloze score` of what it found. Cells that are done are kept, and the page is written anew after each set.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from few_shot import prepare
from zero_shot import SETS, percent

SEEDS = [13, 21, 42, 87, 100]
METHODS = ["likelihood-ratio", "ranked", "nearest"]
CALIBRATIONS = ["none", "batch"]
# Student's t, 97.5 %, 4 degrees of freedom.
T4 = 2.776


def run(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")


def patterns(name):
    spec = SETS[name]
    return sorted(Path("templates", spec["templates"]).glob("*.json"))


def score(args, name, verbalizer, calibration, report):
    """The report of scoring the test rows with all patterns."""
    if not report.exists():
        report.parent.mkdir(parents=True, exist_ok=True)
        command = [args.cloze, "score", "--template", *patterns(name), "--verbalizer", verbalizer, "--data", args.work / "data" / name / "test.csv",
                   "--max-length", 128, "--dtype", "bf16", "--out", "/dev/null", "--quiet", "--report", report]
        run(command + ([] if calibration == "none" else ["--calibrate", calibration]))
    return json.loads(report.read_text())


def search_words(args, name, method, seed):
    found = args.work / name / f"{method}-{seed}.json"
    if not found.exists():
        found.parent.mkdir(parents=True, exist_ok=True)
        run([args.cloze, "search", "verbalizer", "--template", *patterns(name), "--verbalizer", f"verbalizers/{SETS[name]['words']}.json", "--train",
             args.work / "data" / name / "labelled.csv", "--shots", args.shots, "--seed", seed, "--method", method, "--max-length", 128, "--out", found])
    return found


def search_patterns(args, name, seed):
    report = args.work / name / f"patterns-{seed}-report.json"
    if not report.exists():
        report.parent.mkdir(parents=True, exist_ok=True)
        run([args.cloze, "search", "pattern", "--template", *patterns(name), "--verbalizer", f"verbalizers/{SETS[name]['words']}.json", "--data",
             args.work / "data" / name / "unlabelled.csv", "--train", args.work / "data" / name / "labelled.csv", "--shots", args.shots, "--seed", seed,
             "--max-length", 128, "--out", args.work / name / f"patterns-{seed}.json", "--report", report])
    return json.loads(report.read_text())


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for i in order[at:end]:
            found[i] = (at + end - 1) / 2
        at = end
    return found


def spearman(one, other):
    a, b = ranks(one), ranks(other)
    ma, mb = statistics.mean(a), statistics.mean(b)
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    below = (sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b)) ** 0.5
    return top / below if below else float("nan")


def interval(values):
    mean, half = statistics.mean(values), T4 * statistics.stdev(values) / len(values) ** 0.5
    return f"{percent(mean)} ({percent(mean - half)}–{percent(mean + half)})"


def run_set(args, name):
    spec, data = SETS[name], args.work / "data" / name
    prepare(args.data / name / "test.csv", data / "test.csv", spec["columns"], args.rows)
    prepare(args.data / name / f"{spec['labelled']}.csv", data / "labelled.csv", spec["columns"], args.labelled_rows)
    prepare(args.data / name / f"{spec['labelled']}.csv", data / "unlabelled.csv", spec["columns"], args.rows)
    given = {c: score(args, name, f"verbalizers/{spec['words']}.json", c, args.work / name / f"given-{c}.json") for c in CALIBRATIONS}
    found = {(method, c): [score(args, name, search_words(args, name, method, seed), c, args.work / name / f"{method}-{seed}-{c}-report.json") for seed in SEEDS]
             for method in METHODS for c in CALIBRATIONS}
    return given, found, [search_patterns(args, name, seed) for seed in SEEDS]


def page(args, done):
    accuracy = lambda report: report["evaluation"]["accuracy"]
    lines = ["## Label words", "", f"Accuracy in percent of the patterns' average, {args.shots} labelled rows a class, the mean of five seeds with its 95 % interval over them (Student's t). The shipped words are the "
             "same for all seeds.", "", "| set | classes | calibration | shipped words | " + " | ".join(METHODS) + " |", "|---" * (4 + len(METHODS)) + "|"]
    for name, (given, found, _) in done.items():
        for c in CALIBRATIONS:
            cells = [interval([accuracy(report) for report in found[method, c]]) for method in METHODS]
            lines.append(f"| {name} | {len(given[c]['run']['labels'])} | {c} | {percent(accuracy(given[c]))} | " + " | ".join(cells) + " |")
    lines += ["", "## Patterns", "", "Spearman's rank correlation, over the shipped patterns of a set, of a ranking with the accuracy on test rows: of mutual information without a label "
              "(against accuracy as it is and with `batch`), and of the cross-validated accuracy on the labelled rows (against `batch`, mean of five seeds with the lowest and highest).",
              "", "| set | patterns | information, as it is | information, batch | labelled rows, batch | best, worst pattern, batch | chosen with labels, batch |", "|---" * 7 + "|"]
    for name, (given, _, searches) in done.items():
        true = {c: [pattern["evaluation"]["accuracy"] for pattern in given[c]["patterns"]] for c in CALIBRATIONS}
        information = [candidate["score"] for candidate in searches[0]["candidates"]]
        folds = [[candidate["evaluation"]["accuracy"] for candidate in search["candidates"]] for search in searches]
        correlations = [spearman(own, true["batch"]) for own in folds]
        chosen = [true["batch"][max(range(len(own)), key=own.__getitem__)] for own in folds]
        lines.append(f"| {name} | {len(information)} | {spearman(information, true['none']):.2f} | {spearman(information, true['batch']):.2f} | "
                     f"{statistics.mean(correlations):.2f} ({min(correlations):.2f} to {max(correlations):.2f}) | {percent(max(true['batch']))}, {percent(min(true['batch']))} | {interval(chosen)} |")
    # What people wrote before the tables stays.
    head = args.out.read_text().split("\n## ")[0].rstrip() + "\n\n" if args.out.exists() else ""
    args.out.write_text(head + "\n".join(lines) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", type=Path, default=Path("../shared/data"), help="a folder with a folder of CSV files for each set")
    p.add_argument("--work", type=Path, default=Path("target/search"), help="where cells are kept")
    p.add_argument("--out", type=Path, default=Path("benches/search.md"))
    p.add_argument("--sets", nargs="+", default=["sst2_cased", "ag_news", "emotion"], choices=list(SETS))
    p.add_argument("--rows", type=int, default=300, help="test rows of each set, at most")
    p.add_argument("--labelled-rows", type=int, default=500, help="labelled rows to draw from, at most")
    p.add_argument("--shots", type=int, default=16, help="labelled rows of each class")
    args = p.parse_args()
    args.cloze = args.cloze.resolve()
    done = {}
    for name in args.sets:
        done[name] = run_set(args, name)
        page(args, done)
        print(f"{name} is done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
