# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Whatever process is restarted, killed or frozen, no request is lost."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = pytest.mark.turn("ha")

CONTROL_PLANES = ("k1", "k2", "k3")
HOSTS = (*CONTROL_PLANES, "n1", "n2")
# In which a killed process has to serve again, for each second of a run with a task that does nothing. An API server needs 2.5 s of CPU time.
BACK = 6
# Seconds in which every balancer has to find that an API server takes connections and does not answer. HAProxy's own intervals and time-outs
# add up to it, and no work that a busy machine could delay: of 140 times, 138 took up to 4.7 s, two 5.7.
OUT = 7
# Component -> how it says that it serves. Of the API server any answer will do: when it is ready, the balancer knows. kube-proxy on a
# host that is no Node looks for its Node object first, for half a minute.
HEALTH = {
    "etcd": "curl -sf http://127.0.0.1:2381/readyz",
    "kube-apiserver": "curl -sk https://127.0.0.1:6443/readyz",
    "kube-controller-manager": "curl -skf https://127.0.0.1:10257/healthz",
    "kube-scheduler": "curl -skf https://127.0.0.1:10259/healthz",
    "flanneld": "curl -sf http://127.0.0.1:8471/readyz",
    "plainkube-load-balancer": "curl -sf http://127.0.0.1:6445/livez",
    "docker": "docker version",
    "cri-dockerd": "test -S /run/cri-dockerd.sock",
    "kubelet": "curl -sf http://127.0.0.1:10248/healthz",
    "kube-proxy": "curl -sf http://127.0.0.1:10256/livez",
}
KILLED = [
    *(("k1", name) for name in list(HEALTH)[:6]),
    *(
        ("n2", name)
        for name in ("flanneld", "docker", "cri-dockerd", "kubelet", "kube-proxy", "plainkube-load-balancer")
    ),
    # The probers' own way.
    ("n1", "plainkube-load-balancer"),
]
# Kills the main process, and prints after how many milliseconds another one serves.
KILL = """
old=$(systemctl show --value --property=MainPID {unit})
began=$(date +%s%3N)
kill -KILL "$old"
for attempt in $(seq 200); do
  new=$(systemctl show --value --property=MainPID {unit})
  if [ "$new" != "$old" ] && systemctl is-active --quiet {unit} && {health} > /dev/null 2>&1; then
    echo $(($(date +%s%3N) - began))
    exit
  fi
  sleep 0.05
done
"""

# Their first argument is when they begin, in seconds since the epoch: all hosts have this machine's clock.
SLEEP = """
sleep_until() { sleep "$(awk "BEGIN {print $1 - $(date +%s.%N)}")"; }
"""
# The member stands still for less than an election's timeout: its leader goes on to be the leader.
STAND_STILL = (
    SLEEP
    + """
pid=$(systemctl show --value --property=MainPID etcd)
sleep_until "$1"
kill -STOP "$pid"
sleep_until "$1 + 0.9"
kill -CONT "$pid"
"""
)
# Five writes by way of the host's own API server, and its etcd is restarted while they wait; prints their status codes.
WRITE = (
    SLEEP
    + """
write() {
  curl --silent --output /dev/null --write-out '%{http_code}\n' --cacert /etc/kubernetes/pki/ca.crt \
    --cert /etc/kubernetes/pki/admin.crt --key /etc/kubernetes/pki/admin.key --header 'Content-Type: application/json' \
    --data '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "waits-"}}' \
    https://127.0.0.1:6443/api/v1/namespaces/probes/configmaps
}
sleep_until "$1 + 0.05"
for number in 1 2 3 4 5; do write & done
sleep_until "$1 + 0.25"
systemctl restart etcd
wait
"""
)


def test_changed_variables_restart_them_one_by_one(site, probes, settings):
    assert site.plan().changes == []
    settings(control_plane_request_timeout=61, etcd_auto_compaction_retention="9m")
    plan = site.plan()
    with probes.running("rolling restart of all members of etcd, and of all API servers") as outcomes:
        run, started = site.apply()
    print(f"  site.yml took {run.seconds:.1f} s")
    assert started == {f"{host}/{unit}" for host in CONTROL_PLANES for unit in ("etcd", "kube-apiserver")}
    assert started == {f"{host}/{unit}" for host, units in plan.restarts.items() for unit in units}
    # Each once, though the control planes are in two plays: one by one, and with the rest.
    assert [(one["host"], one["task"]) for one in run.changes] == [(one["host"], one["task"]) for one in plan.changes]
    assert outcomes.problems == []


def test_etcd_answers_what_it_was_asked_before_it_stops(lab, probes, etcd):
    """Writes wait for the majority: the other members stand still for 0.9 s."""
    host, *others = CONTROL_PLANES
    etcd.lead(host, CONTROL_PLANES)
    began = f"{time.time() + 2:.3f}"
    for other in others:
        code, output = lab.run(other, "systemd-run", "bash", "-c", STAND_STILL, "-", began)
        assert code == 0, output
    code, output = lab.run(host, "bash", "-c", WRITE, "-", began)
    assert (code, output.split()) == (0, ["201"] * 5)


def test_api_servers_come_by_the_address_that_is_watched(lab):
    """By the other one, they would be served until etcd is killed, and lose what is under way then (see etcd.service.j2)."""
    for host in CONTROL_PLANES:
        code, output = lab.run(
            host, "sh", "-c", "ss --no-header --tcp --numeric --processes state established dport = :2379"
        )
        assert code == 0, output
        peers = {line.split()[3] for line in output.splitlines() if '"kube-apiserver"' in line}
        assert peers == {f"{lab.address(host)}:2379"}, output


def test_whatever_is_killed_comes_back(lab, probes, pods, pace):
    before = pods()
    back = {}
    with probes.running("every component killed, in turn") as outcomes:
        for host, unit in KILLED:
            code, output = lab.run(host, "bash", "-c", KILL.format(unit=unit, health=HEALTH[unit]))
            assert code == 0, output
            assert output.strip().isdigit(), f"{unit} on {host} does not come back"
            back[f"{unit} on {host}"] = int(output) / 1000
        # Under the same load.
        unit_of_time = pace()
    for name, seconds in back.items():
        print(f"  {name}: back after {seconds:.1f} s")
    assert {name: seconds for name, seconds in back.items() if seconds > BACK * unit_of_time} == {}
    assert outcomes.problems == []
    assert pods() == before


def taken_out(lab, server, since):
    """Host -> seconds from then until its balancer took the server out, by its journal."""
    journal = f"journalctl --unit=plainkube-load-balancer --since=@{since:.3f} --output=json --output-fields=MESSAGE"
    found = {}
    for host in HOSTS:
        code, output = lab.run(host, "sh", "-c", journal)
        assert code == 0, output
        lines = [json.loads(line) for line in output.splitlines()]
        down = [one for one in lines if f"Server ready/{server} is DOWN" in one["MESSAGE"]]
        if down:
            found[host] = int(down[0]["__REALTIME_TIMESTAMP"]) / 1e6 - since
    return found


def test_the_leader_of_etcd_is_frozen(lab, probes, etcd):
    leader = etcd.leader(CONTROL_PLANES)
    others = [host for host in CONTROL_PLANES if host != leader]
    with probes.running(f"etcd's leader ({leader}) frozen for 30 s") as outcomes:
        began = time.time()
        lab.run(leader, "systemctl", "kill", "--signal=STOP", "etcd")
        time.sleep(30)
        other = etcd.leader(others)
        lab.run(leader, "systemctl", "kill", "--signal=CONT", "etcd")
    assert other != leader
    out = taken_out(lab, leader, began)
    print("  its API server is out after", ", ".join(f"{seconds:.1f} s on {host}" for host, seconds in out.items()))
    assert set(out) == set(HOSTS)
    assert max(out.values()) < OUT
    assert outcomes.problems == []
    assert {etcd.status(host)["leader"] for host in CONTROL_PLANES} == {etcd.status(other)["header"]["member_id"]}
