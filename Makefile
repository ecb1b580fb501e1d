# Everything starts with the set-up: tools/libtorch.py finds or makes a libtorch and tells cargo where it is (quick the second time).
# Always the release profile, clippy and docs included: so torch-sys, which takes minutes, is compiled once.

CLOZE := target/release/cloze
PREFIX ?= $(HOME)/.local
PYTHON ?= python3
.DEFAULT_GOAL := help

.PHONY: help setup build install uninstall demo test same oracle few-shot ensemble zero-shot correction structure several-labels selecting classify-table search reproduce model model-data model-table bench bench-pretrain bench-families bench-serve scale-setup scale-test crash full-disk trouble large page-check explain-deletion fuzz test-browser test-clients lint licences audit clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 - /'

setup: ## find or make a libtorch, for this and for plain cargo commands
	@$(PYTHON) tools/libtorch.py

build: setup ## build the release binary, target/release/cloze
	@cargo build --release --locked

install: build ## put cloze, its model, templates, manual pages and completions into ~/.local: make install [PREFIX=folder]
	@$(PYTHON) tools/install.py --cloze $(CLOZE) --prefix '$(PREFIX)'

uninstall: ## remove what make install put there: make uninstall [PREFIX=folder]
	@$(PYTHON) tools/install.py --prefix '$(PREFIX)' --remove

demo: build ## classify shipped sentences and tickets with the default model, then train on a few tickets (under two minutes)
	@mkdir -p target/demo
	@echo; echo "== Sentences of reviews, and two labels: nothing else is needed."
	@$(CLOZE) classify data/sentences/test.csv --labels "negative, positive" \
	    --keep-columns --out target/demo/sentences.csv
	@echo; echo "== Three rows of target/demo/sentences.csv, with a probability for each label:"; echo
	@head -n 4 target/demo/sentences.csv
	@echo; echo "== Tickets, in patterns and with label words of one's own: which team has to act?"
	@$(CLOZE) score --template templates/tickets/*.json --verbalizer verbalizers/tickets.json \
	    --data data/tickets/test.csv --calibrate batch --keep-columns --out target/demo/tickets.csv
	@echo; echo "== The same tickets in one pattern, after training on eight rows of each class."
	@rm -rf target/demo/run
	@$(CLOZE) train --template templates/tickets/category.json --verbalizer verbalizers/tickets.json \
	    --train data/tickets/train.csv --test data/tickets/test.csv --shots 8 --seeds 13 --steps 80 --method lora \
	    --out target/demo/run
	@$(CLOZE) report target/demo/run --quiet
	@echo; echo "The page of this training, for a browser: target/demo/run/report.html"

test: setup ## run every test
	@cargo test --release --locked
	@$(PYTHON) -m unittest discover -s tools

oracle: setup ## compare with scores that transformers computed: make oracle DIR=folder-of-cases [MODEL=folder]
	@ORACLE_DIR=$(or $(DIR),tests/oracle) $(if $(MODEL),ORACLE_MODEL=$(MODEL)) cargo test --release --locked --test all oracle -- --nocapture

few-shot: build ## every way of tuning on public sets into benches/few-shot.md, cell by cell (hours): make few-shot [DATA=folder]
	@$(PYTHON) tools/few_shot.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

ensemble: build ## PET and iPET on public sets into benches/ensemble.md, with resuming (hours): make ensemble [DATA=folder]
	@$(PYTHON) tools/ensemble.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

zero-shot: build ## every calibration of every pattern on public sets into benches/zero-shot.md, cell by cell (an hour): make zero-shot [DATA=folder]
	@$(PYTHON) tools/zero_shot.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

correction: build ## corrections without labels on even and skewed files into benches/correction.md (half an hour): make correction [DATA=folder]
	@$(PYTHON) tools/correction.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

several-labels: build ## several labels a row on public sets into benches/several-labels.md (half an hour): make several-labels [DATA=folder]
	@$(PYTHON) tools/several_labels.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

structure: build ## trees of labels, ordered classes and numbers on public sets into docs/trees-and-orders.md (an hour): make structure [DATA=folder] [ROWS=300] [UNTRAINED=1]
	@$(PYTHON) tools/structure.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA)) $(if $(ROWS),--rows $(ROWS)) $(if $(UNTRAINED),--untrained)

selecting: build ## which rows to label: strategies against rows at random on public sets into benches/selecting.md (hours): make selecting [DATA=folder of folders]
	@$(PYTHON) tools/selecting.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

classify-table: build ## cloze classify on public sets into benches/classify.md (ten minutes): make classify-table [DATA=folder]
	@$(PYTHON) tools/classify.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

search: build ## searches for label words and patterns on public sets into benches/search.md, cell by cell (half an hour): make search [DATA=folder]
	@$(PYTHON) tools/search.py --cloze $(CLOZE) $(if $(DATA),--data $(DATA))

reproduce: build ## the protocols of PET and LM-BFF with a RoBERTa, published numbers beside the measured (days on a processor): make reproduce MODEL=folder TASK=lm-bff-sst2 DATA=folder [WORK=folder] [OPTIONS='--device cuda']
	@$(PYTHON) tools/reproduce.py --cloze $(CLOZE) --model '$(MODEL)' --task '$(TASK)' --data '$(DATA)' $(if $(WORK),--work '$(WORK)') $(OPTIONS)

model-data: ## what the default model learns from, into target/default-model (two minutes): make model-data [SHARED=folder]
	@$(PYTHON) tools/default_model/prepare.py --shared '$(or $(SHARED),../shared)' --into target/default-model

model: build model-data ## train the default model anew from its first version into models/cloze-minilm-l6 (many hours; goes on where it was stopped): make model BASE=folder [SHARED=folder] [DTYPE=f32]
	@$(PYTHON) tools/default_model/train.py --cloze $(CLOZE) --data target/default-model --base '$(BASE)' \
	    --dtype $(or $(DTYPE),bf16) --into models/cloze-minilm-l6

model-table: build ## two models on tasks that they never learned, cell by cell (ten minutes): make model-table MODEL=new [OLD=folder] [SHARED=folder]
	@$(PYTHON) tools/default_model/evaluate.py --cloze $(CLOZE) --model '$(MODEL)' --model '$(or $(OLD),models/cloze-minilm-l6)' \
	    --shared '$(or $(SHARED),../shared)' --into target/default-model/evaluation.json

same: build ## compare all that two builds write, byte for byte (four minutes): make same OLD=path/to/old/cloze [ONLY=regex]
	@$(PYTHON) tools/same.py $(if $(OLD),--old $(OLD)) --new $(CLOZE) $(if $(ONLY),--only '$(ONLY)')

bench: build ## time scoring and training against other ways, how cost grows, and the parts by themselves (makes a Python environment once)
	@$(PYTHON) benches/compare.py --cloze $(CLOZE) $(or $(SET),--set data/reviews/test.csv --max-length 128 --template templates/sentiment/it-was.json --verbalizer verbalizers/sentiment.json)
	@$(PYTHON) benches/compare_training.py --cloze $(CLOZE)
	@$(PYTHON) benches/growth.py --cloze $(CLOZE) --plot target/growth.svg
	@cargo bench --locked

bench-pretrain: build ## time cloze pretrain against PyTorch and transformers, f32 and bf16 (makes a Python environment once): make bench-pretrain [THREADS=1]
	@$(PYTHON) benches/pretrain.py --cloze $(CLOZE) $(if $(THREADS),--threads $(THREADS))

bench-families: build ## time every family against transformers 5, and ModernBERT on long texts (makes a Python environment once): make bench-families [THREADS=1]
	@$(PYTHON) benches/families.py --cloze $(CLOZE) $(if $(THREADS),--threads $(THREADS))

fuzz: setup ## damaged inputs for every door that reads what users bring (15 minutes): make fuzz [SECONDS_A_DOOR=60] [SEED=1] [DOOR=csv]
	@cargo bench --locked --bench fuzz -- --seconds $(or $(SECONDS_A_DOOR),60) --seed $(or $(SEED),1) $(if $(DOOR),--door $(DOOR))

crash: build ## kill long commands at random moments and go on: nothing is lost (an hour): make crash [KILLS=100] [ONLY=train] [SIGNAL=KILL]
	@$(PYTHON) tools/crash.py --cloze $(CLOZE) $(if $(KILLS),--kills $(KILLS)) $(if $(ONLY),--only "$(ONLY)") $(if $(SIGNAL),--signal $(SIGNAL))

full-disk: build ## fill the disk at every write of long commands, and go on when there is room (half an hour; Linux, cc): make full-disk [MOST=60] [ONLY=train]
	@$(PYTHON) tools/full_disk.py --cloze $(CLOZE) $(if $(MOST),--most $(MOST)) $(if $(ONLY),--only "$(ONLY)")

trouble: build ## two processes in a folder, read-only and vanished folders, a clock that jumps, weights replaced (Linux, cc; half an hour): make trouble [TIMES=20] [ONLY=clock]
	@$(PYTHON) tools/trouble.py --cloze $(CLOZE) $(if $(TIMES),--times $(TIMES)) $(if $(ONLY),--only "$(ONLY)")

large: build ## large and long inputs, and a stream at flat memory (Linux; ten minutes): make large [MINUTES=5] [ONLY=columns]
	@$(PYTHON) tools/large.py --cloze $(CLOZE) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONLY),--only "$(ONLY)")

page-check: build ## show pages in headless Chromium and let axe-core look at them (needs Chromium and npm; minutes)
	@$(PYTHON) tools/page_check.py --cloze $(CLOZE)

explain-deletion: build ## do the words that cloze explain marks carry the label? delete them and see, over 200 rows (ten minutes)
	@$(PYTHON) tools/explain_deletion.py --cloze $(CLOZE)

bench-serve: build ## load cloze serve beside cloze score, and beside FastAPI with transformers (makes a Python environment once): make bench-serve [THREADS=1] [OPTIONS='--soak 3600']
	@$(PYTHON) benches/serve.py --cloze $(CLOZE) $(if $(THREADS),--threads $(THREADS)) $(OPTIONS)

test-browser: build ## the playground and the page for labelling in a headless Chromium, as a person uses them (apt-get install chromium): make test-browser [PICTURES=folder]
	@$(PYTHON) tests/browser/playground.py $(CLOZE) $(PICTURES)
	@$(PYTHON) tests/browser/label.py $(CLOZE) $(PICTURES)

test-clients: build ## huggingface_hub and curl as clients of cloze serve (makes a Python environment once)
	@test -x target/clients-env/bin/python || { $(PYTHON) -m venv target/clients-env && target/clients-env/bin/pip install --quiet huggingface_hub; }
	@target/clients-env/bin/python tests/clients/huggingface.py $(CLOZE)

scale-setup: ## a Python environment with Spark, a JDK where there is none, and Ray, in the user's cache, once (a large download)
	@$(PYTHON) tests/scale/setup.py

scale-test: build ## Spark and Ray with two workers on loopback against cloze score, workers killed, odd rows, and what an engine costs (half an hour): make scale-test [ROWS=20000] [DEFAULT_ROWS=500] [OVERHEAD_ROWS=0] [SHARED=folder]
	@"$$($(PYTHON) tests/scale/setup.py)" tests/scale/scale.py --cloze $(CLOZE) $(if $(ROWS),--rows $(ROWS)) $(if $(DEFAULT_ROWS),--default-rows $(DEFAULT_ROWS)) $(if $(OVERHEAD_ROWS),--overhead-rows $(OVERHEAD_ROWS)) $(if $(SHARED),--shared '$(SHARED)')

lint: setup ## formatting, lints, documentation (warnings as errors), and the licences of crates
	@cargo fmt --check
	@cargo clippy --release --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
	@$(PYTHON) tools/licences.py

licences: ## write docs/licences.md: the crates that cloze is built of, by their licences
	@$(PYTHON) tools/licences.py --write

audit: ## known weaknesses of crates, their licences and sources, by cargo-deny (cargo install cargo-deny; needs a network)
	@cargo deny --all-features check

clean: ## remove what was built here (the libtorch in the user's cache stays)
	@cargo clean
