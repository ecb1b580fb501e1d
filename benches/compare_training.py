#!/usr/bin/env python3
"""Times a step of `cloze train` against the same step in PyTorch: same batches, model, method and threads, in one run, in alternation.

    python3 benches/compare_training.py --cloze target/release/cloze [--data CSV] [--pattern P] [--verbalizer FILE] [--methods full lora]

The rows of the sample are one batch (--shots of each class, and as many rows in a batch), so that every step of either has the same
batch whatever its order. With dropout off both are run first and their losses compared step by step; the timing has the model's dropout.
peer_training.py is the peer. Prints a Markdown table: seconds of a step, medians over the repetitions, and the ratio within each.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import compare  # noqa: E402  # the environment with transformers is its

UNTIMED = 3
DTYPES = ("f32", "bf16")  # of cloze; PyTorch computes in single precision


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", type=Path, default=HERE.parent / "data/reviews/train.csv", help="labelled rows (default: the shipped reviews)")
    p.add_argument("--pattern", default="{text} It was {mask}.", help="one column at the start, then the mask")
    p.add_argument("--verbalizer", type=Path, default=HERE.parent / "verbalizers/sentiment.json", help="its words count by mean_logit")
    p.add_argument("--model", type=Path, default=HERE.parent / "models/cloze-minilm-l6")
    p.add_argument("--methods", nargs="+", default=["full", "lora"], choices=["full", "lora"])
    p.add_argument("--shots", type=int, default=8)
    p.add_argument("--steps", type=int, default=15)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=5)
    return p.parse_args()


def train(args, method, rows, folder, extra=()):
    """-> (seconds of each timed step, losses of all)"""
    template = folder.parent / "template.json"
    template.write_text(json.dumps({"version": 1, "pattern": args.pattern}))
    command = [args.cloze, "train", "--template", template, "--verbalizer", args.verbalizer, "--train", args.data, "--model", args.model,
               "--method", method, "--shots", args.shots, "--batch-size", rows, "--seeds", 13, "--steps", args.steps, "--learning-rate", "1e-5",
               "--threads", args.threads, "--quiet", "--out", folder, *extra]
    subprocess.run([str(part) for part in command], check=True)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event["seconds"] for event in events][UNTIMED:], [event["loss"] for event in events]


def batch_of(args, python, folder):
    """The sample as transformers' tokenizer sees it, with the words' ids."""
    script = """
import csv, json, sys
from transformers import BertTokenizerFast
model, sample, pattern, verbalizer, out = sys.argv[1:]
tokenizer = BertTokenizerFast.from_pretrained(model)
before, after = pattern.split("{mask}")
column = before[before.index("{") + 1:before.index("}")]
classes = json.load(open(verbalizer))["classes"]
labels = [c["label"] for c in classes]
word = lambda w: w if isinstance(w, str) else w["word"]
ids = lambda text: tokenizer(text, add_special_tokens=False).input_ids
batch = []
for row in csv.DictReader(open(sample, newline="", encoding="utf-8")):
    head = [tokenizer.cls_token_id] + ids(before.replace("{" + column + "}", row[column]))
    tokens = head + [tokenizer.mask_token_id] + ids(after) + [tokenizer.sep_token_id]
    batch.append({"ids": tokens, "token_types": [0] * len(tokens), "mask": len(head), "label": labels.index(row["label"])})
json.dump({"batch": batch, "words": [[ids(word(w))[0] for w in c["words"]] for c in classes]}, open(out, "w"))
"""
    out = folder.parent / "batch.json"
    parts = [python, "-c", script, args.model, folder / "sampled/seed-13.csv", args.pattern, args.verbalizer, out]
    subprocess.run([str(part) for part in parts], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    found = json.loads(out.read_text())
    (folder.parent / "batches.json").write_text(json.dumps([found["batch"]]))
    return folder.parent / "batches.json", json.dumps(found["words"])


def peer(args, python, method, batches, words, model):
    """-> (seconds of a timed step, losses of all steps)"""
    command = [python, HERE / "peer_training.py", "--model", model, "--method", method, "--batches", batches, "--label-words", words,
               "--steps", args.steps, "--untimed", UNTIMED, "--threads", args.threads, "--learning-rate", "1e-5"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    done = subprocess.run([str(part) for part in command], check=True, env=env, stdout=subprocess.PIPE, text=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result["seconds"] / (args.steps - UNTIMED), result["losses"]


def without_dropout(model, folder):
    """A copy of the model's folder whose config has no dropout."""
    folder.mkdir()
    for path in model.iterdir():
        if path.name != "config.json":
            (folder / path.name).symlink_to(path.resolve())
    config = json.loads((model / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def main():
    args = arguments()
    args.cloze = args.cloze.resolve()
    python = compare.python_with_transformers()
    print("| method | cloze, s a step | PyTorch, s a step | ratio (least–most) | tokens a step | largest difference of a loss |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        plain = without_dropout(args.model, work / "plain")
        with open(args.verbalizer, encoding="utf-8") as file:
            rows = args.shots * len(json.load(file)["classes"])
        for method in args.methods:
            losses = {dtype: train(args, method, rows, work / f"{method}-{dtype}-check", ["--dropout", 0, "--dtype", dtype])[1] for dtype in DTYPES}
            batches, words = batch_of(args, python, work / f"{method}-f32-check")
            batch = json.loads(batches.read_text())[0]
            _, theirs = peer(args, python, method, batches, words, plain)
            seconds = {name: [] for name in (*DTYPES, "PyTorch")}
            for number in range(args.reps):
                for dtype in DTYPES:
                    seconds[dtype].append(statistics.mean(train(args, method, rows, work / f"{method}-{dtype}-{number}", ["--dtype", dtype])[0]))
                seconds["PyTorch"].append(peer(args, python, method, batches, words, args.model)[0])
                compare.say(f"{method} {number + 1} of {args.reps}: " + ", ".join(f"{name} {found[-1]:.3f} s" for name, found in seconds.items()))
            longest = max(len(row["ids"]) for row in batch)
            for dtype in DTYPES:
                ratios = [theirs / ours for ours, theirs in zip(seconds[dtype], seconds["PyTorch"])]
                # LoRA's A is drawn at random, so only the first loss, of B = 0, must be the same.
                compared = list(zip(losses[dtype], theirs))[:1 if method == "lora" else None]
                difference = max(abs(a - b) for a, b in compared)
                print(f"| {method}, {dtype} | {statistics.median(seconds[dtype]):.3f} | {statistics.median(seconds['PyTorch']):.3f} | "
                      f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {len(batch)} x {longest} | {difference:.1e} |", flush=True)


if __name__ == "__main__":
    main()
