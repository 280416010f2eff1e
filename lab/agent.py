# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The two control sockets of a virtual machine: QEMU's own (QMP), and the guest agent's, through which the lab acts as root in it."""

from __future__ import annotations

import base64
import fcntl
import json
import pathlib
import socket
import time
import typing as t

from lab.base import LabError

# The agent's separator: it drops everything that it has received before, and marks its answer to a synchronization.
DELIMITER = b"\xff"


class NoAnswer(LabError):
    """The machine is off, is not yet up, is frozen, or shuts down."""


class Line:
    """Requests and answers in JSON, one per line."""

    def __init__(self, path: pathlib.Path, seconds: float) -> None:
        self.path = path
        self.received = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        try:
            self.socket.connect(str(path))
        except OSError as error:
            self.socket.close()
            raise NoAnswer(f"nothing listens at {path} ({error.strerror}).") from error

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *dummy: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send it whole."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise NoAnswer(f"{self.path} takes no request ({error}).") from error

    def receive(self) -> dict[str, t.Any]:
        """The next message."""
        while b"\n" not in self.received:
            try:
                more = self.socket.recv(65536)
            except OSError as error:
                raise NoAnswer(f"no answer at {self.path} ({error}).") from error
            if not more:
                raise NoAnswer(f"{self.path} was closed.")
            self.received += more
        line, dummy, self.received = self.received.partition(b"\n")
        return json.loads(line.rpartition(DELIMITER)[2])


def request(name: str, arguments: t.Mapping[str, t.Any] | None = None) -> bytes:
    """A request of both protocols."""
    return json.dumps({"execute": name, **({"arguments": arguments} if arguments else {})}).encode() + b"\n"


def result(answer: t.Mapping[str, t.Any]) -> t.Any:
    """What a request returned."""
    if "error" in answer:
        raise LabError(f"QEMU or its guest agent refused a request: {answer['error'].get('desc', answer['error'])}.")
    return answer["return"]


def qmp(path: pathlib.Path, name: str, seconds: float = 10) -> t.Any:
    """The result of a request to QEMU."""
    with Line(path, seconds) as line:
        line.receive()
        for one in ("qmp_capabilities", name):
            line.send(request(one))
            answer = line.receive()
            while "event" in answer:
                answer = line.receive()
        return result(answer)


def ask(path: pathlib.Path, name: str, arguments: t.Mapping[str, t.Any] | None = None, seconds: float = 30) -> t.Any:
    """The result of a request to the guest agent, which serves one connection at a time."""
    with open(path.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Line(path, seconds) as line:
            # Answers to requests of a process that was killed may still arrive.
            number = time.monotonic_ns() % 2**31
            line.send(DELIMITER + request("guest-sync-delimited", {"id": number}))
            while line.receive().get("return") != number:
                pass
            line.send(request(name, arguments))
            return result(line.receive())


def run(path: pathlib.Path, command: t.Sequence[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of a command, which may take any time."""
    arguments = {"path": command[0], "arg": [*command[1:]], "capture-output": True}
    if stdin:
        arguments["input-data"] = base64.b64encode(stdin).decode()
    started = ask(path, "guest-exec", arguments)
    pause = 0.02
    while True:
        status = ask(path, "guest-exec-status", started)
        if status["exited"]:
            break
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    output, errors = (base64.b64decode(status.get(name, "")) for name in ("out-data", "err-data"))
    if status.get("out-truncated"):
        raise LabError(f"the output of `{' '.join(command)}` is too long for the guest agent.")
    # As a shell has it: 128 and the signal.
    return status["exitcode"] if "exitcode" in status else 128 + status["signal"], output, errors
