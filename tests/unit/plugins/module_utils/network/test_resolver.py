# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _resolver

REMEDY = "which pods cannot use: correct it, or set addons_dns_upstream"
STUB = "nameserver 127.0.0.53\n"
REAL = "# nameserver 192.0.2.1\nsearch a.example\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 # b\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A function that writes both files; None: it does not exist."""
    monkeypatch.setattr(_resolver, "OWN", str(tmp_path / "own"))
    monkeypatch.setattr(_resolver, "OF_RESOLVED", str(tmp_path / "resolved"))

    def write(own, resolved):
        for name, text in (("own", own), ("resolved", resolved)):
            (tmp_path / name).unlink(missing_ok=True)
            if text is not None:
                (tmp_path / name).write_text(text, encoding="utf-8")

    return write


def test_name_servers(files):
    files(REAL, None)
    assert _resolver.name_servers(_resolver.OWN) == ["192.0.2.53", "2001:db8::53"]
    assert _resolver.name_servers(_resolver.OF_RESOLVED) == []


@pytest.mark.parametrize(
    ("own", "resolved", "used"),
    [
        (STUB, REAL, "resolved"),
        (STUB, None, "own"),
        (REAL, None, "own"),
        # systemd-resolved was disabled, and its file stays until the next boot.
        (REAL, STUB, "own"),
        (None, REAL, "resolved"),
    ],
)
def test_the_file_for_pods(files, own, resolved, used):
    files(own, resolved)
    assert _resolver.path().endswith(f"/{used}")


@pytest.mark.parametrize(
    ("own", "resolved", "configured", "said"),
    [
        (REAL, None, "OWN", ""),
        (REAL, None, None, ""),
        (STUB, REAL, "OF_RESOLVED", ""),
        (REAL, REAL, "OF_RESOLVED", "the kubelet reads the name servers for pods from RESOLVED, and those of this host are in OWN; run plainkube.cluster.site"),
        (STUB, REAL, "OWN", "the kubelet reads the name servers for pods from OWN, and those of this host are in RESOLVED; run plainkube.cluster.site"),
        ("nameserver 127.0.0.1\n", None, "OWN", f"OWN on this host has only name servers on loopback (127.0.0.1), {REMEDY}"),
        ("", None, "OWN", f"OWN on this host has no name server, {REMEDY}"),
        ("", None, "/etc/operators", ""),
    ],
)  # fmt: skip
def test_what_the_kubelet_uses(files, own, resolved, configured, said):
    files(own, resolved)
    text = "apiVersion: v1\n" + (f"resolvConf: {getattr(_resolver, configured, configured)}\n" if configured else "")
    assert _resolver.fault(text) == said.replace("OWN", _resolver.OWN).replace("RESOLVED", _resolver.OF_RESOLVED)
