"""Train the default model in the stages of recipe.py, by cloze itself.

  python3 tools/default_model/train.py --cloze target/release/cloze --data target/default-model --base models/cloze-minilm-l6 --into FOLDER

What is stopped goes on when the command is given again: a stage's run from its last checkpoint; finished stages are not
repeated. `--from STAGE --base FOLDER --original FOLDER` begins with a later stage, on weights that are at hand. Needs nothing but Python.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import recipe


def train(stage, base, run, args):
    """The command that trains a stage, or goes on with it."""
    if (run / "manifest.json").exists():
        return [args.cloze, "train", "--resume", "--out", run, "--threads", args.threads]
    return [
        args.cloze, "train", "--tasks", args.data / f"stage-{stage['name']}.json", "--model", base, "--out", run,
        "--seeds", stage["seed"], "--steps", stage["steps"], "--learning-rate", stage["learning_rate"], "--warm-up", stage["warm_up"],
        "--evaluate-every", min(stage["steps"] // 2, 2000), *recipe.FLAGS, "--threads", args.threads, "--dtype", args.dtype,
    ]


def learn(stage, base, args, call=subprocess.run):
    """Trains a stage; the folder of its model."""
    run, model = (args.data / folder / stage["name"] for folder in ("runs", "models"))
    if model.exists():
        return model
    file = args.data / f"stage-{stage['name']}.json"
    file.write_text(json.dumps(recipe.stage_file(stage), indent=1) + "\n", encoding="utf-8")
    if not (run / "metrics.json").exists():
        # Memory that a step gives back is what the next one needs: to fetch it anew costs a fifth of the time.
        kept = {**os.environ, "MIMALLOC_PURGE_DELAY": "-1"}
        call([str(part) for part in train(stage, base, run, args)], check=True, env=kept)
    # Whole under another name first: a model that is there is taken for finished.
    unfinished = model.with_name(f".{stage['name']}")
    shutil.rmtree(unfinished, ignore_errors=True)
    average = ("--average-with", args.original or args.base, "--average-share", stage["original"])
    call([str(part) for part in (args.cloze, "export", "--run", run, "--merged", unfinished, "--precision", "f16", *average)], check=True)
    unfinished.rename(model)
    return model


def main():
    names = [stage["name"] for stage in recipe.STAGES]
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cloze", required=True, type=Path)
    p.add_argument("--data", required=True, type=Path, help="what prepare.py filled; runs and models of the stages go there too")
    p.add_argument("--base", required=True, type=Path, help="the model that the first of the stages begins with")
    p.add_argument("--from", dest="first", choices=names, default=names[0], help="the first stage")
    p.add_argument("--original", type=Path, help="version 1, which the stages' models are averaged with [default: --base]")
    p.add_argument("--into", type=Path, help="a folder for the model in the end")
    p.add_argument("--threads", default="2")
    p.add_argument("--dtype", default="bf16", choices=["f32", "bf16"], help="f32 where the processor has no instructions for bf16")
    args = p.parse_args()
    (args.data / "models").mkdir(parents=True, exist_ok=True)
    model = args.base
    for stage in recipe.STAGES[names.index(args.first):]:
        model = learn(stage, model, args)
        print(f"{stage['name']}: {model}", flush=True)
    if args.into:
        args.into.mkdir(parents=True, exist_ok=True)
        for file in model.iterdir():
            shutil.copyfile(file, args.into / file.name)


if __name__ == "__main__":
    main()
