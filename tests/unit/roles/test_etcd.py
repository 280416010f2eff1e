# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""etcd-stop, the program with which etcd.service stops etcd."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

PROGRAM = pathlib.Path(__file__).parents[3] / "roles" / "etcd" / "files" / "etcd-stop.sh"

# Stands in for etcd: it prints the port of its metrics, and then a line for each time that it is asked or told to stop. The arguments are its
# answers in turn, the last of which stays: a number of requests without an answer, or `ends`, `hangs`, `closes`.
SERVER = r"""
import os, signal, socket, sys, time
METRICS = '''HTTP/1.0 200 OK\r\n\r
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}} 40
grpc_server_handled_total{{grpc_code="NotFound",grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"}} 2
grpc_server_started_total{{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}} 40
grpc_server_started_total{{grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"}} {range}
grpc_server_started_total{{grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"}} 3
'''
told = []

def say(word):
    # Not print, which a signal must not interrupt with itself.
    os.write(1, f"{word}\n".encode())

def stop(*dummy):
    told.append(True)
    say("told")

signal.signal(signal.SIGTERM, stop)
server = socket.create_server(("127.0.0.1", 0))
say(server.getsockname()[1])
answers = sys.argv[1:]
if answers == ["refuses"]:
    server.close()
    while not told:
        time.sleep(0.05)
    time.sleep(0.5)
    sys.exit()
while True:
    connection = server.accept()[0]
    say("asked")
    answer = answers[0] if len(answers) == 1 else answers.pop(0)
    if answer == "ends":
        os._exit(0)
    if answer == "hangs":
        time.sleep(60)
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += connection.recv(1000)
    if answer != "closes":
        connection.sendall(METRICS.format(range=2 + int(answer)).encode())
    connection.close()
"""


@pytest.fixture
def start():
    """Start the stand-in; the process, and its port."""
    processes = []

    def start(*answers):
        process = subprocess.Popen([sys.executable, "-c", SERVER, *answers], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def stop(pid, port, **environment):
    """Run the program as systemd does, which ignores SIGPIPE."""
    return subprocess.Popen(
        [PROGRAM, str(port)],
        env={"PATH": os.environ["PATH"], **({"MAINPID": str(pid)} if pid else {}), **environment},
        stderr=subprocess.PIPE,
        text=True,
        restore_signals=False,
    )


def result(program):
    """Its exit code, and what it said."""
    said = program.communicate(timeout=60)[1]
    return program.returncode, said


def ended(process):
    """How it ended, and what it said before."""
    said = process.communicate(timeout=60)[0].split()
    return process.returncode, said


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        (["0"], 1),
        (["1", "5", "0"], 3),  # what is under way is waited for
        (["1", "closes"], 2),
    ],
)
def test_etcd_is_ended_when_it_has_answered(start, answers, asked):
    process, port = start(*answers)
    assert result(stop(process.pid, port)) == (0, "")
    assert ended(process) == (-signal.SIGKILL, ["told", *["asked"] * asked])


def test_metrics_that_do_not_come_are_not_waited_for(start, tmp_path):
    process, port = start("hangs")
    shorter = tmp_path / "timeout"
    shorter.write_text('#!/bin/sh\nshift\nexec /usr/bin/timeout 0.2 "$@"\n', encoding="utf-8")
    shorter.chmod(0o755)
    assert result(stop(process.pid, port, PATH=f"{tmp_path}:{os.environ['PATH']}")) == (0, "")
    assert ended(process) == (-signal.SIGKILL, ["told", "asked"])


@pytest.mark.parametrize("answers", [["1", "ends"], ["refuses"]])
def test_etcd_may_end_by_itself(start, answers):
    process, port = start(*answers)
    program = stop(process.pid, port)
    # Until it is reaped, as by systemd, it counts as running.
    assert process.wait(timeout=60) == 0
    assert result(program) == (0, "")


def test_etcd_may_have_ended_before(start):
    assert result(stop("", 1)) == (0, "")
    process, port = start("0")
    process.kill()
    process.wait()
    assert result(stop(process.pid, port))[0] == 0


def test_a_watch_does_not_hold_up_a_real_etcd(tmp_path, etcd_binaries, reserved_port):
    """etcd alone waits 7 s for it. What it has acknowledged is there afterwards."""
    client, peer, metrics, web = (reserved_port() for dummy in range(4))
    command = [f"{etcd_binaries}/etcd", "--data-dir=data", f"--listen-metrics-urls=http://127.0.0.1:{metrics}"]
    command += [f"--{kind}-client-urls=http://127.0.0.1:{client}" for kind in ("listen", "advertise")]
    command += [f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}"]
    command += [
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        f"--listen-client-http-urls=http://127.0.0.1:{web}",
    ]

    def run():
        with open(tmp_path / "log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while "ready to serve client requests" not in (tmp_path / "log").read_text(encoding="utf-8"):
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            assert time.monotonic() < end
            time.sleep(0.1)
        return process

    def ask(path, **request):
        body = json.dumps(request).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/v3/{path}", body, timeout=10) as answer:
            return json.load(answer)

    process = run()
    try:
        watch = http.client.HTTPConnection("127.0.0.1", web, timeout=10)
        watch.request("POST", "/v3/watch", json.dumps({"create_request": {"key": "YQ=="}}))
        assert b'"created":true' in watch.getresponse().readline()
        ask("kv/put", key="YQ==", value="Yg==")
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
            put = [
                line for line in answer.read().decode().splitlines() if 'grpc_method="Put"' in line and "unary" in line
            ]
        # What the program counts.
        assert {line.split("{")[0] for line in put if line.endswith(" 1")} >= {
            "grpc_server_started_total",
            "grpc_server_handled_total",
        }
        assert result(stop(process.pid, metrics)) == (0, "")
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert "closed etcd server" not in (tmp_path / "log").read_text(encoding="utf-8")
        assert "http and grpc server on single port" not in (tmp_path / "log").read_text(encoding="utf-8")
        process = run()
        assert ask("kv/range", key="YQ==")["kvs"][0]["value"] == "Yg=="
    finally:
        process.kill()
        process.wait()
