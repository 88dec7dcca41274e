# `make study` and `make test` set up all they need. Everything else is plain Snakemake: see README.md.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
STUDY ?= config.yaml
# cpu or cuda: the lock that .venv is built from.
ENVIRONMENT ?= cpu

.PHONY: help setup study test test-all lint dev

help:
	@echo "make study   set up and run the default study (STUDY=studies/x.yaml for another), then print its table"
	@echo "make test    set up and run the tests; make test-all with the slow ones too"
	@echo "make lint    ruff, snakefmt, snakemake --lint, mypy"
	@echo "make setup   build .venv from envs/cpu.txt (ENVIRONMENT=cuda for NVIDIA GPUs, PYTHON=python3.11 for another python)"
	@echo "make dev     the same, with what tests and linters need"

setup:
	@scripts/setup.sh $(ENVIRONMENT)

dev:
	@scripts/setup.sh $(ENVIRONMENT) dev

study: setup
	@scripts/study.sh $(STUDY)

test: dev
	@scripts/test.sh tests -m "not slow"

test-all: dev
	@scripts/test.sh

lint: dev
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	mypy
