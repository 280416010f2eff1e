# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""How long site.yml takes on fresh prepared hosts until a pod runs, and how long once more: `python -m benchmarks.site`.

Prepared means: the packages are there and the artefacts on the lab's mirror. Prints one line a round.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import time

from lab.lab import Lab

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNITS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
UNITS += ["flanneld", "docker", "cri-dockerd", "kubelet", "kube-proxy"]


def playbook(lab: Lab, name: str, *more: str) -> tuple[float, str]:
    """Run a playbook; return seconds and output, or stop with its output."""
    start = time.monotonic()
    command = [ROOT / ".venv/bin/ansible-playbook", f"playbooks/{name}.yml", "-i", lab.inventory_path(), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name}.yml failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - start, done.stdout


def kubectl(lab: Lab, *arguments: str) -> str:
    code, output = lab.run("k1", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments)
    if code != 0:
        sys.exit(f"kubectl {' '.join(arguments)} failed: {output}")
    return output


def run_pod(lab: Lab) -> None:
    """Start a pod and wait until it runs."""
    reference = next(
        line
        for line in lab.run("n1", "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")[1].split()
        if "agnhost" in line
    )
    kubectl(lab, "run", "bench", f"--image={reference}", "--", "pause")
    kubectl(lab, "wait", "--for=jsonpath={.status.phase}=Running", "--timeout=60s", "pod/bench")


def invocations(lab: Lab) -> dict[str, str]:
    """The InvocationID of every unit of every host: another one means a restart."""
    ids = {}
    for host in lab.hosts():
        for unit in UNITS:
            ids[f"{host}/{unit}"] = lab.run(host, "systemctl", "show", "--value", "-p", "InvocationID", unit)[1].strip()
    return ids


def changed(output: str) -> int:
    """The sum of changed= in the recap."""
    recap = output.rpartition("PLAY RECAP")[2]
    return sum(int(word.partition("=")[2]) for word in recap.split() if word.startswith("changed="))


def one_round(lab: Lab) -> str:
    start = time.monotonic()
    site, dummy = playbook(lab, "site")
    run_pod(lab)
    pod = time.monotonic() - start
    # A cluster at rest, as it is when somebody runs the playbook again.
    time.sleep(20)
    before = invocations(lab)
    again, output = playbook(lab, "site")
    restarted = [name for name, identity in invocations(lab).items() if before[name] != identity]
    status, dummy = playbook(lab, "status")
    return (
        f"site.yml {site:.1f} s, first pod Running after {pod:.1f} s; again {again:.1f} s, "
        f"{changed(output)} changed, {len(restarted)} restarted {' '.join(restarted)}; status.yml {status:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    lab = Lab("bench")
    for number in range(1, rounds + 1):
        lab.down()
        lab.up(prepared=True)
        print(f"round {number}: {one_round(lab)}", flush=True)
    lab.down()


if __name__ == "__main__":
    main()
