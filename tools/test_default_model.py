"""Tests of default_model/, on small files; those that need the sets themselves are left out where they are not at hand."""
import contextlib
import csv
import importlib.util
import io
import json
import lzma
import random
import re
import shutil
import struct
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS), str(TOOLS / "default_model")]
import derived  # noqa: E402
import evaluate  # noqa: E402
import prepare  # noqa: E402
import recipe  # noqa: E402
import sources  # noqa: E402
import train  # noqa: E402
import unlabelled  # noqa: E402

SHARED = TOOLS.parents[1] / "shared"
VOCABULARY = set(unlabelled.VOCABULARY.read_text(encoding="utf-8").split("\n"))
with_sets = unittest.skipUnless((SHARED / "instruct").is_dir(), "the sets are not at hand")

# What is derived from each set, by example: enough rows for every branch.
ROWS = {
    "amazon": [{"text": f"Number {n} came. I tried it. It broke. I wrote. Nobody cared.", "label": label}
               for n in range(40) for label in ("negative", "positive")],
    "trec": [{"text": f"What is number {n} ?", "label": label} for n in range(20) for label in ("human", "location", "number")],
    "dbpedia": [{"text": f"{label} {n} is one of many.", "label": label} for n in range(10) for label in ("Animal", "Film", "Village")],
    "snli": [{"premise": f"person {n} sleeps", "hypothesis": "a man is asleep", "label": label}
             for n in range(30) for label in ("entailment", "neutral", "contradiction", "contradiction")],
    "clinc150": [{"text": f"{label} {n}", "label": label} for n in range(4)
                 for label in ("banking/pay_bill", "travel/book_hotel", "work/taxes", "meta/yes", "oos")],
}


def words_of(name):
    return {each["label"]: each["words"] for each in json.loads(prepare.verbalizer(name))["classes"]}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, str(self.folder))

    def file(self, name, rows):
        path = self.folder / name
        prepare.write(path, rows)
        return path


class WhatMayBeRead(Case):
    def test_only_the_named_folders_are_trained_on(self):
        for name in ("instruct/cr/train.csv", "ship/clinc150/train.csv", "pretrain/tokens/x.npy.xz"):
            self.assertEqual(sources.allowed(self.folder, self.folder / name), self.folder / name)
        for name in ("data/sst2/train.csv", "ship/clinc150/test.csv", "ship/clinc150/dev.csv", "ship/banking77/train.csv", "ship/nlupp/x.csv",
                     "ship/sentences/train.csv", "instruct/../data/rte/train.csv", "instructions/x.csv"):
            with self.assertRaisesRegex(ValueError, "not among what"):
                sources.allowed(self.folder, self.folder / name)

    def test_a_link_out_of_the_folder_is_followed(self):
        unseen = self.file("data/rte/train.csv", [{"text_a": "x", "label": "y"}])
        (self.folder / "instruct").mkdir()
        (self.folder / "instruct/train.csv").symlink_to(unseen)
        with self.assertRaises(ValueError):
            sources.allowed(self.folder, self.folder / "instruct/train.csv")

    def test_every_set_that_is_read_may_be_read(self):
        for file, _ in sources.SETS.values():
            sources.allowed(self.folder, self.folder / file)


class LeavingOut(Case):
    LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"

    def unseen(self):
        self.file("data/some/test.csv", [{"text_a": "A good film!", "text_b": "Short.", "label": "a text that is a label"}])
        self.file("ship/nlupp/x.csv", [{"text": f"well {self.LONG} and so on", "labels": ""}])
        return sources.Unseen(self.folder)

    def test_equal_texts_are_left_out_whatever_their_case_and_marks(self):
        unseen = self.unseen()
        for text in ("A good film!", "a good film", " a  GOOD film . "):
            self.assertTrue(unseen.has({"text": text, "label": "x"}), text)
        self.assertTrue(unseen.has({"premise": "something else", "hypothesis": "short", "label": "x"}))
        for text in ("A good film indeed", "film good a", "a text that is a label"):
            self.assertFalse(unseen.has({"text": text, "label": "x"}), text)

    def test_twenty_words_in_a_row_are_enough_wherever_they_begin(self):
        unseen = self.unseen()
        self.assertTrue(unseen.has({"text": f"then {self.LONG.upper()}, they said", "label": "x"}))
        self.assertFalse(unseen.has({"text": " ".join(reversed(self.LONG.split())), "label": "x"}))
        self.assertFalse(unseen.has({"text": "one two three four five six seven eight nine ten eleven", "label": "x"}))

    def test_the_projects_own_sets_are_unseen(self):
        unseen = sources.Unseen(self.folder)
        with open(sources.REPOSITORY / "data/tickets/test.csv", newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file))
        self.assertTrue(unseen.has({"text": row["message"], "label": "x"}))

    def test_rows_of_a_set_are_left_out_and_counted_and_no_text_is_in_both_parts(self):
        unseen = self.unseen()
        rows = [{"text_a": f"premise {n // 3}", "text_b": f"hypothesis {n}", "label": "neutral"} for n in range(900)]
        self.file("instruct/snli/train.csv", rows + rows[:5] + [{"text_a": "a good film", "text_b": "whatever", "label": "neutral"}])
        train, dev, left_out = sources.load(self.folder, "snli", unseen)
        self.assertEqual((left_out, len(train) + len(dev)), (1, 900))
        self.assertTrue(dev)
        self.assertFalse({row["premise"] for row in train} & {row["premise"] for row in dev})


class Derived(Case):
    def test_questions_are_balanced_and_true_of_their_own_class(self):
        for name, about in (("amazon", "reviews"), ("trec", "answers"), ("dbpedia", "kinds")):
            said = derived.wordings("questions.json", about)
            rows = derived.questions(ROWS[name], about, random.Random(1))
            self.assertEqual(len(rows), 2 * len(ROWS[name]))
            for row, (yes, no) in zip(ROWS[name], zip(rows[::2], rows[1::2])):
                self.assertEqual((yes["passage"], yes["label"], no["passage"], no["label"]), (row["text"], "true", row["text"], "false"))
                self.assertIn(yes["question"], said[row["label"]])
                self.assertNotIn(no["question"], said[row["label"]])

    def test_no_question_or_statement_is_of_two_classes(self):
        for file in ("questions.json", "statements.json"):
            for about in [about for about in derived.json_of(file) if about != "about"]:
                said = [text for texts in derived.wordings(file, about).values() for text in texts]
                self.assertEqual(len(said), len(set(said)), about)

    def test_statements_that_hold_follow(self):
        rows = derived.statements(ROWS["amazon"], "reviews", random.Random(1))
        said = derived.wordings("statements.json", "reviews")
        truth = {row["text"]: row["label"] for row in ROWS["amazon"][::2]}
        for row in rows[:2]:
            self.assertEqual(row["hypothesis"] in said[truth[row["premise"]]], row["label"] == "entailment")

    def test_inference_questions_are_balanced_and_turned_round(self):
        rows = derived.inference_questions(ROWS["snli"], random.Random(1))
        self.assertEqual([row["label"] for row in rows].count("true"), 30)
        self.assertEqual(len(rows), 60)
        asked = {row["question"] for row in rows}
        self.assertIn("is a man asleep?", asked)
        self.assertTrue(asked <= {"is a man asleep?"} | {form.format(x="a man is asleep") for form in derived.THAT})

    def test_requests_by_domain_word_and_desk(self):
        sets = derived.requests(ROWS["clinc150"])
        labels = lambda name: sorted({row["label"] for row in sets[name]})
        self.assertEqual(labels("domains"), ["banking", "meta", "travel", "work"])
        self.assertEqual(labels("intents"), ["bills", "hotel", "taxes"])
        self.assertEqual(labels("desks"), ["billing", "booking", "information"])
        self.assertEqual(labels("intents-travel"), ["hotel"])

    def test_an_intent_has_one_word_and_one_desk_at_most(self):
        for part in ("words", "desks"):
            named = [intent for group in derived.intents()[part] for intent in group["intents"]]
            self.assertEqual(len(named), len(set(named)))

    @with_sets
    def test_the_map_names_real_intents_only(self):
        real = {row["label"] for row in sources.read(SHARED / "ship/clinc150/train.csv")}
        named = {intent for part in ("words", "desks") for group in derived.intents()[part] for intent in group["intents"]}
        self.assertEqual(named - real, set())

    def test_ends_of_reviews_are_their_last_two_sentences(self):
        ends = derived.ends(ROWS["amazon"] + [{"text": "Short. It is.", "label": "negative"}])
        self.assertEqual({row["text"] for row in ends}, {"I wrote. Nobody cared."})


class Unlabelled(Case):
    TOPICS = unlabelled.Topics()

    def test_an_articles_topic_is_told_by_its_noun_or_its_opening(self):
        for first, topic in (
            ("arijit bagui (born august 29, 1993) is an indian footballer who plays for them.", "sports"),
            ("doom is a 1993 first-person shooter video game by id software.", "games"),
            ("in linear algebra, a matrix is something that one writes.", "science"),
            ("acme, also known as the acme works, was a british company based in leeds.", "business"),
            ("what follows is a list of many of them.", None),
            ("in lineage, a matrix is something that one writes.", None),
        ):
            self.assertEqual(self.TOPICS.of_article(first), topic, first)

    def test_newswire_has_a_section_where_its_words_are_clearly_most(self):
        self.assertEqual(self.TOPICS.of_newswire("troops fought rebels near the embassy"), "world")
        self.assertEqual(self.TOPICS.of_newswire("the bank raised its stake to 5 pct of the shares"), "business")
        self.assertIsNone(self.TOPICS.of_newswire("troops and rebels near the embassy of the bank with a stake of 5 pct"))
        self.assertIsNone(self.TOPICS.of_newswire("nothing in particular"))

    def test_feelings_are_told_by_words_and_not_where_they_are_denied(self):
        texts = [["i was so lonely that night.", "i was not lonely that night.", "the bottle was empty again.", "she never felt lonely at all.",
                  "it made me furious to see it."]]
        rows = unlabelled.feeling_rows(texts, random.Random(1))["feelings"]
        self.assertEqual(sorted(row["label"] for row in rows), ["anger", "sadness"])

    def test_what_follows_from_an_article_is_told_from_what_it_denies(self):
        names = ["anna", "boris", "clara", "doris", "emil", "fanny", "gert", "hanna"]
        kinds = ["poet", "footballer", "politician", "chemist"]
        articles = [[f"{name} (born 4 may {1900 + n}) is a german {kinds[n % 4]} from there.", f"he was married in the spring of {1950 + n}.",
                     f"{name} had a long life in all of these towns.", f"he died of old age in {1990 + n}."]
                    for n, name in enumerate(names)] * 8
        made = unlabelled.inference_rows(articles, self.TOPICS, random.Random(1))
        self.assertEqual({row["label"] for row in made["articles-inference"]}, {"entailment", "contradiction", "neutral"})
        for row in made["articles-inference"]:
            premise, hypothesis = row["premise"], row["hypothesis"]
            name, n = premise.split()[0], names.index(premise.split()[0])
            true = {f"{name} is a german {kinds[n % 4]}.", f"{name} was born in {1900 + n}."}
            denied = hypothesis.replace(" not ", " ")
            if row["label"] == "neutral":
                self.assertNotIn(hypothesis.rstrip("."), premise)
            elif hypothesis.startswith(name) and " had " not in hypothesis:
                self.assertEqual((denied in true) != (denied != hypothesis), row["label"] == "entailment", (premise, hypothesis))
        for row in made["articles-questions"]:
            name, n = row["passage"].split()[0], names.index(row["passage"].split()[0])
            true = {f"is {name} a german {kinds[n % 4]}?", f"was {name} born in {1900 + n}?"}
            self.assertEqual(row["question"] in true, row["label"] == "true")

    def test_wordpiece_is_put_together_again(self):
        self.assertEqual(unlabelled.readable("bagui ( born august 29 , 1993 ) isn ' t well - known ( ; ) ."), "bagui (born august 29, 1993) isn't well-known.")

    def test_documents_end_where_the_separator_stands(self):
        ids = {word: id for id, word in enumerate(unlabelled.VOCABULARY.read_text(encoding="utf-8").split("\n"))}
        some = [ids[word] for word in ("the", "play", "##er", "[SEP]", "a", "dog", "runs", "[SEP]")]
        path = self.folder / "x.npy"
        path.write_bytes(prepare.header(len(some)) + struct.pack(f"<{len(some)}H", *some))
        self.assertEqual(list(unlabelled.documents(path, 2)), ["the play", "a dog"])
        self.assertEqual(next(unlabelled.documents(path, 9)), "the player")


class Recipe(Case):
    def test_every_label_word_is_one_token_and_of_one_class(self):
        for name in {task["verbalizer"] for task in recipe.TASKS}:
            words = [word for each in words_of(name).values() for word in each]
            self.assertEqual([word for word in words if word not in VOCABULARY], [], name)
            self.assertEqual(len(words), len(set(words)), name)

    def test_every_pattern_asks_once_and_reads_columns_of_its_rows(self):
        columns = {"text": {"text"}, "premise": {"premise", "hypothesis"}, "passage": {"passage", "question"}}
        for task in recipe.TASKS:
            files = prepare.template_files(task)
            self.assertGreaterEqual(len(files), 6, task["name"])
            kind = "passage" if "-questions" in task["rows"] else "premise" if re.search("inference|statements|snli", task["rows"]) else "text"
            patterns = [json.loads(path.read_text(encoding="utf-8"))["pattern"] for path in files.values()]
            self.assertEqual(len(patterns), len(set(patterns)), task["name"])
            for pattern in patterns:
                self.assertEqual(pattern.count("{mask}"), 1, pattern)
                fields = set(re.findall(r"\{(\w+)[|}]", pattern)) - {"mask", "sep"}
                self.assertEqual(fields, columns[kind], (task["name"], pattern))

    def test_every_template_here_is_of_a_task(self):
        used = {family for task in recipe.TASKS for family in task["templates"]}
        here = {path.name for path in (prepare.HERE / "templates").iterdir()}
        self.assertEqual(here - used, set())
        words = {path.stem for path in (prepare.HERE / "verbalizers").iterdir()}
        self.assertEqual(words - {task["verbalizer"] for task in recipe.TASKS}, set())

    def test_shares_are_above_zero_and_names_differ(self):
        self.assertTrue(all(task["share"] > 0 for task in recipe.TASKS))
        self.assertEqual(len({task["name"] for task in recipe.TASKS}), len(recipe.TASKS))

    def test_every_second_step_is_language_modelling(self):
        written = recipe.tasks_file()
        self.assertAlmostEqual(written["language_modelling"]["share"], sum(task["share"] for task in written["tasks"]))

    def test_a_stage_has_its_share_of_texts_and_few_looks(self):
        for stage in recipe.STAGES:
            written = recipe.stage_file(stage)
            share, tasks = written["language_modelling"]["share"], sum(task["share"] for task in written["tasks"])
            self.assertAlmostEqual(share / (share + tasks), stage["texts"])
            self.assertEqual({task["name"] for task in written["tasks"] if "dev" in task}, set(recipe.LOOKS))

    def test_stages_follow_each_other_and_are_not_repeated(self):
        args = mock.Mock(cloze=Path("cloze"), data=self.folder, threads="2", dtype="bf16", base=Path("base"), original=None)
        (self.folder / "models").mkdir()
        calls = []

        def call(command, check, env=None):
            calls.append(command)
            if command[1] == "export":
                Path(command[command.index("--merged") + 1]).mkdir()

        stage = {**recipe.STAGES[0], "name": "some"}
        model = train.learn(stage, Path("base"), args, call)
        self.assertEqual([command[1] for command in calls], ["train", "export"])
        self.assertEqual(calls[0][calls[0].index("--model") + 1], "base")
        self.assertEqual(calls[1][-4:], ["--average-with", "base", "--average-share", "0"])
        self.assertEqual(train.learn(stage, Path("base"), args, call), model)
        self.assertEqual(len(calls), 2)
        # A run that was begun goes on; one that is done is exported alone.
        other = {**stage, "name": "other"}
        run = self.folder / "runs/other"
        run.mkdir(parents=True)
        (run / "manifest.json").touch()
        args.original = Path("version-1")
        train.learn(other, model, args, call)
        self.assertIn("version-1", calls[3])
        self.assertIn("--resume", calls[2])
        (run / "metrics.json").touch()
        shutil.rmtree(self.folder / "models/other")
        train.learn(other, model, args, call)
        self.assertEqual([command[1] for command in calls[4:]], ["export"])

    @with_sets
    def test_every_class_of_the_rows_has_words_and_the_other_way_round(self):
        unseen = mock.Mock(has=lambda row: False)
        labels = {}
        for name in sources.SETS:
            train, _, _ = sources.load(SHARED, name, unseen)
            labels |= {made: {row["label"] for row in rows} for made, rows in derived.everything(name, train).items()}
        for task in recipe.TASKS:
            if task["rows"] in labels:
                self.assertEqual(set(words_of(task["verbalizer"])), labels[task["rows"]], task["name"])


class Tokens(Case):
    def archive(self, count, said=None):
        tokens = struct.pack(f"<{count}H", *(n % 30000 for n in range(count)))
        path = self.folder / "pretrain/tokens/some.npy.xz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress((said or prepare.header(count)) + tokens))
        return path, tokens

    def test_the_last_tokens_are_held_out_and_none_is_lost(self):
        path, tokens = self.archive(prepare.HELD_OUT_TOKENS + 7)
        with contextlib.redirect_stderr(io.StringIO()):
            prepare.unpack(self.folder, self.folder / "into")
        parts = [(self.folder / "into" / name / "some.npy").read_bytes() for name in ("tokens", "held-out")]
        self.assertEqual([len(part) for part in parts], [128 + 14, 128 + 2 * prepare.HELD_OUT_TOKENS])
        self.assertEqual(parts[0][128:] + parts[1][128:], tokens)
        self.assertIn(b"'shape': (7,)", parts[0])
        self.assertEqual(len(prepare.header(42_000_041)), 128)

    def test_other_arrays_are_refused(self):
        with self.assertRaisesRegex(ValueError, "not a row of uint16"):
            prepare.read_tokens(self.archive(4, prepare.header(4).replace(b"<u2", b"<f2"))[0])
        with self.assertRaisesRegex(ValueError, "cut off"):
            prepare.read_tokens(self.archive(4, prepare.header(5))[0])

    @unittest.skipUnless(all(importlib.util.find_spec(name) for name in ("numpy", "torch", "transformers")), "needs PyTorch")
    def test_masks_are_the_same_each_time_and_never_on_the_ends(self):
        import held_out
        import numpy as np
        tokens = np.arange(2000, 2000 + 126 * 200, dtype=np.uint16)
        whole, seen, asked = held_out.masked(tokens, 30522)
        self.assertTrue((held_out.masked(tokens, 30522)[1] == seen).all())
        self.assertTrue((whole[:, 1:-1].ravel() == tokens).all())
        self.assertTrue((seen[~asked] == whole[~asked]).all())
        self.assertFalse(asked[:, [0, -1]].any())
        self.assertAlmostEqual(asked[:, 1:-1].mean(), 0.15, delta=0.01)
        self.assertAlmostEqual((seen[asked] == held_out.MASK).mean(), 0.8, delta=0.02)


class Evaluation(Case):
    REPORT = {"rows": 3, "run": {"labels": ["a", "b"], "cloze": "0"}, "majority": {"accuracy": 0.5},
              "evaluation": {"accuracy": 0.75, "accuracy_95": [0.5, 1.0], "macro_f1": 0.7},
              "patterns": [{"template": "x", "evaluation": {"accuracy": 0.6}}, {"template": "y", "evaluation": {"accuracy": 0.7}}],
              "calibration": {"method": "batch", "before": {
                  "evaluation": {"accuracy": 0.25, "accuracy_95": [0.0, 0.5], "macro_f1": 0.2},
                  "patterns": [{"template": "x", "evaluation": {"accuracy": 0.1}}, {"template": "y", "evaluation": {"accuracy": 0.2}}]}}}

    def model(self, name, weights):
        (self.folder / name).mkdir()
        (self.folder / name / "model.safetensors").write_bytes(weights)
        return self.folder / name

    def run_main(self, *models):
        cloze = self.folder / "cloze"
        # Notes each call, and gives the same report for all.
        cloze.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/calls\nwhile [ "$1" != --report ]; do shift; done\ncp {self.folder}/report.json "$2"\n')
        cloze.chmod(0o755)
        (self.folder / "report.json").write_text(json.dumps(self.REPORT))
        out, arguments = io.StringIO(), ["--cloze", cloze, "--shared", self.folder, "--into", self.folder / "out.json", "--sets", "tickets"]
        arguments += [part for model in models for part in ("--model", model)]
        with mock.patch.object(sys, "argv", ["evaluate.py", *map(str, arguments)]), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            evaluate.main()
        return out.getvalue(), (self.folder / "calls").read_text().splitlines()

    def test_cells_are_kept_by_the_weights_and_not_by_the_folder(self):
        old, new, copy = self.model("old", b"1"), self.model("new", b"2"), self.model("copy", b"1")
        page, calls = self.run_main(new, old)
        self.assertEqual(len(calls), 2)
        self.assertIn("| tickets | 3 | 2 | 50.0 | 15.0, 25.0 [0.0–50.0] | 15.0, 25.0 [0.0–50.0] | 65.0, 75.0 [50.0–100.0] |", page)
        self.assertIn("| set | rows | classes | commonest | new, plain | old, plain | new, batch | old, batch |", page)
        self.assertEqual(len(self.run_main(copy, new)[1]), 2)

    def test_every_set_has_patterns_words_and_files(self):
        for name, spec in evaluate.TASKS.items():
            self.assertIn(name, evaluate.FILES)
            if spec:
                self.assertTrue(list((evaluate.REPOSITORY / "templates" / spec["templates"]).glob("*.json")))
                self.assertTrue((evaluate.REPOSITORY / "verbalizers" / f"{spec['words']}.json").is_file())

    def test_no_set_that_is_evaluated_is_learned(self):
        for test, dev in evaluate.FILES.values():
            for file in test + dev:
                if "{shared}" in file:
                    with self.assertRaises(ValueError):
                        sources.allowed(self.folder, Path(file.format(shared=self.folder)))


if __name__ == "__main__":
    unittest.main()
