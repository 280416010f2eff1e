# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _encryption as encryption

ONE, TWO = (
    encryption.Key(1, base64.b64encode(b"1" * 32).decode()),
    encryption.Key(2, base64.b64encode(b"2" * 32).decode()),
)
ORDERS = [[ONE], [encryption.PLAIN, ONE], [ONE, encryption.PLAIN], [ONE, TWO], [TWO, ONE]]


@pytest.mark.parametrize("keys", ORDERS)
def test_a_rendered_kubeconfig_is_parsed_again(keys):
    assert encryption.parse(encryption.render(keys), "f") == keys


@pytest.mark.parametrize("keys", ORDERS)
def test_comments_do_not_matter(keys):
    head, *lines = encryption.render(keys).splitlines()
    assert head.startswith("# ")
    for other in ([], ["# In the words of another release."], ["# two", "  # lines"]):
        assert encryption.parse("".join(f"{line}\n" for line in [*other, *lines]), "f") == keys
        assert encryption.parse("".join(f"{line}\n" for line in [*lines[:6], *other, *lines[6:]]), "f") == keys


def test_it_is_what_an_api_server_reads():
    found = yaml.safe_load(encryption.render([TWO, encryption.PLAIN]))
    assert found["kind"] == "EncryptionConfiguration"
    assert found["resources"] == [
        {
            "resources": [*encryption.RESOURCES],
            "providers": [{"secretbox": {"keys": [{"name": "key-2", "secret": TWO.secret}]}}, {"identity": {}}],
        }
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind: EncryptionConfiguration\n",
        encryption.render([]),
        encryption.render([encryption.PLAIN]),
        encryption.render([ONE, ONE]),
        encryption.render([ONE, TWO, encryption.PLAIN]),
        encryption.render([encryption.Key(1, "c2hvcnQ=")]),
        encryption.render([encryption.Key(1, "no-base64!")]),
        encryption.render([ONE]) + "  - resources: [events]\n",
        encryption.render([ONE]) + "\n",
        encryption.render([ONE]).replace("name: key-1\n", "name: key-1 # the first\n"),
        encryption.render([ONE]).replace("          keys:\n", "          # keys:\n"),
    ],
)
def test_another_file_is_refused(text):
    with pytest.raises(
        encryption.EncryptionError, match=r"^/d/encryption\.yaml is not in the format that this collection writes: "
    ):
        encryption.parse(text, "/d/encryption.yaml")
    assert encryption.identify(text) == []


def test_a_change_of_keys_tells_its_phase_by_the_file():
    keys = encryption.first_keys(live=False)
    assert [key.number for key in keys] == [1]
    numbers = []
    for step in (encryption.begin, encryption.switch, encryption.finish):
        numbers.append((encryption.phase(keys), [key.number for key in keys]))
        keys = step(keys)
    assert numbers == [("steady", [1]), ("begun", [1, 2]), ("switched", [2, 1])]
    assert (encryption.phase(keys), [key.number for key in keys]) == ("steady", [2])


def test_a_live_cluster_reads_before_it_writes():
    keys = encryption.first_keys(live=True)
    assert encryption.phase(keys) == "begun"
    assert [key.name for key in encryption.switch(keys)] == ["key-1", "identity"]
    assert encryption.phase(encryption.switch(keys)) == "switched"


def test_keys_are_told_apart_without_being_told():
    text = encryption.render([TWO, ONE])
    assert [line.split()[0] for line in encryption.identify(text)] == ["key-1", "key-2"]
    assert not any(secret in str(encryption.identify(text)) for secret in (ONE.secret, TWO.secret))
    assert encryption.identify(None) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "right"),
    [
        ([ONE], [ONE], True),
        ([ONE, TWO], [ONE], True),
        ([TWO, ONE], [ONE, TWO], True),
        ([TWO], [TWO, ONE], True),
        ([ONE], [ONE, TWO], False),
        ([ONE], [TWO, ONE], False),
        ([TWO], [ONE], False),
        ([ONE], [encryption.Key(1, TWO.secret)], False),
        ([encryption.PLAIN, ONE], [ONE], True),
    ],
)
def test_which_file_may_follow_which(mine, theirs, right):
    assert encryption.is_successor(*(encryption.identify(encryption.render(keys)) for keys in (mine, theirs))) is right


def test_a_host_without_a_file_takes_any():
    assert encryption.is_successor(["key-1 0"], [])


def test_what_values_are_encrypted_with():
    values = [b"k8s:enc:secretbox:v1:key-1:\x00", b"k8s:enc:secretbox:v1:key-12:x", b"k8s\x00\n", b"k8s:enc:kms:v2:x:"]
    assert encryption.uses([*values, values[0]]) == {"key-1": 2, "key-12": 1, "identity": 1, "another provider": 1}
