# The two commands of the README are `make demo` and `make test`; everything else is for people who work on oldphoto.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo fleet test test-all lint types audit bench fuzz soak install lock install-locked clean

# one resolution for every machine: versions come from constraints.txt
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $(STAMP)

install: $(STAMP)

# every file by its SHA-256, as this machine's index has it now; `make install-locked` installs those or nothing
lock: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --report - \
		-c constraints.txt -e '.[demo,dev]' | $(BIN)/python -m infra.lock > requirements.lock

install-locked:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(STAMP)

demo: install
	$(BIN)/oldphoto demo

# server, store, workers and receivers on this machine's loopback, and a run from a notification to restored photos
fleet: install
	$(BIN)/python -m infra.fleet

# what takes minutes each is left out: what kills processes, machines and stores (marker `long`)
test: install
	$(BIN)/python -m pytest -n auto --dist loadgroup -m 'not long'

test-all: test
	$(BIN)/python -m pytest -n auto --dist loadgroup -m long

# rules of style and of security (ruff's S, which are those of bandit), and the format
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# whether the installed versions fit each other; docs/security.md says how to look for known vulnerabilities
audit: install
	$(BIN)/python -m pip check

bench: install
	$(BIN)/python benchmarks/throughput.py

# mutated files through the decoders; `make fuzz INPUTS=1000000` for a night
INPUTS := 100000
fuzz: install
	OLDPHOTO_FUZZ=$(INPUTS) $(BIN)/python -m pytest -q -s tests/core/test_fuzz.py

# kills at random moments, round after round: an hour and more with the default
ROUNDS := 20
soak: install
	OLDPHOTO_SOAK=$(ROUNDS) $(BIN)/python -m pytest -q -s tests/infra/test_kills.py tests/core/test_store_killed.py

clean:
	rm -rf $(VENV) build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
