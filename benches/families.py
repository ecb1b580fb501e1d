#!/usr/bin/env python3
"""Times `cloze score` on every family against transformers 5, and how ModernBERT's cost grows with length: same rows, model and threads, in one
run, in alternation.

    python3 benches/families.py --cloze target/release/cloze [--only FAMILY ...] [--rows N] [--reps N] [--threads N] [--lengths N ...] [--work FOLDER]

The models have the sizes of the families' base models and random weights (random_family.py), which stay in --work. peer_families.py is the peer. It runs
in the Python of this script where that has transformers 5, else in an environment that is made once, in the user's cache folder. Prints two Markdown
tables; a ratio is the rate over that of transformers' sdpa in f32 in the same repetition.
"""
import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import HERE, cache_folder, compare_predictions, predictions, run, say

PINS = ["torch==2.15.0", "transformers==5.24.0", "safetensors", "numpy"]
FAMILIES = ["bert", "roberta", "xlm-roberta", "distilbert", "albert", "electra", "modernbert"]
BASE = "transformers sdpa"
CONTESTANTS = {
    "cloze f32": ("cloze", "--dtype", "f32"),
    "cloze bf16": ("cloze", "--dtype", "bf16"),
    "cloze int8": ("cloze", "--dtype", "int8"),
    BASE: ("peer", "--attention", "sdpa"),
    "transformers eager": ("peer", "--attention", "eager"),
    "transformers bf16": ("peer", "--attention", "sdpa", "--bf16"),
}
WITH_LENGTH = ["cloze f32", "cloze bf16", BASE, "transformers bf16"]


def python_with_transformers():
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        import transformers
        if int(transformers.__version__.split(".")[0]) >= 5:
            return sys.executable
    env = cache_folder().with_name("bench-env-5")
    python, done = env / "bin/python", env / "pins.txt"  # the second is written last: its absence means that it did not finish
    if not (done.exists() and done.read_text() == "\n".join(PINS)):
        say(f"making a Python environment in {env} ({', '.join(PINS)}); this is a large download, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(env)], check=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS]).returncode:
            sys.exit(f"pip could not install {', '.join(PINS)}")
        done.write_text("\n".join(PINS))
    return str(python)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path, help="the binary")
    p.add_argument("--only", nargs="*", choices=FAMILIES, default=FAMILIES, metavar="FAMILY", help="these families; none: lengths alone")
    p.add_argument("--rows", type=int, default=64, help="rows of 16 to 112 tokens (default %(default)s)")
    p.add_argument("--lengths", nargs="*", type=int, default=[128, 512, 1024, 2048, 4096, 8192], help="of ModernBERT (default %(default)s)")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=3, help="timed repetitions of each, after one untimed (default %(default)s)")
    p.add_argument("--work", type=Path, help="keeps the models there (gigabytes)")
    return p.parse_args()


def measure(args, python, names, model, data, longest, work):
    """name -> [(wall, rows/s, peak memory in MB)], and the predictions."""
    template, words = work / "t.json", work / "v.json"
    template.write_text(json.dumps({"version": 1, "pattern": "{text|shorten} It was {mask}."}))
    words.write_text(json.dumps({"version": 1, "classes": [{"label": "up", "words": ["great"]}, {"label": "down", "words": ["bad"]}]}))
    own = {"cloze": [args.cloze.resolve(), "score", "--template", template, "--verbalizer", words, "--max-length", longest],
           "peer": [python, HERE / "peer_families.py", "--max-length", longest]}
    commands = {}
    for name in names:
        program, *options = CONTESTANTS[name]
        common = ["--data", data, "--model", model, "--threads", args.threads, "--out", work / f"{name}.csv"]
        # The printed rate is a whole number.
        report = ["--report", work / f"{name}.json"] if program == "cloze" else []
        commands[name] = [str(part) for part in [*own[program], *options, *common, *report]]
    figures = {name: [] for name in names}
    for rep in range(args.reps + 1):
        for name in names[rep % len(names):] + names[:rep % len(names)]:  # each goes first in turn
            wall, rows_per_s, memory = run(commands[name], args.threads)
            if name.startswith("cloze"):
                report = json.loads((work / f"{name}.json").read_text())
                rows_per_s = report["rows"] / report["seconds"]
            found = (wall, rows_per_s, memory)
            if rep:  # the first fills the file cache
                figures[name].append(found)
    return figures, {name: predictions(work / f"{name}.csv") for name in names}


def made(args, python, family, work, tokens, count, *spread):
    model, data = (args.work or work) / family, work / f"{family}-{tokens}.csv"
    command = [python, HERE / "random_family.py", family, model, data, tokens, count, *spread]
    subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return model, data


def rate(figures, name):
    return statistics.median(rate for _, rate, _ in figures[name])


def ratio(figures, name):
    return statistics.median(own / base for (_, own, _), (_, base, _) in zip(figures[name], figures[BASE]))


def main():
    args = arguments()
    python, names = python_with_transformers(), list(CONTESTANTS)
    print(f"{args.rows} rows of 16 to 112 tokens, {args.threads} threads, medians of {args.reps} alternating repetitions after one untimed; {platform.machine()}, "
          f"{os.cpu_count()} CPUs. Rows a second, and in brackets the ratio to {BASE} in f32; of cloze f32 the largest difference of a probability.\n")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.only:
            print("| family | " + " | ".join(names) + " | largest Δp |\n|" + "---|" * (len(names) + 2), flush=True)
        for family in args.only:
            model, data = made(args, python, family, work, 64, args.rows, "spread")
            figures, found = measure(args, python, names, model, data, 128, work)
            cells = [f"{rate(figures, name):.1f} ({ratio(figures, name):.2f})" for name in names]
            print(f"| {family} | " + " | ".join(cells) + f" | {compare_predictions(found['cloze f32'], found[BASE])[1]:.0e} |", flush=True)
        if args.lengths:
            print(f"\nModernBERT of base size, {max(args.lengths)} tokens in rows of one length: milliseconds a token, and in brackets the peak memory in MB.\n")
            print("| tokens a row | " + " | ".join(WITH_LENGTH) + " |\n|" + "---|" * (len(WITH_LENGTH) + 1), flush=True)
        for length in args.lengths:
            count = max(args.lengths) // length
            model, data = made(args, python, "modernbert", work, length, count)
            figures, _ = measure(args, python, WITH_LENGTH, model, data, length, work)
            cells = [f"{1e3 / rate(figures, name) / length:.2f} ({statistics.median(m for *_, m in figures[name]):.0f})" for name in WITH_LENGTH]
            print(f"| {length} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
