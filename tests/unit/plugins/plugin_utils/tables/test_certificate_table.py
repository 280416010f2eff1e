# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _certificate_table as table


def certificate(path, days, **more):
    about = {"subject": "api", "issuer": "ca", "not_after": "2027-01-02T03:04:05Z", "error": ""}
    return {"path": path, "days_left": days, **about, **more}


RESULTS = {
    "k1": {
        "healthy": True,
        "problems": [],
        "certificates": [
            certificate("/b.crt", 364),
            certificate("/ca.crt", 3649, subject="ca"),
            certificate("/a.crt", 12),
        ],
    },
    "n1": {"unreachable": True, "msg": "no route"},
}
ROTATION = {
    "phases": {"etcd": "begun"},
    "sentences": {"etcd": "etcd: two CAs are trusted"},
    "tokens_until": "",
    "going": ["etcd"],
}


def test_a_page():
    found = table.document("c", RESULTS, ROTATION)
    assert table.page(found) == [
        "",
        "HOST  DAYS LEFT  UNTIL       CERTIFICATE               FOR  ISSUED BY",
        "k1    12         2027-01-02  /a.crt                    api  ca",
        "      364        2027-01-02  /b.crt                    api  ca",
        "      3649       2027-01-02  /ca.crt                   ca   itself",
        "n1    -                      is unreachable: no route",
        "",
        "c: 3 certificates on 2 hosts, the first to expire in 12 days",
        "  etcd: two CAs are trusted",
    ]


def test_the_document_is_for_machines():
    found = json.loads(json.dumps(table.document("c", RESULTS, ROTATION)))
    assert found["rotation"] == {
        "phases": {"etcd": "begun"},
        "sentences": {"etcd": "etcd: two CAs are trusted"},
        "tokens_until": "",
    }
    assert [one["path"] for one in found["hosts"]["k1"]["certificates"]] == ["/b.crt", "/ca.crt", "/a.crt"]
    assert found["hosts"]["n1"] == {"problem": "is unreachable: no route", "certificates": []}


def test_expired_and_unreadable_ones():
    results = {
        "k1": {
            "healthy": False,
            "problems": ["one"],
            "certificates": [certificate("/a", -3), certificate("/b", 0, error="no PEM", not_after="")],
        }
    }
    lines = table.page(table.document("c", results, {}))
    assert lines[2].split()[:2] == ["k1", "EXPIRED"]
    assert lines[3].split() == ["-", "/b", "no", "PEM", "ca"]
    assert lines[-1] == "c: 1 of 1 certificates on 1 hosts have expired"


def test_until_when_tokens_are_accepted():
    found = table.document("c", RESULTS, {**ROTATION, "tokens_until": "2026-11-26 22:00 UTC"})
    assert table.page(found)[-1] == "  service-account: until 2026-11-26 22:00 UTC"


def test_nothing_at_all():
    assert table.page(table.document("c", {}, {}))[-1] == "c: no certificate was found"
