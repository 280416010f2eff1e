# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import io
import tarfile

import pytest

from lab.base import LabError
from lab.lab import Lab, host_and_suite


@pytest.mark.parametrize("name", ["", "Demo", "1demo", "a_b", "thirteenchars"])
def test_a_lab_is_named_like_a_network_interface(name):
    with pytest.raises(LabError, match="is not a valid lab name"):
        Lab(name, client=object())


def test_up_refuses_a_host_name_before_it_does_anything():
    with pytest.raises(LabError, match="'K1' is not a valid host name"):
        Lab("demo", client=object()).up(["n1", "K1"])


@pytest.mark.parametrize(
    ("text", "found"), [("n1", ("n1", "trixie")), ("n2:bookworm", ("n2", "bookworm"))], ids=["default", "own"]
)
def test_a_host_may_have_a_debian_of_its_own(text, found):
    assert host_and_suite(text, "trixie") == found


def test_files_are_put_with_their_modes(monkeypatch):
    class Container:
        def run(self, command):
            done.append([*command])
            return 0, b""

        def put(self, directory, data):
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                done.extend((entry.name, entry.mode, archive.extractfile(entry).read()) for entry in archive)

    done = []
    monkeypatch.setattr(Lab, "host", lambda self, name: Container())
    Lab("demo", client=object()).put("n1", "/root/a", {"b/c": (b"text", 0o600), "d": (b"", 0o755)})
    assert done == [["mkdir", "-p", "/root/a"], ("b/c", 0o600, b"text"), ("d", 0o755, b"")]


def test_a_command_that_must_succeed(monkeypatch):
    answers = [(0, "yes\n"), (3, "no\n")]
    monkeypatch.setattr(Lab, "run", lambda self, name, *command: answers.pop(0))
    lab = Lab("demo", client=object())
    assert lab.demand("k1", "true") == "yes\n"
    with pytest.raises(LabError, match="`ls /nowhere` on k1 failed: no$"):
        lab.demand("k1", "ls", "/nowhere")
