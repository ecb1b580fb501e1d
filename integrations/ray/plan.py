"""Does the cells of a run that `cloze plan` wrote, on Ray, stage by stage, and collects them. All machines see the run's folder.

    cloze plan ensemble --template … --out /shared/runs/pet
    python plan.py --cpus 2 /shared/runs/pet
"""

import argparse
import fcntl
import json
import subprocess
from pathlib import Path

import ray


def cell(cloze, run, number, cpus):
    """One cell; cloze goes on with one that was stopped, and leaves one that is done. Where a worker was killed its cloze may live
    on: until it is done, the cell is its own."""
    own = Path(run) / f"cells/{number}/lock"
    if own.exists():
        with open(own, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
    done = subprocess.run([cloze, "run-cell", run, str(number), "--threads", str(cpus), "--quiet"], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"cell {number}: cloze ended with {done.returncode}\n{done.stderr}")


def carry_out(run, cloze, cpus):
    """All cells. One is tried four times, whether its process, its worker or its machine died."""
    remote = ray.remote(num_cpus=cpus, max_retries=3, retry_exceptions=True)(cell)
    stages = {}
    for entry in json.loads((Path(run) / "plan.json").read_text())["cells"]:
        stages.setdefault(entry["stage"], []).append(entry["cell"])
    for stage in sorted(stages):
        ray.get([remote.remote(cloze, run, number, cpus) for number in stages[stage]])
    subprocess.run([cloze, "collect", run], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", help="the folder of the run")
    parser.add_argument("--cloze", default="cloze", help="the program, as all machines have it")
    parser.add_argument("--cpus", type=int, default=1, help="cores, and threads, for a cell")
    args = parser.parse_args()
    ray.init(address="auto", ignore_reinit_error=True)
    carry_out(str(Path(args.run).resolve()), args.cloze, args.cpus)
