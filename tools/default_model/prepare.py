#!/usr/bin/env python3
"""All that the default model learns from, in one folder: tokens, labelled rows, patterns, words, and the file of tasks.

    python3 tools/default_model/prepare.py --shared ../shared --into target/default-model

Writes tokens/ and held-out/ (arrays of token ids), tasks/ (CSV, with a part to choose by), templates/ and verbalizers/ (a copy for each
task) and tasks.json; the same files each time. Needs nothing but Python.
"""

import argparse
import array
import ast
import csv
import json
import lzma
import shutil
import struct
import sys
from pathlib import Path

import derived
import recipe
import sources
import unlabelled

HERE = Path(__file__).resolve().parent

# The last so many of each array are held out.
HELD_OUT_TOKENS = 40_000


def header(count):
    """The head of a .npy file (version 1.0) of so many uint16, padded to whole 64 bytes."""
    said = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({count},), }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + said.ljust(117).encode() + b"\n"


def read_tokens(path):
    """The bytes of a compressed array of uint16."""
    with lzma.open(path) as file:
        if file.read(8) != b"\x93NUMPY\x01\x00":
            raise ValueError(f"{path} is not a .npy file of version 1.0")
        said = ast.literal_eval(file.read(struct.unpack("<H", file.read(2))[0]).decode())
        if said["descr"] != "<u2" or len(said["shape"]) != 1:
            raise ValueError(f"{path} holds {said}, not a row of uint16")
        tokens = file.read()
    if len(tokens) != 2 * said["shape"][0]:
        raise ValueError(f"{path} is cut off")
    return tokens


def unpack(shared, into):
    """Each array in two: what is trained on, and what is held out."""
    for path in sorted(sources.allowed(shared, Path(shared, "pretrain/tokens")).glob("*.npy.xz")):
        name, cut = path.name.removesuffix(".xz"), 2 * HELD_OUT_TOKENS
        targets = [into / "tokens" / name, into / "held-out" / name]
        if all(target.exists() for target in targets):
            continue
        tokens = read_tokens(path)
        for target, part in zip(targets, (tokens[:-cut], tokens[-cut:])):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(header(len(part) // 2) + part)
            partial.rename(target)
        print(f"{name}: {len(tokens) // 2 - HELD_OUT_TOKENS} tokens and {HELD_OUT_TOKENS} held out", file=sys.stderr)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_rows(shared, into):
    """The labelled sets, the sets that rules make of text without labels, and all that is derived from them."""
    unseen = sources.Unseen(shared)
    loaded = {name: sources.load(shared, name, unseen) for name in sources.SETS}
    for name, rows in unlabelled.made(into / "tokens").items():
        clean = [row for row in rows if not unseen.has(row)]
        loaded[name] = *sources.split(clean, unlabelled.DEV_SHARE), len(rows) - len(clean)
    for name, (train, dev, left_out) in loaded.items():
        print(f"{name}: {left_out} rows left out, as a set that stays unseen has their text", file=sys.stderr)
        for part, rows in (("", train), ("-dev", dev)):
            for made, some in derived.everything(name, rows).items():
                write(into / "tasks" / f"{made}{part}.csv", some)
                print(f"  {made}{part}: {len(some)} rows", file=sys.stderr)


def template_files(task):
    """The files of a task's templates by the name that they get: one of ours that has a name which ships gets a number."""
    found = {}
    for family in task["templates"]:
        folder = HERE.parents[1] / "templates" / family[1:] if family.startswith("/") else HERE / "templates" / family
        for path in sorted(folder.glob("*.json")):
            found[path.stem if path.stem not in found else f"{path.stem}-2"] = path
    return found


def verbalizer(name):
    """A verbalizer's text: a file here, or made of the classes of another file here."""
    path = HERE / "verbalizers" / f"{name}.json"
    if path.exists():
        return path.read_text(encoding="utf-8")
    if name.startswith("intents"):
        # All of them, or those of a domain.
        inside = name.removeprefix("intents").removeprefix("-").replace("-", "_")
        each = [group for group in derived.intents()["words"] if any(intent.startswith(inside) for intent in group["intents"])]
        classes = {group["label"]: group["words"] for group in each}
    else:
        file, some, names = recipe.WORDS[name]
        classes = {each["label"]: each[names] for each in derived.json_of(file)[some]}
    classes = [{"label": label, "words": words} for label, words in classes.items()]
    return json.dumps({"version": 1, "about": f"{name}; our own", "classes": classes}, indent=1)


def write_tasks(into):
    """The patterns and words of each task, and the file that names them all."""
    shutil.rmtree(into / "templates", ignore_errors=True)
    for task in recipe.TASKS:
        folder = into / "templates" / task["name"]
        folder.mkdir(parents=True)
        for name, path in template_files(task).items():
            shutil.copyfile(path, folder / f"{name}.json")
        words = into / "verbalizers" / f"{task['name']}.json"
        words.parent.mkdir(parents=True, exist_ok=True)
        words.write_text(verbalizer(task["verbalizer"]), encoding="utf-8")
    (into / "tasks.json").write_text(json.dumps(recipe.tasks_file(), indent=1) + "\n", encoding="utf-8")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--shared", required=True, type=Path, help="a folder with instruct, pretrain, ship and data")
    p.add_argument("--into", required=True, type=Path)
    args = p.parse_args()
    unpack(args.shared, args.into)
    write_rows(args.shared, args.into)
    write_tasks(args.into)


if __name__ == "__main__":
    main()
