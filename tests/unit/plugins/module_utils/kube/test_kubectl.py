# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubectl

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


def test_the_diff_is_reproducible():
    assert _kubectl.clean_diff(DIFF) == (
        "--- apps.v1.Deployment.kube-system.coredns\n+++ apps.v1.Deployment.kube-system.coredns\n"
        "@@ -1,2 +1,2 @@\n kind: Deployment\n-  replicas: 1\n+  replicas: 2\n"
        "--- v1.ServiceAccount.kube-system.coredns\n+++ v1.ServiceAccount.kube-system.coredns\n"
        "@@ -0,0 +1 @@\n+kind: ServiceAccount\n"
    )


def test_differing_objects():
    assert _kubectl.differing(DIFF) == [
        "apps.v1.Deployment.kube-system.coredns",
        "v1.ServiceAccount.kube-system.coredns",
    ]
    assert _kubectl.differing("") == []


@pytest.mark.parametrize(
    ("complaint", "status"),
    [
        (
            "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
            0,
        ),
        ("Unable to connect to the server: dial tcp: i/o timeout", 0),
        ('Error from server (NotFound): namespaces "kube-system" not found', 503),
        ("Error from server (ServiceUnavailable): the server is currently unable to handle the request", 503),
        ('error: unable to decode "STDIN": no kind "Pood" is registered', 400),
        ('Error from server (Forbidden): deployments.apps "coredns" is forbidden: User "x" cannot get', 400),
        (
            'Error from server (Conflict): Operation cannot be fulfilled on services "kube-dns": the object has been modified; please apply',
            503,
        ),
        (
            'The Service "kube-dns" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: '
            "provided IP is already allocated",
            503,
        ),
        ("", 400),
    ],
)
def test_the_status_of_an_error(complaint, status):
    assert _kubectl.status(complaint) == status


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
    assert _kubectl.reason(complaint) == reason


def test_a_missing_namespace():
    complaint = 'W1123 warning\nError from server (NotFound): namespaces "a" not found\nerror: x'
    assert _kubectl.missing_namespace(complaint) == "a"
    assert _kubectl.missing_namespace('Error from server (NotFound): pods "a" not found') == ""
