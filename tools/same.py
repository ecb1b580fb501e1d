#!/usr/bin/env python3
"""Compare all that two builds of cloze write: `make same OLD=path/to/old/cloze`.

The commands of tools/same_commands.py run with both builds, each build in folders of its own that begin with
the same files. What a command prints, its exit code, and every file that it writes, changes or removes must
be the same, byte for byte, except for what NORMALISED, NOT_COMPARED and WITHOUT_KEYS name below. A command
that fails with the old build counts as failed: the list is then wrong, and equal errors would prove nothing.
"""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

from same_commands import FILES, SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
# What the commands read, by the names that they have there. Copies: no build can damage the repository.
INPUTS = {"fixtures": "tests/fixtures", "models": "models", "templates": "templates",
          "verbalizers": "verbalizers", "data": "data"}
SECONDS_PER_COMMAND = 180

# Where (a file's name, <stdout> or <stderr>), what is replaced in its text, and by what. Each rule is for one
# thing that differs from run to run, or from version to version. Nothing else may differ.
Rule = namedtuple("Rule", "where pattern replacement")
SHORT_TIME = r"(?:\d+ min )?\d+(?:\.\d)? s"
TIME = r"(?:\d+ h )?" + SHORT_TIME
NORMALISED = [
    # How long a scoring took: "test.csv: 12 rows in 0.1 s, 231 rows/s (cloze, 1 thread)".
    Rule("<stderr>", rf"(?m)^(.+: [\d,]+ rows?) in {SHORT_TIME}, [\d,]+ rows/s (?=\()",
         r"\1 in N s, N rows/s "),
    # How long a training took: "seed 1: 8 rows, 0.3 s".
    Rule("<stderr>", rf"(?m)^(seed \d+: [\d,]+ rows?), {SHORT_TIME}(?=,|$)", r"\1, N s"),
    # The same in reports. A training that was resumed has null there, which is left as it is.
    Rule("*.json", r'(?m)^( +"(?:seconds|rows_per_second)": )\d[\d.e-]*(?=,?$)', r"\1N"),
    # The time of each step of a training, and of each part of an ensemble: the last key of its line.
    Rule("events.jsonl", r'(?m)(,"seconds":)\d[\d.e-]*(?=\}$)', r"\1N"),
    Rule("seconds.jsonl", r'(?m)(,"seconds":)\d[\d.e-]*(?=\}$)', r"\1N"),
    # The times in the table "Time" of an ensemble's page: each with a bar, and the sum without one.
    Rule("*.html", rf'<td>{TIME}(</td><td class="bar" aria-hidden="true"><div style="width:)[\d.]+(?=%">)',
         r"<td>N s\1N"),
    Rule("*.html", rf"(>in all</th><td>){TIME}(?=</td>)", r"\1N s"),
    # The version: in reports, in an ensemble's page, and in what --version prints.
    Rule("*.json", r'(?m)^( +"cloze": )"\d+\.\d+\.\d+"(?=,$)', r'\1"VERSION"'),
    Rule("*.html", r"(<dt>cloze</dt><dd>)\d+\.\d+\.\d+(?=</dd>)", r"\1VERSION"),
    Rule("<stdout>", r"(?m)^cloze \d+\.\d+\.\d+$", "cloze VERSION"),
    # The flags that exclude one, in zsh's completions: "'(--rank --alpha)--from=[". They are a set.
    Rule("<stdout>", r"(?m)(?<=^'\()-[^)]*(?=\)-)", lambda found: " ".join(sorted(found[0].split()))),
]

# Files that both builds must write, but that are not compared, and why.
NOT_COMPARED = {
    # 0.2.0 has one header for every kind of run, so its keys are not those of 0.1.0. What a manifest is for
    # is compared: the list scores with runs, resumes them, and runs them again from their manifests.
    "manifest.json",
}
# JSON files that are compared by content, without the keys named: {"report.json": ["run.threads"]}. Only for
# keys that an issue allows to change.
WITHOUT_KEYS = {}

Played = namedtuple("Played", "exit stdout stderr written")


class Problem(Exception):
    """Something that the person has to decide on or repair; its text says what."""


# --- running ------------------------------------------------------------------------------------

def environment(side):
    """No setting of the person counts: no colours, one thread, no network, no cache, the tests' model."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CLOZE_", "RUST_", "OMP_", "WNHOME"))}
    env.update(PATH=f"{side / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}", CLOZE_MODEL="fixtures/tiny",
               LC_ALL="C", NO_COLOR="1", OMP_NUM_THREADS="1", HTTPS_PROXY="http://127.0.0.1:9",
               XDG_CACHE_HOME=str(side / "cache"), RUSTBERT_CACHE=str(side / "cache"))
    return env


def run(command, folder, env):
    """Exit code (or what ended it), stdout and stderr."""
    process = subprocess.Popen(["sh", "-c", command], cwd=str(folder), env=env, start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        stdout, stderr = process.communicate(timeout=SECONDS_PER_COMMAND)
        return process.returncode, stdout, stderr
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        return f"none after {SECONDS_PER_COMMAND} s", stdout, stderr


def files_of(folder):
    """Each file below the folder, with what shows whether it was written since. Links to folders are not
    followed: they are the inputs."""
    found = {}
    for parent, _, names in os.walk(str(folder)):
        for path in (Path(parent, name) for name in names):
            about = path.lstat()
            found[path.relative_to(folder).as_posix()] = (about.st_ino, about.st_mtime_ns, about.st_size)
    return found


def play(command, folder, env):
    """Runs a command. Files that it wrote are there with their content, those that it removed with None."""
    before = files_of(folder)
    exit_code, stdout, stderr = run(command, folder, env)
    after = files_of(folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    written = {name: (folder / name).read_bytes() if name in after else None for name in changed}
    return Played(exit_code, stdout, stderr, written)


def make_folder(side, name):
    folder = side / name
    folder.mkdir()
    for link in INPUTS:
        (folder / link).symlink_to(Path("..", "inputs", link))
    for file, text in FILES.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def play_scenario(scenario, work):
    """Runs the commands with both builds in turn; (command, what differs or None) of each."""
    name, commands = scenario
    sides = [work / "old", work / "new"]
    folders = [make_folder(side, name) for side in sides]
    results = []
    for command in commands:
        old, new = (play(command, folder, environment(side)) for side, folder in zip(sides, folders))
        results.append((command, failure(old) or difference(old, new, *folders)))
    return results


# --- comparing ----------------------------------------------------------------------------------

def failure(old):
    """Why the old build's part cannot be compared with, or None."""
    if old.exit == 0:
        return None
    return f"the old build ends with exit code {old.exit}: {complaint(old.stderr)}"


def complaint(stderr):
    """The line of a message that says what went wrong, or its last one."""
    lines = stderr.decode("utf-8", "replace").rstrip().split("\n")
    return next((line for line in lines if line.startswith("error:") or " panicked at " in line), lines[-1])


def difference(old, new, old_folder, new_folder):
    """The first thing in which two plays of a command differ, or None."""
    if old.exit != new.exit:
        return f"exit code, {old.exit} → {new.exit}: {complaint(new.stderr)}"
    parts = [("<stdout>", old.stdout, new.stdout), ("<stderr>", old.stderr, new.stderr)]
    missing = object()
    parts += [(name, old.written.get(name, missing), new.written.get(name, missing))
              for name in sorted(old.written.keys() | new.written.keys())]
    for name, one, other in parts:
        if missing in (one, other):
            return f"{name}, written by the {'new' if one is missing else 'old'} build alone"
        if (one is None) != (other is None):
            return f"{name}, removed by the {'old' if one is None else 'new'} build alone"
        if one is None or Path(name).name in NOT_COMPARED:
            continue
        found = compare(name, one, other, old_folder, new_folder)
        if found:
            return f"{name}, {found}"
    return None


def compare(name, one, other, old_folder, new_folder):
    """The first place where two files differ, or None."""
    if one == other:
        return None
    if name.endswith(".safetensors"):
        try:
            return compare_tensors(tensors(one), tensors(other))
        except ValueError:
            pass  # One of them is damaged: then their bytes count.
    try:
        lines = [normalised(name, content.decode("utf-8"), folder).split("\n")
                 for content, folder in ((one, old_folder), (other, new_folder))]
    except ValueError:
        at = first_difference(one, other)
        return f"byte {at}: {one[at:at + 8].hex() or 'the end'} → {other[at:at + 8].hex() or 'the end'}"
    if lines[0] == lines[1]:
        return None
    at = first_difference(*lines)
    old, new = (side[at] if at < len(side) else None for side in lines)
    place = first_difference(old or "", new or "")
    return f"line {at + 1}: {shown(old, place)} → {shown(new, place)}"


def first_difference(one, other):
    """The index of the first item that two sequences do not share."""
    return next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def shown(line, place):
    """A line; of a long one (pages have lines of 3,000 characters) what stands around the place."""
    if line is None:
        return "the end"
    return line if len(line) <= 160 else "…" + line[max(0, place - 60):place + 60] + "…"


def normalised(name, text, folder):
    """A text without what may differ: what the rules name, and the folder (a model's whole path has it)."""
    base = name.rsplit("/", 1)[-1]
    if base in WITHOUT_KEYS:
        text = without_keys(text, WITHOUT_KEYS[base])
    text = text.replace(str(folder), "$FOLDER")
    for rule in NORMALISED:
        if fnmatch.fnmatchcase(base, rule.where):
            text = re.sub(rule.pattern, rule.replacement, text)
    return text


def without_keys(text, keys):
    """A JSON text without some of its keys, each with the names of the objects around it: "run.threads"."""
    value = json.loads(text)
    for key in keys:
        *outer, last = key.split(".")
        inner = value
        for part in outer:
            inner = inner.get(part, {}) if isinstance(inner, dict) else {}
        if isinstance(inner, dict):
            inner.pop(last, None)
    return json.dumps(value, indent=2, ensure_ascii=False)


def about(texts):
    """What a run's file of tensors says of them. Since 0.2.0 one text holds that beside a hash of the tensors and
    one of the manifest, which no older build has; 0.1.0 has it alone, or nothing."""
    if texts.keys() == {"cloze"}:
        return json.loads(texts["cloze"])["about"]
    if not texts:
        return ""
    return texts[next(iter(texts))] if texts.keys() <= {"history"} or texts.keys() <= {"progress"} else texts


def tensors(content):
    """A safetensors file as {name: (type, shape, bytes)}, its texts under __metadata__. The order of tensors
    and the spaces in the header mean nothing. ValueError where it is damaged."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 + length:
        raise ValueError("cut short")
    header = json.loads(content[8:8 + length].decode("utf-8"))
    data = content[8 + length:]
    found = {"__metadata__": ""}
    try:
        for name, entry in header.items():
            if name == "__metadata__":
                found[name] = about(entry)
            else:
                start, end = entry["data_offsets"]
                found[name] = (entry["dtype"], entry["shape"], data[start:end])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not a header of safetensors") from error
    return found


def compare_tensors(old, new):
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            return f"{name}: in the {'old' if name in old else 'new'} build's alone"
        if old[name] == new[name]:
            continue
        if name == "__metadata__":
            texts, new_texts = (json.dumps(side[name], sort_keys=True) for side in (old, new))
            return f"{name}: {texts} → {new_texts}"
        (dtype, shape, one), (new_dtype, new_shape, other) = old[name], new[name]
        if (dtype, shape) != (new_dtype, new_shape):
            return f"{name}: {dtype} {shape} → {new_dtype} {new_shape}"
        at = first_difference(one, other)
        return f"{name}: byte {at} of {len(one)}: {one[at:at + 8].hex()} → {other[at:at + 8].hex()}"
    return None


# --- the whole ----------------------------------------------------------------------------------

def chosen(scenarios, only):
    """The scenarios whose name the expression fits, and others up to the last command that it fits: a command
    may read what one before it made."""
    if only is None:
        return scenarios
    found = []
    for name, commands in scenarios:
        hits = [i for i, command in enumerate(commands) if only.search(command)]
        last = len(commands) if only.search(name) else max(hits) + 1 if hits else 0
        if last:
            found.append((name, commands[:last]))
    return found


def prepare(work, old, new):
    """A folder for each build: the binary by the name that manifests then have of it, and the inputs."""
    for side, binary in (("old", old), ("new", new)):
        (work / side / "bin").mkdir(parents=True)
        (work / side / "bin" / "cloze").symlink_to(binary)
        for name, source in INPUTS.items():
            shutil.copytree(str(ROOT / source), str(work / side / "inputs" / name))


def binary(path):
    path = Path(path).resolve()
    if not path.is_file() or not os.access(str(path), os.X_OK):
        raise Problem(f"{path} is not a program")
    return path


def play_all(scenarios, work, jobs):
    """Plays the scenarios, prints a line for each command; (passed, failed)."""
    counts = [0, 0]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        played = pool.map(lambda scenario: play_scenario(scenario, work), scenarios)
        for (name, _), results in zip(scenarios, played):
            for command, found in results:
                counts[found is not None] += 1
                verdict, reason = ("same", "") if found is None else ("DIFFERENT", f"\n    {found}")
                print(f"{verdict}  {name}  {command}{reason}", flush=True)
    return counts


def main(arguments):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--old", metavar="BINARY", help="the build to compare with")
    p.add_argument("--new", metavar="BINARY", default=str(ROOT / "target" / "release" / "cloze"),
                   help="the build in question [default: target/release/cloze]")
    p.add_argument("--only", metavar="REGEX", type=re.compile,
                   help="only scenarios whose name it fits, and commands that it fits with those before them")
    p.add_argument("--keep", metavar="FOLDER", type=Path,
                   help="a new folder, in which all that was written stays")
    p.add_argument("--list", action="store_true", help="show the commands, and run none")
    p.add_argument("--jobs", metavar="N", type=int, default=os.cpu_count() or 1,
                   help="scenarios at a time [default: one for each core]")
    args = p.parse_args(arguments)
    scenarios = chosen(SCENARIOS, args.only)
    if args.list:
        for name, commands in scenarios:
            print("\n".join(f"{name}  {command}" for command in commands))
        return 0
    try:
        if args.old is None:
            raise Problem("name the build to compare with: --old BINARY (make same OLD=BINARY)")
        if not scenarios:
            raise Problem("no command fits --only")
        old, new = binary(args.old), binary(args.new)
        if args.keep:
            args.keep.mkdir(parents=True)
        work = args.keep.resolve() if args.keep else Path(tempfile.mkdtemp(prefix="cloze-same-")).resolve()
    except (Problem, OSError) as problem:
        print(f"same: {problem}", file=sys.stderr)
        return 2
    try:
        prepare(work, old, new)
        passed, failed = play_all(scenarios, work, max(args.jobs, 1))
    finally:
        if not args.keep:
            shutil.rmtree(str(work), ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
