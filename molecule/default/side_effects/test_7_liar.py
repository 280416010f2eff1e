# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A node whose Python returns what an attacker wants: none of it has an effect on the control node or on other hosts.

/srv/lies.json on the node has the forged results, which replace those of modules."""

from __future__ import annotations

import json

import pytest

from lab import mirror
from lab.runs import playbook

REAL = "/usr/bin/python3.honest"
# Only Ansible's modules are forged, recognized by their file name or, with pipelining, by standard input. The lab's own scripts need Python, too.
LIAR = f"""#!{REAL}
import json, os, subprocess, sys
if sys.argv[1:] and not any("AnsiballZ" in one for one in sys.argv[1:]):
    os.execv("{REAL}", ["{REAL}", *sys.argv[1:]])
done = subprocess.run(["{REAL}", *sys.argv[1:]], input=None if sys.argv[1:] else sys.stdin.buffer.read(), stdout=subprocess.PIPE)
output = done.stdout
try:
    answer = json.loads(output)
    lies = json.load(open("/srv/lies.json"))
    found = {{**answer.get("found", {{}}), **lies.pop("found", {{}})}}
    output = json.dumps({{**answer, **lies, **({{"found": found}} if "found" in answer else {{}})}}).encode()
except ValueError:
    pass
sys.stdout.buffer.write(output)
sys.exit(done.returncode)
"""
# The node's own Python, which Ansible finds by itself.
BEGIN = f"set -e; python=$(readlink -f /usr/bin/python3); cp -p $python {REAL}; install -m 755 /root/liar.py $python.new; mv $python.new $python"
END = f"python=$(readlink -f /usr/bin/python3); cp -p {REAL} $python.new && mv $python.new $python && rm -f {REAL} /root/liar.py /srv/lies.json"
RED = "\x1b[31mok: [n2]\x1b[0m"


@pytest.fixture(scope="module")
def lie(lab):
    """A function that makes n1 return forged results."""

    def tell(**lies):
        lab.put("n1", "/srv", {"lies.json": (json.dumps(lies).encode(), 0o644)})

    tell()
    lab.put("n1", "/root", {"liar.py": (LIAR.encode(), 0o755)})
    lab.demand("n1", "sh", "-c", BEGIN)
    yield tell
    lab.demand("n1", "sh", "-c", END)


@pytest.fixture(params=["ansible's defaults", "our ansible.cfg"])
def run(request, inventory, tmp_path):
    empty = tmp_path / "ansible.cfg"
    empty.touch()
    environment = {} if request.param == "our ansible.cfg" else {"ANSIBLE_CONFIG": str(empty)}
    return lambda name, *arguments: playbook(name, inventory, *arguments, environment=environment)


def test_the_host_lies(lie, inventory, tmp_path):
    """Results of other collections' modules reach Ansible unchanged, so the forged results arrive."""
    lie(ansible_facts={"status_file": "/nowhere"})
    tmp_path.joinpath("facts.yml").write_text(
        "- hosts: n1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n    - ansible.builtin.debug: {var: ansible_facts.status_file}\n",
        encoding="utf-8",
    )
    assert "/nowhere" in playbook(str(tmp_path / "facts"), inventory).demand().output


def test_facts_of_an_answer_override_nothing(lie, run, tmp_path):
    owned = tmp_path / "owned"
    variables = {
        "artifacts_mirror": "/",
        "certificates_directory": str(owned),
        "cluster_control_plane_group": "all",
        "kubeconfig_path": str(owned),
        "status_file": str(owned),
    }
    lie(ansible_facts=variables, add_host={"host_name": "evil", "groups": ["control_plane"]}, add_group="control_plane")
    kubeconfig = tmp_path / "kubeconfig"
    runs = (
        run("status"),
        run("site", "--check"),
        run("site"),
        run("certificates"),
        run("kubeconfig", "-e", f"kubeconfig_path={kubeconfig}"),
    )
    for found in runs:
        assert "evil" not in found.demand().output
    assert [found.changed for found in runs] == [0, 0, 0, 0, 1]
    assert kubeconfig.exists()
    assert not owned.exists()


def test_text_of_an_answer_does_not_control_the_terminal(lie, run):
    lie(failed=True, msg=f"{RED}\rok: [k1]", warnings=[RED])
    found = run("site", "--check")
    assert found.code > 0
    assert "\x1b" not in found.output
    assert "\\x1b[31mok: [n2]" in found.output


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"addresses": [{"interface": "eth0", "address": "203.0.113.9; id", "prefix": 24}]}, "addresses[0].address"),
        ({"architecture": "../../../etc"}, "architecture"),
        ({"pki": {"public": {"ca.crt": 7}, "secret": []}}, "pki.public.ca.crt"),
        ({"services": {"k1": "evil"}}, "services"),
    ],
)
def test_facts_of_another_type_are_refused(lie, run, told, wrong):
    lie(found=told)
    found = run("site", "--check")
    assert found.code > 0
    assert f"Host n1 answered module plainkube.cluster.host_facts with no valid {wrong}" in " ".join(
        found.output.split()
    )
    assert found.changed == 0


def test_a_host_chooses_neither_its_address_nor_another_ones(lie, run, lab):
    """Nor can it claim which keys the cluster has, or where they are."""
    pki = {
        "public": {"origin": "control node: evil\ndirectory: /evil\n"},
        "secret": ["sa.key"],
        "encryption": ["key-9 0123456789abcdef"],
    }
    lie(found={"address": lab.address("k1"), "servers": {"k1": "203.0.113.9"}, "pki": pki})
    found = run("site", "--check").demand()
    assert found.changed == 0
    assert "evil" not in found.output


def test_a_host_gets_no_file_for_the_asking(lie, run, lab):
    """The mirror is a directory on the control node, and hosts name the files that they lack."""
    key = "../ssh/id_ed25519"
    lie(answers={"artifacts": {"failed": True}}, replaced=["/usr/local/bin/kubelet"], missing=[key])
    found = run("site", "-e", f"artifacts_mirror={mirror.directory()}")
    assert found.code > 0
    assert f'n1 requested "{key}" from artifacts_mirror, which is not a file of this cluster\'s versions' in " ".join(
        found.output.split()
    )
    assert found.changed == 0
    assert lab.run("n1", "sh", "-c", "ls /opt/plainkube/.copied || find / -xdev -name id_ed25519 | grep .")[0] != 0


def test_a_host_that_denies_its_address_is_refused(lie, run, lab):
    lie(found={"addresses": [{"interface": "eth0", "address": lab.address("k1"), "prefix": 24}]})
    found = run("site")
    assert found.code > 0
    said = f"Ansible connects to n1 at {lab.address('n1')}, which is not an address of that host ({lab.address('k1')} (eth0))"
    assert said in " ".join(found.output.split())
    assert found.changed == 0


def test_the_cluster_is_as_it_was(lie, site):
    lie()
    assert site.run().demand().changed == 0
