# `make` says what there is. Everything can be stopped and run again.
PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# This checkout is what is tested: no copy of it that a tool may have installed.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/$(VENV)/collections
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export MOLECULE_GLOB := molecule/*/molecule.yml
# Its boxes cut lines at the terminal's width, and with them tables.
export MOLECULE_COMMAND_BORDERS := false
MAKEFLAGS += --no-print-directory
SCENARIO ?= default

.PHONY: help setup unit lint artifacts converge verify destroy molecule test benchmark benchmark-scale demo demo-down clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(VENV)/.made ## the virtual environment, with all that tests and lab use

$(VENV)/.made: requirements.txt lab/setup.sh
	@PATH="$${PATH#*:}" lab/setup.sh $(VENV) $(PYTHON)
	@touch $@

unit: setup ## unit tests
	pytest

lint: setup ## ruff, yamllint, ansible-lint
	ruff check
	ruff format --check
	yamllint .
	ansible-lint

artifacts: setup ## binaries and images for the lab: built, unless the upstream downloads can be reached
	@$(RUN) -m lab artifacts

converge: artifacts ## three hosts that stay up, and site.yml on them: the edit loop
	molecule converge -s $(SCENARIO)

verify: setup ## the tests on these hosts
	molecule verify -s $(SCENARIO)

destroy: setup ## remove these hosts
	molecule destroy -s $(SCENARIO)

molecule: artifacts ## a scenario from fresh hosts to none, SCENARIO=default
	molecule test -s $(SCENARIO)

# The artefacts first: some unit tests run against the real etcd.
test: artifacts unit lint molecule ## all tests

benchmark: artifacts ## site.yml against a plain script and kubeadm, three rounds on a quiet machine; writes docs/benchmark.md
	@$(RUN) -m benchmarks

benchmark-scale: setup ## what a host costs the control node, with 100 and with 500 made-up hosts
	@$(RUN) -m benchmarks.scale

demo: ## a live cluster of three hosts on this machine, from nothing
	@started=$$(date +%s) && $(MAKE) setup && $(RUN) -m lab demo --started $$started

demo-down: setup ## remove it
	@$(RUN) -m lab down demo
	@rm -rf lab/inventory.ini lab/kubeconfig lab/pki

clean: ## remove the virtual environment; caches stay in ~/.cache/plainkube
	rm -rf $(VENV) .ansible .pytest_cache .ruff_cache
