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
    """A host's variables, and with lower precedence those of all roles.

    If the play has a role's variable, its value wins: it is the same, or an extra variable or the inventory overrides it."""

    def __init__(self, templar: Templar, variables: t.Mapping[str, t.Any], share: bool = False) -> None:
        """With `share`, evaluates the variables that many others refer to once, in advance, which pays off for hundreds of templates."""
        self._known = {**_roles.variables(), **variables}
        self._templar = templar.copy_with_new_env(available_variables=self._known)
        for name in _roles.shared() if share else ():
            # A variable that cannot be evaluated stays a template, so that whatever refers to it reports the reason.
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
        """Which lists of conditions are true, by name. All of them form one template, because each template costs a millisecond."""
        entries = (
            f"'{name}': {' and '.join(f'({one})' for one in every) or 'true'}" for name, every in conditions.items()
        )
        return self.evaluate(trust_as_template("{{ {" + ", ".join(entries) + "} }}"))
