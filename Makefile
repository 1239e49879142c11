# Everything a person or a machine runs here. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO ?= cargo
PYTHON ?= python3
DATA ?= generated
BIN := target/release
VENV := .venv
# ONNX Runtime: a library of your own by ORT_DYLIB_PATH, else fetched.
ORT := $(if $(ORT_DYLIB_PATH),,.ort/ready)

# The work that the demo leaves behind; one folder for each data set.
name := $(if $(filter generated,$(DATA)),generated,$(notdir $(patsubst %/,%,$(DATA))))
WORK ?= var/$(name)

.PHONY: help
help: ## Lists the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | while IFS=$$'\t' read -r target what; do printf '  make %-13s %s\n' "$$target" "$$what"; done

.PHONY: demo
demo: build ## Makes data, trains, indexes, serves, recommends. DATA=data/ml-1m does it on MovieLens-1M.
	$(BIN)/twotower demo --data $(DATA) --work $(WORK)

.PHONY: serve
serve: build ## Serves what the demo made, in one process, until Ctrl-C.
	$(BIN)/twotower serve --work $(WORK)

.PHONY: cluster
cluster: build ## Serves what the demo made as separate processes, from the files in deploy/.
	deploy/cluster $(WORK)

.PHONY: certs
certs: build ## Makes certificates for all servers and the key of tokens in var/certs; renews the certificates when run again.
	$(BIN)/twotower certs var/certs

.PHONY: build
build: $(ORT) ## Builds every binary.
	$(CARGO) build --release --workspace --bins

.PHONY: dist
dist: $(ORT) ## Builds every binary as containers have it, into target/dist: optimised over all crates at once, much slower to build.
	$(CARGO) build --profile dist --workspace --bins

.PHONY: test
test: $(ORT) $(VENV)/ready ## Runs everything that proves it.
	rm -f target/real-data-tests.log target/hostile-inputs.log
	$(CARGO) build --profile checked --workspace --bins --example recall
	$(CARGO) test --profile checked --workspace --lib --tests
	@deploy/real-data-summary target/real-data-tests.log
	@cat target/hostile-inputs.log

# How long each target of `make fuzz` runs, and what else is passed on, e.g. FUZZ="--only calls" or FUZZ=--keep.
FUZZ_SECONDS ?= 60
FUZZ ?=

.PHONY: fuzz
fuzz: $(ORT) ## Feeds hostile bytes to every decoder and every call, guided by what they reach; a minute each, or FUZZ_SECONDS.
	$(PYTHON) fuzz/fuzz.py --cargo $(CARGO) --seconds $(FUZZ_SECONDS) $(FUZZ)

# What the `make bench-*` targets pass on, e.g. BENCH="--only default" or BENCH="--rows 3700".
BENCH ?=

.PHONY: bench-models
bench-models: build ## Trains every tower on MovieLens-1M and writes docs/models.md; hours, and goes on where it stopped.
	$(BIN)/onnx data ml-1m $(or $(TWOTOWER_ML1M),data/ml-1m) --out var/bench/ml-1m
	$(BIN)/onnx bench models --data var/bench/ml-1m $(BENCH)

.PHONY: bench-cold
bench-cold: build ## Hides a tenth of MovieLens-1M's items from training, and ranks them by their content alone.
	$(BIN)/onnx data ml-1m $(or $(TWOTOWER_ML1M),data/ml-1m) --out var/bench/ml-1m
	$(BIN)/onnx bench cold-start --data var/bench/ml-1m --out var/bench/cold-start --report target/report/models.json

SAMPLED_ITEMS := 10000 100000 1000000

.PHONY: bench-sampled
bench-sampled: build ## Time and memory of a sampled loss with 10,000, 100,000 and 1,000,000 items.
	for items in $(SAMPLED_ITEMS); do \
	  $(BIN)/onnx data generate --users 600 --events 100000 --items $$items --out var/bench/sampled-$$items; \
	  $(BIN)/onnx bench speed --recipe onnx/towers/youtubednn-sum.toml --data var/bench/sampled-$$items --whole-catalog --shards 1 \
	    --report target/report/models.json --name sampled_$${items}_items; \
	done

VENV_TORCH := .venv-torch

.PHONY: bench-torch
bench-torch: build $(VENV_TORCH)/ready ## Compares training speed with PyTorch's on the CPU; installs it into .venv-torch, a large download.
	$(BIN)/onnx data generate --users 1200 --events 200000 --out var/bench/torch
	$(VENV_TORCH)/bin/python examples/bench-torch/bench.py --onnx $(BIN)/onnx --data var/bench/torch
$(VENV_TORCH)/ready: examples/bench-torch/requirements.txt
	$(PYTHON) -m venv $(VENV_TORCH)
	$(VENV_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

VENV_INDEX := .venv-index

.PHONY: bench-index
bench-index: $(VENV_INDEX)/ready ## Compares the search of a shard with usearch, hnswlib, faiss and ScaNN; installs them into .venv-index.
	$(CARGO) build --release -p index --example bench
	$(VENV_INDEX)/bin/python examples/bench-index/bench.py --program $(BIN)/examples/bench $(BENCH)
.PHONY: bench-scaling
bench-scaling: $(VENV_INDEX)/ready ## Measures how the cost of a shard grows up to 3 million rows, and plans larger catalogs; hours.
	$(CARGO) build --release -p index --example bench
	$(VENV_INDEX)/bin/python examples/bench-index/scaling.py --program $(BIN)/examples/bench $(BENCH)
$(VENV_INDEX)/ready: examples/bench-index/requirements.txt
	$(PYTHON) -m venv $(VENV_INDEX)
	$(VENV_INDEX)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: bench-catalog
bench-catalog: $(ORT) ## Measures fresh items, a re-index of a hundredth, and generations that follow one another under load; ten minutes.
	$(CARGO) run --release -p stack --example bench-catalog -- $(BENCH)

# One pass over a small dataset: what a model costs does not depend on what it has learnt.
MODELS_OF_BENCH_USER := document capsules fast default
STORES_OF_BENCH_USER := $(foreach model,$(MODELS_OF_BENCH_USER),--model $(model)=var/bench/user/$(model)/store)
VENV_USER := .venv-user

.PHONY: bench-user
bench-user: models-of-bench-user $(VENV_USER)/ready ## Measures the user tower, beside a Python server of the same models; installs that into .venv-user.
	$(BIN)/onnx data generate --out var/bench/user/import
	$(CARGO) run --release -p stack --example bench-user -- --data var/bench/user/data --import var/bench/user/import \
	  --python $(VENV_USER)/bin/python $(STORES_OF_BENCH_USER) $(BENCH)
	$(PYTHON) examples/bench-user/page.py
.PHONY: models-of-bench-user
models-of-bench-user: build
	$(BIN)/onnx data generate --users 1000 --events 100000 --out var/bench/user/data
	for model in $(MODELS_OF_BENCH_USER); do \
	  $(BIN)/onnx train --recipe onnx/towers/$$model.toml --data var/bench/user/data --epochs 1 --out var/bench/user/$$model; \
	  $(BIN)/onnx export var/bench/user/$$model --store var/bench/user/$$model/store --data var/bench/user/data; \
	done
$(VENV_USER)/ready: examples/bench-user/requirements.txt
	$(PYTHON) -m venv $(VENV_USER)
	$(VENV_USER)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

VENV_GATEWAY := .venv-gateway

.PHONY: bench-gateway
bench-gateway: models-of-bench-user $(VENV_GATEWAY)/ready ## Measures a whole recall, beside its floor and a Python service; installs that into .venv-gateway. BENCH="--items 1000000" takes hours.
	$(CARGO) build --profile dist -p gateway -p user-tower -p item-tower --bins
	$(CARGO) run --profile dist -p stack --example bench-gateway -- --data var/bench/user/data \
	  --python $(VENV_GATEWAY)/bin/python $(STORES_OF_BENCH_USER) $(BENCH)
	$(PYTHON) examples/bench-gateway/page.py
$(VENV_GATEWAY)/ready: examples/bench-gateway/requirements.txt
	$(PYTHON) -m venv $(VENV_GATEWAY)
	$(VENV_GATEWAY)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: bench-recommender
bench-recommender: build ## Measures diversity, pages, reasons, replays and trials on MovieLens-1M; trains a model of five interests first.
	$(CARGO) run --release -p stack --example bench-recommender -- --data $(or $(TWOTOWER_ML1M),data/ml-1m) $(BENCH)

.PHONY: chaos
chaos: build $(VENV)/ready ## Kills, stalls, cuts off, swaps, restarts and overloads parts of a house, and counts who notices; then `make faults`; an hour and a half.
	$(CARGO) build --profile dist -p gateway -p user-tower -p item-tower --bins
	$(CARGO) run --release -p stack --example chaos -- --bin target/dist $(BENCH)
	$(PYTHON) examples/bench-gateway/page.py
	$(VENV)/bin/python examples/faults/faults.py

# What `make faults` and `make soak` pass on, e.g. FAULTS="--only kills --only rapid_reset" or SOAK="--minutes 5".
FAULTS ?=
SOAK ?=

.PHONY: faults
faults: build $(VENV)/ready ## Breaks processes, disks, clocks and HTTP/2 as the fault matrix says, a row each; 25 minutes, all of it only as root with strace, faketime and iproute2.
	$(VENV)/bin/python examples/faults/faults.py $(FAULTS)

.PHONY: soak
soak: build $(VENV)/ready ## Half an hour of mixed load on separate processes: whether memory, descriptors or threads grow.
	$(VENV)/bin/python examples/soak/soak.py $(SOAK)

.PHONY: soak-events
soak-events: build $(VENV)/ready ## Kills user towers, cuts their power and watches their disk while events are recorded; needs strace.
	$(VENV)/bin/python examples/soak-events/soak.py $(BENCH)
	$(PYTHON) examples/bench-user/page.py

.PHONY: lint
lint: ## Checks format, lints, documentation, locks, versions of what we depend on, and where unsafe stands.
	$(PYTHON) deploy/lock-floors
	$(PYTHON) deploy/unsafe-code
	$(CARGO) tree --locked --quiet --manifest-path fuzz/Cargo.toml > /dev/null
	$(CARGO) fmt --all --check
	$(CARGO) clippy --profile checked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --profile checked --workspace --no-deps

.PHONY: deny
deny: ## Checks licences, bans and sources of what we depend on.
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing; install it: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny check licenses bans sources

# A folder that `cargo deny fetch` filled, on a machine that reaches the database.
ADVISORY_DB ?=

.PHONY: audit
audit: ## Checks what we depend on against published faults. ADVISORY_DB=FOLDER has the database.
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing; install it: cargo install --locked cargo-deny" >&2; exit 1; }
	@[ -d "$(ADVISORY_DB)" ] || { echo "no database of advisories: set ADVISORY_DB to a folder that cargo deny fetch filled (CARGO_HOME/advisory-dbs of a machine that reaches it)" >&2; exit 1; }
	ADVISORY_DB=$(ADVISORY_DB) $(CARGO) deny check --disable-fetch advisories

.PHONY: sbom
sbom: ## Writes what each binary is made of, as CycloneDX, to target/sbom.
	@command -v cargo-cyclonedx >/dev/null || { echo "cargo-cyclonedx is missing; install it: cargo install --locked cargo-cyclonedx" >&2; exit 1; }
	$(CARGO) cyclonedx --format json --describe binaries
	mkdir -p target/sbom
	find . -path ./target -prune -o -name '*.cdx.json' -exec mv -t target/sbom {} +
	ls target/sbom

PROMTOOL ?= promtool

.PHONY: alerts
alerts: ## Checks and tests the alert rules of deploy/prometheus with promtool.
	@command -v $(PROMTOOL) >/dev/null || { echo "promtool is missing; install it (Debian: apt-get install --no-install-recommends prometheus), or set PROMTOOL=/path/to/promtool" >&2; exit 1; }
	$(PROMTOOL) check config deploy/prometheus/prometheus.yml
	$(PROMTOOL) test rules deploy/prometheus/alerts_test.yml

.PHONY: wire
wire: ## Checks the wire contract with buf; needs npm.
	cd proto && npx --yes @bufbuild/buf@1.75.0 lint

.PHONY: ort
ort: $(ORT) ## Fetches ONNX Runtime into .ort/.
.ort/ready: deploy/fetch-onnxruntime deploy/onnxruntime.sha256
	@PYTHON=$(PYTHON) deploy/fetch-onnxruntime .ort
	@touch $@

.PHONY: python
python: $(VENV)/ready ## Sets up .venv for examples/python and the tests.
$(VENV)/ready: examples/python/requirements.txt generation/tests/server/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing; install python3 with pip, or set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) has no venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	touch $@

.PHONY: clean
clean: ## Removes what the targets made, except downloads.
	$(CARGO) clean
	rm -rf var
