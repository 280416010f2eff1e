# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lab import secrets

PEM = serialization.Encoding.PEM
FORMATS = serialization.PrivateFormat
ENCRYPTION_KEY = base64.b64encode(b"k" * 32).decode()


def private(key, form=FORMATS.PKCS8):
    return key.private_bytes(PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("form", [FORMATS.PKCS8, FORMATS.TraditionalOpenSSL])
def test_lines_of_a_key_are_those_with_a_part_of_its_secret(form):
    key = ec.generate_private_key(ec.SECP256R1())
    text = private(key, form)
    found = secrets.material(f"x: 1\n{text}\ny: 2\n")
    assert found
    assert found < set(text.splitlines())
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    assert not secrets.material(public)
    assert secrets.found_in(public, found) == []


def test_all_lines_of_a_key_whose_public_part_is_not_a_line_of_its_own():
    text = private(rsa.generate_private_key(65537, 2048))
    assert len(secrets.material(text)) > 10


def test_keys_of_an_encryption_configuration():
    text = f"providers:\n- secretbox:\n    keys:\n    - name: a\n      secret: {ENCRYPTION_KEY}\n"
    assert secrets.material(text) == {ENCRYPTION_KEY}


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_needles_are_found_plain_and_in_base64_wherever_they_are(before):
    text = private(ec.generate_private_key(ec.SECP256R1()))
    needles = secrets.material(text)
    assert secrets.found_in(before + text, needles)
    assert secrets.found_in(base64.b64encode(f"{before}{text}".encode()).decode(), needles)
    assert secrets.found_in("nothing of it", needles) == []


def test_tokens_are_found_without_being_known():
    token = "eyJhbGciOiJFUzI1NiJ9xyz.eyJpc3MiOiJodHRwczovL2.c2lnbmF0dXJlc2lnbmF0dXJl"
    assert secrets.found_in(f"Bearer {token}", []) == ["eyJhbGciOiJF…"]


def test_files_of_a_directory(tmp_path):
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "ca.key").write_text(private(ec.generate_private_key(ec.SECP256R1())), encoding="utf-8")
    (tmp_path / "ca.crt").write_text("public", encoding="utf-8")
    assert len(secrets.of_directory(tmp_path)) == 2
