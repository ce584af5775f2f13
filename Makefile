# Everything runs in .venv inside this checkout; each target installs what it needs on first use.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DEMO := build/demo
RUN := $(BIN)/python

# One thread per process: the jobs and the tests already use one process per core.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo train-demo test faults benchmark audit lint clean
.DELETE_ON_ERROR:

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

demo: .venv/installed-demo ## colorize a small archive of real photographs and build its before/after page
	$(RUN) -m demo.archive $(DEMO)/scans
	$(RUN) -m jobs.colorize $(DEMO)/scans $(DEMO)/color --max-failed 5
	$(RUN) -m jobs.report $(DEMO)/color
	@echo
	@echo "Open the page in a browser: $(DEMO)/color/report/index.html"
	@echo "file://$(abspath $(DEMO))/color/report/index.html"

train-demo: .venv/installed-demo,crawl,train ## crawl a tiny gallery, cluster, train on it, evaluate, colorize: every verb once
	$(RUN) -m demo.train build/train-demo

test: .venv/installed-test .venv/installed-iiif-validator ## run the whole test suite
	$(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=10

faults: .venv/installed-test ## kill, freeze and starve a cluster at work, 1,000 photographs at a time; most of an hour
	PYTHONPATH=.:tests $(RUN) -m faults.campaign --out build/faults

benchmark: .venv/installed-benchmark ## measure the job against its floor and against what else one would use; a quarter of an hour
	$(RUN) -m jobs.benchmark build/benchmark

audit: ## look up the image's packages in the database of known vulnerabilities
	$(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet pip-audit
	build/audit/bin/pip-audit --no-deps --disable-pip --requirement deploy/constraints.txt

lint: .venv/installed-dev ## check style, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean: ## remove what the targets made, .venv included
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Keyed on pyproject.toml: installs again only when the requirements change.
.venv/installed-%: pyproject.toml | .venv/bin/python
	$(RUN) -m pip install --quiet --editable '.[$*]'
	@touch $@

# With its requirements it would bring an older Pillow; what else it needs comes with moto.
.venv/installed-iiif-validator: | .venv/installed-test
	$(RUN) -m pip install --quiet --no-deps iiif-prezi3==3.1.1
	@touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python 3.11 or newer with its venv module is needed"; exit 1; }
