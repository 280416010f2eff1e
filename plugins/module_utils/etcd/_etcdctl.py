# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""etcdctl: the only place that runs it, parses its JSON and formats its errors."""

from __future__ import annotations

import base64
import json
import os
import socket
import typing as t
import urllib.parse

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

OPTIONS: dict[str, t.Any] = {
    "endpoints": {"type": "list", "elements": "str", "default": [f"https://127.0.0.1:{_places.ETCD_CLIENT_PORT}"]},
    "ca": {"type": "path", "default": f"{_places.PKI}/etcd/ca.crt"},
    "cert": {"type": "path", "default": f"{_places.PKI}/etcd/root.crt"},
    "key": {"type": "path", "default": f"{_places.PKI}/etcd/root.key", "no_log": False},
    "wait": {"type": "int", "default": 60},
}
# Most of etcdctl's commands have no timeout: without etcd, they would retry forever. etcd responds or refuses within 7 s.
_SECONDS = 10
# For queries of members, some of which may be down.
SHORT_TIMEOUTS = {"ETCDCTL_DIAL_TIMEOUT": "2s", "ETCDCTL_COMMAND_TIMEOUT": "3s"}
_REFUSALS = ("permission denied", "invalid auth", "user name is empty", "user name not found")


class EtcdError(Exception):
    """etcd or etcdctl failed; the text is a sentence."""


class Unreachable(EtcdError):
    """etcd is not reachable, or not yet."""


def reason(err: str) -> str:
    """Why etcdctl failed, from its stderr: log lines in JSON, then `Error: …`."""
    told, logged = "", ""
    for line in err.splitlines():
        if line.startswith("Error: "):
            told = line[len("Error: ") :].strip()
        elif line.startswith("{"):
            logged = _logged_error(line) or logged
    if told and "deadline exceeded" not in told:
        return told
    return logged or told or err.strip()


def _logged_error(line: str) -> str:
    try:
        return str(json.loads(line).get("error", ""))
    except ValueError:
        return ""


def decode(encoded: str | None) -> str:
    """Decode a key or value from etcdctl's JSON."""
    return base64.b64decode(encoded or "").decode("utf-8", "surrogateescape")


def pairs(answer: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The keys and values of a range response."""
    return {decode(entry["key"]): decode(entry.get("value")) for entry in answer.get("kvs") or []}


def put_if_absent(key: str, value: str) -> str:
    """A transaction for `etcdctl txn`: put the key if it does not exist, else get it. json.dumps quotes in a way that Go's %q reads."""
    name = json.dumps(key)
    return f'create({name}) = "0"\n\nput {name} {json.dumps(value)}\n\nget {name}\n\n'


def txn_pairs(answer: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The keys and values that the get of a transaction returned."""
    found: dict[str, str] = {}
    for response in answer.get("responses") or []:
        inner = response.get("Response", response)
        found.update(pairs(inner.get("response_range") or inner.get("ResponseRange") or {}))
    return found


def dial(endpoint: str) -> str:
    """Why nothing listens at this URL; empty if something does."""
    url = urllib.parse.urlsplit(endpoint)
    try:
        with socket.create_connection((url.hostname or "", url.port or _places.ETCD_CLIENT_PORT), timeout=2):
            return ""
    except OSError as error:
        return str(error)


def _parse(arguments: t.Sequence[str], out: str) -> t.Any:
    try:
        return json.loads(out) if out.lstrip().startswith(("{", "[")) else {}
    except ValueError:
        raise EtcdError(f"`etcdctl {' '.join(arguments)}` printed no JSON: {out.strip()}") from None


class Etcdctl:
    """etcdctl with the endpoints and certificates of the module, or of one of its options."""

    def __init__(self, module: AnsibleModule, params: t.Mapping[str, t.Any] | None = None) -> None:
        params = module.params if params is None else params
        self.module = module
        self.wait = 0 if module.check_mode else params["wait"]
        self.endpoints = ",".join(params["endpoints"])
        self.answered = False
        self.files = {name: params[name] for name in ("ca", "cert", "key") if params[name]}
        self.environment = {
            "ETCDCTL_ENDPOINTS": self.endpoints,
            "ETCDCTL_CACERT": self.files.get("ca", ""),
            "ETCDCTL_CERT": self.files.get("cert", ""),
            "ETCDCTL_KEY": self.files.get("key", ""),
            "ETCDCTL_WRITE_OUT": "json",
        }

    def call(self, *arguments: str, data: str | None = None) -> t.Any:
        """Run etcdctl and return its JSON; raises EtcdError."""
        code, out, err = self._run(arguments, data)
        if code != 0:
            raise self._error(arguments, code, err or out)
        return _parse(arguments, out)

    def of_each(self, *arguments: str) -> list[dict[str, t.Any]]:
        """The responses of all endpoints that respond: `endpoint status` and `endpoint health` fail if one of them does not."""
        code, out, err = self._run(arguments)
        answers = _parse(arguments, out)
        if code != 0 and not answers:
            raise self._error(arguments, code, err or out)
        return answers or []

    def _run(self, arguments: t.Sequence[str], data: str | None = None) -> tuple[int, str, str]:
        binary = self._binary()
        self._dial()
        command = ["timeout", str(_SECONDS), binary, *arguments]
        return _command.run(self.module, command, data=data, environ_update=self.environment)

    def patiently(self, *arguments: str, data: str | None = None) -> dict[str, t.Any]:
        """The same, but wait for an etcd that does not respond yet: it may have just been started.

        Only for idempotent commands.
        """

        def attempt() -> dict[str, t.Any] | Unreachable:
            try:
                return self.call(*arguments, data=data)
            except Unreachable as error:
                return error

        answer = poll(attempt, lambda answer: not isinstance(answer, Unreachable), self.wait)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    def _binary(self) -> str:
        binary = self.module.get_bin_path("etcdctl", opt_dirs=[_places.BINARIES])
        if binary is None:
            raise Unreachable("etcdctl is not installed on this host: run role artifacts for the etcd hosts first")
        for name, path in self.files.items():
            if not os.path.exists(path):
                raise Unreachable(f"{name} is {path}, which does not exist: run role certificates first")
        return binary

    def _dial(self) -> None:
        """Detect in a millisecond that nothing listens, for which etcdctl needs seconds."""
        silence = "" if self.answered else [dial(endpoint) for endpoint in self.endpoints.split(",")]
        if silence and all(silence):
            raise Unreachable(f"etcd does not respond at {self.endpoints}: {silence[-1]}")
        self.answered = True

    def _error(self, arguments: t.Sequence[str], code: int, err: str) -> EtcdError:
        why = reason(err) or (f"no response within {_SECONDS} s" if code == 124 else f"exit code {code}")
        if any(refusal in why for refusal in _REFUSALS):
            return EtcdError(
                f"etcd at {self.endpoints} refused `etcdctl {' '.join(arguments)}` ({why}); "
                f"cert is {self.files.get('cert')}, whose user lacks the permission"
            )
        kind = Unreachable if code == 124 or _is_silence(why) else EtcdError
        return kind(f"`etcdctl {' '.join(arguments)}` failed at {self.endpoints}: {why}")


def _is_silence(why: str) -> bool:
    """Whether etcd did not refuse, but was down, had no leader, or did not respond in time."""
    # The client says "deadline exceeded"; a server of gRPC that notices it first cancels the stream, with code DeadlineExceeded.
    signs = ("connection", "deadline exceeded", "DeadlineExceeded", "Unavailable", "no leader", "timed out", "EOF")
    return any(sign in why for sign in signs)
