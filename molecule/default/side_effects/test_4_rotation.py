# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""All CAs and keys are rotated, by a run that is killed: old pods and tokens continue to work, old certificates do not."""

from __future__ import annotations

import json

import pytest

from lab import runs

pytestmark = pytest.mark.turn("default")

OLD, PKI = "/root/old-pki", "/etc/kubernetes/pki"
ROTATE = ["-e", "certificates_rotate=kubernetes,etcd,front-proxy,service-account,encryption"]
REVIEW = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
# Of about 150 tasks, in the second pass: the new CAs already sign, but not every component has a certificate from them.
KILLED_AT = 80


class Hosts:
    """k1 and n1, and the access that their old and new certificates give."""

    def __init__(self, lab):
        self.lab = lab

    def shell(self, host, command):
        return self.lab.demand(host, "sh", "-ec", command).strip()

    def status(self, pki, name, url, ca=f"{PKI}/ca.crt"):
        """The HTTP status of a request with a certificate of k1."""
        return self.shell(
            "k1",
            f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {ca} --cert {pki}/{name}.crt --key {pki}/{name}.key {url}",
        )

    def token_status(self, token):
        url = "https://127.0.0.1:6443/apis/authentication.k8s.io/v1/selfsubjectreviews"
        post = f"-XPOST -H 'Content-Type: application/json' -H 'Authorization: Bearer {token}' -d '{REVIEW}'"
        # The API server may close the connection before it has sent the whole response (18, seen once), but after the status.
        asked = f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {PKI}/ca.crt {post} {url}"
        return self.shell("k1", f"{asked} || [ $? = 18 ]")

    def etcd(self, pki, command="member list"):
        """Exit code and output of etcdctl with a certificate."""
        access = f"--cacert {PKI}/etcd/ca.crt --cert {pki}/etcd/root.crt --key {pki}/etcd/root.key --command-timeout=3s"
        return self.lab.run("k1", "sh", "-c", f"etcdctl --endpoints https://127.0.0.1:2379 {access} {command}")

    def accepted(self, pki):
        """Which servers accept the certificates."""
        kubelet = f"https://{self.lab.address('n1')}:10250/pods"
        return {
            "api": self.status(pki, "admin", "https://127.0.0.1:6443/api"),
            "kubelet": self.status(pki, "apiserver-kubelet-client", kubelet),
            "etcd": self.etcd(pki)[0] == 0,
        }


@pytest.fixture(scope="module")
def hosts(lab):
    made = Hosts(lab)
    made.shell("k1", f"rm -rf {OLD}; cp -a {PKI} {OLD}")
    yield made
    made.shell("k1", f"rm -rf {OLD}")


@pytest.fixture(scope="module")
def before(cluster, hosts):
    """A Secret, a token and the pods from before the rotation."""
    cluster.kubectl("create", "secret", "generic", "before", "--from-literal=a=b")
    yield {"token": cluster.kubectl("create", "token", "default", "--duration=10h"), "pods": pods(cluster)}
    cluster.kubectl("delete", "secret", "before")


def pods(cluster):
    """Names of pods, and how often their containers were restarted."""
    found = json.loads(cluster.kubectl("-n", "kube-system", "get", "pods", "--output=json"))["items"]
    return {
        pod["metadata"]["name"]: [one["restartCount"] for one in pod["status"]["containerStatuses"]] for pod in found
    }


def secret_in_etcd(hosts):
    return hosts.etcd(PKI, "get /registry/secrets/default/before --print-value-only | head -c 27 | tr -d '\\0'")[1]


def test_a_run_is_killed_on_its_way_and_the_cluster_is_well(site, inventory, hosts, before):
    killed = runs.Playbook("certificates", *runs.inventory_arguments(inventory), *ROTATE, kill_at=KILLED_AT).wait()
    assert killed.code == -9, killed.output
    run, _started = site.apply()
    assert "plainkube.cluster.certificates resumes it" in run.output
    assert site.apply()[0].changed == 0
    assert hosts.token_status(before["token"]) == "201"
    for pki in (OLD, PKI):
        assert hosts.accepted(pki) == {"api": "200", "kubelet": "200", "etcd": True}


def test_the_next_run_goes_on_to_the_end(site, hosts, before):
    run = site.run(*ROTATE, playbook="certificates").demand()
    assert "plainkube-kubernetes-ca-2" in run.output
    assert hosts.accepted(PKI) == {"api": "200", "kubelet": "200", "etcd": True}


def test_every_certificate_of_before_is_refused(hosts):
    assert hosts.accepted(OLD) == {"api": "401", "kubelet": "401", "etcd": False}


def test_pods_of_before_go_on(cluster, hosts, before):
    assert pods(cluster) == before["pods"]
    # Like a pod that read the CA only at its start.
    assert hosts.shell("k1", f"curl -s --cacert {OLD}/ca.crt https://127.0.0.1:6443/readyz") == "ok"


def test_secrets_are_encrypted_with_the_new_key_and_read(cluster, hosts, before):
    assert secret_in_etcd(hosts) == "k8s:enc:secretbox:v1:key-2:"
    assert cluster.kubectl("get", "secret", "before", "--output=jsonpath={.data.a}") == "Yg=="


def test_tokens_of_before_are_accepted_until_their_time_is_over(site, hosts, before):
    assert hosts.token_status(before["token"]) == "201"
    site.run("-e", "certificates_token_overlap_hours=0", playbook="certificates").demand()
    assert hosts.token_status(before["token"]) == "401"


def test_nothing_is_left_to_do(site):
    assert site.status(wait=30)["healthy"]
    assert site.apply()[0].changed == 0
    run = site.run(playbook="certificates").demand()
    assert run.changed == 0
