# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _objects

DIFF = """\
diff -u -N /tmp/LIVE-2971/apps.v1.Deployment.kube-system.coredns /tmp/MERGED-1734/apps.v1.Deployment.kube-system.coredns
--- /tmp/LIVE-2971/apps.v1.Deployment.kube-system.coredns\t2026-11-23 17:38:00.120000000 +0000
+++ /tmp/MERGED-1734/apps.v1.Deployment.kube-system.coredns\t2026-11-23 17:38:00.130000000 +0000
@@ -1,2 +1,2 @@
 kind: Deployment
-  replicas: 1
+  replicas: 2
diff -u -N /tmp/LIVE-2971/v1.ServiceAccount.kube-system.coredns /tmp/MERGED-1734/v1.ServiceAccount.kube-system.coredns
--- /tmp/LIVE-2971/v1.ServiceAccount.kube-system.coredns\t2026-11-23 17:38:00.120000000 +0000
+++ /tmp/MERGED-1734/v1.ServiceAccount.kube-system.coredns\t2026-11-23 17:38:00.130000000 +0000
@@ -0,0 +1 @@
+kind: ServiceAccount
"""


def test_diff_is_the_same_each_time():
    assert _objects.clean_diff(DIFF) == (
        "--- apps.v1.Deployment.kube-system.coredns\n+++ apps.v1.Deployment.kube-system.coredns\n"
        "@@ -1,2 +1,2 @@\n kind: Deployment\n-  replicas: 1\n+  replicas: 2\n"
        "--- v1.ServiceAccount.kube-system.coredns\n+++ v1.ServiceAccount.kube-system.coredns\n"
        "@@ -0,0 +1 @@\n+kind: ServiceAccount\n"
    )


def test_objects_that_differ():
    assert _objects.differing(DIFF) == [
        "apps.v1.Deployment.kube-system.coredns",
        "v1.ServiceAccount.kube-system.coredns",
    ]
    assert _objects.differing("") == []


@pytest.mark.parametrize(
    ("complaint", "silent", "early"),
    [
        (
            "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
            True,
            True,
        ),
        ("Unable to connect to the server: dial tcp: i/o timeout", True, True),
        ('Error from server (NotFound): namespaces "kube-system" not found', False, True),
        ("Error from server (ServiceUnavailable): the server is currently unable to handle the request", False, True),
        ('error: unable to decode "STDIN": no kind "Pood" is registered', False, False),
        ('Error from server (Forbidden): deployments.apps "coredns" is forbidden: User "x" cannot get', False, False),
        (
            'Error from server (Conflict): Operation cannot be fulfilled on services "kube-dns": the object has been modified; please apply',
            False,
            True,
        ),
        (
            'The Service "kube-dns" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: '
            "provided IP is already allocated",
            False,
            True,
        ),
        ("", False, False),
    ],
)
def test_who_complains(complaint, silent, early):
    assert (_objects.silent(complaint), _objects.early(complaint)) == (silent, early)


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ('W1123 warning\nError from server (Forbidden): "x" is forbidden\n', '"x" is forbidden'),
        ("error: the path does not exist", "the path does not exist"),
        ("Unable to connect to the server: EOF", "EOF"),
        ("\n", "no output"),
    ],
)
def test_reason_is_the_last_line(complaint, reason):
    assert _objects.reason(complaint) == reason


NEW = "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\nkind: Pod\nmetadata: {name: b, namespace: a}\n"


@pytest.mark.parametrize(
    ("name", "brings"),
    [("a", True), ("b", False), ("c", False)],
)
def test_a_namespace_that_the_manifest_brings(name, brings):
    complaint = f'Error from server (NotFound): namespaces "{name}" not found'
    assert _objects.in_new_namespace(complaint, NEW) is brings
    assert _objects.in_new_namespace("", NEW) is False


def test_applied_objects():
    assert _objects.applied("namespace/a serverside-applied\nWarning: x\npod/b serverside-applied\n") == [
        "namespace/a",
        "pod/b",
    ]
