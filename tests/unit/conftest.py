# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import shutil
import socket
import types

import pytest
from ansible.module_utils.testing import patch_module_args

# Templates find this collection's filters and lookups, as in ansible-playbook. ansible-test has no plugins where it tests modules, and a finder of its
# own where it tests the others.
with contextlib.suppress(ImportError):
    from ansible.plugins.loader import init_plugin_loader
    from ansible.utils.collection_loader import AnsibleCollectionConfig

    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()

from lab import artifacts


def check_actions(result, exact=True):
    """What every module that changes something returns: see module_utils/run/_actions.py. exact: whether `changed` follows from the actions."""
    # Not before the plugin loader is there.
    from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions

    # certificate_sign has the actions on each host in `hosts`.
    actions = [*result["actions"], *(one for host in result.get("hosts", {}).values() for one in host["actions"])]
    for one in actions:
        assert set(one) == {"verb", "subject", "reason"}, one
        assert all(isinstance(value, str) for value in one.values()), one
        assert one["verb"] in _actions.VERBS
        assert one["subject"]
    changes = [one for one in actions if one["verb"] != "wait"]
    assert changes or not result["changed"], result
    assert result["changed"] or not changes or not exact, result


# Later tasks of role artifacts install what its module stages, and packages.
INEXACT = ("artifacts",)


@pytest.fixture
def told():
    """A module's result, checked, with each action as a tuple (verb, subject, reason)."""

    def told(module, result):
        if "actions" in result:
            check_actions(result, exact=module.__name__.rpartition(".")[2] not in INEXACT)
            result["actions"] = [(one["verb"], one["subject"], one["reason"]) for one in result["actions"]]
        return result

    return told


@pytest.fixture
def run_module(capfd, told):
    """Run a module's main() with arguments as Ansible would; return its JSON result as fixture told has it.

    `_ansible_check_mode=True` and `_ansible_diff=True` may be among the arguments.
    """

    def run(module, /, **arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        # What begins with _ansible_ is for Ansible itself, which takes it out: secrets to mask, for one. ansible-core 2.20 adds
        # the arguments.
        result = told(module, json.loads(capfd.readouterr().out))
        return {name: value for name, value in result.items() if not name.startswith(("_ansible_", "invocation"))}

    return run


@pytest.fixture
def action_plugin():
    """A function that creates an action plugin as Ansible does: for a task with these arguments and tags, and templates that know these variables."""

    def create(module, args=None, tags=(), variables=None):
        # Not before the plugin loader is there.
        from ansible.parsing.dataloader import DataLoader
        from ansible.template import Templar

        task = types.SimpleNamespace(
            check_mode=False, async_val=0, args=args or {}, tags=[*tags], vars={}, register="x"
        )
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/nowhere"))
        loader = DataLoader()
        return module.ActionModule(task, connection, None, loader, Templar(loader, variables=variables), None)

    return create


@pytest.fixture
def facts():
    """What module host_facts finds on a bare host, all of it."""
    return {
        "addresses": [{"interface": "eth0", "address": "192.0.2.7", "prefix": 24}],
        "architecture": "amd64",
        "bounded": False,
        "cgroup_version": 2,
        "cni_before": [],
        "containerd": "",
        "containerd_files": {},
        "crictl": False,
        "distribution": "debian",
        "distribution_version": "13",
        "etcd_state": "none",
        "docker_problems": [],
        "docker_root": "/var/lib/docker",
        "firewall": False,
        "firewalls": [],
        "foreign_listeners": [],
        "foreign_units": {},
        "free_mb": {},
        "hostname": "n1",
        "installed": False,
        "installed_versions": {},
        "interfaces": ["lo", "eth0"],
        "kernel": "6.12",
        "leases": [{"subnet": "10.244.5.0/24", "address": "192.0.2.7", "mac": "0a:00:00:00:00:05"}],
        "leftovers": [],
        "linked": {},
        "machine_id": "a",
        "memory_mb": 1800,
        "name_servers": ["192.0.2.53"],
        "networkmanager": False,
        "networks": [],
        "nftables": True,
        "pki": {"public": {}, "secret": [], "encryption": None},
        "pod_bridge": "",
        "replaced_commands": {},
        "resolv_conf": "/etc/resolv.conf",
        "runtime": "",
        "runtime_change": False,
        "runtime_version": "",
        "services": [],
        "settled": {},
        "swap": [],
        "systemd": True,
        "unresolved": [],
    }


@pytest.fixture(scope="session")
def reserved_port():
    """A function that returns a port of 127.0.0.1 for a server that a test starts later.

    The kernel gives ports of its ephemeral range to any connection at any time, so these ports are below that range. Each stays reserved until
    the end of the session, also against test processes beside this one: its number is bound on an address that nothing else uses.
    """
    first_ephemeral = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = iter(range(10000, first_ephemeral))

    def bound(stack: contextlib.ExitStack, kind: socket.SocketKind, address: str, port: int) -> None:
        stack.enter_context(socket.socket(type=kind)).bind((address, port))

    def reserve() -> int:
        for port in candidates:
            with contextlib.ExitStack() as reservation, contextlib.ExitStack() as probes:
                try:
                    bound(reservation, socket.SOCK_STREAM, "127.127.127.127", port)
                    bound(probes, socket.SOCK_STREAM, "127.0.0.1", port)
                    bound(probes, socket.SOCK_DGRAM, "127.0.0.1", port)
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    continue
                reservations.push(reservation.pop_all())
                return port
        raise RuntimeError(f"no port below {first_ephemeral} is free: end the processes that listen on them")

    with contextlib.ExitStack() as reservations:
        yield reserve


@pytest.fixture(scope="session")
def etcd_binaries(tmp_path_factory):
    """A directory with etcd and etcdctl: in PATH, where tests/matrix.py puts them for ansible-test, or out of the lab's mirror."""
    given = shutil.which("etcdctl")
    if given and shutil.which("etcd"):
        return os.path.dirname(given)
    target = tmp_path_factory.mktemp("etcd")
    artifacts.extract_etcd(target)
    return str(target)
