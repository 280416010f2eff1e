# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The desired text of a unit, and why its process must be restarted."""

from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

BODY = "[Service]\nExecStart=/bin/x\n"
CONTENTS = {"/etc/x.yaml": "a: 1\n"}
INPUTS = ["/etc/x.yaml", "/bin/x"]
UNIT = _stamp.wanted_unit(BODY, INPUTS, CONTENTS, None, [])
STAMP = str(_stamp.split(UNIT)[2])


def process(**changes):
    return _stamp.Process("active", "running", 42, STAMP, "")._replace(**changes)


def test_a_new_unit_starts_at_generation_one():
    assert STAMP.endswith(".1")


def test_nothing_changes_where_nothing_differs():
    assert _stamp.wanted_unit(BODY, INPUTS, CONTENTS, UNIT, []) == UNIT
    assert _stamp.restart_reasons(UNIT, UNIT, CONTENTS, [], process()) == []


def test_a_mended_file_gives_a_stamp_that_no_process_carries():
    """If the file was edited and the process restarted, the digest is correct again after the repair, but the stamp must not be."""
    repaired = _stamp.wanted_unit(BODY, INPUTS, CONTENTS, UNIT, ["/etc/x.yaml"])
    assert _stamp.split(repaired)[2] == _stamp.Stamp(STAMP.partition(".")[0], "2")
    assert _stamp.restart_reasons(repaired, UNIT, CONTENTS, ["/etc/x.yaml"], process()) == ["/etc/x.yaml changes"]


def test_a_unit_edited_by_hand_is_written_again_with_a_new_generation():
    edited = UNIT.replace("/bin/x\n", "/bin/x --insecure\n", 1)
    wanted = _stamp.wanted_unit(BODY, INPUTS, CONTENTS, edited, [])
    assert _stamp.split(wanted)[2].generation == "2"
    assert _stamp.restart_reasons(wanted, edited, CONTENTS, [], process()) == ["its unit file changes"]


def test_a_run_that_was_killed_before_the_restart_is_completed():
    assert _stamp.restart_reasons(UNIT, UNIT, CONTENTS, [], process(stamp="0.1")) == [
        "the process was started from an older unit, configuration or binary"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"active_state": "inactive", "sub_state": "dead", "pid": 0}, "it is not running (inactive/dead)"),
        ({"active_state": "failed", "sub_state": "failed", "pid": 0}, "it is not running (failed/failed)"),
        # systemd waits to start it again, after a crash.
        (
            {"active_state": "activating", "sub_state": "auto-restart", "pid": 0},
            "it is not running (activating/auto-restart)",
        ),
        ({"other_binary": "the process runs another file than /bin/x"}, "the process runs another file than /bin/x"),
    ],
)
def test_reasons_that_lie_in_the_process(changes, reason):
    assert _stamp.restart_reasons(UNIT, UNIT, CONTENTS, [], process(**changes)) == [reason]


def test_a_member_that_waits_for_its_quorum_is_left_alone():
    state = process(active_state="activating", sub_state="start")
    assert _stamp.restart_reasons(UNIT, UNIT, CONTENTS, [], state) == []


def test_a_changed_input_is_named(tmp_path):
    certificate = tmp_path / "x.crt"
    certificate.write_text("old")
    inputs = [str(certificate)]
    before = _stamp.wanted_unit(BODY, inputs, {}, None, [])
    certificate.write_text("new")
    after = _stamp.wanted_unit(BODY, inputs, {}, before, [])
    state = process(stamp=str(_stamp.split(before)[2]))
    assert _stamp.restart_reasons(after, before, {}, [], state) == [f"{certificate} changed"]


def test_on_a_bare_host():
    state = process(active_state="inactive", sub_state="dead", pid=0, stamp="")
    assert _stamp.restart_reasons(UNIT, None, CONTENTS, [], state) == ["it is not installed yet"]


PLANNED = {**CONTENTS, "/bin/x": _stamp.Pending()}


def test_a_plan_tells_of_a_restart_for_an_input_that_an_earlier_task_would_replace():
    planned = _stamp.wanted_unit(BODY, INPUTS, PLANNED, UNIT, [])
    assert "X-PlainkubeInput=/bin/x pending\n" in planned
    assert f"{_stamp.VARIABLE}=pending.1\n" in planned
    assert _stamp.restart_reasons(planned, UNIT, PLANNED, [], process(), ["/bin/x"]) == ["/bin/x changes"]


def test_the_run_words_it_as_its_plan_did():
    """After the earlier task: the file is another one by now."""
    before = UNIT.replace(f"/bin/x {_stamp._short('/bin/x')}", "/bin/x 0123456789ab")
    unit = _stamp.wanted_unit(BODY, INPUTS, CONTENTS, before, [])
    reasons = _stamp.restart_reasons(unit, before, CONTENTS, [], process(stamp="0.1"), ["/bin/x"])
    assert reasons == ["/bin/x changes"]


def test_a_plan_leaves_alone_who_does_not_read_the_replaced_file():
    planned = {**CONTENTS, "/bin/other": _stamp.Pending()}
    assert _stamp.wanted_unit(BODY, INPUTS, planned, UNIT, []) == UNIT
    assert _stamp.restart_reasons(UNIT, UNIT, planned, [], process(), ["/bin/other"]) == []
