# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _rbac
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd._rbac import Rbac

ROLES = [
    {"name": "flannel", "permissions": [{"key": "/n/", "prefix": True, "access": "readwrite"}]},
    {
        "name": "apiserver",
        "permissions": [
            {"key": "/registry/", "prefix": True, "access": "readwrite"},
            {"key": "compact_rev_key", "prefix": False, "access": "readwrite"},
        ],
    },
]
USERS = [{"name": "flanneld", "roles": ["flannel"]}, {"name": "kube-apiserver", "roles": ["apiserver"]}]
WANT = _rbac.wanted(ROLES, USERS)
EMPTY = Rbac({}, {}, False)
ALL = [
    ["role", "add", "flannel"],
    ["role", "grant-permission", "flannel", "readwrite", "--prefix", "/n/"],
    ["role", "add", "apiserver"],
    ["role", "grant-permission", "apiserver", "readwrite", "--prefix", "/registry/"],
    ["role", "grant-permission", "apiserver", "readwrite", "compact_rev_key"],
    ["user", "add", "flanneld", "--no-password"],
    ["user", "grant-role", "flanneld", "flannel"],
    ["user", "add", "kube-apiserver", "--no-password"],
    ["user", "grant-role", "kube-apiserver", "apiserver"],
    ["user", "add", "root", "--no-password"],
    ["user", "grant-role", "root", "root"],
    ["auth", "enable"],
]


@pytest.mark.parametrize(
    ("prefix", "end"), [("/registry/", "/registry0"), ("a", "b"), ("", "\0"), ("a\udcff", "b"), ("\udcff", "\0")]
)
def test_prefix_end(prefix, end):
    assert _rbac.prefix_end(prefix) == end


def test_permissions():
    def encoded(text):
        return base64.b64encode(text.encode()).decode()

    answer = {
        "perm": [
            {"permType": 2, "key": encoded("/n/"), "range_end": encoded("/n0")},
            {"key": encoded("one")},
            {"permType": "WRITE", "key": encoded("two")},
        ]
    }
    expected = {("/n/", "/n0"): "readwrite", ("one", ""): "read", ("two", ""): "write"}
    assert _rbac.permissions(answer) == expected
    assert _rbac.permissions({}) == {}


def test_commands_from_nothing():
    assert _rbac.commands(EMPTY, WANT) == ALL


def test_commands_when_all_is_there():
    assert _rbac.commands(WANT, WANT) == []
    assert _rbac.after(WANT, WANT) == WANT


def apply(state, command):
    """A model of etcd: the state after one etcdctl command."""
    roles = {role: dict(rights) for role, rights in state.roles.items()}
    users = dict(state.users)
    kind, verb, *rest = command
    if (kind, verb) == ("role", "add"):
        assert rest[0] not in roles
        roles[rest[0]] = {}
    elif kind == "role":
        *dummy, key = rest
        keys = (key, _rbac.prefix_end(key) if "--prefix" in rest else "")
        if verb == "grant-permission":
            roles[rest[0]][keys] = rest[1]
        else:
            del roles[rest[0]][keys]
    elif (kind, verb) == ("user", "add"):
        assert rest[0] not in users
        users[rest[0]] = frozenset()
    elif kind == "user":
        change = {rest[1]}
        users[rest[0]] = users[rest[0]] | change if verb == "grant-role" else users[rest[0]] - change
    return Rbac(roles, users, state.auth or kind == "auth")


@pytest.mark.parametrize("killed_after", range(len(ALL) + 1))
def test_a_killed_run_is_completed(killed_after):
    state = EMPTY
    for command in _rbac.commands(EMPTY, WANT)[:killed_after]:
        state = apply(state, command)
    for command in _rbac.commands(state, WANT):
        state = apply(state, command)
    assert state == WANT


def test_surplus_is_revoked_and_others_left_alone():
    before = Rbac(
        roles={
            **WANT.roles,
            "flannel": {**WANT.roles["flannel"], ("/registry/", "/registry0"): "read", ("x", "\0"): "read"},
        },
        users={**WANT.users, "flanneld": frozenset(["flannel", "root"])},
        auth=True,
    )
    assert _rbac.commands(before, WANT) == [
        ["role", "revoke-permission", "flannel", "--prefix", "/registry/"],
        ["role", "revoke-permission", "flannel", "--from-key", "x"],
        ["user", "revoke-role", "flanneld", "root"],
    ]


def test_another_access_is_granted_anew():
    before = WANT._replace(roles={**WANT.roles, "flannel": {("/n/", "/n0"): "read"}})
    assert _rbac.commands(before, WANT) == [["role", "grant-permission", "flannel", "readwrite", "--prefix", "/n/"]]


@pytest.mark.parametrize(
    ("roles", "users", "sentence"),
    [
        (ROLES, USERS, ""),
        ([{"name": "root", "permissions": []}], [], "must not contain root"),
        (ROLES, [{"name": "u", "roles": ["flanel"]}], "user u has role flanel"),
    ],
)
def test_problem(roles, users, sentence):
    found = _rbac.problem(_rbac.wanted(roles, users))
    assert sentence in found
    assert bool(found) == bool(sentence)


def test_describe():
    assert _rbac.describe(WANT).splitlines() == [
        "auth: on",
        "role apiserver:",
        "  readwrite --prefix /registry/",
        "  readwrite compact_rev_key",
        "role flannel:",
        "  readwrite --prefix /n/",
        "user flanneld: flannel",
        "user kube-apiserver: apiserver",
        "user root: root",
    ]
