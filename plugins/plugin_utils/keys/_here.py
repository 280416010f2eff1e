# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Runs modules on the control node in Ansible's own process: a separate process would cost half a second."""

from __future__ import annotations

import contextlib
import os
import types
import typing as t

from ansible.utils.display import Display

display = Display()


class Here:
    """The part of AnsibleModule that these modules use."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool, quiet: bool = False) -> None:
        self.params = params
        self.quiet = quiet
        self.check_mode = check_mode
        self.temporary: list[str] = []

    def warn(self, text: str) -> None:
        if not self.quiet:
            display.warning(text)

    def add_cleanup_file(self, path: str) -> None:
        self.temporary.append(path)

    def clean_up(self) -> None:
        for path in self.temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def run(module: types.ModuleType, params: dict[str, t.Any], check_mode: bool, quiet: bool = False) -> dict[str, t.Any]:
    """The result of a module with these params, whose `directory` is a path; without warnings if `quiet`."""
    here = Here({**params, "directory": os.path.expanduser(params["directory"])}, check_mode, quiet)
    try:
        return module.result_of(here)
    finally:
        here.clean_up()
