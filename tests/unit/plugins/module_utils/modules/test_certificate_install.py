# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import grp
import json
import os
import pwd

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import certificate_install

PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


@pytest.fixture
def install(run_module, tmp_path):
    me = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}

    def run(files, **arguments):
        listed = [{"path": str(tmp_path / "pki" / name), **me, **options} for name, options in files.items()]
        keys = [{"path": str(tmp_path / "pki/sa.key"), "content": "SECRET"}]
        return run_module(certificate_install, files=listed, keys=keys, _ansible_diff=True, **arguments)

    return run


FILES = {
    "etcd/a.crt": {"content": PEM.format("A")},
    "origin": {"content": "place\n"},
}


def test_files_are_written_and_a_second_run_changes_nothing(install, tmp_path):
    check = install(FILES, _ansible_check_mode=True)
    assert not (tmp_path / "pki").exists()
    result = install(FILES)
    assert result["changed"]
    assert result == check
    assert result["actions"] == [("write", str(tmp_path / "pki" / name), "") for name in (*FILES, "sa.key")]
    assert (tmp_path / "pki/etcd/a.crt").read_text() == PEM.format("A")
    assert (tmp_path / "pki/etcd/a.crt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "pki/sa.key").stat().st_mode & 0o777 == 0o600
    second = install(FILES)
    assert not second["changed"]
    assert second["actions"] == []


def test_only_what_differs_is_written(install, tmp_path):
    install(FILES)
    inode = (tmp_path / "pki/origin").stat().st_ino
    result = install({**FILES, "etcd/a.crt": {"content": PEM.format("B")}})
    assert result["actions"] == [("write", str(tmp_path / "pki/etcd/a.crt"), "")]
    assert (tmp_path / "pki/origin").stat().st_ino == inode


def test_the_diff_has_no_pem(install):
    text = str(install(FILES)["diff"])
    assert "BEGIN" not in text
    assert "place" in text


def test_no_output_has_a_key(tmp_path, capfd):
    """The invocation, which Ansible prints with -vvv, included."""
    key = {"path": str(tmp_path / "sa.key"), "content": "KEY"}
    arguments = {"files": [], "keys": [key], "_ansible_diff": True, "_ansible_inject_invocation": True}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        certificate_install.main()
    out = capfd.readouterr().out
    assert key["path"] in out.partition('"invocation"')[2]
    # From ansible-core 2.22 on, a module names new secrets, and Ansible masks them.
    to_mask = [value for name, value in json.loads(out).items() if name.startswith("_ansible_")]
    assert "KEY" in str(to_mask) or "KEY" not in out


def test_pem_that_differs_is_seen_in_the_diff(install):
    install(FILES)
    (part,) = install({**FILES, "etcd/a.crt": {"content": PEM.format("B")}})["diff"]
    assert part["before"] != part["after"]
