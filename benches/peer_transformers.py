#!/usr/bin/env python3
"""The peer of `cloze score` in benches/compare.py: what one writes by hand with transformers.

    python benches/peer_transformers.py --template F --verbalizer F --data F --model DIR --out F --threads N

Reads the CSV, puts each row into the pattern, tokenises, pads to the longest of each batch of 32, runs
BertForMaskedLM, takes the label words' logits at the mask and writes the same columns as `cloze score`.
`--order file` takes the rows as they come; `--order sorted` puts rows of like length into one batch; `--pad N` pads every
row to N tokens, as OpenPrompt does. `--bf16` runs the model in bfloat16; `--compile` hands it to torch.compile, before the clock starts.
The last line on stderr is JSON: rows, seconds spent scoring (tokenising to softmax, without starting up, loading the
model, reading and writing files), rows per second.
"""
import argparse
import csv
import json
import re
import sys
import time

import torch
from transformers import BertForMaskedLM, BertTokenizerFast, logging

logging.set_verbosity_error()
FILTERS = {
    "shorten": lambda t: t,
    "no_final_punct": lambda t: re.sub(r"[.?!]$", "", t.rstrip()),
    "lower_first": lambda t: t[:1].lower() + t[1:],
}


def parser(description):
    p = argparse.ArgumentParser(description=description)
    for flag in ("--template", "--verbalizer", "--data", "--model", "--out"):
        p.add_argument(flag, required=True)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--max-length", type=int, default=512)
    return p


class Pattern:
    def __init__(self, text, tokenizer):
        self.slots = re.findall(r"\{([^{}]*)\}", text)
        self.literals = re.split(r"\{[^{}]*\}", text)
        self.mask = tokenizer.mask_token
        unknown = [f for s in self.slots for f in s.split("|")[1:] if f not in FILTERS]
        if unknown or "{{" in text or any(s.startswith(("soft", "demos")) for s in self.slots):
            sys.exit(f"this peer does not know {unknown or 'all of'} {text!r}")
        # Where no field is marked, all may be cut, as in cloze.
        marked = [s for s in self.slots if "shorten" in s.split("|")[1:]]
        self.shorten = [s.split("|")[0] for s in marked or self.slots if s not in ("mask", "sep")]

    def fields(self, row):
        out = dict(row)
        for slot in self.slots:
            name, *filters = slot.split("|")
            for f in filters:
                out[name] = FILTERS[f](out[name])
        return out

    def fill(self, fields):
        """-> (first segment, second segment or None)"""
        parts = [self.literals[0]]
        for slot, literal in zip(self.slots, self.literals[1:]):
            name = slot.split("|")[0]
            value = {"mask": self.mask, "sep": None}[name] if name in ("mask", "sep") else fields[name]
            parts += [value, literal]
        if None not in parts:
            return "".join(parts), None
        cut = parts.index(None)
        return "".join(parts[:cut]), "".join(parts[cut + 1:])


def tokenise(tokenizer, filled):
    a, b = zip(*filled)
    return tokenizer(list(a), None if b[0] is None else list(b))


def truncate(pattern, tokenizer, fields, over):
    """Cuts `over` tokens off the ends of the longest fields. The tokenizer's own truncation would cut the mask."""
    spans = {n: tokenizer(fields[n], add_special_tokens=False, return_offsets_mapping=True).offset_mapping for n in pattern.shorten}
    keep = {n: len(s) for n, s in spans.items()}
    for _ in range(over):
        longest = max(reversed(pattern.shorten), key=keep.get)  # the later field on a tie
        keep[longest] = max(keep[longest] - 1, 0)
    cut = {n: fields[n][:spans[n][k - 1][1] if k else 0] if k < len(spans[n]) else fields[n] for n, k in keep.items()}
    return pattern.fill({**fields, **cut})


def features(pattern, tokenizer, rows, limit):
    fields = [pattern.fields(r) for r in rows]
    filled = [pattern.fill(f) for f in fields]
    encoded = tokenise(tokenizer, filled)
    lengths = [len(i) for i in encoded.input_ids]
    cut = {n: truncate(pattern, tokenizer, fields[n], length - limit) for n, length in enumerate(lengths) if length > limit}
    encoded = [{"input_ids": i, "token_type_ids": t} for i, t in zip(encoded.input_ids, encoded.token_type_ids)]
    return [e if n not in cut else {k: v[0] for k, v in tokenise(tokenizer, [cut[n]]).items() if k in e} for n, e in enumerate(encoded)]


def class_scores(logits, classes, aggregate):
    """logits [B, V] -> [B, C]"""
    if aggregate == "mean_log_prob":
        every = sorted({i for ids, _ in classes for i in ids})
        logits = logits - logits[:, every].logsumexp(1, keepdim=True)
    columns = []
    for ids, weights in classes:
        words = logits[:, ids]
        if aggregate in ("mean_logit", "mean_log_prob"):
            columns.append((words * weights).sum(1) / weights.sum())
        elif aggregate == "log_sum_exp":
            columns.append((words + weights.log()).logsumexp(1))
        elif aggregate == "max":
            columns.append(words.max(1).values)
        else:
            sys.exit(f"unknown aggregate {aggregate!r}")
    return torch.stack(columns, 1)


def verbalizer(path, tokenizer):
    spec = json.load(open(path, encoding="utf-8"))
    classes = []
    for c in spec["classes"]:
        words = [(w, 1.0) if isinstance(w, str) else (w["word"], w.get("weight", 1.0)) for w in c["words"]]
        pieces = [tokenizer.tokenize(w) for w, _ in words]
        if any(len(p) != 1 for p in pieces):
            sys.exit(f"a label word of {c['label']!r} is not one token: {pieces}")
        classes.append((tokenizer.convert_tokens_to_ids([p[0] for p in pieces]), torch.tensor([w for _, w in words])))
    return [c["label"] for c in spec["classes"]], classes, spec.get("aggregate", "mean_logit")


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def write(path, labels, probabilities, seconds):
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["row", "predicted", "confidence"] + [f"p_{l}" for l in labels])
        for n, p in enumerate(probabilities.tolist(), 1):
            out.writerow([n, labels[p.index(max(p))], f"{max(p):.6f}"] + [f"{x:.6f}" for x in p])
    rows = len(probabilities)
    print(json.dumps({"rows": rows, "scoring_s": seconds, "rows_per_s": rows / seconds}), file=sys.stderr)


def main():
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--order", choices=["file", "sorted"], default="file")
    options.add_argument("--pad", type=int)
    options.add_argument("--bf16", action="store_true")
    options.add_argument("--compile", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = BertTokenizerFast.from_pretrained(args.model)
    model = BertForMaskedLM.from_pretrained(args.model, torch_dtype=torch.bfloat16 if args.bf16 else torch.float32).eval()
    if args.compile:
        model = torch.compile(model, dynamic=True)
    pattern = Pattern(json.load(open(args.template, encoding="utf-8"))["pattern"], tokenizer)
    labels, classes, aggregate = verbalizer(args.verbalizer, tokenizer)
    rows = read(args.data)
    limit = min(args.max_length, args.pad or args.max_length)

    if args.compile:  # for sizes that vary, with and without padding; a server would do so once
        with torch.no_grad():
            for size in ((args.batch, 32), (args.batch - 1, 47), (args.batch - 2, 61)):
                ones = torch.ones(size, dtype=torch.long)
                padded = ones.clone()
                padded[0, -1] = 0
                for mask in (ones, padded):
                    model(input_ids=ones, token_type_ids=ones * 0, attention_mask=mask)

    start = time.perf_counter()
    order = range(len(rows))
    if args.order == "sorted":  # needs all lengths first; in file order each batch is tokenised when its turn comes
        encoded = features(pattern, tokenizer, rows, limit)
        order = sorted(order, key=lambda i: len(encoded[i]["input_ids"]))
    probabilities = torch.zeros(len(rows), len(labels))
    with torch.no_grad():
        for at in range(0, len(rows), args.batch):
            picked = list(order[at:at + args.batch])
            if args.order == "sorted":
                batch = [encoded[i] for i in picked]
            else:
                batch = features(pattern, tokenizer, [rows[i] for i in picked], limit)
            padding = {"padding": "max_length", "max_length": args.pad} if args.pad else {}
            batch = tokenizer.pad(batch, return_tensors="pt", **padding)
            logits = model(**batch).logits.float()
            # The first mask of the row; a "[MASK]" written in the data would be taken for it.
            mask = (batch["input_ids"] == tokenizer.mask_token_id).int().argmax(1)
            at_mask = logits[torch.arange(len(picked)), mask]
            probabilities[picked] = class_scores(at_mask, classes, aggregate).softmax(1)
    write(args.out, labels, probabilities, time.perf_counter() - start)


if __name__ == "__main__":
    main()
