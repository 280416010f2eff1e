# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import copy
import datetime
import fcntl
import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption, _pki
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import (
    certificate_install,
    certificate_request,
    host_facts,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authority_rotation as authority_rotation
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _certificate_sign as certificate_sign
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _here
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GROUPS = [
    {
        "hosts": ["k1"],
        "files": [
            "ca.crt",
            "ca.key",
            "etcd/ca.crt",
            "front-proxy-ca.crt",
            "sa.pub",
            "sa.key",
            "encryption.yaml",
            "ca-cross.crt",
        ],
        "certificates": [
            {
                "name": "etcd/server",
                "authority": "etcd",
                "common_name": "{host}",
                "sans": ["{host}", "{address}"],
                "usages": ["server", "client"],
            },
            {
                "name": "apiserver",
                "authority": "kubernetes",
                "common_name": "api",
                "sans": ["{address}"],
                "usages": ["server"],
            },
            {"name": "front-proxy-client", "authority": "front-proxy", "common_name": "front", "usages": ["client"]},
        ],
    },
    {
        "hosts": ["k1", "n1", "n2"],
        "files": ["ca.crt", "etcd/ca.crt"],
        "certificates": [
            {
                "name": "kubelet",
                "authority": "kubernetes",
                "common_name": "system:node:{host}",
                "organization": "system:nodes",
                "usages": ["client"],
            },
            {"name": "etcd/flannel", "authority": "etcd", "common_name": "flanneld", "usages": ["client"]},
        ],
    },
]


class Site:
    """Hosts and a control node as directories, and the role's tasks as a method."""

    def __init__(self, run_module, top):
        self.run_module = run_module
        self.top = top
        self.groups = copy.deepcopy(GROUPS)
        self.directory = top / "control"
        self.addresses = {"k1": "10.0.0.1", "n1": "10.0.0.2", "n2": "10.0.0.3"}
        self.options = {}

    def needed(self, host, what):
        return [item for group in self.groups if host in group["hosts"] for item in group[what]]

    def pki(self, host):
        return self.top / "hosts" / host / "pki"

    def ask(self, host, check_mode=False):
        result = self.run_module(
            certificate_request,
            directory=str(self.pki(host)),
            certificates=[entry["name"] for entry in self.needed(host, "certificates")],
            files=["origin", *dict.fromkeys(self.needed(host, "files"))],
            _ansible_check_mode=check_mode,
        )
        return {key: result[key] for key in ("certificates", "public", "secret", "encryption")}

    def sign(self, *hosts, answers=None, **arguments):
        check_mode = arguments.get("_ansible_check_mode", False)
        answers = answers or {host: self.ask(host, check_mode) for host in hosts or self.addresses}
        return self.run_module(
            certificate_sign,
            directory=str(self.directory),
            cluster_name="plainkube",
            answers=answers,
            required_hosts=["k1"],
            host_directory="/",
            _ansible_diff=True,
            **{
                "groups": self.groups,
                "addresses": self.addresses,
                "control_planes": ["k1"],
                **self.options,
                **arguments,
            },
        )

    def install(self, signed, host):
        files = [{**entry, "path": f"{self.pki(host)}{entry['path']}"} for entry in signed["hosts"][host]["files"]]
        secret = signed["hosts"][host]["secret_files"]
        keys = [{"path": str(self.pki(host) / name), "content": (self.directory / name).read_text()} for name in secret]
        me = {"owner": certificate_sign._files.me()["owner"], "group": certificate_sign._files.me()["group"]}
        self.run_module(certificate_install, files=[{**entry, **me} for entry in files], keys=keys)

    def run(self, *hosts, **arguments):
        signed = self.sign(*hosts, **arguments)
        assert not signed.get("failed"), signed["msg"]
        for host in signed["hosts"]:
            self.install(signed, host)
        return signed

    def snapshot(self):
        return {path: path.read_bytes() for path in self.top.rglob("*") if path.is_file()}


@pytest.fixture
def site(run_module, tmp_path):
    return Site(run_module, tmp_path)


def reasons(result):
    """Host -> certificate that is issued -> why."""
    found = {}
    for host, entry in result["hosts"].items():
        actions = [_actions.Action(**action) for action in entry["actions"]]
        assert all(action.verb == "issue" and action.reason for action in actions)
        found[host] = {action.subject: action.reason for action in actions}
    return {host: entry for host, entry in found.items() if entry}


def quiet(result):
    return (result["changed"], result["actions"]) == (False, []) and all(
        entry == {"files": [], "actions": [], "replaced": [], "secret_files": []} for entry in result["hosts"].values()
    )


# The first run and the second


def test_bare_hosts_get_everything(site):
    result = site.run()
    assert result["changed"]
    assert reasons(result)["k1"] == dict.fromkeys(
        ["etcd/server", "apiserver", "front-proxy-client", "kubelet", "etcd/flannel"], "it is absent"
    )
    assert result["hosts"]["k1"]["secret_files"] == ["ca.key", "sa.key", "encryption.yaml"]
    assert result["hosts"]["n1"]["secret_files"] == []
    assert sorted(path.name for path in site.pki("n1").rglob("*") if path.is_file()) == [
        "ca.crt",
        "ca.crt",
        "flannel.crt",
        "flannel.key",
        "kubelet.crt",
        "kubelet.key",
        "origin",
    ]
    assert result["msg"] == f"Created 3 CAs in {site.directory} and issued 9 certificates for 3 hosts."


def test_a_second_run_changes_nothing(site):
    site.run()
    before = site.snapshot()
    result = site.run()
    assert quiet(result)
    assert result["diff"] == []
    assert result["msg"] == "All certificates of 3 hosts are up to date."
    assert site.snapshot() == before


def test_the_directory_is_the_operators_alone(site):
    site.run()
    for path in site.directory.rglob("*"):
        if path.is_dir() or path.suffix == ".key":
            assert not path.stat().st_mode & 0o077, path
    assert not site.directory.stat().st_mode & 0o077
    assert (site.directory / ".gitignore").read_text() == "*\n"
    (site.directory / "ca.key").chmod(0o644)
    site.directory.chmod(0o755)
    assert site.run()["changed"]
    assert not (site.directory / "ca.key").stat().st_mode & 0o077
    assert quiet(site.run())


@pytest.mark.parametrize("authority", ["ca", "etcd/ca", "front-proxy-ca"])
def test_openssl_verifies_strictly(site, authority):
    site.run()
    ca = site.pki("k1") / f"{authority}.crt"
    subject = _certificates.load_certificate(ca.read_text()).subject
    leaves = [
        path
        for path in site.pki("k1").rglob("*.crt")
        if _certificates.load_certificate(path.read_text()).issuer == subject and path.read_text() != ca.read_text()
    ]
    assert leaves
    subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", ca, ca, *leaves], check=True, stdout=subprocess.DEVNULL
    )


def test_keys_and_certificates_on_the_hosts_match(site):
    site.run()
    keys = [*site.pki("k1").rglob("*.key")]
    assert len(keys) > 2
    for key in keys:
        public = key.with_suffix(".pub" if key.name == "sa.key" else ".crt").read_text()
        found = _certificates.load_certificate(public)
        wanted = _certificates.public_text(_certificates.load_key(key.read_text(), "x").public_key())
        assert (_certificates.public_text(found.public_key()) if found else public) == wanted, key


def test_no_key_is_in_the_result(site):
    text = str(site.run())
    keys = [*site.top.rglob("*.key")]
    assert len(keys) > 5
    for path in keys:
        for line in path.read_text().splitlines():
            assert line.startswith("-----") or line not in text, path


def seconds_of_plain_signatures(count):
    """CPU seconds for so many certificates by the library alone."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.timezone.utc)
    begin = time.process_time()
    for number in range(1, count + 1):
        builder = x509.CertificateBuilder(name, name, key.public_key(), number, now, now + datetime.timedelta(days=1))
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return time.process_time() - begin


def test_a_certificate_takes_less_than_forty_plain_signatures(site):
    """On three hosts with twelve each; with what is read, compared and written, it is thirteen."""
    site.groups[0]["hosts"] = ["k1", "n1", "n2"]
    entry = site.groups[1]["certificates"][0]
    site.groups[1]["certificates"] += [{**entry, "name": f"x{number}"} for number in range(7)]
    answers = {host: site.ask(host) for host in site.addresses}
    plain = seconds_of_plain_signatures(36 * 40)
    begin = time.process_time()
    result = site.sign(answers=answers)
    took = time.process_time() - begin
    assert sum(map(len, reasons(result).values())) == 36
    assert took < plain


# Check mode


def test_check_mode_on_bare_hosts(site):
    result = site.sign(_ansible_check_mode=True)
    assert result["changed"]
    assert result["msg"] == f"Would create 3 CAs in {site.directory} and would issue 9 certificates for 3 hosts."
    of_the_directory = [part["after_header"] for part in result["diff"] if part["after_header"].startswith("/")]
    assert result["actions"] == [("write", path, "") for path in of_the_directory]
    assert ("write", f"{site.directory}/sa.key", "") in result["actions"]
    assert result["hosts"]["k1"]["secret_files"] == ["ca.key", "sa.key", "encryption.yaml"]
    headers = [part["after_header"] for part in result["diff"]]
    assert {f"{site.directory}/ca.crt", "k1: /apiserver.crt"} <= set(headers)
    assert not site.directory.exists()


def test_check_mode_tells_what_a_run_does(site):
    site.run()
    site.groups[0]["certificates"][1]["sans"].append("api.example.org")
    (site.pki("n1") / "kubelet.key").unlink()
    before = site.snapshot()
    check = site.sign(_ansible_check_mode=True)
    assert site.snapshot() == before
    assert reasons(check) == {
        "k1": {"apiserver": "the list of names lacks api.example.org"},
        "n1": {"kubelet": "its private key is absent"},
    }
    result = site.run()
    assert reasons(result) == {
        "k1": {"apiserver": "the list of names lacks api.example.org"},
        "n1": {"kubelet": "it does not match the host's key"},
    }
    assert quiet(site.run())


# Why certificates are issued anew


def test_another_name_is_a_reason_and_shown(site):
    site.run()
    site.addresses["k1"] = "10.0.0.9"
    result = site.run()
    why = "the list of names lacks 10.0.0.9 and should not have 10.0.0.1"
    assert reasons(result) == {"k1": {"etcd/server": why, "apiserver": why}}
    part = next(part for part in result["diff"] if part["after_header"] == "k1: /apiserver.crt")
    assert "names: 10.0.0.1\n" in part["before"]
    assert "names: 10.0.0.9\n" in part["after"]
    assert f"# issued because {why}\n" in part["after"]
    assert [os.path.basename(entry["path"]) for entry in result["hosts"]["k1"]["files"]] == [
        "server.crt",
        "apiserver.crt",
        "origin",
    ]
    assert quiet(site.run())


def test_expiry(site):
    site.options = {"validity_days": 31}
    site.run()
    assert quiet(site.run())
    site.options = {"renew_before_days": 31}
    assert reasons(site.run())["n1"] == {"kubelet": "it expires in 30 days", "etcd/flannel": "it expires in 30 days"}
    assert quiet(site.run())


def test_a_missing_or_broken_file_is_mended(site):
    site.run()
    (site.pki("n1") / "ca.crt").unlink()
    (site.pki("n1") / "etcd/ca.crt").write_text("junk")
    (site.pki("n2") / "kubelet.crt").write_text("junk")
    (site.pki("k1") / "sa.key").write_text("junk")
    result = site.run()
    assert [entry["path"] for entry in result["hosts"]["n1"]["files"]] == ["/ca.crt", "/etcd/ca.crt", "/origin"]
    assert reasons(result) == {"n2": {"kubelet": "it cannot be read"}}
    assert result["hosts"]["k1"]["secret_files"] == ["sa.key"]
    assert quiet(site.run())


def test_a_key_that_was_lost_is_made_and_gets_a_certificate(site):
    site.run()
    (site.pki("k1") / "apiserver.key").unlink()
    assert reasons(site.run()) == {"k1": {"apiserver": "it does not match the host's key"}}
    assert quiet(site.run())


def test_a_certificate_of_another_ca_beside_the_right_one_is_issued_anew(site, tmp_path, run_module):
    site.run()
    other = Site(run_module, tmp_path / "other")
    other.run()
    (site.pki("n1") / "kubelet.crt").write_bytes((other.pki("n1") / "kubelet.crt").read_bytes())
    assert reasons(site.run())["n1"]["kubelet"].startswith("its issuer is another CA (CN=plainkube-kubernetes-ca)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"validity_days": 30},
            r"certificates_validity_days (30) must be more than certificates_renew_before_days (30)",
        ),
        ({"validity_days": 1000}, "certificates_validity_days is 1000: use 1 to 825 days"),
    ],
)
def test_wrong_days(site, options, message):
    result = site.sign(**options)
    assert result["failed"]
    assert result["msg"].startswith(message)


# Only some of the hosts


def test_only_hosts_that_were_asked_are_signed_for(site):
    site.run()
    site.addresses["n3"] = "10.0.0.4"
    site.groups[1]["hosts"].append("n3")
    result = site.run("n3")
    assert [*result["hosts"]] == ["n3"]
    assert [*reasons(result)["n3"]] == ["kubelet", "etcd/flannel"]
    assert quiet(site.run())


def test_a_host_that_needs_nothing(site):
    site.addresses["x"] = "10.0.0.5"
    assert site.run()["hosts"]["x"] == {"files": [], "actions": [], "replaced": [], "secret_files": []}


def test_no_authority_is_made_without_those_who_may_have_one(site):
    result = site.sign("n1", "n2")
    assert result["failed"]
    assert result["msg"] == (
        f"certificates_directory {site.directory} has no ca.key, and whether the cluster has one is unknown without k1: "
        "run without --limit first, or set certificates_directory to the directory that has it."
    )
    assert not site.directory.exists()


# Trust


def test_a_host_cannot_choose_what_its_certificate_says(site, monkeypatch):
    """The subject and the names of a request do not count."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    def request(key):
        name = _certificates.subject("kubernetes-admin", "system:masters")
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("evil")]), False)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        return builder.sign(key, hashes.SHA256()).public_bytes(_certificates.Encoding.PEM).decode()

    monkeypatch.setattr(_certificates, "request", request)
    site.run()
    found = _certificates.load_certificate((site.pki("n1") / "kubelet.crt").read_text())
    assert found.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    assert "evil" not in _certificates.describe(found)
    assert not _certificates._may_sign(found)


def test_a_host_cannot_ask_for_what_it_does_not_need(site):
    answers = {host: site.ask(host) for host in site.addresses}
    answers["n1"]["certificates"]["admin"] = answers["n1"]["certificates"]["kubelet"]
    answers["n1"]["secret"]["ca.key"] = "0"
    result = site.sign(answers=answers)
    assert [*reasons(result)["n1"]] == ["kubelet", "etcd/flannel"]
    assert result["hosts"]["n1"]["secret_files"] == []


def test_a_request_that_is_missing(site):
    answers = {host: site.ask(host) for host in site.addresses}
    answers["n1"]["certificates"]["kubelet"]["request"] = None
    result = site.sign(answers=answers)
    assert result["failed"]
    assert result["msg"] == "n1 sent no request for the certificate kubelet: inspect that host."


# No second CA for an existing cluster


def test_a_control_node_without_the_authorities_makes_none(site, tmp_path):
    site.run()
    fingerprint = _certificates.fingerprint(_certificates.load_certificate((site.pki("k1") / "ca.crt").read_text()))
    first, site.directory = site.directory, tmp_path / "elsewhere"
    for check_mode in (False, True):
        result = site.sign(_ansible_check_mode=check_mode)
        assert result["failed"]
        assert result["msg"] == (
            f"certificates_directory {site.directory} has no kubernetes CA, but k1 and 2 more carry certificates of CA "
            f"CN=plainkube-kubernetes-ca ({fingerprint}), created on control node {certificate_sign.socket.gethostname()} in {first}; "
            "copy that directory here, or set certificates_directory to it; if it is lost, copy ca.crt, ca.key, sa.pub, sa.key, encryption.yaml, "
            "etcd/ca.crt, front-proxy-ca.crt and, if there is one, ca-cross.crt from a control plane's / to here, and run plainkube.cluster.certificates with "
            "-e certificates_rotate=etcd,front-proxy."
        )
    assert not site.directory.exists()


def test_a_certificate_alone_is_enough_to_stop(site, tmp_path):
    site.run()
    site.directory = tmp_path / "elsewhere"
    for host in site.addresses:
        for name in ("ca.crt", "etcd/ca.crt", "front-proxy-ca.crt", "origin", "sa.pub", "sa.key", "encryption.yaml"):
            (site.pki(host) / name).unlink(missing_ok=True)
    result = site.sign()
    assert result["failed"]
    assert "carry certificates of CA CN=plainkube-kubernetes-ca, created in an unknown place" in result["msg"]


def test_one_authority_that_is_lost_is_not_replaced(site):
    site.run()
    (site.directory / "etcd/ca.key").unlink()
    (site.directory / "etcd/ca.crt").unlink()
    before = site.snapshot()
    assert "has no etcd CA, but k1 and 2 more carry" in site.sign()["msg"]
    assert site.snapshot() == before


def test_a_service_account_key_that_is_lost_is_not_replaced(site):
    site.run()
    (site.directory / "sa.key").unlink()
    assert "has no sa.key, but k1 has the one that signs" in site.sign()["msg"]


def test_a_key_that_is_lost_is_asked_for(site):
    site.run()
    (site.directory / "ca.key").unlink()
    assert site.sign()["msg"].startswith(f"{site.directory}/ca.crt exists without its key {site.directory}/ca.key")


@pytest.mark.parametrize(("authority", "stem"), [("etcd", "etcd/ca"), ("front-proxy", "front-proxy-ca")])
def test_an_authority_without_its_key_serves_until_it_has_to_sign(site, authority, stem):
    site.run()
    (site.directory / f"{stem}.key").unlink()
    assert quiet(site.run())
    (site.pki("k1") / "etcd/server.crt").unlink()
    (site.pki("k1") / "front-proxy-client.crt").unlink()
    assert site.sign()["msg"] == (
        f"{site.directory}/{stem}.crt exists without its key {site.directory}/{stem}.key, and k1 needs a certificate from it: restore the key, "
        f"or rotate this CA with plainkube.cluster.certificates and -e certificates_rotate={authority}."
    )


def test_an_operators_authority_without_its_key_is_refused_before_there_is_a_cluster(site):
    site.run()
    for host in site.addresses:
        shutil.rmtree(site.pki(host))
    (site.directory / "etcd/ca.key").unlink()
    answers = {host: site.ask(host) for host in site.addresses}
    message = site.sign(answers=answers, groups=[], state="checked")["msg"]
    assert message.endswith("ca.key: restore the key, or move the certificate away.")


@pytest.mark.parametrize("replaced", [False, True])
def test_the_directory_as_control_planes_have_it_is_enough_to_go_on(site, tmp_path, run_module, replaced):
    """After its loss: what is not there is not needed until it is replaced."""
    site.groups[0]["certificates"][1]["chain"] = True
    site.run()
    options = {"directory": str(site.directory), "cluster_name": "plainkube"}
    for step in ("begin", "advance", "advance") if replaced else ():
        run_module(authority_rotation, step=step, rotate=["kubernetes"], **options)
        site.run()
    names = ["ca.crt", "ca.key", "sa.pub", "sa.key", "encryption.yaml", "etcd/ca.crt", "front-proxy-ca.crt"]
    assert (site.pki("k1") / "ca-cross.crt").exists() is replaced
    site.directory = tmp_path / "new"
    for name in [*names, *(["ca-cross.crt"] if replaced else [])]:
        (site.directory / name).parent.mkdir(exist_ok=True)
        (site.directory / name).write_bytes((site.pki("k1") / name).read_bytes())
    (site.pki("n1") / "kubelet.crt").unlink()
    assert reasons(site.run()) == {"n1": {"kubelet": "it is absent"}}
    assert quiet(site.run())


# The key by which Secrets are encrypted


def keys(site):
    return [key.name for key in _encryption.parse((site.directory / "encryption.yaml").read_text(), "")]


def test_a_new_cluster_encrypts_from_the_first_moment(site):
    site.run()
    assert keys(site) == ["key-1"]
    before = (site.directory / "encryption.yaml").read_bytes()
    assert (site.pki("k1") / "encryption.yaml").read_bytes() == before
    assert (site.pki("k1") / "encryption.yaml").stat().st_mode & 0o777 == 0o600
    assert quiet(site.run())
    assert (site.directory / "encryption.yaml").read_bytes() == before


def test_a_live_cluster_that_never_had_a_key_learns_it_before_it_is_used(site, monkeypatch):
    warnings = []
    monkeypatch.setattr(_here.Here, "warn", lambda module, text: warnings.append(text))
    site.run()
    (site.directory / "encryption.yaml").unlink()
    (site.pki("k1") / "encryption.yaml").unlink()
    assert site.run()["hosts"]["k1"]["secret_files"] == ["encryption.yaml"]
    assert keys(site) == ["identity", "key-1"]
    assert warnings == ["encryption: a new key is known but not used yet; plainkube.cluster.encryption resumes it."]
    assert quiet(site.run())


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("checked", [True, False])
def test_another_key_than_the_cluster_has_is_refused(site, run_module, lost, checked):
    site.run()
    (site.directory / "encryption.yaml").unlink()
    if not lost:
        (site.directory / "encryption.yaml").write_text(_encryption.render(_encryption.first_keys(live=False)))
    before = site.snapshot()
    answers = {host: seen(site, host, run_module) for host in site.addresses}
    options = {"answers": answers, "groups": [], "state": "checked"} if checked else {}
    result = site.sign(**options)
    assert result["failed"]
    assert result["msg"] == (
        f"certificates_directory {site.directory} has {'no encryption.yaml' if lost else 'another key in encryption.yaml'}, but k1 has the key that "
        f"encrypts the cluster's Secrets, created on control node {certificate_sign.socket.gethostname()} in {site.directory}: restore "
        "encryption.yaml from a backup of that directory, or from /encryption.yaml of k1."
    )
    assert site.snapshot() == before


def test_a_node_does_not_say_which_encryption_key_the_cluster_has(site):
    """What it claims would send the operator to fetch a key from it, or leave a new cluster's Secrets in plaintext."""
    lie = {"secret": {"sa.key": "0" * 64}, "encryption": ["key-1 of a liar"]}
    answers = {host: site.ask(host) for host in site.addresses}
    answers["n1"].update(lie)
    assert not site.sign(answers=answers).get("failed")
    assert keys(site) == ["key-1"]
    site.run()
    answers = {host: site.ask(host) for host in site.addresses}
    answers["n1"].update(lie)
    assert not site.sign(answers=answers).get("failed")


def test_control_planes_that_disagree_on_the_encryption_key(site):
    site.run()
    (site.directory / "encryption.yaml").unlink()
    answers = {host: site.ask(host) for host in site.addresses}
    answers["n1"]["encryption"] = ["another key"]
    result = site.sign(answers=answers, control_planes=["k1", "n1"])
    assert result["failed"]
    assert "has no encryption.yaml, and k1 and n1 do not have the same keys in /encryption.yaml" in result["msg"]


@pytest.mark.parametrize("state", ["checked", "signed"])
@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        (
            {"n1": "127.0.0.1"},
            "n1 has the address 127.0.0.1, at which no other host can reach it: set cluster_address for it.",
        ),
        ({"n1": "10.0.0.1"}, "k1 and n1 have the same address 10.0.0.1: set cluster_address for it."),
    ],
)
def test_no_address_of_another_is_signed(site, state, addresses, message):
    result = site.sign(addresses={**site.addresses, **addresses}, state=state)
    assert (result["failed"], result["msg"]) == (True, message)
    assert not site.directory.exists()


def test_no_encryption_key_is_made_without_those_who_may_have_one(site):
    site.run()
    (site.directory / "encryption.yaml").unlink()
    assert "has no encryption.yaml, and whether the cluster has one is unknown without k1" in site.sign("n1")["msg"]


def test_a_file_that_somebody_has_edited_is_refused(site):
    site.run()
    with open(site.directory / "encryption.yaml", "a") as stream:
        stream.write("mine: true\n")
    assert "encryption.yaml is not in the format that this collection writes" in site.sign()["msg"]


def test_all_certificates_can_be_issued_anew(site):
    site.run()
    result = site.run(reissue=True)
    why = "all certificates are reissued"
    assert reasons(result)["n1"] == {"kubelet": why, "etcd/flannel": why}
    assert sum(map(len, reasons(result).values())) == 9
    assert result["hosts"]["k1"]["secret_files"] == []
    assert quiet(site.run())


def test_what_was_begun_is_told_of(site, run_module, monkeypatch):
    warnings = []
    monkeypatch.setattr(_here.Here, "warn", lambda module, text: warnings.append(text))
    site.run()
    answers = {host: seen(site, host, run_module) for host in site.addresses}
    site.sign(answers=answers, groups=[], state="checked")
    assert warnings == []
    options = {"directory": str(site.directory), "cluster_name": "c", "step": "begin"}
    run_module(authority_rotation, rotate=["etcd", "encryption"], **options)
    site.sign(answers=answers, groups=[], state="checked")
    assert warnings == [
        "etcd: two CAs are trusted, and the old one signs; plainkube.cluster.certificates resumes it.",
        "encryption: a new key is known but not used yet; plainkube.cluster.encryption resumes it.",
    ]


@pytest.mark.parametrize(
    ("host", "place"),
    [("k1", "created on control node {here} in {directory}"), ("n1", "created in an unknown place")],
)
def test_hosts_of_another_cluster_are_refused(site, tmp_path, run_module, host, place):
    """A node does not choose the directory that the operator copies CA keys from."""
    site.run()
    other = Site(run_module, tmp_path / "other")
    other.run()
    ours, theirs = (
        _certificates.fingerprint(_certificates.load_certificate((one.directory / "ca.crt").read_text()))
        for one in (site, other)
    )
    os.rename(site.pki(host), tmp_path / "away")
    os.rename(other.pki(host), site.pki(host))
    before = site.snapshot()
    result = site.sign()
    assert result["failed"]
    assert ours in result["msg"]
    assert theirs in result["msg"]
    assert f"but {host} carries certificates of another CA" in result["msg"]
    where = place.format(here=certificate_sign.socket.gethostname(), directory=other.directory)
    assert f"{where}; copy that directory here" in result["msg"]
    assert site.snapshot() == before


def test_a_copy_of_the_directory_on_another_control_node_changes_nothing(site, tmp_path):
    site.run()
    site.directory = site.directory.rename(tmp_path / "copy")
    assert quiet(site.run())


# Killed at any point


def test_a_run_that_is_killed_while_it_makes_the_authorities_is_completed(site, monkeypatch):
    """Whatever was written, the next run ends with what the first would have ended with."""
    write = certificate_sign._files.write

    class KilledError(BaseException):
        pass

    def killed_after(survived, written):
        def killed(module, wanted):
            if len(written) == survived:
                raise KilledError
            written.append(wanted["path"])
            write(module, wanted)

        return killed

    for survived in range(10):
        site.directory = site.top / f"control{survived}"
        written = []
        answers = {host: site.ask(host) for host in site.addresses}
        with monkeypatch.context() as patch:
            patch.setattr(certificate_sign._files, "write", killed_after(survived, written))
            with pytest.raises(KilledError):
                site.sign(answers=answers)
        kept = {path: path.read_bytes() for path in site.directory.rglob("*") if path.is_file()}
        result = site.sign(answers=answers)
        assert not result.get("failed"), result
        assert {path: path.read_bytes() for path in kept} == kept
        assert len(written) == survived


@pytest.mark.parametrize("stop", [("k1",), ("n1",), ()])
def test_a_run_that_is_killed_before_all_is_installed_is_completed(site, stop):
    signed = site.sign()
    for host in stop:
        site.install(signed, host)
    site.run()
    assert quiet(site.run())


def test_two_runs_at_once(site, monkeypatch):
    """The second waits for the first, and tells if it takes too long."""
    site.directory.mkdir(mode=0o700)
    monkeypatch.setattr(certificate_sign._authorities, "LOCK_SECONDS", 0.2)
    with open(site.directory / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        result = site.sign()
    assert result["failed"]
    assert result["msg"].startswith(f"Another run has held {site.directory}/.lock for 0.2 seconds")
    assert [path.name for path in site.directory.iterdir()] == [".lock"]
    site.run()


def test_a_run_that_another_one_overtakes_takes_its_authorities(site, monkeypatch):
    """What was planned without the lock does not count."""
    locked = certificate_sign._authorities.locked

    def overtaken(directory):
        monkeypatch.setattr(certificate_sign._authorities, "locked", locked)
        site.sign()
        overtaken.ca = (site.directory / "ca.crt").read_text()
        return locked(directory)

    monkeypatch.setattr(certificate_sign._authorities, "locked", overtaken)
    result = site.run()
    assert (site.pki("k1") / "ca.crt").read_text() == overtaken.ca
    assert not result["authorities"]["etcd"]["made"]
    assert quiet(site.run())


# The operator's own CA


def test_an_authority_that_expires_is_told_in_time(site, monkeypatch):
    warnings = []
    monkeypatch.setattr(_here.Here, "warn", lambda module, text: warnings.append(text))
    monkeypatch.setattr(_certificates, "AUTHORITY_DAYS", 100)
    site.run()
    assert [text.split(" in ")[0] for text in warnings] == [
        f"The {name} CA" for name in ("kubernetes", "etcd", "front-proxy")
    ]
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=100)
    found = _certificates.load_certificate((site.pki("n1") / "kubelet.crt").read_text())
    assert abs(_certificates.not_after(found) - end) < datetime.timedelta(minutes=1)
    assert quiet(site.run())


def test_a_directory_that_cannot_be_used(site):
    site.directory.write_text("a file")
    result = site.sign()
    assert result["failed"]
    assert result["msg"].startswith(f"certificates_directory {site.directory} cannot be used: ")


# Before anything changes


def seen(site, host, run_module):
    """What module host_facts returns about the host's CAs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pki, "DIRECTORY", str(site.pki(host)))
        return run_module(host_facts)["found"]["pki"]


def test_checking_makes_nothing_and_issues_nothing(site, run_module):
    answers = {host: seen(site, host, run_module) for host in site.addresses}
    result = site.sign(answers=answers, groups=[], state="checked")
    assert (result["changed"], result["msg"]) == (False, f"{site.directory} is in order for 3 hosts.")
    assert not site.directory.exists()
    site.run()
    (site.pki("n1") / "kubelet.crt").unlink()
    answers = {host: seen(site, host, run_module) for host in site.addresses}
    assert not site.sign(answers=answers, groups=[], state="checked")["changed"]


@pytest.mark.parametrize("has_one", [True, False])
def test_checking_finds_hosts_of_another_cluster(site, tmp_path, run_module, has_one):
    site.run()
    other = Site(run_module, tmp_path / "other")
    if has_one:
        other.run()
    site.directory = other.directory
    answers = {host: seen(site, host, run_module) for host in site.addresses}
    result = site.sign(answers=answers, groups=[], state="checked")
    assert result["failed"]
    assert f"certificates_directory {other.directory} has {'the' if has_one else 'no'} kubernetes CA" in result["msg"]
    assert "k1 and 2 more carry certificates of" in result["msg"]
    assert f"in {tmp_path}" in result["msg"]
