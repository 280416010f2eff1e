# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.filter import flags as unit_flags

OURS = "  --bind-address=127.0.0.1 \\\n  --key-file=%d/server.key \\\n  --node-ip=${DEFAULT_IPV4} \\\n  --profiling=false\n"


def test_without_flags_of_the_operator_the_lines_stay_as_they_are():
    assert unit_flags.merged(OURS, "kubelet", {}) == OURS


def test_empty_lines_and_missing_backslashes_of_a_template_do_not_matter():
    assert unit_flags.merged("  --a=1\n  \n\n  --b=2 \\\n", "kubelet", {}) == "  --a=1 \\\n  --b=2\n"


def test_the_operators_flags_replace_ours_and_follow_sorted():
    flags = {"v": 4, "profiling": True, "feature-gates": ["A=true", "B=false"]}
    assert unit_flags.merged(OURS, "kubelet", flags) == (
        "  --bind-address=127.0.0.1 \\\n  --key-file=%d/server.key \\\n  --node-ip=${DEFAULT_IPV4} \\\n"
        "  --feature-gates=A=true \\\n  --feature-gates=B=false \\\n  --profiling=true \\\n  --v=4\n"
    )


def test_kubernetes_takes_underscores_for_dashes():
    assert unit_flags.merged("  --node-ip=1\n", "kubelet", {"node_ip": "2"}) == "  --node_ip=2\n"


def test_a_flag_that_begins_like_another_is_another():
    assert unit_flags.merged("  --tls-cert=1\n", "kubelet", {"tls": "2"}) == "  --tls-cert=1 \\\n  --tls=2\n"


def test_an_empty_list_leaves_a_flag_out():
    assert unit_flags.merged("  --a=1 \\\n  --b=2\n", "kubelet", {"b": []}) == "  --a=1\n"


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
    assert unit_flags.quoted(argument) == text
