#!/usr/bin/env python3
"""Several labels a row on public sets: `make several-labels` into benches/several-labels.md.

NLU++ (what people say to a bank and to a hotel, intents with a description each) and GoEmotions, by label names and by
descriptions, both ways of asking on the same rows; then thresholds fitted on one half of the rows and tried on the
other, and trainings on 8 and 32 rows a label. What is done stays in the work folder, cell by cell.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from tables import read, write

SETS = {
    "banking": ("ship/nlupp/banking-{part}.csv", "intents of a bank"),
    "hotels": ("ship/nlupp/hotels-{part}.csv", "intents of a hotel"),
    "goemotions": ("data/goemotions/{part}.csv", "emotions"),
}
RESAMPLES = 1000
REFERENCES = ["other", "nothing", "none", "something", "other,nothing"]


class Set:
    def __init__(self, args, name):
        pattern = str(args.data / SETS[name][0])
        self.name, self.folder = name, args.work / name
        self.folder.mkdir(parents=True, exist_ok=True)
        train, test = (read(pattern.format(part=part)) for part in ("train", "test"))
        used = {label for row in train + test for label in row["labels"].split("|") if label}
        described = read(args.data / "ship/nlupp/descriptions.csv")
        labels = [row for row in described if row["label"] in used]
        self.described = name != "goemotions"
        self.labels = [row["label"] for row in labels] if self.described else sorted(used)
        (self.folder / "names.txt").write_text("".join(f"{label}\n" for label in self.labels))
        if self.described:
            rows = [(row["label"], row["description"]) for row in labels]
            write(self.folder / "described.csv", ["label", "description"], rows)
        random.Random(0).shuffle(test)
        half = min(len(test) // 2, args.rows)
        parts = {"fit": test[:half], "test": test[half : 2 * half], "few": test[half : half + args.few]}
        for part, rows in [*parts.items(), ("train", train)]:
            write(self.folder / f"{part}.csv", ["text", "labels"], [(row["text"], row["labels"]) for row in rows])


def run(args, *command):
    started = time.time()
    done = subprocess.run([str(args.cloze), *map(str, command)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return time.time() - started


def cell(args, key, make):
    kept = args.work / f"{key}.json"
    if not kept.exists():
        kept.write_text(json.dumps(make()))
    return json.loads(kept.read_text())


def measures(report, seconds=None):
    found = json.loads(Path(report).read_text())
    evaluation = found["evaluation"]
    return {
        "rows": evaluation["rows"], "micro": evaluation["micro"]["f1"], "macro": evaluation["macro_average"]["f1"],
        "ap": evaluation["mean_average_precision"], "seconds": found["seconds"], "all": seconds,
    }


def classify(args, data, labels, way, *more, part="few"):
    folder = data.folder
    report, out = folder / f"{labels}-{way}-{part}-{len(more)}.report.json", folder / f"{labels}-{way}-{part}.csv"
    file = folder / ("described.csv" if labels == "description" else "names.txt")
    seconds = run(args, "classify", folder / f"{part}.csv", "--labels-file", file, "--multi-label", "--way", way,
                  "--report", report, "--out", out, "--max-length", 128, "--quiet", *more)
    return measures(report, seconds), out


def interval(args, data, out, part):
    """The 95 % bootstrap interval of micro- and macro-F1 over the rows of a file of answers."""
    truths = [set(row["labels"].split("|")) - {""} for row in read(data.folder / f"{part}.csv")]
    said = [set(row["predicted"].split("|")) - {""} for row in read(out)]
    index = {label: place for place, label in enumerate(data.labels)}
    pairs = [([index[label] for label in truth & answer], [index[label] for label in answer], [index[label] for label in truth])
             for truth, answer in zip(truths, said)]
    generator, micros, macros = random.Random(0), [], []
    for _ in range(RESAMPLES):
        both, given, true = ([0] * len(index) for _ in range(3))
        for _ in pairs:
            row = pairs[generator.randrange(len(pairs))]
            for counts, labels in zip((both, given, true), row):
                for label in labels:
                    counts[label] += 1
        micros.append(2 * sum(both) / max(sum(given) + sum(true), 1))
        macros.append(sum(2 * b / (g + t) if g + t else 0 for b, g, t in zip(both, given, true)) / len(index))
    ends = lambda values: [sorted(values)[int(share * RESAMPLES)] for share in (0.025, 0.975)]
    return {"micro": ends(micros), "macro": ends(macros)}


def zero_shot(args, data):
    for labels in ["name", "description"] if data.described else ["name"]:
        for way in ["reference", "yes-no"]:
            key = f"{data.name}-zero-{labels}-{way}"
            yield labels, way, cell(args, key, lambda: classify(args, data, labels, way)[0])


def references(args, data):
    for words in REFERENCES:
        key = f"{data.name}-reference-{words.replace(',', '-')}"
        yield words, cell(args, key, lambda: classify(args, data, "name", "reference", "--reference", words)[0])


def thresholds(args, data):
    def make():
        usual, _ = classify(args, data, "name", "reference", part="test")
        file = data.folder / "thresholds.json"
        fitted, out = classify(args, data, "name", "reference", "--fit-thresholds", data.folder / "fit.csv",
                               "--thresholds-out", file, part="test")
        ends = interval(args, data, out, "test")
        own, _ = classify(args, data, "name", "reference", "--thresholds", file, part="fit")
        precision, out = classify(args, data, "name", "reference", "--fit-thresholds", data.folder / "fit.csv",
                                  "--for", "precision=0.8", part="test")
        found = json.loads((data.folder / "name-reference-test-4.report.json").read_text())["evaluation"]
        return {"usual": usual, "fitted": fitted, "interval": ends, "own": own, "precision": found["micro"]}
    return cell(args, f"{data.name}-thresholds", make)


def trained(args, data, shots):
    def make():
        start, folder = data.folder / "start", data.folder / f"run-{shots}"
        if not start.exists():
            run(args, "init", start, "--labels-file", data.folder / "names.txt", "--text-column", "text", "--quiet")
        seconds = run(args, "train", "--template", start / "templates/ask-1.json", "--verbalizer", start / "verbalizer.json",
                      "--train", data.folder / "train.csv", "--multi-label", "--shots", shots, "--seeds", 13, "--method", "full",
                      "--max-length", 128, "--out", folder, "--quiet")
        metrics = json.loads((folder / "metrics.json").read_text())["seeds"][0]
        report = data.folder / f"trained-{shots}.json"
        run(args, "score", "--run", folder, "--data", data.folder / "test.csv", "--report", report, "--quiet", "--out", data.folder / "o.csv")
        fitted = data.folder / f"trained-{shots}-fitted.json"
        run(args, "score", "--run", folder, "--data", data.folder / "test.csv", "--report", fitted, "--quiet",
            "--fit-thresholds", data.folder / "fit.csv", "--out", data.folder / "o.csv")
        return {"rows": metrics["train_rows"], "seconds": seconds, "usual": measures(report), "fitted": measures(fitted)}
    return cell(args, f"{data.name}-trained-{shots}", make)


def percent(share):
    return f"{share * 100:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cloze", type=Path, default=Path("target/release/cloze"))
    parser.add_argument("--data", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("target/several-labels"))
    parser.add_argument("--rows", type=int, default=300, help="rows of each half")
    parser.add_argument("--few", type=int, default=60, help="rows on which both ways are compared")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--out", type=Path, default=Path("benches/several-labels.md"))
    args = parser.parse_args()
    sets = [Set(args, name) for name in args.sets.split(",")]
    lines = ["# Several labels a row", "", __doc__.split("\n\n")[1].replace("\n", " "), "",
             "Micro- and macro-F1 in percent; the default model, on a processor. Regenerate with `make several-labels`.", ""]
    lines += ["## Without training, both ways of asking", "",
              "| set | labels by | way | rows | micro-F1 | macro-F1 | mean AP | rows/s |", "|---|---|---|--:|--:|--:|--:|--:|"]
    for data in sets:
        for labels, way, found in zero_shot(args, data):
            lines.append(f"| {data.name} ({len(data.labels)} labels) | {labels} | {way} | {found['rows']} | {percent(found['micro'])} "
                         f"| {percent(found['macro'])} | {percent(found['ap'])} | {found['rows'] / found['seconds']:.1f} |")
    lines += ["", "## Reference words (by name)", "",
              "| set | words | micro-F1 | macro-F1 | mean AP |", "|---|---|--:|--:|--:|"]
    for data in sets:
        for words, found in references(args, data):
            lines.append(f"| {data.name} | {words} | {percent(found['micro'])} | {percent(found['macro'])} | {percent(found['ap'])} |")
    lines += ["", "## Thresholds fitted on one half, on the other (by name, reference)", "",
              "| set | rows | micro at 0.5 | macro at 0.5 | micro fitted | 95 % | on its own half | macro fitted | 95 % | on its own half | precision, wished 80 % |",
              "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for data in sets:
        found = thresholds(args, data)
        ends = {key: "–".join(map(percent, value)) for key, value in found["interval"].items()}
        lines.append(f"| {data.name} | {found['fitted']['rows']} | {percent(found['usual']['micro'])} | {percent(found['usual']['macro'])} "
                     f"| {percent(found['fitted']['micro'])} | {ends['micro']} | {percent(found['own']['micro'])} "
                     f"| {percent(found['fitted']['macro'])} | {ends['macro']} | {percent(found['own']['macro'])} "
                     f"| {percent(found['precision']['precision'])} |")
    lines += ["", "## Trained on a few rows of each label (all weights, one pattern, one seed)", "",
              "| set | rows a label | rows in all | micro at 0.5 | macro at 0.5 | micro fitted | macro fitted | mean AP | seconds |",
              "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for data in sets:
        for shots in (8, 32):
            found = trained(args, data, shots)
            usual, fitted = found["usual"], found["fitted"]
            lines.append(f"| {data.name} | {shots} | {found['rows']} | {percent(usual['micro'])} | {percent(usual['macro'])} "
                         f"| {percent(fitted['micro'])} | {percent(fitted['macro'])} | {percent(usual['ap'])} | {found['seconds']:.0f} |")
    args.out.write_text("\n".join(lines) + "\n")


main()
