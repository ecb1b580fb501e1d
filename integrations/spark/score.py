"""Answers the rows of a folder of Parquet with cloze, on Spark 4:

    spark-submit --py-files ../cloze_process.py,cloze_spark.py score.py --input rows --output answers \\
        -- cloze score --run runs/tickets --threads 1
"""

import argparse
import time

from cloze_spark import answered
from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True, help="a folder or file of Parquet")
parser.add_argument("--output", required=True, help="a new folder")
parser.add_argument("--parts", type=int, help="so many tasks; one that dies is done again [default: as the files lie]")
parser.add_argument("--batch", type=int, default=1000, help="so many rows in a batch")
parser.add_argument("command", nargs="+", help="cloze score with its patterns and model")
args = parser.parse_args()
spark = SparkSession.builder.appName("cloze").getOrCreate()
spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", args.batch)
begun = time.monotonic()
rows = spark.read.parquet(args.input)
rows = rows.repartition(args.parts) if args.parts else rows
answered(rows, args.command).write.parquet(args.output)
print(f"{args.output}: written in {time.monotonic() - begun:.1f} s", flush=True)
spark.stop()
