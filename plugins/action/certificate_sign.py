# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _certificate_sign, _here

_CERTIFICATE = {
    "request": _answers.Optional(str),
    "certificate": _answers.Optional(str),
    "has_key": bool,
}
_REQUEST = {
    "public": _answers.Each(str),
    "secret": _answers.Each(str),
    "encryption": _answers.Optional([str]),
    "certificates": _answers.Each(_CERTIFICATE),
}


def _problem(host: str, answer: t.Any, state: str) -> str:
    """Why a host's answer cannot be used for signing."""
    asked = "plainkube.cluster.host_facts" if state == "checked" else "plainkube.cluster.certificate_request"
    if not isinstance(answer, dict) or not answer:
        return f"Host {host} has not reported its certificates: run module {asked} on it first."
    if answer.get("failed") or answer.get("unreachable"):
        return f"Host {host} has not reported its certificates: {_answers.reason(answer)}"
    where = _answers.mismatch(answer, _facts.PKI if state == "checked" else _REQUEST)
    return (
        f"The answer of host {host} to module {asked} has no valid {where.lstrip('.')}: inspect that host."
        if where
        else ""
    )


class ActionModule(ActionBase):
    """Signs in Ansible's own process, on the control node."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, params = self.validate_argument_spec(_certificate_sign.ARGUMENT_SPEC)
        problems = (_problem(*one, params["state"]) for one in params["answers"].items())
        problem = _facts.problem(task_vars) or next(filter(None, problems), "")
        if problem:
            return {**result, "failed": True, "msg": problem}
        return {**result, **_here.run(_certificate_sign, params, self._task.check_mode)}
