# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import re
import subprocess

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _state
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker

# As in Debian 12's docker.io, and in Docker's own docker-ce.
DEBIAN = """[Unit]
Description=Docker
# ExecStart=/bin/false
[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
OOMScoreAdjust=-500
"""
COMMAND = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"
PROXY = "[Service]\nEnvironment=HTTP_PROXY=http://proxy:3128\n"
OVERRIDE = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd \\\n  # a comment in between\n  -H fd:// \\\n  --debug\n"
OLD, NEW = (20, 10, 24), (28, 2, 0)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128\n", (20, 10, 24)),
        ("Docker version 29.0.0-rc.1, build 3b01d64", (29, 0, 0)),
        ("Docker version 28.2, build 1", (28, 2, 0)),
    ],
)
def test_parse_version(text, version):
    assert _docker.parse_version(text) == version


def test_parse_version_refuses():
    with pytest.raises(ValueError, match="has no version"):
        _docker.parse_version("podman")


@pytest.mark.parametrize(
    ("units", "command"),
    [
        ([DEBIAN], COMMAND),
        ([DEBIAN, PROXY], COMMAND),
        ([DEBIAN, OVERRIDE, PROXY], "/usr/bin/dockerd      -H fd://    --debug"),
    ],
)
def test_start_command(units, command):
    assert _docker.start_command(units).split() == command.split()


@pytest.mark.parametrize("drop_in", ["[Service]\nExecStart=/usr/sbin/dockerd\n", "[Service]\nExecStart=\n"])
def test_start_command_must_be_one(drop_in):
    with pytest.raises(ValueError, match="must have exactly one"):
        _docker.start_command([DEBIAN, drop_in])


def test_settings_ignores_other_sections_and_comments():
    assert _docker.settings([DEBIAN, "[Unit]\nExecStart=/no\n; ExecStart=/no\n"], "ExecStart") == [COMMAND]


@pytest.mark.parametrize("command", ["/usr/bin/dockerd -H x", "-/usr/bin/dockerd", "@/usr/bin/dockerd name"])
def test_binary(command):
    assert _docker.binary(command) == "/usr/bin/dockerd"


def test_environment():
    text = '# A="1"\nA="1 2"\nexport B=\'3\'\n  C=4  \nnonsense\nD\n'
    assert _docker.environment(text) == {"A": "1 2", "B": "3", "C": "4"}


@pytest.mark.parametrize(
    ("command", "variables", "settings"),
    [
        (COMMAND, {}, {"containerd": "/run/containerd/containerd.sock"}),
        (
            "/d --log-driver journald ${OPTS} --debug --icc=false",
            {"OPTS": "--log-opt max-size=5m --mtu=1400"},
            {"log-driver": "journald", "log-opts": "max-size=5m", "mtu": "1400", "debug": "true", "icc": "false"},
        ),
        ("/d --debug $OPTS", {}, {"debug": "true"}),
        ("/d -b none -H fd://", {}, {"bridge": "none"}),
    ],
)
def test_flag_settings(command, variables, settings):
    assert _docker.flag_settings(command, variables) == settings


@pytest.mark.parametrize(
    ("command", "version", "left"),
    [
        (COMMAND, OLD, COMMAND),
        ("/d --bip=1.2.3.4/24 -H fd:// --mtu 1400 --ip-masq --userland-proxy=false $O", OLD, "/d -H fd:// $O"),
        ("/d --ip-masq -H fd:// --mtu-like=1", OLD, "/d -H fd:// --mtu-like=1"),
        ("/d --allow-direct-routing", OLD, "/d --allow-direct-routing"),
        ("/d --allow-direct-routing", NEW, "/d"),
        ("/d '--label=a  b'", OLD, "/d '--label=a  b'"),
    ],
)
def test_without_owned_flags(command, version, left):
    assert _docker.without_owned_flags(command, version) == left


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_parse_daemon_json_takes_an_empty_one(text):
    assert _docker.parse_daemon_json(text) == {}


@pytest.mark.parametrize("text", ["{,}", "[]", "nonsense"])
def test_parse_daemon_json_refuses(text):
    with pytest.raises(ValueError, match="/etc/docker/daemon.json is not"):
        _docker.parse_daemon_json(text)


OPTIONS = {"live-restore": True, "log-driver": "json-file", "log-opts": {"max-size": "50m"}}


@pytest.mark.parametrize(
    ("current", "recorded", "flags", "merged", "ours"),
    [
        pytest.param({}, {}, {}, OPTIONS, OPTIONS, id="nothing there"),
        pytest.param(OPTIONS, OPTIONS, {}, OPTIONS, OPTIONS, id="a second run"),
        pytest.param(
            {"bip": "1.2.3.4/24", "mtu": 9000, "ip-masq": True, "dns": ["1.1.1.1"]},
            {},
            {},
            {"dns": ["1.1.1.1"], **OPTIONS},
            OPTIONS,
            id="owned settings go, others stay",
        ),
        pytest.param(
            {"live-restore": False},
            {},
            {"log-opts": "max-size=7m"},
            {"live-restore": False, "log-driver": "json-file"},
            {"log-driver": "json-file"},
            id="the administrator's settings and flags win",
        ),
        pytest.param(
            {"live-restore": True, "log-opts": {"max-size": "1g"}},
            {"live-restore": True, "log-opts": {"max-size": "50m"}},
            {},
            {"live-restore": True, "log-opts": {"max-size": "1g"}, "log-driver": "json-file"},
            {"live-restore": True, "log-driver": "json-file"},
            id="a changed setting is the administrator's",
        ),
        pytest.param(
            {"debug": True, **OPTIONS, "log-opts": {"max-size": "10m"}},
            {**OPTIONS, "log-opts": {"max-size": "10m"}, "debug": True},
            {},
            OPTIONS,
            OPTIONS,
            id="what the options no longer say goes, what they say anew comes",
        ),
    ],
)
def test_merge(current, recorded, flags, merged, ours):
    assert _docker.merge(current, recorded, OPTIONS, flags, OLD) == (merged, ours)


def test_merge_keeps_the_order():
    merged, dummy = _docker.merge({"z": 1, "live-restore": True, "a": 2}, {"live-restore": True}, OPTIONS, {}, OLD)
    assert list(merged) == ["z", "live-restore", "a", "log-driver", "log-opts"]


def test_allow_direct_routing_is_ours_from_28_2_on():
    current = {"allow-direct-routing": False}
    assert _docker.merge(current, {}, {}, {}, OLD)[0] == current
    assert _docker.merge(current, {}, {}, {}, NEW)[0] == {}


def problems(values, source="/etc/docker/daemon.json", options=(), runs_pods=True, root="/var/lib/docker", swarm=False):
    settings = {name: _docker.Setting(value, source) for name, value in values.items()}
    return _docker.problems(settings, options, runs_pods, root, swarm)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("bridge", "none", "none"),
        ("bridge", "br0", "br0"),
        ("default-gateway", "10.244.5.254", "10.244.5.254"),
        ("firewall-backend", "nftables", "nftables"),
        ("icc", False, "false"),
        ("icc", "false", "false"),  # a flag
        ("ip", "127.0.0.1", "127.0.0.1"),
        ("iptables", False, "false"),
        ("iptables", "0", "0"),
        ("log-driver", "local", "local"),
        ("userns-remap", "default", "default"),
    ],
)
def test_settings_with_which_pods_do_not_work(name, value, text):
    found = problems({name: value, "debug": True})
    assert len(found) == 1
    assert found[0].startswith(f"Docker's {name} is {text} in /etc/docker/daemon.json, but ")
    assert found[0].endswith(": remove the setting")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"bridge": "", "icc": True, "iptables": "TRUE", "log-driver": "json-file", "ip": "0.0.0.0"},
        {"userns-remap": "", "firewall-backend": "iptables", "default-gateway": ""},
        # Tolerated: docs/operations.md says what they do.
        {
            "no-new-privileges": True,
            "live-restore": False,
            "exec-opts": ["native.cgroupdriver=systemd"],
            "ip-forward": False,
        },
        {"data-root": "/home/docker.d/data_1", "default-ulimits": {"nofile": {"Hard": 1}}, "mtu": 9000},
    ],
)
def test_settings_with_which_pods_work(values):
    assert problems(values) == []


def test_only_the_bridge_matters_if_docker_does_not_run_the_pods():
    others = {"iptables": False, "log-driver": "journald", "userns-remap": "default", "ip": "127.0.0.1"}
    assert problems(others, runs_pods=False) == []
    assert len(problems({"icc": False, "bridge": "none", **others}, runs_pods=False)) == 2


def test_options_that_the_bridge_needs_are_refused():
    assert problems({}, options=["bip", "debug"]) == [
        "docker_options contains bip, which docker_rebridge sets from flannel's subnet: remove it"
    ]


@pytest.mark.parametrize(
    ("live_restore", "refused"), [({"live-restore": True}, 1), ({"live-restore": False}, 0), ({}, 0)]
)
def test_a_swarm_excludes_live_restore(live_restore, refused):
    found = problems(live_restore, swarm=True)
    assert len(found) == refused
    assert not found or "docker swarm leave --force" in found[0]
    assert problems(live_restore) == []


@pytest.mark.parametrize("path", ["/my docker", "/", "/a%b", '/a"b', "/a:b", "/a\\b", "/ä", "/a\n"])
def test_a_data_root_that_no_unit_can_contain(path):
    assert not _docker.is_plain_path(path)
    assert problems({}, root=path)[0].startswith(f"Docker's data root is {path!r}, ")


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        (
            [{"base": "10.0.0.0/8", "size": 24}, {"base": "192.168.0.0/16", "size": 24}],
            ["10.0.0.0/8", "192.168.0.0/16"],
        ),
        ("base=10.0.0.0/8,size=24", ["10.0.0.0/8"]),
        ([{"base": "fd00::/8", "size": 64}, {"base": "nonsense"}, 7], []),
        ({"base": "10.0.0.0/8"}, []),
    ],
)
def test_pools(value, networks):
    settings = {"default-address-pools": _docker.Setting(value, "daemon.json")}
    assert _docker.pools(settings) == [("default-address-pools in daemon.json", network) for network in networks]
    assert _docker.pools({}) == []


def test_render_daemon_json_keeps_every_byte():
    text = '{ "dns":["1.1.1.1"]}'
    assert _docker.render_daemon_json(text, {"dns": ["1.1.1.1"]}, {"dns": ["1.1.1.1"]}) == text
    assert _docker.render_daemon_json(None, {}, {}) is None
    assert _docker.render_daemon_json(None, {}, {"debug": True}) == '{\n  "debug": true\n}\n'
    assert _docker.render_daemon_json('{\n\t"a": 1\n}', {"a": 1}, {"b": "é"}) == '{\n\t"b": "é"\n}\n'


@pytest.mark.parametrize(
    ("version", "present", "missing"),
    [
        (OLD, ["ip link set dev docker0 mtu"], ["DOCKER-USER", "allow-direct-routing", "NO_IPTABLES_RAW"]),
        ((26, 1, 5), [], ["DOCKER-USER", "allow-direct-routing", "NO_IPTABLES_RAW", "ip link"]),
        ((28, 1, 0), ["DOCKER-USER", "NO_IPTABLES_RAW=1"], ["allow-direct-routing"]),
        ((28, 2, 0), ["DOCKER-USER", "--allow-direct-routing"], ["NO_IPTABLES_RAW"]),
        ((29, 0, 0), ["DOCKER-USER", "--allow-direct-routing"], ["NO_IPTABLES_RAW"]),
    ],
)
def test_drop_in_by_version(version, present, missing):
    text = _docker.drop_in(COMMAND, version, False, "/s.env")
    assert all(part in text for part in present)
    assert not any(part in text for part in missing)
    assert "OOMScoreAdjust" not in text


def test_drop_in():
    text = _docker.drop_in(COMMAND, (26, 1, 5), True, "/s.env")
    flags = "--bip=${FLANNEL_SUBNET} --mtu=${FLANNEL_MTU} --ip-masq=false --userland-proxy=false"
    assert _docker.start_command([DEBIAN, text]) == f"{COMMAND} {flags}"
    assert _docker.settings([DEBIAN, text], "EnvironmentFile") == ["-/etc/default/docker", f"-{_docker.LEASE_FILE}"]
    assert _docker.settings([DEBIAN, text], "OOMScoreAdjust")[-1] == "0"


SCORE = "OOMScoreAdjust=-999\n"
# Debian's containerd, up to 1.7, and Ubuntu's, from 2.0 on.
CONTAINERD_1 = f"[Service]\nExecStart=/usr/bin/containerd\nKillMode=process\nLimitNOFILE=infinity\n{SCORE}"
CONTAINERD_2 = f"[Service]\nExecStart=/usr/bin/containerd\nKillMode=process\n{SCORE}"


@pytest.mark.parametrize(
    ("units", "bounded", "limited", "needed"),
    [
        ([CONTAINERD_1], True, False, ["OOMScoreAdjust=0"]),
        ([CONTAINERD_1], False, False, []),
        ([CONTAINERD_1, "[Service]\nOOMScoreAdjust=0\n"], True, False, []),
        ([CONTAINERD_2], False, False, [_docker.FILE_LIMIT, f"Environment={_docker.FILE_LIMIT_MARK}"]),
        (
            [CONTAINERD_2],
            True,
            False,
            ["OOMScoreAdjust=0", _docker.FILE_LIMIT, f"Environment={_docker.FILE_LIMIT_MARK}"],
        ),
        # The administrator has set one, in a drop-in, or for all containers of Docker.
        ([CONTAINERD_2, "[Service]\nLimitNOFILE=4096\n"], False, False, []),
        ([CONTAINERD_2], False, True, []),
        ([], True, False, []),
        # For a package that is not installed yet.
        (["[Service]\nNice=1\n"], False, False, []),
    ],
)
def test_containerd_drop_in(units, bounded, limited, needed):
    text = _docker.containerd_drop_in(units, bounded, limited)
    lines = (text or "[Service]\n").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["[Service]", *needed]
    assert (text is None) == (not needed)


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (None, False),
        ({"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}}, True),
        ({"memlock": {"Name": "memlock", "Hard": -1, "Soft": -1}}, False),
        # As a flag.
        ("nofile=1024:2048", True),
    ],
)
def test_a_limit_of_open_files_for_all_containers(value, limits):
    settings = {} if value is None else {"default-ulimits": _docker.Setting(value, "daemon.json")}
    assert _docker.limits_files(settings) is limits


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        ("Starting\nfailed to start daemon: no bridge\ndocker.service: Failed\n", "failed to start daemon: no bridge"),
        ("one\ntwo\n", "two"),
        ("", "its journal is empty"),
    ],
)
def test_failure(journal, reason):
    assert _docker.failure(journal) == reason


def test_the_record_is_a_part_of_the_state():
    ours = _docker.Record("/etc/docker/daemon.json", {"log-opts": {"max-file": "3", "labels": 'a"b%c'}})
    state = _state.changed({"other": {}}, _state.DOCKER, ours._asdict())
    assert _docker.recorded(_state.parse(_state.file(state)["content"])) == ours
    assert _docker.recorded({}) == (_docker.DAEMON_JSON, {})


def test_unmerge_takes_back_what_merge_put_there():
    mine = {"runtimes": {"bounded": {}}, "log-driver": "json-file"}
    options = {"live-restore": True, "log-driver": "json-file", "log-opts": {"max-size": "50m"}}
    merged, ours = _docker.merge(mine, {}, options, {}, (26, 1, 5))
    assert _docker.unmerge(merged, ours) == mine
    assert _docker.unmerge({**merged, "live-restore": False}, ours) == {**mine, "live-restore": False}
    assert _docker.unmerge({}, ours) == {}


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that does what systemd does before it starts dockerd, and returns what dockerd gets as environment, and the drop-in."""
    subnet_file, lease_file = tmp_path / "subnet.env", tmp_path / "docker.env"
    monkeypatch.setattr(_docker, "LEASE_FILE", str(lease_file))

    def run(lease, half=""):
        lease_file.unlink(missing_ok=True)
        if lease is not None:
            subnet_file.write_text(lease, encoding="utf-8")
        text = _docker.drop_in("/usr/sbin/dockerd", (26, 1, 5), False, str(subnet_file), half)
        for flags, command in re.findall(r'^ExecStartPre=/bin/sh (-\w+) "(.*)"$', text, re.MULTILINE):
            # systemd takes backslashes for escapes in quoted arguments, doubled signs for themselves.
            script = command.replace("\\\\", "\\").replace("$$", "$").replace("%%", "%")
            known = _docker.environment(lease_file.read_text(encoding="utf-8")) if lease_file.exists() else {}
            subprocess.run(["sh", flags, script], env={**os.environ, **known}, check=True, capture_output=True)
        return lease_file.read_text(encoding="utf-8"), text

    return run


LEASE = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"


@pytest.mark.parametrize(
    "more",
    [
        "LD_PRELOAD=/var/lib/flannel/x.so\n",
        "DOCKER_HOST=tcp://192.0.2.1\n",
        "FLANNEL_SUBNET=10.244.5.1/24 LD_PRELOAD=/x\n",
        "FLANNEL_MTU=$(id)\n",
        'FLANNEL_NETWORK="a\nLD_PRELOAD=/x"\n',
        "FLANNEL_IPMASQ=true\\\n LD_PRELOAD=/x\n",
        f"{'#' * 5000}\nFLANNEL_MTU=1\n",
    ],
)
def test_dockerd_gets_nothing_from_flanneld_but_a_lease(start, more):
    assert start(f"{LEASE}{more}")[0] == LEASE


@pytest.mark.parametrize("lease", [None, "", "LD_PRELOAD=/x\n", "FLANNEL_MTU=1450\n", "FLANNEL_SUBNET=10.244.5.1/24\n"])
def test_without_a_lease_dockerd_does_not_start(start, lease):
    with pytest.raises(subprocess.CalledProcessError) as error:
        start(lease)
    assert b"has no lease" in error.value.stderr


@pytest.mark.parametrize(
    ("subnet", "lower", "upper"),
    [
        ("10.244.5.1/24", "10.244.5.0/25", "10.244.5.128/25"),
        ("10.244.5.65/26", "10.244.5.64/27", "10.244.5.96/27"),
        ("10.244.16.1/20", "10.244.16.0/21", "10.244.24.0/21"),
        ("192.168.255.1/24", "192.168.255.0/25", "192.168.255.128/25"),
    ],
)
def test_a_half_of_the_subnet_follows_the_lease(tmp_path, start, subnet, lower, upper):
    """What the drop-in's shell writes, as systemd would have it run."""
    for half, expected in (("lower", lower), ("upper", upper)):
        found, text = start(f"FLANNEL_SUBNET={subnet}\nFLANNEL_MTU=1450\n", half)
        assert found == f"FLANNEL_SUBNET={subnet}\nFLANNEL_MTU=1450\nPLAINKUBE_FIXED_CIDR={expected}\n"
        assert text.index(f"EnvironmentFile=-{_docker.LEASE_FILE}") < text.index("ExecStart=/usr")
        assert "--fixed-cidr=${PLAINKUBE_FIXED_CIDR}" in text


def test_a_part_may_be_a_network():
    text = _docker.drop_in("/usr/sbin/dockerd", (26, 1, 5), False, "/subnet.env", "10.244.5.0/26")
    assert "--fixed-cidr=10.244.5.0/26" in text
    assert text.count("ExecStartPre") == 1
    assert "fixed-cidr" not in _docker.drop_in("/usr/sbin/dockerd", (26, 1, 5), False, "/subnet.env")
