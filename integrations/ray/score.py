"""Answers the rows of a folder of Parquet with cloze, on Ray Data: actors, each with a process that it keeps.

    PYTHONPATH=.. python score.py --input rows --output answers --actors 8 -- cloze score --run runs/tickets --threads 1
"""

import argparse
import time

import pyarrow as pa
import ray

import cloze_process

# Workers on other machines need not have the file.
ray.cloudpickle.register_pickle_by_value(cloze_process)


class Answers:
    def __init__(self, command):
        self.cloze = cloze_process.Cloze(command)

    def __call__(self, rows):
        batches = rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=rows.schema)]
        return pa.Table.from_batches(self.cloze.answers(batches))


def answered(rows, command, actors, batch):
    """The rows of a data set with cloze's columns. An actor that dies is started again, and its rows are done anew; what cloze
    says no to fails, since it would each time."""
    return rows.map_batches(
        Answers, fn_constructor_args=[command], batch_format="pyarrow", batch_size=batch, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
        ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": 3})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", required=True, help="a folder or file of Parquet")
    parser.add_argument("--output", required=True, help="a folder")
    parser.add_argument("--actors", type=int, default=1, help="so many processes, each on a core; Ray reads and writes on others")
    parser.add_argument("--batch", type=int, default=1000, help="so many rows in a batch")
    parser.add_argument("command", nargs="+", help="cloze score with its patterns and model")
    args = parser.parse_args()
    ray.init(address="auto", ignore_reinit_error=True)
    begun = time.monotonic()
    answered(ray.data.read_parquet(args.input), args.command, args.actors, args.batch).write_parquet(args.output)
    print(f"{args.output}: written in {time.monotonic() - begun:.1f} s", flush=True)
