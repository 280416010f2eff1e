# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The CA directory on the control node, compared with the hosts' copies: every playbook reports the same problems as site.yml."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authorities, _certificate_sign, _here


def refusal(
    directory: str, cluster: str, results: t.Mapping[str, t.Mapping[str, t.Any]], control_planes: t.Sequence[str]
) -> str:
    """The message with which site.yml would refuse the directory: it does not exist, or belongs to another cluster. Empty if it would not, or if no host with
    CAs has answered."""
    answers = {
        host: result["pki"]
        for host, result in results.items()
        if not result.get("lost") and "pki" in result and not _answers.mismatch(result["pki"], _facts.PKI)
    }
    params = {
        **{name: option.get("default") for name, option in _certificate_sign.ARGUMENT_SPEC.items()},
        "directory": directory,
        "cluster_name": cluster,
        "groups": [],
        "answers": answers,
        "control_planes": control_planes,
        "required_hosts": [],
        "state": "checked",
    }
    result = _here.run(_certificate_sign, params, check_mode=True, quiet=True)
    return result["msg"] if result.get("failed") else ""


def problems(
    directory: str, cluster: str, results: t.Mapping[str, t.Mapping[str, t.Any]], control_planes: t.Sequence[str]
) -> list[str]:
    """All problems with the directory, as sentences."""
    found = (refusal(directory, cluster, results, control_planes), _authorities.exposure(os.path.expanduser(directory)))
    return [sentence for sentence in found if sentence]
