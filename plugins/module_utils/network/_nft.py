# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The host's nft: our table in the kernel, and as a file defines it."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp, _systemd

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

UNIT_PATH = f"{_places.UNITS}/{_firewall.UNIT}"


def program(module: AnsibleModule) -> str | None:
    """The path of nft; None if it is not installed."""
    return module.get_bin_path("nft", opt_dirs=["/usr/sbin", "/sbin"])


def installed(module: AnsibleModule) -> bool:
    return program(module) is not None


def live(module: AnsibleModule, stateless: bool = True) -> str:
    """Our table as nft lists it; empty if there is none."""
    command = ["nft", *(["--stateless"] if stateless else []), "list", "table", *_firewall.TABLE.split()]
    code, out, err = _command.run(module, command)
    if code != 0 and "No such file or directory" not in err:
        raise _command.Failed(f"`{' '.join(command)}` failed: {err.strip()}")
    return out if code == 0 else ""


def canonical(module: AnsibleModule, rules: str) -> str:
    """What this host's nft lists once it has loaded these rules, in a separate network namespace.

    So it also validates the rules before anything changes."""
    script = f"nft -f - && nft --stateless list table {_firewall.TABLE}"
    return _command.check(module, "unshare", "--net", "sh", "-c", script, data=rules)


def load(module: AnsibleModule, rules: str) -> None:
    """Replace our table atomically, or fail and change nothing."""
    _command.check(module, "nft", "-f", "-", data=rules)


def delete(module: AnsibleModule) -> None:
    load(module, _firewall.REPLACE)


def drift(module: AnsibleModule) -> str:
    """Why the host's firewall differs from the result of the last run of site.yml; empty if it does not."""
    text, rules = _files.read(UNIT_PATH), _files.read(_firewall.RULES)
    if text is None or rules is None or not installed(module):
        return "is not installed"
    state = _systemd.show(module, _firewall.UNIT)
    if _stamp.changed_inputs(text):
        return f"has rules in {_firewall.RULES} that the last run of plainkube.cluster.site did not write"
    if state.get("UnitFileState") != "enabled" or state.get("ActiveState") != "active":
        return f"would not be loaded at boot, or was stopped ({state.get('UnitFileState')}, {state.get('ActiveState')})"
    try:
        found = live(module)
        if not found:
            return f"is off: there is no nftables table {_firewall.TABLE}"
        return "" if found == canonical(module, rules) else f"was changed manually in nftables table {_firewall.TABLE}"
    except _command.Failed as error:
        return f"cannot be read: {error}"
