"""Tests of reproduce.py, with a small script in place of cloze: python3 -m unittest discover tools"""
import contextlib
import csv
import hashlib
import io
import json
import re
import shutil
import sys
import tempfile
import unittest
import zlib
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import reproduce  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent

# numpy 2.4: numpy.random.seed(seed); numpy.random.shuffle(a) with a = list(range(n)); its first six, and zlib.crc32 of all, joined by commas.
SHUFFLED = [
    (17, 13, [15, 8, 14, 1, 7, 5], 2009613843), (17, 42, [0, 1, 5, 15, 11, 14], 1737205261),
    (5452, 13, [4222, 418, 1832, 2764, 2141, 2705], 3252068874), (5452, 21, [86, 192, 5418, 3739, 2143, 3323], 1177175682),
    (67349, 87, [59803, 39321, 31881, 717, 20115, 18527], 4094655559), (67349, 100, [60062, 43424, 52419, 66487, 64737, 61983], 2188946159),
]

# Leaves what cloze leaves: the accuracy on dev rows is that which the test wrote for the batch size and the rate, 0.5 otherwise.
PROGRAM = """#!{python}
import json, sys
from pathlib import Path
here = Path(__file__).parent
words = sys.argv[1:]
with open(here / "log", "a") as log:
    log.write(json.dumps(words) + "\\n")
told = json.loads((here / "told.json").read_text())
if told.get("refuse_all"):
    sys.exit(1)
of = lambda flag: words[words.index(flag) + 1]
if words[0] == "score":
    Path(of("--report")).write_text(json.dumps({{"evaluation": {{"accuracy": 0.75}}, "patterns": [{{"evaluation": {{"accuracy": 0.1 * n}}}} for n in (3, 5)]}}))
    sys.exit(0)
out = Path(of("--out"))
if told.get("refuse"):
    sys.exit(1)
(out / "learned").mkdir(parents=True, exist_ok=True)
(out / "manifest.json").write_text("{{}}")
name = "/".join(out.parts[-2:])
if name in told.get("diverges", []) and "--resume" not in words:
    sys.exit(1)
(out / "predictions").mkdir(exist_ok=True)
if words[0] == "ensemble":
    for seed in json.loads(Path(of("--experiment")).read_text())["seeds"]:
        (out / f"predictions/student-seed-{{seed}}.csv").touch()
    (out / "report.json").write_text(json.dumps({{"stages": [{{"student": {{"accuracy": {{"by_seed": [0.5, 0.7]}}}}}}]}}))
else:
    seeds = of("--seeds").split(",") if "--seeds" in words else ["13"]
    for seed in seeds:
        (out / f"predictions/seed-{{seed}}.csv").touch()
    of_seed = {{"looks": [{{"accuracy": 0.25}}, {{"accuracy": told.get(out.name, 0.5)}}], "evaluation": {{"accuracy": 0.25}}}}
    (out / "metrics.json").write_text(json.dumps({{"seeds": [of_seed] * len(seeds)}}))
"""


class Rows(unittest.TestCase):
    """Which rows are drawn."""

    def test_the_shuffle_is_numpys(self):
        for count, seed, first, crc in SHUFFLED:
            found = reproduce.numpy_shuffle(range(count), seed)
            self.assertEqual(found[:6], first, (count, seed))
            self.assertEqual(zlib.crc32(",".join(map(str, found)).encode()), crc, (count, seed))

    def test_train_and_dev_have_k_of_each_class_and_no_row_in_common(self):
        rows = [("ab"[number % 3 == 0], number) for number in range(200)]
        (train, dev), classes = reproduce.k_shot(rows, lambda row: row[0], 16, 13)
        for part in (train, dev):
            self.assertEqual(sorted(row[0] for row in part), ["a"] * 16 + ["b"] * 16)
        self.assertFalse(set(train) & set(dev))
        # The first of each class in numpy's order, one class after the other.
        order = reproduce.numpy_shuffle(rows, 13)
        self.assertEqual(train, [row for label in classes for row in order if row[0] == label][:16] + [row for row in order if row[0] == list(classes)[1]][:16])

    def test_pet_takes_the_first_rows_of_each_class(self):
        self.assertEqual(reproduce.shares(10, 4), [3, 3, 2, 2])
        self.assertEqual(reproduce.shares(10, 3), [4, 3, 3])
        self.assertEqual(reproduce.shares(1000, 5), [200] * 5)
        rows = [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("b", 5)]
        self.assertEqual(reproduce.first_of_each(rows, {"a": 2, "b": 1}), ([("a", 1), ("a", 2), ("b", 3)], {}))
        self.assertEqual(reproduce.first_of_each(rows, {"a": 1, "b": 4}), ([("a", 1), ("b", 3), ("b", 5)], {"b": 2}))

    def test_ipet_goes_on_until_a_thousand_rows(self):
        self.assertEqual([reproduce.generations(examples) for examples in (10, 50, 100, 1000)], [3, 2, 2, 0])

    def test_fewer_test_rows_are_spread_over_the_file(self):
        self.assertEqual(reproduce.numbered(range(10), 4), [0, 2, 5, 7])
        self.assertEqual(reproduce.numbered(range(3), 4), [0, 1, 2])


class Facts(unittest.TestCase):
    """What stands in the papers."""

    def test_published_numbers(self):
        large, base, lm_bff = reproduce.PET_LARGE, reproduce.PET_BASE, reproduce.LM_BFF_LARGE
        self.assertEqual(large["pet-ag_news", 10, "PET"], (87.5, 0.0))
        self.assertEqual(large["pet-yelp", 100, "iPET"], (62.9, None))
        self.assertEqual(large["pet-mnli/mismatched", 1000, "PET"], (85.5, None))
        self.assertEqual(large["pet-mnli", 0, "unsupervised, mean"], (39.1, 4.3))
        self.assertEqual(base["pet-yelp", 50, "iPET"], (56.7, None))
        self.assertEqual(lm_bff["lm-bff-sst2", "prompt-based fine-tuning"], (92.7, None))
        # Of the other sets no number was found twice.
        self.assertEqual({task for task, _ in lm_bff}, {"lm-bff-sst2", "lm-bff-cr"})
        self.assertNotIn(("pet-yelp", 1000, "iPET"), large)

    def test_every_number_is_a_percentage_of_a_known_row(self):
        for (task, examples, row), (mean, deviation) in {**reproduce.PET_LARGE, **reproduce.PET_BASE}.items():
            self.assertIn(task.split("/")[0], reproduce.PATTERNS)
            self.assertIn(examples, (0, 10, 50, 100, 1000))
            self.assertIn(row, ("unsupervised, mean", "unsupervised, best", "supervised", "PET", "iPET"))
            self.assertTrue(20 < mean < 100 and (deviation is None or 0 <= deviation < 10))

    def test_label_words_are_those_of_the_shipped_verbalizers(self):
        for task, number, name in (("pet-ag_news", 0, "topic-pet"), ("pet-yelp", 0, "sentiment-5"), ("pet-mnli", 0, "inference-right-wrong"), ("pet-mnli", 1, "inference"),
                                   ("lm-bff-subj", 0, "subjectivity"), ("lm-bff-trec", 0, "question-type")):
            shipped = json.loads((ROOT / f"verbalizers/{name}.json").read_text(encoding="utf-8"))
            self.assertEqual({entry["label"]: entry["words"] for entry in shipped["classes"]}, {label: [word] for label, word in reproduce.WORDS[task][number].items()})

    def test_patterns_are_those_of_the_shipped_templates_but_for_their_spaces(self):
        plain = lambda pattern: re.sub(r"\s|\|\w+", "", pattern)
        shipped = {plain(json.loads(path.read_text(encoding="utf-8"))["pattern"]) for path in (ROOT / "templates").glob("*/*.json")}
        own = [plain(pattern) for patterns in reproduce.PATTERNS.values() for pattern in patterns]
        # Two of PET's for Yelp do not ship: one has a full stop behind the text, one is about a restaurant.
        self.assertEqual([pattern for pattern in own if pattern not in shipped], ["{text}.Allinall,itwas{mask}.", "{text}{sep}Insummary,therestaurantis{mask}."])
        self.assertEqual([len(reproduce.PATTERNS[task]) * len(reproduce.WORDS[task]) for task in ("pet-ag_news", "pet-yelp", "pet-mnli")], [6, 4, 4])

    def test_checksums_are_whole_and_none_stands_twice(self):
        sums = [one for task in reproduce.CHECKSUMS.values() for entry in task.values() for one in ([entry] if isinstance(entry, str) else entry)]
        self.assertEqual(len(sums), 5 * 11)
        self.assertEqual(len(set(sums)), len(sums))
        self.assertTrue(all(re.fullmatch("[0-9a-f]{32}", one) for one in sums))
        self.assertTrue(all(set(task) == {*reproduce.LM_BFF["seeds"], "test"} for task in reproduce.CHECKSUMS.values()))


class Folders(unittest.TestCase):
    """With files."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, str(self.folder))
        self.file("model/config.json", json.dumps({"model_type": "roberta", "hidden_size": 1024, "num_hidden_layers": 24}))
        self.file("told.json", "{}")
        self.program = self.file("cloze", PROGRAM.format(python=sys.executable))
        self.program.chmod(0o755)

    def file(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def csv(self, name, rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return self.file(name, text.getvalue())

    def run_it(self, *more, **flags):
        flags = {"cloze": self.program, "model": self.folder / "model", "data": self.folder / "data", "work": self.folder / "work", **flags}
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = reproduce.main([*(part for name, value in flags.items() for part in (f"--{name}", str(value))), *more])
        return status, out.getvalue(), errors.getvalue()

    def commands(self):
        """What was run since the last time."""
        path = self.folder / "log"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        path.unlink()
        return [json.loads(line) for line in lines]

    def sst2(self, rows=40):
        lines = [f"film {number} , {'fine' if number % 2 else 'dull'} . \t{number % 2}\n" for number in range(2 * rows)]
        for part in ("train", "dev"):
            self.file(f"data/original/SST-2/{part}.tsv", "sentence\tlabel\n" + "".join(lines))
        return lines


class Readers(Folders):
    """The sets' own files."""

    def rows(self, task, part="train"):
        return list(reproduce.Source(task, self.folder / "data").rows(part))

    def test_ag_news(self):
        self.csv("data/ag_news_csv/train.csv", [["3", "Oil, up", 'A \\"barrel\\" now'], ["1", "Vote", "Today"]])
        self.csv("data/ag_news_csv/test.csv", [["4", "Chip", "Small"]])
        self.assertEqual(self.rows("pet-ag_news"), [("business", "Oil, up", 'A  "barrel " now'), ("world", "Vote", "Today")])
        self.assertEqual(self.rows("pet-ag_news", "test"), [("sci_tech", "Chip", "Small")])

    def test_yelp_has_no_line_breaks_left(self):
        for part in ("train", "test"):
            self.csv(f"data/yelp_review_full_csv/{part}.csv", [["5", "Good.\\n\\nCheap."], ["1", "No"]])
        self.assertEqual(self.rows("pet-yelp"), [("very_positive", "Good.  Cheap."), ("very_negative", "No")])

    def test_mnli_by_the_names_of_its_columns_without_rows_that_have_no_class(self):
        text = 'index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tHe "went.."\tHe left.\tx\tentailment\n1\ta\tb\tx\t-\n2\tc?\td\tx\tneutral\n'
        for name in ("train", "dev_matched", "dev_mismatched"):
            self.file(f"data/MNLI/{name}.tsv", text)
        self.assertEqual(self.rows("pet-mnli", "mismatched"), [("entailment", 'He "went', "He left."), ("neutral", "c", "d")])

    def test_sst2_keeps_the_space_at_the_end(self):
        self.sst2()
        self.assertEqual(self.rows("lm-bff-sst2")[1], ("positive", "film 1 , fine . "))

    def test_copies_are_known_by_their_columns(self):
        for part in ("train", "test"):
            self.csv(f"data/yelp_full/{part}.csv", [["text_a", "label"], ["Good", "5_star"], ["Bad", "very_negative"]])
        source = reproduce.Source("pet-yelp", self.folder / "data")
        self.assertEqual((source.form, list(source.rows("train"))), ("copy", [("very_positive", "Good"), ("very_negative", "Bad")]))

    def test_a_class_that_is_none_is_told_with_its_line(self):
        for part in ("train", "test"):
            self.csv(f"data/original/mr/{part}.csv", [["0", "a"], ["7", "b"]])
        with self.assertRaisesRegex(reproduce.Mistake, r"mr/train.csv:2: the class '7' is none of 0, 1; is this the file of lm-bff-mr\?"):
            self.rows("lm-bff-mr")

    def test_a_missing_column_is_told(self):
        for name in ("train", "dev_matched", "dev_mismatched"):
            self.file(f"data/MNLI/{name}.tsv", "a\tb\n")
        with self.assertRaisesRegex(reproduce.Mistake, "no column gold_label; it has a, b"):
            self.rows("pet-mnli")


class Mistakes(Folders):
    """Each has one message, and nothing is written."""

    def refused(self, text, *more, **flags):
        status, _, errors = self.run_it(*more, **flags)
        self.assertEqual(status, 1)
        self.assertIn(text, errors)
        self.assertTrue(errors.startswith("error: "))
        self.assertFalse((self.folder / "work").exists())
        self.assertEqual(self.commands(), [])

    def test_what_is_missing_is_named(self):
        self.sst2()
        self.refused("there is no task 'sst2'; TASK (--task) is one of pet-ag_news, pet-yelp", task="sst2")
        self.refused("no task is named", task="")
        self.refused("no model is named; MODEL (--model)", task="lm-bff-sst2", model="")
        self.refused("there is no folder", task="lm-bff-sst2", model=self.folder / "none")
        self.refused("has no config.json", task="lm-bff-sst2", model=self.folder / "data")
        self.refused("no data are named; DATA (--data)", task="lm-bff-sst2", data="")
        self.refused("there is no folder", task="lm-bff-sst2", data=self.folder / "none")
        self.refused("data/original/mr/train.csv", task="lm-bff-mr")

    def test_what_cannot_be_is_refused(self):
        self.sst2()
        self.refused("--examples is 0, 10, 50, 100 or 1000, as in the paper's table, not 20", task="pet-yelp", examples="20")
        self.refused("--ipet is PET's", "--ipet", task="lm-bff-sst2")
        self.refused("numbers with commas between", task="lm-bff-sst2", seeds="a")
        self.refused("--seeds are numbers from 0, each once", task="lm-bff-sst2", seeds="13,13")
        self.refused("--steps is at least 1", task="lm-bff-sst2", steps=0)

    def test_too_few_rows_of_a_class(self):
        self.sst2(rows=20)
        status, _, errors = self.run_it(task="lm-bff-sst2")
        self.assertEqual((status, self.commands()), (1, []))
        self.assertIn("needs 32 rows of each class; it has 20 of 0, 20 of 1", errors)


class LmBff(Folders):
    """The protocol of LM-BFF, to the end."""

    def tell(self, **what):
        self.file("told.json", json.dumps(what))

    def go(self, *more, **flags):
        return self.run_it(*more, **{"task": "lm-bff-sst2", "seeds": "13,21", "learning-rates": "1e-5,2e-5", "batch-sizes": "2,8", **flags})

    def test_the_grid_is_the_papers_and_test_rows_have_no_part_in_it(self):
        self.sst2()
        self.run_it(task="lm-bff-sst2")
        trains = [words for words in self.commands() if words[0] == "train"]
        grid = [[words[words.index(flag) + 1] for flag in ("--seeds", "--batch-size", "--learning-rate")] for words in trains]
        self.assertEqual(grid, [[seed, batch, rate] for seed in "13 21 42 87 100".split() for batch in "248" for rate in ("1e-5", "2e-5", "5e-5")])
        self.assertFalse(any("--test" in words for words in trains))
        settings = dict(zip(trains[0][1::2], trains[0][2::2]))
        wanted = {"--method": "full", "--select": "dev", "--steps": "1000", "--evaluate-every": "100", "--warm-up": "0", "--weight-decay": "0", "--max-length": "128"}
        self.assertEqual({flag: settings[flag] for flag in wanted}, wanted)
        # It never stops before its thousandth step.
        self.assertGreater(int(settings["--patience"]), 10)

    def test_the_best_on_dev_rows_is_scored_and_of_equals_the_first(self):
        self.sst2()
        self.tell(**{"batch-2-rate-2e-5": 0.9, "batch-8-rate-2e-5": 0.9})
        status, out, _ = self.go()
        self.assertEqual(status, 0)
        scored = [words for words in self.commands() if words[0] == "score"]
        self.assertEqual([Path(words[words.index("--run") + 1]).name for words in scored[1:]], ["batch-2-rate-2e-5"] * 2)
        cells = self.folder / "work/lm-bff-sst2/model/cells/full"
        self.assertEqual(sorted(str(path.parent.relative_to(cells)) for path in cells.glob("*/*/learned")), ["seed-13/batch-2-rate-2e-5", "seed-21/batch-2-rate-2e-5"])
        row = next(line for line in out.splitlines() if "prompt-based" in line)
        self.assertEqual(row.split(), "prompt-based fine-tuning 75.0 ± 0.0 75.0 75.0 92.7 -17.7".split())

    def test_what_is_done_is_kept_and_a_larger_grid_adds_to_it(self):
        self.sst2()
        self.go()
        self.commands()
        self.assertEqual(self.go()[0], 0)
        self.assertEqual(self.commands(), [])
        self.tell(**{"batch-8-rate-5e-5": 0.9})
        self.go(**{"learning-rates": "1e-5,2e-5,5e-5"})
        new = self.commands()
        self.assertEqual(len([words for words in new if words[0] == "train"]), 2 * 2)
        self.assertEqual(len([words for words in new if words[0] == "score"]), 2)

    def test_what_was_stopped_goes_on(self):
        self.sst2()
        self.tell(diverges=["seed-13/batch-2-rate-1e-5"])
        status, out, errors = self.go()
        self.assertEqual(status, 1)
        self.assertIn("these cells did not finish: full/seed-13/batch-2-rate-1e-5", errors)
        self.assertIn("- Not finished: full/seed-13/batch-2-rate-1e-5.", out)
        self.commands()
        self.assertEqual(self.go()[0], 0)
        again = self.commands()
        self.assertEqual([words[:2] for words in again if words[0] == "train"], [["train", "--resume"]])

    def test_a_command_that_cannot_begin_stops_all(self):
        self.sst2()
        self.tell(refuse=True)
        status, _, errors = self.go()
        self.assertEqual(status, 1)
        self.assertIn("cloze could not begin with full/seed-13/batch-2-rate-1e-5", errors)
        self.assertEqual(len(self.commands()), 2)

    def test_other_settings_are_not_mixed_in(self):
        self.sst2()
        self.go()
        status, _, errors = self.go(steps=20)
        self.assertEqual(status, 1)
        self.assertIn("holds cells of another protocol: steps 1000, now 20", errors)

    def test_a_first_try_that_failed_binds_nobody(self):
        self.sst2()
        self.tell(refuse_all=True)
        status, _, errors = self.go(**{"max-length": 900})
        self.assertEqual(status, 1)
        self.assertIn("cloze could not score", errors)
        self.tell()
        self.assertEqual(self.go()[0], 0)

    def test_drawn_files_are_written_as_lm_bff_writes_them(self):
        lines = self.sst2()
        (train, dev), _ = reproduce.k_shot(lines, lambda line: line.strip()[-1], 16, 13)
        texts = ["sentence\tlabel\n" + "".join(part) for part in (train, dev)]
        sums = {13: tuple(hashlib.md5(text.encode()).hexdigest() for text in texts), "test": hashlib.md5(("sentence\tlabel\n" + "".join(lines)).encode()).hexdigest()}
        with mock.patch.dict(reproduce.CHECKSUMS, {"lm-bff-sst2": sums}):
            _, out, _ = self.go()
        self.assertEqual((self.folder / "work/lm-bff-sst2/model/data/k-shot/16-13/train.tsv").read_text(encoding="utf-8"), texts[0])
        self.assertIn("1 of 2 seeds have LM-BFF's own train and dev rows", out)
        self.assertIn("The test file is LM-BFF's own, by its MD5.", out)
        # pandas puts only those fields in quotes that need them, and writes a quote twice.
        self.assertEqual(reproduce.as_pandas_writes("lm-bff-mr", [("negative", "dull"), ("positive", 'a "gem", really')]), '0,dull\n1,"a ""gem"", really"\n')

    def test_numbers_that_are_not_known_are_dashes(self):
        for part in ("train", "test"):
            self.csv(f"data/original/mr/{part}.csv", [[str(number % 2), f"film {number}"] for number in range(80)])
        status, out, _ = self.go(task="lm-bff-mr")
        self.assertEqual(status, 0)
        self.assertEqual(next(line for line in out.splitlines() if line.startswith("  zero-shot")).split(), "zero-shot 75.0 – –".split())
        self.assertIn("- 80 test rows; the paper's file has 2,000.", out)

    def test_a_larger_deviation_is_that_of_the_paper(self):
        # LM-BFF's script takes numpy's std, over all values; PET's the statistics module's stdev.
        self.assertAlmostEqual(reproduce.measured([0.5, 0.7], reproduce.statistics.pstdev)["deviation"], 10)
        self.assertAlmostEqual(reproduce.measured([0.5, 0.7], reproduce.statistics.stdev)["deviation"], 14.1421356)
        self.assertIsNone(reproduce.measured([0.5], reproduce.statistics.stdev)["deviation"])


class Pet(Folders):
    """The protocol of PET, to the end."""

    def news(self, rows=400):
        for part in ("train", "test"):
            self.csv(f"data/ag_news_csv/{part}.csv", [[str(number % 4 + 1), f"Title {number}", f"Body {number}"] for number in range(rows)])

    def go(self, *more, **flags):
        return self.run_it(*more, **{"task": "pet-ag_news", "seeds": "13,21", "unlabeled-rows": 50, **flags})

    def test_the_experiment_is_table_5_of_the_paper(self):
        self.news()
        self.assertEqual(self.go()[0], 0)
        folder = self.folder / "work/pet-ag_news/model"
        experiment = json.loads((folder / "experiments/pet-10.json").read_text(encoding="utf-8"))
        plan = {"learning_rate": 1e-5, "warm_up": 0, "weight_decay": 0.01, "clip_norm": 1}
        self.assertEqual(experiment["plan"], {"steps": 1000, "batch_size": 4, **plan})
        self.assertEqual(experiment["student"], {"tuning": "cls", "plan": {"steps": 5000, "batch_size": 16, **plan}})
        self.assertEqual([experiment[key] for key in ("mlm_weight", "merge", "weights", "temperature", "max_length", "generations")], [1e-4, "logits", "accuracy", 2, 256, 0])
        # All rows of the train file are learned from: they are the first ones, the same for each seed.
        self.assertNotIn("shots", experiment)
        with open(folder / "data/train-10.csv", encoding="utf-8", newline="") as file:
            self.assertEqual([row["title"] for row in csv.DictReader(file)], [f"Title {number}" for number in range(10)])
        with open(folder / "data/unlabeled.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        self.assertEqual((rows[0], len(rows)), (["title", "body"], 201))

    def test_the_table_has_the_published_numbers_beside(self):
        self.news()
        status, out, _ = self.go()
        table = [line.split() for line in out.splitlines() if line.startswith("  ")]
        self.assertEqual(status, 0)
        self.assertIn("10 PET 60.0 ± 14.1 50.0 70.0 87.5 ± 0.0 -27.5".split(), table)
        # Patterns have 30 and 50 percent.
        self.assertIn("0 unsupervised, mean 40.0 ± 14.1 69.5 ± 7.2 -29.5".split(), table)
        self.assertIn("0 unsupervised, best 50.0 79.4 -29.4".split(), table)
        page = (self.folder / "work/pet-ag_news/model/result.md").read_text(encoding="utf-8")
        for text in ("# pet-ag_news with model", "| 10 | PET | 60.0 ± 14.1 | 50.0 70.0 | 87.5 ± 0.0 | -27.5 |", "- Seeds 13, 21 in place of 13, 21, 42.",
                     "- Unlabelled rows of each class 50 in place of 10,000.", "- 400 test rows; the paper's file has 7,600."):
            self.assertIn(text, page)

    def test_base_has_its_own_table_and_half_the_unlabelled_rows(self):
        self.news()
        self.file("model/config.json", json.dumps({"model_type": "roberta", "hidden_size": 768, "num_hidden_layers": 12}))
        status, out, _ = self.run_it(task="pet-ag_news")
        self.assertEqual(status, 0)
        self.assertIn("published (RoBERTa-base)", out)
        self.assertIn("84.1", out)
        self.assertIn("400 unlabelled rows: the train file has no 5,000 of each class.", out)

    def test_mnli_has_two_test_sets_and_two_sets_of_words(self):
        lines = [f"p {number}\th {number}\t{('contradiction', 'entailment', 'neutral')[number % 3]}\n" for number in range(60)]
        for name in ("train", "dev_matched", "dev_mismatched"):
            self.file(f"data/MNLI/{name}.tsv", "sentence1\tsentence2\tgold_label\n" + "".join(lines))
        status, out, _ = self.go("--fine-tuning", task="pet-mnli")
        self.assertEqual(status, 0)
        commands = self.commands()
        # The second test set is scored with each seed's model.
        self.assertEqual([words[0] for words in commands], ["score"] * 4 + ["train", "score", "score", "ensemble", "score", "score"])
        self.assertEqual(commands[-1][:5], ["score", "--run", str(self.folder / "work/pet-mnli/model/cells/pet-10"), "--seed", "21"])
        experiment = json.loads((self.folder / "work/pet-mnli/model/experiments/pet-10.json").read_text(encoding="utf-8"))
        self.assertEqual((len(experiment["templates"]), len(experiment["verbalizers"])), (2, 2))
        table = [line.split() for line in out.splitlines() if line.startswith("  ")]
        self.assertIn("0 unsupervised, mean, mismatched 40.0 ± 11.5 39.8 ± 5.1 +0.2".split(), table)
        self.assertIn("10 PET, mismatched 75.0 ± 0.0 75.0 75.0 41.5 +33.5".split(), table)
        # Fine-tuning without a pattern has no more than 250 steps.
        train = commands[4]
        self.assertEqual([train[train.index(flag) + 1] for flag in ("--method", "--steps", "--batch-size", "--learning-rate")], ["cls", "250", "16", "1e-05"])

    def test_ipet_needs_rows_to_label(self):
        self.news()
        status, _, errors = self.go("--ipet")
        self.assertEqual((status, self.commands()), (1, []))
        self.assertIn("iPET with 10 examples lets members label 1,240 rows, and there are 190", errors)
        shutil.rmtree(self.folder / "work")
        self.news(rows=1400)
        self.assertEqual(self.go("--ipet", **{"unlabeled-rows": 350})[0], 0)
        experiment = json.loads((self.folder / "work/pet-ag_news/model/experiments/ipet-10.json").read_text(encoding="utf-8"))
        self.assertEqual([experiment[key] for key in ("generations", "growth", "annotators")], [3, 5, 0.25])


if __name__ == "__main__":
    unittest.main()
