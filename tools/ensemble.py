#!/usr/bin/env python3
"""Pattern ensembles on two sets with ten rows a class: `make ensemble`.

One `cloze ensemble` for each set: members, soft labels, students and a generation of iPET. A run that was stopped goes on where it stood,
so the whole, which takes hours on two cores, need not be done in one go. The page is written anew after each set.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from few_shot import prepare

# Chosen before any result was seen: five of PET's six patterns for AG News that the folder has, and a sixth of OpenPrompt's; for SST-2 four that put the
# question in different places.
SETS = {
    "ag_news": {"templates": ["colon", "news", "parentheses", "category", "dash", "topic"], "words": "topic"},
    "sst2_cased": {"templates": ["it-was-at-end", "it-was", "just", "in-summary"], "words": "sentiment"},
}
FILES = {"ag_news": "unlabeled", "sst2_cased": "train"}


def run_set(args, name, folder):
    """Runs a set's experiment, or what is left of it."""
    spec, data = SETS[name], args.work / "data" / name
    for part, rows in (("train", None), ("test", args.test_rows)):
        prepare(args.data / name / f"{part}.csv", data / f"{part}.csv", {"text_a": "text"}, rows)
    prepare(args.data / name / f"{FILES[name]}.csv", data / "unlabeled.csv", {"text_a": "text"}, args.unlabeled_rows)
    if (folder / "manifest.json").exists():
        command = [args.cloze, "ensemble", "--resume", "--out", folder]
    else:
        command = [args.cloze, "ensemble", "--template", *(f"templates/{spec['words']}/{template}.json" for template in spec["templates"]),
                   "--verbalizer", f"verbalizers/{spec['words']}.json", "--train", data / "train.csv", "--unlabeled", data / "unlabeled.csv",
                   "--test", data / "test.csv", "--shots", args.shots, "--seeds", args.seeds, "--generations", args.generations, "--out", folder]
    command += (["--threads", args.threads] if args.threads else []) + args.options
    return subprocess.run([str(part) for part in command], check=False).returncode == 0


def cell(accuracies):
    deviation = accuracies["standard_deviation"]
    return f"{100 * accuracies['mean']:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def table(folder):
    """A set's part of the page, in the shape of the PET paper's tables."""
    report = json.loads((folder / "report.json").read_text())
    setting = report["setting"]
    lines = [f"{setting['method']}, student {setting['student']}, {setting['shots']} rows a class, {setting['unlabeled_rows']} unlabelled rows, "
             f"{setting['test_rows']} test rows, merged as {setting['merge']}, weights {setting['weights']}, T {setting['temperature']}.", "",
             "| stage | worst pattern | mean pattern | best pattern | ensemble | student | ECE of ensemble, student | Fleiss' kappa |", "|---|---|---|---|---|---|---|---|"]
    for stage in report["stages"]:
        of = lambda index: cell(stage["patterns"][index]["accuracy"]) if index is not None else ""
        whole = [stage[key] for key in ("ensemble", "student")]
        lines.append("| " + " | ".join([
            "without training" if stage["generation"] is None else f"generation {stage['generation']} ({stage['train_rows'][0]} rows)",
            of(stage["worst"]), cell(stage["mean_pattern"]) if stage["mean_pattern"] else "", of(stage["best"]),
            *(cell(measured["accuracy"]) if measured else "" for measured in whole),
            ", ".join(f"{100 * measured['expected_calibration_error']:.1f}" for measured in whole if measured),
            f"{stage['agreement']['fleiss_kappa']:.2f}" if stage["agreement"] else "",
        ]) + " |")
    return lines + [""] + [f"- {warning}" for warning in report["warnings"]] + [""]


def write(args):
    """Puts the tables between the page's markers; what people wrote round them stays."""
    begin, end = "<!-- tables: written by tools/ensemble.py -->", "<!-- end of tables -->"
    page = args.out.read_text(encoding="utf-8") if args.out.exists() else f"# Pattern ensembles\n\n{begin}\n{end}\n"
    before, rest = page.split(begin)
    lines = []
    for name in args.sets:
        if (args.work / name / "report.json").exists():
            lines += [f"## {name}", ""] + table(args.work / name)
    args.out.write_text(f"{before}{begin}\n\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", default="target/release/cloze")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with a folder for each set")
    parser.add_argument("--work", type=Path, default=Path("target/ensemble"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=Path("benches/ensemble.md"))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--shots", default="10")
    parser.add_argument("--seeds", default="13,21,42")
    parser.add_argument("--generations", default="1")
    parser.add_argument("--unlabeled-rows", type=int, default=1000)
    parser.add_argument("--test-rows", type=int, default=500)
    parser.add_argument("--threads", default=None)
    parser.add_argument("options", nargs="*", help="more options of cloze ensemble, after --")
    args = parser.parse_args()
    failed = [name for name in args.sets if not (args.work / name / "report.json").exists() and not run_set(args, name, args.work / name)]
    write(args)
    if failed:
        sys.exit("these sets did not finish: " + ", ".join(failed))


if __name__ == "__main__":
    main()
