# make demo | make test: both install first, into .venv, with nothing but Python 3.11+ on the machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Modules are compiled once, not anew in each of the many processes that tests start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check test-server test-ray lint types imports audit bench clean

help: ## show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(STAMP) ## install the package and its tools into .venv

# uv takes the large torch wheels in half a minute; pip serves where uv cannot be installed.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Give another one: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	if $(BIN)/python -m pip install --quiet uv; then \
	  $(BIN)/uv pip install --python $(BIN)/python --link-mode=copy -e '.[dev]'; \
	else \
	  $(BIN)/python -m pip install -e '.[dev]'; \
	fi
	@touch $@

demo: install ## make synthetic people, enroll them, match three sketches, write a report
	$(BIN)/forensic demo

test: install check ## install, then every check

check: lint imports types ## lint, import law, types, tests
	$(BIN)/python -m pytest -n 2 -m "not slow and not server"

test-server: install ## tests that start servers and browsers
	$(BIN)/python -m pytest -n 2 -m "server and not slow" tests/web tests/client tests/engines

test-ray: install ## tests that start a Ray cluster on this machine, and one of three hosts (as root, with iproute2)
	$(BIN)/python -m pytest -m server tests/test_ray.py tests/test_ray_hosts.py

test-all: install ## the slow tests too
	$(BIN)/python -m pytest

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

audit: install ## known vulnerabilities of the dependencies (asks the network)
	$(BIN)/pip-audit --skip-editable

bench: install ## the benchmarks of benchmarks/
	$(BIN)/python -m benchmarks

clean: ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
