# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Whether ansible-playbook's options skip part of a playbook: our playbooks only work as a whole. No I/O."""

from __future__ import annotations

import typing as t

# If one of our playbooks is imported into another one with tags, these select it as a whole.
REMEDY = "run the whole playbook, and use --limit to run it on some hosts only"


def start_trouble(arguments: t.Mapping[str, t.Any]) -> str:
    """The arguments of ansible-playbook that leave out the very checks that every playbook begins with; empty where there is none."""
    if arguments.get("start_at_task"):
        return (
            f"--start-at-task {arguments['start_at_task']!r} skips the steps that the later ones depend on: {REMEDY}."
        )
    if "always" in (arguments.get("skip_tags") or ()):
        return f"--skip-tags always skips the checks that every playbook begins with: {REMEDY}."
    return ""


def is_selected(tags: t.Collection[str], only: t.Collection[str], skip: t.Collection[str]) -> bool:
    """Whether Ansible runs tasks with these tags (Taggable.evaluate_tags), C(always) and C(never) aside."""
    tags = set(tags) or {"untagged"}
    tagged = {"tagged"} if tags != {"untagged"} else set()
    chosen = not only or "all" in only or bool((tags | tagged) & set(only))
    return chosen and not (tags | tagged | {"all"}) & set(skip)


def tags_trouble(tags: t.Collection[str], arguments: t.Mapping[str, t.Any]) -> str:
    """Of a task that always runs: the tags with which ansible-playbook skips all others of its playbook; empty where it does not.

    The playbooks have no tags. A task has some where its playbook was imported with tags; whoever does that leaves it out on purpose."""
    tags = {tag for tag in tags if tag != "always"}
    only, skip = arguments.get("tags") or (), arguments.get("skip_tags") or ()
    if tags or is_selected(tags, only, skip):
        return ""
    said = [f"--{name} {','.join(map(str, some))}" for name, some in (("tags", only), ("skip-tags", skip)) if some]
    return f"The playbooks of plainkube.cluster have no tags, and {' '.join(said)} skips their steps: {REMEDY}."
