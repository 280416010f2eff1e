# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Containers that stand in for hosts: the one definition for the demo, Molecule, tests and benchmarks.

`python -m lab` from the checkout's root is the command line; tests use `lab.lab.Lab`.
"""
