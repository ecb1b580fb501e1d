"""What tools/same.py compares: the files that every scenario begins with, and its commands.

A scenario has a folder of its own; what one command writes, a later one may read. The inputs are links there:
fixtures/ (of the tests), models/, templates/, verbalizers/ and data/. $CLOZE_MODEL is fixtures/tiny, so most
commands take half a second, in which libtorch starts. A command is a script for sh that must succeed with the
old build; told() is for those that cloze refuses. All that a command leaves must be the same on each run: one
thread, fixed seeds, and nothing that depends on the moment.
"""
import json

METHODS = ["full", "head", "bias", "lora", "ia3", "prompt-tuning", "p-tuning", "prefix", "p-tuning-v2",
           "adapter", "cls"]
COMMANDS = ["score", "train", "ensemble", "search verbalizer", "search pattern", "verbalizer expand",
            "verbalizer refine", "robustness", "export", "check", "preview", "report"]
# Verbalizers of every kind, aggregate and score: their files are below.
VERBALIZERS = ["one2one", "knowledge", "soft", "prototype", "weights", "mean_log_prob", "log_sum_exp", "max",
               "several-joint", "several-mean_logit", "several-pll", "several-greedy", "several-first",
               "several-sums"]
TRAINED_VERBALIZERS = ["soft", "prototype", "several-joint", "several-pll", "knowledge", "max"]
CALIBRATIONS = [("contextual", ""), ("domain", ""), ("batch", ""), ("prior", ""), ("pmi", ""),
                ("temperature", "--calibrate-on dev.csv "), ("vector", "--calibrate-on dev.csv ")]


def template(pattern, **more):
    return json.dumps({"version": 1, "pattern": pattern, **more}) + "\n"


def verbalizer(up, down, **more):
    classes = [{"label": "up", "words": up}, {"label": "down", "words": down}]
    return json.dumps({"version": 1, **more, "classes": classes}, ensure_ascii=False) + "\n"


def rows(*lines):
    return "\n".join(lines) + "\n"


def told(command):
    """A command that is refused: its exit code is a part of what it prints."""
    return f'{command}; echo "exit $?"'


TWO_TASKS = [
    {"name": "mood", "templates": ["t.json", "heading.json"], "verbalizer": "v.json", "train": "train.csv",
     "test": "test.csv", "shots": 2},
    {"name": "topic", "templates": ["topic.json"], "verbalizer": "topics.json", "train": "news.csv",
     "test": "news.csv", "share": 2},
]
UNSEEN_TASK = {"name": "unseen", "templates": ["t.json"], "verbalizer": "topics.json", "test": "unseen.csv"}

FILES = {
    # Patterns.
    "t.json": template("{text} It was {mask}."),
    "heading.json": template("{mask}: {text}"),
    "segments.json": template("{text|shorten}{sep}All in all, it was {mask}.", about="of two segments"),
    "instruction.json": template("{text} It was {mask}.", instruction="Good or bad?"),
    "shown.json": template("{demos:2}{text} It was {mask}.", instruction="Good or bad?"),
    "soft-tokens.json": template('{soft:2 as way} {text|shorten} {soft:"this is"} {mask}.'),
    "steps.json": template("{text} On {topic}, {mood}, it was {mask}.", steps=[
        {"as": "topic", "pattern": "{text} The topic is {mask}.", "top": 2},
        {"as": "mood", "pattern": "{text} I am {mask}.", "words": ["happy", "sad"]}]),
    "shown-steps.json": template("{demos:2}{text} On {topic} it was {mask}.",
                                 steps=[{"as": "topic", "pattern": "{text} The topic is {mask}."}]),
    "topic.json": template("{title}: this is {mask}.", instruction="What is it about?"),
    # Verbalizers: each kind, each aggregate, and each score for words of several tokens.
    "v.json": verbalizer(["good", "great"], ["bad"]),
    "one2one.json": verbalizer(["good"], ["bad"], kind="one2one"),
    "knowledge.json": verbalizer(["good", "great", "unworkable", "film", {"word": "joy", "prior": 0.01}],
                                 ["bad", "terrible", "film"], kind="knowledge"),
    "soft.json": verbalizer(["good", "great"], ["bad"], kind="soft"),
    "prototype.json": verbalizer(["good", "great"], ["bad"], kind="prototype"),
    "weights.json": verbalizer(["good", {"word": "great", "weight": 0.5}],
                               ["bad", {"word": "awful", "weight": 2}]),
    **{f"{aggregate}.json": verbalizer(["good", "great", "wonderful"], ["bad", "awful"], aggregate=aggregate)
       for aggregate in ["mean_log_prob", "log_sum_exp", "max"]},
    **{f"several-{score}.json": verbalizer(["good", "wonderful feeling"], ["terribly bad"], multi_token=score)
       for score in ["joint", "mean_logit", "pll", "greedy"]},
    "several-first.json": verbalizer(["wonderful feeling"], ["bad", "unworkable"], multi_token="first"),
    "several-sums.json": verbalizer(["大好"], ["日本"], multi_token={"score": "pll", "normalise": False}),
    "topics.json": json.dumps({"version": 1, "classes": [{"label": "money", "words": ["money"]},
                                                         {"label": "games", "words": ["sports", "game"]}]}),
    # Rows. Those to learn from, those to choose by, and those to test on have no text in common.
    "train.csv": rows("text,label", "a good film,up", "a great story,up", "very good,up", "good and great,up",
                      "a bad film,down", "a bad story,down", "very very bad,down", "not good,down"),
    "dev.csv": rows("text,label", "it was good,up", "the best book of the year,up", "they love it,up",
                    "it was bad,down", "the worst company,down", "not new,down"),
    "test.csv": rows("id,text,label", "1,a good story,up", '2,"very great, ""new"" and never old",up',
                     "3,a bad bad film,down", "4,not very good!,down", "5,great film,",
                     "6,the world and its people were not happy about the end of the big game,down"),
    "free.csv": rows("text", "very great", "a bad bad story", "good film", "not a great film", "very bad",
                     "a story", "great and good", "not very bad", "a film", "bad film", "good story",
                     "the story"),
    "rows.tsv": rows("text\tlabel", "a good, good film\tup", "very bad\tdown"),
    "rows.jsonl": rows('{"text": "a good film", "label": "up", "n": 1}', "",
                       '{"label": null, "n": 2.50, "text": "a\\nbad \\ud83d\\ude00 film"}',
                       '{"n": true, "text": null, "label": "down"}'),
    "news.csv": rows("title,label", "the market and the company,money", "a new game for the team,games",
                     "business of the year,money", "the best team,games"),
    "unseen.csv": rows("text,label", "a big game,games", "all the money,money"),
    # Ways of tuning with other options than the usual ones.
    "lora-options.json": json.dumps({"lora": {
        "rank": 2, "alpha": 3, "dropout": 0.1, "targets": ["query", "intermediate.dense", "output.dense"],
        "rank_stabilized": True}}),
    "prompt-options.json": json.dumps({"prompt-tuning": {"length": 3, "init": "label-words"}}),
    "prefix-options.json": json.dumps({"prefix": {
        "length": 2, "init": {"words": "it was"}, "layers": [1, 1]}}),
    "adapter-options.json": json.dumps({"adapter": {"bottleneck": 3, "placement": "houlsby"}}),
    "tasks.json": json.dumps({"version": 1, "tasks": TWO_TASKS + [UNSEEN_TASK]}),
    "one-task.json": json.dumps({"version": 1, "tasks": TWO_TASKS[:1]}),
    "share.json": json.dumps({"version": 1, "tasks": [{**TWO_TASKS[0], "share": 0}]}),
    # Mistakes, each in its place.
    "titel.json": template("{titel} It was {mask}."),
    "unclosed.json": template("{text It was {mask}."),
    "two-masks.json": template("{text} {mask} {mask}"),
    "cut-short.json": '{ "version": 1, "pattern": ',
    "splits.json": verbalizer(["good"], ["unworkable"]),
    "misspelt.json": '{ "version": 1,\n  "clases": [] }\n',
    "side.csv": "text,label\na good film,up\na great story,side\na bad story,down\n",
    "ragged.csv": "text,label\ngood,up\na,b,c\n",
    "broken.jsonl": '{"text": "fine", "label": "up"}\n{"text": "fine", "label": "up"\n["text"]\n',
    "no-rows.csv": "text,label\n",
}

ONE = "--threads 1"
ASK = f"-t t.json -v v.json {ONE}"
THREE = f"-t t.json heading.json segments.json -v v.json {ONE}"
WRITE = "--out out.csv --report report.json"
TRAIN = f"cloze train -t t.json -v v.json {ONE} --train train.csv --test test.csv"
ENSEMBLE = f"cloze ensemble {THREE} --train train.csv --unlabeled free.csv --test test.csv --shots 2"
FEW_STEPS = "--steps 3 --student-steps 3"
# The model that ships, with real rows.
SHIPPED = f"-m models/cloze-minilm-l6 {ONE} --max-length 128"
REVIEWS = ("-t templates/sentiment/it-was.json templates/sentiment/just.json -v verbalizers/sentiment.json "
           f"{SHIPPED}")
TICKETS = ("-t templates/tickets/about.json templates/tickets/colon.json -v verbalizers/tickets.json "
           f"{SHIPPED}")
FIRST_ROWS = "head -n 9 data/reviews/test.csv > reviews.csv; head -n 11 data/tickets/test.csv > tickets.csv"


def trained(method, options=""):
    """A training, and new rows scored with what it learned."""
    return [f"{TRAIN} --seeds 1 --shots 3 --steps 3 --method {method} {options}--out {method}",
            f"cloze score --run {method} -d dev.csv {ONE} --keep-columns"]


def calibrated(method, fitted_on):
    """A calibration that is fitted, written down, and read again for other rows."""
    return [f"cloze score {THREE} -d test.csv --calibrate {method} {fitted_on}"
            f"--calibration-out {method}.json --out {method}.csv --report {method}-report.json",
            f"cloze score {THREE} -d free.csv --calibration {method}.json"]


def stopped(name, command, signal):
    """A run that is stopped or killed after its first step, and resumed. What is there in the end does not
    depend on the moment; what the two parts print does, so it is dropped."""
    kind = command.split()[1]
    return (f"{{ {command} --out {name} & job=$!; "
            f"while kill -0 $job && [ ! -s {name}/events.jsonl ]; do sleep 0.02; done; "
            f"kill -{signal} $job; wait $job; "
            f"cloze {kind} --resume --out {name}; }} > /dev/null 2>&1; [ -e {name}/manifest.json ]")


SCENARIOS = [
    ("help", ["cloze --version", "cloze --help", *(f"cloze {command} --help" for command in COMMANDS),
              *(f"cloze completions {shell}" for shell in ["bash", "zsh", "fish"])]),
    ("score", [
        f"cloze score {ASK} -d test.csv {WRITE}",
        f"cloze score {THREE} -d test.csv --keep-columns {WRITE}",
        f"cloze score {ASK} -d rows.tsv --keep-columns",
        f"cloze score {ASK} -d rows.jsonl --keep-columns --report jsonl.json",
        f"cloze score {ASK} -d - -q < test.csv",
        f"cloze score {ASK} -d - --format jsonl --out - < rows.jsonl",
        f"cloze score {ASK} -d free.csv --report free.json",
        f"cloze score {ASK} -d test.csv --label-column label --abstain-below 0.95 {WRITE}",
        f"cloze score {THREE} -d test.csv --max-length 14 --batch-tokens 40 {WRITE}",
        f"cloze score {ASK} -d no-rows.csv",
        *(f"cloze score {THREE} -d test.csv --dtype {dtype} --out {dtype}.csv --report "
          f"{dtype}.json" for dtype in ["f32", "bf16", "int8"]),
        f"cloze score {THREE} -d test.csv --engine rust-bert {WRITE}",
        *(f"cloze score {ASK} -d test.csv -m "
          f"fixtures/tiny-{form}" for form in ["bin", "fp16", "sharded", "tokenizer-json"]),
        f"cloze score -t templates/topic/colon.json -v v.json {ONE} -d test.csv -q --out - --max-length 64",
    ]),
    ("calibration", [
        *(command for method, fitted_on in CALIBRATIONS for command in calibrated(method, fitted_on)),
        f"cloze score {ASK} -d test.csv --calibrate batch --calibrate-on free.csv {WRITE}",
        f"cloze score {ASK} -d test.csv --calibrate domain --calibrate-on dev.csv {WRITE}",
        f"cloze score {ASK} -d test.csv --calibrate prior --prior 'down=0.75, up=0.25' --out out.csv",
        told(f"cloze score {ASK} -d dev.csv --calibrate temperature --out out.csv"),
        f"cloze score {THREE} -d test.csv --conformal 0.3 --conformal-on dev.csv --calibration-out "
        f"sets.json {WRITE}",
        f"cloze score {THREE} -d free.csv --calibration sets.json",
        f"cloze score {ASK} -d test.csv --calibrate vector --calibrate-on train.csv --conformal 0.4 "
        "--conformal-on dev.csv "
        f"--class-conditional --abstain-below 0.6 --calibration-out both.json {WRITE}",
        f"cloze score {ASK} -d free.csv --calibration both.json -q",
        told(f"cloze score {THREE} -d free.csv --calibration both.json"),
        told("cloze score -t t.json -v one2one.json -d free.csv --calibration both.json"),
        f"cloze score {ASK} -d test.csv --calibrate batch --engine rust-bert -q",
        f"cloze score {ASK} -d test.csv --calibrate contextual --dtype bf16 -q",
    ]),
    ("context", [
        *(f"cloze score -t shown.json t.json -v v.json {ONE} -d test.csv --demos train.csv --demo-strategy "
          f"{strategy} --out {strategy}.csv "
          f"--report {strategy}.json" for strategy in ["random", "class-balanced", "similar"]),
        f"cloze score -t shown.json -v v.json {ONE} -d test.csv --demos train.csv --demo-draws 2 "
        "--demo-seed 7",
        f"cloze score -t shown.json -v v.json {ONE} -d test.csv --demos train.csv --max-length 24",
        f"cloze score -t shown.json -v v.json {ONE} -d test.csv --demos train.csv --engine rust-bert -q",
        f"cloze score -t shown.json -v v.json {ONE} -d test.csv --demos train.csv --calibrate contextual "
        "--calibration-out c.json -q",
        f"cloze score -t shown.json -v v.json {ONE} -d free.csv --demos train.csv --calibration c.json -q",
        f"cloze preview -t shown.json -v v.json {ONE} -d test.csv --demos train.csv --demo-strategy similar "
        "-n 2",
        f"cloze score -t steps.json -v v.json {ONE} -d test.csv {WRITE}",
        f"cloze score -t steps.json t.json -v several-joint.json {ONE} -d test.csv --calibrate pmi -q",
        f"cloze score -t shown-steps.json -v v.json {ONE} -d test.csv --demos train.csv --demo-draws 2 -q",
        f"cloze preview -t steps.json shown-steps.json -v v.json {ONE} -d test.csv --demos train.csv "
        "--demo-draws 1 -n 1",
        "cloze check -t steps.json shown.json instruction.json -v v.json -d test.csv",
        f"cloze score -t instruction.json -v v.json {ONE} -d test.csv --calibrate pmi -q",
    ]),
    ("verbalizers", [
        *(f"cloze score -t t.json heading.json -v {name}.json {ONE} -d test.csv --out {name}.csv --report "
          f"{name}-report.json"
          for name in VERBALIZERS),
        f"cloze score -t t.json -v several-pll.json {ONE} -d test.csv --engine rust-bert -q",
        f"cloze score -t t.json -v several-greedy.json {ONE} -d test.csv --dtype int8 -q",
        f"cloze score -t t.json -v several-joint.json {ONE} -d test.csv --calibrate batch --calibration-out "
        "c.json -q",
        f"cloze score -t t.json -v mean_log_prob.json {ONE} -d test.csv --calibrate contextual --engine "
        "rust-bert -q",
        f"cloze preview -t t.json -v several-pll.json {ONE} -d test.csv -n 1",
        "cloze check -t t.json -v several-greedy.json -d test.csv",
        "cloze check -t t.json -v knowledge.json -d test.csv",
    ]),
    ("train", [command for method in METHODS for command in trained(method)]),
    ("train-options", [
        f"cloze train {THREE} --train train.csv --test test.csv --shots 3 --seeds 1,2 --steps 6 --method "
        "lora --rank 2 --alpha 4 "
        "--targets query,key --out seeds",
        f"cloze score --run seeds -d test.csv {ONE} {WRITE}",
        f"cloze score --run seeds --seed 2 -d dev.csv {ONE} --calibrate batch --abstain-below 0.6",
        told("cloze score --run seeds --seed 3 -d dev.csv"),
        "cloze train --from seeds/manifest.json --out again -q",
        *(f"{TRAIN} --seeds 1 --steps 3 --tuning {name}-options.json --out {name} "
          "-q" for name in ["lora", "prompt", "prefix", "adapter"]),
        f"cloze score --run prefix -d dev.csv {ONE} -q",
        f"{TRAIN} --seeds 1 --steps 3 --method cls --frozen-encoder --out frozen -q",
        f"{TRAIN} --seeds 1 --shots 2 --steps 6 --select dev --evaluate-every 2 --patience 2 "
        "--learning-rate 1e-3 --out left-over",
        f"{TRAIN} --seeds 1,2 --steps 6 --select dev --dev dev.csv --evaluate-every 2 --out dev",
        f"{TRAIN} --seeds 1 --steps 4 --select cv --evaluate-every 2 --method bias --out cv",
        f"{TRAIN} --seeds 1 --steps 2 --baseline cls --out baseline",
        f"{TRAIN} --seeds 1 --steps 3 --batch-size 3 --accumulation 2 --batch-tokens 20 --warm-up 0.5 "
        "--weight-decay 0.1 --clip-norm 0.5 "
        "--dropout 0.2 --out plan -q",
        f"{TRAIN} --seeds 1 --steps 3 --dtype bf16 --out bf16 -q",
        f"{TRAIN} --seeds 1 --steps 3 --dtype bf16 --method lora --out bf16-lora -q",
        f"{TRAIN} --seeds 1 --steps 3 --engine rust-bert --dropout 0 --method lora --out rust-bert -q",
        f"cloze score --run rust-bert -d dev.csv {ONE} --engine rust-bert -q",
        f"cloze train -t t.json -v v.json {ONE} --train train.csv --max-length 16 --seeds 1 --steps 2 --out "
        "no-test",
        told("cloze train -t t.json -v v.json --train train.csv --seeds 1 --steps 2 --out no-test"),
    ]),
    ("train-patterns", [
        f"cloze train -t shown.json -v v.json {ONE} --train train.csv --test test.csv --seeds 1,2 --steps 3 "
        "--demo-draws 2 --method bias "
        "--out shown",
        f"cloze score --run shown --seed 1 -d dev.csv --demos train.csv --demo-draws 2 {ONE} -q",
        f"cloze train -t shown.json -v v.json {ONE} --train train.csv --test test.csv --seeds 1 --steps 2 "
        "--demo-strategy similar --select cv "
        "--out similar -q",
        f"cloze train -t soft-tokens.json t.json -v v.json {ONE} --train train.csv --test test.csv --seeds "
        "1 --steps 3 --method lora "
        "--soft-learning-rate 0.01 --out soft-tokens",
        f"cloze score --run soft-tokens -d dev.csv {ONE} -q",
        f"cloze train -t soft-tokens.json -v v.json {ONE} --train train.csv --test test.csv --seeds 1 "
        "--steps 3 --method p-tuning --out lstm -q",
        *(command for name in TRAINED_VERBALIZERS for command in [
            f"cloze train -t t.json -v {name}.json {ONE} --train train.csv --test test.csv --seeds 1 "
            f"--steps 3 --method full --out {name} -q",
            f"cloze score --run {name} -d dev.csv {ONE}"]),
        f"cloze train -t t.json -v prototype.json {ONE} --train train.csv --test test.csv --seeds 1 --steps "
        "3 --method lora --out prototypes -q",
        f"cloze train -t instruction.json -v soft.json {ONE} --train train.csv --seeds 1 --steps 3 --method "
        "prompt-tuning --length 2 --out prompts",
    ]),
    ("resume", [
        f"{TRAIN} --seeds 1,2 --steps 4 --method lora --out run -q",
        "rm run/learned/seed-2.safetensors; " + told(f"cloze score --run run -d dev.csv {ONE}"),
        "cloze train --resume --out run",
        f"cloze score --run run -d dev.csv {ONE} -q",
        told("cloze train --resume --out run"),
        stopped("interrupted", f"{TRAIN} --seeds 1 --steps 500 --checkpoint-every 50", "INT"),
        stopped("killed", f"{TRAIN} --seeds 1 --steps 500 --checkpoint-every 20 --method lora --select dev "
                          "--dev dev.csv --evaluate-every 50",
                "KILL"),
        stopped("ensemble", f"{ENSEMBLE} --seeds 1 --generations 1 --growth 2 --steps 100 --student-steps "
                            "100 --checkpoint-every 20", "KILL"),
    ]),
    ("tasks", [
        f"cloze train --tasks tasks.json --seeds 1,2 --steps 6 --method lora --out run {ONE}",
        *(f"cloze score --run run --task {task} -d {file} {ONE} --report {task}-report.json"
          for task, file in [("mood", "test.csv"), ("topic", "news.csv"), ("unseen", "unseen.csv")]),
        f"cloze score --run run --task topic --seed 2 -d news.csv {ONE} -q",
        "cloze train --tasks tasks.json --seeds 1 --steps 4 --method prompt-tuning --length 2 --out soft "
        f"{ONE} -q",
        f"cloze score --run soft --task unseen -d unseen.csv {ONE} -q",
        f"cloze train --tasks one-task.json --seeds 1 --steps 4 --method full --out one {ONE}",
        told("cloze score --run run -d test.csv"),
        told("cloze score --run run --task modo -d test.csv"),
        told("cloze train --tasks share.json --out no"),
        told("cloze train --tasks tasks.json --method cls --out no"),
    ]),
    ("ensemble", [
        f"{ENSEMBLE} {FEW_STEPS} --seeds 1,2 --generations 1 --growth 2 --learning-rate 3e-3 --weights "
        "accuracy --mlm-weight --keep-members --out ipet",
        f"cloze score --run ipet -d test.csv {ONE} {WRITE}",
        f"cloze score --run ipet --seed 1 -d dev.csv {ONE}",
        f"cloze score --run ipet --members -d dev.csv {ONE} -q",
        f"cloze score --run ipet --members --seed 2 -d dev.csv {ONE} -q",
        "cloze ensemble --experiment ipet/manifest.json --out again -q",
        f"{ENSEMBLE} {FEW_STEPS} --seeds 1 --student lora --student-template heading --student-labelled "
        "--temperature 1 --student-learning-rate 1e-3 "
        "--method lora --merge probabilities --out prompt-student",
        f"cloze score --run prompt-student -d dev.csv {ONE} -q",
        f"{ENSEMBLE} --seeds 1 --steps 3 --student-model models/cloze-minilm-l6 --student-steps 1 "
        "--unlabeled-rows 4 --method bias --out other-student -q",
        f"cloze ensemble {THREE} --unlabeled free.csv --test test.csv --no-distill --seeds 1 --out zero-shot",
        f"cloze score --run zero-shot -d dev.csv {ONE} -q",
        *(command for method in ["batch", "contextual", "prior", "domain", "pmi"] for command in [
            f"cloze ensemble {THREE} --unlabeled free.csv --test test.csv --no-distill --calibrate {method} "
            "--merge probabilities --seeds 1 "
            f"--out {method} -q",
            f"cloze score --run {method} -d dev.csv {ONE} -q"]),
        f"{ENSEMBLE} {FEW_STEPS} --seeds 1 --calibrate batch --out corrected",
        "cloze report ipet",
        "cloze report ipet prompt-student zero-shot --out page.html --json tests.json",
        "cloze report fixtures/report/ipet fixtures/report/lora fixtures/report/bare --out shown.html "
        "--json shown.json",
        told(f"cloze ensemble {THREE} --unlabeled free.csv --out no --generations 2"),
        told("cloze ensemble --resume --out ipet"),
        told("cloze score --run zero-shot --calibrate batch -d dev.csv"),
    ]),
    ("search", [
        *(f"cloze search verbalizer -t t.json heading.json -v v.json {ONE} --train train.csv --method "
          f"{method} --out {method}.json "
          f"--report {method}-report.json" for method in ["likelihood-ratio", "ranked", "nearest"]),
        f"cloze score -t t.json -v nearest.json {ONE} -d test.csv -q",
        f"cloze search verbalizer -t t.json -v v.json {ONE} --method nearest --words 3 --out three.json",
        f"cloze search pattern -t t.json heading.json segments.json -v v.json {ONE} --data test.csv --out "
        "best.json",
        f"cloze search pattern -t t.json heading.json -v v.json {ONE} --data free.csv --data-rows 8 --train "
        "train.csv --shots 3 --seed 5 "
        "--generate 3 --out written.json --report written-report.json",
        f"cloze score -t written.json -v v.json {ONE} -d test.csv -q",
        f"cloze verbalizer expand -v v.json --from model,embeddings --words 3 --out long.json {ONE}",
        f"cloze verbalizer refine -t t.json heading.json -v long.json -d free.csv --out refined.json {ONE}",
        "cloze verbalizer refine -t t.json -v long.json -d free.csv --rows 5 --keep 1 --no-relevance "
        f"--no-calibration --out all.json {ONE}",
        f"cloze score -t t.json -v refined.json {ONE} -d test.csv -q",
        "mkdir patterns; cp heading.json segments.json patterns; "
        f"cloze robustness {ASK} -d test.csv --patterns patterns --out flips.csv --report flips.json",
        f"cloze robustness {THREE} -d free.csv --rows 4",
        told("cloze search pattern -t t.json -v v.json --data test.csv --out no.json"),
        told("cloze verbalizer refine -t t.json -v v.json -d free.csv --keep 0 --out no.json"),
        told("cloze verbalizer expand -v v.json --from wordnet --wordnet nowhere --out no.json"),
    ]),
    ("export", [
        *(f"{TRAIN} --seeds 1 --steps 3 --method {method} --out {method} -q && cloze export --run {method} "
          f"--merged merged-{method}"
          for method in ["full", "head", "bias", "lora", "ia3"]),
        f"cloze score {ASK} -m merged-lora -d dev.csv -q",
        *(f"cloze export --run {method} --seed 1 --peft peft-{method}" for method in ["lora", "ia3"]),
        *(f"{TRAIN} --seeds 1 --steps 3 --method {method} --length 4 --out {method} -q && cloze export "
          f"--run {method} --peft peft-{method}"
          for method in ["prompt-tuning", "p-tuning", "prefix", "p-tuning-v2"]),
        *(f"cloze score {ASK} --peft peft-{method} -d dev.csv -q" for method in ["lora", "prefix"]),
        *(f"cloze score {ASK} --peft fixtures/training/peft/{name} -d test.csv --out {name}.csv"
          for name in ["ia3", "lora", "lora-all", "lora-rs", "p-tuning", "prefix", "prompt-tuning"]),
        told("cloze export --run prefix --merged no"),
        told("cloze export --run full --peft no"),
        told("cloze export --run lora --merged merged-lora"),
    ]),
    ("check", [
        "cloze check -t t.json heading.json segments.json -v v.json -d test.csv",
        "cloze check -t t.json -d test.csv --max-length 12",
        "cloze check -v verbalizers/topic.json -m models/cloze-minilm-l6",
        "cloze check -t t.json heading.json -v weights.json -d test.csv --strict",
        "cloze check -t t.json -v several-joint.json -d test.csv --strict",
        "cloze check -t t.json -v v.json --strict",
        f"cloze preview {THREE} -d test.csv -n 2 --max-length 16",
        f"cloze preview {ASK} -d - -n 1 --engine rust-bert < free.csv",
    ]),
    ("wrong", [
        told("cloze score -v v.json -d test.csv"),
        told("cloze score -t t.json -v v.json -d test.csv --modle x"),
        told("cloze train --from run --steps 9 --out no"),
        told("cloze check -t titel.json unclosed.json two-masks.json cut-short.json -v splits.json -d "
             "side.csv --max-length 1000"),
        told("cloze check -t none.json -v misspelt.json -d ragged.csv"),
        told("cloze check -d broken.jsonl"),
        told("cloze score -t titel.json -v v.json -d test.csv"),
        told("cloze score -t t.json -v splits.json -d test.csv"),
        told("cloze score -t t.json -v misspelt.json -d test.csv"),
        told("cloze score -t t.json -v v.json -d side.csv"),
        told("cloze score -t t.json -v v.json -d ragged.csv"),
        told("cloze score -t t.json -v v.json -d test.csv --out test.csv"),
        told("cloze score -t t.json -v v.json -d test.csv --out no/out.csv"),
        told("cloze score -t t.json -v v.json -d test.csv -m nowhere"),
        told("cloze score -t t.json -v v.json -d test.csv -m hub:a/b/c"),
        told("cp -r fixtures/tiny broken; rm broken/config.json; cloze score -t t.json -v v.json -d "
             "test.csv -m broken"),
        told("head -c 700 fixtures/tiny/model.safetensors > broken/model.safetensors; cp "
             "fixtures/tiny/config.json broken; "
             "cloze score -t t.json -v v.json -d test.csv -m broken"),
        told("cloze score -t t.json -v v.json -d test.csv --max-length 2"),
        told("cloze score -t t.json -v v.json -d test.csv --engine rust-bert --dtype bf16"),
        told("cloze score -t shown.json -v v.json -d test.csv"),
        told("cloze score -t t.json -v v.json -d test.csv --calibrate prior --prior up=0.5,left=0.5"),
        told("cloze score -t t.json -v v.json -d test.csv --conformal 2 --conformal-on dev.csv"),
        told("cloze score --run nowhere -d test.csv"),
        told("cloze score -t t.json -v v.json --peft fixtures/tiny -d test.csv"),
        told("cloze train -t t.json -v v.json --train side.csv --out no"),
        told("cloze train -t t.json -v v.json --train train.csv --out no --steps 0 --learning-rate nan "
             "--warm-up 2 --seeds 1,1"),
        told("cloze train -t t.json -v v.json --train train.csv --out no --rank 4"),
        told("cloze train -t t.json -v v.json --train train.csv --out no --method prefix --engine rust-bert"),
        told("cloze train -t steps.json -v v.json --train train.csv --out no"),
        told("cloze train -t t.json -v v.json --train train.csv --out fixtures"),
    ]),
    ("shipped-model", [
        f"{FIRST_ROWS}; cloze score {REVIEWS} -d reviews.csv {WRITE}",
        *(f"cloze score {TICKETS} -d tickets.csv --dtype {dtype} --out {dtype}.csv --report "
          f"{dtype}.json" for dtype in ["f32", "bf16", "int8"]),
        f"cloze score {TICKETS} -d tickets.csv --engine rust-bert -q",
        f"cloze score {TICKETS} -d tickets.csv --calibrate batch --calibrate-on tickets.csv -q",
        "cloze check -t templates/tickets/about.json -v verbalizers/tickets.json -d tickets.csv -m "
        "models/cloze-minilm-l6 --strict",
        f"cloze preview {TICKETS} -d tickets.csv -n 2",
        f"cloze search verbalizer -t templates/tickets/about.json -v verbalizers/tickets.json {SHIPPED} "
        "--method nearest --words 3 --out found.json",
        f"cloze train {TICKETS} --train data/tickets/train.csv --test tickets.csv --shots 1 --seeds 13 "
        "--steps 2 --method lora --out lora",
        f"cloze score --run lora -d tickets.csv {ONE} -q",
        "cloze export --run lora --merged merged",
    ]),
]
