#!/usr/bin/env python3
"""Training on texts that describe the classes, in place of rows: `make descriptions` into benches/descriptions.md.

A cell is one `cloze train --descriptions` over all seeds. Cells that are done are kept, and the page is written anew after each set. What was
written for the sets is in tools/descriptions/: from common knowledge, without a look at rows. Test rows choose nothing: the defaults were chosen
on development rows of two sets, by `--choose`.
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
from pathlib import Path

from tables import read, write

# The rows' files, the folder of patterns and the words that go with them (none: those that `cloze init` makes of the labels' names), the descriptions.
SETS = {
    "sst2_cased": {"rows": ["{data}/data/sst2_cased/{part}.csv"], "asks": "sentiment", "told": "sentiment"},
    "ag_news": {"rows": ["{data}/data/ag_news/{part}.csv"], "asks": "topic", "told": "topic"},
    "emotion": {"rows": ["{data}/data/emotion/{part}.csv"], "asks": "emotion", "told": "emotion"},
    "nlupp, banking": {"rows": ["{data}/ship/nlupp/banking-test.csv", "{data}/ship/nlupp/banking-train.csv"], "told": "nlupp", "domain": "banking"},
    "nlupp, hotels": {"rows": ["{data}/ship/nlupp/hotels-test.csv", "{data}/ship/nlupp/hotels-train.csv"], "told": "nlupp", "domain": "hotels"},
    "banking77": {"rows": ["data/banking77/test.csv"], "told": "names"},
}
CHOSEN_ON = ["sst2_cased", "ag_news"]
METHODS = ["full", "lora"]
# Tried for the defaults: a method's usual rate, shares of it, and steps.
TRIED = {"full": (5e-5, [0.1, 0.4, 1], [40, 80, 240]), "lora": (1e-3, [0.1, 0.4, 1], [80])}


def intents(args, domain):
    """The intents of a domain and the general ones, each with its name as people say it and its description."""
    rows = read(args.data / "ship/nlupp/descriptions.csv")
    return {row["label"]: row["description"] for row in rows if {"general", domain} & set(row["domains"].split("|"))}


def prepare(args, name, part):
    """So many rows of a set, each with one label, the file of descriptions, and what asks."""
    spec, folder = SETS[name], args.work / name.replace(", ", "-")
    rows = [row for path in spec["rows"] for row in read(path.format(data=args.data, part=part))]
    text = next(column for column in ("text", "text_a") if column in rows[0])
    rows = [(row[text], row.get("label", row.get("labels"))) for row in rows]
    rows = [row for row in rows if row[1] and "|" not in row[1]]
    random.Random(0).shuffle(rows)
    data, told = folder / f"{part}.csv", Path(f"tools/descriptions/{spec['told']}.csv")
    write(data, ["text", "label"], rows[: args.rows])
    if spec["told"] == "nlupp":
        told, described = folder / "told.csv", intents(args, spec["domain"])
        # The descriptions are yes/no questions: what is left of them without the question.
        asks = r"^is the intent (to|asking( about| to)?) |\?$"
        texts = [(label, text) for label in described for text in (re.sub("_", " ", label), re.sub(asks, "", described[label]))]
        write(told, ["label", "text"], texts)
    elif spec["told"] == "names":
        told = Path("data/banking77/labels.txt")
    if "asks" in spec:
        return data, told, [*sorted(Path("templates", spec["asks"]).glob("*.json")), "--verbalizer", f"verbalizers/{spec['asks']}.json"]
    files = folder / "files"
    if not files.exists():
        labels = folder / "labels.json"
        labels.write_text(json.dumps(list(dict.fromkeys(row["label"] for row in read(told))) if told.suffix == ".csv" else told.read_text().split("\n")[:-1]))
        run(args, "init", files, "--labels-file", labels, "--text-column", "text", "--ask", "general", "--quiet")
    return data, told, [*sorted((files / "templates").glob("*.json")), "--verbalizer", files / "verbalizer.json"]


def run(args, *command):
    done = subprocess.run([str(part) for part in (args.cloze, *command)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def train(args, out, told, asks, data, seeds, *flags):
    if not (out / "metrics.json").exists():
        resume = ["train", "--resume", "--out", out] if (out / "manifest.json").exists() else [
            "train", "--template", *asks, "--descriptions", told, "--test", data, "--seeds", ",".join(map(str, seeds)), "--max-length", 128,
            "--threads", args.threads, "--out", out, *flags]
        run(args, *resume, "--quiet")
    return json.loads((out / "metrics.json").read_text())


def report(args, path, *command):
    """A report of `cloze score`, made if it is not there."""
    if not path.exists():
        run(args, "score", *command, "--max-length", 128, "--threads", args.threads, "--out", "/dev/null", "--report", path, "--quiet")
    return json.loads(path.read_text())["evaluation"]["accuracy"]


def accuracies(metrics):
    return [seed["evaluation"]["accuracy"] for seed in metrics["seeds"]]


def percent(values):
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def measure(args, name):
    """A set's line: zero-shot, plain and with `batch`, and after training by each method."""
    data, told, asks = prepare(args, name, "test")
    folder = data.parent
    batch = report(args, folder / "batch.json", "--template", *asks, "--data", data, "--calibrate", "batch")
    trained = [train(args, folder / method, told, asks, data, args.seeds, "--method", method) for method in args.methods]
    zero_shot = next(baseline["mean"] for baseline in trained[0]["baselines"] if baseline["name"] == "zero-shot")
    cells = [[zero_shot], [batch], *map(accuracies, trained)]
    rows, classes = len(read(data)), len(json.loads((folder / args.methods[0] / "manifest.json").read_text())["train"]["classes"])
    texts = sum(1 for row in read(folder / args.methods[0] / f"sampled/seed-{args.seeds[0]}.csv"))
    return f"| {name} | {rows} | {classes} | {texts} | " + " | ".join(map(percent, cells)) + " |"


def choose(args):
    """Learning rates × steps, on development rows."""
    lines = []
    for method, (rate, shares, all_steps) in TRIED.items():
        lines += [f"| {method}: learning rate | " + " | ".join(f"{steps} steps" for steps in all_steps) + " |", "|---" * (1 + len(all_steps)) + "|"]
        for share in shares:
            cells = []
            for steps in all_steps:
                found = []
                for name in CHOSEN_ON:
                    data, told, asks = prepare(args, name, "dev")
                    out = data.parent / f"choose/{method}-{share}-{steps}"
                    flags = ["--method", method, "--learning-rate", share * rate, "--steps", steps]
                    found.append(accuracies(train(args, out, told, asks, data, args.seeds[:1], *flags))[0])
                cells.append(" / ".join(f"{100 * accuracy:.1f}" for accuracy in found))
                print(method, share, steps, cells[-1], file=sys.stderr, flush=True)
            lines.append(f"| {share * rate:.0e} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def page(args, sections):
    # What people wrote before the tables stays.
    head = args.out.read_text().split("\n## ")[0].rstrip() if args.out.exists() else "# Training on descriptions of the classes"
    args.out.write_text("\n\n".join([head, *("\n".join([f"## {title}", "", *lines]).rstrip() for title, lines in sections.items())]) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", type=Path, default=Path("../shared"), help="a folder with the folders data and ship of sets")
    p.add_argument("--work", type=Path, default=Path("target/descriptions"), help="where what was trained and scored is kept")
    p.add_argument("--out", type=Path, default=Path("benches/descriptions.md"))
    p.add_argument("--rows", type=int, default=300, help="rows of each set, at most")
    p.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42])
    p.add_argument("--methods", nargs="+", default=METHODS)
    p.add_argument("--sets", nargs="+", default=list(SETS))
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--choose", action="store_true", help="only the table of learning rates and steps")
    args = p.parse_args()
    args.cloze = args.cloze.resolve()
    if args.choose:
        print("\n".join(choose(args)))
        return
    lines = ["| set | rows | classes | texts | zero-shot | zero-shot, `batch` | " + " | ".join(args.methods) + " |", "|---" * (6 + len(args.methods)) + "|"]
    for name in args.sets:
        lines.append(measure(args, name))
        page(args, {"Test rows": lines})
        print(lines[-1], file=sys.stderr, flush=True)
    page(args, {"Test rows": lines, "Development rows, for the defaults": choose(args)})


if __name__ == "__main__":
    main()
