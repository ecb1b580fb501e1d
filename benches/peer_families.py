#!/usr/bin/env python3
"""The peer of `cloze score` in benches/families.py: what one writes by hand with transformers 5, for any family.

    python benches/peer_families.py --data F --model DIR --out F --threads N [--attention eager|sdpa] [--bf16] [--max-length N]

Rows of like length go into a batch of 16, padded to the longest; the label words' logits are taken at the mask from the whole model's output.
The last line on stderr is JSON: rows, seconds from tokenising to softmax, rows per second.
"""
import argparse
import csv
import json
import sys
import time

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, logging

logging.set_verbosity_error()
logging.disable_progress_bar()


def main():
    p = argparse.ArgumentParser()
    for flag in ("--data", "--model", "--out"):
        p.add_argument(flag, required=True)
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("--attention", choices=["eager", "sdpa"], default="sdpa")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--max-length", type=int)
    p.add_argument("--bf16", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForMaskedLM.from_pretrained(args.model, attn_implementation=args.attention, dtype=torch.bfloat16 if args.bf16 else torch.float32).eval()
    words = [tokenizer(" " + word, add_special_tokens=False)["input_ids"] for word in ("great", "bad")]
    assert all(len(word) == 1 for word in words), words
    with open(args.data, encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    start = time.perf_counter()
    encoded = [{"input_ids": tokenizer(f"{text} It was {tokenizer.mask_token}.")["input_ids"]} for text in texts]
    order = sorted(range(len(texts)), key=lambda row: len(encoded[row]["input_ids"]))
    found = torch.zeros(len(texts), 2)
    with torch.no_grad():
        for at in range(0, len(order), args.batch):
            picked = order[at:at + args.batch]
            batch = tokenizer.pad([encoded[row] for row in picked], return_tensors="pt")
            logits = model(**batch).logits
            mask = (batch["input_ids"] == tokenizer.mask_token_id).int().argmax(1)
            at_mask = logits[torch.arange(len(picked)), mask].float()
            found[picked] = at_mask[:, [word[0] for word in words]].softmax(1)
    seconds = time.perf_counter() - start
    with open(args.out, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["row", "predicted", "confidence", "p_up", "p_down"])
        for row, (up, down) in enumerate(found.tolist(), 1):
            out.writerow([row, "up" if up >= down else "down", f"{max(up, down):.6f}", f"{up:.6f}", f"{down:.6f}"])
    print(json.dumps({"rows": len(texts), "scoring_s": seconds, "rows_per_s": len(texts) / seconds}), file=sys.stderr)


if __name__ == "__main__":
    main()
