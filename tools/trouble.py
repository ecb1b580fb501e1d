#!/usr/bin/env python3
"""What else may happen to a folder while a command works in it: `make trouble [TIMES=20] [ONLY=clock]`.

Two processes at once; a disk that becomes read-only; a folder that vanishes; a clock that jumps; a process that is
dead, or stands still, and had taken the folder; weights that are replaced while they are read. Each is done TIMES
times, at moments drawn at random, with the tests' model. A command must do what it does undisturbed, or say one
error and exit with 1; nobody else's files may be damaged, and with all in order again it goes on. Linux, with cc.
Prints a table, as docs/reliability.md has it.
"""
import argparse
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crash import folder_for, left
from same import ROOT, environment
from same_commands import ONE, TRAIN

SCORE = f"cloze score -t t.json -v v.json {ONE} -d many.csv --out out.csv --report report.json -q"
LORA = f"{TRAIN} --seeds 1,2 --steps 40 --checkpoint-every 10 -q --method lora --out run"
RESUME = "cloze train --resume --out run -q"
INIT = "cloze init started --labels 'good, bad' --from many.csv"


class Place:
    """A folder of the same name each time, and what commands leave in it undisturbed."""

    def __init__(self, work, cloze):
        self.work, self.folder, self.env = work, work / "here", environment(work)
        (work / "bin").mkdir()
        (work / "bin/cloze").symlink_to(cloze.resolve())
        self.dice, self.undisturbed = random.Random(1), {}

    def fresh(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        folder_for(self.work, "here")

    def start(self, command, before=(), **more):
        return subprocess.Popen([*map(str, before), "sh", "-c", f"exec {command}"], cwd=self.folder, env={**self.env, **more},
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def run(self, command, **more):
        return ended(self.start(command, **more))

    def wanted(self, command):
        """What it leaves, and how long that takes."""
        if command not in self.undisturbed:
            self.fresh()
            started = time.monotonic()
            code, said = self.run(command)
            assert code == 0, said
            self.undisturbed[command] = (left(self.folder), time.monotonic() - started)
        return self.undisturbed[command]

    def compiled(self, source, *flags):
        program = self.work / Path(source).stem
        if not program.exists():
            subprocess.run(["cc", "-O1", *flags, "-o", str(program), str(ROOT / "tools" / source)], check=True)
        return program


def ended(process):
    try:
        _, said = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "does not end", ""
    return process.returncode, said


def is_told(code, said):
    """Whether it is one error that the program has said itself."""
    return code == 1 and "panicked" not in said and sum(line.startswith("error: ") for line in said.splitlines()) == 1


def at_once(place, command):
    """Two of a command, one a little later; both say how they ended, and the folder is as one leaves it."""
    wanted, seconds = place.wanted(command)
    place.fresh()
    one = place.start(command)
    time.sleep(place.dice.uniform(0, seconds * 1.1) * place.dice.choice([0, 0.05, 1]))
    other = place.start(command)
    ends = [ended(one), ended(other)]
    bad = [f"{end}" for end in ends if end[0] != 0 and not is_told(*end)]
    if all(code != 0 for code, _ in ends):
        bad.append(f"neither did it: {ends}")
    return bad + differ(wanted, left(place.folder)), [code for code, _ in ends].count(0)


def differ(wanted, found):
    return [f"another in the end: {name}" for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]


def two_resume(place, _):
    wanted, seconds = place.wanted(LORA)
    place.fresh()
    first = place.start(LORA)
    time.sleep(seconds * 0.6)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    if not (place.folder / "run/manifest.json").exists():
        return [], 0
    ends = [ended(process) for process in [place.start(RESUME), place.start(RESUME)]]
    bad = [f"{end}" for end in ends if end[0] != 0 and not is_told(*end)]
    return bad + differ(wanted, left(place.folder)), [code for code, _ in ends].count(0)


def read_only(place, command):
    """From a moment on nothing can be written."""
    wanted, _ = place.wanted(command)
    counted, program = place.work / "counted", place.compiled("full_disk.c")
    place.fresh()
    words = (program, 0, counted, f"{place.folder}/")
    ended(place.start(command, words))
    calls = int(counted.read_text())
    place.fresh()
    n = place.dice.choice([1, place.dice.randint(1, calls)])
    code, said = ended(place.start(command, (program, n, *words[2:]), FULL_DISK_ERROR=str(errno.EROFS)))
    bad = [] if is_told(code, said) and "ead-only file system" in said else [f"write {n}: {code} {said}"]
    time.sleep(1.1)
    go_on = RESUME if command == LORA and (place.folder / "run/manifest.json").exists() else command
    code, said = place.run(go_on)
    if code and "is finished" not in said:
        bad.append(f"it does not go on: {said}")
    return bad + differ(wanted, left(place.folder)), int(n == 1)


def vanished(place, command):
    """The folder that it writes into is taken away."""
    wanted, seconds = place.wanted(command)
    place.fresh()
    process = place.start(command)
    time.sleep(place.dice.uniform(0, seconds))
    gone = place.folder / "run"
    shutil.rmtree(gone, ignore_errors=True)
    code, said = ended(process)
    if code == 0:
        return ([] if left(place.folder) == wanted else []), 1
    bad = [] if is_told(code, said) else [f"{code} {said}"]
    shutil.rmtree(gone, ignore_errors=True)
    code, said = place.run(command)
    return bad + ([f"not begun anew: {said}"] if code else []) + differ(wanted, left(place.folder)), 0


def jumping_clock(place, command):
    wanted, _ = place.wanted(command)
    place.fresh()
    code, said = place.run(command, LD_PRELOAD=str(place.compiled("jumping_clock.c", "-shared", "-fPIC")))
    return ([f"{code} {said}"] if code else []) + differ(wanted, left(place.folder)), 0


def dead_owner(place, _):
    """Whoever had the folder is killed, or only stopped: then it is in use, until that one is dead."""
    wanted, seconds = place.wanted(LORA)
    place.fresh()
    owner = place.start(LORA)
    while not (place.folder / "run/events.jsonl").exists() and owner.poll() is None:
        time.sleep(0.01)
    time.sleep(place.dice.uniform(0, seconds / 8))
    owner.send_signal(signal.SIGSTOP)
    finished = (place.folder / "run/metrics.json").exists()
    code, said = place.run(RESUME)
    bad = [] if finished or is_told(code, said) and "another" in said else [f"stands still: {code} {said}"]
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    code, said = place.run(RESUME)
    if code and not finished:
        bad.append(f"dead: {said}")
    return bad + differ(wanted, left(place.folder)), 0


def replaced_weights(place, in_place):
    """Other weights take the place of those that are read, by a new file or by writing into the old one."""
    command = SCORE.replace("cloze score", "cloze score -m model")

    def model():
        shutil.copytree(ROOT / "tests/fixtures/tiny", place.folder / "model")
        weights = place.folder / "model/model.safetensors"
        other = bytearray(weights.read_bytes())
        # Numbers that are a little others: the last half of the file is weights alone.
        for at in range(len(other) // 2 // 4 * 4 + len(other) % 4, len(other), 4):
            other[at] ^= 1
        return weights, bytes(other)

    answers = place.undisturbed.setdefault("weights", [])
    if not answers:
        for which in (0, 1):
            place.fresh()
            weights, other = model()
            if which:
                weights.write_bytes(other)
            started = time.monotonic()
            code, said = place.run(command)
            assert code == 0, said
            answers.append((place.folder / "out.csv").read_bytes())
            place.undisturbed["weights, seconds"] = time.monotonic() - started
        assert answers[0] != answers[1]
    place.fresh()
    weights, other = model()
    process = place.start(command)
    time.sleep(place.dice.uniform(0, place.undisturbed["weights, seconds"]))
    if in_place:
        weights.write_bytes(other)
    else:
        (place.folder / "model/next").write_bytes(other)
        os.replace(place.folder / "model/next", weights)
    code, said = ended(process)
    if code == 0:
        out = (place.folder / "out.csv").read_bytes()
        return ([] if out in answers else ["the answers are of neither weights"]), answers.index(out) if out in answers else 0
    if in_place and code == -signal.SIGBUS:
        return [], 0
    return ([] if is_told(code, said) else [f"{code} {said}"]), 0


DONE = {
    "two at once: `train`": (at_once, LORA), "two at once: `score`": (at_once, SCORE), "two at once: `init`": (at_once, INIT),
    "two at once: `train --resume`": (two_resume, None),
    "read-only: `train`": (read_only, LORA), "read-only: `score`": (read_only, SCORE), "read-only: `init`": (read_only, INIT),
    "vanished: `train`": (vanished, LORA),
    "clock jumps: `train`": (jumping_clock, LORA), "clock jumps: `score`": (jumping_clock, SCORE),
    "owner stopped, then dead: `train --resume`": (dead_owner, None),
    "weights replaced by another file: `score`": (replaced_weights, False),
    "weights written over in place: `score`": (replaced_weights, True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", type=Path, default=ROOT / "target/release/cloze")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="what has this in its name")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="trouble-")).resolve()
    place, wrong = Place(work, args.cloze), 0
    print("| what | times | wrong |\n|---|--:|--:|")
    for name, (do, what) in DONE.items():
        if args.only not in name:
            continue
        found = [bad for bad, _ in (do(place, what) for _ in range(args.times)) if bad]
        print(f"| {name} | {args.times} | {len(found)} |", flush=True)
        for bad in found[:5]:
            print("    " + json.dumps(bad[:4]), flush=True)
        wrong += len(found)
    shutil.rmtree(work)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
