#!/usr/bin/env python3
"""Install what was built, or remove it again: `make install` and `make uninstall` run this.

Below the prefix:
  bin/cloze           the program
  share/cloze/        the model, templates, verbalizers, example data and the guide; the program looks here
  share/man/man1/     manual pages
  share/bash-completion/completions/, share/zsh/site-functions/, share/fish/vendor_completions.d/
  lib/cloze/          libtorch, but only if it lies in the checkout: the program must run without the checkout

What is installed is listed in share/cloze/installed.txt. Removing, and installing anew, take away what stands
there and nothing else: files of your own stay.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("models/cloze-minilm-l6", "templates", "verbalizers", "data", "docs")
COMPLETIONS = {
    "bash": "share/bash-completion/completions/cloze",
    "zsh": "share/zsh/site-functions/_cloze",
    "fish": "share/fish/vendor_completions.d/cloze.fish",
}
LIST = "share/cloze/installed.txt"


class Problem(Exception):
    """Something that the person who runs this must know of."""


def say(text):
    print(text, flush=True)


def run(*command):
    """What a program prints."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if result.returncode:
        raise Problem(f"{' '.join(map(str, command))} failed:\n{result.stderr.strip()}")
    return result.stdout


# --- what is installed --------------------------------------------------------------------------

def torch_folder(cloze):
    """The folder of the libtorch that a program runs with, or None where the system has no tool that tells."""
    if sys.platform == "darwin" and shutil.which("otool"):
        folders = re.findall(r"path (/.*) \(offset", run("otool", "-l", str(cloze)))
        return next((Path(f) for f in folders if (Path(f) / "libtorch_cpu.dylib").exists()), None)
    if shutil.which("ldd"):
        found = re.search(r"libtorch_cpu\.so\S* => (/.*) \(0x", run("ldd", str(cloze)))
        return Path(found.group(1)).parent if found else None
    return None


def within(path, folder):
    return Path(folder).resolve() in Path(path).resolve().parents


def sources(cloze, made):
    """What goes where: pairs of a file and its place below the prefix. `made` is a folder for what is made."""
    yield cloze, "bin/cloze"
    for name in SHIPPED:
        for path in sorted((ROOT / name).rglob("*")):
            if path.is_file():
                yield path, f"share/cloze/{path.relative_to(ROOT)}"
    run(str(cloze), "man", str(made / "man"))
    for path in sorted((made / "man").iterdir()):
        yield path, f"share/man/man1/{path.name}"
    for shell, place in COMPLETIONS.items():
        script = made / shell
        script.write_text(run(str(cloze), "completions", shell), encoding="utf-8")
        yield script, place
    torch = torch_folder(cloze)
    if torch and within(torch, ROOT):
        for path in sorted(torch.glob("*.so*" if sys.platform != "darwin" else "*.dylib")):
            yield path, f"lib/cloze/{path.name}"


def put(source, place):
    """Copy a file so that a reader, or a running program, has the old one or the new one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.new-{os.getpid()}")
    try:
        shutil.copy(str(source), str(fresh))  # with its mode: the program is executable
        os.replace(str(fresh), str(place))
    finally:
        if fresh.exists():
            fresh.unlink()


def listed(prefix):
    try:
        return (prefix / LIST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def take_away(prefix, names):
    """Remove files, and folders that are then empty."""
    for name in names:
        place = prefix / name
        if place.exists() or place.is_symlink():
            place.unlink()
        for folder in place.parents:
            if folder == prefix or any(folder.glob("*")) or not folder.is_dir():
                break
            folder.rmdir()


def install(cloze, prefix):
    if not cloze.is_file():
        raise Problem(f"there is no {cloze}: run make build first")
    missing = [name for name in SHIPPED if not (ROOT / name).is_dir()]
    if missing:
        raise Problem(f"this checkout has no {', '.join(missing)}")
    old, new = listed(prefix), []
    with tempfile.TemporaryDirectory() as made:
        for source, name in sources(cloze, Path(made)):
            put(source, prefix / name)
            new.append(name)
        lines = Path(made) / "list"
        lines.write_text("".join(f"{name}\n" for name in [*new, LIST]), encoding="utf-8")
        put(lines, prefix / LIST)
    take_away(prefix, sorted(set(old) - set(new) - {LIST}))
    say(f"installed in {prefix}: bin/cloze, and {len(new) - 1} files that it needs")
    # By its own libraries and its own model: what works here works without the checkout.
    say(run(str(prefix / "bin" / "cloze"), "--version").strip())
    if str(prefix / "bin") not in os.environ.get("PATH", "").split(os.pathsep):
        say(f"{prefix / 'bin'} is not on your PATH; put this line into your shell's start-up file:\n"
            f"  export PATH=\"{prefix / 'bin'}:$PATH\"")
    say("next: cloze doctor shows what cloze finds on this machine; cloze classify --help how to begin")


def remove(prefix):
    names = listed(prefix)
    if not names:
        raise Problem(f"nothing is installed in {prefix}: there is no {LIST}")
    take_away(prefix, names)
    say(f"removed from {prefix}: {len(names)} files")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cloze", default="target/release/cloze", help="the program that was built")
    parser.add_argument("--prefix", default="~/.local", help="the folder to install into")
    parser.add_argument("--remove", action="store_true", help="remove what was installed there")
    options = parser.parse_args(arguments)
    prefix = Path(options.prefix).expanduser().absolute()
    try:
        if options.remove:
            remove(prefix)
        else:
            install(Path(options.cloze).absolute(), prefix)
    except (Problem, OSError) as error:
        print(f"install: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
