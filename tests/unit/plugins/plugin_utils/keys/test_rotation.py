# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What each step of a rotation changes. The tests of module authority_rotation run all steps, and interrupt them."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _rotation

NOW = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.timezone.utc)


def authority(name="etcd", cluster="c", generation=1):
    return _certificates.new_authority(name, cluster, _certificates.new_key(), NOW, generation)


def contents_of(made, stem="etcd/ca"):
    return {
        f"{stem}.crt": _certificates.certificate_text(made.certificate),
        f"{stem}.key": _certificates.key_text(made.key),
    }


@pytest.mark.parametrize(
    ("there", "phase"),
    [
        ([], "steady"),
        (["etcd/ca.next.key"], "steady"),
        (["etcd/ca.next.key", "etcd/ca.rotation"], "begun"),
        (["etcd/ca.rotation"], "switched"),
        (["ca.rotation"], "steady"),
    ],
)
def test_the_phase_is_in_the_directory(there, phase):
    assert _rotation.phase("etcd", dict.fromkeys(there, "x")) == phase


def test_phases_of_all():
    assert _rotation.phases({"encryption.yaml": _encryption.render(_encryption.first_keys(live=True))}) == {
        "kubernetes": "steady",
        "etcd": "steady",
        "front-proxy": "steady",
        "service-account": "steady",
        "encryption": "begun",
    }


@pytest.mark.parametrize(
    ("generation", "name"), [(1, "CN=c-etcd-ca-2"), (2, "CN=c-etcd-ca-3"), (11, "CN=c-etcd-ca-12")]
)
def test_authorities_are_numbered(generation, name):
    changes = _rotation.begin("etcd", contents_of(authority(generation=generation)), "c", NOW)
    bundle = next(change.content for change in changes if change.name == "etcd/ca.crt")
    assert _certificates.load_certificates(bundle)[1].subject.rfc4514_string() == name


def test_what_is_changed_in_which_order():
    contents = {**contents_of(authority("kubernetes"), "ca")}
    orders = []
    for step in (
        lambda: _rotation.begin("kubernetes", contents, "c", NOW),
        lambda: _rotation.switch("kubernetes", contents, NOW),
    ):
        changes = step()
        orders.append([change.name for change in changes])
        for change in changes:
            contents[change.new_name or change.name] = contents.pop(change.name) if change.new_name else change.content
    orders.append([change.name for change in _rotation.finish("kubernetes", contents, NOW)])
    assert orders == [
        ["ca.next.key", "ca.crt", "ca-cross.crt", "ca.rotation"],
        ["ca.rotation", "ca.next.key"],
        ["ca.crt", "ca-cross.crt", "ca.rotation"],
    ]


def test_only_pods_need_a_cross_certificate():
    assert "ca-cross.crt" not in [change.name for change in _rotation.begin("etcd", contents_of(authority()), "c", NOW)]


def test_an_authority_that_may_have_none_below_it_gets_no_cross_certificate(monkeypatch):
    monkeypatch.setattr(_certificates, "_may_have_below", lambda certificate: False)
    changes = _rotation.begin("kubernetes", contents_of(authority("kubernetes"), "ca"), "c", NOW)
    assert [change.name for change in changes] == ["ca.next.key", "ca.crt", "ca.rotation"]


def test_an_authority_that_has_expired_meanwhile_is_told():
    later = NOW + datetime.timedelta(days=_certificates.AUTHORITY_DAYS + 1)
    with pytest.raises(_certificates.CertificateError, match=r"^etcd/ca\.crt expired on "):
        _rotation.begin("etcd", contents_of(authority()), "c", later)


def test_until_when_tokens_are_accepted():
    hours = datetime.timedelta(hours=24)
    assert _rotation.tokens_end({}, hours) is None
    assert _rotation.tokens_end({"sa.rotation": "{}", "sa.next.key": "x"}, hours) is None
    marker = json.dumps({"switched": NOW.isoformat()})
    assert _rotation.tokens_end({"sa.rotation": marker}, hours) == NOW + hours


def test_only_cross_certificates_of_this_authority_that_hold():
    old, mine, other = (authority("kubernetes", generation=number) for number in (1, 2, 3))
    right, wrong = (_certificates.cross_certificate(one.certificate, old, NOW) for one in (mine, other))
    text = "".join(map(_certificates.certificate_text, (wrong, right)))
    assert _rotation.crosses(text, mine.certificate, NOW) == [right]
    assert _rotation.crosses(text, mine.certificate, NOW + datetime.timedelta(days=4000)) == []
    assert _rotation.crosses(None, mine.certificate, NOW) == []


def test_cross_certificates_lead_back_to_the_first_authority():
    line = [authority("kubernetes", generation=number) for number in (1, 2, 3, 4)]
    made = [_certificates.cross_certificate(new.certificate, old, NOW) for old, new in zip(line, line[1:])]
    text = "".join(map(_certificates.certificate_text, [*made, made[0]]))
    assert _rotation.crosses(text, line[3].certificate, NOW) == made[::-1]
    assert _rotation.crosses(text, line[1].certificate, NOW) == made[:1]
    assert _rotation.crosses(text, line[0].certificate, NOW) == []


@pytest.mark.parametrize("name", _rotation.NAMES)
def test_each_phase_has_its_words(name):
    words = [_rotation.describe(name, phase) for phase in ("steady", "begun", "switched")]
    assert len(set(words)) == 3
    assert all(line.startswith(f"{name}: ") for line in words)
