#!/usr/bin/env python3
"""`cloze classify` on public sets, with nothing but labels' names: `make classify-table` into benches/classify.md.

Beside it: the cosine of text and label name alone (the same model), and the hand-written patterns and words that ship, where there are some.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
from pathlib import Path

# The rows' file, and the folder of patterns with the words that are written for it.
SETS = {
    "ag_news": ("{data}/data/ag_news/test.csv", ("topic", "topic")),
    "emotion": ("{data}/data/emotion/test.csv", ("emotion", "emotion")),
    "sst2_cased": ("{data}/data/sst2_cased/test.csv", ("sentiment", "sentiment")),
    "imdb": ("{data}/data/imdb/test.csv", ("sentiment", "sentiment")),
    "tickets": ("data/tickets/test.csv", ("tickets", "tickets")),
    "sentences": ("data/sentences/test.csv", ("sentiment", "sentiment")),
    "banking77": ("{data}/ship/banking77/test.csv", None),
    "clinc150, domains": ("{data}/ship/clinc150/test.csv", None),
    "eprstmt": ("{data}/data/eprstmt/test.csv", None),
}


def prepare(args, name):
    """So many rows, with the columns' names of the patterns that ship; and the labels."""
    target = args.work / f"{name.replace(', ', '-')}.csv"
    with open(SETS[name][0].format(data=args.data), newline="", encoding="utf-8") as file:
        rows = [{("text" if column == "text_a" else column): value for column, value in row.items()} for row in csv.DictReader(file)]
    if name.startswith("clinc150"):
        rows = [{**row, "label": row["label"].split("/")[0]} for row in rows if "/" in row["label"]]
    labels = sorted({row["label"] for row in rows})
    random.Random(0).shuffle(rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[: args.rows])
    target.with_suffix(".json").write_text(json.dumps(labels))
    columns = [column for column in rows[0] if column != "label"]
    return target, columns


def run(args, report, *command):
    if not report.exists():
        done = subprocess.run([str(part) for part in (args.cloze, *command, "--max-length", 128, "-q", "--report", report)], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stderr)
    return json.loads(report.read_text())


def percent(value):
    return f"{100 * value:.1f}"


def top(path, labels, truths, most):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    best = [sorted(labels, key=lambda label: -float(row[f"p_{label}"]))[:most] for row in rows]
    return sum(truth in some for truth, some in zip(truths, best)) / len(truths)


def line(args, name):
    data, columns = prepare(args, name)
    out = data.with_suffix(".out")
    command = ["classify", data, "--labels-file", data.with_suffix(".json"), "--text-column", ",".join(columns), "--out", out]
    names = run(args, data.with_suffix(".names"), *command, "--ask", "general")
    report = run(args, data.with_suffix(".classify"), *command)
    found, before = report["evaluation"], report["calibration"]["before"]
    patterns = names["calibration"]["before"]["patterns"]
    cosine = next(pattern["evaluation"] for pattern in patterns if pattern["template"] == "compared")
    cells = [percent(found["accuracy"]), percent(before["evaluation"]["accuracy"]),
             percent(names["evaluation"]["accuracy"]), percent(cosine["accuracy"])]
    labels = report["run"]["labels"]
    if len(labels) > 20:
        with open(data, newline="", encoding="utf-8") as file:
            truths = [row["label"] for row in csv.DictReader(file)]
        cells[0] += f" (top 3: {percent(top(out, labels, truths, 3))})"
    written = SETS[name][1]
    if written:
        templates = sorted(Path("templates", written[0]).glob("*.json"))
        hand = run(args, data.with_suffix(".written"), "score", "--template", *templates, "--verbalizer", f"verbalizers/{written[1]}.json",
                   "--data", data, "--calibrate", "batch", "--out", "/dev/null")
        cells += [percent(hand["calibration"]["before"]["evaluation"]["accuracy"]), percent(hand["evaluation"]["accuracy"])]
    else:
        cells += ["–", "–"]
    majority = percent(report["majority"]["accuracy"])
    interval = " [{}–{}]".format(*(percent(end) for end in found["accuracy_95"]))
    return f"| {name} | {report['rows']} | {len(labels)} | {majority} | {cells[0]}{interval} | " + " | ".join(cells[1:]) + " |"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", type=Path, default=Path("../shared"), help="a folder with the folders data and ship of sets")
    p.add_argument("--work", type=Path, default=Path("target/classify"), help="where cells are kept")
    p.add_argument("--out", type=Path, default=Path("benches/classify.md"))
    p.add_argument("--rows", type=int, default=300, help="rows of each set, at most")
    p.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    args = p.parse_args()
    args.cloze = args.cloze.resolve()
    lines = []
    for name in args.sets:
        lines.append(line(args, name))
        print(lines[-1], file=sys.stderr, flush=True)
        table = ["## Accuracy in percent", "", "| set | rows | labels | always the commonest | cloze classify | without correction | names alone | cosine of names | written by hand | and corrected |",
                 "|---" * 10 + "|", *lines]
        # What people wrote before the table stays.
        head = args.out.read_text().split("\n## ")[0].rstrip() + "\n\n" if args.out.exists() else ""
        args.out.write_text(head + "\n".join(table) + "\n")


if __name__ == "__main__":
    main()
