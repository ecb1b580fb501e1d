"""Tests of same.py, with small scripts in place of cloze: python3 -m unittest discover tools"""
import contextlib
import io
import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import same  # noqa: E402
from same_commands import FILES, SCENARIOS  # noqa: E402

# Writes what cloze writes where it differs from run to run: times, rates, a version, the folder.
PROGRAM = """#!/bin/sh
now=0.$$
mkdir -p "run/$1"
echo '  "cloze": "0.1.0",' > run/report.json
echo "  \\"seconds\\": $now," >> run/report.json
echo "  \\"model\\": \\"$PWD/fixtures/tiny\\"," >> run/report.json
echo "  \\"accuracy\\": 0.75" >> run/report.json
echo "{\\"step\\":1,\\"loss\\":0.5,\\"seconds\\":$now}" > run/events.jsonl
echo "$$" > run/manifest.json
echo "{ \\"rows\\": 3, \\"run\\": { \\"threads\\": 1 } }" > run/settings.json
echo "row,predicted"
echo "1,up"
echo "d.csv: 3 rows in 0.$(($$ % 10)) s, $$ rows/s (cloze, 1 thread)" >&2
"""


def safetensors(entries, texts=None):
    """A file of the tensors {name: bytes}, in the order given."""
    header, data = {}, b""
    if texts:
        header["__metadata__"] = texts
    for name, content in entries.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": offsets}
        data += content
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + data


class Builds(unittest.TestCase):
    """Two programs are compared, of which the second may be changed."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, str(self.folder))
        self.scenarios([("first", ["cloze a"])])
        for name, value in (("INPUTS", {}), ("FILES", {"t.json": "{}"})):
            patch = mock.patch.object(same, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def scenarios(self, scenarios):
        patch = mock.patch.object(same, "SCENARIOS", scenarios)
        patch.start()
        self.addCleanup(patch.stop)

    def program(self, name, *changes):
        text = PROGRAM
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def compare(self, *changes, options=()):
        """Exit status and what is printed, with a new build that differs by the changes."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            arguments = ["--old", self.program("old"), "--new", self.program("new", *changes), *options]
            return same.main(arguments), printed.getvalue()

    def assert_different(self, told, *changes):
        status, printed = self.compare(*changes)
        self.assertEqual(status, 1, printed)
        self.assertIn(f"DIFFERENT  first  cloze a\n    {told}", printed)
        self.assertTrue(printed.endswith("0 passed, 1 failed\n"), printed)

    def test_the_same_program_twice_is_the_same(self):
        self.scenarios([("first", ["cloze a", "cloze b"]), ("second", ["cloze c"])])
        lines = "same  first  cloze a\nsame  first  cloze b\nsame  second  cloze c\n3 passed, 0 failed\n"
        self.assertEqual(self.compare(), (0, lines))

    def test_another_version_is_the_same(self):
        self.assertEqual(self.compare(("0.1.0", "0.2.0"))[0], 0)

    def test_one_digit_of_a_file_is_seen(self):
        told = 'run/report.json, line 4:   "accuracy": 0.75 →   "accuracy": 0.76'
        self.assert_different(told, ("0.75", "0.76"))
        self.assert_different("run/events.jsonl, line 1: {", ("0.5,", "0.6,"))

    def test_what_is_printed_is_seen(self):
        self.assert_different("<stdout>, line 2: 1,up → 1,down", ("1,up", "1,down"))
        self.assert_different("<stderr>, line 1: d.csv: 3 rows in N s", ("3 rows in", "4 rows in"))
        self.assert_different("<stdout>, line 3:  → more", ('echo "1,up"', 'echo "1,up"; echo more'))

    def test_the_exit_code_is_seen_with_what_was_said(self):
        fails = ('echo "1,up"', 'echo "error: no" >&2; exit 3')
        self.assert_different("exit code, 0 → 3: error: no", fails)

    def test_a_file_too_many_or_too_few_is_seen(self):
        self.assert_different("more, written by the new build alone", ("now=", "touch more; now="))
        less = ("> run/events.jsonl", "> /dev/null")
        self.assert_different("run/events.jsonl, written by the old build alone", less)
        self.assert_different("t.json, written by the new build alone", ("now=", "rm t.json; now="))

    def test_a_file_that_one_removes_and_one_changes_is_seen(self):
        old, new = (same.Played(0, b"", b"", {"t.json": content}) for content in (None, b"x"))
        told = same.difference(old, new, self.folder, self.folder)
        self.assertEqual(told, "t.json, removed by the old build alone")

    def test_a_manifest_must_be_there_but_is_not_compared(self):
        write = 'echo "$$" > run/manifest.json'
        self.assertEqual(self.compare((write, "echo more > run/manifest.json"))[0], 0)
        self.assert_different("run/manifest.json, written by the old build", (write, ""))

    def test_named_keys_are_left_out(self):
        change = ('\\"threads\\": 1', '\\"threads\\": 2')
        self.assert_different("run/settings.json, line 1", change)
        with mock.patch.object(same, "WITHOUT_KEYS", {"settings.json": ["run.threads"]}):
            self.assertEqual(self.compare(change)[0], 0)
            change = ('\\"rows\\": 3', '\\"rows\\": 4')
            self.assert_different('run/settings.json, line 2:   "rows": 3,', change)

    def test_a_command_that_the_old_build_refuses_says_nothing(self):
        self.scenarios([("first", ["cloze a; false"])])
        status, printed = self.compare()
        self.assertEqual(status, 1)
        self.assertIn("the old build ends with exit code 1: d.csv: 3 rows", printed)

    def test_commands_are_chosen_with_those_before_them(self):
        self.scenarios([("first", ["cloze a", "cloze b", "cloze c"]), ("second", ["cloze d"])])
        self.assertIn("2 passed", self.compare(options=["--only", "cloze b"])[1])
        self.assertIn("1 passed", self.compare(options=["--only", "^second$"])[1])
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(same.main(["--list", "--only", "d"]), 0)
        self.assertEqual(printed.getvalue(), "second  cloze d\n")

    def test_what_was_written_can_be_kept(self):
        kept = self.folder / "kept"
        self.assertEqual(self.compare(options=["--keep", str(kept)])[0], 0)
        self.assertTrue((kept / "new" / "first" / "run" / "report.json").is_file())

    def test_what_cannot_be_compared_is_exit_2(self):
        program = self.program("old")
        for arguments in ([], ["--old", str(self.folder / "none")], ["--old", program, "--only", "zzz"],
                          ["--old", program, "--new", program, "--keep", str(self.folder)]):
            with contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(same.main(arguments), 2)
            self.assertTrue(said.getvalue().startswith("same: "), said.getvalue())


class Content(unittest.TestCase):
    def compare(self, name, one, other):
        return same.compare(name, one, other, Path("/one"), Path("/other"))

    def test_the_order_of_tensors_is_no_difference(self):
        one, other = safetensors({"a": b"12", "b": b"345"}), safetensors({"b": b"345", "a": b"12"})
        self.assertNotEqual(one, other)
        self.assertIsNone(self.compare("x.safetensors", one, other))

    def test_tensors_differ_by_bytes_shape_name_and_texts(self):
        texts = {"format": "pt"}
        one = safetensors({"a": b"12", "b": b"345"}, texts)
        for other, told in ((safetensors({"a": b"12", "b": b"305"}, texts), "b: byte 1 of 3: 3435 → 3035"),
                            (safetensors({"a": b"123", "b": b"345"}, texts), "a: U8 [2] → U8 [3]"),
                            (safetensors({"a": b"12"}, texts), "b: in the old build's alone"),
                            (safetensors({"a": b"12", "b": b"345"}, {"format": "np"}),
                             '__metadata__: {"format": "pt"} → {"format": "np"}'),
                            (one[:-1], "b: byte 2 of 3: 35 → ")):
            self.assertEqual(self.compare("x.safetensors", one, other), told)

    def test_damaged_tensors_are_bytes(self):
        self.assertEqual(self.compare("x.safetensors", b"\xff\x00", b"\xff\x01"), "byte 1: 00 → 01")

    def test_a_time_stands_in_its_own_place_alone(self):
        for name, text in (("<stdout>", "d.csv: 3 rows in 0.1 s, 9 rows/s (cloze)"),
                           ("<stderr>", "seed 1: 8 rows, 3 steps"), ("out.csv", '  "seconds": 1'),
                           ("report.json", '  "second": 1,'), ("report.json", '  "version": "0.1.0",'),
                           ("page.html", "<td>0.1 s</td><td>")):
            self.assertEqual(same.normalised(name, text, Path("/one")), text)

    def test_times_and_versions_are_normalised(self):
        bar = '<td>{}</td><td class="bar" aria-hidden="true"><div style="width:{}%">'
        for name, text, wanted in (
                ("<stderr>", "a b: 1,234 rows in 1 min 3 s, 1,000 rows/s (x)",
                 "a b: 1,234 rows in N s, N rows/s (x)"),
                ("<stderr>", "seed 1: 8 rows, 0.3 s, accuracy 75.0", "seed 1: 8 rows, N s, accuracy 75.0"),
                ("<stderr>", "seed 1: 8 rows, 12 s", "seed 1: 8 rows, N s"),
                ("metrics.json", '      "seconds": 1.2e-5,', '      "seconds": N,'),
                ("report.json", '  "seconds": null,', '  "seconds": null,'),
                ("run/seconds.jsonl", '{"step":"a","seconds":0.5}', '{"step":"a","seconds":N}'),
                ("page.html", bar.format("1 h 2 min 3 s", "12.5"), bar.format("N s", "N")),
                ("page.html", ">in all</th><td>0.1 s</td>", ">in all</th><td>N s</td>"),
                ("page.html", "<dt>cloze</dt><dd>0.1.0</dd>", "<dt>cloze</dt><dd>VERSION</dd>"),
                ("<stdout>", "cloze 0.1.0\n", "cloze VERSION\n"),
                ("report.json", '"/one/fixtures/tiny"', '"$FOLDER/fixtures/tiny"')):
            self.assertEqual(same.normalised(name, text, Path("/one")), wanted)

    def test_of_long_lines_the_place_is_shown(self):
        one = ("x" * 500 + "1" + "y" * 500).encode()
        told = self.compare("page.html", one, one.replace(b"1", b"2"))
        self.assertIn("xxx1yyy", told)
        self.assertLess(len(told), 300)


class List(unittest.TestCase):
    def test_each_command_is_on_one_line_and_runs_cloze(self):
        names = [name for name, _ in SCENARIOS]
        self.assertEqual(len(names), len(set(names)))
        for _, commands in SCENARIOS:
            self.assertEqual(len(commands), len(set(commands)))
            for command in commands:
                self.assertIn("cloze ", command)
                self.assertNotIn("\n", command)

    def test_files_are_what_their_names_say(self):
        broken = {"cut-short.json"}
        for name, text in FILES.items():
            self.assertTrue(text.endswith("\n") or name.endswith(".json"), name)
            if name.endswith(".json") and name not in broken:
                json.loads(text)


if __name__ == "__main__":
    unittest.main()
