#!/usr/bin/env python3
"""What a step of `cloze train --tasks` costs: many tasks with many rows each, a table of seconds.

    python3 benches/tasks.py --cloze target/release/cloze [--cloze OTHER] [--model DIR] [--tasks 40] [--rows 500 5000]
                             [--steps 10 100 1000] [--batch-sizes 16] [--method lora] [--threads N]

The rows are made up from words of the model's vocabulary, of 8 to 40 words each, by a generator with a fixed seed; nothing is scored. A run is timed as a
whole, start and reading included: by the clock, and by the processor's time of all its threads, which a busy machine disturbs less. A step's own cost is the
difference of the latter between two runs, divided by the steps that one has more. Several programs are timed in turn. The usual model is the tiny one of the tests: where a forward pass costs little, everything else that a step does shows.
"""
import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from growth import words_of

HERE = Path(__file__).resolve().parent
CLASSES = [2, 3, 4, 5]  # of one task after the other


def made_up(folder, tasks, rows, vocabulary):
    """Writes the tasks and their rows; gives the file of tasks"""
    folder.mkdir()
    generator = random.Random(0)
    (folder / "template.json").write_text(json.dumps({"version": 1, "pattern": "{text|shorten} It was {mask}."}))
    for classes in CLASSES:
        spec = [{"label": f"c{index}", "words": [word]} for index, word in enumerate(vocabulary[:classes])]
        (folder / f"words-{classes}.json").write_text(json.dumps({"version": 1, "classes": spec}))
    listed = []
    for task in range(tasks):
        classes = CLASSES[task % len(CLASSES)]
        with open(folder / f"task-{task}.csv", "w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(["text", "label"])
            for row in range(rows):
                lines.writerow([" ".join(generator.choices(vocabulary, k=generator.randint(8, 40))), f"c{row % classes}"])
        listed.append({"name": f"task-{task}", "templates": ["template.json"], "verbalizer": f"words-{classes}.json", "train": f"task-{task}.csv"})
    path = folder / "tasks.json"
    path.write_text(json.dumps({"version": 1, "tasks": listed}))
    return path


def seconds(program, args, tasks, steps, batch_size):
    """The seconds of one run: by the clock, and of the processor"""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", "--tasks", tasks, "--model", args.model, "--method", args.method, "--steps", steps, "--seeds", 1, "--threads", args.threads,
                   "--batch-size", batch_size, "--out", Path(folder) / "run", "--quiet"]
        started = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"failed: {command}")
        return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path, action="append", help="a program; may be given several times")
    p.add_argument("--model", type=Path, default=HERE.parent / "tests/fixtures/tiny")
    p.add_argument("--tasks", type=int, default=40)
    p.add_argument("--rows", type=int, nargs="+", default=[500, 5000], help="rows of a task")
    p.add_argument("--steps", type=int, nargs="+", default=[10, 100, 1000])
    p.add_argument("--batch-sizes", type=int, nargs="+", default=[16])
    p.add_argument("--method", default="lora")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    programs = [program.resolve() for program in args.cloze]
    print(f"{args.tasks} tasks, method {args.method}, model {args.model.name}, {args.threads} threads\n")
    print("| program | rows a task | batch | steps | seconds | processor seconds | ms a step |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for rows in args.rows:
            tasks = made_up(Path(folder) / str(rows), args.tasks, rows, words_of(args.model))
            for batch_size in args.batch_sizes:
                before = {}
                for steps in sorted(args.steps):
                    for index, program in enumerate(programs):
                        clock, took = seconds(program, args, tasks, steps, batch_size)
                        own = ""
                        if index in before:
                            earlier, less = before[index]
                            own = f"{(took - earlier) / (steps - less) * 1e3:.2f}"
                        before[index] = took, steps
                        name = f"{chr(ord('A') + index)}" if len(programs) > 1 else program.name
                        print(f"| {name} | {rows:,} | {batch_size} | {steps:,} | {clock:.2f} | {took:.2f} | {own} |", flush=True)


if __name__ == "__main__":
    main()
