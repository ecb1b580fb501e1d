"""Rows of Spark answered by cloze: a process for each of Spark's Python workers, which keeps it from task to task.

    answered(spark.read.parquet("rows"), ["cloze", "score", "--run", "runs/tickets"]).write.parquet("answers")
"""

import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from cloze_process import held


def answered(rows, command):
    """The rows with cloze's columns. What these are is asked of cloze here, with a batch without rows."""
    nothing = pa.RecordBatch.from_pylist([], schema=to_arrow_schema(rows.schema))
    (answer,) = held(command).answers([nothing])
    held(command).start(None)
    return rows.mapInArrow(lambda batches: held(command).answers(batches), from_arrow_schema(answer.schema))
