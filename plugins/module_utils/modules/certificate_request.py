# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module certificate_request."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

# No certificate is larger than this.
_LIMIT = 1 << 16


def public(content: str) -> str:
    """The text of a file that should be PEM. Other content becomes text that can be sent but is not PEM."""
    return content[:_LIMIT].encode("ascii", "replace").decode()


def digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def wanted_file(path: str, content: str | None) -> dict[str, t.Any]:
    return {
        "path": path,
        "content": content,
        "mode": "0600" if _files.is_secret(path) else "0644",
        "secret": _files.is_secret(path),
        **_files.me(),
    }


def new_key(check_mode: bool) -> str | None:
    return None if check_mode else _certificates.key_text(_certificates.new_key())


def answer(module: AnsibleModule, name: str, contents: t.Mapping[str, str | None]) -> dict[str, t.Any]:
    key, certificate = contents[f"{name}.key"], contents.get(f"{name}.crt")
    request = None
    if key is not None and not _certificates.MISSING:
        path = os.path.join(module.params["directory"], f"{name}.key")
        request = _certificates.request(_certificates.load_key(key, path))
    return {"request": request, "certificate": certificate and public(certificate), "has_key": key is not None}


def apply(module: AnsibleModule, wanted: dict[str, t.Any]) -> None:
    if "content" in wanted:
        _files.write(module, wanted)
    else:
        _files.make_directory(wanted)


def make(module: AnsibleModule, pending: list[Action]) -> dict[str, t.Any]:
    top, names, files = (module.params[option] for option in ("directory", "certificates", "files"))
    keys = [f"{name}.key" for name in names]
    found = {
        name: _files.inspect(os.path.join(top, name)) for name in [*keys, *(f"{name}.crt" for name in names), *files]
    }
    contents: dict[str, str | None] = {name: there.content or "" for name, there in found.items() if there is not None}
    absent = [key for key in keys if key not in contents]
    contents.update({key: new_key(module.check_mode) for key in absent})

    directories = sorted({os.path.dirname(os.path.join(top, name)) for name in ("", *contents)})
    wanted = [{"path": path, "mode": "0755", **_files.me()} for path in directories]
    wanted += [wanted_file(os.path.join(top, name), content) for name, content in contents.items()]
    changes = [(there, entry) for entry in wanted if not _files.matches(there := _files.inspect(entry["path"]), entry)]

    certificates = {name: answer(module, name, contents) for name in names}
    # In check mode, a new key has no content.
    told = {name: content for name in files if (content := contents.get(name)) is not None}
    if not module.check_mode:
        for _there, entry in changes:
            apply(module, entry)
    return {
        **_actions.result([*_actions.written(entry for dummy, entry in changes), *pending]),
        "diff": [_files.diff(there, entry) for there, entry in changes],
        "certificates": certificates,
        "made": [os.path.join(top, key) for key in absent],
        "public": {name: public(content) for name, content in told.items() if not _files.is_secret(name)},
        "secret": {name: digest(content) for name, content in told.items() if _files.is_secret(name)},
        "encryption": _encryption.identify(contents.get(_encryption.FILE)) if _encryption.FILE in files else [],
    }


SPEC = {
    "directory": {"type": "path", "default": _places.PKI},
    "certificates": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
}


def run(module: AnsibleModule) -> dict[str, t.Any]:
    # Unprivileged components read the certificates, whatever the umask of root.
    os.umask(0o022)
    pending = []
    if _certificates.MISSING:
        missing = "The Python library cryptography is missing on this host: install the package python3-cryptography."
        if not module.check_mode:
            module.fail_json(msg=missing, exception=_certificates.MISSING)
        module.warn(missing)
        pending.append(Action("wait", "the Python library cryptography", "it is missing on this host"))
    try:
        return make(module, pending)
    except _certificates.CertificateError as error:
        return module.fail_json(msg=str(error))


def main() -> None:
    _run.main(SPEC, run)
