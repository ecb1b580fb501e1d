#!/usr/bin/env python3
"""Hold the crates that cloze is built of to deny.toml: their licences, and that all come from crates.io.

    python3 tools/licences.py            # fails where a licence is not allowed, or docs/licences.md is old
    python3 tools/licences.py --write    # writes docs/licences.md

It needs no network. Known weaknesses of crates are asked for with cargo-deny: `make audit`.
"""
import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs/licences.md"
SOURCE = "registry+https://github.com/rust-lang/crates.io-index"
HEAD = """# Licences

cloze is under MIT or Apache-2.0, as you like. A program that was built has these in it too:

- the crates below, each under its own licence. They are all that `Cargo.lock` names for any system and feature, those
  that only a build or a test needs among them; deny.toml says which licences are allowed, and `make lint` looks that
  this list is true (`make licences` writes it);
- SQLite, in the public domain, by `rusqlite`;
- libtorch (BSD 3-clause), which it is linked with, and which has libraries of other people in it: see the file
  `NOTICE` of PyTorch.

The weights of the model that ships come from `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0): see its
[card](../models/cloze-minilm-l6/README.md). The licences of data are in [data/README.md](../data/README.md).

| licence | crates |
|---|---|
"""


def tokens(expression):
    """The words of an SPDX expression; older crates write a / for OR."""
    return re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))


def allowed(expression, allow):
    """Whether one of the ways to take an expression is made of allowed licences alone."""
    rest = tokens(expression)

    def all_of():
        fine = one()
        while rest[:1] == ["AND"]:
            rest.pop(0)
            fine = one() and fine
        return fine

    def any_of():
        fine = all_of()
        while rest[:1] == ["OR"]:
            rest.pop(0)
            fine = all_of() or fine
        return fine

    def one():
        word = rest.pop(0)
        if word == "(":
            fine = any_of()
            if rest[:1] != [")"]:
                raise ValueError(expression)
            rest.pop(0)
            return fine
        if rest[:1] == ["WITH"]:
            word = f"{word} WITH {rest[1]}"
            del rest[:2]
        return word in allow

    fine = any_of()
    if rest:
        raise ValueError(expression)
    return fine


def crates():
    """All crates but cloze: name, version, licence, source."""
    metadata = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    told = subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    packages = json.loads(told)["packages"]
    return [(p["name"], p["version"], p["license"] or "", p["source"]) for p in packages if p["name"] != "cloze"]


def listed(found):
    """The page."""
    by_licence = defaultdict(list)
    for name, _, licence, _ in found:
        by_licence[licence].append(name)
    lines = [f"| {licence} | {', '.join(sorted(set(names)))} |\n" for licence, names in sorted(by_licence.items())]
    return HEAD + "".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/licences.md")
    args = parser.parse_args()
    allow = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    found = crates()
    bad = [f"{name} {version}: {licence or 'no licence'} is not allowed by deny.toml" for name, version, licence, _ in found
           if not licence or not allowed(licence, allow)]
    bad += [f"{name} {version} comes from {source}" for name, version, _, source in found if source != SOURCE]
    if args.write:
        LIST.write_text(listed(found))
    elif not LIST.exists() or LIST.read_text() != listed(found):
        bad.append("docs/licences.md is not what Cargo.lock says: make licences")
    sys.exit("\n".join(bad) or None)


if __name__ == "__main__":
    main()
