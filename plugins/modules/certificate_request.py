#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: A host's private keys, its requests for certificates, and what it has already
version_added: 1.0.0
description:
  - Makes the private keys that are missing (ECDSA P-256) and returns a request for each, signed with the key.
    The keys never leave the host.
  - Returns the certificates and other public files that are there, from which M(plainkube.cluster.certificate_sign) learns
    what is to be issued.
  - Corrects owner and mode of the keys, certificates and directories.
  - A key that is there is never replaced. One that is not an ECDSA P-256 key is an error.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
requirements:
  - cryptography >= 38 (python3-cryptography)
options:
  directory:
    description: Where keys and certificates are kept on the host.
    type: path
    default: /etc/kubernetes/pki
  certificates:
    description: Names of the wanted certificates, as paths below O(directory) without extension.
    type: list
    elements: str
    required: true
  files:
    description:
      - Other files to look at, as paths below O(directory).
      - Of one that ends in C(.key), only the SHA-256 is returned.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    details: Makes no key, so that there is no request for a certificate without one.
  diff_mode:
    support: full
    details: Keys are not shown.
  idempotent:
    support: full
notes:
  - Everything belongs to the user that the module runs as, which is root with C(become).
seealso:
  - module: plainkube.cluster.certificate_sign
  - module: plainkube.cluster.certificate_install
"""

EXAMPLES = r"""
- name: Make the keys and ask for certificates
  plainkube.cluster.certificate_request:
    certificates: [kubelet-client, kubelet-server, etcd/flannel]
    files: [ca.crt, etcd/ca.crt]
  register: answer
"""

RETURN = r"""
certificates:
  description: What is there of each of the wanted certificates, by name.
  returned: success
  type: dict
  sample:
    etcd/flannel: {"certificate": null, "has_key": true, "request": "-----BEGIN CERTIFICATE REQUEST-----…"}
made:
  description: Paths of the keys that were made, or would be.
  returned: success
  type: list
  elements: str
public:
  description: Content of O(files) that are no keys, by name. Those that are absent are left out.
  returned: success
  type: dict
secret:
  description: SHA-256 of O(files) that are keys, by name. Those that are absent are left out.
  returned: success
  type: dict
"""

import hashlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _certificates, _files

# Above this, no file is a certificate.
_LIMIT = 1 << 16


def public(content: str) -> str:
    """The text of a file that should be PEM. Anything else comes out as text that can be sent and is no PEM."""
    return content[:_LIMIT].encode("ascii", "replace").decode()


def digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def is_key(name: str) -> bool:
    return name.endswith(".key")


def wanted_file(path: str, content: str | None) -> dict[str, t.Any]:
    return {
        "path": path,
        "content": content,
        "mode": "0600" if is_key(path) else "0644",
        "secret": is_key(path),
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


def run(module: AnsibleModule) -> dict[str, t.Any]:
    top, names, files = (module.params[option] for option in ("directory", "certificates", "files"))
    keys = [f"{name}.key" for name in names]
    found = {name: _files.look(os.path.join(top, name)) for name in [*keys, *(f"{name}.crt" for name in names), *files]}
    contents = {name: there.content or "" for name, there in found.items() if there is not None}
    absent = [key for key in keys if key not in contents]
    contents.update({key: new_key(module.check_mode) for key in absent})

    directories = sorted({os.path.dirname(os.path.join(top, name)) for name in ("", *contents)})
    wanted = [{"path": path, "mode": "0755", **_files.me()} for path in directories]
    wanted += [wanted_file(os.path.join(top, name), content) for name, content in contents.items()]
    changes = [(there, entry) for entry in wanted if not _files.matches(there := _files.look(entry["path"]), entry)]

    certificates = {name: answer(module, name, contents) for name in names}
    if not module.check_mode:
        for _there, entry in changes:
            apply(module, entry)
    return {
        "changed": bool(changes),
        "diff": [_files.diff(there, entry) for there, entry in changes],
        "certificates": certificates,
        "made": [os.path.join(top, key) for key in absent],
        "public": {name: public(contents[name]) for name in files if name in contents and not is_key(name)},
        "secret": {name: digest(contents[name]) for name in files if name in contents and is_key(name)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/kubernetes/pki"},
            "certificates": {"type": "list", "elements": "str", "required": True},
            "files": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    # Unprivileged components read the certificates, whatever the umask of root.
    os.umask(0o022)
    if _certificates.MISSING:
        missing = "The Python library cryptography is missing on this host: install the package python3-cryptography."
        if not module.check_mode:
            module.fail_json(msg=missing, exception=_certificates.MISSING)
        module.warn(missing)
    try:
        result = run(module)
    except _certificates.CertificateError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
