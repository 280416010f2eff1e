# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The steps of a run that a host needs, according to the steps' modules in check mode."""

from __future__ import annotations

import typing as t

Answer = t.Mapping[str, t.Any]


def has_work(answer: Answer) -> bool:
    """Whether a step has something to do. A failing module counts: when its turn comes in the run, it will report why."""
    return bool(answer.get("failed") or answer.get("actions"))


def masked(value: t.Any, secrets: t.Collection[str]) -> t.Any:
    """A value with these texts masked at any depth. ansible-core up to 2.21 masks them in a module's result; later versions only in the output."""
    if isinstance(value, str):
        # One text may be part of another.
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            value = value.replace(secret, "********")
        return value
    if isinstance(value, dict):
        return {key: masked(one, secrets) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(one, secrets) for one in value]
    return value
