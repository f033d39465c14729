# `make demo` and `make test` do all set-up themselves. `make help` lists everything.
PYTHON_BIN := .venv/bin
STAMP := .venv/.stamp
DEV_STAMP := .venv/.stamp-dev

.DEFAULT_GOAL := help
.PHONY: help demo up test check unit chaos outages crash-points crash-sample bench bench-full bench-stitch lock docs screenshots frames manifests verify-deploy verify-stack clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(STAMP) ## run the whole job offline, with the partners' twins, and show the film's path
	@$(PYTHON_BIN)/sora-stitcher demo

up: $(STAMP) ## run all services in one process (real partners where keys are set, twins otherwise)
	@$(PYTHON_BIN)/sora-stitcher up

test: $(DEV_STAMP) ## install what the tests need, then lint, types, architecture and all tests
	@scripts/install-test-tools
	@scripts/check
	@$(PYTHON_BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder # whole systems first, units last

check: $(DEV_STAMP) ## lint, format, types and architecture only
	@scripts/check

unit: $(DEV_STAMP) ## the fast tests, which need no server
	@$(PYTHON_BIN)/pytest tests/unit

chaos: $(DEV_STAMP) ## crash everything at random and count (CHAOS_JOBS=500 CHAOS_CLIPS=3 CHAOS_KILLS=100 CHAOS_SEED=…)
	@scripts/install-test-tools
	@$(PYTHON_BIN)/python -m tests.chaos

outages: $(DEV_STAMP) ## partners taken away, processes drained and replaced under load, a broker's cluster losing nodes, callbacks by fifties
	@scripts/install-test-tools
	@$(PYTHON_BIN)/pytest tests/outages/partners_down.py tests/outages/shutdown.py tests/outages/cluster.py tests/outages/two_callbacks.py

crash-points: $(DEV_STAMP) ## kill the processes at every await, one after another (see docs/reliability.md)
	@scripts/install-test-tools
	@$(PYTHON_BIN)/pytest tests/chaos/crash_points.py

bench: $(DEV_STAMP) ## what is fast and what it costs, beside what it is to be compared with (minutes); into docs/benchmarks.md
	@scripts/install-test-tools
	@scripts/install-bench-tools
	@$(PYTHON_BIN)/python -m benchmarks --write docs/benchmarks.md

bench-full: $(DEV_STAMP) ## the same with longer rounds, more jobs, and an hour of steady load
	@scripts/install-test-tools
	@scripts/install-bench-tools
	@$(PYTHON_BIN)/python -m benchmarks --full --write docs/benchmarks.md

bench-stitch: $(STAMP) ## films by plain copy, ffmpeg, MoviePy and ours, side by side (twenty minutes); into docs/stitching.md
	@$(PYTHON_BIN)/python -m benchmarks.stitch --write docs/stitching.md

crash-sample: $(DEV_STAMP) ## every crash point is come by, and a kill at sixteen of them (CRASH_SEED=…)
	@scripts/install-test-tools
	@$(PYTHON_BIN)/pytest tests/chaos/crash_sample.py

lock: $(DEV_STAMP) ## resolve the dependencies again (versions and hashes, no addresses)
	@scripts/lock

docs: $(STAMP) ## make the generated documents again
	@$(PYTHON_BIN)/python -m shared.asyncapi > docs/asyncapi.yaml
	@$(PYTHON_BIN)/python -m services.gateway.openapi > docs/openapi.json
	@$(PYTHON_BIN)/python -m shared.metrics_doc > docs/metrics.md
	@$(PYTHON_BIN)/python -m deploy.grafana.source

manifests: $(DEV_STAMP) ## make the generated deployment files again (the alert rules for the Prometheus Operator)
	@$(PYTHON_BIN)/python scripts/prometheus-rule > deploy/k8s/components/monitoring/prometheusrule.yaml

verify-deploy: $(DEV_STAMP) ## check Kubernetes, compose, Dockerfile, workflows, rules, hosts: all that needs no cluster
	@scripts/install-deploy-tools
	@scripts/verify-deploy

verify-stack: ## build the images and run docker-compose.yml for real, without a .env (needs Docker)
	@scripts/verify-stack

screenshots: $(DEV_STAMP) ## take the pictures of the dashboard in docs/images/dashboard
	@scripts/install-test-tools
	@$(PYTHON_BIN)/python -m tests.browser.screenshots

frames: $(DEV_STAMP) ## measure frames and memory of the list of films under 1,000 updates a minute; into docs/dashboard.md
	@scripts/install-test-tools
	@$(PYTHON_BIN)/python -m tests.browser.frames --write docs/dashboard.md

clean: ## remove the environment, caches and data of demos
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache data films

$(STAMP): requirements.lock pyproject.toml scripts/setup
	@scripts/setup requirements.lock
	@touch $@

$(DEV_STAMP): requirements-dev.lock pyproject.toml scripts/setup
	@scripts/setup requirements-dev.lock
	@touch $(STAMP) $@
