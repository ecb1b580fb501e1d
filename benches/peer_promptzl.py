#!/usr/bin/env python3
"""A peer of `cloze score` in benches/compare.py: Promptzl 1.0.0, the Python package that does this job.

    python benches/peer_promptzl.py --template F --verbalizer F --data F --model DIR --out F --threads N [--batch N]

A pattern becomes Promptzl's Txt, Key and Vbz, its class scores are mean logits as here, and `classify` does the rest. It truncates the row's
fields only in batches that are too long as a whole, and forgets token types: patterns with {sep} are refused.
"""
import time
import warnings
from functools import reduce
from operator import add

import torch
from datasets import Dataset
from promptzl import Key, MaskedLM4Classification, Txt, Vbz

import peer_transformers as shared


def prompt(pattern, words):
    pieces = []
    for literal, slot in zip(pattern.literals, [*pattern.slots, None]):
        if literal:
            pieces.append(Txt(literal.replace("%", "%%")))  # Promptzl formats its text with %
        if slot is not None:
            name = slot.split("|")[0]
            if name == "sep":
                raise SystemExit("Promptzl has no second segment")
            pieces.append(Vbz(words) if name == "mask" else Key(name))
    return reduce(add, pieces)


def main():
    parser = shared.parser(__doc__.splitlines()[0])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    tokenizer = shared.BertTokenizerFast.from_pretrained(args.model)
    pattern = shared.Pattern(shared.json.load(open(args.template, encoding="utf-8"))["pattern"], tokenizer)
    labels, classes, aggregate = shared.verbalizer(args.verbalizer, tokenizer)
    if aggregate != "mean_logit" or any((weights != weights[0]).any() for _, weights in classes):
        raise SystemExit("Promptzl knows the mean of logits only")
    words = [[tokenizer.convert_ids_to_tokens(i) for i in ids] for ids, _ in classes]
    model = MaskedLM4Classification(args.model, prompt(pattern, words), tokenizer_args={"model_max_length": args.max_length})
    rows = shared.read(args.data)

    start = time.perf_counter()
    data = Dataset.from_list([pattern.fields(row) for row in rows])
    probabilities = model.classify(data, batch_size=args.batch).distribution
    shared.write(args.out, labels, probabilities, time.perf_counter() - start)


if __name__ == "__main__":
    main()
