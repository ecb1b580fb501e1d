#!/bin/sh
# Makes scores.csv of every case here with transformers, by the peer script of the benchmark.
# Run from the project's root in a Python environment with torch and transformers: sh tests/oracle/make.sh
set -eu
for case in tests/oracle/*/; do
    python benches/peer_transformers.py --template "$case/template.json" --verbalizer "$case/verbalizer.json" --data "$case/data.csv" \
        --model models/cloze-minilm-l6 --max-length "$(cat "$case/max_length")" --out "$case/scores.csv"
done
