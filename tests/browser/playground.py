"""The playground as a person uses it, in a headless Chromium: python3 tests/browser/playground.py CLOZE [FOLDER].
Pictures go into the folder, to be looked at. `make test-browser` runs it."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
import browser  # noqa: E402

CLOZE = "target/release/cloze"
PICTURES = tempfile.gettempdir()


class Service:
    """`cloze serve` on a free port."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([CLOZE, "serve", "--port", "0", *arguments], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        self.url = re.search(r"http://\S+", line).group(0).replace("localhost", "127.0.0.1")

    def __enter__(self):
        return self.url

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


PATTERN = ["--template", "templates/sentiment/it-was.json", "--verbalizer", "verbalizers/sentiment.json"]
SAID = "document.querySelector('#said')?.innerText || ''"
IDLE = "document.querySelector('#answers').getAttribute('aria-busy') === 'false' && !!document.querySelector('#said')"


class Playground(unittest.TestCase):
    def page(self, url, **options):
        page = browser.Browser(**options)
        self.addCleanup(page.__exit__)
        page.open(url)
        page.wait(IDLE)
        return page

    def test_a_person_types_breaks_a_pattern_and_mends_it(self):
        with Service(*PATTERN) as url:
            page = self.page(url + "/")
            page.replace("#text-0", "What a lovely film!")
            page.wait(f"({SAID}).startsWith('positive')")
            page.replace("#text-0", "I want my money back.")
            page.wait(f"({SAID}).startsWith('negative')")
            page.picture(os.path.join(PICTURES, "playground-1440.png"))
            # The mask is gone: the error as in a file, with its caret, at the field that it is about.
            pattern = page.run("document.querySelector('#pattern-0').value")
            page.replace("#pattern-0", "{text} It was {msk}.")
            told = page.wait("document.querySelector('#problems').innerText")
            self.assertIn("the pattern has no {mask}", told)
            self.assertIn("^^^^^", told)
            self.assertEqual(page.run("document.querySelector('#pattern-0').getAttribute('aria-invalid')"), "true")
            page.picture(os.path.join(PICTURES, "playground-problem.png"))
            page.replace("#pattern-0", pattern)
            page.wait(IDLE)
            self.assertEqual(page.run("document.querySelector('#problems').innerText"), "")
            # A word that the model has not whole, told at its class.
            page.run("document.querySelector('#several').checked && document.querySelector('#several').click()")
            page.replace("#words-1", "good, unbelievablest")
            told = page.wait("document.querySelector('#problems').innerText")
            self.assertIn("unbelievablest", told)
            self.assertEqual(page.run("document.querySelector('#words-1').getAttribute('aria-invalid')"), "true")
            self.assert_clean(page, url)

    def test_a_link_holds_what_was_asked(self):
        with Service(*PATTERN) as url:
            page = self.page(url + "/")
            page.replace("#text-0", "It rained all day.")
            page.replace("#pattern-0", "{text} How {mask}!")
            page.wait("document.querySelector('#answers code')?.innerText === '{text} How {mask}!'")
            link = page.run("location.href")
            other = self.page(link)
            self.assertEqual(other.run("document.querySelector('#text-0').value"), "It rained all day.")
            self.assertEqual(other.run("document.querySelector('#pattern-0').value"), "{text} How {mask}!")
            self.assertEqual(other.run(SAID), page.run(SAID))
            # Whatever a link holds is text, and what makes no sense is left.
            evil = {"run": "none", "texts": {"text": "<img src=x onerror=alert(1)>"}, "patterns": [
                {"pattern": "<b>{text}</b> {mask}<script>alert(1)</script>"}],
                "classes": [{"label": "<i>a</i>", "words": "good"}, {"label": "__proto__", "words": "bad"}]}
            page = self.page(url + "/#" + urllib.parse.quote(json.dumps(evil)))
            self.assertEqual(page.run("document.querySelectorAll('main img, main b, main i, main script').length"), 0)
            self.assertIn("<b>{text}</b>", page.run("document.querySelector('#answers').innerText"))
            self.assert_clean(page, url)
            broken = self.page(url + "/#%7Bnonsense")
            self.assertEqual(broken.run("document.querySelector('#pattern-0').value"), "It was {mask}. {text}")

    def test_rows_are_classified_and_files_saved(self):
        with Service(*PATTERN) as url, tempfile.TemporaryDirectory() as folder:
            page = self.page(url + "/")
            page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
            page.replace("#rows", "A wonderful book.\nThe worst soup ever.\n<b>bold</b>")
            page.run("document.querySelector('#classify').click()")
            page.wait("document.querySelectorAll('#rows-answer tbody tr').length === 3")
            labels = page.run("[...document.querySelectorAll('#rows-answer tbody tr')].map((row) => row.cells[1].innerText)")
            self.assertEqual(labels[:2], ["positive", "negative"])
            page.replace("#words-0", "bad, sad")
            page.wait(IDLE)
            page.run("document.querySelector('#save-templates').click()")
            page.run("document.querySelector('#save-verbalizer').click()")
            files = [os.path.join(folder, name) for name in ("pattern-1.json", "verbalizer.json")]
            until = 100
            while not all(map(os.path.exists, files)) and until:
                until -= 1
                page.run("new Promise((done) => setTimeout(done, 100))")
            # The files are what the commands read.
            scored = subprocess.run([CLOZE, "score", "--template", files[0], "--verbalizer", files[1],
                                     "--text", "How sad."], capture_output=True, text=True, check=True)
            self.assertIn("negative", scored.stdout)
            self.assert_clean(page, url)

    def test_it_fits_small_screens_and_keys_alone(self):
        for width, dark in ((360, True), (768, False), (1440, True)):
            with self.subTest(width=width), Service(*PATTERN) as url:
                page = self.page(url + "/", width=width, height=800, dark=dark)
                page.replace("#text-0", "A film that I would see again and again. " * 12)
                page.wait(IDLE)
                page.picture(os.path.join(PICTURES, f"playground-{width}-{'dark' if dark else 'light'}.png"))
                self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)
        # By the keyboard alone: from the top to the first pattern's field, and into it.
        with Service(*PATTERN) as url:
            page = self.page(url + "/")
            for _ in range(12):
                page.key("Tab")
                if page.run("document.activeElement.id") == "pattern-0":
                    break
            self.assertEqual(page.run("document.activeElement.id"), "pattern-0")
            page.run("document.activeElement.select()")
            page.type("{text} All in all, it was {mask}.")
            page.wait("document.querySelector('#answers code')?.innerText === '{text} All in all, it was {mask}.'")
            unnamed = [role for role, name in page.names() if not name and role not in ("RootWebArea", "generic")]
            self.assertEqual(unnamed, [])

    def test_a_key_is_asked_for_and_readonly_is_shown(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as key:
            key.write("correct-horse-battery\n")
            key.flush()
            with Service(*PATTERN, "--api-key-file", key.name, "--readonly") as url:
                page = browser.Browser()
                self.addCleanup(page.__exit__)
                page.open(url + "/")
                page.wait("!document.querySelector('#key-form').hidden")
                page.replace("#key", "correct-horse-battery")
                page.key("Enter", "\r")
                page.wait(IDLE)
                self.assertTrue(page.run("document.querySelector('#pattern-0').disabled"))
                self.assertTrue(page.run("document.querySelector('#key-form').hidden"))

    def assert_clean(self, page, url):
        """No request left this service, and the console has nothing to complain of but refused requests."""
        others = [each for each in page.requests if not each.startswith((url, "data:"))]
        self.assertEqual(others, [])
        self.assertEqual([text for text in page.complaints if "422" not in text], [])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        CLOZE = sys.argv[1]
    if len(sys.argv) > 2:
        PICTURES = sys.argv[2]
    if browser.find() is None:
        sys.exit("no Chromium here: on Debian, apt-get install chromium; or name one with $BROWSER")
    unittest.main(argv=sys.argv[:1])
