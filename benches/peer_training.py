#!/usr/bin/env python3
"""The peer of `cloze train` in speed: the same loop as one writes it by hand with PyTorch, transformers and PEFT.

    HF_HUB_OFFLINE=1 python benches/peer_training.py --model DIR --method full|lora --batches FILE.json \\
        --label-words "[[2307, 2204], [6659]]" --steps N --threads 2

FILE.json is a list of batches, a batch a list of {"ids": [...], "token_types": [...], "mask": int, "label": int}, all
without padding; here each batch is padded to its longest. Batches come in the file's order, again from the first when
they run out. --label-words holds the ids of each class's words, as JSON or as a file with it.

A step: BertForMaskedLM (its decoder runs over all positions, as transformers does it), the logits at the mask, the
mean of each class's label-word logits, cross entropy, clipping at norm 1, AdamW (weight decay on all but biases and
LayerNorm weights), linear warm-up and decay. Dropout as in the model's config. LoRA: PEFT on query and value.

The first --untimed steps are steps like all others, of the schedule too; only the clock starts after them. Prints one
line of JSON: method, steps (all), examples and seconds (both of the timed steps), losses (of all steps).
Needs torch==2.4.1 transformers==4.46.3 and for LoRA peft==0.13.2.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import torch
from transformers import BertForMaskedLM, get_linear_schedule_with_warmup, logging

logging.set_verbosity_error()


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--method", choices=["full", "lora"], required=True)
    p.add_argument("--batches", type=Path, required=True)
    p.add_argument("--label-words", required=True)
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--untimed", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--learning-rate", type=float, help="default 1e-5, for LoRA 1e-4")
    p.add_argument("--warm-up", type=float, default=0.1, help="share of the steps (default %(default)s)")
    p.add_argument("--weight-decay", type=float, default=0.01)
    p.add_argument("--rank", type=int, default=8)
    p.add_argument("--alpha", type=float, default=16)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--device", default="cpu")
    args = p.parse_args()
    if not 0 <= args.untimed < args.steps:
        p.error("--untimed must be less than --steps")
    return args


def load(args):
    model = BertForMaskedLM.from_pretrained(args.model, torch_dtype=torch.float32)
    if args.method == "lora":
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=args.alpha, lora_dropout=0.0, target_modules=["query", "value"]))
    return model.to(args.device).train()


def optimiser(model, args):
    groups = {True: [], False: []}
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups[not (name.endswith("bias") or "LayerNorm.weight" in name)].append(p)
    rate = {"full": 1e-5, "lora": 1e-4}[args.method] if args.learning_rate is None else args.learning_rate
    return torch.optim.AdamW([{"params": g, "weight_decay": args.weight_decay if decays else 0.0} for decays, g in groups.items() if g], lr=rate)


def collate(batch, pad, device):
    length = max(len(e["ids"]) for e in batch)
    rows = lambda values, fill: torch.tensor([v + [fill] * (length - len(v)) for v in values], device=device)
    inputs = {"input_ids": rows([e["ids"] for e in batch], pad), "token_type_ids": rows([e["token_types"] for e in batch], 0),
              "attention_mask": rows([[1] * len(e["ids"]) for e in batch], 0)}
    return inputs, torch.tensor([e["mask"] for e in batch], device=device), torch.tensor([e["label"] for e in batch], device=device)


def step(model, opt, schedule, batch, words, args):
    inputs, masks, labels = collate(batch, model.config.pad_token_id, args.device)
    logits = model(**inputs).logits  # [B, L, V]
    at_mask = logits[torch.arange(len(masks), device=args.device), masks]
    scores = torch.stack([at_mask[:, ids].mean(1) for ids in words], 1)
    loss = torch.nn.functional.cross_entropy(scores, labels)
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for g in opt.param_groups for p in g["params"]], 1.0)
    opt.step()
    schedule.step()
    return loss.item()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    batches = json.loads(args.batches.read_text(encoding="utf-8"))
    text = args.label_words if args.label_words.lstrip().startswith("[") else Path(args.label_words).read_text(encoding="utf-8")
    words = [torch.tensor(ids, device=args.device) for ids in json.loads(text)]
    if not batches or not all(batches):
        sys.exit("error: an empty batch, or none")
    model = load(args)
    opt = optimiser(model, args)
    schedule = get_linear_schedule_with_warmup(opt, round(args.warm_up * args.steps), args.steps)
    losses, examples = [], 0
    start = time.perf_counter()
    for n in range(args.steps):
        if n == args.untimed:
            start = time.perf_counter()  # `loss.item()` has waited for the step before
        batch = batches[n % len(batches)]
        losses.append(step(model, opt, schedule, batch, words, args))
        examples += len(batch) if n >= args.untimed else 0
    seconds = time.perf_counter() - start
    print(json.dumps({"method": args.method, "steps": args.steps, "untimed": args.untimed, "threads": args.threads,
                      "examples": examples, "seconds": round(seconds, 4), "losses": [round(l, 6) for l in losses]}))


if __name__ == "__main__":
    main()
