# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import itertools

import pytest
from ansible.playbook.taggable import Taggable
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _whole_run


class Task:
    """As much of a task as Ansible asks for its tags."""

    _loader = None

    def __init__(self, tags):
        self.tags = self._tags = list(tags)

    def _get_all_taggable_objects(self):
        return ()


TAGS = [(), ("site",), ("site", "k8s")]
ONLY = [("all",), ("etcd",), ("site",), ("tagged",), ("untagged",), ("site", "etcd")]
SKIP = [(), ("etcd",), ("site",), ("tagged",), ("untagged",), ("all",)]


@pytest.mark.parametrize(("tags", "only", "skip"), [*itertools.product(TAGS, ONLY, SKIP)])
def test_tags_select_as_in_ansible(tags, only, skip):
    task = Task(tags)
    task.untagged = Taggable.untagged
    assert _whole_run.is_selected(tags, only, skip) == Taggable.evaluate_tags(task, only, skip, {})


@pytest.mark.parametrize(
    ("tags", "arguments", "said"),
    [
        ({"always"}, {"tags": ("all",), "skip_tags": ()}, ""),
        ({"always"}, {"tags": ("all",), "skip_tags": ("docs",)}, ""),
        ({"always"}, {}, ""),
        ({"always"}, {"tags": ("etcd", "node"), "skip_tags": ()}, "--tags etcd,node skips their steps"),
        (
            {"always"},
            {"tags": ("all",), "skip_tags": ("untagged",)},
            "--tags all --skip-tags untagged skips their steps",
        ),
        # Imported with tags: all of it runs, or nothing, as was asked for.
        ({"always", "k8s"}, {"tags": ("k8s",), "skip_tags": ()}, ""),
        ({"always", "k8s"}, {"tags": ("other",), "skip_tags": ()}, ""),
    ],
)
def test_tags_that_skip_the_steps(tags, arguments, said):
    problem = _whole_run.tags_problem(tags, arguments)
    assert said in problem
    assert bool(problem) == bool(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"start_at_task": None, "skip_tags": ()}, ""),
        ({"start_at_task": "Run etcd", "skip_tags": ()}, "--start-at-task 'Run etcd' skips steps"),
        ({"start_at_task": None, "skip_tags": ("always",)}, "--skip-tags always skips the checks"),
        ({}, ""),
    ],
)
def test_a_beginning_that_is_skipped(arguments, said):
    problem = _whole_run.start_problem(arguments)
    assert said in problem
    assert bool(problem) == bool(said)
