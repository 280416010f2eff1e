# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module certificate_sign, which its action plugin runs in Ansible's own process."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authorities, _rotation

_OTHERS_REMEDY = "copy that directory here, or set certificates_directory to it"
# What the control planes have of the directory, if it is lost; the other two CAs can be rotated without their keys.
_LOST_REMEDY = (
    "; if it is lost, copy ca.crt, ca.key, sa.pub, sa.key, encryption.yaml, etcd/ca.crt, front-proxy-ca.crt and, if there is one, ca-cross.crt from a "
    "control plane's {directory} to here, and run plainkube.cluster.certificates with -e certificates_rotate=etcd,front-proxy"
)
# Only the certificate of the CA that signs: programs that read this file do not accept a bundle.
_SIGNER = "ca-signer.crt"


class Directory(t.NamedTuple):
    """The directory on the control node: its desired content, and the CAs in it."""

    wanted: list[dict[str, t.Any]]
    contents: dict[str, str]  # by name: CAs, service account keys, encryption keys
    authorities: dict[str, _certificates.Authority]
    made: list[str]  # names of the new keys
    chain: str  # cross certificates to append to certificates of the Kubernetes CA


# The directory on the control node


def missing_key(path: str, name: str, host: str) -> str:
    """Control planes have a copy of the Kubernetes CA's key, but not of the other CAs' keys."""
    if not host:
        return f"{path}.crt exists without its key {path}.key: restore the key, or move the certificate away."
    if name == "kubernetes":
        return f"{path}.crt exists without its key {path}.key: restore the key, from a control plane or a backup."
    return (
        f"{path}.crt exists without its key {path}.key, and {host} needs a certificate from it: restore the key, or rotate this CA with "
        f"plainkube.cluster.certificates and -e certificates_rotate={name}."
    )


def control_planes(module: AnsibleModule) -> dict[str, t.Any]:
    """The answers of the control planes, which are authoritative for the cluster's keys."""
    return {
        host: answer for host, answer in module.params["answers"].items() if host in module.params["control_planes"]
    }


def load_authority(module: AnsibleModule, name: str, contents: dict[str, str], now: t.Any) -> _certificates.Authority:
    """The CA in the directory. Creates a missing key, or a missing certificate for an existing key.

    In an existing cluster, a CA without its key is accepted as long as it need not issue anything, and can be rotated.
    """
    stem = _certificates.AUTHORITIES[name]
    path = os.path.join(module.params["directory"], stem)
    key, certificate = contents.get(f"{stem}.key"), contents.get(f"{stem}.crt")
    if certificate is not None:
        users = [host for host, answer in module.params["answers"].items() if f"{stem}.crt" in answer["public"]]
        if key is None and (name == "kubernetes" or not users):
            raise _certificates.CertificateError(missing_key(path, name, "".join(users[:1])))
        return _certificates.load_authority(name, certificate, key, path, now)
    loaded = (
        _certificates.load_any_key(key, f"{path}.key", "restore the CA's key there") if key else _certificates.new_key()
    )
    authority = _certificates.new_authority(name, module.params["cluster_name"], loaded, now)
    contents[f"{stem}.key"] = key or _certificates.key_text(loaded)
    contents[f"{stem}.crt"] = _certificates.certificate_text(authority.certificate)
    return authority


def load_service_account_keys(module: AnsibleModule, contents: dict[str, str]) -> None:
    path = os.path.join(module.params["directory"], "sa.key")
    text = contents.get("sa.key")
    key = _certificates.load_any_key(text, path, "restore the cluster's key there") if text else _certificates.new_key()
    public = _certificates.public_text(key.public_key())
    contents["sa.key"] = text or _certificates.key_text(key)
    # During a rotation, the file also has the other key.
    if public not in _rotation.public_keys(contents.get("sa.pub")):
        contents["sa.pub"] = public


def load_encryption_keys(module: AnsibleModule, contents: dict[str, str]) -> None:
    path = os.path.join(module.params["directory"], _encryption.FILE)
    if _encryption.FILE in contents:
        _encryption.parse(contents[_encryption.FILE], path)
    else:
        live = any("sa.key" in answer["secret"] for answer in control_planes(module).values())
        contents[_encryption.FILE] = _encryption.render(_encryption.first_keys(live))


def load(module: AnsibleModule, now: datetime.datetime) -> Directory:
    top = module.params["directory"]
    stems = [*_certificates.AUTHORITIES.values()]
    # Keys first: after a crash, a certificate without its key would be useless.
    names = [f"{stem}.{extension}" for stem in stems for extension in ("key", "crt")]
    names += ["sa.key", "sa.pub", _encryption.FILE]
    found = _authorities.read(top, names)
    contents = {**found}
    authorities = {name: load_authority(module, name, contents, now) for name in _certificates.AUTHORITIES}
    load_service_account_keys(module, contents)
    load_encryption_keys(module, contents)
    mine = _authorities.owner(top)
    wanted = [{"path": path, "mode": "0700", **mine} for path in (top, os.path.join(top, "etcd"))]
    # Private keys do not belong in a repository, and the inventory's directory often is one.
    wanted.append({"path": os.path.join(top, ".gitignore"), "content": "*\n", "mode": "0644", **mine})
    wanted += [_authorities.wanted(top, name, contents[name]) for name in names if name in contents]
    made = [name for name in names if _files.is_secret(name) and name not in found and name in contents]
    signer = authorities["kubernetes"].certificate
    contents[_SIGNER] = _certificates.certificate_text(signer)
    contents.update(_authorities.read(top, [_rotation.CROSS]))
    crosses = _rotation.crosses(contents.get(_rotation.CROSS), signer, now)
    return Directory(wanted, contents, authorities, made, "".join(map(_certificates.certificate_text, crosses)))


# Whether the hosts belong to this directory


def some(hosts: t.Sequence[str], one_does: str, they_do: str) -> str:
    """'k1 carries', 'k1 and 2 more carry'."""
    return f"{hosts[0]} {one_does}" if len(hosts) == 1 else f"{hosts[0]} and {len(hosts) - 1} more {they_do}"


def place(module: AnsibleModule, hosts: t.Collection[str]) -> str:
    """Where the keys of these hosts were created, according to the control planes among them, if they agree."""
    told = {
        _certificates.origin_place(answer["public"].get("origin"))
        for host, answer in control_planes(module).items()
        if host in hosts
    }
    found = told.pop() if len(told) == 1 else ""
    return found or "created in an unknown place"


def carriers(module: AnsibleModule, authority: _certificates.Authority) -> dict[str, str]:
    """Host -> the other CA that it has instead of this one."""
    certificate = f"{_certificates.AUTHORITIES[authority.name]}.crt"
    entries = [entry for group in module.params["groups"] for entry in group["certificates"]]
    names = [entry["name"] for entry in entries if entry["authority"] == authority.name]
    found = {}
    for host, answer in module.params["answers"].items():
        leaves = [answer.get("certificates", {}).get(name, {}).get("certificate") for name in names]
        found[host] = _certificates.carried_authority(answer["public"].get(certificate), leaves, authority)
    return {host: other for host, other in found.items() if other}


def check_authority(module: AnsibleModule, directory: Directory, authority: _certificates.Authority) -> None:
    others = carriers(module, authority)
    if not others:
        return
    host, other = next(iter(others.items()))
    carry = some([*others], "carries", "carry")
    ours = f"the {authority.name} CA {authority.certificate.subject.rfc4514_string()} ({_certificates.fingerprint(authority.certificate)})"
    if f"{_certificates.AUTHORITIES[authority.name]}.key" in directory.made:
        raise _certificates.CertificateError(
            f"certificates_directory {module.params['directory']} has no {authority.name} CA, but {carry} certificates "
            f"of CA {other}, {place(module, others)}; {_OTHERS_REMEDY}{_LOST_REMEDY.format(directory=module.params['host_directory'])}."
        )
    raise _certificates.CertificateError(
        f"certificates_directory {module.params['directory']} has {ours}, but {carry} certificates of another CA, "
        f"{other}, {place(module, others)}; {_OTHERS_REMEDY}, or remove {module.params['host_directory']} from a host that is "
        f"left over from another cluster."
    )


def check_service_account_key(module: AnsibleModule, directory: Directory) -> None:
    users = [
        host
        for host, answer in control_planes(module).items()
        if "sa.pub" in answer["public"] or "sa.key" in answer["secret"]
    ]
    if "sa.key" in directory.made and users:
        raise _certificates.CertificateError(
            f"certificates_directory {module.params['directory']} has no sa.key, but {some(users, 'has', 'have')} the one that signs the tokens of the "
            f"cluster's service accounts, {place(module, users)}; {_OTHERS_REMEDY}."
        )


def check_encryption_keys(module: AnsibleModule, directory: Directory) -> None:
    """Refuse keys that the API servers do not have: with them, the cluster's Secrets would be unreadable."""
    mine = _encryption.identify(directory.contents[_encryption.FILE])
    theirs = {host: answer.get("encryption") or [] for host, answer in control_planes(module).items()}
    others = [host for host, keys in theirs.items() if not _encryption.is_successor(mine, keys)]
    if not others:
        return
    top, path = module.params["directory"], os.path.join(module.params["host_directory"], _encryption.FILE)
    lacks = "no encryption.yaml" if _encryption.FILE in directory.made else "another key in encryption.yaml"
    if len({tuple(theirs[host]) for host in others}) > 1:
        raise _certificates.CertificateError(
            f"certificates_directory {top} has {lacks}, and {' and '.join(others)} do not have the same keys in {path}: restore encryption.yaml from "
            "a backup of that directory, or find out which of these keys encrypts the cluster's Secrets, and which host was changed."
        )
    raise _certificates.CertificateError(
        f"certificates_directory {top} has {lacks}, but {some(others, 'has', 'have')} the key that encrypts the cluster's Secrets, "
        f"{place(module, others)}: restore encryption.yaml from a backup of that directory, or from {path} of {others[0]}."
    )


def check(module: AnsibleModule, directory: Directory) -> None:
    """Refuse to sign for hosts of another cluster, and to create CAs for a cluster that may already have them."""
    asked = module.params["authorities"]
    made = directory.made
    for name in asked:
        check_authority(module, directory, directory.authorities[name])
    if {*asked} == {*_certificates.AUTHORITIES}:
        check_service_account_key(module, directory)
        check_encryption_keys(module, directory)
    else:
        made = [f"{_certificates.AUTHORITIES[name]}.key" for name in asked]
        made = [name for name in made if name in directory.made]
    absent = [host for host in module.params["required_hosts"] if host not in module.params["answers"]]
    if made and absent:
        raise _certificates.CertificateError(
            f"certificates_directory {module.params['directory']} has no {made[0]}, and whether the cluster has one is unknown "
            f"without {', '.join(absent)}: run without --limit first, or set certificates_directory to the directory that has it."
        )


# The hosts


def public_key(module: AnsibleModule, host: str, name: str, answer: t.Mapping[str, t.Any]) -> t.Any:
    if answer.get("request"):
        return _certificates.requested_key(answer["request"], host)
    if not module.check_mode:
        raise _certificates.CertificateError(f"{host} sent no request for the certificate {name}: inspect that host.")
    return None


def sign_one(
    module: AnsibleModule, directory: Directory, entry: dict[str, t.Any], host: str, now: datetime.datetime
) -> tuple[str, str]:
    """The reasons to issue a certificate, as text, and the content of its file; empty strings if there are none."""
    answer = module.params["answers"][host]["certificates"].get(entry["name"], {})
    wanted = _certificates.expand(entry, host, module.params["addresses"].get(host, ""))
    authority = directory.authorities[entry["authority"]]
    chain = directory.chain if entry["chain"] else ""
    key = public_key(module, host, entry["name"], answer)
    if answer.get("certificate") and not answer["has_key"]:
        reasons = ["its private key is absent"]
    else:
        reasons = _certificates.reasons_to_issue(
            answer.get("certificate"), wanted, key, authority, now, module.params["renew_before_days"]
        )
        if not reasons and _certificates.chain_text(answer.get("certificate")) != chain:
            reasons = ["its chain has changed"]
        if not reasons and module.params["reissue"]:
            reasons = ["all certificates are reissued"]
    if not reasons:
        return "", ""
    if authority.key is None:
        path = os.path.join(module.params["directory"], _certificates.AUTHORITIES[authority.name])
        raise _certificates.CertificateError(missing_key(path, authority.name, host))
    key = key or _certificates.new_key().public_key()
    certificate = _certificates.issue(wanted, key, authority, now, module.params["validity_days"])
    return "; ".join(reasons), _certificates.certificate_text(certificate) + chain


def check_names(module: AnsibleModule) -> None:
    """Refuse to sign a name or address that does not belong to the host."""
    problem = _certificates.names_problem(
        module.params["groups"], module.params["addresses"], module.params["control_planes"]
    )
    if problem:
        raise _certificates.CertificateError(problem)


def needed(module: AnsibleModule, host: str) -> tuple[list[str], list[dict[str, t.Any]]]:
    """Names of the files and entries of the certificates that a host needs, each once, in the order of the groups."""
    groups = [group for group in module.params["groups"] if host in group["hosts"]]
    files = {name: None for group in groups for name in group["files"]}
    certificates = {entry["name"]: entry for group in groups for entry in group["certificates"]}
    return [*files], [*certificates.values()]


def sign(
    module: AnsibleModule, directory: Directory, host: str, now: datetime.datetime
) -> tuple[dict[str, t.Any], list[dict[str, str]]]:
    """What to do on a host, and the diff."""
    top, answer = module.params["host_directory"], module.params["answers"][host]
    copies, entries = needed(module, host)
    secret = [name for name in copies if _files.is_secret(name)]
    # Cross certificates do not exist until a CA has been rotated.
    files = {name: directory.contents[name] for name in copies if name not in secret and name in directory.contents}
    files = {name: text for name, text in files.items() if answer["public"].get(name) != text}
    actions, diff = [], []
    for entry in entries:
        why, certificate = sign_one(module, directory, entry, host, now)
        if why:
            actions.append(_actions.Action("issue", entry["name"], why))
            files[f"{entry['name']}.crt"] = certificate
            diff.append(difference(module, host, entry["name"], certificate, why))
    # Only together with other files: a second control node with a copy of the directory is not a change.
    if files or (entries and "origin" not in answer["public"]):
        files["origin"] = _certificates.origin_text(socket.gethostname(), module.params["directory"])
    stale = [name for name in secret if answer["secret"].get(name) != digest(directory.contents[name])]
    listed = [{"path": os.path.join(top, name), "content": text} for name, text in files.items()]
    replaced = [os.path.join(top, name) for name in (*files, *stale)]
    told = {"actions": _actions.listed(actions), "files": listed, "replaced": replaced, "secret_files": stale}
    return told, diff


def shown(text: str | None) -> str | None:
    """Certificates described as text, for the diff; other content unchanged."""
    return "".join(map(_certificates.describe, _certificates.load_certificates(text))) or text


def directory_difference(found: t.Any, wanted: dict[str, t.Any]) -> dict[str, str]:
    if wanted.get("secret") or "content" not in wanted:
        return _files.diff(found, wanted)
    before = found and found._replace(content=shown(found.content))
    return _files.diff(before, {**wanted, "content": shown(wanted["content"])})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def difference(module: AnsibleModule, host: str, name: str, certificate: str, why: str) -> dict[str, str]:
    answer = module.params["answers"][host]["certificates"].get(name, {})
    header = f"{host}: {os.path.join(module.params['host_directory'], name)}.crt"
    return {
        "before_header": header,
        "after_header": header,
        "before": shown(answer.get("certificate")) or "",
        "after": f"{shown(certificate)}# issued because {why}\n",
    }


# The run


class Plan(t.NamedTuple):
    directory: Directory
    changes: list[tuple[t.Any, dict[str, t.Any]]]


def make_plan(module: AnsibleModule, now: datetime.datetime) -> Plan:
    directory = load(module, now)
    check(module, directory)
    found = [(_files.inspect(wanted["path"]), wanted) for wanted in directory.wanted]
    return Plan(directory, [(there, wanted) for there, wanted in found if not _files.matches(there, wanted)])


def apply(module: AnsibleModule, now: datetime.datetime, before: Plan) -> Plan:
    """Write the directory. The plan is computed again under the lock."""
    top = module.params["directory"]
    os.makedirs(os.path.dirname(top), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(top, 0o700)
    with _authorities.locked(top):
        plan = make_plan(module, now)
        for _there, wanted in plan.changes:
            if "content" in wanted:
                _files.write(module, wanted)
            else:
                _files.make_directory(wanted)
    # Already created for the lock, so the second plan does not include it.
    made = [change for change in before.changes if change[1]["path"] == top and change[0] is None]
    return plan._replace(changes=made + [change for change in plan.changes if change[1]["path"] != top or not made])


def message(module: AnsibleModule, directory: Directory, hosts: t.Mapping[str, t.Any]) -> str:
    made = [name for name in directory.made if name not in ("sa.key", _encryption.FILE)]
    count = sum(len(entry["actions"]) for entry in hosts.values())
    where = sum(1 for entry in hosts.values() if entry["actions"])
    make, issue = ("Would create", "would issue") if module.check_mode else ("Created", "issued")
    parts = [f"{make} {len(made)} CAs in {module.params['directory']}"] if made else []
    parts += [f"{issue} {count} certificates for {where} hosts"] if count else []
    text = " and ".join(parts) or f"all certificates of {len(hosts)} hosts are up to date"
    return f"{text[0].upper()}{text[1:]}."


def warn_of_end(module: AnsibleModule, authority: _certificates.Authority, now: datetime.datetime) -> None:
    end = _certificates.not_after(authority.certificate)
    if end - now < datetime.timedelta(days=module.params["validity_days"]):
        module.warn(
            f"The {authority.name} CA in {module.params['directory']} expires on {end:%Y-%m-%d}, and its certificates with it."
        )


def warn_of_exposure(module: AnsibleModule) -> None:
    sentence = _authorities.exposure(module.params["directory"])
    if sentence:
        module.warn(sentence)


def warn_of_rotation(module: AnsibleModule) -> None:
    """A rotation may stay unfinished, but not forever."""
    contents = _authorities.read(module.params["directory"], _rotation.files())
    for name, phase in _rotation.phases(contents).items():
        if phase != _rotation.STEADY:
            playbook = "encryption" if name == _rotation.ENCRYPTION else "certificates"
            module.warn(f"{_rotation.describe(name, phase)}; plainkube.cluster.{playbook} resumes it.")


def run(module: AnsibleModule) -> dict[str, t.Any]:
    now = datetime.datetime.now(datetime.timezone.utc)
    days = module.params["validity_days"], module.params["renew_before_days"]
    _certificates.check_days(*days, "certificates_validity_days", "certificates_renew_before_days")
    check_names(module)
    plan = make_plan(module, now)
    if module.params["state"] == "checked":
        warn_of_exposure(module)
        warn_of_rotation(module)
        return {
            **_actions.result([]),
            "msg": f"{module.params['directory']} is in order for {len(module.params['answers'])} hosts.",
        }
    if plan.changes and not module.check_mode:
        plan = apply(module, now, plan)
    if _encryption.FILE in plan.directory.made:
        warn_of_rotation(module)
    signed = {host: sign(module, plan.directory, host, now) for host in module.params["answers"]}
    for authority in plan.directory.authorities.values():
        warn_of_end(module, authority, now)
    hosts = {host: result for host, (result, dummy) in signed.items()}
    diff = [directory_difference(there, wanted) for there, wanted in plan.changes]
    actions = _actions.written(wanted for dummy, wanted in plan.changes)
    return {
        "changed": bool(actions) or any(entry["actions"] for entry in hosts.values()),
        "actions": _actions.listed(actions),
        "diff": [*diff, *(part for dummy, parts in signed.values() for part in parts)],
        "authorities": {
            name: {
                "fingerprint": _certificates.fingerprint(authority.certificate),
                "made": f"{_certificates.AUTHORITIES[name]}.key" in plan.directory.made,
                "subject": authority.certificate.subject.rfc4514_string(),
                "valid_until": f"{_certificates.not_after(authority.certificate):%Y-%m-%d}",
            }
            for name, authority in plan.directory.authorities.items()
        },
        "hosts": hosts,
        "msg": message(module, plan.directory, hosts),
    }


CERTIFICATE_OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "authority": {"type": "str", "choices": ["kubernetes", "etcd", "front-proxy"], "required": True},
    "common_name": {"type": "str", "required": True},
    "organization": {"type": "str", "default": ""},
    "sans": {"type": "list", "elements": "str", "default": []},
    "usages": {"type": "list", "elements": "str", "choices": ["server", "client"], "required": True},
    "chain": {"type": "bool", "default": False},
}

GROUP_OPTIONS: dict[str, t.Any] = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
    "certificates": {"type": "list", "elements": "dict", "default": [], "options": CERTIFICATE_OPTIONS},
}


ARGUMENT_SPEC: dict[str, t.Any] = {
    "directory": {"type": "path", "required": True},
    "cluster_name": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "dict", "required": True, "options": GROUP_OPTIONS},
    "host_directory": {"type": "path", "default": _places.PKI},
    "addresses": {"type": "dict", "default": {}},
    "answers": {"type": "dict", "required": True},
    "control_planes": {"type": "list", "elements": "str", "required": True},
    "required_hosts": {"type": "list", "elements": "str", "default": []},
    "validity_days": {"type": "int", "default": 365},
    "renew_before_days": {"type": "int", "default": 30},
    "reissue": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["signed", "checked"], "default": "signed"},
    "authorities": {
        "type": "list",
        "elements": "str",
        "choices": [*_certificates.AUTHORITIES],
        "default": [*_certificates.AUTHORITIES],
    },
}
