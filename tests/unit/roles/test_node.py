# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib
import subprocess

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = pathlib.Path(__file__).parents[3] / "roles" / "node"
CLUSTER = ROLE.parent / "cluster"
TAINT = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("control_planes", "nodes", "is_control_plane", "taints"),
    [
        (["k1"], ["k1"], True, []),  # all that there is
        (["k1", "k2", "k3"], ["k1", "k2", "k3"], True, []),
        (["k1"], ["k1", "n1"], True, TAINT),
        (["k1"], ["k1", "n1"], False, []),  # n1
    ],
)
def test_a_control_plane_is_tainted_where_there_are_other_nodes(control_planes, nodes, is_control_plane, taints):
    text = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__node_taints"]
    overall = yaml.safe_load((CLUSTER / "vars" / "main" / "topology.yml").read_text(encoding="utf-8"))[
        "__cluster_overall"
    ]
    variables = {
        "__cluster_control_planes": control_planes,
        "__cluster_nodes": nodes,
        "__cluster_is_control_plane": is_control_plane,
        "__cluster_overall": {name: trust_as_template(value) for name, value in overall.items()},
    }
    assert Templar(DataLoader(), variables=variables).template(trust_as_template(text)) == taints


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Certificates of the CAs `old` and `new`, each with a client's; also an intermediate one, as `signer`, of an unknown root."""
    directory = tmp_path_factory.mktemp("authorities")

    def make(name, *arguments):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
        command = ["openssl", "req", "-x509", *key, "-out", f"{name}.crt", "-subj", f"/CN={name}", *arguments]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)

    authority = ["-addext", "basicConstraints=critical,CA:TRUE"]
    for name in ("old", "new", "root"):
        make(name, *authority)
    make("signer", *authority, "-CA", "root.crt", "-CAkey", "root.key")
    for name in ("old", "new", "signer"):
        make(f"of-{name}", "-addext", "basicConstraints=CA:FALSE", "-CA", f"{name}.crt", "-CAkey", f"{name}.key")
    return directory


def check_certificate(authorities, known, directory):
    bundle = directory.parent / "ca-signer.crt"
    bundle.write_text("".join((authorities / f"{name}.crt").read_text() for name in known), encoding="utf-8")
    program = ROLE / "files" / "kubelet-certificate-check.sh"
    done = subprocess.run([program, str(bundle), str(directory)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("known", "has", "stays"),
    [
        (["new"], "new", True),
        (["new"], "old", False),
        (["old", "new"], "old", True),
        (["signer"], "signer", True),  # its root is not here
        (["new"], None, False),
    ],
)
def test_a_client_certificate_of_a_ca_that_signs_no_more_is_removed(authorities, tmp_path, known, has, stays):
    """As the kubelet has it: a link to a file with certificate and key."""
    directory = tmp_path / "pki"
    directory.mkdir()
    texts = [(authorities / f"of-{has}.{kind}").read_text() for kind in ("crt", "key")] if has else ["broken"]
    (directory / "kubelet-client-2030-01-01-00-00-00.pem").write_text("".join(texts), encoding="utf-8")
    (directory / "kubelet-client-current.pem").symlink_to("kubelet-client-2030-01-01-00-00-00.pem")
    (directory / "kubelet.crt").touch()
    check_certificate(authorities, known, directory)
    left = ["kubelet-client-2030-01-01-00-00-00.pem", *(["kubelet-client-current.pem"] if stays else []), "kubelet.crt"]
    assert sorted(path.name for path in directory.iterdir()) == left
    # At the next start, too.
    check_certificate(authorities, known, directory)


def test_a_kubelet_that_has_never_run_has_nothing_to_check(authorities, tmp_path):
    check_certificate(authorities, ["new"], tmp_path / "pki")
    assert not (tmp_path / "pki").exists()
