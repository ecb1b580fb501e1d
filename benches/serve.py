#!/usr/bin/env python3
"""Loads `cloze serve` over loopback: its throughput beside `cloze score` on the same rows, and its times beside FastAPI with
transformers, which batches in the same way (peer_fastapi.py); in alternation, in one run.

    python3 benches/serve.py --cloze target/release/cloze [--rows N] [--reps N] [--connections N ...] [--seconds S] [--no-peer] [--threads N]

The peer runs in a Python environment that is made once, in the user's cache folder. Every connection sends one text after the other,
as soon as the last is answered. Prints Markdown tables; a ratio is within one repetition. --soak S mixes well-behaved, slow, broken and hostile
clients for S seconds and prints how the service's memory grew, and whether an answer was lost.
"""
import argparse
import asyncio
import csv
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import HERE, cache_folder, say

PINS = ["torch==2.15.0", "transformers==5.24.0", "fastapi", "uvicorn", "numpy"]
ROOT = HERE.parent
PATTERN, WORDS = ROOT / "templates/sentiment/it-was.json", ROOT / "verbalizers/sentiment.json"
MODEL = ROOT / "models/cloze-minilm-l6"


def python_of_peer():
    env = cache_folder().with_name("bench-env-serve")
    python, done = env / "bin/python", env / "pins.txt"
    if not (done.exists() and done.read_text() == "\n".join(PINS)):
        say(f"making a Python environment in {env} ({', '.join(PINS)}); this is a large download, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(env)], check=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS]).returncode:
            sys.exit(f"pip could not install {', '.join(PINS)}")
        done.write_text("\n".join(PINS))
    return str(python)


def texts(count):
    with open(ROOT / "data/reviews/test.csv", newline="") as file:
        rows = [row["text"] for row in csv.DictReader(file)]
    chooser = random.Random(0)
    # From one sentence to a few, so that lengths differ as in practice; no two rows are the same.
    return [f"{number}. " + " ".join(chooser.choices(rows, k=chooser.choice([1, 1, 2, 3, 6]))) for number in range(count)]


def serving(cloze, threads, port, *more):
    command = [str(cloze), "serve", "--port", str(port), "--threads", str(threads), "--template", str(PATTERN),
               "--verbalizer", str(WORDS), "--quiet", *more]
    return subprocess.Popen(command)


async def until_ready(port, path):
    for _ in range(600):
        try:
            status, _ = await one(port, "GET", path, b"")
            if status < 500:
                return
        except OSError:
            pass
        await asyncio.sleep(0.2)
    sys.exit(f"nothing answers on port {port}")


def head(method, path, length):
    return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


async def answer_of(reader):
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?i)content-length: (\d+)", lines)
    body = await reader.readexactly(int(length.group(1))) if length else b""
    return int(lines.split(" ")[1]), body


async def one(port, method, path, body):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(method, path, len(body)) + body)
    answer = await answer_of(reader)
    writer.close()
    return answer


async def load(port, rows, connections, most_seconds):
    """Seconds for each answered row, and those of all of them together."""
    left, took, until = iter(rows), [], time.perf_counter() + most_seconds

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for text in left:
            body = json.dumps({"text": text}).encode()
            begun = time.perf_counter()
            writer.write(head("POST", "/classify", len(body)) + body)
            status, _ = await answer_of(reader)
            took.append(time.perf_counter() - begun)
            assert status == 200, status
            if time.perf_counter() > until:
                break
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    return took, time.perf_counter() - begun


def score_rate(cloze, threads, rows):
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder) / "rows.csv", Path(folder) / "report.json"
        with open(data, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text"])
            writer.writerows([row] for row in rows)
        subprocess.run([str(cloze), "score", "--template", str(PATTERN), "--verbalizer", str(WORDS), "--data", str(data),
                        "--threads", str(threads), "--out", str(Path(folder) / "out.csv"), "--report", str(report), "--quiet"], check=True)
        return json.loads(report.read_text())["rows_per_second"]


def percentile(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def throughput(args, rows):
    service = serving(args.cloze, args.threads, args.port)
    try:
        await until_ready(args.port, "/ready")
        await load(args.port, rows[:200], 64, 60)
        ratios = []
        print("| repetition | cloze score, rows/s | cloze serve at 64 connections, rows/s | ratio |\n|---|---|---|---|")
        for repetition in range(args.reps):
            alone = score_rate(args.cloze, args.threads, rows)
            took, seconds = await load(args.port, rows, 64, 600)
            ratios.append(len(took) / seconds / alone)
            print(f"| {repetition + 1} | {alone:.0f} | {len(took) / seconds:.0f} | {ratios[-1]:.2f} |", flush=True)
        print(f"\nmedian ratio {statistics.median(ratios):.2f}\n")
    finally:
        service.terminate()
        service.wait()


async def latencies(args, rows):
    ours, peers = args.port, args.port + 1
    services = [serving(args.cloze, args.threads, ours)]
    if not args.no_peer:
        services.append(subprocess.Popen([args.python or python_of_peer(), str(HERE / "peer_fastapi.py"), "--model", str(MODEL), "--port", str(peers),
                                          "--threads", str(args.threads)]))
    try:
        await until_ready(ours, "/ready")
        contestants = [("cloze serve", ours)]
        if not args.no_peer:
            await until_ready(peers, "/openapi.json")
            contestants.append(("FastAPI + transformers", peers))
            await same_answers(ours, peers, rows[:50])
        print("| connections | service | rows/s | p50 ms | p99 ms |\n|---|---|---|---|---|")
        for connections in args.connections:
            for name, port in contestants:
                await load(port, rows[:100], connections, 5)
                took, seconds = await load(port, itertools.islice(itertools.cycle(rows), 100_000), connections, args.seconds)
                print(f"| {connections} | {name} | {len(took) / seconds:.0f} | {percentile(took, 0.5) * 1000:.1f} | "
                      f"{percentile(took, 0.99) * 1000:.1f} |", flush=True)
    finally:
        for service in services:
            service.terminate()
            service.wait()


async def same_answers(ours, peers, rows):
    """A peer that computes something else is none."""
    for text in rows:
        said = [json.loads((await one(port, "POST", "/classify", json.dumps({"text": text}).encode()))[1]) for port in (ours, peers)]
        shares = [each["predictions"][0]["probabilities"]["positive"] for each in said]
        assert abs(shares[0] - shares[1]) < 1e-4, (text, shares)


def resident(process):
    lines = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", lines).group(1)) / 1024


async def soak(args, rows):
    """Clients of every kind at once; every well-behaved one must be answered."""
    service = serving(args.cloze, args.threads, args.port, "--max-queue", "256", "--max-body", "200000")
    port, until = args.port, time.monotonic() + args.soak
    counts = dict.fromkeys(["answered", "refused (429)", "lost", "hostile"], 0)

    async def good(number):
        while time.monotonic() < until:
            body = json.dumps({"texts": random.Random(number).choices(rows, k=number % 5 + 1)}).encode()
            try:
                status, answer = await one(port, "POST", "/classify", body)
            except (OSError, asyncio.IncompleteReadError):
                counts["lost"] += 1
                continue
            if status == 429:
                counts["refused (429)"] += 1
                await asyncio.sleep(0.2)
            else:
                whole = status == 200 and len(json.loads(answer)["predictions"]) == number % 5 + 1
                counts["answered" if whole else "lost"] += 1

    async def bad(number):
        chooser = random.Random(number)
        kinds = [
            head("POST", "/classify", 100000) + b"{",  # and leaves
            b"GET / HTTP/1.1\r\nX-Slow: ",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            head("POST", "/classify", 10) + b"\xff" * 10,
            head("POST", "/classify", 150000) + b"[" * 150000,
            head("POST", "/preview", 60) + b'{"text": "a", "templates": ["{text} {mask} {sep} {sep}"] }  ',
            head("POST", "/classify", 120000) + json.dumps({"texts": ["a b c " * 90] * 210}).encode()[:120000],
            b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
            head("POST", "/zero-shot", 10**12),
        ]
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(chooser.choice(kinds))
                await writer.drain()
                await asyncio.wait_for(reader.read(1000), chooser.choice([0.01, 0.5, 3]))
                writer.close()
            except (OSError, asyncio.TimeoutError):
                pass
            counts["hostile"] += 1
            await asyncio.sleep(chooser.random() / 5)

    async def watch():
        begun = None
        print("| minutes | memory, MiB |\n|---|---|")
        while time.monotonic() < until:
            await asyncio.sleep(min(args.soak / 10, 300))
            begun = begun or resident(service)
            print(f"| {(time.monotonic() - until + args.soak) / 60:.1f} | {resident(service):.0f} |", flush=True)

    try:
        await until_ready(port, "/ready")
        await asyncio.gather(watch(), *(good(number) for number in range(20)), *(bad(number) for number in range(20)))
        assert service.poll() is None, "the service ended"
        print("\n" + ", ".join(f"{name} {count}" for name, count in counts.items()))
        assert counts["lost"] == 0
    finally:
        service.terminate()
        assert service.wait() == 0


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path, help="the binary")
    p.add_argument("--rows", type=int, default=4000, help="rows of the throughput (default %(default)s)")
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--connections", nargs="*", type=int, default=[1, 8, 64, 512])
    p.add_argument("--seconds", type=float, default=20, help="for each number of connections (default %(default)s)")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--port", type=int, default=18700)
    p.add_argument("--python", help="a Python that has what the peer needs, in place of one that is made")
    p.add_argument("--no-peer", action="store_true", help="cloze alone")
    p.add_argument("--soak", type=float, help="mixed load for so many seconds, and nothing else")
    args = p.parse_args()
    rows = texts(args.rows)
    if args.soak:
        return asyncio.run(soak(args, rows))
    asyncio.run(throughput(args, rows))
    asyncio.run(latencies(args, rows))


if __name__ == "__main__":
    main()
