# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The proxy is the only way out: what needs it uses it, and nothing else does."""

from __future__ import annotations

import json

import pytest

from lab import machine, network, proxy, registry
from lab import mirror as mirrors

HOSTS = ("k1", "n1", "n2")
NAMESPACE = "pulls"


@pytest.fixture(scope="module")
def gateway(lab):
    return network.subnet_and_gateway(network.find(lab.client, lab.name))[1]


@pytest.fixture
def requests(lab):
    """A function that returns all requests to the proxy so far, with the names of the hosts."""
    names = {lab.address(name): name for name in HOSTS}
    return lambda: [one._replace(client=names.get(one.client, one.client)) for one in proxy.past(lab.name)]


@pytest.mark.parametrize("host", HOSTS)
def test_there_is_no_other_way_out(lab, gateway, host):
    for url in (f"{mirrors.url(gateway)}/images/SHA256SUMS", f"https://{registry.name(gateway)}/v2/"):
        code, output = lab.run(host, "curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "5", url)
        assert code == 7, output  # refused
    code, output = lab.run(
        host, "curl", "--silent", "--max-time", "5", "--proxy", f"http://{gateway}:{proxy.PORT}", mirrors.url(gateway)
    )
    assert (code, "407" in output) == (0, True)


def test_downloads_packages_and_images_came_through_the_proxy(requests, gateway):
    asked = requests()
    archive = proxy.allowed(gateway, machine.debian_mirror(machine.apt_sources())).splitlines()[1]
    for host, binary in (("k1", "kube-apiserver"), ("n1", "kubelet"), ("n2", "kubelet")):
        mine = [one for one in asked if one.client == host]
        assert [one for one in mine if one.url.startswith(mirrors.url(gateway)) and one.url.endswith(f"/{binary}")]
        assert [
            one for one in mine if one.url.endswith(".deb") and f"^{one.host.replace('.', chr(92) + '.')}$" == archive
        ]
    for host in ("n1", "n2"):
        assert [one for one in asked if one == (host, "CONNECT", registry.name(gateway))]


def test_nothing_else_did(requests, gateway):
    """No component connects to API servers, etcd members, kubelets or hosts on the internet through the proxy."""
    hosts = {one.host for one in requests() if one.client in HOSTS}
    assert gateway in hosts
    assert not hosts & {"k1", "n1", "n2", "kubernetes", "localhost"}
    assert not [host for host in hosts if host != gateway and host.replace(".", "").isdigit()]
    assert not [host for host in hosts if host.endswith(("k8s.io", "github.com"))]


def test_both_runtimes_pull_through_the_proxy_for_pods(lab, requests, gateway):
    """The kubelet makes them pull if the image is missing."""
    image = f"{registry.name(gateway)}/pause:"
    (tag,) = [one["name"].rpartition(":")[2] for one in images(lab) if "/pause:" in one["name"]][:1]
    pods = [pod(host, image + tag) for host in ("n1", "n2")]
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *pods]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    lab.put("k1", "/root", {"pulls.json": (manifest, 0o600)})
    before = len(requests())
    try:
        lab.kubectl("k1", "apply", "-f", "/root/pulls.json")
        ready = ("wait", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=60s")
        lab.kubectl("k1", *ready, "pod/n1", "pod/n2")
    finally:
        lab.kubectl("k1", "delete", "namespace", NAMESPACE, "--wait=false")
    tunnels = {one.client for one in requests()[before:] if one.method == "CONNECT" and one.host == gateway}
    assert tunnels == {"n1", "n2"}


def images(lab):
    nodes = json.loads(lab.kubectl("k1", "get", "nodes", "--output=json"))["items"]
    return [{"name": name} for node in nodes for image in node["status"]["images"] for name in image["names"]]


def pod(host, image):
    spec = {
        "nodeName": host,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "pause", "image": image, "imagePullPolicy": "Always"}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": host, "namespace": NAMESPACE}, "spec": spec}
