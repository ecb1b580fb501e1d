#!/usr/bin/env python3
"""Kill long commands at random moments and go on: `make crash [KILLS=100] [ONLY=train]`.

Each command runs once undisturbed, with the tests' model. Then it is started again and again in folders of its
own, and ended at a moment drawn at random from the time that it took; after that it goes on with --resume, or,
where there is nothing to go on with, it is started once more. What is there in the end must be the same byte for
byte, but for the seconds that things took, and nothing else may lie beside it. Prints a table, as
docs/reliability.md has it.
"""
import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from same import INPUTS, ROOT, environment
from same_commands import ENSEMBLE, FILES, METHODS, ONE, TRAIN

# What differs from run to run: how long things took, and (in a table of files) what that makes of their bytes.
SECONDS = [(r'"(seconds|rows_per_second|tokens_per_second)": ?[\d.e+-]+', r'"\1":N'), (r"<td[^>]*>(\d+ h )?(\d+ min )?[\d.]+ s</td>", "<td>N s</td>"),
           (r'style="width:[\d.]+%"', 'style="width:N"'), (r"[\d.]+ s\b", "N s"), (r"<dt>seconds</dt><dd>[\d.]+", "<dt>seconds</dt><dd>N")]
# Notes of a run that was stopped: what it goes on from, and how often it was begun.
LEFT_OUT = ("checkpoints/", ".lock")

TEXT = " ".join(["the good film was a great story and the people of the world love it"] * 400)
MORE = {"text.txt": "\n".join(TEXT[start:start + 300] for start in range(0, len(TEXT), 300)) + "\n",
        "many.csv": "text\n" + "".join(f"a {'good' if row % 3 else 'bad'} film number {row}\n" for row in range(3000))}


def runs(kind, command):
    return (f"{command} --out run", f"cloze {kind} --resume --out run -q")


def again(command):
    return (command, command)


COMMANDS = {
    **{f"train --method {method}": runs("train", f"{TRAIN} --seeds 1,2 --steps 60 --checkpoint-every 10 -q --method {method}") for method in METHODS},
    "train --select cv": runs("train", f"{TRAIN} --seeds 1 --steps 12 --select cv --evaluate-every 4 --method bias -q"),
    "train --tasks": runs("train", f"cloze train --tasks tasks.json --seeds 1 --steps 60 --checkpoint-every 10 --method lora -q {ONE}"),
    "pretrain": runs("pretrain", f"cloze pretrain --text text.txt --steps 40 --batch-size 2 --sequence-length 32 --checkpoint-every 8 -q {ONE}"),
    "ensemble, iPET": runs("ensemble", f"{ENSEMBLE} --seeds 1 --generations 1 --growth 2 --steps 12 --student-steps 12 --checkpoint-every 4 -q"),
    "score --out": again(f"cloze score -t t.json -v v.json {ONE} -d many.csv --out out.csv --report report.json --page page.html -q"),
    "classify --out": again(f"cloze classify many.csv --labels 'good, bad' {ONE} --out out.jsonl -q"),
    "search verbalizer": again(f"cloze search verbalizer --method likelihood-ratio -t t.json -v v.json {ONE} --train train.csv --out best.json -q"),
    "export --merged": again("cloze export --run learned --merged exported"),
}


# What a command begins with, where that is a run.
BEFORE = {"export --merged": f"{TRAIN} --seeds 1 --steps 2 -q --method lora --out learned"}


def folder_for(work, name):
    folder = work / name
    folder.mkdir(parents=True)
    for link, target in INPUTS.items():
        (folder / link).symlink_to(ROOT / target)
    for file, text in {**FILES, **MORE}.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def begin_with(work, name, env):
    """A folder with what a command begins with, its run made once."""
    folder, made = folder_for(work, "here"), work / "learned"
    if name in BEFORE:
        if not made.exists():
            code, said = finish(BEFORE[name], folder, env)
            assert code == 0, said
            shutil.copytree(folder / "learned", made)
        else:
            shutil.copytree(made, folder / "learned")
    return folder


def left(folder):
    """All that lies in a folder and was not there at its beginning, without the seconds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or path.is_dir() or name in FILES or name in MORE or name.split("/")[0] in INPUTS:
            continue
        if any(part in name for part in LEFT_OUT):
            continue
        content = path.read_bytes()
        if path.suffix in {".json", ".jsonl", ".html", ".csv", ".txt"}:
            text = content.decode()
            for pattern, put in SECONDS:
                text = re.sub(pattern, put, text)
            content = text.encode()
        found[name] = content
    return found


def start(command, folder, env):
    return subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def finish(command, folder, env):
    process = start(command, folder, env)
    _, said = process.communicate()
    return process.returncode, said.strip().splitlines()[:1]


def is_run(command):
    return command.endswith("--out run")


def disturbed(begin, go_on, folder, env, moment, how):
    """Ends a command at a moment, and goes on; how it went on."""
    process = start(begin, folder, env)
    try:
        process.wait(moment)
        process.communicate()
        return "ended before"
    except subprocess.TimeoutExpired:
        process.send_signal(how)
    process.communicate()
    if process.returncode == 0:
        return "ended before"
    resumes = is_run(begin) and (folder / "run/manifest.json").exists()
    if resumes and (folder / "run/metrics.json").exists() and "pretrain" not in begin:
        return "went on"
    if not resumes:
        time.sleep(1.1)  # What is empty and younger than a second may be another process's.
    code, said = finish(go_on if resumes else begin, folder, env)
    if code and not (said and "is finished" in said[0]):
        return f"could not go on: {said}"
    return "went on" if resumes else "begun anew"


def play(name, begin, go_on, args, work, dice):
    env = environment(work)
    # All in one place, one after another: its name stands in manifests.
    whole = begin_with(work, name, env)
    started = time.monotonic()
    code, said = finish(begin, whole, env)
    seconds = time.monotonic() - started
    if code:
        sys.exit(f"{name} fails undisturbed: {said}")
    wanted = left(whole)
    shutil.rmtree(whole)
    counts, wrong = {"went on": 0, "begun anew": 0, "ended before": 0}, []
    for kill in range(args.kills):
        folder = begin_with(work, name, env)
        moment = dice.uniform(0, seconds)
        how = disturbed(begin, go_on, folder, env, moment, args.signal)
        found = left(folder)
        differ = sorted(file for file in wanted.keys() | found.keys() if wanted.get(file) != found.get(file))
        if how in counts:
            counts[how] += 1
        if how not in counts and not differ:
            how = "ended before"  # It was killed when all was there.
            counts[how] += 1
        if how not in counts or differ:
            wrong.append((f"{moment:.2f} s", how, differ[:4]))
            if args.keep:
                shutil.move(folder, work / f"wrong-{kill}")
                continue
        shutil.rmtree(folder)
    row = [f"`{name}`", f"{seconds:.1f}", *map(str, counts.values()), str(len(wrong))]
    print("| " + " | ".join(row) + " |", flush=True)
    for found in wrong[:5]:
        print("    " + json.dumps(found), flush=True)
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", type=Path, default=ROOT / "target/release/cloze")
    parser.add_argument("--kills", type=int, default=100, help="for each command")
    parser.add_argument("--only", default="", help="commands with this in their name")
    parser.add_argument("--signal", type=lambda name: signal.Signals[f"SIG{name}"], default=signal.SIGKILL, help="KILL, TERM or INT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folders of what went wrong")
    args = parser.parse_args()
    wrong = 0
    print("| command | seconds undisturbed | went on | begun anew | ended before | wrong |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, (begin, go_on) in COMMANDS.items():
        if args.only not in name:
            continue
        work = Path(tempfile.mkdtemp(prefix="crash-"))
        (work / "bin").mkdir()
        (work / "bin/cloze").symlink_to(args.cloze.resolve())
        wrong += play(name, begin, go_on, args, work, random.Random(f"{args.seed} {name}"))
        if not args.keep:
            shutil.rmtree(work)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
