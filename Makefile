# make run     build the example actors and serve them
# make test    check and test everything
# make check   formatting, lint, types and who may import whom
# make faults  the fault-injection campaigns at their full counts
# make bench   measure speed beside other servers, about 20 minutes; benchmarks/README.md says what
# make fuzz    a million frames from a hostile worker, found by coverage
# make audit   ask an advisory service about every distribution that the others install
# make constraints  choose the newest versions that pyproject.toml permits, with the hashes of all their files
# make picture draw who imports whom, docs/architecture.svg
# make clean   remove what the others made

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check faults bench fuzz audit constraints picture clean

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

audit: .venv/installed-audit
	$(BIN)/python .ci/audit.py constraints*.txt

# For every Python and system that pyproject.toml permits. Each file goes on from the one before, so that a
# distribution has one version. uv is not installed by the others: $(PYTHON) -m pip install uv
UV = $(PYTHON) -m uv pip compile --quiet --no-config --universal --generate-hashes --no-annotate --upgrade \
	--custom-compile-command 'make constraints' pyproject.toml
constraints:
	$(UV) --extra build --group package --output-file constraints.txt
	$(UV) --group dev --constraints constraints.txt --output-file constraints-dev.txt
	$(UV) --group bench --constraints constraints-dev.txt --output-file constraints-bench.txt
	$(UV) --group audit --constraints constraints-dev.txt --output-file constraints-audit.txt

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
	touch $@

# Nothing is installed whose file has another hash; the project itself is built by what was installed then.
INSTALL = $(BIN)/pip install --quiet --no-deps
.venv/installed: .venv/created pyproject.toml constraints.txt
	$(INSTALL) --require-hashes --requirement constraints.txt
	$(INSTALL) --no-build-isolation --editable .
	touch $@

.venv/installed-dev: .venv/installed constraints-dev.txt
	$(INSTALL) --require-hashes --requirement constraints-dev.txt
	touch $@

.venv/installed-audit: .venv/installed constraints-audit.txt
	$(INSTALL) --require-hashes --requirement constraints-audit.txt
	touch $@

# Peers that can't be installed are left out, so only what is needed may fail here.
.venv/installed-bench: .venv/installed-dev constraints-bench.txt benchmarks/peers/package.json
	$(INSTALL) --require-hashes --requirement constraints-bench.txt
	mkdir -p build/bench
	cp benchmarks/peers/package.json build/bench
	-cd build/bench && npm install --silent --ignore-scripts --no-package-lock
	touch $@
