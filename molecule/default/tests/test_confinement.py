# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What malicious code in flanneld or kube-proxy, which are root with few capabilities, could do: our program runs in a copy of their units."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets

import pytest

testinfra_hosts = ["ansible://all"]

UNITS = ("flanneld", "kube-proxy")
NOTIFY = "/run/systemd/notify"
# Through each of these, root can do anything on the host; the last one appears only after the program has started.
EVERYWHERE = {"/run/systemd/private", "/run/dbus/system_bus_socket"}
ON_NODES = {
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/var/lib/kubelet/device-plugins/kubelet.sock",
}

PROBE = """
import json, os, socket, time
NAMES, LATE = json.loads('''%s''')
def reaches(name):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            with socket.socket(socket.AF_UNIX, kind) as one:
                one.settimeout(2)
                one.connect(name.replace("@", "\\0", 1) if name.startswith("@") else name)
                return True
        except OSError:
            pass
    return False
def writable(top):
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                yield path
            except OSError:
                pass
print("started", flush=True)
found = [name for name in NAMES if reaches(name)]
end = time.monotonic() + 5
while time.monotonic() < end and LATE not in found:
    found += [LATE] if reaches(LATE) else []
    time.sleep(0.1)
settings = list(writable("/proc/sys"))
others = [path for path in settings if not path.startswith("/proc/sys/net/")]
print(json.dumps({"sockets": found, "network_settings": len(settings) > len(others), "other_settings": others[:9]}))
"""
LATER = "import os, socket, time; os.makedirs('%s', exist_ok=True); one = socket.create_server('%s/s', family=socket.AF_UNIX); time.sleep(30)"


def command(code):
    return (
        f"/usr/bin/python3 -c \"import base64; exec(base64.b64decode('{base64.b64encode(code.encode()).decode()}'))\""
    )


def copy_of(unit, start):
    """The unit with another program."""
    lines = re.sub(r"\\\n", " ", unit).splitlines()
    kept = [line for line in lines if not re.match(r"(ExecStartPre|ExecStart|Type|Restart|RestartSec|WantedBy)=", line)]
    # The unit has more than one [Service].
    return "\n".join(kept).replace("[Service]", f"[Service]\nType=oneshot\nExecStart={start}", 1) + "\n"


class Host:
    """A host, and our programs on it."""

    def __init__(self, host):
        self.host = host
        self.late = f"/run/plainkube-test-{secrets.token_hex(4)}"

    def run(self, command):
        with self.host.sudo():
            return self.host.check_output(command)

    def probe(self):
        bound = {line.split()[-1] for line in self.run("cat /proc/net/unix").splitlines() if len(line.split()) == 8}
        # The kernel's own names for sockets of clients (unix(7), autobind).
        bound = {name for name in bound if not re.fullmatch("@[0-9a-f]{5}", name)}
        # Some services bind theirs through a different path to the same directory.
        names = bound | EVERYWHERE | ON_NODES
        return command(PROBE % json.dumps([sorted(names), f"{self.late}/s"]))

    @contextlib.contextmanager
    def service(self, text):
        """Start one of our units; returns its name."""
        name = f"plainkube-test-{secrets.token_hex(4)}"
        path = f"/run/systemd/system/{name}.service"
        encoded = base64.b64encode(text.encode()).decode()
        self.run(
            f"sh -c 'echo {encoded} | base64 -d > {path} && systemctl daemon-reload && systemctl start --no-block {name}'"
        )
        try:
            yield name
        finally:
            self.run(
                f"sh -c 'systemctl stop {name}; rm {path}; systemctl daemon-reload; systemctl reset-failed {name} || true'"
            )

    def outcomes(self, texts):
        """The findings of the programs in these units, which run in parallel; the late socket appears once all have started."""
        late = f"[Service]\nExecStart={command(LATER % (self.late, self.late))}\n"
        wait = "timeout 60 sh -c '{} journalctl -u {} -o cat | grep -q {}; do sleep 0.1; done'"
        with contextlib.ExitStack() as stack:
            names = [stack.enter_context(self.service(text)) for text in texts]
            for name in names:
                self.run(wait.format("until", name, "^started"))
            stack.enter_context(self.service(late))
            for name in names:
                self.run(wait.format("until", name, "^{"))
            said = [self.run(f"journalctl -u {name} -o cat").splitlines() for name in names]
        self.run(f"rm -r {self.late}")
        return [json.loads(next(line for line in lines if line.startswith("{"))) for lines in said]


@pytest.fixture(scope="module")
def found(host):
    """Unit -> findings of the program in its sandbox; "outside": findings without a sandbox; "late": the late socket."""
    one = Host(host)
    probe = one.probe()
    texts = {unit: copy_of(one.run(f"cat /etc/systemd/system/{unit}.service"), probe) for unit in UNITS}
    texts["outside"] = f"[Service]\nType=oneshot\nExecStart={probe}\n"
    return {**dict(zip(texts, one.outcomes([*texts.values()]))), "late": f"{one.late}/s"}


@pytest.mark.parametrize("unit", UNITS)
def test_code_in_a_service_of_root_reaches_no_socket(host, found, unit):
    expected = EVERYWHERE | {NOTIFY, found["late"]} | (ON_NODES if host.service("kubelet").is_running else set())
    assert expected <= {*found["outside"]["sockets"]}
    assert found[unit]["sockets"] == ([NOTIFY] if unit == "flanneld" else [])


@pytest.mark.parametrize("unit", UNITS)
def test_code_in_a_service_of_root_sets_nothing_of_the_kernel(found, unit):
    """Some settings name programs that the kernel starts as root (core_pattern). kube-proxy sets those of conntrack."""
    assert found["outside"]["other_settings"]
    assert found[unit]["network_settings"] == (unit == "kube-proxy")
    assert found[unit]["other_settings"] == []
