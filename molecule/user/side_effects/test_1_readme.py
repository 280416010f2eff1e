# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Every playbook works twice as the README says; the second time it changes and restarts nothing."""

from __future__ import annotations

import configparser
import re

import pytest

from lab import mirror
from lab.base import CHECKOUT

# What a lab adds to the README's inventory: login, mirror, and what hosts need because they are containers.
ADDED = {"ansible_user", "ansible_ssh_private_key_file", "ansible_ssh_common_args", "ansible_control_path_dir"}
ADDED |= {"artifacts_mirror", "node_kubelet_config", "containerd_runc_path", "node_kube_proxy_config"}


def parsed(text):
    parser = configparser.ConfigParser(allow_no_value=True, delimiters=("\n",))
    parser.optionxform = str
    parser.read_string(text)
    return {section: [*parser[section]] for section in parser.sections()}


def test_the_inventory_is_the_readmes(user):
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    wanted = parsed(re.search(r"```ini\n(.*?)```", readme, re.DOTALL).group(1))
    found = parsed((user.work / "hosts.ini").read_text(encoding="utf-8"))
    assert {line.partition("=")[0] for line in found["all:vars"]} <= ADDED
    assert {group: [line.split()[0] for line in wanted[group]] for group in wanted} == {
        group: found[group] for group in wanted
    }
    assert {line.partition("=")[0] for line in found["all"]} == {"k1 ansible_host", "n1 ansible_host"}
    assert not [*user.work.glob("ansible.cfg"), *user.home.glob(".ansible.cfg")]


PLAYBOOKS = {
    "site": [],
    "status": [],
    "verify": [],
    "kubeconfig": [],
    "certificates": [],
    "encryption": [],
}


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_twice(user, lab, said, name):
    first = user.playbook(name, *PLAYBOOKS[name]).demand()
    before = lab.invocations()
    second = user.playbook(name, *PLAYBOOKS[name]).demand()
    print(f"{name}: {first.seconds:.1f} s and {second.seconds:.1f} s, {first.changed} and {second.changed} changed")
    assert {*first.recap} >= {"k1"}
    assert second.changed == 0
    assert lab.invocations() == before
    # The lab's mirror has no TLS.
    mirror = [text for text in said(first.output) if text.startswith("[WARNING]: artifacts_mirror is http://")]
    assert len(mirror) == (name == "site")
    assert said(first.output) + said(second.output) == mirror


def test_the_kubeconfig_works(user, lab):
    # The cluster's own kubectl, because this machine may not have one.
    lab.fetch("k1", "/usr/local/bin/kubectl", user.home / "kubectl")
    nodes = user.run(str(user.home / "kubectl"), "--kubeconfig", "kubeconfig", "get", "nodes", "--output=name").demand()
    assert nodes.output.split() == ["node/n1"]
    assert (user.work / "kubeconfig").stat().st_mode & 0o077 == 0


def test_a_plan_of_a_live_cluster_is_empty(user):
    run = user.playbook("site", "--check", "--diff").demand()
    assert run.changed == 0
    assert "plainkube: nothing would change on 2 hosts" in run.output


@pytest.mark.parametrize("arguments", [["--tags", "etcd"], ["--tags", "nonsense"], ["--start-at-task", "Run etcd"]])
@pytest.mark.parametrize("name", ["site", "status", "reset"])
def test_half_a_run_is_refused(user, name, arguments):
    run = user.playbook(name, *arguments)
    assert run.code != 0
    assert re.search(rf"{arguments[0]}.*: run the whole playbook, and use --limit", run.output), run.output
    assert run.changed == 0


def test_build_finds_what_is_built(user):
    """build.yml built the lab's mirror, so a run on it is a second run."""
    run = user.run(
        "ansible-playbook", "plainkube.cluster.build", "-e", f"build_directory={mirror.directory()}"
    ).demand()
    assert run.changed == 0


def test_reset_twice(user, lab, said):
    first = user.playbook("reset", "-e", "reset_confirm=plainkube").demand()
    second = user.playbook("reset", "-e", "reset_confirm=plainkube").demand()
    print(f"reset: {first.seconds:.1f} s and {second.seconds:.1f} s")
    assert (first.changed > 0, second.changed) == (True, 0)
    assert said(first.output) + said(second.output) == []
    for host in lab.hosts():
        assert lab.run(host, "ls", "/etc/kubernetes")[0] != 0
