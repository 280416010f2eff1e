# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module kubeconfig."""

from __future__ import annotations

import datetime
import os
import typing as t
import urllib.parse

try:
    import yaml
except ImportError:
    yaml = None

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._kubeconfig import Access
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

Error = _certificates.CertificateError


def load_authority(directory: str, now: datetime.datetime) -> _certificates.Authority:
    path = os.path.join(directory, _certificates.AUTHORITIES["kubernetes"])
    certificate, key = _files.read(f"{path}.crt"), _files.read(f"{path}.key")
    if certificate is None or key is None:
        raise Error(
            f"certificates_directory {directory} does not contain the cluster's CA (ca.crt and ca.key): "
            "run plainkube.cluster.site from here first, or set certificates_directory to the directory that does."
        )
    return _certificates.load_authority("kubernetes", certificate, key, path, now)


def load(path: str, cluster: str) -> Access:
    """The existing kubeconfig. Refuses to overwrite one that is not only for this cluster."""
    try:
        # kubectl writes YAML.
        document = yaml.safe_load(_files.read(path) or "") or {"kind": "Config"}
        found = _kubeconfig.parse(document)
    except (ValueError, yaml.YAMLError):
        raise Error(
            f"kubeconfig_path {path} is not a kubeconfig: choose another path, or move the file away."
        ) from None
    others = [name for name in _kubeconfig.clusters(document) if name != cluster]
    if others:
        raise Error(f"kubeconfig_path {path} also has {', '.join(others)}, which would be lost: choose another path.")
    return found


def default_user() -> str:
    return _files.me()["owner"]


def check_user(user: str) -> str:
    if user.startswith("system:"):
        raise Error(
            f"kubeconfig_user is {user!r}, but names that begin with system: are reserved by Kubernetes: choose another."
        )
    return user


def check_servers(servers: t.Sequence[str]) -> None:
    if not servers:
        raise Error("No control plane has a known address: set cluster_api_endpoint or kubeconfig_server.")
    for server in servers:
        parts = urllib.parse.urlsplit(server)
        if parts.scheme != "https" or not parts.hostname:
            raise Error(f"kubeconfig_server is {server!r}: write it as a URL, like https://127.0.0.1:6443.")


def find_server(servers: t.Sequence[str], current: str, ca: str) -> tuple[str, str]:
    """The first server that responds, and an empty string; or the first server, and why it does not respond."""
    problems = {}
    # The current one first: a kubeconfig should not change with every restart of a server.
    for server in sorted(servers, key=lambda server: server != current):
        found = _probe.get(f"{server}/readyz", ca)
        # An API server that is not ready, or requires authentication, also counts as a response.
        if found.status:
            return server, ""
        problems[server] = found.text
    return next(iter(problems.items()))


class Credentials(t.NamedTuple):
    """The user's certificate and key, and why they were reissued."""

    certificate: str
    key: str
    reasons: list[str]


def reasons_to_issue(found: Access, wanted: _certificates.Wanted, authority: t.Any, now: t.Any, days: int) -> list[str]:
    if not found.key:
        return ["it is absent"]
    try:
        public_key = _certificates.load_key(found.key, "the kubeconfig").public_key()
    except Error:
        return ["its key is unusable"]
    return _certificates.reasons_to_issue(found.certificate, wanted, public_key, authority, now, days)


def credentials(module: AnsibleModule, found: Access, user: str, now: datetime.datetime) -> Credentials:
    params = module.params
    authority = load_authority(params["directory"], now)
    wanted = _certificates.Wanted("kubernetes", user, params["group"], (), ("client",))
    reasons = reasons_to_issue(found, wanted, authority, now, params["renew_before_days"])
    if not reasons:
        return Credentials(found.certificate, found.key, [])
    key = _certificates.new_key()
    certificate = _certificates.issue(wanted, key.public_key(), authority, now, params["validity_days"])
    return Credentials(_certificates.certificate_text(certificate), _certificates.key_text(key), reasons)


def other_reasons(found: Access, server: str, ca: str) -> list[str]:
    reasons = [f"the server is {found.server} and should be {server}"] if found.server != server else []
    return reasons + (["the CA has changed"] if found.ca != ca else [])


def ignored(path: str) -> list[dict[str, t.Any]]:
    """The .gitignore to write next to the kubeconfig, because an inventory's directory is often a repository; none if it already lists the kubeconfig."""
    directory, name = os.path.split(path)
    # git does not follow a link (gitignore(5)), and the link is not ours.
    if os.path.islink(os.path.join(directory, ".gitignore")):
        return []
    there = _files.inspect(os.path.join(directory, ".gitignore"))
    lines = ((there and there.content) or "").splitlines()
    if {f"/{name}", name, "*"} & {line.strip() for line in lines}:
        return []
    content = "".join(f"{line}\n" for line in [*lines, f"/{name}"])
    return [
        {
            "path": os.path.join(directory, ".gitignore"),
            "content": content,
            "mode": there.mode if there else "0644",
            **_files.me(),
        }
    ]


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params, now = module.params, datetime.datetime.now(datetime.timezone.utc)
    days = params["validity_days"], params["renew_before_days"]
    _certificates.check_days(*days, "kubeconfig_validity_days", "certificates_renew_before_days")
    check_servers(params["servers"])
    user = check_user(params["user"] or default_user())
    before = _files.inspect(params["path"])
    found = load(params["path"], params["cluster_name"])
    mine = credentials(module, found, user, now)
    ca_path = os.path.join(params["directory"], "ca.crt")
    ca = _files.read(ca_path) or ""
    server, problem = find_server(params["servers"], found.server, ca_path)

    reasons = mine.reasons + (other_reasons(found, server, ca) if found.key else [])
    content = before.content if before else ""
    if reasons:
        access = Access(server, ca, mine.certificate, mine.key, embedded=True)
        content = _kubeconfig.render(params["cluster_name"], user, access)
    wanted = {"path": params["path"], "content": content, "mode": "0600", "secret": True, **_files.me()}
    # The file with the key comes last.
    files = [(_files.inspect(one["path"]), one) for one in (*ignored(params["path"]), wanted)]
    changes = [(there, one) for there, one in files if not _files.matches(there, one)]
    for _there, one in [] if module.check_mode else changes:
        _files.write(module, one)
    whys = {params["path"]: "; ".join(reasons)}
    actions = [Action("write", one["path"], whys.get(one["path"], "")) for dummy, one in changes]
    return {
        **_actions.result(actions),
        "diff": [_files.diff(there, one) for there, one in changes],
        "path": params["path"],
        "reachable": not problem,
        "server": server,
        "problem": problem,
        "user": user,
        "valid_until": f"{_certificates.not_after(_certificates.load_certificate(mine.certificate)):%Y-%m-%d}",
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "directory": {"type": "path", "required": True},
            "cluster_name": {"type": "str", "required": True},
            "user": {"type": "str", "default": ""},
            "group": {"type": "str", "default": "plainkube:cluster-admins"},
            "servers": {"type": "list", "elements": "str", "required": True},
            "validity_days": {"type": "int", "default": 365},
            "renew_before_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    for library, missing in (("cryptography", _certificates.MISSING), ("PyYAML", yaml is None)):
        if missing:
            module.fail_json(
                msg=f"The Python library {library} is missing on the control node: install it next to ansible-core."
            )
    try:
        result = run(module)
    except Error as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The kubeconfig cannot be written: {error}.")
    module.exit_json(**result)
