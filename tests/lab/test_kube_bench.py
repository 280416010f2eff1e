# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import re

import pytest
import yaml

from lab import kube_bench
from lab.base import CHECKOUT

OUTPUT = {
    "Controls": [
        {
            "tests": [
                {
                    "results": [
                        {
                            "test_number": "1.1.1",
                            "test_desc": "a",
                            "status": "PASS",
                            "scored": True,
                            "actual_value": "x",
                        },
                        {
                            "test_number": "1.1.9",
                            "test_desc": "b",
                            "status": "WARN",
                            "scored": False,
                            "reason": "no\nfile",
                        },
                    ]
                }
            ]
        }
    ]
}


def test_results_of_all_groups():
    one, other = kube_bench.parse(json.dumps(OUTPUT))
    assert (one.number, one.status, one.scored) == ("1.1.1", "PASS", True)
    assert str(other) == "WARN 1.1.9 b: no file"


def test_a_host_is_compared_with_what_it_is():
    assert kube_bench.targets(etcd=True, control_plane=True, node=False) == ["master", "controlplane", "etcd"]
    assert kube_bench.targets(etcd=False, control_plane=False, node=True) == ["node"]
    assert len(kube_bench.targets(etcd=True, control_plane=True, node=True)) == 4


def test_the_configuration_only_says_where_things_are():
    """No part of the benchmark is skipped, and no component of the collection on such a host may be missing."""
    config = yaml.safe_load(kube_bench.CONFIG)
    assert sorted(config["target_mapping"][kube_bench.BENCHMARK]) == [
        "controlplane",
        "etcd",
        "master",
        "node",
        "policies",
    ]
    optional = [
        (target, name)
        for target, values in config.items()
        for name, value in values.items()
        if isinstance(value, dict) and value.get("optional")
    ]
    assert optional == [("master", "kubelet")]


def test_the_second_look_at_kube_proxy_differs_in_its_file_only():
    one, other = yaml.safe_load(kube_bench.CONFIG), yaml.safe_load(kube_bench.KUBE_PROXY_CONFIG)
    assert one != other
    one["node"]["proxy"]["kubeconfig"] = other["node"]["proxy"]["kubeconfig"]
    assert one == other


@pytest.mark.parametrize("page", ["README.md", "docs/hardening.md"])
def test_the_documentation_names_the_versions_that_run(page):
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    benchmark = kube_bench.BENCHMARK.removeprefix("cis-")
    assert set(re.findall(r"CIS (?:Kubernetes )?[Bb]enchmark (\d[\d.]*\d)", text)) == {benchmark}
    assert set(re.findall(r"kube-bench (\d[\d.]*\d)", text)) <= {kube_bench.PROGRAM.version.removeprefix("v")}
