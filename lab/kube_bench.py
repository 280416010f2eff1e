# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""kube-bench, which compares a host with the CIS benchmark."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from lab import programs
from lab.base import FILES, LabError
from lab.lab import Lab

BENCHMARK = "cis-1.12"
PROGRAM = programs.Program(
    "kube-bench",
    "github.com/aquasecurity/kube-bench",
    "0.15.6",
    "h1:r1p/dGN8IxGowV+hfTw5Lk2IaRV79dZcq0xd6MincJ8=",
    version_variable="cmd.KubeBenchVersion",
    checks=f"cfg/{BENCHMARK}",
)
PLACE = "/root/kube-bench"
CONFIG = (FILES / "kube-bench.yaml").read_text(encoding="utf-8")
# Check 4.3.1 expects kube-proxy's setting in its kubeconfig, where it cannot be. So it runs again on the file that has it.
KUBE_PROXY_CONFIG = CONFIG.replace("/etc/kubernetes/kube-proxy.conf", "/etc/kubernetes/kube-proxy.yaml")


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one check on one host."""

    number: str
    status: str  # PASS, FAIL, WARN or INFO
    scored: bool
    text: str
    reason: str  # reason for the status, or the actual value

    def __str__(self) -> str:
        return f"{self.status} {self.number} {self.text}{f': {self.reason}' if self.reason else ''}"


def parse(output: str) -> list[Result]:
    """Parse the output of `kube-bench --json`."""
    return [
        Result(one["test_number"], one["status"], one["scored"], one["test_desc"], _reason(one))
        for controls in json.loads(output)["Controls"]
        for group in controls["tests"]
        for one in group["results"]
    ]


def _reason(result: t.Mapping[str, t.Any]) -> str:
    return " ".join((result.get("reason") or result.get("actual_value") or "").split())[:300]


def targets(etcd: bool, control_plane: bool, node: bool) -> list[str]:
    """The parts of the benchmark for a host of these kinds. Policies concern the cluster, and run where kubectl is."""
    kinds = {"master": control_plane, "controlplane": control_plane, "etcd": etcd, "node": node}
    return [name for name, wanted in kinds.items() if wanted]


class KubeBench:
    """kube-bench on one host of a lab."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab = lab
        self.host = host
        directory = programs.ensure(PROGRAM)
        files = {"kube-bench": ((directory / "kube-bench").read_bytes(), 0o755)}
        for path in (directory / "cfg").iterdir():
            files[f"cfg/{BENCHMARK}/{path.name}"] = (path.read_bytes(), 0o644)
        files["cfg/config.yaml"] = (CONFIG.encode(), 0o644)
        files["cfg/kube-proxy.yaml"] = (KUBE_PROXY_CONFIG.encode(), 0o644)
        lab.put(host, PLACE, files)

    def run(self, names: t.Sequence[str]) -> list[Result]:
        """The results of these parts of the benchmark."""
        found = self._run("config.yaml", f"--targets={','.join(names)}")
        if "node" in names:
            found += self._run("kube-proxy.yaml", "--targets=node", "--check=4.3.1")
        return found

    def _run(self, config: str, *arguments: str) -> list[Result]:
        cfg = f"{PLACE}/cfg"
        command = [f"{PLACE}/kube-bench", "run", f"--config-dir={cfg}", f"--config={cfg}/{config}"]
        command += [f"--benchmark={BENCHMARK}", "--json", f"--outputfile={PLACE}/results.json", *arguments]
        # kubectl, for the policies, like root's on a control plane.
        environment = ["env", "PATH=/usr/local/bin:/usr/bin:/usr/sbin", "KUBECONFIG=/etc/kubernetes/admin.conf"]
        code, output = self.lab.run(self.host, *environment, *command)
        if code:
            raise LabError(f"kube-bench on {self.host} ended with {code}: {output.strip()[-1000:]}")
        code, output = self.lab.run(self.host, "cat", f"{PLACE}/results.json")
        if code:
            raise LabError(f"kube-bench on {self.host} has written no results: {output}")
        return parse(output)
