# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Evaluates templates of this collection's roles for a host, with the variables of all roles in scope."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleError
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles


class Scope:
    """A host's variables, and below them those of all roles.

    What the play has of a role's variables goes first: it is the same, or what an extra variable or the inventory has in its place."""

    def __init__(self, templar: Templar, variables: t.Mapping[str, t.Any], share: bool = False) -> None:
        """With `share`, evaluates what many others refer to once, in advance. That pays for whoever evaluates hundreds of templates."""
        self._known = {**_roles.variables(), **variables}
        self._templar = templar.copy_with_new_env(available_variables=self._known)
        for name in _roles.shared() if share else ():
            # One that cannot be evaluated stays as it is, so that whatever refers to it reports why.
            with contextlib.suppress(AnsibleError):
                self._known[name] = self.variable(name)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def variable(self, name: str) -> t.Any:
        return self.evaluate(self._known[name])

    def evaluate(self, value: t.Any) -> t.Any:
        """The value of templates at any depth."""
        return self._templar.template(value)

    def hold(self, conditions: t.Mapping[str, t.Sequence[str]]) -> dict[str, bool]:
        """Which of several lists of conditions hold, by name. All are one template, because each costs a millisecond."""
        entries = (
            f"'{name}': {' and '.join(f'({one})' for one in every) or 'true'}" for name, every in conditions.items()
        )
        return self.evaluate(trust_as_template("{{ {" + ", ".join(entries) + "} }}"))
