# One-line recipes for everything one does here; `make` lists them. `make PYTHON=/path/to/python3.12 init` picks another
# Python for the environment, which is made once and then left alone until the lock file or pyproject.toml changes.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# PYTHON is a user's to set; deploy/services.mk has a default of its own for it.
BASE = $(if $(filter-out undefined default file,$(origin PYTHON)),$(PYTHON),$(firstword $(foreach \
  python,python3.11 python3.12 python3.13 python3,$(if $(call supported,$(python)),$(python)))))
supported = $(shell $(1) -c 'import sys; print("yes" if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)
PIP = $(BIN)/python -m pip --disable-pip-version-check
UV := .cache/uv/bin/uv
# Processes that tests are spread over; each takes about a gigabyte. `make test WORKERS=0` stays in one.
WORKERS ?= 2
# Parts in C, built beside their sources.
C_SOURCES := $(wildcard detectors/*/*.[ch] transforms/*/*.[ch])
NATIVE := build/.native
# Tools that benchmarks run beside ours, each in an environment of its own.
PEERS := .cache/peers
# A copy of this checkout whose parts in C are built with gcc's checks. Python's and Arrow's own allocators would hide where
# a buffer ends.
SANITIZED := build/sanitized
SANITIZED_PYTHON = cd $(SANITIZED) && PYTHONPATH=$(CURDIR)/$(SANITIZED) ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
  ARROW_DEFAULT_MEMORY_POOL=system LD_PRELOAD="$(foreach check,asan ubsan,$(shell gcc -print-file-name=lib$(check).so))" \
  $(abspath $(BIN))/python

.PHONY: help init native demo test test-fast test-all test-observability test-install fmt lint type imports check house bench-report metrics docs-api fuzz sanitize soak-prism soak-kill lock clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-zA-Z%_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

init: $(READY) ## Set up .venv from the lock file (done by itself where a target needs it)
native: $(NATIVE) ## Build the parts in C in place (done by itself where a target needs it)
demo: $(READY) ## Two streams with planted faults, found live, on Prism if it can be built
	@test -x $(BIN)/prism || $(MAKE) -s services-prism || echo "Prism cannot be built here: jobs repeat runs instead"
	$(BIN)/sparsewatch demo
test: $(READY) ## Tests that take seconds; those that miss a service skip and say so
	$(BIN)/pytest -n $(WORKERS)
test-fast: $(READY) ## Tests that need neither torch nor a broker, within a minute of CPU
	$(BIN)/pytest --fast
test-all: $(READY) ## All tests, also those that take minutes
	$(BIN)/pytest -n $(WORKERS) --slow
test-observability: $(READY) ## Alerts from topic to person with real Prometheus and Alertmanagers, over kills of each process
	$(BIN)/pytest --slow tests/observability tests/test_prometheus_rules.py tests/test_alertmanager_docs.py \
	  tests/pipelines/notify tests/pipelines/exporter
test-install: $(READY) ## README's first job in an environment into which the wheel is installed, 6 GB
	$(BIN)/pytest --slow tests/test_first_job.py
fmt: $(READY) ## Format and mend what ruff can
	$(BIN)/ruff check --fix-only . && $(BIN)/ruff format .
lint: $(READY) ## Style and formatting
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
type: $(READY) ## Types, strictly
	$(BIN)/mypy
imports: $(READY) ## Layers: pipelines > testing > transforms > detectors > schemas
	$(BIN)/lint-imports --no-cache
check: lint type imports test ## Exactly what CI runs
bench-%: $(READY) ## A benchmark with its table: bench-stream, bench-row_speed, bench-feature_counts …
	$(BIN)/python -m benchmarks.$*
bench-outrank: $(PEERS)/outrank/.ready # what the pattern above needs besides
bench-rows: $(PEERS)/pyod/.ready # likewise
bench-profilers: $(foreach peer,polars whylogs tfdv quix bytewax,$(PEERS)/$(peer)/.ready) # likewise
bench-decisions_peers: $(foreach peer,river evidently nannyml whylogs_viz,$(PEERS)/$(peer)/.ready) # likewise
bench-json_readers: $(PEERS)/json/.ready # likewise
house: $(READY) ## How easily the code is read, in figures; with others: python -m benchmarks.house ROOT ...
	$(BIN)/python -m benchmarks.house
bench-report: $(READY) ## Write docs/benchmarks.md from benchmarks/results
	$(BIN)/python -m benchmarks.report
metrics: $(READY) ## Write what follows from schemas/metrics.py: table, rules, dashboards
	$(BIN)/python -m deploy.generate
docs-api: $(READY) ## Write docs/api.md from the code's public names
	$(BIN)/python -m docs.api_page
fuzz: $(READY) ## 20,000 damaged inputs of every decoder and parser: read, or refused by name
	$(BIN)/python -m benchmarks.fuzz
sanitize: $(READY) ## Parts in C under their tests and fuzz, with checks of addresses and undefined behaviour
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED)
	git ls-files -zco --exclude-standard | tar -c --null -T - | tar -x -C $(SANITIZED)
	cd $(SANITIZED) && CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined" \
	  $(abspath $(BIN))/python -W ignore -c 'import setuptools; setuptools.setup()' -q build_ext --inplace
	$(SANITIZED_PYTHON) -c '$(foreach part,$(basename $(filter %.c,$(C_SOURCES))),import sparsewatch.$(subst /,.,$(part));)'
	$(SANITIZED_PYTHON) -m pytest -n $(WORKERS) tests/transforms/codecs tests/detectors/counts/test_distinct.py \
	  tests/detectors/counts/test_gathered.py tests/transforms/kafka/test_record_walk.py tests/transforms/kafka/test_record_batches.py
	$(SANITIZED_PYTHON) -m benchmarks.fuzz --only 'events json' --inputs 4000 --no-write
soak-prism: $(READY) services-prism services-kafka ## Ten minutes on Prism at 2,000 rows a second
	$(BIN)/python -m benchmarks.soak continuous
soak-kill: $(READY) services-prism services-kafka ## Twenty kills at random moments, then an offline recount
	$(BIN)/python -m benchmarks.soak kill
lock: $(UV) ## Resolve all dependencies anew into requirements.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --extra confluent --extra console --extra demo --group pyproject.toml:dev pyproject.toml -o requirements.lock
clean: ## Remove the environment and all caches
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
	find -L sparsewatch -name '*.so' -delete

# A `.venv` that is a link belongs to another checkout: nothing is installed into it, its tools get this checkout's code.
ifneq ($(shell test -L $(VENV) && echo linked),)
export PYTHONPATH := $(CURDIR)
$(VENV)/.locked: ;
$(READY): $(NATIVE) ;
else
# Two stamps: a change of pyproject.toml does not go through the lock file again.
$(VENV)/.locked: requirements.lock
	@test -n "$(BASE)" || { echo "sparsewatch needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(BASE) -m venv $(VENV)
	$(PIP) install -q --require-hashes -r requirements.lock
	touch $@
$(READY): $(VENV)/.locked pyproject.toml $(C_SOURCES)
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@test ! -x .cache/services/bin/prism || ln -sf $(realpath .cache/services/bin/prism) $(BIN)/prism
	touch $@
endif
# Without a compiler it ends well, and says that the parts are left out.
$(NATIVE): pyproject.toml $(C_SOURCES) | $(VENV)/.locked
	$(BIN)/python -W ignore -c 'import setuptools; setuptools.setup()' -q build_ext --inplace
	touch $@
$(PEERS)/%/.ready: benchmarks/peers/%.txt | $(VENV)/.locked
	$(BASE) -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -q -r $<
	touch $@
$(UV):
	$(BASE) -m venv .cache/uv
	.cache/uv/bin/pip install -q uv

services-flink: $(READY)
include deploy/services.mk
