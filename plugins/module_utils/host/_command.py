# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Runs commands and returns their complete output."""

from __future__ import annotations

import select
import typing as t

if t.TYPE_CHECKING:
    import subprocess

    from ansible.module_utils.basic import AnsibleModule


class Failed(Exception):
    """Something failed while a host was being changed; the text is a sentence without its full stop."""


def run(module: AnsibleModule, command: t.Sequence[str], **options: t.Any) -> tuple[int, str, str]:
    """AnsibleModule.run_command with its options: exit code, stdout and stderr.

    On a busy host, run_command alone can lose the end of the output of a command, and report success: after a second without output, it checks
    whether the command has ended, but does not read what it printed in between (ansible/ansible#51393).
    """
    return module.run_command([*command], before_communicate_callback=_end_when_read, **options)


def check(module: AnsibleModule, *command: str, **options: t.Any) -> str:
    """The output of a command. If it fails, raises Failed with its error on one line."""
    code, out, err = run(module, command, **options)
    if code != 0:
        raise Failed(f"`{' '.join(command)}` failed: {' '.join((err or out).split())[:500]}")
    return out


def output(module: AnsibleModule, *command: str) -> str:
    """The output of a command, even if it fails; empty if it is not installed."""
    try:
        return run(module, command, handle_exceptions=False)[1]
    except OSError:
        return ""


def _end_when_read(process: subprocess.Popen) -> None:
    """Considers a process ended only when there is also nothing left to read from it."""
    poll = process.poll
    pipes = select.poll()
    for stream in filter(None, (process.stdout, process.stderr)):
        pipes.register(stream, select.POLLIN)

    def poll_when_read() -> int | None:
        code = poll()
        # In this order: once a process has ended, all its output is in the pipes.
        return None if code is not None and pipes.poll(0) else code

    process.poll = poll_when_read  # type: ignore[method-assign]  # what run_command calls
