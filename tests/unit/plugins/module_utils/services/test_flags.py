# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _flags


def test_etcd_gets_a_list_as_one_value():
    assert _flags.arguments("etcd", {"cors": ["a", "b"]}) == [("cors", "--cors=a,b")]
    assert _flags.arguments("kubelet", {"cors": ["a", "b"]}) == [("cors", "--cors=a"), ("cors", "--cors=b")]


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--a=b", "--a=b"),
        ("--a=", "--a="),
        ("--a=50%", "--a=50%%"),
        ("--a=$HOME", "--a=$$HOME"),
        ("--a=b c", '"--a=b c"'),
        ("--a=it's", '"--a=it\'s"'),
        ('--a="b"', '"--a=\\"b\\""'),
        ("--a=C:\\x", '"--a=C:\\\\x"'),
    ],
)
def test_quoting(argument, text):
    assert _flags.quoted(argument) == text


# What the programs say


@pytest.mark.parametrize(
    ("code", "output", "complaint"),
    [
        (0, "The kubelet is the primary node agent\n  --v Level", ""),
        (1, "Usage:\n  kube-proxy [flags]\n\nError: unknown flag: --no-such", "unknown flag: --no-such"),
        (
            1,
            'E1129 22:22:27 29094 run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: --no-such"',
            "unknown flag: --no-such",
        ),
        (
            1,
            'run.go:72] "command failed" err="failed: invalid argument \\"abc\\" for \\"-v, --v\\" flag: invalid syntax"',
            "invalid argument 'abc' for '-v, --v' flag: invalid syntax",
        ),
        (2, "flag provided but not defined: -no-such\nUsage:\n", "flag provided but not defined: -no-such"),
        # flanneld ends well whatever it thinks.
        (0, "flag provided but not defined: -no-such\nUsage: flanneld", "flag provided but not defined: -no-such"),
        (2, 'invalid value "abc" for flag -quota: parse error\n', 'invalid value "abc" for flag -quota: parse error'),
        (3, "panic\nwhatever\n", "whatever"),
        (3, "", "it exits with code 3"),
    ],
)
def test_what_a_program_has_against_its_flags(code, output, complaint):
    assert _flags.complaint(code, output) == complaint
