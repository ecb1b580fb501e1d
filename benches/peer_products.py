#!/usr/bin/env python3
"""The machine's limit for `cloze score`, in benches/compare.py: the matrix products that the task needs, and nothing else.

    python benches/peer_products.py --template F --verbalizer F --data F --model DIR --out F --threads N [--dtype f32|bf16|int8]

Counts the rows' tokens, padding not among them, and multiplies matrices of as many rows by weights of the model's shapes: query, key and value, attention
output and both feed-forward layers of every layer, of the last one keys and values alone. Weights lie arranged for the library (oneDNN, through libtorch), each
thread has a product of 1024 rows of its own. No attention, no activations, no layer norms, no embeddings: what a program reaches of this rate is the share of
the machine that it uses. What it writes are no predictions.
"""
import json
import threading
import time
from pathlib import Path

import torch

import peer_transformers as shared

ROWS = 1024


def products(config, dtype):
    """-> functions that each multiply ROWS rows, for all layers in turn"""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    layer = [(3 * hidden, hidden), (hidden, hidden), (inner, hidden), (hidden, inner)]
    shapes = layer * (config["num_hidden_layers"] - 1) + [(2 * hidden, hidden)]
    return [product(*shape, dtype) for shape in shapes]


def product(outputs, inputs, dtype):
    if dtype == "int8":
        weight = torch.ops.onednn.qlinear_prepack(torch.randint(-127, 127, (outputs, inputs), dtype=torch.int8), None)
        data = torch.randint(0, 255, (ROWS, inputs), dtype=torch.uint8)
        scales, zeros, bias = torch.ones(outputs), torch.zeros(outputs, dtype=torch.int32), torch.zeros(outputs)
        return lambda: torch.ops.onednn.qlinear_pointwise(data, 1.0, 128, weight, scales, zeros, bias, 1.0, 0, torch.float32, "none", [], "")
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    weight = torch.ops.mkldnn._reorder_linear_weight(torch.randn(outputs, inputs).to(kind), ROWS)
    data, bias = torch.randn(ROWS, inputs).to(kind), torch.zeros(outputs).to(kind)
    return lambda: torch.ops.mkldnn._linear_pointwise(data, weight, bias, "none", [], "")


def main():
    parser = shared.parser(__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=["f32", "bf16", "int8"], default="f32")
    args = parser.parse_args()
    config = json.loads((Path(args.model) / "config.json").read_text())
    tokenizer = shared.BertTokenizerFast.from_pretrained(args.model)
    pattern = shared.Pattern(json.load(open(args.template, encoding="utf-8"))["pattern"], tokenizer)
    rows = shared.read(args.data)
    tokens = sum(len(row["input_ids"]) for row in shared.features(pattern, tokenizer, rows, args.max_length))
    passes = tokens / ROWS / args.threads
    begin = threading.Barrier(args.threads + 1)

    def work():
        torch.set_num_threads(1)
        with torch.no_grad():
            every = products(config, args.dtype)
            [multiply() for multiply in every]
            begin.wait()
            for _ in range(int(passes)):
                [multiply() for multiply in every]
            for multiply in every[:round((passes % 1) * len(every))]:
                multiply()

    threads = [threading.Thread(target=work) for _ in range(args.threads)]
    [thread.start() for thread in threads]
    begin.wait()
    start = time.perf_counter()
    [thread.join() for thread in threads]
    shared.write(args.out, ["none"], torch.ones(len(rows), 1), time.perf_counter() - start)


if __name__ == "__main__":
    main()
