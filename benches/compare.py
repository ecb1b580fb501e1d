#!/usr/bin/env python3
"""Times `cloze score` against transformers, ONNX Runtime, Promptzl and rust-bert: same rows, model and threads, in one run, in alternation.

    python3 benches/compare.py --cloze target/release/cloze --set DIR [--model DIR] [--rows N] [--threads N] [--reps N]

DIR holds data.csv, template.json and verbalizer.json; or --set is a CSV file and --template, --verbalizer are given.
Prints a Markdown table. Without its packages at hand it makes an environment of its own once, in the
user's cache folder, and uses it from then on.
"""
import argparse
import csv
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = ["torch==2.4.1", "transformers==4.46.3", "numpy<2", "safetensors", "onnx==1.23.2", "onnxruntime==1.32.0",
        "promptzl==1.0.0", "datasets==3.1.0", "pyarrow==18.1.0", "pandas==2.2.3", "matplotlib==3.9.2", "peft==0.13.2"]
NEEDS = ["torch", "transformers", "onnx", "onnxruntime", "promptzl", "matplotlib", "peft"]


# What each is: a program and its options. All ratios are to the first.
BASE = "cloze f32"
CONTESTANTS = {
    BASE: ("cloze", "--dtype", "f32"),
    "cloze bf16": ("cloze", "--dtype", "bf16"),
    "cloze int8": ("cloze", "--dtype", "int8"),
    "transformers, file order": ("transformers", "--order", "file"),
    "transformers, sorted": ("transformers", "--order", "sorted"),
    "transformers bf16, sorted": ("transformers", "--order", "sorted", "--bf16"),
    "transformers compiled, sorted": ("transformers", "--order", "sorted", "--compile"),
    "OpenPrompt's way": ("transformers", "--order", "file", "--pad", "PAD"),
    "ONNX Runtime f32, sorted": ("onnxruntime",),
    "ONNX Runtime int8, sorted": ("onnxruntime", "--int8"),
    "Promptzl": ("promptzl", "--batch", "4"),  # of 4, 8, 16, 32 and 64 the fastest; for transformers and ONNX Runtime 16 and 32 are
    "rust-bert": ("cloze", "--engine", "rust-bert"),
    "products f32": ("products", "--dtype", "f32"),
    "products bf16": ("products", "--dtype", "bf16"),
    "products int8": ("products", "--dtype", "int8"),
}


def cache_folder():
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cloze" / "bench-env"


def python_with_transformers():
    if all(importlib.util.find_spec(m) for m in NEEDS):
        return sys.executable
    env = cache_folder()
    python = env / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = env / "pins.txt"  # written last: its absence means an installation that did not finish
    if not (done.exists() and done.read_text() == "\n".join(PINS)):
        say(f"making a Python environment in {env} ({', '.join(PINS)}); this is a large download, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(env)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS]
        if subprocess.run(install).returncode:
            sys.exit(f"pip could not install {', '.join(PINS)} for Python {platform.python_version()}; "
                     "torch 2.4.1 has wheels for Python 3.8 to 3.12")
        done.write_text("\n".join(PINS))
    return str(python)


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path, help="the binary")
    p.add_argument("--set", required=True, type=Path, help="folder with data.csv, template.json, verbalizer.json; or a CSV")
    p.add_argument("--template", type=Path)
    p.add_argument("--verbalizer", type=Path)
    p.add_argument("--model", type=Path, default=HERE.parent / "models/cloze-minilm-l6")
    p.add_argument("--rows", type=int, help="only the first N rows (default: all)")
    p.add_argument("--random-model", metavar="LAYERSxHIDDEN", help="instead: a BERT of this size with random weights and the model's vocabulary")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=5, help="timed repetitions of each, after one untimed (default 5)")
    p.add_argument("--max-length", type=int, help="handed to every contestant; default: each one's own, the model's limit")
    p.add_argument("--only", nargs="+", metavar="NAME", help=f"these contestants; default: {', '.join(CONTESTANTS)}")
    p.add_argument("--pad", type=int, help="the length that OpenPrompt's way pads every row to (default: --max-length, or 128)")
    args = p.parse_args()
    args.pad = args.pad or args.max_length or 128
    folder = args.set if args.set.is_dir() else None
    args.data = folder / "data.csv" if folder else args.set
    args.template = args.template or (folder and folder / "template.json")
    args.verbalizer = args.verbalizer or (folder and folder / "verbalizer.json")
    if not (args.template and args.verbalizer):
        p.error("--set is a file: give --template and --verbalizer too")
    unknown = [name for name in args.only or () if name not in CONTESTANTS]
    if unknown:
        p.error(f"no contestant {unknown[0]!r}; there are {', '.join(CONTESTANTS)}")
    for path in (args.cloze, args.data, args.template, args.verbalizer, args.model):
        if not path.exists():
            p.error(f"{path} does not exist")
    return args


def first_rows(source, limit, target):
    with open(source, encoding="utf-8", newline="") as f:
        header, *rows = csv.reader(f)
    if limit and limit > len(rows):
        say(f"{source} has {len(rows)} rows; --rows {limit} is more, taking all")
    rows = rows[:limit]
    with open(target, "w", encoding="utf-8", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([header, *rows])
    return len(rows), len(set(map(tuple, rows)))


def contestants(args, python, data, work):
    """name -> (command, predictions file)"""
    common = ["--template", args.template, "--verbalizer", args.verbalizer, "--data", data, "--model", args.model,
              "--threads", args.threads] + (["--max-length", args.max_length] if args.max_length else [])
    programs = {"cloze": [args.cloze.resolve(), "score"],
                "transformers": [python, HERE / "peer_transformers.py"],
                "promptzl": [python, HERE / "peer_promptzl.py"],
                "products": [python, HERE / "peer_products.py"],
                "onnxruntime": [python, HERE / "peer_onnx.py", "--exports", work if args.random_model else cache_folder().parent / "bench-exports"]}
    chosen = {name: CONTESTANTS[name] for name in CONTESTANTS if name in (args.only or CONTESTANTS) or name == BASE}
    options_of = lambda options: [str(args.pad) if option == "PAD" else option for option in options]
    return {name: ([str(x) for x in [*programs[program], *options_of(options), *common, "--out", work / f"{n}.csv"]],
                   work / f"{n}.csv")
            for n, (name, (program, *options)) in enumerate(chosen.items())}


def run(command, threads):
    """-> (wall seconds of the whole process, rows/s of scoring alone as the contestant reports it, peak memory in MB)"""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "true"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        env[name] = str(threads)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as messages:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        text = messages.read()
    if process.returncode:
        raise Failed(f"{text.strip()} (exit code {process.returncode})")
    return wall, scoring_rate(text), usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


class Failed(Exception):
    """A contestant that did not run."""


def scoring_rate(messages):
    """The peer's last line is JSON; cloze's report says "…, 123 rows/s (…"."""
    try:
        return json.loads(messages.strip().splitlines()[-1])["rows_per_s"]
    except (IndexError, KeyError, TypeError, ValueError):
        return float(re.findall(r"([0-9.]+) rows/s \(", messages)[-1])


def predictions(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def compare_predictions(ours, theirs):
    """-> (share of rows with another label, largest difference of a probability)"""
    if [r["row"] for r in ours] != [r["row"] for r in theirs]:
        sys.exit("the two prediction files do not hold the same rows")
    other = sum(a["predicted"] != b["predicted"] for a, b in zip(ours, theirs)) / len(ours)
    columns = [c for c in ours[0] if c.startswith("p_")]
    return other, max(abs(float(a[c]) - float(b[c])) for a, b in zip(ours, theirs) for c in columns)


def spread(values, form):
    return f"{form(statistics.median(values))} ({form(min(values))}–{form(max(values))})"


def main():
    args = arguments()
    python = python_with_transformers()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.random_model:
            made = [python, HERE / "random_bert.py", args.random_model, args.model, work / f"random-{args.random_model}"]
            subprocess.run([str(x) for x in made], check=True)
            args.model = made[-1]
        rows, distinct = first_rows(args.data, args.rows, work / "data.csv")
        field = contestants(args, python, work / "data.csv", work)
        for name, (command, _) in list(field.items()):  # untimed: fills the file cache, shows what does not run
            try:
                run(command, args.threads)
            except Failed as failure:
                if name == BASE:
                    sys.exit(f"{name} failed: {failure}")
                say(f"{name} is left out, it failed: {failure}")
                del field[name]
        figures = {name: [] for name in field}
        names = list(field)
        for rep in range(args.reps):
            for name in names[rep % len(names):] + names[:rep % len(names)]:  # each goes first in turn
                figures[name].append(run(field[name][0], args.threads))
            say(f"repetition {rep + 1} of {args.reps}: " + ", ".join(f"{n} {f[-1][0]:.2f} s" for n, f in figures.items()))
        report(args, rows, distinct, figures, {n: predictions(path) for n, (_, path) in field.items()})


def report(args, rows, distinct, figures, predicted):
    print(f"{rows} rows of {args.set.name}, {distinct} of them distinct, model {args.model.resolve().name}, {args.threads} threads, "
          f"{args.reps} alternating repetitions after one untimed; {platform.machine()}, {os.cpu_count()} CPUs. "
          f"Median (min–max); a ratio is the speed over that of {BASE} in the same repetition.\n")
    print("| | whole process, s | ratio | scoring only, rows/s | ratio | peak memory, MB | other labels | largest Δp |")
    print("|---|---|---|---|---|---|---|---|")
    base = figures[BASE]
    for name, own in figures.items():
        whole = spread([b / o for (o, *_), (b, *_) in zip(own, base)], lambda x: f"{x:.2f}")
        scoring = spread([o / b for (_, o, _), (_, b, _) in zip(own, base)], lambda x: f"{x:.2f}")
        if CONTESTANTS[name][0] == "products":
            print(f"| {name} | – | – | {spread([r for _, r, _ in own], lambda x: f'{x:.0f}')} | {scoring} | – | – | – |")
            continue
        # That process loads PyTorch too, for its export and its batches; a program made for it alone would not.
        if CONTESTANTS[name][0] == "onnxruntime":
            other, far = compare_predictions(predicted[BASE], predicted[name])
            print(f"| {name} | – | – | {spread([r for _, r, _ in own], lambda x: f'{x:.0f}')} | {scoring} | – | {other:.2%} | {far:.1e} |")
            continue
        other, far = compare_predictions(predicted[BASE], predicted[name])
        agree = ("1", "1", "–", "–") if name == BASE else (whole, scoring, f"{other:.2%}", f"{far:.1e}")
        print(f"| {name} | {spread([w for w, *_ in own], lambda x: f'{x:.2f}')} | {agree[0]} | {spread([r for _, r, _ in own], lambda x: f'{x:.0f}')} "
              f"| {agree[1]} | {statistics.median(m for *_, m in own):.0f} | {agree[2]} | {agree[3]} |")
    for dtype in ("f32", "bf16", "int8"):
        if {f"cloze {dtype}", f"products {dtype}"} <= figures.keys():
            share = [o / b for (_, o, _), (_, b, _) in zip(figures[f"cloze {dtype}"], figures[f"products {dtype}"])]
            print(f"\ncloze {dtype} runs at {spread(share, lambda x: f'{x:.0%}')} of the rate of its matrix products by themselves.")


if __name__ == "__main__":
    main()
