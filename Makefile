# `make demo` and `make test` do all set-up themselves. `make help` lists everything.
PYTHON_BIN := .venv/bin
STAMP := .venv/.stamp
DEV_STAMP := .venv/.stamp-dev

.DEFAULT_GOAL := help
.PHONY: help demo up test check unit chaos crash-points lock docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(STAMP) ## run the whole job offline, with the partners' twins, and show the film's path
	@$(PYTHON_BIN)/sora-stitcher demo

up: $(STAMP) ## run all services in one process (real partners where keys are set, twins otherwise)
	@$(PYTHON_BIN)/sora-stitcher up

test: $(DEV_STAMP) ## install what the tests need, then lint, types, architecture and all tests
	@scripts/install-test-tools
	@scripts/check
	@$(PYTHON_BIN)/pytest -n 3 --dist loadfile

check: $(DEV_STAMP) ## lint, format, types and architecture only
	@scripts/check

unit: $(DEV_STAMP) ## the fast tests, which need no server
	@$(PYTHON_BIN)/pytest tests/unit

chaos: $(DEV_STAMP) ## crash everything at random and count (CHAOS_JOBS=500 CHAOS_CLIPS=3 CHAOS_KILLS=100 CHAOS_SEED=…)
	@scripts/install-test-tools
	@$(PYTHON_BIN)/python -m tests.chaos

crash-points: $(DEV_STAMP) ## kill the processes at every await, one after another (see docs/reliability.md)
	@scripts/install-test-tools
	@$(PYTHON_BIN)/pytest tests/chaos/crash_points.py

lock: $(DEV_STAMP) ## resolve the dependencies again (versions and hashes, no addresses)
	@scripts/lock

docs: $(STAMP) ## make the generated documents again
	@$(PYTHON_BIN)/python -m shared.asyncapi > docs/asyncapi.yaml

clean: ## remove the environment, caches and data of demos
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache data films

$(STAMP): requirements.lock pyproject.toml scripts/setup
	@scripts/setup requirements.lock
	@touch $@

$(DEV_STAMP): requirements-dev.lock pyproject.toml scripts/setup
	@scripts/setup requirements-dev.lock
	@touch $(STAMP) $@
