#!/usr/bin/env python3
"""A masked language model of any family at the size of its base model, with random weights (seed 0), and rows for it:

    python random_family.py FAMILY OUT ROWS.csv TOKENS COUNT [spread]

Its tokenizer is a small one of tests/fixtures/tokenizers, its embeddings have the rows of the published model's vocabulary. Each row takes TOKENS
tokens with the pattern "{text} It was {mask}.", or with `spread` from a fourth of that to seven fourths.
"""
import csv
import random
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[1]
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
FAMILIES = {
    "bert": ("bert-added", {"model_type": "bert", **BASE, "vocab_size": 30522}),
    "roberta": ("roberta", {"model_type": "roberta", **BASE, "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "xlm-roberta": ("xlm-roberta", {"model_type": "xlm-roberta", **BASE, "vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "distilbert": ("bert-added", {"model_type": "distilbert", "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072, "vocab_size": 30522}),
    "albert": ("albert", {"model_type": "albert", **BASE, "embedding_size": 128, "vocab_size": 30000}),
    "electra": ("bert-added", {"model_type": "electra", **BASE, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024,
                               "embedding_size": 768, "vocab_size": 30522}),
    "modernbert": ("modernbert", {"model_type": "modernbert", "hidden_size": 768, "num_hidden_layers": 22, "num_attention_heads": 12,
                                  "intermediate_size": 1152, "vocab_size": 50368, "max_position_embeddings": 8192}),
}
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def model(family, out):
    kind, given = FAMILIES[family]
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (ROOT / "tests/fixtures/tokenizers" / kind / name).exists():
            shutil.copy(ROOT / "tests/fixtures/tokenizers" / kind / name, out / name)
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    if family == "modernbert":
        ids |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(AutoConfig.for_model(**given, **ids)).save_pretrained(out)
    return tokenizer


def rows(tokenizer, path, tokens, count, is_spread):
    with open(ROOT / "data/sentences/test.csv", encoding="utf-8", newline="") as file:
        words = [word for row in csv.DictReader(file) for word in row["text"].split() if word.isascii()]
    draw, own = random.Random(0), len(tokenizer(f" It was {tokenizer.mask_token}.")["input_ids"])
    lengths = [draw.randint(tokens // 4, 7 * tokens // 4) if is_spread else tokens for _ in range(count)]
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["text"])
        for length in lengths:
            text, left = [], length - own
            while left > 0:
                word = draw.choice(words) if left > 12 else "a"
                left -= len(tokenizer(" " + word, add_special_tokens=False)["input_ids"])
                text.append(word)
            out.writerow([" ".join(text)])


def main():
    family, out, path, tokens, count = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    tokenizer = AutoTokenizer.from_pretrained(out) if (out / "model.safetensors").exists() else model(family, out)
    rows(tokenizer, path, tokens, count, len(sys.argv) > 6)


if __name__ == "__main__":
    main()
