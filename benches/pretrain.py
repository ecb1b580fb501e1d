#!/usr/bin/env python3
"""Times `cloze pretrain` against the same work in PyTorch and transformers: same tokens, batch, steps and threads, in one run, in alternation.

    python3 benches/pretrain.py --cloze target/release/cloze [--text FILE] [--threads N] [--reps N]

The text is cut to what one batch takes, so that every step of either program has the same tokens, at other cuts and with other masks.
peer_pretrain.py is the peer. It runs in the Python of this script where that has PyTorch and transformers, else in the environment that
compare.py makes once. Steps are timed one by one, after a few that are not. Prints a Markdown table: seconds of a step and tokens a second,
medians over the repetitions, and the ratio to cloze in f32 within each.
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

UNTIMED = 3
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
    p.add_argument("--text", type=Path, default=HERE.parent / "docs/files-and-formats.md", help="plain text (default: a page of the guide)")
    p.add_argument("--model", type=Path, default=HERE.parent / "models/cloze-minilm-l6")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--sequence-length", type=int, default=128)
    p.add_argument("--steps", type=int, default=9, help=f"{UNTIMED} of them untimed (default %(default)s)")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=5)
    p.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME", help="some of: " + ", ".join(CONTESTANTS))
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
    subprocess.run([str(part) for part in parts], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def run(command, threads):
    """-> (what it printed, peak memory in MB)"""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as found:
        process = subprocess.Popen([str(part) for part in command], env=env, stdout=found)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command[0]} failed (exit code {process.returncode})")
        found.seek(0)
        return found.read(), usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def contest(args, python, name, tokens, folder):
    """-> (median of the timed steps' seconds, mean of all losses, peak memory in MB, versions)"""
    program, *options = CONTESTANTS[name]
    same = ["--model", args.model, "--batch-size", args.batch_size, "--sequence-length", args.sequence_length, "--steps", args.steps,
            "--threads", args.threads, *options]
    if program == "peer":
        printed, memory = run([python, HERE / "peer_pretrain.py", "--tokens", tokens, "--untimed", UNTIMED, *same], args.threads)
        found = json.loads(printed.strip().splitlines()[-1])
        versions = f"PyTorch {found['torch']}, transformers {found['transformers']}"
        return statistics.median(found["seconds"]), statistics.mean(found["losses"]), memory, versions
    _, memory = run([args.cloze, "pretrain", "--text", tokens, "--held-out", 0, "--quiet", "--out", folder, *same], args.threads)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    return statistics.median(e["seconds"] for e in steps[UNTIMED:]), statistics.mean(e["mlm_loss"] for e in steps), memory, None


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def span(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def main():
    args = arguments()
    args.cloze = args.cloze.resolve()
    python = python_for_peer()
    found = {name: [] for name in args.only}
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        write_tokens(args, python, work / "text.npy")
        for number in range(args.reps):
            turn = number % len(args.only)
            for name in args.only[turn:] + args.only[:turn]:  # each goes first in turn
                found[name].append(contest(args, python, name, work / "text.npy", work / f"{name}-{number}".replace(" ", "-")))
                compare.say(f"{number + 1} of {args.reps}, {name}: {found[name][-1][0]:.3f} s a step")
    tokens = args.batch_size * args.sequence_length
    versions = {version for runs in found.values() for *_, version in runs if version}
    print(f"{args.batch_size} sequences of {args.sequence_length} tokens, {args.threads} threads, {args.steps - UNTIMED} timed steps after {UNTIMED}, "
          f"{args.reps} repetitions; {processor()}; {'; '.join(sorted(versions))}\n")
    print("| | s a step (least–most) | tokens a second | speed (least–most) | peak memory, MB | mean loss |\n|---|---|---|---|---|---|")
    for name, runs in found.items():
        seconds = [run[0] for run in runs]
        speed = "1" if name == BASE else span([base[0] / own for base, own in zip(found[BASE], seconds)], ".2f")
        print(f"| {name} | {span(seconds, '.2f')} | {tokens / statistics.median(seconds):,.0f} | {speed} "
              f"| {max(run[2] for run in runs):.0f} | {statistics.mean(run[1] for run in runs):.3f} |")


if __name__ == "__main__":
    main()
