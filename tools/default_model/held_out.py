"""The loss of masked language modelling on held-out tokens, by transformers: a measure from outside cloze, with the same masks for every model."""

from pathlib import Path

import numpy as np
import torch
from transformers import BertForMaskedLM

SEQUENCE, RATE, SEED, BATCH = 128, 0.15, 7, 32
CLS, SEP, MASK, PADDING_END = 101, 102, 103, 1000


def masked(tokens, vocabulary, seed=SEED):
    """Sequences `[N, 128]` of the tokens with [CLS] and [SEP] round each, what the model sees of them, and where it is asked.

    Of 100 tokens 15 are asked for, never the end of a document; of these 80 % are masks, 10 % another token, 10 % as they are."""
    rng = np.random.default_rng(seed)
    inside = SEQUENCE - 2
    body = tokens[: len(tokens) // inside * inside].astype(np.int64).reshape(-1, inside)
    whole = np.pad(body, ((0, 0), (1, 1)))
    whole[:, 0], whole[:, -1] = CLS, SEP
    asked = (rng.random(whole.shape) < RATE) & (whole != CLS) & (whole != SEP)
    fate = rng.random(whole.shape)
    other = rng.integers(PADDING_END, vocabulary, whole.shape)
    seen = np.where(asked & (fate < 0.8), MASK, np.where(asked & (fate >= 0.9), other, whole))
    return whole, seen, asked


def losses(model, folder, threads=None):
    """source → mean loss in nats of its masked tokens."""
    if threads:
        torch.set_num_threads(threads)
    lm = BertForMaskedLM.from_pretrained(model, dtype=torch.float32).eval()
    found = {}
    for path in sorted(Path(folder).glob("*.npy")):
        whole, seen, asked = (torch.from_numpy(part) for part in masked(np.load(path), lm.config.vocab_size))
        total = 0.0
        for start in range(0, len(whole), BATCH):
            rows = slice(start, start + BATCH)
            with torch.no_grad():
                hidden = lm.bert(seen[rows]).last_hidden_state[asked[rows]]
                total += torch.nn.functional.cross_entropy(lm.cls(hidden), whole[rows][asked[rows]], reduction="sum").item()
        found[path.stem] = total / asked.sum().item()
    return found
