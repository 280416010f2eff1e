# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Common settings of users in ansible.cfg, inventories and hosts, all at once: a new cluster, and a second run that changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import yaml

from lab import machine, ssh

PASSWORD = "secret of the operator"
VAULT = "secret of the vault"
LANGUAGE = "de_DE"
PORT = 2222
# "Users have their own ansible.cfg."
CONFIG = """\
[defaults]
private_role_vars = true
strategy = {strategy}
hash_behaviour = merge
fact_caching = jsonfile
fact_caching_connection = {cache}
gathering = smart
forks = 1
vault_password_file = {vault}
"""
# Typical hosts of users: sudo requires a password, the operator's umask is strict, sshd listens on another port, programs print another language, and
# /tmp is mounted with noexec.
HOST = f"""\
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends locales >/dev/null
localedef -i {LANGUAGE} -f UTF-8 {LANGUAGE}.UTF-8
echo LANG={LANGUAGE}.UTF-8 >> /etc/environment
id olga 2>/dev/null || useradd --create-home --shell /bin/bash olga
echo 'olga:{PASSWORD}' | chpasswd
echo 'olga ALL=(ALL:ALL) ALL' > /etc/sudoers.d/olga
echo 'Defaults umask=0077, umask_override' >> /etc/sudoers.d/olga
sed -i '1i umask 077' /home/olga/.bashrc
cp -r /home/{ssh.USER}/.ssh /home/olga/ && chown -R olga: /home/olga/.ssh
printf 'Port 22\\nPort {PORT}\\n' > /etc/ssh/sshd_config.d/port.conf
systemctl restart ssh
mount -o remount,noexec /tmp
"""


@pytest.fixture(scope="module")
def hosts(lab):
    """The lab's hosts, set up like those of another user."""
    for host in lab.hosts():
        lab.demand(host, "sh", "-euc", HOST)
    yield
    for host in lab.hosts():
        lab.run(host, "mount", "-o", "remount,exec", "/tmp")


@pytest.fixture(scope="module")
def locale(tmp_path_factory):
    """The locale applies to programs on the control node as well."""
    machine.install("locales")
    directory = tmp_path_factory.mktemp("locale")
    # 1 is a warning.
    code = subprocess.run(["localedef", "-i", LANGUAGE, "-f", "UTF-8", f"{directory}/{LANGUAGE}.UTF-8"], check=False)
    assert code.returncode in (0, 1)
    return {"LOCPATH": str(directory), "LC_ALL": f"{LANGUAGE}.UTF-8"}


def vaulted(user, name, value):
    """A variable in the format of `ansible-vault encrypt_string`."""
    return user.run(
        *("ansible-vault", "encrypt_string", "--vault-password-file", str(user.home / "vault"), "--name", name, value)
    ).demand()


class Settings:
    """A directory with an ansible.cfg and two inventories, and runs from there."""

    def __init__(self, user, lab, locale):
        self.user = user
        self.directory = user.home / "settings"
        self.cache = user.home / "facts"
        self.environment = {**locale, "ANSIBLE_REMOTE_TEMP": "/tmp/ansible-of-$USER"}
        (user.home / "vault").write_text(VAULT)
        (user.home / "vault").chmod(0o600)
        self._inventories(lab)
        self.configure("free")

    def configure(self, strategy):
        (self.directory / "ansible.cfg").write_text(
            CONFIG.format(strategy=strategy, cache=self.cache, vault=self.user.home / "vault")
        )

    def _inventories(self, lab):
        given = yaml.safe_load(
            self.user.run("ansible-inventory", "-i", "hosts.ini", "--list", "--yaml").demand().output
        )
        values = given["all"]["children"]["control_plane"]["hosts"]["k1"]
        control, nodes = self.directory / "control", self.directory / "nodes"
        for path in (control / "group_vars", nodes / "group_vars"):
            path.mkdir(parents=True)
        (control / "hosts.yml").write_text(
            yaml.safe_dump({"control_plane": {"hosts": {"k1": {"ansible_host": lab.address("k1")}}}})
        )
        (nodes / "hosts.yml").write_text(
            yaml.safe_dump({"node": {"hosts": {"n1": {"ansible_host": lab.address("n1")}}}})
        )
        # n1 is reachable only through k1.
        options = values["ansible_ssh_common_args"]
        key = values["ansible_ssh_private_key_file"]
        jump = f"ssh -i {key} {options} -p {PORT} -W %h:%p olga@{lab.address('k1')}"
        shared = {
            **{name: values[name] for name in ("ansible_ssh_private_key_file", "ansible_ssh_common_args")},
            "ansible_user": "olga",
            "ansible_port": PORT,
            "node_kubelet_config": {"failSwapOn": False},
            **{name: values[name] for name in ("containerd_runc_path", "node_kube_proxy_config") if name in values},
        }
        secret = vaulted(self.user, "ansible_become_password", PASSWORD).output
        secret += vaulted(self.user, "cluster_name", "hostile").output
        secret += vaulted(self.user, "artifacts_mirror", values["artifacts_mirror"]).output
        (control / "group_vars" / "all.yml").write_text(yaml.safe_dump(shared) + secret)
        # Merged with the previous one (hash_behaviour).
        rest = {name: value for name, value in values["node_kubelet_config"].items() if name != "failSwapOn"}
        (nodes / "group_vars" / "all.yml").write_text(
            yaml.safe_dump(
                {
                    "ansible_ssh_common_args": f"{options} -o ProxyCommand='{jump}'",
                    "node_kubelet_config": rest,
                }
            )
        )
        (nodes / "host_vars").mkdir()
        (control / "host_vars").mkdir()
        # group_vars/all applies to all hosts; k1 does not use the jump host.
        (control / "host_vars" / "k1.yml").write_text(yaml.safe_dump({"ansible_ssh_common_args": options}))

    def playbook(self, name, *arguments, **environment):
        """From the directory with ansible.cfg, with a umask that makes files private."""
        before = os.umask(0o077)
        try:
            return self.user.playbook(
                name,
                *arguments,
                inventory=("-i", f"{self.directory}/control", "-i", f"{self.directory}/nodes"),
                ANSIBLE_CONFIG=str(self.directory / "ansible.cfg"),
                **self.environment,
                **environment,
            )
        finally:
            os.umask(before)


@pytest.fixture(scope="module")
def settings(user, lab, hosts, locale):
    return Settings(user, lab, locale)


def test_a_cluster_from_nothing(settings, lab):
    run = settings.playbook("site").demand()
    assert run.changed > 0
    print(f"site.yml: {run.seconds:.1f} s")
    assert lab.kubectl("k1", "config", "view", "--output=jsonpath={.clusters[0].name}") == "hostile"
    assert PASSWORD not in run.output
    assert VAULT not in run.output


def test_its_authorities_are_in_one_place(settings):
    """For tasks of any host, it is next to the inventory of the first control plane."""
    found = {path.relative_to(settings.directory).parts[:3] for path in settings.directory.rglob("ca.key")}
    assert found == {("control", "pki", "hostile")}


@pytest.mark.parametrize("strategy", ["free", "host_pinned", "linear"])
def test_a_second_run_changes_nothing(settings, lab, strategy):
    settings.configure(strategy)
    before = lab.invocations()
    run = settings.playbook("site").demand()
    assert run.changed == 0
    assert lab.invocations() == before


@pytest.mark.parametrize("name", ["status", "verify", "kubeconfig", "certificates", "encryption"])
def test_the_other_playbooks_twice(settings, name):
    settings.configure("host_pinned")
    settings.playbook(name).demand()
    assert settings.playbook(name).demand().changed == 0


def test_programs_can_be_run_by_everybody(lab):
    """With any umask of the operator."""
    for host in lab.hosts():
        lab.demand(host, "su", "nobody", "-s", "/bin/sh", "-c", "/usr/local/bin/kube-proxy --version")


def test_a_run_of_one_host_finds_the_authorities(settings):
    assert settings.playbook("site", "--limit", "n1").demand().changed == 0


def test_a_host_that_was_down_once_is_seen_again(settings, lab):
    """The fact cache has facts from a run during which the host was down."""
    settings.configure("linear")
    lab.kill("n1")
    try:
        down = settings.playbook("verify")
        assert down.code != 0
        assert "No node is reachable (n1)" in down.output
    finally:
        lab.start("n1")
        lab.run("n1", "mount", "-o", "remount,noexec", "/tmp")
    settings.playbook("status", "-e", "status_wait=60").demand()
    up = settings.playbook("verify").demand()
    assert "All hosts are reachable." in up.output
    # The fact cache is in use.
    assert {path.name.removeprefix("s1_") for path in settings.cache.iterdir()} >= {"k1", "n1"}


def test_reset(settings):
    settings.configure("free")
    assert settings.playbook("reset", "-e", "reset_confirm=hostile").demand().changed > 0
    assert settings.playbook("reset", "-e", "reset_confirm=hostile").demand().changed == 0
    shutil.rmtree(settings.directory)
