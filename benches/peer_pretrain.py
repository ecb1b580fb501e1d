#!/usr/bin/env python3
"""The peer of `cloze pretrain` in speed: masked language modelling on packed sequences with PyTorch and transformers, written with care.

    HF_HUB_OFFLINE=1 python benches/peer_pretrain.py --model DIR --tokens FILE.npy --batch-size 32 --sequence-length 128 --steps N \\
        [--bf16] [--head all] [--compile]

FILE.npy holds token ids (uint16), as many as one batch has: every step has all of them, cut at another place and masked anew. A sequence is
[CLS], L - 2 ids and [SEP]; 15 % of the ids are to be predicted, of which 80 % become the mask, 10 % any entry of the vocabulary.

A step: BertForMaskedLM, cross entropy, clipping at norm 1, AdamW (fused; weight decay on all but biases and LayerNorm weights), linear warm-up
and decay. Dropout as in the model's config. Weights are in single precision; --bf16 runs the forward pass under autocast. --head masked computes
the head for the tokens that are to be predicted alone; --head all is `model(input_ids, labels=labels).loss`, as most scripts have it.
--compile has torch.compile make kernels of the model, in the first step.

Prints one line of JSON: each step's seconds by the clock, those of the processor, and loss; versions. Needs PyTorch 2.4 or newer and transformers.
"""
import argparse
import json
import time
from pathlib import Path

import numpy
import torch
import transformers
from transformers import BertForMaskedLM, get_linear_schedule_with_warmup, logging

logging.set_verbosity_error()


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, type=Path)
    p.add_argument("--tokens", required=True, type=Path)
    p.add_argument("--batch-size", type=int, required=True)
    p.add_argument("--sequence-length", type=int, required=True)
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--head", choices=["masked", "all"], default="masked")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--learning-rate", type=float, default=1e-4)
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


def optimiser(model, rate):
    groups = {True: [], False: []}
    for name, p in model.named_parameters():
        groups[not (name.endswith("bias") or "LayerNorm.weight" in name)].append(p)
    return torch.optim.AdamW([{"params": g, "weight_decay": 0.01 if decays else 0.0} for decays, g in groups.items()], lr=rate, fused=True)


def batch(tokens, args, special, vocabulary, random):
    """Sequences with masks [B,L], and their labels: -100 where nothing is to be predicted."""
    inner = args.sequence_length - 2
    tokens = numpy.roll(tokens, random.integers(len(tokens)))[:args.batch_size * inner].reshape(args.batch_size, inner)
    edge = numpy.full((args.batch_size, 1), special["cls"])
    ids = numpy.concatenate([edge, tokens, numpy.full_like(edge, special["sep"])], 1)
    labels = numpy.full_like(ids, -100)
    count = round(0.15 * inner)
    places = 1 + random.random((args.batch_size, inner)).argsort(1)[:, :count]
    rows = numpy.arange(args.batch_size)[:, None]
    labels[rows, places] = ids[rows, places]
    dice = random.random(places.shape)
    other = numpy.where(dice < 0.9, random.integers(vocabulary, size=places.shape), ids[rows, places])
    ids[rows, places] = numpy.where(dice < 0.8, special["mask"], other)
    return torch.from_numpy(ids), torch.from_numpy(labels)


def loss_of(model, ids, labels, head):
    if head == "all":
        return model(input_ids=ids, labels=labels).loss
    states = model.bert(input_ids=ids).last_hidden_state
    rows = labels != -100
    return torch.nn.functional.cross_entropy(model.cls(states[rows]).float(), labels[rows])


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random = numpy.random.default_rng(args.seed)
    tokens = numpy.load(args.tokens).astype(numpy.int64)
    words = {word: number for number, word in enumerate((args.model / "vocab.txt").read_text(encoding="utf-8").splitlines())}
    special = {name: words[f"[{name.upper()}]"] for name in ("cls", "sep", "mask")}
    model = BertForMaskedLM.from_pretrained(args.model).float().train()
    opt = optimiser(model, args.learning_rate)
    schedule = get_linear_schedule_with_warmup(opt, round(0.1 * args.steps), args.steps)
    forward = torch.compile(loss_of) if args.compile else loss_of
    losses, seconds, processor = [], [], []
    for _ in range(args.steps):
        start, started = time.perf_counter(), time.process_time()
        ids, labels = batch(tokens, args, special, len(words), random)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss = forward(model, ids, labels, args.head)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        schedule.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - started)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"seconds": seconds, "processor": processor, "losses": losses, **versions}))


if __name__ == "__main__":
    main()
