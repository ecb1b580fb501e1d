"""A cloze process that answers Arrow batches: its model is loaded once, and it is started again if it is killed."""

import collections
import concurrent.futures
import itertools
import re
import subprocess
import tempfile

import pyarrow as pa

STREAM = ["--data", "-", "--format", "arrow", "--out", "-", "--out-format", "arrow", "--keep-columns", "--quiet"]
TRIES = 3  # so often a batch is given to a new process
AHEAD = 1  # so many batches are on their way while one is answered
HELD = {}  # by their commands


def held(command):
    """The process of this command, which this worker keeps."""
    return HELD.setdefault(tuple(command), Cloze(command))


class Cloze:
    def __init__(self, command):
        """`command` is that of `cloze score` with patterns and a model, as a list."""
        self.command, self.schema, self.process = command, None, None

    def answers(self, batches):
        """An answer for each batch, in their order: its columns and those of `cloze score`, but for `row`."""
        waiting, tries = collections.deque(), 0
        try:
            for batch in itertools.chain(batches, [None]):
                if batch is not None:
                    if batch.schema != self.schema:
                        self.start(batch.schema)
                    waiting.append(batch)
                    self.send(batch)
                while len(waiting) > (0 if batch is None else AHEAD):
                    try:
                        answer = self.receive()
                    except (StopIteration, OSError, pa.ArrowException):
                        tries += 1
                        self.check(waiting, tries)
                        self.start(self.schema)
                        for unanswered in waiting:
                            self.send(unanswered)
                        continue
                    self.rows += waiting.popleft().num_rows
                    tries = 0
                    yield answer
        finally:
            if waiting:
                self.start(None)  # nobody wants what is still to come

    def start(self, schema):
        if self.process:
            self.process.kill()
            self.writing.shutdown()
            self.process.wait()
        self.schema, self.rows, self.output, self.process = schema, 0, None, None
        if schema is not None:
            self.said, pipe = tempfile.TemporaryFile(), subprocess.PIPE
            self.process = subprocess.Popen([*self.command, *STREAM], stdin=pipe, stdout=pipe, stderr=self.said)
            self.input = pa.ipc.new_stream(self.process.stdin, schema)
            # On a thread of its own: pipes are small, and cloze may be writing.
            self.writing = concurrent.futures.ThreadPoolExecutor(1)

    def send(self, batch):
        self.writing.submit(lambda: (self.input.write_batch(batch), self.process.stdin.flush()))

    def receive(self):
        self.output = self.output or pa.ipc.open_stream(self.process.stdout)
        answer = self.output.read_next_batch().drop_columns(["row"])
        plain = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in answer.columns]
        return pa.RecordBatch.from_arrays(plain, names=answer.schema.names)

    def check(self, waiting, tries):
        """Raises what cloze said, with the row that it is about; whoever was killed said nothing."""
        ended = self.process.wait()
        self.said.seek(0)
        said = self.said.read().decode(errors="replace").strip()
        if ended < 0 and tries < TRIES:
            return
        record = re.search(r"record (\d+)", said)
        rows = pa.Table.from_batches(waiting).slice(int(record[1]) - self.rows - 1, 1).to_pylist() if record else []
        row = "".join(f"\nthe row: { {name: str(value)[:80] for name, value in row.items()} }" for row in rows)
        raise RuntimeError(f"cloze ended with {ended}: {said}{row}")
