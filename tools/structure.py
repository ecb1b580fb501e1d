#!/usr/bin/env python3
"""Trees of labels and ordered classes on public sets: `make structure` into the tables of docs/trees-and-orders.md.

Numbers between two words beside the expected value of classes in their order.
Trees: flat, level by level and with the branches' scores, without training and with 8 rows a class; what of it finds requests that
fit no label. Orders: the likeliest class beside the median and the expected value. Samples of rows are drawn with seed 13.
"""

import argparse
import csv
import json
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "default_model"))
from sources import Unseen, load  # noqa: E402

from tables import read

SEED = 13
RESAMPLES = 1000
BEGIN, END = "<!-- {}: make structure writes from here -->", "<!-- {}: to here -->"
MODES = {"labels as they stand": [], "flat": ["--tree", "flat"], "top-down": ["--tree", "top-down"], "joint": ["--tree", "joint"]}
KINDS = {"Company": "organisation/business/company", "EducationalInstitution": "organisation/public/school",
         "Artist": "person/art/artist", "Athlete": "person/sport/athlete", "OfficeHolder": "person/politics/politician",
         "MeanOfTransportation": "work/made thing/vehicle", "Building": "place/built/building", "NaturalPlace": "place/natural/river",
         "Village": "place/built/village", "Animal": "species/fauna/animal", "Plant": "species/flora/plant",
         "Album": "work/music/album", "Film": "work/screen/film", "WrittenWork": "work/writing/book"}
STARS = {"sst5": ["very_negative: terrible", "negative: bad", "neutral: okay", "positive: good", "very_positive: great"],
         "yelp_full": ["1_star: terrible", "2_star: bad", "3_star: okay", "4_star: good", "5_star: great"]}


def run(args, *command):
    done = subprocess.run([str(args.cloze), *map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")


def classify(args, data, labels, out, *flags):
    """Answers in a file, which is kept."""
    if not out.exists():
        run(args, "classify", data, "--labels-file", labels, "--out", out, "--report", out.with_suffix(".json"), "--quiet", "--max-length", 64, *flags)


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows({"text": row.get("text", row.get("text_a")), "label": row["label"]} for row in rows)
    return path


def sample(rows, count):
    return random.Random(SEED).sample(rows, min(count, len(rows)))


def table(header, rows):
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def percent(share):
    return f"{100 * share:.1f}"


def path_of(label):
    names = label.split("/")
    return ["/".join(names[: end + 1]) for end in range(len(names))]


def in_tree(truths, answers):
    """Accuracy of each level, and hierarchical F1."""
    pairs = [(path_of(truth), path_of(answer)) for truth, answer in zip(truths, answers)]
    levels = [sum(t[level] == a[level] for t, a in pairs) / len(pairs) for level in range(len(pairs[0][0]))]
    shared = sum(len(set(t) & set(a)) for t, a in pairs)
    return levels, 2 * shared / sum(len(t) + len(a) for t, a in pairs)


def auroc(inside, outside):
    """How often a row that fits is surer than one that does not; equals count half."""
    ranked = sorted([(value, 1) for value in inside] + [(value, 0) for value in outside])
    total, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        total += sum(kind for _, kind in ranked[at:end]) * ((at + end + 1) / 2)
        at = end
    fits = len(inside)
    return (total - fits * (fits + 1) / 2) / (fits * len(outside))


def tree_rows(args, name):
    """In-scope test rows, requests that fit no label, and the file to train on."""
    folder = args.work / name
    folder.mkdir(parents=True, exist_ok=True)
    if name == "clinc150":
        at = args.data / "ship/clinc150"
        test = read(at / "test.csv")
        inside = sample([row for row in test if row["label"] != "oos"], args.rows)
        outside = sample([row for row in test if row["label"] == "oos"], args.rows // 2)
        train = [row for row in read(at / "train.csv") if row["label"] != "oos"]
        dev = sample([row for row in read(at / "dev.csv") if row["label"] != "oos"], args.rows)
        write(folder / "dev.csv", dev)
    else:
        # Rows that the default model was not trained on, and for a training those that it was.
        train, held_out, _ = load(args.data, "dbpedia", Unseen(args.data))
        train, inside = ([{**row, "label": KINDS[row["label"]]} for row in rows] for rows in (train, held_out))
        inside, outside = sample(inside, 2 * args.rows // 5), []  # The texts are long.
    # No label is what fits none: it is not evaluated.
    write(folder / "mixed.csv", inside + [{**row, "label": ""} for row in outside])
    write(folder / "train.csv", train)
    (folder / "labels.txt").write_text("\n".join(sorted({row["label"] for row in train})) + "\n")
    return folder, inside, outside


def said(path, inside):
    rows = read(path)
    labels = [column[2:] for column in rows[0] if column.startswith("p_")]
    assert all(row["label"] in labels for row in inside), "labels and columns differ"
    return [row["predicted"] for row in rows], [float(row["confidence"]) for row in rows], rows


def describe(name, how, mode, inside, answers):
    levels, f1 = in_tree([row["label"] for row in inside], answers)
    return [name, how, mode, *(percent(level) for level in levels), *[""] * (3 - len(levels)), percent(f1)]


def finding(what, inside, outside, answers, sure):
    """How well a number tells rows that fit from others."""
    right = [answer == row["label"] for answer, row in zip(answers, inside)] + [False] * len(outside)
    kept = sorted(range(len(sure)), key=lambda row: -sure[row])[: round(0.9 * len(sure))]
    left = set(range(len(sure))) - set(kept)
    fits = len(inside)
    alone = sorted(range(fits), key=lambda row: -sure[row])[: round(0.9 * fits)]
    return [what, f"{auroc(sure[:fits], sure[fits:]):.3f}", percent(sum(right[:fits]) / fits), percent(sum(right[row] for row in alone) / len(alone)),
            percent(sum(right[row] for row in kept) / len(kept)), percent(sum(row >= fits for row in left) / len(left))]


def trees(args):
    quality, outs, sets = [], [], []
    for name in args.trees:
        folder, inside, outside = tree_rows(args, name)
        for mode, flags in MODES.items():
            out = folder / f"{mode.replace(' ', '-')}.csv"
            classify(args, folder / "mixed.csv", folder / "labels.txt", out, *flags)
            answers, sure, _ = said(out, inside)
            quality.append(describe(name, "no training", mode, inside, answers[: len(inside)]))
            if outside and mode != "top-down":
                outs.append(finding(f"no training, {mode}", inside, outside, answers, sure))
        if outside:
            none_of_these(args, folder, inside, outside, outs)
        if not args.untrained:
            trained(args, name, folder, inside, outside, quality, outs, sets)
    text = table(["set", "", "scores", "level 1", "level 2", "level 3", "hierarchical F1"], quality)
    text += "\n" + table(["clinc150", "AUROC", "accuracy", "at 90 % of the rows that fit", "at 90 % of all rows", "of the 10 % left out fit no label"], outs)
    return text if args.untrained else text + "\n" + table(["clinc150, conformal sets at 10 %", "truth in the set", "classes in it", "without a class", "classes in it, no label fits", "without a class, no label fits"], sets)


def none_of_these(args, folder, inside, outside, outs):
    """A class of its own for what fits no label."""
    labels = (folder / "labels.txt").read_text() + "none of these: something else, another thing, none of these\n"
    (folder / "with-none.txt").write_text(labels)
    out = folder / "with-none.csv"
    classify(args, folder / "mixed.csv", folder / "with-none.txt", out)
    answers, _, rows = said(out, inside)
    fits = [1 - float(row["p_none of these"]) for row in rows]
    outs.append(finding("no training, a class \"none of these\"", inside, outside, answers, fits))


def trained(args, name, folder, inside, outside, quality, outs, sets):
    """8 rows a class, each kind of scores in the training too."""
    for mode in ("flat", "top-down", "joint"):
        files, kept = folder / f"files-{mode}", folder / f"run-{mode}"
        for old in (files, kept):
            shutil.rmtree(old, ignore_errors=True)
        run(args, "init", files, "--labels-file", folder / "labels.txt", "--tree", mode, "--quiet")
        run(args, "train", "--template", files / "templates/ask-1.json", "--verbalizer", files / "verbalizer.json", "--train",
                      folder / "train.csv", "--shots", 8, "--method", "lora", "--seeds", SEED, "--steps", args.steps, "--max-length", 64,
                      "--out", kept, "--quiet")
        for scored in ("flat", "joint") if mode == "flat" else (mode,):
            out = folder / f"trained-{mode}-{scored}.csv"
            conformal = ["--conformal", 0.1, "--conformal-on", folder / "dev.csv"] if outside else []
            run(args, "score", "--run", kept, "--data", folder / "mixed.csv", "--tree", scored, "--out", out, "--quiet")
            answers, sure, _ = said(out, inside)
            how = mode if scored == mode else f"trained {mode}, scored {scored}"
            quality.append(describe(name, "8 a class", how, inside, answers[: len(inside)]))
            if outside and scored == mode != "top-down":
                outs.append(finding(f"8 a class, {mode}", inside, outside, answers, sure))
                run(args, "score", "--run", kept, "--data", folder / "mixed.csv", "--out", out, "--quiet", *conformal)
                sets.append(of_sets(f"8 a class, {mode}", inside, read(out)))


def of_sets(what, inside, rows):
    members = [row["set"].split("|") if row["set"] else [] for row in rows]
    fits, others = members[: len(inside)], members[len(inside) :]
    holds = sum(row["label"] in each for row, each in zip(inside, fits)) / len(inside)
    mean = lambda some: f"{sum(map(len, some)) / len(some):.2f}"
    empty = lambda some: percent(sum(not each for each in some) / len(some))
    return [what, percent(holds), mean(fits), empty(fits), mean(others), empty(others)]


def order_row(name, how, found):
    order = found["order"]
    cells = [name, how]
    for key in ("likeliest", "median", "nearest"):
        cells += [f"{order[key]['mean_absolute_error']:.3f}", f"{order[key]['quadratic_kappa'] or 0:.3f}", percent(order[key]["accuracy"])]
    return cells + [f"{order['expected_absolute_error']:.3f}"]


def orders(args):
    rows = []
    for name, labels in STARS.items():
        folder = args.work / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "labels.txt").write_text("\n".join(labels) + "\n")
        test = write(folder / "test.csv", sample(read(args.data / f"data/{name}/test.csv"), args.rows))
        train = write(folder / "train.csv", read(args.data / f"data/{name}/train.csv"))
        common = ["--labels-file", folder / "labels.txt", "--ask", "sentiment", "--ordered", "--quiet"]
        for how, flags in (("no training", []), ("no training, no correction", ["--no-correction"])):
            out = folder / f"{how.replace(' ', '-')}.csv"
            classify(args, test, folder / "labels.txt", out, *common[2:-1], *flags)
            rows.append(order_row(name, how, json.loads(out.with_suffix(".json").read_text())["evaluation"]))
        if args.untrained:
            continue
        files = folder / "files"
        shutil.rmtree(files, ignore_errors=True)
        run(args, "init", files, *common)
        for shots in (8, 32):
            kept = folder / f"run-{shots}"
            shutil.rmtree(kept, ignore_errors=True)
            run(args, "train", "--template", sorted((files / "templates").glob("*.json"))[0], "--verbalizer", files / "verbalizer.json", "--train",
                train, "--test", test, "--shots", shots, "--method", "lora", "--seeds", SEED, "--steps", args.steps, "--max-length", 64,
                "--out", kept, "--quiet")
            metrics = json.loads((kept / "metrics.json").read_text())
            rows.append(order_row(name, f"{shots} a class", metrics["seeds"][0]["evaluation"]))
    header = ["set", ""] + [f"{way}: {what}" for way in ("likeliest", "median", "nearest to the expected value") for what in ("error", "kappa", "accuracy")]
    return table(header + ["expected value: error"], rows)


def ranks(values):
    """The mean rank of each value."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, at = [0.0] * len(values), 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for place in order[at:end]:
            found[place] = (at + end + 1) / 2
        at = end
    return found


def number_row(name, rows, how, truths, said):
    errors = [abs(truth - number) for truth, number in zip(truths, said)]
    pearson, spearman = statistics.correlation(truths, said), statistics.correlation(ranks(truths), ranks(said))
    return [name, rows, how, f"{pearson:.3f}", f"{spearman:.3f}", f"{sum(errors) / len(errors):.3f}"]


def nearer(truths, one, other):
    """How much larger the mean error of one is than the other's, with its 95 % interval over the rows (paired bootstrap)."""
    differences = [abs(truth - first) - abs(truth - second) for truth, first, second in zip(truths, one, other)]
    generator = random.Random(0)
    means = sorted(statistics.mean(generator.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    low, high = (means[round((RESAMPLES - 1) * place)] for place in (0.025, 0.975))
    return f"{statistics.mean(differences):+.3f} ({low:+.2f} to {high:+.2f})"


def numbers(args):
    """As many train rows for both: K of each of five classes are 5K / 2 of each half of the range."""
    table_rows = []
    for name, labels in STARS.items():
        folder = args.work / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "labels.txt").write_text("\n".join(labels) + "\n")
        grade = {line.split(":")[0]: place + 1 for place, line in enumerate(labels)}
        test = sample(read(args.data / f"data/{name}/test.csv"), args.rows)
        train = read(args.data / f"data/{name}/train.csv")
        for kind, each in (("", lambda label: label), ("numbers-", grade.__getitem__)):
            for part, rows in (("test", test), ("train", train)):
                write(folder / f"{kind}{part}.csv", [{**row, "label": each(row["label"])} for row in rows])
        files = folder / "files"
        shutil.rmtree(files, ignore_errors=True)
        run(args, "init", files, "--labels-file", folder / "labels.txt", "--ask", "sentiment", "--ordered", "--quiet")
        template = sorted((files / "templates").glob("*.json"))[0]
        low, high = (line.split(": ")[1] for line in (labels[0], labels[-1]))
        between = folder / "range.json"
        ends = [{"label": "low", "words": [low]}, {"label": "high", "words": [high]}]
        between.write_text(json.dumps({"version": 1, "range": [1, len(labels)], "classes": ends}))
        truths = [float(grade[row["label"]]) for row in test]
        ways = (("expected value of five classes", files / "verbalizer.json", "", "expected"),
                ("between two words", between, "numbers-", "predicted"))
        said = {}
        for how, verbalizer, kind, column in ways:
            out = folder / f"{column}.csv"
            run(args, "score", "--template", template, "--verbalizer", verbalizer, "--data", folder / f"{kind}test.csv", "--max-length", 64,
                "--out", out, "--quiet")
            said[column] = [float(row[column]) for row in read(out)]
            table_rows.append(number_row(name, "none", how, truths, said[column]))
        table_rows[-1].append(nearer(truths, said["predicted"], said["expected"]))
        for shots in () if args.untrained else (8, 32):
            for how, verbalizer, kind, column in ways:
                kept = folder / f"{kind}run-{shots}"
                if not (kept / "metrics.json").exists():
                    shutil.rmtree(kept, ignore_errors=True)
                    run(args, "train", "--template", template, "--verbalizer", verbalizer, "--train", folder / f"{kind}train.csv",
                        "--test", folder / f"{kind}test.csv", "--shots", shots * len(labels) // 2 if kind else shots, "--method", "lora",
                        "--seeds", SEED, "--steps", args.steps, "--max-length", 64, "--out", kept, "--quiet")
                said[column] = [float(row[column]) for row in read(kept / f"predictions/seed-{SEED}.csv")]
                table_rows.append(number_row(name, shots * len(labels), how, truths, said[column]))
            table_rows[-1].append(nearer(truths, said["predicted"], said["expected"]))
    rows = [row + [""] * (7 - len(row)) for row in table_rows]
    return table(["set", "train rows", "", "Pearson", "Spearman", "mean error", "error less that of five classes (95 %)"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cloze", type=Path, default=Path("target/release/cloze"))
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="the folder of sets")
    parser.add_argument("--work", type=Path, default=Path("target/structure"))
    parser.add_argument("--out", type=Path, default=Path("docs/trees-and-orders.md"))
    parser.add_argument("--rows", type=int, default=1000, help="rows of a sample, and half as many that fit no label")
    parser.add_argument("--steps", type=int, default=150, help="steps of a training")
    parser.add_argument("--trees", nargs="+", default=["clinc150", "dbpedia14"])
    parser.add_argument("--untrained", action="store_true", help="leave out what needs a training")
    parser.add_argument("--only", choices=["trees", "orders", "numbers"])
    args = parser.parse_args()
    parts = {"trees": trees, "orders": orders, "numbers": numbers}
    for name in [args.only] if args.only else parts:
        made = parts[name](args)
        text = args.out.read_text(encoding="utf-8")
        begin, end = BEGIN.format(name), END.format(name)
        head, rest = text.split(begin)
        tail = rest.split(end)[1]
        args.out.write_text(f"{head}{begin}\n{made}{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
