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
# What failed, as molecule/shared/callback says it; printed last, where it is found in thousands of lines.
FAILURES := .ansible/failures
SCENARIO ?= default
SAMPLE ?= 0
# Tests take turns, as the commit has it (lab/turns.py): TURN=all is all of them, SEED=N repeats other choices, CORE=2.21.5 is for `make sanity`.
SANITY ?=

REFERENCE := antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --output-format simplified-rst

.PHONY: help setup etcd turn unit lint docs sanity package artifacts converge verify destroy molecule torture test benchmark benchmark-scale demo demo-down clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(VENV)/.made ## the virtual environment, with all that tests and lab use

$(VENV)/.made: requirements.txt lab/setup.sh
	@PATH="$${PATH#*:}" lab/setup.sh $(VENV) $(PYTHON)
	@touch $@

etcd: setup
	@$(RUN) -m lab artifacts --etcd

unit: etcd ## unit tests; etcd, which some of them run, is built first (less than a minute, once)
	pytest

lint: setup ## ruff, yamllint, ansible-lint; documentation, the reference, and what is generated from them
	ruff check
	ruff format --check
	yamllint .
	ansible-lint
	@$(RUN) docs/generate.py --check
	@$(RUN) -m tests.variables
	antsibull-changelog lint
	@antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs dependent --disallow-unknown-collection-refs \
	  $(VENV)/collections/ansible_collections/plainkube/cluster
	@mkdir -p -m 0755 .ansible/reference
	@$(REFERENCE) --dest-dir .ansible/reference plainkube.cluster

docs: setup ## README tables and role pages from their sources; the reference of everything in docs/reference
	@$(RUN) docs/generate.py
	@mkdir -p -m 0755 docs/reference
	$(REFERENCE) --dest-dir docs/reference plainkube.cluster

sanity: etcd ## ansible-test sanity and units, on every ansible-core that is supported; CORE=2.21.5 SANITY=--turn is one of them
	@$(RUN) -m tests.matrix $(SANITY)

package: setup ## the archive: what is in it, and that it works where there is nothing else; and the hosts that benchmark-scale makes up
	$(RUN) -m pytest tests/packaging

artifacts: setup ## binaries and images for the lab: built, unless the upstream downloads can be reached
	@$(RUN) -m lab artifacts

converge: artifacts ## three hosts that stay up, and site.yml on them: the edit loop
	molecule converge -s $(SCENARIO)

verify: setup ## the tests on these hosts
	molecule verify -s $(SCENARIO)

destroy: setup ## remove these hosts
	molecule destroy -s $(SCENARIO)

turn: setup
	@$(RUN) -m lab.turns

molecule: turn artifacts ## the scenarios whose turn it is, from fresh hosts to none; TURN=all is all of them
	@rm -f $(FAILURES)
	@turn=$$($(RUN) -m lab.turns --export) && eval "$$turn" && scenarios=$$($(RUN) -m lab.turns --scenarios) && \
	  for scenario in $$scenarios; do molecule test -s $$scenario || { cat $(FAILURES); exit 1; }; done

torture: artifacts ## kill site.yml before each of its tasks, and see that it heals: SAMPLE=0 is all of them, SAMPLE=N SEED=M repeats a sample
	@$(RUN) -m lab torture --sample $(SAMPLE) $(if $(SEED),--seed $(SEED))

# What needs no hosts goes side by side, as unit tests wait a lot; the scenarios keep both cores busy by themselves. What takes turns is decided
# once: nobody's commit during the run changes it.
test: turn artifacts ## all tests but those whose turn it is not; of torture a sample. The same commit runs the same tests
	@turn=$$($(RUN) -m lab.turns --export) && eval "$$turn" && \
	  $(MAKE) --jobs=2 --output-sync=target sanity unit lint package SANITY=--turn && \
	  $(MAKE) molecule && \
	  $(MAKE) torture SAMPLE=1 SEED=$$SEED

benchmark: artifacts ## site.yml against a plain script and kubeadm, three rounds on a quiet machine; writes docs/benchmark.md. AGAINST=COMMIT: against that
	@$(RUN) -m benchmarks $(if $(AGAINST),--against $(AGAINST))

benchmark-scale: setup ## what a host costs the control node, with 100 and with 500 made-up hosts
	@$(RUN) -m benchmarks.scale

demo: ## a live cluster of three hosts on this machine, from nothing
	@started=$$(date +%s) && $(MAKE) setup && $(RUN) -m lab demo --started $$started

demo-down: setup ## remove it
	@$(RUN) -m lab down demo
	@rm -rf lab/inventory.ini lab/kubeconfig lab/pki

clean: ## remove the virtual environment; caches stay in ~/.cache/plainkube
	rm -rf $(VENV) .ansible .pytest_cache .ruff_cache
