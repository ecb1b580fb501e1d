#!/usr/bin/env python3
"""Fill the disk at every write of long commands, and go on when there is room: `make full-disk [MOST=60] [ONLY=train]`.

tools/full_disk.c lets all that takes room in a command's folder fail from the n-th time on. Each command runs once
undisturbed, which gives the number of such calls and what is there in the end. Then it runs for n = 1, 2, … (of many,
for MOST values of n that lie evenly), in folders of its own with older outputs in them. What must hold each time:

- it says one error, that there is no space, names a file as the user knows it, and exits with 1; or nothing that it was to
  write is missing, and it exits with 0;
- a file under a final name is what was there before, or what is there in the end; nothing half-written lies beside it;
- with room again it goes on, with --resume where there is something to go on with, and in the end all is as it is undisturbed.

`cloze label` is asked over HTTP too: an answer that was acknowledged is in the project, whatever failed then.
Prints a table, as docs/reliability.md has it.
"""
import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from crash import folder_for, left
from same import ROOT, environment
from same_commands import ENSEMBLE, METHODS, ONE, TRAIN

FEW = "--seeds 1 --steps 4 --checkpoint-every 2 -q"
ANSWER = f"-t t.json -v v.json {ONE}"
LABEL = "cloze label many.csv --labels 'good, bad' --by random --port 0 --labeller anna"

# What is done before, once; the command; and, where it makes a run, how it is gone on with.
COMMANDS = {
    "score --out, report, page": ("", f"cloze score {ANSWER} -d many.csv --out out.csv --report report.json --page page.html -q", ""),
    "score --out, Parquet": ("", f"cloze score {ANSWER} -d many.csv --out out.parquet -q", ""),
    "score --shard": ("", f"cloze score {ANSWER} -d many.csv --shard 1/2 --out out.jsonl.gz --report report.json -q", ""),
    "classify --out": ("", f"cloze classify many.csv --labels 'good, bad' {ONE} --out out.jsonl -q", ""),
    "merge": ("; ".join(f"cloze score {ANSWER} -d many.csv --shard {i}/2 --out {i}.csv --report {i}.json -q" for i in (1, 2)),
              "cloze merge 1.json 2.json --report all.json -q", ""),
    "init": ("", "cloze init started --labels 'good, bad' --from many.csv", ""),
    "search verbalizer": ("", f"cloze search verbalizer --method likelihood-ratio {ANSWER} --train train.csv --out best.json -q", ""),
    "export --merged": (f"{TRAIN} --seeds 1 --steps 2 -q --method lora --out learned", "cloze export --run learned --merged exported", ""),
    "export --peft": (f"{TRAIN} --seeds 1 --steps 2 -q --method lora --out learned", "cloze export --run learned --peft exported", ""),
    **{f"train --method {method}": ("", f"{TRAIN} {FEW} --method {method} --out run", "train") for method in METHODS},
    "train --select cv": ("", f"{TRAIN} --seeds 1 --steps 4 --select cv --evaluate-every 2 --method bias -q --out run", "train"),
    "train --tasks": ("", f"cloze train --tasks tasks.json {FEW} --method lora {ONE} --out run", "train"),
    "pretrain": ("", f"cloze pretrain --text text.txt --steps 4 --batch-size 2 --sequence-length 32 --checkpoint-every 2 -q {ONE} --out run", "pretrain"),
    "ensemble, iPET": ("", f"{ENSEMBLE} --seeds 1 --generations 1 --growth 2 --steps 4 --student-steps 4 --checkpoint-every 2 -q --out run", "ensemble"),
    "label, begun": ("", LABEL, ""),
    "label --export": ("LABEL", "cloze label many.csv --export labelled.csv", ""),
}
# Files that grow line by line.
GROWING = ("events.jsonl", "seconds.jsonl")
# Parts of a run that are there only until it is done.
MEANWHILE = ("tokens/", "generation-0/", "+v.learned.safetensors")
# How long parts took, a line each time that one was done: more of them where a run was gone on with.
NOT_COMPARED = ("run/seconds.jsonl",)
ROWS_ANSWERED = 6


def compiled(folder):
    program = folder / "full_disk"
    subprocess.run(["cc", "-O1", "-o", str(program), str(ROOT / "tools/full_disk.c")], check=True)
    return program


class Disk:
    """Where commands run: one folder, always of the same name, because names stand in manifests."""

    def __init__(self, work, program):
        self.work, self.program, self.folder, self.begun = work, program, work / "here", {}
        self.env = environment(work)

    def fresh(self, before):
        """The folder with what a command begins with."""
        shutil.rmtree(self.folder, ignore_errors=True)
        folder_for(self.work, "here")
        for file in self.folder.iterdir():
            # A share of rows that is done is known by when its rows were written.
            os.utime(file, (0, 0), follow_symlinks=False)
        if not before:
            return
        if before not in self.begun:
            if before == "LABEL":
                self.serve(0, labels)
            else:
                code, said, _ = self.run(0, before)
                assert code == 0, said
            self.begun[before] = shutil.copytree(self.folder, self.work / f"begun-{len(self.begun)}", symlinks=True)
        shutil.rmtree(self.folder)
        shutil.copytree(self.begun[before], self.folder, symlinks=True)

    def words(self, n, command):
        counted = self.work / "counted"
        return counted, [str(self.program), str(n), str(counted), str(self.folder) + "/", "sh", "-c", command if ";" in command else f"exec {command}"]

    def run(self, n, command):
        """Exit code, what was said, and how many calls took room."""
        if command.startswith(LABEL):
            return self.serve(n)
        counted, words = self.words(n, command)
        done = subprocess.run(words, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=300)
        return done.returncode, done.stderr.strip(), int(counted.read_text())

    def serve(self, n, ask=lambda url: None):
        """The same of a service, which is asked and then ended."""
        counted, words = self.words(n, LABEL)
        process = subprocess.Popen(words, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said, url = "", None
        for line in process.stderr:
            said += line
            url = re.search(r"http://localhost:\d+", line)
            if url:
                ask(url[0])
                # full_disk's only child is cloze itself.
                child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(child[0]), signal.SIGTERM)
                break
        said += process.stderr.read()
        code = process.wait()
        # A service that was told to end has done what it was to do.
        return (0 if url and code in (0, 143) else code), said.strip(), int(counted.read_text())


def labels(url):
    """Answers rows; gives those that the service says it has kept."""
    kept = []
    for place in range(ROWS_ANSWERED):
        body = json.dumps({"labeller": "anna", "place": place, "label": ["good", "bad"][place % 2], "note": f"note {place}"})
        asked = urllib.request.Request(f"{url}/answer", body.encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                answer.read()
            kept.append(place)
        except urllib.error.HTTPError as error:
            message = error.read().decode()
            if error.code != 500 or "many.csv.labels.sqlite" not in message:
                kept.append(f"{error.code} {message}")
    return kept


def content(folder):
    """All that is there, a project by what stands in it."""
    found = {name: holds for name, holds in left(folder).items() if name not in NOT_COMPARED}
    # As long as the seconds in the report are.
    found.update({name: re.sub(rb'"bytes": \[[^]]*]', b"", holds) for name, holds in found.items() if name.endswith(".done.json")})
    for name in [name for name in found if ".sqlite" in name]:
        del found[name]
        if name.endswith(".sqlite"):
            found[name] = project(folder / name)
    return found


def project(path):
    if not path.stat().st_size:
        return "empty"
    # To open it would mend what a transaction that failed has left: that is for cloze.
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(path.name + "*"):
            shutil.copy(file, folder)
        return read_project(Path(folder) / path.name)


def read_project(path):
    connection = sqlite3.connect(path)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return "empty"
        tables = [connection.execute(f"SELECT {columns} FROM {table}").fetchall() for columns, table in
                  [("about", "project"), ("*", "rows"), ("place, labeller, label, note", "answers")]]
        return repr(tables)
    except sqlite3.DatabaseError as error:
        return f"no project: {error}"
    finally:
        connection.close()


def problems(code, said, found, before, wanted):
    """What should not be after a disk was full."""
    wrong = []
    told = [line for line in said.splitlines() if line.startswith("error: ")]
    if code == 0:
        return [] if found == wanted else ["exit 0, and something is missing"]
    if code != 1:
        wrong.append(f"exit {code}")
    if len(told) != 1 or "panicked" in said:
        wrong.append(f"said {said!r}")
    elif not re.search("no space|the disk refuses it|its log beside it, cannot be opened", told[0]):
        wrong.append(f"it does not say that the disk is full: {told[0]}")
    elif ".partial-" in said or "/.tmp" in said or not re.search(r"cannot (write|make|read) |many.csv.labels.sqlite", told[0]):
        wrong.append(f"it names no file of the user's: {told[0]}")
    for name, holds in found.items():
        if holds in (wanted.get(name), before.get(name)) or any(part in name for part in MEANWHILE + GROWING) and ".partial-" not in name:
            continue
        if holds == "empty":
            continue
        wrong.append(f"half of it: {name}")
    wrong += [f"gone: {name}" for name in before if name not in found]
    return wrong


def play(disk, name, before, command, resumed, args):
    disk.fresh(before)
    given = content(disk.folder)
    code, said, calls = disk.run(0, command)
    if code or not calls:
        sys.exit(f"{name} fails undisturbed: {said}")
    wanted = content(disk.folder)
    outputs = [file for file in wanted if file not in given and "/" not in file and not file.endswith(".sqlite")]
    step = max(1, -(-calls // args.most))
    counts, wrong, messages = {"error": 0, "needed no room": 0}, [], set()
    for n in range(1, calls + 1, step):
        disk.fresh(before)
        for file in outputs:
            (disk.folder / file).write_text("what was there before\n")
        given = content(disk.folder)
        code, said, _ = disk.run(n, command)
        found = content(disk.folder)
        bad = problems(code, said, found, given, wanted)
        counts["error" if code else "needed no room"] += 1
        messages.update(line for line in said.splitlines() if line.startswith("error: "))
        resumes = resumed and (disk.folder / "run/manifest.json").exists()
        if code or bad:
            if not resumes:
                time.sleep(1.1)  # What is empty and younger than a second may be another process's.
            code, said, _ = disk.run(0, f"cloze {resumed} --resume --out run -q" if resumes else command)
            if code and "is finished" not in said:
                bad.append(f"it does not go on: {said!r}")
            found = content(disk.folder)
        bad += [f"another in the end: {file}" for file in sorted(wanted.keys() | found.keys()) if wanted.get(file) != found.get(file)]
        if bad:
            wrong.append((n, bad[:4]))
    print(f"| `{name}` | {calls} | {len(range(1, calls + 1, step))} | {counts['error']} | {counts['needed no room']} | {len(wrong)} |", flush=True)
    for found in wrong[:6]:
        print("    " + json.dumps(found), flush=True)
    if args.messages:
        print("".join(f"    {message}\n" for message in sorted(messages)), end="", flush=True)
    return len(wrong)


def answered(disk, args):
    """Rows are answered while the disk becomes full: what the service acknowledged is kept."""
    kept, wrong = [], []
    disk.fresh("LABEL")
    begun = shutil.copytree(disk.folder, disk.work / "begun-empty", symlinks=True)
    database = begun / "many.csv.labels.sqlite"
    connection = sqlite3.connect(database)
    connection.execute("DELETE FROM answers")
    connection.commit()
    connection.close()
    disk.begun["NO LABELS"] = begun
    disk.fresh("NO LABELS")
    _, _, calls = disk.serve(0, labels)
    for n in range(1, calls + 1):
        disk.fresh("NO LABELS")
        kept.clear()
        code, said, _ = disk.serve(n, lambda url: kept.extend(labels(url)))
        connection = sqlite3.connect(disk.folder / "many.csv.labels.sqlite")
        there = {place for place, in connection.execute("SELECT place FROM answers WHERE withdrawn IS NULL")}
        connection.close()
        bad = [str(place) for place in kept if place not in there]
        again = []
        code_again, said_again, _ = disk.serve(0, lambda url: again.extend(labels(url)))
        if bad or code_again or len(again) != ROWS_ANSWERED or code not in (0, 1):
            wrong.append((n, code, said, bad, code_again, said_again, again))
    print(f"| `label`, rows answered | {calls} | {calls} | | | {len(wrong)} |", flush=True)
    for found in wrong[:6]:
        print("    " + json.dumps(found), flush=True)
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", type=Path, default=ROOT / "target/release/cloze")
    parser.add_argument("--most", type=int, default=60, help="values of n for each command")
    parser.add_argument("--only", default="", help="commands with this in their name")
    parser.add_argument("--messages", action="store_true", help="print each error that was said")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="full-disk-")).resolve()
    (work / "bin").mkdir()
    (work / "bin/cloze").symlink_to(args.cloze.resolve())
    disk = Disk(work, compiled(work))
    print("| command | calls that take room | tried | errors | needed no room | wrong |")
    print("|---|--:|--:|--:|--:|--:|")
    wrong = 0
    for name, (before, command, resumed) in COMMANDS.items():
        if args.only in name:
            wrong += play(disk, name, before, command, resumed, args)
    if args.only in "label, rows answered":
        wrong += answered(disk, args)
    shutil.rmtree(work)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
