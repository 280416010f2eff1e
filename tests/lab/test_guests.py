# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Virtual machines: the pure parts, and the control sockets against a real socket."""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import socket
import threading

import pytest

from lab import agent, disk, guests, kvm, network
from lab.base import LabError

WANTED = guests.Definition("demo", "n1", "172.30.6.21", "trixie-machine-1", "172.30.6.0/24", "172.30.6.1")
BASE = disk.Definition("trixie", "http://m/debian", ('Acquire::http::Proxy "http://p";',))


def test_a_tap_has_a_valid_name_of_its_own():
    assert guests.tap("172.30.6.21") == "pkv-ac1e0615"
    assert guests.mac("172.30.6.21") == "52:54:00:1e:06:15"
    assert len({guests.tap(f"172.30.{net}.{host}") for net in range(9) for host in range(9)}) == 81


def test_the_command_line_of_the_kernel():
    found = guests.kernel_arguments(WANTED, "192.0.2.53", True).split()
    assert "ip=172.30.6.21::172.30.6.1:255.255.255.0::eth0:none:192.0.2.53" in found
    assert "systemd.hostname=n1" in found
    assert "mitigations=off" not in found
    assert "mitigations=off" in guests.kernel_arguments(WANTED, "192.0.2.53", False)


@pytest.mark.parametrize(("works", "accelerator"), [(True, "kvm"), (False, "tcg,thread=multi,tb-size=512")])
def test_the_accelerator(works, accelerator):
    words = guests.command(WANTED, pathlib.Path("/c"), pathlib.Path("/s"), "192.0.2.53", works)
    assert words[words.index("-accel") + 1] == accelerator


def test_a_machine_is_found_by_its_command_line():
    words = guests.command(WANTED, pathlib.Path("/c/n1"), pathlib.Path("/s"), "192.0.2.53", False)
    cmdline = "\0".join(words) + "\0"
    assert guests.machine_of(cmdline, "demo") == "n1"
    assert guests.machine_of(cmdline, "dem") is None
    assert guests.machine_of("\0".join(["less", *words[1:]]) + "\0", "demo") is None
    # A zombie.
    assert guests.machine_of("", "demo") is None


def test_every_part_of_the_definition_changes_the_digest(monkeypatch, tmp_path):
    others = [
        dataclasses.replace(BASE, **change)
        for change in ({"suite": "bookworm"}, {"mirror": "http://n/debian"}, {"settings": ()})
    ]
    assert len({BASE.digest, *(other.digest for other in others)}) == 4
    before = BASE.digest
    (tmp_path / disk.CUSTOMIZATION).write_bytes((disk.FILES / disk.CUSTOMIZATION).read_bytes())
    monkeypatch.setattr(disk, "FILES", tmp_path)
    assert before == BASE.digest
    (tmp_path / disk.CUSTOMIZATION).write_text("other")
    assert before != BASE.digest


def test_a_disk_survives_power_failures_and_is_debians():
    command = BASE.command("out")
    assert command[-3:] == ["trixie", "out", "deb http://m/debian trixie main"]
    assert not any("unsafe-io" in word for word in command)
    with pytest.raises(LabError, match="virtual machines are Debian's, not noble"):
        disk.definition("noble")


@pytest.mark.parametrize(
    ("console", "expected"),
    [
        ("", False),
        ("Linux version 6.12.117\r\n", False),
        ("[1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n", True),
    ],
)
def test_kvm_works_if_the_kernel_comes_to_its_end(console, expected):
    assert kvm.booted(console) is expected


def test_the_probe_is_remembered_for_this_boot(monkeypatch, tmp_path):
    probed = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kvm, "DEVICE", tmp_path)
    monkeypatch.setattr(kvm, "probe", lambda kernel: probed.append(kernel) or kvm.PANICKED)
    assert [kvm.works("k"), kvm.works("k")] == [True, True]
    assert probed == ["k"]
    (tmp_path / "plainkube" / "kvm").write_text("another-boot works\n")
    monkeypatch.setattr(kvm, "probe", lambda kernel: "")
    assert not kvm.works("k")
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "missing")
    monkeypatch.setattr(kvm, "probe", None)
    assert not kvm.works("k")


def test_a_resolver_on_the_loopback_interface_is_not_for_machines(monkeypatch):
    assert [one.is_loopback for one in network.nameservers("nameserver 127.0.0.53\nnameserver 192.0.2.53\n")] == [
        True,
        False,
    ]


@pytest.fixture
def peer(tmp_path):
    """A peer at a socket: a function that sets how it answers each request; what it was asked."""
    path, asked, ended = tmp_path / "socket", [], threading.Event()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve(greeting, answer):
        def loop():
            while not ended.is_set():
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection, connection.makefile("rb") as stream:
                    connection.sendall(greeting)
                    for line in stream:
                        asked.append(json.loads(line.rpartition(agent.DELIMITER)[2]))
                        connection.sendall(answer(asked[-1]))

        threading.Thread(target=loop, daemon=True).start()
        return path, asked

    yield serve
    ended.set()
    server.close()


def line(**values):
    return json.dumps(values).encode() + b"\n"


def test_qmp_skips_events(peer):
    def answer(request):
        return line(event="STOP") + line(**{"return": {"status": "paused"}})

    path, asked = peer(line(QMP={}), answer)
    assert agent.qmp(path, "query-status") == {"status": "paused"}
    assert [one["execute"] for one in asked] == ["qmp_capabilities", "query-status"]


def test_the_agent_runs_a_command(peer):
    seen = []

    def answer(request):
        name = request["execute"]
        if name == "guest-sync-delimited":
            # Preceded by the rest of an answer to somebody who has gone.
            return b'{"return": 1}\n\xff' + line(**{"return": request["arguments"]["id"]})
        if name == "guest-exec":
            return line(**{"return": {"pid": 7}})
        seen.append(1)
        if len(seen) < 3:
            return line(**{"return": {"exited": False}})
        return line(
            **{"return": {"exited": True, "exitcode": 3, "out-data": base64.b64encode(b"o").decode(), "err-data": ""}}
        )

    path, asked = peer(b"", answer)
    assert agent.run(path, ["ls", "-l"], b"in") == (3, b"o", b"")
    (started,) = [one["arguments"] for one in asked if one["execute"] == "guest-exec"]
    assert started == {"path": "ls", "arg": ["-l"], "capture-output": True, "input-data": "aW4="}


def test_the_agent_says_which_signal_ended_a_command(peer):
    def answer(request):
        if request["execute"] == "guest-sync-delimited":
            return b"\xff" + line(**{"return": request["arguments"]["id"]})
        return line(**{"return": {"pid": 7} if request["execute"] == "guest-exec" else {"exited": True, "signal": 9}})

    assert agent.run(peer(b"", answer)[0], ["sleep"]) == (137, b"", b"")


def test_refusals_and_silence(peer, tmp_path):
    def answer(request):
        if request["execute"] == "guest-sync-delimited":
            return b"\xff" + line(**{"return": request["arguments"]["id"]})
        if request["execute"] == "guest-exec":
            return line(error={"class": "GenericError", "desc": "no such file"})
        return b""

    path = peer(b"", answer)[0]
    with pytest.raises(LabError, match="refused a request: no such file"):
        agent.run(path, ["nothing"])
    with pytest.raises(agent.NoAnswer, match="no answer at"):
        agent.ask(path, "guest-ping", seconds=0.2)
    with pytest.raises(agent.NoAnswer, match="nothing listens at"):
        agent.ask(tmp_path / "nowhere", "guest-ping")
