#!/usr/bin/env python3
"""Look at cloze's pages in a browser: screenshots, and what axe-core finds by WCAG's rules.

Makes pages of scorings with 2 and 150 classes, one and several a row, with labels of `<script>` and of 80 letters, of an explanation,
a training, a robustness study, a search and a strict check. Headless Chromium then shows each at 400 and 1,200
pixels, light and dark, and axe-core looks at it there. Each page must fetch nothing and be free of violations of
WCAG A and AA; the screenshots stand in the work folder, for eyes.

Needs Chromium (or Chrome) and npm, which fetches axe-core once.
"""
import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome"]
AXE = "axe-core@4"
WIDTHS = [400, 1200]
SCHEMES = {"light": "1", "dark": "0"}

# Waits for the page's own script, and leaves what was found as the only text.
RUN_AXE = """
axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }).then(function (found) {
  var told = found.violations.map(function (one) {
    return { id: one.id, help: one.help, nodes: one.nodes.slice(0, 5).map(function (node) {
      return node.html.slice(0, 200) + " | " + node.failureSummary; }), count: one.nodes.length };
  });
  var wide = document.documentElement.scrollWidth > document.documentElement.clientWidth + 1;
  document.documentElement.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = "FOUND" + JSON.stringify({ told: told, wide: wide }) + "END";
});
"""


def find_axe(work):
    """axe.min.js, from npm's registry."""
    path = work / "package" / "axe.min.js"
    if not path.exists():
        subprocess.run(["npm", "pack", AXE, "--silent"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(work.glob("axe-core-*.tgz"))) as archive:
            archive.extract("package/axe.min.js", work, filter="data")
    return path.read_text()


def words(count):
    """Words of the shipped model's vocabulary."""
    vocabulary = (ROOT / "models/cloze-minilm-l6/vocab.txt").read_text().splitlines()
    return [word for word in vocabulary if re.fullmatch("[a-z]{5,}", word)][:count]


def verbalizer(path, labels):
    classes = [{"label": label, "words": [word]} for label, word in zip(labels, words(len(labels)))]
    path.write_text(json.dumps({"version": 1, "classes": classes}))


def rows(path, labels, count):
    texts = [row["text"] for row in csv.DictReader((ROOT / "data/reviews/test.csv").open())]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(count):
            writer.writerow([f"<i>{texts[row % len(texts)]}</i>", labels[row % len(labels)]])


def make_pages(cloze, work):
    """The pages, by their names."""
    pages = {}

    def run(name, *args):
        pages[name] = work / f"{name}.html"
        subprocess.run([cloze, *map(str, args), "--page", pages[name], "--quiet"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)

    few = ["<script>alert(1)</script>", "l" * 80]
    many = [f"<script>{number}</script>" if number % 2 else f"{number} " + "label " * 12 + "label" for number in range(150)]
    template = "templates/sentiment/it-was.json"
    two = ["--template", template, "--verbalizer", "verbalizers/sentiment.json"]
    for name, labels, count in [("few", few, 40), ("many", many, 300)]:
        verbalizer(work / f"{name}.json", labels)
        rows(work / f"{name}.csv", labels, count)
        run(name, "score", "--template", template, "templates/sentiment/just.json", "--verbalizer",
            work / f"{name}.json", "--data", work / f"{name}.csv", "--calibrate", "batch", "--out", work / "out.csv")
    for name, labels, count in [("few", few, 40), ("many", many, 300)]:
        with (work / f"{name}-several.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "labels"])
            for row, text in enumerate(csv.DictReader((work / f"{name}.csv").open())):
                writer.writerow([text["text"], "|".join({labels[row % len(labels)], labels[row * row % len(labels)]})])
        run(f"{name}-several", "score", "--template", template, "--verbalizer", work / f"{name}.json", "--data",
            work / f"{name}-several.csv", "--multi-label", "--reference", "it", "--calibrate", "batch", "--out", work / "out.csv")
    run("explained", "explain", "--template", template, "--verbalizer", work / "few.json", "--data",
        work / "few.csv", "--row", "1-3")
    run("robust", "robustness", *two, "--data", "data/reviews/dev.csv", "--rows", "20")
    run("searched", "search", "pattern", "--template", "templates/sentiment/just.json", template, "--verbalizer",
        "verbalizers/sentiment.json", "--data", "data/reviews/dev.csv", "--train", "data/reviews/dev.csv",
        "--shots", "8", "--out", work / "best.json")
    shutil.rmtree(work / "run", ignore_errors=True)
    run("trained", "train", *two, "--train", "data/reviews/train.csv", "--test", "data/reviews/dev.csv", "--shots",
        "4", "--seeds", "13,21", "--method", "head", "--steps", "10", "--out", work / "run")
    pages["strict"] = work / "strict.html"
    subprocess.run([cloze, "check", *two, "--data", "data/reviews/dev.csv", "--strict", "--page", pages["strict"]],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return pages


def browse(browser, scheme, width, *args):
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--window-size={width},2400", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloze", default=ROOT / "target/release/cloze")
    parser.add_argument("--work", type=Path, default=ROOT / "target/page-check")
    parser.add_argument("--only", help="a page, as few or many")
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        sys.exit(f"page_check: none of {', '.join(BROWSERS)} is here")
    args.work.mkdir(parents=True, exist_ok=True)
    axe = find_axe(args.work)
    pages = make_pages(args.cloze, args.work)
    bad = 0
    for name, path in pages.items():
        if args.only not in (None, name):
            continue
        text = path.read_text()
        fetched = re.findall(r"""(?:src|href)\s*=\s*["']?(?!#)[^"'>]*|@import|url\([^)]*""", re.sub("<style>.*?</style>", "", text))
        if fetched:
            bad += 1
            print(f"{name}: fetches {fetched[:3]}")
        with_axe = args.work / f"{name}-axe.html"
        with_axe.write_text(text.replace("</body>", f"<script>{axe}</script><script>{RUN_AXE}</script></body>"))
        for width in WIDTHS:
            for scheme in SCHEMES:
                shot = args.work / f"{name}-{width}-{scheme}.png"
                browse(browser, scheme, width, f"--screenshot={shot}", f"file://{path}")
                # Headless Chromium has no window narrower than 500 pixels: below that axe looks at that width.
                seen = browse(browser, scheme, width, "--virtual-time-budget=60000", "--dump-dom", f"file://{with_axe}")
                found = re.search("FOUND(.*)END", seen, re.S)
                if not found:
                    bad += 1
                    print(f"{name} {width} {scheme}: axe-core did not end")
                    continue
                unescaped = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                result = json.loads(unescaped)
                if result["wide"]:
                    bad += 1
                    print(f"{name} {width} {scheme}: the page is wider than its window")
                for one in result["told"]:
                    bad += 1
                    print(f"{name} {width} {scheme}: {one['id']}, {one['help']} ({one['count']})")
                    for node in one["nodes"]:
                        print(f"    {node}")
        print(f"{name}: looked at")
    print(f"{bad} problems; screenshots in {args.work}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
