# `make` lists the targets. You can stop any of them and run it again.
PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Test this checkout, not a copy that a tool may have installed.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/$(VENV)/collections
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export MOLECULE_GLOB := molecule/*/molecule.yml
# Its boxes truncate lines, and so tables, at the terminal's width.
export MOLECULE_COMMAND_BORDERS := false
MAKEFLAGS += --no-print-directory
# Failures recorded by molecule/shared/callback; printed last, because they are hard to find in thousands of lines.
FAILURES := .ansible/failures
SCENARIO ?= default
SAMPLE ?= 0
# The commit determines which tests run (lab/turns.py): TURN=all runs all, SEED=N repeats other choices, CORE=2.21.5 is for `make sanity`.
SANITY ?=

# All files whose first line names a shell, but those in hidden directories.
SHELL_FILES := grep -rIlE --exclude-dir='.?*' '^\#!.*\b(ba)?sh\b' .
REFERENCE := antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --output-format simplified-rst

.PHONY: help setup etcd turn unit lint sums docs sanity package artifacts rebuild converge verify destroy molecule scenario machines torture smoke test benchmark benchmark-scale demo demo-down clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

# A program in Go, which no package index for Python has.
$(VENV)/bin/actionlint: $(VENV)/.made
	GOBIN=$(CURDIR)/$(VENV)/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7

setup: $(VENV)/.made ## the virtual environment, with everything for tests and lab

$(VENV)/.made: requirements.txt lab/setup.sh
	@PATH="$${PATH#*:}" lab/setup.sh $(VENV) $(PYTHON)
	@touch $@

etcd: setup
	@$(RUN) -m lab artifacts --etcd

unit: etcd ## unit tests; first builds etcd, which some of them run (less than a minute, once)
	pytest

lint: setup $(VENV)/bin/actionlint ## ruff, mypy, shellcheck, yamllint, actionlint, ansible-lint; documentation, the reference, and generated files
	ruff check
	ruff format --check
	mypy
	shellcheck $$($(SHELL_FILES))
	yamllint .
	actionlint
	ansible-lint
	@$(RUN) docs/generate.py --check
	@$(RUN) -m tests.variables
	antsibull-changelog lint
	@antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs dependent --disallow-unknown-collection-refs \
	  $(VENV)/collections/ansible_collections/plainkube/cluster
	@mkdir -p -m 0755 .ansible/reference
	@$(REFERENCE) --dest-dir .ansible/reference plainkube.cluster

sums: setup ## SHA-256 of the default versions' downloads, from upstream's publications (needs the internet)
	@$(RUN) -m lab.sums

docs: setup ## README tables and role pages from their sources; the full reference in docs/reference
	@$(RUN) docs/generate.py
	@mkdir -p -m 0755 docs/reference
	$(REFERENCE) --dest-dir docs/reference plainkube.cluster

sanity: etcd ## ansible-test sanity and units on every supported ansible-core; on one with CORE=2.21.5 SANITY=--turn
	@$(RUN) -m tests.matrix $(SANITY)

package: setup ## tests of the archive: its contents, and its use without a checkout; and of benchmark-scale's simulated hosts
	$(RUN) -m pytest tests/packaging

artifacts: setup ## binaries and images for the lab: built if the upstream downloads are unavailable
	@$(RUN) -m lab artifacts

rebuild: setup ## build what is small twice, with separate Go caches, and compare byte by byte; EVERY=1 builds everything twice
	@$(RUN) -m lab rebuild $(if $(EVERY),--all)

converge: artifacts ## start three hosts and run site.yml on them: the edit loop
	molecule converge -s $(SCENARIO)

verify: setup ## run the tests on these hosts
	molecule verify -s $(SCENARIO)

destroy: setup ## remove these hosts
	molecule destroy -s $(SCENARIO)

turn: setup
	@$(RUN) -m lab.turns

molecule: turn artifacts ## the current turn's scenarios, each with fresh hosts; TURN=all runs all of them
	@rm -f $(FAILURES)
	@turn=$$($(RUN) -m lab.turns --export) && eval "$$turn" && scenarios=$$($(RUN) -m lab.turns --scenarios) && \
	  for scenario in $$scenarios; do molecule test -s $$scenario || { cat $(FAILURES); exit 1; }; done

scenario: artifacts ## one scenario with fresh hosts: SCENARIO=ha; TURN=all runs all of its tests
	molecule test -s $(SCENARIO)

# Without KVM, each of the four needs two cores that do nothing else.
machines: artifacts ## real Debians as virtual machines: SUITE=trixie or bookworm, RUNTIME=docker or containerd; without these, all four in turn
	@rm -f $(FAILURES)
	@for suite in $(or $(SUITE),trixie bookworm); do for runtime in $(or $(RUNTIME),docker containerd); do \
	  echo "machines: $$suite, $$runtime"; \
	  PLAINKUBE_LAB_SUITE=$$suite RUNTIME=$$runtime molecule test -s machines || { cat $(FAILURES); exit 1; }; done; done

torture: artifacts ## kill site.yml before each of its tasks, and check that the next run repairs it: SAMPLE=0 is all tasks, SAMPLE=N SEED=M repeats a sample
	@$(RUN) -m lab torture --sample $(SAMPLE) $(if $(SEED),--seed $(SEED))

# Tests without hosts run in parallel, because unit tests wait a lot; the scenarios use both cores by themselves. The turn is determined
# once: a commit during the run does not change it.
test: turn artifacts ## all tests of the current turn, and a sample of torture. The same commit runs the same tests
	@turn=$$($(RUN) -m lab.turns --export) && eval "$$turn" && \
	  $(MAKE) --jobs=2 --output-sync=target sanity unit lint package rebuild SANITY=--turn && \
	  $(MAKE) molecule && \
	  $(MAKE) torture SAMPLE=1 SEED=$$SEED

# The beta of the next minor version; the nightly workflow runs it.
SMOKE ?= 1.38.0-beta.0

smoke: setup ## a cluster with a version of Kubernetes that is not supported yet: SMOKE=1.38.0-beta.0. Building it takes half an hour
	@$(RUN) -m lab smoke $(SMOKE)

benchmark: artifacts ## site.yml against a plain script and kubeadm, three rounds on an idle machine; writes docs/benchmark.md. AGAINST=COMMIT: against that commit
	@$(RUN) -m benchmarks $(if $(AGAINST),--against $(AGAINST))
	@$(if $(AGAINST),,$(RUN) docs/generate.py)

benchmark-scale: setup ## cost per host on the control node, with 100 and with 500 simulated hosts
	@$(RUN) -m benchmarks.scale

demo: ## a running cluster of three hosts on this machine, from scratch
	@started=$$(date +%s) && $(MAKE) setup && $(RUN) -m lab demo --started $$started

demo-down: setup ## remove it
	@$(RUN) -m lab down demo
	@rm -rf lab/inventory.ini lab/kubeconfig lab/pki

clean: ## remove the virtual environment; caches stay in ~/.cache/plainkube
	rm -rf $(VENV) .ansible .pytest_cache .ruff_cache
