# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Whether ansible-playbook's options skip part of a playbook: our playbooks only work as a whole. No I/O."""

from __future__ import annotations

import typing as t

# If one of our playbooks is imported into another one with tags, these select it as a whole.
REMEDY = "run the whole playbook, and use --limit to run it on some hosts only"


def start_problem(arguments: t.Mapping[str, t.Any]) -> str:
    """The problem with arguments of ansible-playbook that skip the checks at the start of every playbook; empty if there is none."""
    if arguments.get("start_at_task"):
        return f"--start-at-task {arguments['start_at_task']!r} skips steps on which later ones depend: {REMEDY}."
    if "always" in (arguments.get("skip_tags") or ()):
        return f"--skip-tags always skips the checks at the start of every playbook: {REMEDY}."
    return ""


def is_selected(tags: t.Collection[str], only: t.Collection[str], skip: t.Collection[str]) -> bool:
    """Whether Ansible runs tasks with these tags (Taggable.evaluate_tags), ignoring `always` and `never`."""
    tags = set(tags) or {"untagged"}
    tagged = {"tagged"} if tags != {"untagged"} else set()
    chosen = not only or "all" in only or bool((tags | tagged) & set(only))
    return chosen and not (tags | tagged | {"all"}) & set(skip)


def tags_problem(tags: t.Collection[str], arguments: t.Mapping[str, t.Any]) -> str:
    """For a task that always runs: the problem with tags that make ansible-playbook skip all other tasks of its playbook; empty if they do not.

    The playbooks have no tags. A task has tags only if its playbook was imported with tags; skipping it then is intentional."""
    tags = {tag for tag in tags if tag != "always"}
    only, skip = arguments.get("tags") or (), arguments.get("skip_tags") or ()
    if tags or is_selected(tags, only, skip):
        return ""
    said = [f"--{name} {','.join(map(str, some))}" for name, some in (("tags", only), ("skip-tags", skip)) if some]
    return f"The playbooks of plainkube.cluster have no tags, and {' '.join(said)} skips their steps: {REMEDY}."
