# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The facts that this collection sets of a host. No I/O."""

from __future__ import annotations

import typing as t

NAMES = frozenset({"plainkube", "plainkube_unreached", "plainkube_remembered"})


def facts(found: dict[str, t.Any] | None = None, unreached: bool = False, remembered: str = "") -> dict[str, t.Any]:
    """Always all of them: with a fact cache, facts of an earlier run would otherwise be used for missing ones."""
    return {"plainkube": found or {}, "plainkube_unreached": unreached, "plainkube_remembered": remembered}
