# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import itertools
import pathlib
import subprocess

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authority_rotation as authority_rotation
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _certificate_sign as certificate_sign

ALL = ["kubernetes", "etcd", "front-proxy", "service-account", "encryption"]
CAS = {"kubernetes": "ca", "etcd": "etcd/ca", "front-proxy": "front-proxy-ca"}
SERVER = {"name": "apiserver", "authority": "kubernetes", "common_name": "api", "sans": ["api"], "usages": ["server"]}


class Control:
    """A control node's directory, and what one host has of it."""

    def __init__(self, run_module, top):
        self.run_module = run_module
        self.directory = top / "pki"
        self.installed = {}
        self.key = _certificates.new_key()

    def sign(self, **arguments):
        request = _certificates.request(self.key)
        leaf = {"certificate": self.installed.get("apiserver.crt"), "has_key": True, "request": request}
        answers = {"k1": {"certificates": {"apiserver": leaf}, "public": self.installed, "secret": {}}}
        files = ["ca.crt", "ca-signer.crt", "etcd/ca.crt", "front-proxy-ca.crt"]
        group = {"hosts": ["k1"], "files": files, "certificates": [{**SERVER, "chain": True}]}
        signed = self.run_module(
            certificate_sign,
            directory=str(self.directory),
            cluster_name="c",
            groups=[group],
            host_directory="/",
            answers=answers,
            control_planes=["k1"],
            **arguments,
        )
        assert not signed.get("failed"), signed["msg"]
        files = {entry["path"][1:]: entry["content"] for entry in signed["hosts"]["k1"]["files"]}
        self.installed.update(files)
        return files

    @property
    def certificate(self):
        return self.installed["apiserver.crt"]

    def rotate(self, step, *names, **arguments):
        directory = str(self.directory)
        options = {"step": step, "rotate": [*names], "cluster_name": "c", "token_overlap_hours": 0, **arguments}
        return self.run_module(authority_rotation, directory=directory, **options)

    def read(self, name):
        return (self.directory / name).read_text()

    def subjects(self, name):
        return [one.subject.rfc4514_string() for one in _certificates.load_certificates(self.read(name))]

    def snapshot(self):
        return {
            path.relative_to(self.directory): path.read_bytes() for path in self.directory.rglob("*") if path.is_file()
        }


@pytest.fixture
def control(run_module, tmp_path):
    made = Control(run_module, tmp_path)
    made.sign()
    return made


def verified(ca, leaf, tmp_path):
    """Whether a client that trusts the CAs in one text takes a server with the certificates in the other."""
    (tmp_path / "trusted").write_text(ca)
    (tmp_path / "sent").write_text(leaf)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "trusted", "-untrusted", tmp_path / "sent"]
    return subprocess.run([*command, tmp_path / "sent"], check=False, capture_output=True).returncode == 0


def test_looking_changes_nothing(control):
    before = control.snapshot()
    found = control.rotate("inspect", *ALL)
    assert (found["changed"], found["going"], found["sentences"], found["tokens_until"]) == (False, [], {}, "")
    assert found["phases"] == dict.fromkeys(ALL, "steady")
    assert control.snapshot() == before


@pytest.mark.parametrize("name", CAS)
def test_an_authority_goes_through_its_phases(control, name):
    stem = CAS[name]
    old_key = control.read(f"{stem}.key")
    phases, trusted = [], []
    for step in ("begin", "advance", "advance"):
        found = control.rotate(step, name)
        assert found["changed"]
        phases.append(found["phases"][name])
        trusted.append(control.subjects(f"{stem}.crt"))
    assert phases == ["begun", "switched", "steady"]
    old, new = f"CN=c-{name}-ca", f"CN=c-{name}-ca-2"
    assert trusted == [[old, new], [old, new], [new]]
    assert control.read(f"{stem}.key") != old_key
    assert not control.rotate("advance")["changed"]
    assert not [path for path in control.directory.rglob("*") if path.name.endswith((".next.key", ".rotation"))]
    assert control.rotate("begin", name)["phases"][name] == "begun"
    assert control.subjects(f"{stem}.crt") == [new, f"CN=c-{name}-ca-3"]


@pytest.mark.parametrize("name", ALL)
def test_a_rotation_advances_only_from_the_state_that_its_run_saw(control, name):
    used = {"in_use": {"key-2": 1}}
    mine = control.rotate("begin", name)["states"]
    theirs = control.rotate("begin", name)["states"]
    assert mine == theirs
    assert control.rotate("advance", expected=theirs)["phases"][name] == "switched"
    before = control.snapshot()
    refused = control.rotate("advance", expected=mine)
    assert refused["failed"]
    assert refused["msg"].startswith(f"Another run has changed {name} in certificates_directory")
    assert control.snapshot() == before
    # Nor from the same phase of a later rotation.
    control.rotate("advance", **used)
    control.rotate("begin", name)
    assert control.rotate("advance", expected=mine)["failed"]


def test_a_rotation_that_another_run_began_is_not_advanced(control):
    mine = control.rotate("begin", "etcd")["states"]
    control.rotate("begin", "kubernetes")
    refused = control.rotate("advance", expected=mine)
    assert refused["msg"].startswith("Another run has changed kubernetes in certificates_directory")
    assert refused["failed"]
    assert control.rotate("inspect")["phases"]["etcd"] == "begun"


def test_certificates_follow_the_phases(control, tmp_path):
    old_ca, old_leaf = control.read("ca.crt"), control.certificate
    control.rotate("begin", "kubernetes")
    files = control.sign()
    assert [*files] == ["ca.crt", "origin"]
    both = files["ca.crt"]
    control.rotate("advance")
    files = control.sign()
    assert [*files] == ["ca-signer.crt", "apiserver.crt", "origin"]
    new_leaf = files["apiserver.crt"]
    control.rotate("advance")
    assert [*control.sign()] == ["ca.crt", "origin"]
    new_ca = control.read("ca.crt")
    assert control.sign() == {}
    assert verified(both, old_leaf, tmp_path)
    assert verified(both, new_leaf, tmp_path)
    assert verified(new_ca, new_leaf, tmp_path)
    assert not verified(new_ca, old_leaf, tmp_path)
    assert verified(old_ca, new_leaf, tmp_path), "a client that knows the old CA alone is lost"
    assert not verified(old_ca, _certificates.certificate_text(_certificates.load_certificate(new_leaf)), tmp_path)


def test_a_second_replacement_keeps_the_chain_of_the_first_and_adds_to_it(control, tmp_path):
    first_ca = control.read("ca.crt")
    for step in ("begin", "advance", "advance"):
        control.rotate(step, "kubernetes")
        control.sign()
    chain = control.certificate
    second_ca = control.read("ca.crt")
    control.rotate("begin", "kubernetes")
    control.sign()
    assert control.certificate == chain
    control.rotate("advance")
    control.sign()
    assert verified(second_ca, control.certificate, tmp_path)
    control.rotate("advance")
    control.sign()
    for ca in (first_ca, second_ca, control.read("ca.crt")):
        assert verified(ca, control.certificate, tmp_path)


def test_the_service_account_key(control):
    old_key, old_public = control.read("sa.key"), control.read("sa.pub")
    control.rotate("begin", "service-account")
    both = control.read("sa.pub")
    assert both.startswith(old_public)
    assert both.count("BEGIN PUBLIC KEY") == 2
    assert control.read("sa.key") == old_key
    control.sign()
    assert control.read("sa.pub") == both, "signing took the new one for a mistake"
    control.rotate("advance")
    assert control.read("sa.key") != old_key
    assert control.read("sa.pub") == both
    control.sign()
    assert control.read("sa.pub") == both
    waiting = control.rotate("advance", token_overlap_hours=24)
    assert (waiting["changed"], waiting["going"], waiting["phases"]["service-account"]) == (False, [], "switched")
    assert waiting["tokens_until"].endswith(" UTC")
    assert control.rotate("begin", "service-account", token_overlap_hours=24)["changed"] is False
    assert control.rotate("advance")["phases"]["service-account"] == "steady"
    assert control.read("sa.pub") == both.replace(old_public, "")


def test_the_encryption_key(control):
    def order():
        return [key.name for key in _encryption.parse(control.read("encryption.yaml"), "")]

    orders = []
    for step in ("begin", "advance", "advance"):
        control.rotate(step, "encryption", in_use={"key-2": 3})
        control.sign()
        orders.append(order())
    assert orders == [["key-1", "key-2"], ["key-2", "key-1"], ["key-2"]]


@pytest.mark.parametrize("name", ["key-1", "identity"])
def test_an_encryption_key_that_is_in_use_stays(control, name):
    control.rotate("begin", "encryption")
    control.rotate("advance")
    before = control.snapshot()
    result = control.rotate("advance", in_use={"key-2": 1, name: 2})
    assert result["failed"]
    assert result["msg"].startswith(f"In etcd, 2 of {name} are not encrypted with key-2 yet")
    assert control.snapshot() == before


def test_an_encryption_key_of_which_nothing_is_known_stays(control):
    control.rotate("begin", "encryption")
    control.rotate("advance")
    before = control.snapshot()
    assert control.rotate("advance")["msg"].startswith("in_use is empty")
    assert control.snapshot() == before


def test_a_note_that_cannot_be_read_is_told(control):
    control.rotate("begin", "etcd")
    (control.directory / "etcd/ca.rotation").write_text("{")
    assert control.rotate("advance")["msg"] == "etcd/ca.rotation cannot be read: restore it from a backup."


def test_all_at_once_and_only_what_was_asked_for(control):
    others = [name for name in ALL if name != "etcd"]
    control.rotate("begin", "etcd")
    control.rotate("advance")
    found = control.rotate("begin", *others)
    assert found["phases"] == {**dict.fromkeys(ALL, "begun"), "etcd": "switched"}
    found = control.rotate("advance")
    assert found["phases"] == {**dict.fromkeys(ALL, "switched"), "etcd": "steady"}
    assert control.rotate("advance", in_use={"key-2": 1})["going"] == []
    assert control.rotate("inspect")["phases"] == dict.fromkeys(ALL, "steady")


def test_check_mode_changes_nothing(control):
    for step, names, options in (("begin", ALL, {}), ("advance", (), {}), ("advance", (), {"in_use": {"key-2": 1}})):
        before = control.snapshot()
        planned = control.rotate(step, *names, **options, _ansible_check_mode=True)
        assert planned["changed"]
        assert control.snapshot() == before
        done = control.rotate(step, *names, **options)
        assert done["actions"] == planned["actions"]
        after = control.snapshot()
        actions = [(verb, pathlib.Path(path).relative_to(control.directory)) for verb, path, dummy in done["actions"]]
        written, removed = ({path for verb, path in actions if verb == one} for one in ("write", "remove"))
        assert written >= {path for path, content in after.items() if before.get(path) != content}
        assert removed == before.keys() - after.keys()
        assert written <= after.keys()


def test_keys_are_the_operators_alone(control):
    control.rotate("begin", *ALL)
    modes = {path.name: path.stat().st_mode & 0o777 for path in control.directory.rglob("*") if path.is_file()}
    secret = {name for name in modes if name.endswith(".key") or name == "encryption.yaml"}
    assert {"ca.key", "ca.next.key", "sa.key", "sa.next.key", "encryption.yaml"} <= secret
    assert {name for name in secret if modes[name] != 0o600} == set()


def test_no_key_is_in_the_result(control):
    text = "".join(str(control.rotate(step, *ALL)) for step in ("begin", "advance", "inspect"))
    keys = [*control.directory.rglob("*.key")]
    assert len(keys) > 3
    for path in keys:
        for line in path.read_text().splitlines():
            assert line.startswith("-----") or line not in text
    assert not any(key.secret in text for key in _encryption.parse(control.read("encryption.yaml"), ""))


class KilledError(BaseException):
    pass


def killed_before(change_number):
    """authority_rotation.apply that dies at a change."""
    apply, made = authority_rotation.apply, []

    def killed(module, change):
        if len(made) == change_number:
            raise KilledError
        made.append(change)
        apply(module, change)

    return killed


def test_a_replacement_that_is_killed_at_any_change_is_resumed(run_module, tmp_path, monkeypatch):
    names = ["kubernetes", "etcd", "service-account"]
    for number in itertools.count():
        control = Control(run_module, tmp_path / str(number))
        control.sign()
        steps = ["begin", "advance", "advance"]
        with monkeypatch.context() as patch:
            patch.setattr(authority_rotation, "apply", killed_before(number))
            try:
                for step in steps:
                    control.rotate(step, *names)
                    control.sign()
            except KilledError:
                pass
            else:
                break
        # What playbooks/certificates.yml does when it is run again with the same names.
        control.rotate("begin", *names)
        for _pass in range(3):
            control.sign()
            found = control.rotate("advance")
        assert found["going"] == []
        assert not [path for path in control.directory.rglob("*") if path.name.endswith((".next.key", ".rotation"))]
        assert control.subjects("ca.crt") == ["CN=c-kubernetes-ca-2"]
        control.sign()
        assert control.sign() == {}
    assert number > 15


def test_an_authority_whose_key_is_lost_is_replaced(control):
    (control.directory / "etcd/ca.key").unlink()
    control.sign()
    for step in ("begin", "advance", "advance"):
        control.rotate(step, "etcd")
        control.sign()
    assert control.subjects("etcd/ca.crt") == ["CN=c-etcd-ca-2"]


def test_certificates_that_an_operator_put_beside_the_ca_stay(control):
    other = _certificates.certificate_text(
        _certificates.new_authority(
            "etcd", "acme", _certificates.new_key(), certificate_sign.datetime.datetime.now()
        ).certificate
    )
    (control.directory / "etcd/ca.crt").write_text(control.read("etcd/ca.crt") + other)
    assert control.rotate("inspect")["phases"]["etcd"] == "steady"
    for step in ("begin", "advance", "advance"):
        control.rotate(step, "etcd")
    assert sorted(control.subjects("etcd/ca.crt")) == ["CN=acme-etcd-ca", "CN=c-etcd-ca-2"]


def test_a_directory_without_authorities(control, tmp_path):
    control.directory = tmp_path / "none"
    result = control.rotate("inspect")
    assert result["failed"]
    assert (
        "does not hold ca.crt, etcd/ca.crt, front-proxy-ca.crt, sa.key, sa.pub, encryption.yaml of this cluster: run plainkube.cluster.site"
        in result["msg"]
    )
