# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""reset.yml removes the cluster from its hosts, and nothing else. The tests build on each other."""

from __future__ import annotations

import ipaddress
import json
import os
import pathlib
import pty
import re
import select
import signal
import sys
import time

import pytest

from lab.base import CHECKOUT
from lab.runs import playbook

HOSTS = ("k1", "n1", "n2")
CONFIRMED = ("-e", "reset_confirm=plainkube")
SERVICES = "etcd kube-apiserver kube-controller-manager kube-scheduler flanneld cri-dockerd kubelet kube-proxy"
OWN_IMAGE = "foreign.example/keep:1"

# The files and containers of other applications on the hosts.
FOREIGN = """
set -eu
echo mine > /etc/kubernetes/foreign.conf
echo mine > /etc/kubernetes/pki/foreign.crt
echo mine > /usr/local/bin/foreign
ln -sfn /bin/true /usr/local/bin/foreign-link
id foreign >/dev/null 2>&1 || useradd --system --comment 'foreign, run by somebody' foreign
printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/foreign.service
systemctl daemon-reload
systemctl start foreign.service
nft add table inet foreign
iptables -w -C INPUT -s 192.0.2.77/32 -j ACCEPT 2>/dev/null || iptables -w -A INPUT -s 192.0.2.77/32 -j ACCEPT
"""
# On the node. The drop-ins belong to an administrator of a host without CAP_SYS_RESOURCE: Docker could not start there without them.
FOREIGN_DOCKER = f"""
set -eu
for unit in docker containerd; do
  mkdir -p /etc/systemd/system/$unit.service.d
  printf '[Service]\\nOOMScoreAdjust=0\\n' > /etc/systemd/system/$unit.service.d/10-foreign.conf
done
systemctl daemon-reload
docker image tag $(docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep /agnhost:) {OWN_IMAGE}
docker volume create foreign
docker network create --subnet 198.18.7.0/24 foreign
docker run --detach --name foreign --volume foreign:/data {OWN_IMAGE} pause
docker run --detach --name foreign-apart --network foreign {OWN_IMAGE} pause
"""
GONE = """
systemctl stop foreign.service
rm -f /etc/systemd/system/foreign.service /etc/kubernetes/foreign.conf /etc/kubernetes/pki/foreign.crt /usr/local/bin/foreign*
rm -f /etc/systemd/system/*.service.d/10-foreign.conf
rmdir --ignore-fail-on-non-empty /etc/kubernetes/pki /etc/kubernetes /etc/systemd/system/docker.service.d /etc/systemd/system/containerd.service.d
systemctl daemon-reload
userdel foreign
nft delete table inet foreign
iptables -w -D INPUT -s 192.0.2.77/32 -j ACCEPT
"""
GONE_DOCKER = f"""
docker rm --force foreign foreign-apart
docker network rm foreign
docker volume rm foreign
docker image rm {OWN_IMAGE}
"""
# A host's state, as far as a playbook could change it.
FINGERPRINT = f"""
find /etc /usr/local /opt /root -printf '%p %l %i %u %g %m\\n' | grep -v /root/.ansible | sort
ls /var/lib/kubelet /var/lib/flannel 2>/dev/null
systemctl show --property=Id,ActiveState,UnitFileState,InvocationID {SERVICES} docker foreign
iptables-save | sed 's/\\[.*//' | grep -v '^#'
nft list tables
cat /etc/passwd /etc/group
ip -oneline link | cut -d: -f2; ip route
systemctl is-active --quiet docker || exit 0
docker ps --no-trunc --format '{{{{.ID}}}} {{{{.Names}}}}' | sort; docker image ls --quiet; docker volume ls
"""
# Names of our remains on the file system, without the lab's and foreign files. systemd removes private directories at boot, except those
# of the current boot; in a container, all of them count as such.
LEFT = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /usr/share -o -path /usr/lib -o -path /var/lib/docker -o -path /var/log/journal \
  -o -path '/var/tmp/systemd-private-*' \) -prune \
  -o \( -iname '*kube*' -o -iname '*etcd*' -o -iname '*flannel*' -o -iname '*cri-dockerd*' -o -iname '*plainkube*' -o -name cni \) -print
find /run /var/lib/kubelet /var/lib/etcd -mindepth 1 \( -iname '*kube*' -o -iname '*etcd*' -o -iname '*flannel*' -o -name '*cri-dockerd*' \)
find /usr/local/bin -type l -lname '/opt/*'
"""
LEFT_OF_THE_LAB = {
    "/etc/kubernetes-lab-resolv.conf",
    "/etc/systemd/system/kubelet.service.d",
    "/etc/kubernetes",
    "/var/lib/kubelet",
    "/var/lib/etcd",
}


@pytest.fixture(scope="module", autouse=True)
def guarded(lab, inventory):
    """The hosts also have a firewall, which the reset must remove. kube-proxy writes its own rules shortly after its start."""
    playbook("site", inventory, "-e", json.dumps({"firewall_enabled": True})).demand()
    deadline = time.monotonic() + 60
    before, now = None, fingerprints(lab)
    while now != before:
        assert time.monotonic() < deadline, {*before} ^ {*now}
        time.sleep(2)
        before, now = now, fingerprints(lab)


@pytest.fixture(scope="module")
def reset(inventory):
    return lambda *arguments: playbook("reset", inventory, *arguments)


def shell(lab, host, script, code=0):
    found, output = lab.run(host, "sh", "-c", script)
    assert found == code, output
    return output.strip()


def fingerprints(lab):
    return [f"{host}: {line}" for host in HOSTS for line in shell(lab, host, FINGERPRINT).splitlines()]


def containers(lab):
    """ID and start of each foreign container."""
    return shell(
        lab, "n1", "docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Running}}' foreign foreign-apart"
    )


def remove_foreign(lab):
    """Nothing is removed that does not exist."""
    lab.run("n1", "sh", "-c", GONE_DOCKER)
    for host in HOSTS:
        lab.run(host, "sh", "-c", GONE)


@pytest.fixture(scope="module")
def foreign(lab):
    """The foreign containers, and everything else that is foreign."""
    remove_foreign(lab)  # what a run that was stopped left
    for host in HOSTS:
        shell(lab, host, FOREIGN)
    shell(lab, "n1", FOREIGN_DOCKER)
    yield containers(lab)
    remove_foreign(lab)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-e", "reset_hosts=n1,m1", *CONFIRMED), "reset_hosts has 'm1', which is not a host of the cluster"),
        (
            ("--limit", "n1,m1", *CONFIRMED),
            "--limit has m1, which is not a host or group in the inventory: did you mean n1?",
        ),
        (("-e", "reset_hosts=k1", "--limit", "n1", *CONFIRMED), "reset_hosts is k1, but --limit leaves n1"),
        (
            ("-e", "reset_hots=n1", *CONFIRMED),
            "reset_hots is not a variable of plainkube.cluster: did you mean reset_hosts?",
        ),
        (("-e", "reset_confirm=nonsense"), "reset_confirm is 'nonsense', but the cluster's name is plainkube"),
        ((), "Nothing was reset: the answer was '', but the cluster's name is plainkube"),
        (
            ("-i", "unreachable.ini", *CONFIRMED),
            "Nothing was reset, because not all hosts could be inspected: n7 (unreachable: ",
        ),
    ],
)
def test_resets_nothing(lab, reset, foreign, tmp_path, arguments, sentence):
    unreachable = tmp_path / "unreachable.ini"
    unreachable.write_text("[node]\nn7 ansible_host=127.0.0.1 ansible_port=9\n", encoding="utf-8")
    before = fingerprints(lab)
    run = reset(*(str(unreachable) if argument == unreachable.name else argument for argument in arguments))
    assert run.code > 0
    assert sentence in re.sub(r"\s+", " ", run.output.replace("''", "'"))
    assert run.changed == 0
    assert fingerprints(lab) == before


def test_a_plan_lists_and_changes_nothing(lab, reset, foreign):
    before = fingerprints(lab)
    run = reset("--check", "--diff").demand()
    assert {event["host"] for event in run.changes} == {*HOSTS}
    for line in (
        "-service kubelet",
        "-user etcd",
        "-interface flannel.1",
        "-file /etc/network-environment",
        "-image registry.k8s.io/pause",
        "-nftables table inet plainkube",
        "-file /etc/kubernetes/firewall.nft",
    ):
        assert line in run.output
    assert fingerprints(lab) == before


def at_a_terminal(inventory, answer, *arguments):
    """reset.yml with the confirmation typed at its prompt: what it printed, and its exit code."""
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(CHECKOUT / "playbooks/reset.yml")]
    pid, terminal = pty.fork()
    if not pid:
        settings = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        try:
            os.execvpe(command[0], [*command, "-i", inventory, *arguments], {**os.environ, **settings})
        finally:
            os._exit(127)
    printed = b""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 3)[0]:
            try:
                printed += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
        elif b"Type the cluster's name to continue" in printed:
            # Like a person: after the prompt, and again if nothing follows, because Ansible drops input from before its prompt was ready.
            os.write(terminal, f"{answer}\r".encode())
    else:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return printed.decode("utf-8", "replace"), code


def test_one_host_alone_by_who_types_the_name(lab, inventory, foreign):
    before = [line for line in fingerprints(lab) if not line.startswith("n2")]
    printed, code = at_a_terminal(inventory, "plainkube", "--limit", "n2")
    assert code == 0, printed
    assert "This removes the cluster plainkube from these hosts" in printed
    assert re.search(r"^\s*n2 \([\d.]+\): \d+ items, including .*kubelet", printed, re.MULTILINE)
    assert not re.search(r"^\s*(k1|n1) \(", printed, re.MULTILINE)
    assert "kubectl delete node n2" in printed
    assert "/usr/local/bin/kubelet" not in shell(lab, "n2", LEFT)
    assert [line for line in fingerprints(lab) if not line.startswith("n2")] == before


def test_resets(lab, reset, foreign):
    run = reset(*CONFIRMED).demand()
    assert {event["host"] for event in run.changes} == {"k1", "n1"}
    assert "because a restart would stop foreign, foreign-apart" in run.output
    assert "pki/plainkube on this machine" in run.output


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_of_ours_is_left(lab, host):
    assert {*shell(lab, host, LEFT).split()} <= LEFT_OF_THE_LAB
    assert shell(lab, host, "ls -A /var/lib/kubelet /var/lib/etcd").split() == ["/var/lib/etcd:", "/var/lib/kubelet:"]
    assert shell(lab, host, "find /etc/kubernetes -type f | sort").split() == [
        "/etc/kubernetes/foreign.conf",
        "/etc/kubernetes/pki/foreign.crt",
    ]
    assert shell(lab, host, "iptables-save | grep -c 'KUBE-\\|FLANNEL-'", code=1) == "0"
    assert shell(lab, host, "ip6tables-save | grep -c 'KUBE-\\|FLANNEL-'", code=1) == "0"
    assert shell(lab, host, "nft list tables | grep -c 'kube\\|flannel'", code=1) == "0"
    assert shell(lab, host, "grep -c plainkube /etc/passwd", code=1) == "0"
    assert shell(lab, host, "grep -c '^etcd\\|^kube' /etc/group", code=1) == "0"
    assert "flannel" not in shell(lab, host, "ip -oneline link")
    assert "flannel" not in shell(lab, host, "ip route")
    assert shell(lab, host, "grep -c kubelet/ /proc/mounts", code=1) == "0"
    assert shell(lab, host, "find /sys/fs/cgroup -name 'kubepods*'") == ""
    units = shell(lab, host, "systemctl list-units --all --plain --no-legend; systemctl list-unit-files --no-legend")
    # systemd lists a unit that other units mention, even if it does not exist: containerd and docker mention none of ours.
    assert [unit for unit in SERVICES.split() if f"{unit}.service" in units] == []
    assert [name for name in SERVICES.split() if lab.run(host, "pidof", name)[0] == 0] == []


@pytest.mark.parametrize("host", HOSTS)
def test_what_others_have_is_as_it_was(lab, host):
    for path in ("/etc/kubernetes/foreign.conf", "/etc/kubernetes/pki/foreign.crt", "/usr/local/bin/foreign"):
        assert shell(lab, host, f"cat {path}") == "mine"
    assert shell(lab, host, "readlink /usr/local/bin/foreign-link") == "/bin/true"
    assert shell(lab, host, "systemctl is-active foreign.service") == "active"
    assert shell(lab, host, "id -un foreign") == "foreign"
    assert "table inet foreign" in shell(lab, host, "nft list tables")
    assert "-A INPUT -s 192.0.2.77/32 -j ACCEPT" in shell(lab, host, "iptables-save")


def test_foreign_containers_live(lab, foreign):
    assert containers(lab) == foreign
    assert shell(lab, "n1", "docker ps --all --format '{{.Names}}' | sort").split() == ["foreign", "foreign-apart"]
    assert shell(lab, "n1", "docker image ls --format '{{.Repository}}:{{.Tag}}'") == OWN_IMAGE
    assert shell(lab, "n1", "docker volume ls --format '{{.Name}}'") == "foreign"
    assert "foreign" in shell(lab, "n1", "docker network ls --format '{{.Name}}'").split()
    # flannel's rule masqueraded their traffic.
    assert re.search(
        r"-A POSTROUTING -s 10\.244\.\d+\.0/24 ! -o docker0 -j MASQUERADE", shell(lab, "n1", "iptables-save -t nat")
    )


def test_docker_has_its_own_settings(lab):
    assert {*json.loads(shell(lab, "n1", "cat /etc/docker/daemon.json || echo {}"))} <= {"runtimes", "default-runtime"}
    assert "10-foreign.conf" in shell(lab, "n1", "systemctl cat docker.service")
    assert "FLANNEL" not in shell(lab, "n1", "systemctl cat docker.service")


def test_a_second_reset_changes_nothing(lab, reset):
    before = fingerprints(lab)
    assert reset(*CONFIRMED).demand().changed == 0
    assert fingerprints(lab) == before


def test_docker_gets_its_default_bridge_when_no_container_is_on_the_old_one(lab, reset):
    shell(lab, "n1", "docker stop --time 1 foreign foreign-apart")
    assert [event["host"] for event in reset(*CONFIRMED).demand().changes] == ["n1"]
    address = shell(lab, "n1", "ip -4 -oneline address show dev docker0").split()[3]
    assert ipaddress.ip_interface(address) not in ipaddress.ip_network("10.244.0.0/16")
    assert "-s 10.244." not in shell(lab, "n1", "iptables-save")
    assert reset(*CONFIRMED).demand().changed == 0
