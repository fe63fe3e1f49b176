# `make run` and `make test` need Python 3.11+ and nothing else: they make .venv and install what they use.
PYTHON ?= python3
VENV := .venv
WORKERS ?= 1
BIN := $(VENV)/bin
PHOENIX := .venv-phoenix
GRPCURL := v1.9.3
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

export PYTHONPATH := $(CURDIR):$(CURDIR)/generated

.PHONY: run grpcurl nginx test test-cov test-image test-phoenix lint format type generated check generate bench lock clean

run: $(VENV)/.run  ## start the gateway with Envoy in front; WORKERS=2 for two processes
	@exec $(BIN)/python -m gateway run --workers $(WORKERS)

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest

test-cov: $(VENV)/.dev  ## run the tests, fail below 90 % coverage of gateway/
	$(BIN)/python -m pytest --cov --cov-report=term

test-phoenix: $(VENV)/.dev $(PHOENIX)/.done  ## read our traces back from a real Arize Phoenix
	PHOENIX_BIN=$(CURDIR)/$(PHOENIX)/bin/phoenix $(BIN)/python -m pytest tests/phoenix

test-image: $(VENV)/.dev  ## build what the Dockerfile builds, without Docker, and run it
	BUILD_IMAGE=1 $(BIN)/python -m pytest tests/delivery/test_image.py

grpcurl: $(BIN)/grpcurl  ## build grpcurl with Go, so that the tests run the README's grpcurl commands too

nginx: $(BIN)/nginx  ## unpack Debian's nginx, so that the tests try docs/nginx.md

lint: $(VENV)/.dev  ## style, import rules, proto lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code

format: $(VENV)/.dev  ## rewrite files in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format --write

type: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

generate: $(VENV)/.dev  ## stubs, descriptor and Envoy configuration from their sources
	$(BIN)/python tools/generate.py
	$(BIN)/python -c 'from gateway.envoy import *; open("envoy/envoy.yaml", "w").write(render(EnvoySettings()))'
	$(BIN)/python tools/feature_table.py

generated: $(VENV)/.dev  ## generated files are in step with their sources, the contract breaks no caller
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/feature_table.py --check
	$(BIN)/python tools/check_breaking.py

check: lint type generated  ## everything CI checks, without the tests

bench: $(VENV)/.dev  ## measure CPU and latency on this machine
	$(BIN)/python -m bench

lock: $(VENV)/.dev  ## pin current versions of every dependency
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml --group dev -c requirements/run.lock -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-strip-extras --group phoenix -o requirements/phoenix.lock

clean:
	rm -rf $(VENV) $(PHOENIX)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(BIN)/grpcurl: | $(BIN)/python
	GOBIN=$(CURDIR)/$(BIN) go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL)

$(BIN)/nginx: | $(BIN)/python
	cd $(VENV) && apt-get download nginx && dpkg-deb --extract nginx_*.deb nginx && ln -sf ../nginx/usr/sbin/nginx bin/nginx

$(VENV)/.run: requirements/run.lock | $(BIN)/python
	$(PIP) -r requirements/run.lock
	@touch $@

$(VENV)/.dev: requirements/dev.lock | $(BIN)/python
	$(PIP) -r requirements/dev.lock
	@touch $@ $(VENV)/.run

$(PHOENIX)/.done: requirements/phoenix.lock
	$(PYTHON) -m venv $(PHOENIX)
	$(PHOENIX)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/phoenix.lock
	@touch $@
