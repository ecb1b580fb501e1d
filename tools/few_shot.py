#!/usr/bin/env python3
"""Every way of tuning on several data sets with a few rows a class: `make few-shot`.

A cell is one `cloze train` over all seeds. Cells that are done are kept, a cell that was stopped goes on where it stood, and the table is
written anew after each: the whole takes hours on two cores, and need not be done in one go. Hyper-parameters are the methods' defaults in every cell.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# The options of each cell. What all baselines give stands in the cell of `full`.
METHODS = {"full": ["--method", "full", "--baseline", "setfit"], "full-adapet": ["--method", "full", "--loss", "adapet"]} | {
    method: ["--method", method] for method in ("head", "bias", "lora", "ia3", "adapter", "prompt-tuning", "p-tuning", "prefix", "p-tuning-v2", "cls")}

# The pattern and the label words of each set, chosen before any result was seen: the first of the folder's that the literature has.
SETS = {
    "sst2_cased": {"template": "sentiment/it-was-at-end", "verbalizer": "sentiment", "columns": {"text_a": "text"}},
    "ag_news": {"template": "topic/category", "verbalizer": "topic", "columns": {"text_a": "text"}},
    "emotion": {"template": "emotion/i-feel", "verbalizer": "emotion", "columns": {"text_a": "text"}},
    "rte": {"template": "inference/hypothesis-first", "verbalizer": "inference-2", "columns": {"text_a": "premise", "text_b": "hypothesis"}},
}


def prepare(source, target, columns, rows):
    """A copy of a data file with the columns' names that the patterns use, and at most so many rows."""
    wanted = target.with_suffix(f".{rows}")
    if target.exists() and wanted.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(source, newline="", encoding="utf-8") as file, open(target.with_suffix(".partial"), "w", newline="", encoding="utf-8") as out:
        reader, writer = csv.reader(file), csv.writer(out)
        writer.writerow([columns.get(name, name) for name in next(reader)])
        for number, row in enumerate(reader):
            if rows is not None and number >= rows:
                break
            writer.writerow(row)
    target.with_suffix(".partial").rename(target)
    wanted.touch()


def run_cell(args, name, method, folder):
    """Trains a cell, or what is left of it, and notes the most memory that it took."""
    spec, data = SETS[name], args.work / "data" / name
    for part, rows in (("train", None), ("test", args.test_rows)):
        prepare(args.data / name / f"{part}.csv", data / f"{part}.csv", spec["columns"], rows)
    if (folder / "metrics.json").exists():
        # Stopped between the run's end and the note of its memory.
        (folder / "cell.json").write_text(json.dumps({"peak_mib": None, "seconds": None}))
        return True
    if (folder / "manifest.json").exists():
        command = [args.cloze, "train", "--resume", "--out", folder]
    else:
        command = [args.cloze, "train", "--template", f"templates/{spec['template']}.json",
                   "--verbalizer", f"verbalizers/{spec['verbalizer']}.json", "--train", data / "train.csv", "--test", data / "test.csv",
                   "--shots", args.shots, "--seeds", args.seeds, *METHODS[method], "--out", folder]
    if args.threads:
        command += ["--threads", args.threads]
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    process = subprocess.Popen([str(part) for part in command] + ["--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        return False
    # ru_maxrss is in KiB on Linux.
    (folder / "cell.json").write_text(json.dumps({"peak_mib": usage.ru_maxrss / 1024, "seconds": time.time() - started}))
    return True


def percent(value):
    return f"{100 * value:.1f}"


def row(folder):
    """A line of the table."""
    metrics, cell = (json.loads((folder / name).read_text()) for name in ("metrics.json", "cell.json"))
    accuracies = [seed["evaluation"]["accuracy"] for seed in metrics["seeds"]]
    seconds = [seed["seconds"] for seed in metrics["seeds"] if seed["seconds"] is not None]
    spread = metrics["accuracy"]
    corrected = next((b for b in metrics["baselines"] if b["name"] == "zero-shot, corrected"), None)
    gain = corrected["difference"] if corrected else None
    return [
        folder.name,
        f"{percent(spread['mean'])} ± {percent(spread['standard_deviation'])}",
        " ".join(percent(value) for value in accuracies),
        f"{100 * gain['difference']:+.1f} ({100 * gain['difference_95'][0]:+.1f} to {100 * gain['difference_95'][1]:+.1f})" if gain else "",
        f"{metrics['trained_parameters']:,}",
        f"{sum(seconds) / len(seconds):.0f}" if seconds else "",
        f"{cell['peak_mib']:.0f}" if cell["peak_mib"] else "",
    ], metrics


def table(args):
    """The whole page, of the cells that are done."""
    lines = []
    for name in args.sets:
        done = [args.work / name / method for method in METHODS if (args.work / name / method / "cell.json").exists()]
        if not done:
            continue
        rows = [row(folder) for folder in done]
        metrics, spec = rows[0][1], SETS[name]
        pattern = json.loads(Path(f"templates/{spec['template']}.json").read_text())["pattern"]
        lines += [f"## {name}", "", f"Pattern `{pattern}` (`templates/{spec['template']}.json`), words `verbalizers/{spec['verbalizer']}.json`, "
                  f"{metrics['test_rows']} test rows, {metrics['seeds'][0]['train_rows']} train rows a seed.", ""]
        others = "; ".join(f"{b['name']} {percent(b['mean'])}" for b in metrics["baselines"] if b["name"] != "cls")
        lines += [f"On the same rows: {others}.", "",
                  "| method | accuracy % ± sd | by seed | over zero-shot, corrected: points (95 %) | trained parameters | s a seed | peak MiB |",
                  "|---|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join(cells) + " |" for cells, _ in rows] + [""]
    return "\n".join(lines)


def write(args):
    """Puts the tables between the page's markers; what people wrote round them stays."""
    begin, end = "<!-- tables: written by tools/few_shot.py -->", "<!-- end of tables -->"
    page = args.out.read_text(encoding="utf-8") if args.out.exists() else f"# Few-shot training\n\n{begin}\n{end}\n"
    before, rest = page.split(begin)
    after = rest.split(end)[1]
    args.out.write_text(f"{before}{begin}\n\n{table(args)}\n{end}{after}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", default="target/release/cloze")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with a folder for each set")
    parser.add_argument("--work", type=Path, default=Path("target/few-shot"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=Path("benches/few-shot.md"))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--shots", default="16")
    parser.add_argument("--seeds", default="13,21,42")
    parser.add_argument("--test-rows", type=int, default=500)
    parser.add_argument("--threads", default=None)
    args = parser.parse_args()
    failed = []
    for name in args.sets:
        for method in args.methods:
            folder = args.work / name / method
            if not (folder / "cell.json").exists() and not run_cell(args, name, method, folder):
                failed.append(f"{name} {method}")
                continue
            write(args)
            print(f"{name:12} " + "  ".join(row(folder)[0]), flush=True)
    if failed:
        sys.exit("these cells did not finish: " + ", ".join(failed))


if __name__ == "__main__":
    main()
