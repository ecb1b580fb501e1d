#!/usr/bin/env python3
"""A BERT masked language model of any size with random weights (seed 0), for timing: python random_bert.py LAYERSxHIDDEN LIKE OUT

Heads of 64, a feed-forward layer of four times the width, the vocabulary of the model folder LIKE.
"""
import shutil
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM

size, like, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
layers, hidden = (int(part) for part in size.split("x"))
torch.manual_seed(0)
config = BertConfig(vocab_size=BertConfig.from_pretrained(like).vocab_size, hidden_size=hidden, num_hidden_layers=layers,
                    num_attention_heads=hidden // 64, intermediate_size=4 * hidden)
BertForMaskedLM(config).save_pretrained(out)
for name in ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
    shutil.copy(like / name, out / name)
