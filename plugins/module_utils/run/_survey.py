# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The steps of a run that a host needs, according to the steps' modules in check mode."""

from __future__ import annotations

import typing as t

Answer = t.Mapping[str, t.Any]


def has_work(answer: Answer) -> bool:
    """Whether a step has something to do. A module that fails has: in its place in the run, it will say why."""
    return bool(answer.get("failed") or answer.get("actions"))


def masked(value: t.Any, secrets: t.Collection[str]) -> t.Any:
    """A value without these texts, however deep they are. ansible-core masks them in what a module returns up to 2.21; later ones only in what they print."""
    if isinstance(value, str):
        # A text may be a part of another.
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            value = value.replace(secret, "********")
        return value
    if isinstance(value, dict):
        return {key: masked(one, secrets) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(one, secrets) for one in value]
    return value
