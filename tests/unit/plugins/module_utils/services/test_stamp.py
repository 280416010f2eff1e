# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

UNIT = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/x\n"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config"
    path.write_text("a: 1\n")
    return path


def stamped(unit, inputs, generation="1"):
    return _stamp.append(unit, inputs, _stamp.Stamp(_stamp.compute(unit, inputs), generation))


def test_split_undoes_append(config):
    text = stamped(UNIT, [str(config)], "7")
    body, inputs, stamp = _stamp.split(text)
    assert (body, inputs) == (UNIT, [str(config)])
    assert stamp == _stamp.Stamp(_stamp.compute(UNIT, [str(config)]), "7")
    # The comment is for readers.
    assert _stamp.split(text.replace("# What", "# From what")) == (body, inputs, stamp)
    assert _stamp.split(stamped("# x\n", [])) == ("# x\n", [], _stamp.Stamp(_stamp.compute("# x\n", []), "1"))


def test_a_foreign_unit_has_no_stamp():
    assert _stamp.split(UNIT) == (UNIT, [], None)
    assert "no stamp" in _stamp.mismatch(UNIT, os.getpid())


def test_no_stamp_is_that_of_a_file_that_is_still_to_be_replaced(config):
    """In a plan, its content is not known."""
    pending = _stamp.compute(UNIT, [str(config)], {str(config): _stamp.Pending()})
    assert pending not in (_stamp.compute(UNIT, [str(config)]), _stamp.compute(UNIT, []))
    config.write_text("a: 2\n")
    assert _stamp.compute(UNIT, [str(config)], {str(config): _stamp.Pending()}) == pending != ""


def test_the_sum_follows_the_unit_and_every_input(config):
    sums = {_stamp.compute(UNIT, [str(config)]), _stamp.compute(UNIT + "User=x\n", [str(config)])}
    config.write_text("a: 2\n")
    sums.add(_stamp.compute(UNIT, [str(config)]))
    config.unlink()
    sums.add(_stamp.compute(UNIT, [str(config)]))
    sums.add(_stamp.compute(UNIT, []))
    assert len(sums) == 5


def test_the_sum_can_be_told_before_the_file_is_written(config):
    before = _stamp.compute(UNIT, [str(config)], {str(config): "a: 2\n"})
    config.write_text("a: 2\n")
    assert _stamp.compute(UNIT, [str(config)]) == before


def test_the_order_of_the_inputs_does_not_matter(tmp_path):
    assert _stamp.compute(UNIT, ["/b", "/a", "/a"]) == _stamp.compute(UNIT, ["/a", "/b"])


def test_a_large_file_is_known_by_place_size_and_time(tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(b"x" * ((1 << 20) + 1))
    os.utime(path, ns=(0, 5))
    first = _stamp.fingerprint(str(path))
    os.utime(path, ns=(0, 6))
    assert first != _stamp.fingerprint(str(path))


def test_changed_inputs_names_the_file(config):
    text = stamped(UNIT, [str(config)])
    assert _stamp.changed_inputs(text) == []
    config.write_text("a: 2\n")
    assert _stamp.changed_inputs(text) == [str(config)]


def test_stamp_of_an_environment():
    assert _stamp.of_environment(b"A=1\0PLAINKUBE_STAMP=ab.2\0B=2\0") == "ab.2"
    assert _stamp.of_environment(b"A=1\0") == ""


@pytest.fixture
def process():
    """Start `sleep` with a stamp in its environment, as systemd would."""
    started = []

    def start(stamp):
        started.append(subprocess.Popen(["sleep", "60"], env={_stamp.VARIABLE: str(stamp), "PATH": os.environ["PATH"]}))
        pid = started[-1].pid
        # The kernel shows the new environment a moment after the exec.
        poll(lambda: _stamp.of_process(pid), bool, seconds=5, interval=0.01)
        return pid

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_a_process_matches_what_it_was_started_from(config, process):
    text = stamped(UNIT, [str(config)])
    assert _stamp.mismatch(text, process(_stamp.split(text)[2])) == ""


def test_a_process_from_an_older_unit_is_told(config, process):
    text = stamped(UNIT, [str(config)], "2")
    older = _stamp.split(stamped(UNIT, [str(config)], "1"))[2]
    assert "older" in _stamp.mismatch(text, process(older))


def test_a_file_edited_behind_the_process_is_named(config, process):
    text = stamped(UNIT, [str(config)])
    pid = process(_stamp.split(text)[2])
    config.write_text("a: 3\n")
    assert str(config) in _stamp.mismatch(text, pid)


def test_a_unit_edited_by_hand_is_told(config, process):
    text = stamped(UNIT, [str(config)])
    pid = process(_stamp.split(text)[2])
    assert "unit file was changed" in _stamp.mismatch(text.replace("/bin/x", "/bin/x --insecure"), pid)


def test_a_process_that_runs_another_binary_is_told(process):
    pid = process("x.1")
    assert _stamp.other_binary(pid, "/bin/sh") == "the process does not run /bin/sh, but another file"
    assert _stamp.other_binary(pid, os.path.realpath(f"/proc/{pid}/exe")) == ""
    assert _stamp.other_binary(pid, "/nowhere") == ""
