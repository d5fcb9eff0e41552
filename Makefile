# make demo    clone to result: install, run the quickstart experiment, audit it
# make test    install what tests need, run all of them
# make sim     three nodes and a federation in one process, all of it drawn from SEED, twice;
#              TRACE=1 prints every line
# make soak    the long campaigns that make test has a short form of; SEEDS of the simulation
# make edge-rehearsal
#              docs/edge.md on machines of a small network (Linux: root, or user namespaces), with TLS,
#              anvil and IPFS: links that lose frames and are cut; WITH="--devices 30 --calm" and more
# make check   format, lint, imports and types
# .ci/run does all of it, and tests the wheel as well.

PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
# Nothing is installed or reported behind the user's back.
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PIP_FLAGS := -c constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --quiet --no-compile $(PIP_FLAGS)

# Tests are typed as strictly, but their functions need no annotations, they pass wrong arguments on
# purpose, and they know which member of Flower's wide unions they put into a record.
TEST_TYPES = --explicit-package-bases --allow-untyped-defs --allow-incomplete-defs \
	--allow-untyped-calls --allow-untyped-decorators --disable-error-code var-annotated \
	--disable-error-code arg-type --disable-error-code union-attr --disable-error-code operator

SEED ?= 7
SEEDS ?= 300

.PHONY: demo test sim soak edge-rehearsal check clean

demo: $(VENV)/.demo
	$(BIN)/fedledger run experiments/configs/quickstart.toml

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2

sim: $(VENV)/.test
	@set -e; once=$$(mktemp); again=$$(mktemp); trap 'rm -f "$$once" "$$again"' EXIT; \
	code=0; for hashes in 1 2; do \
		PYTHONHASHSEED=$$hashes $(BIN)/python -m fedledger.experiments.sim $(SEED) \
			$(if $(TRACE),--trace) > "$$again" || code=$$?; \
		cat "$$again"; test $$hashes = 2 || cp "$$again" "$$once"; \
	done; \
	cmp "$$once" "$$again" && echo "seed $(SEED) twice: the same trace"; exit $$code

soak: $(VENV)/.test
	$(BIN)/python -m fedledger.experiments.sim $(SEED) --count $(SEEDS) --jobs 2
	$(BIN)/python -m pytest -n 2 -m "soak or hypothesis" --hypothesis-profile soak

edge-rehearsal: $(VENV)/.test
	@PYTHONPATH=tests/shared $(BIN)/python -m rehearsal $(WITH)

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@rm -rf build; set -e; \
	typed=$$(mktemp -d); trap 'rm -rf "$$typed" build' EXIT; \
	$(BIN)/python -m pip install --quiet --quiet --no-deps --target "$$typed" .; \
	cd "$$typed"; \
	echo "who imports whom in the installed package"; \
	$(BIN)/lint-imports --no-logo --no-cache $(CURDIR)/pyproject.toml; \
	echo "types of the installed package, then of the tests"; \
	export MYPYPATH="$$typed:$(CURDIR)/tests/shared:$(CURDIR)"; \
	$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache \
		-p fedledger; \
	$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache \
		$(TEST_TYPES) $(CURDIR)/tests

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@echo "making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=…")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing fedledger[demo] into $(VENV): one to two minutes the first time"
	@$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing fedledger[test] into $(VENV): one to two minutes the first time"
	@$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.demo
