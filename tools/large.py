#!/usr/bin/env python3
"""Large and long inputs, with the tests' model: `make large [MINUTES=5] [ONLY=columns]`.

Each must be answered, or refused by one error; the peak of memory stands beside it. A stream runs for MINUTES, and its
memory is read every second: it may not grow after the first quarter. Linux. Prints a table, as docs/reliability.md has
it; seconds are of a machine that may do other things.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from crash import folder_for
from same import ROOT, environment
from same_commands import template

SCORE = "cloze score -t t.json -v v.json --threads 1"
GROWS = 16 << 10  # KiB that a stream may grow by


def vocabulary(model):
    words = (ROOT / model / "vocab.txt").read_text(encoding="utf-8").split()
    return [word for word in words if word.isascii() and word.isalpha() and word.islower() and len(word) > 1]


def verbalizer(classes, words):
    """Of words of the model that ships, each of one class."""
    listed = vocabulary("models/cloze-minilm-l6")
    assert len(listed) >= classes * words
    classes = [{"label": f"class {number}", "words": listed[number * words:(number + 1) * words]} for number in range(classes)]
    return json.dumps({"version": 1, "classes": classes})


def run(folder, env, command, stdin=None, stdout=subprocess.DEVNULL):
    """Exit code, what was said, seconds, and the peak of memory in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=folder, env=env, stdin=stdin or subprocess.DEVNULL, stdout=stdout,
                               stderr=subprocess.PIPE)
    said = process.stderr.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, time.monotonic() - started, used.ru_maxrss >> 10


def field(folder, env):
    (folder / "d.csv").write_text("text\n" + "a good film " * (50 * 1024 * 1024 // 12) + "\n")
    return run(folder, env, f"{SCORE} -d d.csv --out out.csv")


def columns(folder, env):
    names = [f"c{number}" for number in range(9999)] + ["text"]
    row = ["x"] * 9999 + ["a good film"]
    (folder / "d.csv").write_text("\n".join(",".join(line) for line in [names, *[row] * 20]) + "\n")
    return run(folder, env, f"{SCORE} -d d.csv --keep-columns --out out.csv")


def classes(folder, env):
    (folder / "v.json").write_text(verbalizer(5000, 1))
    return run(folder, env, f"{SCORE} -m models/cloze-minilm-l6 -d dev.csv --no-labels --out out.csv")


def words(folder, env):
    (folder / "v.json").write_text(verbalizer(2, 2000))
    return run(folder, env, f"{SCORE} -m models/cloze-minilm-l6 -d dev.csv --no-labels --out out.csv")


def patterns(folder, env):
    (folder / "patterns").mkdir()
    listed = vocabulary("tests/fixtures/tiny")
    for number in range(500):
        said = f"{listed[number % 50]} {listed[number // 50]}"
        (folder / f"patterns/{number}.json").write_text(template(f"{{text}} {said}: it was {{mask}}."))
    return run(folder, env, f"{SCORE.replace('t.json', 'patterns')} -d dev.csv --no-labels --out out.csv")


def threads(folder, env):
    code, said, seconds, memory = run(folder, {**env, "OMP_NUM_THREADS": "64"}, f"{SCORE.replace('--threads 1', '--threads 64')} -d many.csv --out out.csv")
    return code or int("64 threads" not in said), said, seconds, memory


def processes(folder, env):
    found = [None] * 8
    def one(number):
        found[number] = run(folder, env, f"{SCORE} -d many.csv --out out-{number}.csv")
    started = time.monotonic()
    all_of_them = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in all_of_them:
        thread.start()
    for thread in all_of_them:
        thread.join()
    outputs = {(folder / f"out-{number}.csv").read_bytes() for number in range(8)}
    code = max(code for code, *_ in found) or int(len(outputs) != 1)
    return code, "", time.monotonic() - started, max(memory for *_, memory in found)


def slow_producer(folder, env):
    command = "{ echo text; for i in $(seq 40); do echo a good film $i; sleep 0.2; done; } | " + f"{SCORE} -d - --no-labels"
    with open(folder / "out.csv", "wb") as out:
        code, said, seconds, memory = run(folder, env, f"sh -c '{command}'", stdout=out)
    return code or int((folder / "out.csv").read_text().count("\n") != 41), said, seconds, memory


def slow_consumer(folder, env):
    reading = "import sys,time\nfor n,line in enumerate(sys.stdin):\n  if n % 300 == 0: time.sleep(1)\nprint(n)"
    command = f"{SCORE} -d many.csv 2>said | {sys.executable} -c \"{reading}\""
    with open(folder / "count", "wb") as out:
        code, said, seconds, memory = run(folder, env, f"sh -c '{command}'", stdout=out)
    return code or int((folder / "count").read_text().strip() != "3000"), said, seconds, memory


def closed_pipe(folder, env):
    command = f"{{ {SCORE} -d many.csv; echo $? > code; }} 2>said | head -n 2"
    code, said, seconds, memory = run(folder, env, f"sh -c '{command}'")
    said = (folder / "said").read_text()
    own = (folder / "code").read_text().strip()
    return code or int(own != "0" or said != ""), f"exit {own} {said}".strip(), seconds, memory


def stream(minutes):
    def do(folder, env):
        """Rows for some minutes; memory after the first quarter and at the end."""
        command = [str(folder.parent / "bin/cloze"), *f"{SCORE} -d - --no-labels --flush-rows 8".split()[1:]]
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        started, sizes, rows = time.monotonic(), [], 0
        end = started + minutes * 60
        process.stdin.write("text\n")
        seen = started
        while time.monotonic() < end:
            for _ in range(200):
                rows += 1
                process.stdin.write(f"a {'good' if rows % 3 else 'bad'} film number {rows} {'and more of it ' * (rows % 40)}\n")
            if time.monotonic() - seen > 1:
                seen = time.monotonic()
                status = Path(f"/proc/{process.pid}/status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]))
        process.stdin.close()
        said = process.stderr.read()
        code = process.wait()
        quarter = len(sizes) // 4
        early, late = max(sizes[:quarter + 1]), max(sizes[quarter:])
        return code or int(late > early + GROWS), f"{rows:,} rows; {early >> 10} MiB in the first quarter, {late >> 10} MiB after; {said.strip()[-60:]}", \
            time.monotonic() - started, late >> 10
    return do


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", type=Path, default=ROOT / "target/release/cloze")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", default="", help="what has this in its name")
    args = parser.parse_args()
    tried = {"50 MiB in one field": field, "10,000 columns, all kept": columns, "5,000 classes": classes, "2,000 words a class": words,
             "500 patterns": patterns, "64 threads": threads, "eight processes at once": processes, "slow producer": slow_producer,
             "slow consumer": slow_consumer, "a pipe closed early": closed_pipe, "a stream": stream(args.minutes)}
    work = Path(tempfile.mkdtemp(prefix="large-")).resolve()
    (work / "bin").mkdir()
    (work / "bin/cloze").symlink_to(args.cloze.resolve())
    wrong = 0
    print("| what | exit | seconds | peak of memory | said |\n|---|--:|--:|--:|---|")
    for name, do in tried.items():
        if args.only not in name:
            continue
        folder = folder_for(work, "here")
        code, said, seconds, memory = do(folder, environment(work))
        shutil.rmtree(folder)
        ok = code == 0 or (code == 1 and said.count("error: ") == 1)
        wrong += not ok or "panicked" in said
        print(f"| {name} | {code} | {seconds:.0f} | {memory} MiB | {' '.join(said.split())[:150]} |", flush=True)
    shutil.rmtree(work)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
