#!/usr/bin/env python3
"""Every calibration of every pattern on seven public sets, without labels and with some: `make zero-shot` into benches/zero-shot.md.

A cell is one `cloze score` of a set's patterns with a method. Cells that are done are kept, and the page is written anew after each set.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from few_shot import prepare

# Label-free, in the page's order; then those that learn from labels.
FREE = ["none", "contextual", "domain", "pmi", "batch", "prior"]
LABELLED = ["temperature", "dirichlet"]

# The folder's patterns for each task, all of them, and the words that go with them. `labelled` are the rows for what needs labels.
PAIRS = {"text_a": "premise", "text_b": "hypothesis"}
SETS = {
    "sst2_cased": {"templates": "sentiment", "words": "sentiment", "columns": {"text_a": "text"}, "labelled": "dev"},
    "imdb": {"templates": "sentiment", "words": "sentiment", "columns": {"text_a": "text"}, "labelled": "train"},
    "ag_news": {"templates": "topic", "words": "topic", "columns": {"text_a": "text"}, "labelled": "dev"},
    "emotion": {"templates": "emotion", "words": "emotion", "columns": {"text_a": "text"}, "labelled": "dev"},
    "mnli": {"templates": "inference", "words": "inference", "columns": PAIRS, "labelled": "dev"},
    "rte": {"templates": "inference", "words": "inference-2", "columns": PAIRS, "labelled": "train"},
    "boolq": {"templates": "yes-no-question", "words": "yes-no-question", "columns": {"text_a": "passage", "text_b": "question"}, "labelled": "dev"},
}
# Sets that hold the truth in so many rows of a hundred.
ALPHAS = [0.2, 0.1, 0.05]


def score(args, name, method, extra, report):
    """The report of a cell, made if it is not there; none where a class has too few labelled rows, which cloze refuses."""
    if not report.exists():
        spec, data = SETS[name], args.work / "data" / name
        templates = sorted(Path("templates", spec["templates"]).glob("*.json"))
        command = [args.cloze, "score", "--template", *templates, "--verbalizer", f"verbalizers/{spec['words']}.json", "--data", data / "test.csv",
                   "--max-length", 128, "--out", "/dev/null", "--report", report, *extra]
        command += [] if method == "none" else ["--calibrate", method]
        command += ["--calibrate-on", data / "labelled.csv"] if method in LABELLED else []
        report.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([str(part) for part in command] + ["--quiet", *args.options], stderr=subprocess.PIPE, text=True)
        if done.returncode and "too few" in done.stderr:
            return None
        if done.returncode:
            sys.exit(done.stderr)
    return json.loads(report.read_text())


def run_set(args, name):
    spec, data = SETS[name], args.work / "data" / name
    prepare(args.data / name / "test.csv", data / "test.csv", spec["columns"], args.rows)
    prepare(args.data / name / f"{spec['labelled']}.csv", data / "labelled.csv", spec["columns"], args.labelled_rows)
    cells = {method: score(args, name, method, [], args.work / name / f"{method}.json") for method in FREE + LABELLED}
    sets = {}
    for alpha in ALPHAS:
        for flags in ([], ["--class-conditional"]):
            extra = ["--conformal", alpha, "--conformal-on", data / "labelled.csv", *flags]
            sets[alpha, bool(flags)] = score(args, name, "none", extra, args.work / name / f"sets-{alpha}{''.join(flags)}.json")
    return cells, sets


def percent(value):
    return f"{100 * value:.1f}"


def page(args, done):
    lines = []
    means = {name: {method: statistics.mean(pattern["evaluation"]["accuracy"] for pattern in cells[method]["patterns"]) for method in FREE}
             for name, (cells, _) in done.items()}
    lines += ["## Without labels: the mean over patterns, and their average", "",
              "Accuracy in percent: the mean of the patterns one by one, and in brackets that of their averaged probabilities.", "",
              "| set | rows | classes | always the commonest | " + " | ".join(FREE) + " |", "|---" * (4 + len(FREE)) + "|"]
    for name, (cells, _) in done.items():
        plain = cells["none"]
        figures = [f"{percent(means[name][method])} ({percent(cells[method]['evaluation']['accuracy'])})" for method in FREE]
        lines.append(f"| {name} | {plain['labelled']} | {len(plain['run']['labels'])} | {percent(plain['majority']['accuracy'])} | " + " | ".join(figures) + " |")
    lines += ["", "Calibration error in percent, of the average:", "", "| set | " + " | ".join(FREE + LABELLED) + " |", "|---" * (1 + len(FREE + LABELLED)) + "|"]
    for name, (cells, _) in done.items():
        lines.append(f"| {name} | " + " | ".join(percent(cells[m]["evaluation"]["expected_calibration_error"]) for m in FREE + LABELLED) + " |")
    better = {method: sum(means[name][method] > means[name]["none"] for name in done) for method in FREE[1:]}
    lines += ["", "Sets on which a method's mean over patterns is above that without: " + ", ".join(f"{m} {n}" for m, n in better.items()) + f", of {len(done)}.", ""]
    lines += ["## Sets that hold the truth", "", "Share of test rows in percent whose set has their class, with its exact binomial 95 % interval, and classes a set; "
              "thresholds from labelled rows, for all classes and class by class.", "",
              "| set | rows | " + " | ".join(f"{percent(1 - alpha)} asked{each}" for alpha in ALPHAS for each in ("", ", by class")) + " |", "|---" * (2 + 2 * len(ALPHAS)) + "|"]
    for name, (_, sets) in done.items():
        def cell(report):
            if report is None:
                return "too few rows"
            found = report["sets"]
            return f"{percent(found['coverage']['share'])} ({'–'.join(percent(e) for e in found['coverage']['interval_95'])}), {found['mean_size']:.2f}"
        lines.append(f"| {name} | {sets[ALPHAS[0], False]['sets']['fitted_rows']} | " + " | ".join(cell(sets[alpha, each]) for alpha in ALPHAS for each in (False, True)) + " |")
    for name, (cells, _) in done.items():
        lines += ["", f"## {name}, pattern by pattern", "", "Accuracy, and calibration error in brackets, in percent.", "",
                  "| pattern | " + " | ".join(FREE + LABELLED) + " |", "|---" * (1 + len(FREE + LABELLED)) + "|"]
        cell = lambda found: f"{percent(found['accuracy'])} ({percent(found['expected_calibration_error'])})"
        for index, pattern in enumerate(cells["none"]["patterns"]):
            lines.append(f"| {pattern['template']} | " + " | ".join(cell(cells[m]["patterns"][index]["evaluation"]) for m in FREE + LABELLED) + " |")
        lines.append("| average | " + " | ".join(cell(cells[m]["evaluation"]) for m in FREE + LABELLED) + " |")
    # What people wrote before the tables stays.
    head = args.out.read_text().split("\n## ")[0].rstrip() + "\n\n" if args.out.exists() else ""
    args.out.write_text(head + "\n".join(lines) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", type=Path, default=Path("../shared/data"), help="a folder with a folder of CSV files for each set")
    p.add_argument("--work", type=Path, default=Path("target/zero-shot"), help="where cells are kept")
    p.add_argument("--out", type=Path, default=Path("benches/zero-shot.md"))
    p.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    p.add_argument("--rows", type=int, default=1000, help="test rows of each set, at most")
    p.add_argument("--labelled-rows", type=int, default=500, help="labelled rows for what needs them, at most")
    p.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="all that follows goes to cloze score")
    args = p.parse_args()
    args.cloze = args.cloze.resolve()
    done = {}
    for name in args.sets:
        done[name] = run_set(args, name)
        page(args, done)
        print(f"{name} is done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
