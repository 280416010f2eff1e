# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import pathlib
import selectors
import time

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command


@pytest.fixture
def module(run_module):
    """One that could be any module's."""
    found = []

    class Any:
        @staticmethod
        def main():
            module = AnsibleModule({})
            found.append(module)
            module.exit_json()

    run_module(Any)
    return found[0]


@pytest.fixture
def busy(monkeypatch):
    """A host on which the module, after it has waited for output in vain, sleeps until the command has ended."""
    select = selectors.PollSelector.select
    looks = []

    def select_and_sleep(self, timeout=None):
        events = select(self, 0.1)
        looks.append(bool(events))
        if not events:
            time.sleep(1.0)
        return events

    monkeypatch.setattr(selectors.PollSelector, "select", select_and_sleep)
    return looks


def test_what_a_command_prints_at_its_end_is_not_lost(module, busy):
    command = ["sh", "-c", "sleep 0.5; echo out; echo err >&2; exit 3"]
    assert _command.run(module, command) == (3, "out\n", "err\n")
    # It came to where Ansible by itself would have left.
    assert busy[0] is False


def seconds(run):
    """The shortest of some runs: others had to wait for the machine."""
    took = []
    for _attempt in range(5):
        before = time.monotonic()
        assert run() == (0, "x\n", "")
        took.append(time.monotonic() - before)
    return min(took)


def test_a_quick_command_takes_no_longer_than_by_ansible_alone(module):
    """Who waits for output in vain waits for a second."""
    command = ["echo", "x"]
    alone = seconds(lambda: module.run_command(command))
    assert seconds(lambda: _command.run(module, command)) < 5 * alone


def test_more_than_a_pipe_holds(module):
    code, out, dummy = _command.run(module, ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"])
    assert (code, len(out)) == (0, 1_000_000)


def test_a_child_that_keeps_the_pipes_is_not_waited_for(module):
    code, out, dummy = _command.run(module, ["sh", "-c", "echo begun; sleep 60 & echo $!"])
    begun, child = out.split()
    # It lives, or this would fail.
    os.kill(int(child), 9)
    assert (code, begun) == (0, "begun")


def test_options_are_ansibles_own(module):
    assert _command.run(module, ["cat"], data="given", binary_data=True)[1] == "given"
    assert _command.run(module, ["sh", "-c", "echo $A"], environ_update={"A": "b"})[1] == "b\n"
    with pytest.raises(OSError, match="nowhere"):
        _command.run(module, ["/nowhere"], handle_exceptions=False)


def test_no_module_goes_past_it():
    plugins = pathlib.Path(__file__).parents[5] / "plugins"
    texts = {str(path.relative_to(plugins)): path.read_text(encoding="utf-8") for path in plugins.rglob("*.py")}
    assert [name for name, text in texts.items() if ".run_command(" in text] == ["module_utils/host/_command.py"]


def test_a_command_that_fails_is_named(module):
    assert _command.check(module, "sh", "-c", "cat; echo more", data="text") == "text\nmore\n"
    with pytest.raises(_command.Failed, match="^`sh -c echo no >&2; exit 3` failed: no$"):
        _command.check(module, "sh", "-c", "echo no >&2; exit 3")


def test_what_a_command_prints_whether_it_fails_or_is_there(module):
    assert _command.output(module, "sh", "-c", "echo some; exit 3") == "some\n"
    assert _command.output(module, "no-such-program", "x") == ""
