# Everything here sets itself up: it needs git, make and Python 3.11 or newer.
VENV ?= .venv
BIN := $(VENV)/bin
NAME ?=
ARGS ?=
export NAME
# As a user's Python: without bytecode on disk each command would compile its sources again.
unexport PYTHONDONTWRITEBYTECODE
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

.PHONY: help new test test-slow test-all lint format release bench docs golden pins clean

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

new: ## Make a project and prove that it works: make new NAME=myproject
	@test -n "$$NAME" || { echo "give the project a name: make new NAME=myproject" >&2; exit 2; }
	@.ci/venv.sh $(VENV)
	@$(BIN)/pixi-scaffold new $(ARGS) -- "$$NAME"

PYTEST = $(BIN)/python -m pytest --dist worksteal

# More processes than cores: a third of their time they wait, for a disk or for other programs.
test: ## Run the quick tests and one real path (ARGS="-k lock" for some)
	@.ci/venv.sh $(VENV) dev
	$(PYTEST) -n $$((3 * $(JOBS) / 2)) -m "not slow or real_path" $(ARGS)

# They wait longer, most of it for a pool.
test-slow: ## Run the slow tests
	@.ci/venv.sh $(VENV) dev
	$(PYTEST) -n $$((3 * $(JOBS))) -m "slow and not real_path" $(ARGS)

test-all: test test-slow ## Run all tests: those of make test, then the slow ones

lint: ## Check style and types
	@.ci/venv.sh $(VENV) dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck .ci/run .ci/venv.sh .ci/bare-machine .ci/release.sh tests/support/install_condor.sh

format: ## Put the code into shape
	@.ci/venv.sh $(VENV) dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: ## Write the golden renders of the template again (look at the diff)
	@.ci/venv.sh $(VENV) dev
	$(BIN)/python -m tests.golden

docs: ## Write the generated pages of docs/ again, and build the site from docs/ into site/
	@.ci/venv.sh $(VENV) dev
	@.ci/venv.sh $(VENV) docs
	$(BIN)/python -m tests.reference
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs site

release: ## Make a release, up to the push: make release VERSION=1.2.0
	@.ci/venv.sh $(VENV) dev
	@MAKE="$(MAKE)" PYTHON="$(BIN)/python" .ci/release.sh "$(VERSION)"

pins: ## Compare the template's pins with the newest (ARGS=--raise writes them)
	@.ci/venv.sh $(VENV) dev
	$(BIN)/python .ci/pins.py $(ARGS)

bench: ## Measure the speed claims side by side
	@.ci/venv.sh $(VENV) dev
	$(BIN)/python bench/tool.py
	$(BIN)/python bench/check.py
	$(BIN)/python bench/lock.py
	$(BIN)/python bench/status.py
	$(BIN)/python bench/rehearse.py
	$(BIN)/python bench/run.py
	$(BIN)/python bench/pool.py
	$(BIN)/python bench/page.py
	$(BIN)/python bench/training.py

clean: ## Remove the virtual environment
	rm -rf -- "$(VENV)"
