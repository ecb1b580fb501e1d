#!/usr/bin/env python3
"""How good a default model is on tasks that it never learned, old and new side by side, and on held-out text.

    python3 tools/default_model/evaluate.py --cloze target/release/cloze --model NEW --model models/cloze-minilm-l6 \\
        --shared ../shared --into target/default-model/evaluation.json [--held-out target/default-model/held-out]

A cell is one set with one model: the mean over the patterns that ship, and their average, without a correction and with
`--calibrate batch`. Cells that are done are kept, by the hash of the model's weights. The table goes to stdout as Markdown. With
--held-out, and a Python that has PyTorch and transformers, the loss of language modelling is measured too.
"""

import argparse
import csv
import hashlib
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from zero_shot import SETS as PUBLIC  # noqa: E402

# Test rows, and the rows that recipes may be chosen by: those of dev files, or of train files where there are few or none.
# `{shared}` is the folder of sets; the rest is in the repository.
FILES = {
    "sst2_cased": (["{shared}/data/sst2_cased/test.csv"], ["{shared}/data/sst2_cased/dev.csv"]),
    "imdb": (["{shared}/data/imdb/test.csv"], ["{shared}/data/imdb/train.csv"]),
    "ag_news": (["{shared}/data/ag_news/test.csv"], ["{shared}/data/ag_news/dev.csv"]),
    "emotion": (["{shared}/data/emotion/test.csv"], ["{shared}/data/emotion/dev.csv"]),
    "mnli": (["{shared}/data/mnli/test.csv"], ["{shared}/data/mnli/dev.csv"]),
    "rte": (["{shared}/data/rte/test.csv"], ["{shared}/data/rte/train.csv"]),
    "boolq": (["{shared}/data/boolq/test.csv"], ["{shared}/data/boolq/dev.csv", "{shared}/data/boolq/train.csv"]),
    "sentences": (["data/sentences/test.csv"], ["data/sentences/train.csv"]),
    "reviews": (["data/reviews/test.csv"], ["data/reviews/dev.csv", "data/reviews/train.csv"]),
    "tickets": (["data/tickets/test.csv"], ["data/tickets/dev.csv", "data/tickets/train.csv"]),
    "banking77": (["{shared}/ship/banking77/test.csv"], ["{shared}/ship/banking77/train.csv"]),
}

# Patterns and words: those of the table of methods, and the project's own sets. banking77 has none: its labels' names are all that is given.
TASKS = {**PUBLIC, "sentences": {"templates": "sentiment", "words": "sentiment", "columns": {}},
         "reviews": {"templates": "sentiment", "words": "sentiment", "columns": {}},
         "tickets": {"templates": "tickets", "words": "tickets", "columns": {}}, "banking77": None}

# Sets of long texts are read this far.
MAX_LENGTH = 256


def weights_hash(model):
    """What tells one model's weights from another's, whatever their folder is called."""
    digest = hashlib.sha256()
    files = sorted(Path(model).rglob("*.safetensors"))
    if not files:
        sys.exit(f"{model} has no *.safetensors file")
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def draw(args, name, target):
    """Writes the set's rows, so many of them in an order that a seed gives, with the columns that its patterns use; gives their labels."""
    columns = (TASKS[name] or {}).get("columns", {})
    rows = []
    for file in FILES[name][args.dev]:
        with open(REPOSITORY / file.format(shared=args.shared), newline="", encoding="utf-8") as source:
            rows += [{columns.get(key, key): value for key, value in row.items()} for row in csv.DictReader(source)]
    labels = sorted({row["label"] for row in rows})
    random.Random(0).shuffle(rows)
    with open(target, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[: args.rows])
    return labels


def figures(found):
    """What a report, or the part of it before the correction, says of the patterns and of their average."""
    patterns = {each["template"]: each["evaluation"]["accuracy"] for each in found["patterns"]}
    average = found["evaluation"]
    return {"mean": statistics.mean(patterns.values()), "average": average["accuracy"], "average_95": average["accuracy_95"],
            "macro_f1": average["macro_f1"], "patterns": patterns}


def cell(args, name, model):
    """Scores a set once; the report has the figures before the correction too."""
    with tempfile.TemporaryDirectory() as folder:
        data, report, spec = Path(folder, "rows.csv"), Path(folder, "report.json"), TASKS[name]
        labels = draw(args, name, data)
        if spec is None:
            names = Path(folder, "labels.json")
            names.write_text(json.dumps(labels))
            command = ["classify", data, "--labels-file", names]
        else:
            templates = sorted((REPOSITORY / "templates" / spec["templates"]).glob("*.json"))
            command = ["score", "--template", *templates, "--verbalizer", REPOSITORY / "verbalizers" / f"{spec['words']}.json",
                       "--data", data, "--calibrate", "batch"]
        command = [args.cloze, *command, "--model", model, "--max-length", MAX_LENGTH, "--out", Path(folder, "out.csv"), "--report", report, "-q"]
        command += ["--threads", args.threads] if args.threads else []
        done = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(report.read_text())
    return {"set": name, "rows": found["rows"], "classes": len(found["run"]["labels"]), "majority": found["majority"]["accuracy"],
            "files": FILES[name][args.dev], "cloze": found["run"]["cloze"], "correction": found["calibration"]["method"],
            "plain": figures(found["calibration"]["before"]), "batch": figures(found)}


def percent(value):
    return f"{100 * value:.1f}"


def table(models, cells):
    """The figures of all sets that every model has, and their means; `cells` has a dictionary of sets for each model."""
    names = [name for name in FILES if all(name in some for some in cells)]
    head = ["set", "rows", "classes", "commonest"] + [f"{model}, {way}" for way in ("plain", "batch") for model in models]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in names:
        first = cells[0][name]
        line = [name, str(first["rows"]), str(first["classes"]), percent(first["majority"])]
        for way in ("plain", "batch"):
            for some in cells:
                found = some[name][way]
                low, high = found["average_95"]
                line.append(f"{percent(found['mean'])}, {percent(found['average'])} [{percent(low)}–{percent(high)}]")
        lines.append("| " + " | ".join(line) + " |")
    if names:
        means = [", ".join(percent(statistics.mean(some[name][way][key] for name in names)) for key in ("mean", "average"))
                 for way in ("plain", "batch") for some in cells]
        lines.append("| " + " | ".join([f"mean of {len(names)}", "", "", "", *means]) + " |")
    return "\n".join(lines)


def losses(models, found):
    sources = sorted({source for each in found for source in each})
    lines = ["| held-out text | " + " | ".join(models) + " |", "|---" * (1 + len(models)) + "|"]
    for source in sources:
        lines.append(f"| {source} | " + " | ".join(f"{each[source]:.3f}" if source in each else "–" for each in found) + " |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--model", required=True, action="append", type=Path, help="a model's folder; the first is the new one, others stand beside it")
    p.add_argument("--shared", required=True, type=Path, help="a folder with the folders data and ship")
    p.add_argument("--into", required=True, type=Path, help="the file of cells")
    p.add_argument("--rows", type=int, default=500, help="rows of each set, at most")
    p.add_argument("--sets", type=lambda text: text.split(","), default=list(FILES), help="a,b")
    p.add_argument("--dev", action="store_true", help="rows that recipes may be chosen by, in place of test rows")
    p.add_argument("--held-out", type=Path, help="a folder of token arrays to measure the loss on")
    p.add_argument("--threads", type=int)
    args = p.parse_args()
    args.cloze, args.shared = args.cloze.resolve(), args.shared.resolve()
    if wrong := [name for name in args.sets if name not in FILES]:
        p.error(f"no such set: {', '.join(wrong)}; there are {', '.join(FILES)}")
    kept = json.loads(args.into.read_text()) if args.into.exists() else {}

    def keep(key, make):
        if key not in kept:
            kept[key] = make()
            args.into.parent.mkdir(parents=True, exist_ok=True)
            partial = args.into.with_suffix(".partial")
            partial.write_text(json.dumps(kept, indent=1) + "\n")
            partial.rename(args.into)
            print(f"{key} is done", file=sys.stderr, flush=True)
        return kept[key]

    hashes = [weights_hash(model) for model in args.model]
    cells = [{} for _ in args.model]
    for name in args.sets:
        for model, digest, some in zip(args.model, hashes, cells):
            key = "/".join([digest, "dev" if args.dev else "test", str(args.rows), name])
            some[name] = keep(key, lambda: cell(args, name, model))
    titles = [model.name for model in args.model]
    print("Accuracy in percent: the mean over the patterns, then their average with its 95 % interval over the rows.\n")
    print(table(titles, cells))
    if args.held_out:
        if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
            sys.exit("the held-out loss needs a Python with PyTorch and transformers")
        import held_out
        found = [keep(f"{digest}/held-out", lambda: held_out.losses(model, args.held_out, args.threads))
                 for model, digest in zip(args.model, hashes)]
        print("\nLoss of masked tokens in nats.\n")
        print(losses(titles, found))


if __name__ == "__main__":
    main()
