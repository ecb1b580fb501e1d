#!/usr/bin/env python3
"""Times `cloze pretrain` against the same work in PyTorch and transformers: same tokens, batch, steps and threads, in one run, in alternation.

    python3 benches/pretrain.py --cloze target/release/cloze [--text FILE] [--threads N] [--reps N]

The text is cut to what one batch takes, so that every step of either program has the same tokens, at other cuts and with other masks.
peer_pretrain.py is the peer. It runs in the Python of this script where that has PyTorch and transformers, else in the environment that
compare.py makes once. Of 2N steps the second N are timed, in two ways: by the clock (the median step), and by the processor's time of all
threads, which a busy machine disturbs less (of cloze it is the difference to a run of N steps). Prints a Markdown table: medians over the
repetitions, and the ratio to cloze in f32 within each.
"""
import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import compare  # noqa: E402  # the environment with transformers is its

BASE = "cloze f32"
CONTESTANTS = {
    BASE: ("cloze", "--dtype", "f32"),
    "cloze bf16": ("cloze", "--dtype", "bf16"),
    "PyTorch f32": ("peer",),
    "PyTorch bf16": ("peer", "--bf16"),
    "PyTorch f32, head everywhere": ("peer", "--head", "all"),
    "PyTorch bf16, head everywhere": ("peer", "--head", "all", "--bf16"),
    "PyTorch f32, compiled": ("peer", "--compile"),
    "PyTorch bf16, compiled": ("peer", "--bf16", "--compile"),
}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--text", type=Path, default=HERE.parent / "data/sentences/train.csv", help="read as plain text (default: shipped sentences)")
    p.add_argument("--model", type=Path, default=HERE.parent / "models/cloze-minilm-l6")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--sequence-length", type=int, default=128)
    p.add_argument("--steps", type=int, default=5, help="N (default %(default)s)")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=5)
    p.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME", help="; ".join(CONTESTANTS))
    args = p.parse_args()
    args.only = [BASE, *(name for name in args.only if name != BASE)]
    return args


def python_for_peer():
    return sys.executable if all(map(importlib.util.find_spec, ("torch", "transformers"))) else compare.python_with_transformers()


def write_tokens(args, python, path):
    """The text's ids, as many as a batch takes, as cloze and the peer read them."""
    script = """
import sys, numpy
from transformers import BertTokenizerFast
model, text, wanted, out = sys.argv[1:]
ids = BertTokenizerFast.from_pretrained(model)(open(text, encoding="utf-8").read(), add_special_tokens=False, verbose=False).input_ids
if len(ids) < int(wanted):
    sys.exit(f"{text} has {len(ids)} tokens, and a batch takes {wanted}")
numpy.save(out, numpy.array(ids[:int(wanted)], numpy.uint16))
"""
    wanted = args.batch_size * (args.sequence_length - 2)
    parts = [python, "-c", script, args.model, args.text, wanted, path]
    if subprocess.run([str(part) for part in parts], env={**os.environ, "HF_HUB_OFFLINE": "1"}).returncode:
        sys.exit(1)


def run(command, threads):
    """-> (what it printed, seconds of the processor, peak memory in MB)"""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    env.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as found:
        process = subprocess.Popen([str(part) for part in command], env=env, stdout=found, stderr=subprocess.PIPE)
        messages = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command[0]} failed (exit code {process.returncode}): {messages}")
        found.seek(0)
        return found.read(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def contest(args, python, name, tokens, folder):
    """-> (seconds of a step by the clock and by the processor, mean of all losses, peak memory in MB, versions)"""
    program, *options = CONTESTANTS[name]
    same = ["--model", args.model, "--batch-size", args.batch_size, "--sequence-length", args.sequence_length, "--threads", args.threads, *options]
    if program == "peer":
        command = [python, HERE / "peer_pretrain.py", "--tokens", tokens, "--steps", 2 * args.steps, *same]
        printed, _, memory = run(command, args.threads)
        found = json.loads(printed.strip().splitlines()[-1])
        by_clock, by_processor = (found[key][args.steps:] for key in ("seconds", "processor"))
        versions = f"PyTorch {found['torch']}, transformers {found['transformers']}"
        return statistics.median(by_clock), statistics.mean(by_processor), statistics.mean(found["losses"]), memory, versions
    cost = []
    for steps in (args.steps, 2 * args.steps):
        out = folder / str(steps)
        command = [args.cloze, "pretrain", "--text", tokens, "--held-out", 0, "--steps", steps, "--quiet", "--out", out, *same]
        _, processor, memory = run(command, args.threads)
        cost.append(processor)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    by_clock = statistics.median(event["seconds"] for event in events[args.steps:])
    return by_clock, (cost[1] - cost[0]) / args.steps, statistics.mean(event["mlm_loss"] for event in events), memory, None


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def span(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def speed(found, name, which):
    return "1" if name == BASE else span([base[which] / own[which] for base, own in zip(found[BASE], found[name])])


def main():
    args = arguments()
    args.cloze = args.cloze.resolve()
    python = python_for_peer()
    found = {name: [] for name in args.only}
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(work / "compiled")
        write_tokens(args, python, work / "text.npy")
        for number in range(args.reps):
            turn = number % len(args.only)
            for name in args.only[turn:] + args.only[:turn]:  # each goes first in turn
                found[name].append(contest(args, python, name, work / "text.npy", work / f"{name}-{number}".replace(" ", "-")))
                by_clock, by_processor = found[name][-1][:2]
                compare.say(f"{number + 1} of {args.reps}, {name}: {by_clock:.2f} s a step, {by_processor:.2f} s of the processor")
    tokens = args.batch_size * args.sequence_length
    versions = {version for runs in found.values() for *_, version in runs if version}
    print(f"{args.batch_size} sequences of {args.sequence_length} tokens, {args.threads} threads, {args.steps} and {2 * args.steps} steps, "
          f"{args.reps} repetitions; {processor()}; {'; '.join(sorted(versions))}\n")
    head = ["", "s a step (least–most)", "tokens a second", "speed", "processor, s a step", "speed", "peak memory, MB", "mean loss"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, runs in found.items():
        by_clock, by_processor, losses, memory, _ = zip(*runs)
        print(f"| {name} | {span(by_clock)} | {tokens / statistics.median(by_clock):,.0f} | {speed(found, name, 0)} | {span(by_processor)} "
              f"| {speed(found, name, 1)} | {max(memory):.0f} | {statistics.mean(losses):.3f} |")


if __name__ == "__main__":
    main()
