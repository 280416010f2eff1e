# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Runs the modules that work on the CA directory in Ansible's own process: a separate process would cost half a second."""

from __future__ import annotations

import contextlib
import os
import types
import typing as t

from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption

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
    """The whole result of a module with these params, a failure included; without its warnings, if `quiet`."""
    if _certificates.MISSING:
        return {
            "failed": True,
            "msg": "The Python library cryptography is missing on the control node: install it next to ansible-core (pip install cryptography).",
            "exception": _certificates.MISSING,
        }
    here = Here({**params, "directory": os.path.expanduser(params["directory"])}, check_mode, quiet)
    try:
        return module.run(here)
    except (_certificates.CertificateError, _encryption.EncryptionError) as error:
        return {"failed": True, "msg": str(error)}
    except OSError as error:
        return {"failed": True, "msg": f"certificates_directory {here.params['directory']} cannot be used: {error}."}
    finally:
        here.clean_up()
