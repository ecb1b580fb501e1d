"""Labelling as a person does it, in a headless Chromium: python3 tests/browser/label.py CLOZE [FOLDER].
Pictures go into the folder, to be looked at. `make test-browser` runs it."""

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
import browser  # noqa: E402

CLOZE = "target/release/cloze"
PICTURES = tempfile.gettempdir()
csv.field_size_limit(1 << 24)

IDLE = "document.body.getAttribute('aria-busy') === 'false' && document.querySelector('#progress').textContent !== ''"
ROW = "document.querySelector('#row-title').innerText"
TOLD = "document.querySelector('#told').innerText"
PROGRESS = "document.querySelector('#progress').innerText"
PROBLEM = "document.querySelector('#problem').innerText"


class Service:
    """`cloze label` on a free port, or on one that it had before."""

    def __init__(self, *arguments, port=0):
        self.process = subprocess.Popen([CLOZE, "label", "--port", str(port), "--labeller", "anna", *arguments],
                                        stderr=subprocess.PIPE, text=True)
        self.said = ""
        found = None
        while found is None:
            line = self.process.stderr.readline()
            if line == "":
                raise RuntimeError(self.said)
            self.said += line
            found = re.search(r"http://localhost:(\d+)", line)
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()
        self.process.stderr.close()


class Label(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def rows(self, count=30, name="rows.csv", header=("text",), row=lambda number: [f"This is text {number}."]):
        path = os.path.join(self.folder, name)
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([header, *map(row, range(1, count + 1))])
        return path

    def page(self, url, **options):
        page = browser.Browser(**options)
        self.addCleanup(page.__exit__)
        page.open(url)
        page.wait(IDLE)
        return page

    def press(self, page, key):
        """A key, and the row that comes after it."""
        row, progress = page.run(ROW), page.run(PROGRESS)
        page.key(key, key)
        page.wait(f"({IDLE}) && ({ROW} !== {json.dumps(row)} || {PROGRESS} !== {json.dumps(progress)})")

    def export(self, path, *more):
        out = os.path.join(self.folder, "out.csv")
        subprocess.run([CLOZE, "label", path, "--export", out, "-q", *more], check=True)
        with open(out, newline="") as file:
            return list(csv.DictReader(file))

    def assert_clean(self, page, url, but=()):
        """No request left this program, and the console has nothing to complain of but what is meant."""
        self.assertEqual([each for each in page.requests if not each.startswith((url, "data:"))], [])
        self.assertEqual([text for text in page.complaints if not any(each in text for each in but)], [])

    def test_twenty_rows_by_keys_a_reload_and_a_killed_program(self):
        path = self.rows()
        arguments = (path, "--labels", "down, up, neither", "--by", "random")
        service = Service(*arguments)
        page = self.page(service.url)
        given = {}
        for number in range(20):
            record = page.run(ROW).split()[-1]
            key = "123"[number % 3]
            given[record] = {"1": "down", "2": "up", "3": "neither"}[key]
            self.press(page, key)
            self.assertEqual(page.run(TOLD), f"Row {record}: {given[record]}.")
            if number == 9:
                before = page.run(ROW)
                page.open(service.url)
                page.wait(IDLE)
                self.assertEqual(page.run(ROW), before)
        self.assertTrue(page.run(PROGRESS).startswith("20 of 30 rows labelled"))
        waiting = page.run(ROW)
        page.picture(os.path.join(PICTURES, "label-1440.png"))
        service.end(signal.SIGKILL)
        # A key while nobody answers: it is told, and the row stays.
        page.key("1", "1")
        page.wait(f"({PROBLEM}).includes('does not answer')")
        page.picture(os.path.join(PICTURES, "label-gone.png"))
        self.assertEqual(page.run(ROW), waiting)
        again = Service(path, port=service.port)
        self.addCleanup(again.__exit__)
        self.assertIn("anna has labelled 20 and skipped 0", again.said)
        self.press(page, "2")
        given[waiting.split()[-1]] = "up"
        self.assertEqual(page.run(PROBLEM), "")
        rows = self.export(path)
        numbers = {row["text"].split()[-1].rstrip("."): row["label"] for row in rows}
        self.assertEqual(numbers, given)
        self.assertEqual({row["labeller"] for row in rows}, {"anna"})
        self.assert_clean(page, service.url, but=["ERR_CONNECTION"])

    def test_skip_undo_and_note(self):
        path = self.rows(4)
        with Service(path, "--labels", "down, up", "--by", "random") as service:
            page = self.page(service.url)
            first = page.run(ROW)
            page.key("n", "n")
            self.assertEqual(page.run("document.activeElement.id"), "note")
            page.type("odd, <b>this</b>")
            page.key("2", "2")
            self.assertEqual(page.run("document.querySelector('#note').value"), "odd, <b>this</b>2")
            page.key("Enter", "\r")
            self.press(page, "2")
            self.press(page, "s")
            self.assertIn("1 of 4 rows labelled, 1 skipped", page.run(PROGRESS))
            self.press(page, "u")
            self.press(page, "u")
            self.assertEqual(page.run(ROW), first)
            self.assertIn("Before: up", page.run("document.querySelector('#row-hint').innerText"))
            self.assertEqual(page.run("document.querySelector('#note').value"), "odd, <b>this</b>2")
            for key in "1s11":
                self.press(page, key)
            self.assertEqual(page.run(ROW), "All rows are answered")
            page.picture(os.path.join(PICTURES, "label-done.png"))
            page.run("document.querySelector('#again').click()")
            page.wait(f"({ROW}).startsWith('Row')")
            self.press(page, "2")
            rows = self.export(path)
            self.assertEqual(sorted(row["label"] for row in rows), ["down", "down", "down", "up"])
            self.assertEqual([row["note"] for row in rows if row["note"]], ["odd, <b>this</b>2"])
            self.assert_clean(page, service.url)

    def test_two_windows_on_one_row(self):
        path = self.rows(6)
        with Service(path, "--labels", "down, up", "--by", "random") as service:
            one, other = self.page(service.url), self.page(service.url)
            row = one.run(ROW)
            self.assertEqual(other.run(ROW), row)
            self.press(one, "1")
            other.key("2", "2")
            told = other.wait(PROBLEM)
            self.assertIn("has answered", told)
            self.assertIn("down. Your answer was up", told)
            other.picture(os.path.join(PICTURES, "label-conflict.png"))
            # The first answer stands until somebody says otherwise.
            self.assertEqual(self.export(path)[0]["label"], "down")
            other.run("[...document.querySelectorAll('#problem button')].at(-1).click()")
            other.wait(f"{IDLE} && ({PROBLEM}) === ''")
            self.assertEqual(self.export(path)[0]["label"], "up")
            with sqlite3.connect(path + ".labels.sqlite") as database:
                labels = [label for (label,) in database.execute("SELECT label FROM answers ORDER BY id")]
            self.assertEqual(labels, ["down", "up"])
            self.assert_clean(other, service.url, but=["409"])

    def test_what_rows_and_labels_hold_is_text(self):
        evil = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "line\n\ttwo  blanks", "=1+1", ""]
        path = self.rows(5, header=("title <b>", "text"), row=lambda number: ["<i>t</i>", evil[number - 1]])
        labels = "<script>alert(1)</script>, \"a, <b>b</b>\", __proto__"
        with Service(path, "--labels", labels, "--by", "random") as service:
            page = self.page(service.url + "/?labeller=%3Cb%3Eeve%3C/b%3E")
            seen = []
            for _ in range(5):
                seen.append(page.run("document.querySelectorAll('#fields dd')[1].textContent"))
                inside = "main img, main i, main b, main script, header b"
                self.assertEqual(page.run(f"document.querySelectorAll('{inside}').length"), 0)
                self.press(page, "1")
            self.assertEqual(sorted(seen), sorted(text or "(empty)" for text in evil))
            rows = self.export(path)
            self.assertEqual({row["label"] for row in rows}, {"<script>alert(1)</script>"})
            self.assertEqual({row["labeller"] for row in rows}, {"<b>eve</b>"})
            self.assert_clean(page, service.url)

    def test_many_labels_and_a_row_of_a_megabyte(self):
        path = self.rows(3, row=lambda number: [("ä" if number == 2 else "word ") * (1 << 18) * (1 + number % 2) + str(number)])
        labels = os.path.join(self.folder, "labels.txt")
        with open(labels, "w") as file:
            file.writelines(f"intent-{number}\n" for number in range(1, 10_001))
        with Service(path, "--labels-file", labels, "--by", "random") as service:
            page = self.page(service.url)
            self.assertEqual(page.run("document.querySelectorAll('#labels button').length"), 60)
            page.picture(os.path.join(PICTURES, "label-many.png"))
            page.key("/", "/")
            page.type("intent-777")
            self.assertEqual(page.run("document.querySelectorAll('#labels button').length"), 11)
            page.key("Enter", "\r")
            page.wait(f"({TOLD}).includes('intent-777.')")
            self.press(page, "9")
            self.press(page, "9")
            self.assertEqual(sorted(row["label"] for row in self.export(path)), ["intent-777", "intent-9", "intent-9"])
            self.assert_clean(page, service.url)

    def test_two_labellers_agree_and_differ(self):
        path = self.rows(8)
        with Service(path, "--labels", "down, up", "--by", "random") as service:
            for name, keys in (("anna", "11221122"), ("ben", "11221211")):
                page = self.page(f"{service.url}/?labeller={name}")
                for key in keys:
                    self.press(page, key)
            page.run("document.querySelector('#agreement summary').click()")
            page.wait("document.querySelectorAll('#agreed table').length === 2")
            cells = page.run("[...document.querySelector('#agreed tbody').rows[0].cells].map((cell) => cell.innerText)")
            # sklearn.metrics.cohen_kappa_score([1, 1, 2, 2, 1, 1, 2, 2], [1, 1, 2, 2, 1, 2, 1, 1])
            self.assertEqual(cells, ["anna, ben", "8", "5", "0.250"])
            self.assertEqual(page.run("document.querySelector('#agreed table:last-child').rows.length"), 4)
            page.picture(os.path.join(PICTURES, "label-agreement.png"))
            # As many say one as the other: such rows have no label.
            self.assertEqual(len(self.export(path)), 5)
            self.assertEqual([row["label"] for row in self.export(path, "--all")].count(""), 3)
            self.assert_clean(page, service.url)

    def test_the_model_says_nothing_before_it_is_asked(self):
        asked = ["--template", "templates/sentiment/it-was.json", "--verbalizer", "verbalizers/sentiment.json"]
        texts = ["What a lovely film!", "I want my money back.", "A dull evening.", "Great songs.", "Bad soup.",
                 "We laughed a lot.", "Never again.", "The best book.", "A boring play.", "Wonderful people."]
        path = self.rows(10, row=lambda number: [texts[number - 1]])
        with Service(path, *asked, "--random-share", "0.5") as service:
            self.assertIn("the first by clusters", service.said)
            page = self.page(service.url)
            kinds = set()
            for _ in range(6):
                self.assertEqual(page.run("document.querySelector('#opinion').innerText"), "")
                is_test = page.run("document.querySelector('#row-hint').innerText").startswith("Kept for testing")
                kinds.add(is_test)
                page.key("m", "m")
                if is_test:
                    self.assertTrue(page.run("document.querySelector('#model').disabled"))
                    place = page.run("state.row.place")
                    refused = page.run("fetch('opinion', { method: 'POST', headers: { 'Content-Type': 'application/json' }, "
                                       f"body: JSON.stringify({{ place: {place} }}) }}).then((answer) => answer.status)")
                    self.assertEqual(refused, 409)
                else:
                    page.wait("document.querySelectorAll('#opinion tr').length === 2")
                    page.picture(os.path.join(PICTURES, "label-opinion.png"))
                page.wait(IDLE)
                self.press(page, "2")
                self.assertRegex(page.run(TOLD), r": positive; the model (agrees|says negative) \(\d+\.\d %\)\.")
            self.assertEqual(kinds, {True, False})
            self.assert_clean(page, service.url, but=["409"])

    def test_a_model_learns_beside_the_labelling(self):
        words = {"1": ["lovely", "wonderful", "great", "fine"], "2": ["awful", "dull", "terrible", "bad"]}
        texts = [f"{words[key][row % 4].capitalize()} film, the {row}th <b>of them</b>." for row in range(20) for key in "12"]
        path = self.rows(40, row=lambda number: [texts[number - 1]])
        flags = ["--labels", "good, bad", "--learn-every", "10", "--random-share", "0.3"]
        with Service(path, *flags) as service:
            page = self.page(service.url)
            page.wait("document.querySelector('#lessons').innerText.includes('After 10 labels more')")
            for row in range(16):
                text = page.run("document.querySelector('#fields').innerText").lower()
                key = "1" if any(word in text for word in words["1"]) else "2"
                # One label is wrong.
                self.press(page, "12"[key == "1"] if row == 4 else key)
            page.wait("document.querySelector('#lessons table') !== null", 300)
            page.wait(IDLE)
            self.assertRegex(page.run("document.querySelector('#lessons table').innerText"), r"\d+\.\d %")
            page.picture(os.path.join(PICTURES, "label-learned.png"))
            for width, dark in ((360, True), (1440, False)):
                other = self.page(service.url, width=width, height=900, dark=dark)
                other.wait("document.querySelector('#lessons table') !== null")
                other.picture(os.path.join(PICTURES, f"label-learned-{width}.png"))
                self.assertLessEqual(other.run("document.documentElement.scrollWidth"), width)
            if page.run("document.querySelector('#lessons button') !== null"):
                page.run("document.querySelector('#lessons button').click()")
                page.wait("document.querySelector('#row-hint').innerText.includes('looks wrong')")
                page.wait(IDLE)
                before = page.run("learning.all_doubts")
                page.key("1", "1")
                page.wait(f"learning.all_doubts === {before - 1}")
            self.assert_clean(page, service.url)

    def test_it_fits_small_screens_and_keys_alone(self):
        path = self.rows(12, header=("title", "text"), row=lambda number: ["A title", f"A row {number} to read. " * 40])
        labels = "a short one, a label with many words in its name to see where it is broken, " + "w" * 80
        with Service(path, "--labels", labels, "--by", "random") as service:
            for width, dark in ((360, True), (360, False), (768, False), (1440, True)):
                with self.subTest(width=width, dark=dark):
                    page = self.page(service.url, width=width, height=800, dark=dark)
                    self.press(page, "1")
                    page.picture(os.path.join(PICTURES, f"label-{width}-{'dark' if dark else 'light'}.png"))
                    self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)
            # By Tab and Enter too, and everything that can have the focus has a name.
            for _ in range(12):
                page.key("Tab")
                if page.run("document.activeElement.innerText").startswith("2"):
                    break
            page.key("Enter", "\r")
            page.wait(f"({TOLD}).includes('a label with many words')")
            unnamed = [role for role, name in page.names() if not name and role not in ("RootWebArea", "generic")]
            self.assertEqual(unnamed, [])
            self.assert_clean(page, service.url)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        CLOZE = sys.argv[1]
    if len(sys.argv) > 2:
        PICTURES = sys.argv[2]
    if browser.find() is None:
        sys.exit("no Chromium here: on Debian, apt-get install chromium; or name one with $BROWSER")
    unittest.main(argv=sys.argv[:1])
