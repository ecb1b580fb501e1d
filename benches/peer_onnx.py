#!/usr/bin/env python3
"""A peer of `cloze score` in benches/compare.py: ONNX Runtime on an export of what the task needs.

    python benches/peer_onnx.py --template F --verbalizer F --data F --model DIR --out F --threads N [--int8]

The graph is the encoder, the state at the mask, the head's transform and the label words' rows of the decoder; it is exported
with torch.onnx, its attention, GELU and layer norms are fused by ONNX Runtime's own optimizer for BERT, and with --int8 it is
quantised dynamically. It is made once for each model and verbalizer (`--exports FOLDER`), before the clock starts. Rows are sorted
by length, as in peer_transformers.py, whose reading, wrapping and writing this shares.
"""
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import BertForMaskedLM, BertTokenizerFast

import peer_transformers as shared


class LabelWordLogits(torch.nn.Module):
    def __init__(self, model, ids):
        super().__init__()
        self.bert = model.bert
        self.transform = model.cls.predictions.transform
        decoder = model.cls.predictions.decoder
        self.register_buffer("weight", decoder.weight[ids].clone())
        self.register_buffer("bias", decoder.bias[ids].clone())

    def forward(self, input_ids, attention_mask, token_type_ids, mask):
        states = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state
        index = mask.view(-1, 1, 1).expand(-1, 1, states.shape[2])
        return torch.nn.functional.linear(self.transform(states.gather(1, index).squeeze(1)), self.weight, self.bias)


def export(model_folder, ids, int8, folder):
    """-> the graph's file, made if it is not there"""
    weights = sorted(Path(model_folder).resolve().iterdir())
    stamp = hashlib.sha256(repr([(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in weights] + [ids]).encode()).hexdigest()[:16]
    plain, fused, quantised = (Path(folder) / f"{stamp}{kind}.onnx" for kind in ("", "-fused", "-int8"))
    if not fused.exists():
        model = BertForMaskedLM.from_pretrained(model_folder, attn_implementation="eager").eval()
        one = torch.ones(2, 8, dtype=torch.int64)
        names = ["input_ids", "attention_mask", "token_type_ids", "mask"]
        axes = {name: {0: "rows", 1: "tokens"} for name in names[:3]} | {"mask": {0: "rows"}, "logits": {0: "rows"}}
        with torch.no_grad():
            torch.onnx.export(LabelWordLogits(model, ids), (one, one, one * 0, torch.ones(2, dtype=torch.int64)), str(plain),
                              input_names=names, output_names=["logits"], dynamic_axes=axes, opset_version=17)
        from onnxruntime.transformers import optimizer
        config = model.config
        made = optimizer.optimize_model(str(plain), "bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size)
        made.save_model_to_file(str(fused) + ".partial")
        os.replace(str(fused) + ".partial", fused)
        print(json.dumps(made.get_fused_operator_statistics()), file=sys.stderr)
    if int8 and not quantised.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic
        quantize_dynamic(str(fused), str(quantised) + ".partial", weight_type=QuantType.QInt8, per_channel=True,
                         extra_options={"DefaultTensorType": 1})  # float: what the fused operators give
        os.replace(str(quantised) + ".partial", quantised)
    return quantised if int8 else fused


def main():
    parser = shared.parser(__doc__.splitlines()[0])
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--exports", default=Path(__file__).resolve().parent / "exports")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = BertTokenizerFast.from_pretrained(args.model)
    pattern = shared.Pattern(json.load(open(args.template, encoding="utf-8"))["pattern"], tokenizer)
    labels, classes, aggregate = shared.verbalizer(args.verbalizer, tokenizer)
    words = [i for ids, _ in classes for i in ids]
    places = iter(range(len(words)))
    classes = [([next(places) for _ in ids], weights) for ids, weights in classes]
    Path(args.exports).mkdir(parents=True, exist_ok=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(str(export(args.model, words, args.int8, args.exports)), options, providers=["CPUExecutionProvider"])
    rows = shared.read(args.data)

    start = time.perf_counter()
    encoded = shared.features(pattern, tokenizer, rows, args.max_length)
    order = sorted(range(len(rows)), key=lambda i: len(encoded[i]["input_ids"]))
    probabilities = torch.zeros(len(rows), len(labels))
    for at in range(0, len(rows), args.batch):
        picked = order[at:at + args.batch]
        batch = tokenizer.pad([encoded[i] for i in picked], return_tensors="np")
        mask = (batch["input_ids"] == tokenizer.mask_token_id).argmax(1)
        logits = session.run(None, {**{k: v.astype(np.int64) for k, v in batch.items()}, "mask": mask.astype(np.int64)})[0]
        probabilities[picked] = shared.class_scores(torch.from_numpy(logits), classes, aggregate).softmax(1)
    shared.write(args.out, labels, probabilities, time.perf_counter() - start)


if __name__ == "__main__":
    main()
