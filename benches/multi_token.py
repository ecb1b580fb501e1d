#!/usr/bin/env python3
"""What label words of several tokens cost and give: every way of scoring them on the shipped tickets, with phrases for label words.

    python3 benches/multi_token.py --cloze target/release/cloze [--threads N] [--reps N] [--rows N] > table.md

The same rows, pattern and threads in one run, in alternation, medians. "one by one" scores every row by itself (--batch-tokens 1): what a loop over rows
costs. `first` is the peers' shortcut, one mask and the first token of each word, and costs what words of one token cost.
"""
import argparse
import csv
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PHRASES = {
    "billing": ["billing and payment", "invoices"],
    "technical": ["a technical problem", "software"],
    "account": ["account access", "passwords"],
    "delivery": ["parcel delivery", "shipping"],
    "feedback": ["customer feedback", "praise"],
}
SCORINGS = ["first", "mean_logit", "joint", "pll", "greedy"]


def score(args, folder, scoring, batch_tokens):
    report, out = folder / "report.json", folder / f"{scoring}-{batch_tokens}.csv"
    command = [args.cloze, "score", "--template", ROOT / "templates/tickets/about.json", "--verbalizer", folder / f"{scoring}.json",
               "--data", folder / "rows.csv", "--threads", args.threads, "--batch-tokens", batch_tokens, "--report", report, "--out", out,
               "--calibrate", "batch", "--quiet"]
    subprocess.run([str(part) for part in command], check=True)
    return json.loads(report.read_text()), list(csv.DictReader(out.open()))


def largest_difference(rows, others):
    shares = [key for key in rows[0] if key.startswith("p_")]
    return max(abs(float(row[key]) - float(other[key])) for row, other in zip(rows, others) for key in shares)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cloze", default="target/release/cloze")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--rows", type=int, default=210)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        lines = (ROOT / "data/tickets/test.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / "rows.csv").write_text("".join(lines[: args.rows + 1]), encoding="utf-8")
        for scoring in SCORINGS:
            classes = [{"label": label, "words": words} for label, words in PHRASES.items()]
            (folder / f"{scoring}.json").write_text(json.dumps({"version": 1, "multi_token": scoring, "classes": classes}))
        seconds = {(scoring, tokens): [] for scoring in SCORINGS for tokens in (1024, 1)}
        found = {}
        for _ in range(args.reps):
            for key in seconds:
                report, rows = score(args, folder, *key)
                seconds[key].append(report["seconds"])
                found[key] = report, rows
        median = {key: statistics.median(values) for key, values in seconds.items()}
        base = median["first", 1024]
        print("| scoring | forward passes a row | time | time of a pass | one by one | largest difference | accuracy, % | uncalibrated |\n|---|---|---|---|---|---|---|---|")
        for scoring in SCORINGS:
            report, rows = found[scoring, 1024]
            forwards = report["run"]["forwards_per_row"]
            time, alone = median[scoring, 1024] / base, median[scoring, 1] / median[scoring, 1024]
            accuracy, before = report["evaluation"]["accuracy"], report["calibration"]["before"]["evaluation"]["accuracy"]
            print(f"| `{scoring}` | {forwards} | {time:.2f} | {time / forwards:.2f} | {alone:.2f} times | {largest_difference(rows, found[scoring, 1][1]):.0e} "
                  f"| {100 * accuracy:.1f} | {100 * before:.1f} |")
        print(f"\n{args.rows} rows, {args.threads} threads, {args.reps} alternating runs; base: `first`, {1000 * base / args.rows:.1f} ms a row")


main()
