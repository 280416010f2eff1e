# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import datetime
import http.server
import ssl
import subprocess
import threading

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import kubeconfig

NOW = datetime.datetime.now(datetime.timezone.utc)
SERVERS = ["https://10.0.0.1:6443", "https://10.0.0.2:6443"]


def write_authority(directory):
    authority = _certificates.new_authority("kubernetes", "c", _certificates.new_key(), NOW)
    directory.mkdir(exist_ok=True)
    (directory / "ca.crt").write_text(_certificates.certificate_text(authority.certificate))
    (directory / "ca.key").write_text(_certificates.key_text(authority.key))
    return authority


@pytest.fixture
def answering(monkeypatch):
    """The servers that answer, and with what; the others are not reached."""
    servers = dict.fromkeys(SERVERS, 200)

    def get(url, ca=None, timeout=2.0):
        status = servers.get(url.removesuffix("/readyz"), 0)
        return _probe.Answer(status, "ok" if status else "timed out")

    monkeypatch.setattr(kubeconfig._probe, "get", get)
    return servers


@pytest.fixture
def write(run_module, tmp_path, answering):
    write_authority(tmp_path / "pki")

    def run(**arguments):
        defaults = {
            "path": str(tmp_path / "kubeconfig"),
            "directory": str(tmp_path / "pki"),
            "cluster_name": "c",
            "user": "anna",
            "servers": SERVERS,
        }
        return run_module(kubeconfig, **{**defaults, **arguments}, _ansible_diff=True)

    return run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kubeconfig"


def why(result, path):
    """Why the kubeconfig was written; None if it was not."""
    return {subject: reason for verb, subject, reason in result["actions"] if verb == "write"}.get(str(path))


def load(path):
    return _kubeconfig.parse(yaml.safe_load(path.read_text()))


def test_a_kubeconfig_is_written(write, path, tmp_path):
    result = write()
    assert result["changed"]
    assert result["actions"] == [("write", f"{tmp_path}/.gitignore", ""), ("write", str(path), "it is absent")]
    assert (result["server"], result["reachable"], result["user"]) == (SERVERS[0], True, "anna")
    assert path.stat().st_mode & 0o777 == 0o600
    found = load(path)
    assert found.ca == (tmp_path / "pki/ca.crt").read_text()
    assert "subject: CN=anna,O=plainkube:cluster-admins\n" in _certificates.describe(
        _certificates.load_certificate(found.certificate)
    )
    assert result["valid_until"] == f"{NOW + datetime.timedelta(days=365):%Y-%m-%d}"
    assert found.key not in str(result)


def test_a_right_kubeconfig_is_kept(write, path):
    write()
    before = path.read_bytes()
    result = write()
    assert not result["changed"]
    assert result["diff"] == []
    assert path.read_bytes() == before


def test_what_a_user_changed_in_it_is_kept(write, path):
    """kubectl config set-context --current --namespace=x, which also writes in another order."""
    write()
    document = yaml.safe_load(path.read_text())
    document["contexts"][0]["context"]["namespace"] = "x"
    path.write_text(yaml.safe_dump(document))
    assert not write()["changed"]


def test_check_mode(write, path):
    check = write(_ansible_check_mode=True)
    assert check["changed"]
    assert not path.exists()
    result = write()
    assert {key: check[key] for key in ("changed", "diff", "actions")} == {
        key: result[key] for key in ("changed", "diff", "actions")
    }
    assert not write(_ansible_check_mode=True)["changed"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "/kubeconfig\n"),
        ("", "/kubeconfig\n"),
        ("*.retry", "*.retry\n/kubeconfig\n"),
        ("/kubeconfig\n*.retry\n", "/kubeconfig\n*.retry\n"),
        ("kubeconfig", "kubeconfig"),
        ("*\n", "*\n"),
    ],
)
def test_git_ignores_it(write, path, before, after):
    """git itself says so."""
    ignore = path.parent / ".gitignore"
    if before is not None:
        ignore.write_text(before)
        ignore.chmod(0o640)
    subprocess.run(["git", "init", "--quiet", str(path.parent)], check=True)
    assert write(_ansible_check_mode=True)["changed"]
    assert ignore.exists() == (before is not None)
    assert write()["changed"]
    assert ignore.read_text() == after
    assert (
        subprocess.run(["git", "-C", str(path.parent), "check-ignore", "--quiet", path.name], check=False).returncode
        == 0
    )
    assert before is None or ignore.stat().st_mode & 0o777 == 0o640
    assert not write()["changed"]


def test_a_gitignore_that_is_a_link_is_somebodys(write, path, tmp_path):
    (tmp_path / "shared").write_text("*.retry\n")
    ignore = path.parent / ".gitignore"
    ignore.symlink_to(tmp_path / "shared")
    assert write()["changed"]
    assert ignore.is_symlink()
    assert ignore.read_text() == "*.retry\n"
    assert not write()["changed"]


def test_the_mode_is_corrected(write, path):
    write()
    path.chmod(0o644)
    before = path.read_bytes()
    assert write()["changed"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == before


def test_it_is_renewed_in_time_with_another_key(write, path):
    write(validity_days=31)
    assert not write()["changed"]
    old = load(path)
    result = write(renew_before_days=31)
    assert why(result, path) == "it expires in 30 days"
    assert load(path).key != old.key


def test_another_server_keeps_the_key(write, path):
    write()
    old = load(path)
    result = write(servers=["https://127.0.0.1:6443"])
    assert why(result, path) == f"the server is {SERVERS[0]} and should be https://127.0.0.1:6443"
    new = load(path)
    assert (new.server, new.key, new.certificate) == ("https://127.0.0.1:6443", old.key, old.certificate)


def test_another_user_and_another_authority(write, path, tmp_path):
    write()
    assert why(write(user="bert"), path) == (
        "the subject is CN=anna,O=plainkube:cluster-admins and should be CN=bert,O=plainkube:cluster-admins"
    )
    assert yaml.safe_load(path.read_text())["current-context"] == "bert@c"
    write_authority(tmp_path / "pki")
    assert why(write(user="bert"), path).endswith("; the CA has changed")
    assert not write(user="bert")["changed"]


def test_a_key_that_cannot_be_used_is_replaced(write, path):
    write()
    document = yaml.safe_load(path.read_text())
    document["users"][0]["user"]["client-key-data"] = "anVuaw=="
    path.write_text(yaml.safe_dump(document))
    assert why(write(), path) == "its key is unusable"


def test_the_first_server_that_answers(write, answering):
    answering[SERVERS[0]] = 0
    assert write()["server"] == SERVERS[1]
    # A server that comes back is no reason to change; one that is not ready or asks who we are is alive.
    answering[SERVERS[0]], answering[SERVERS[1]] = 200, 500
    result = write()
    assert (result["server"], result["changed"], result["reachable"]) == (SERVERS[1], False, True)


def test_no_server_that_answers(write, answering):
    answering.clear()
    result = write()
    assert result["changed"]
    assert (result["server"], result["reachable"], result["problem"]) == (SERVERS[0], False, "timed out")
    assert not write()["changed"]


def test_the_user_is_who_runs_it(write):
    assert write(user="")["user"] == kubeconfig._files.me()["owner"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user": "system:admin"}, "kubeconfig_user is 'system:admin', but names that begin with system:"),
        ({"servers": ["k1:6443"]}, "kubeconfig_server is 'k1:6443': write it as a URL, like https://127.0.0.1:6443."),
        ({"servers": []}, "No control plane has a known address"),
        ({"validity_days": 900}, "kubeconfig_validity_days is 900: use 1 to 825 days"),
        ({"directory": "/nowhere"}, "certificates_directory /nowhere does not contain the cluster's CA"),
    ],
)
def test_wrong_input(write, path, arguments, message):
    result = write(**arguments)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert not path.exists()


@pytest.mark.parametrize("text", ["junk", "a: [", "kind: Pod\n"])
def test_a_file_that_is_no_kubeconfig_is_not_overwritten(write, path, text):
    path.write_text(text)
    assert write()["msg"] == f"kubeconfig_path {path} is not a kubeconfig: choose another path, or move the file away."
    assert path.read_text() == text


def test_a_kubeconfig_of_other_clusters_is_not_overwritten(write, path):
    path.write_text(_kubeconfig.render("work", "u", _kubeconfig.Access("https://x", "", "", "", embedded=True)))
    before = path.read_text()
    assert write()["msg"] == f"kubeconfig_path {path} also has work, which would be lost: choose another path."
    assert path.read_text() == before


def test_a_real_server_is_asked_with_the_authority(run_module, tmp_path):
    """A server of the cluster answers; one with a certificate of another CA does not count."""
    authority = write_authority(tmp_path / "pki")
    wanted = _certificates.Wanted("kubernetes", "kube-apiserver", "", ("127.0.0.1",), ("server",))
    urls, listeners = [], []
    for one in (write_authority(tmp_path / "other"), authority):
        key = _certificates.new_key()
        pem = tmp_path / "server.pem"
        certificate = _certificates.issue(wanted, key.public_key(), one, NOW, 365)
        pem.write_text(_certificates.certificate_text(certificate) + _certificates.key_text(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        listener.handle_error = lambda request, address: None
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        listeners.append(listener)
        urls.append(f"https://127.0.0.1:{listener.server_port}")
    try:
        result = run_module(
            kubeconfig,
            path=str(tmp_path / "kubeconfig"),
            directory=str(tmp_path / "pki"),
            cluster_name="c",
            user="anna",
            servers=urls,
        )
    finally:
        for listener in listeners:
            listener.shutdown()
            listener.server_close()
    assert (result["server"], result["reachable"]) == (urls[1], True)
