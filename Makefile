# make run     build the example actors and serve them
# make test    check and test everything
# make check   formatting, lint, types and who may import whom
# make faults  the fault-injection campaigns at their full counts
# make bench   measure speed beside other servers, about 20 minutes; benchmarks/README.md says what
# make fuzz    a million frames from a hostile worker, found by coverage
# make picture draw who imports whom, docs/architecture.svg
# make clean   remove what the others made

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check faults bench fuzz picture clean

run: .venv/installed
	$(BIN)/theater-supervise manifests

test: check
	$(BIN)/python -m tests.components
	$(BIN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: .venv/installed-dev
	THEATER_FAULTS=1 $(BIN)/pytest -m campaign

bench: .venv/installed-bench
	@$(BIN)/python -m benchmarks

fuzz: .venv/installed-dev
	$(BIN)/pip install --quiet --group fuzz
	$(BIN)/python -m tests.property.fuzz_frames -runs=1000000 -max_len=1500

picture: .venv/installed-dev
	$(BIN)/python docs/draw_architecture.py

clean:
	rm -rf .venv var build dist manifests/*.wasm
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12" \
	  if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'  # the first that knows --group
	touch $@

.venv/installed: .venv/created pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[build]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev
	touch $@

# Peers that can't be installed are left out, so only what is needed may fail here.
.venv/installed-bench: .venv/installed-dev benchmarks/peers/package.json
	$(BIN)/pip install --quiet --constraint constraints.txt --group bench
	mkdir -p build/bench
	cp benchmarks/peers/package.json build/bench
	-cd build/bench && npm install --silent --ignore-scripts --no-package-lock
	touch $@
