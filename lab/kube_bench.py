# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""kube-bench, which compares a host with the CIS benchmark: built once from its Go module, run on the lab's hosts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import typing as t

from lab.base import FILES, LabError, cache, lock, run, step
from lab.lab import Lab

MODULE = "github.com/aquasecurity/kube-bench"
VERSION = "0.15.6"
# What go.sum says of it: the program, and the checks in cfg/ with it.
MODULE_SUM = "h1:r1p/dGN8IxGowV+hfTw5Lk2IaRV79dZcq0xd6MincJ8="
BENCHMARK = "cis-1.12"
PLACE = "/root/kube-bench"
CONFIG = (FILES / "kube-bench.yaml").read_text(encoding="utf-8")
# Check 4.3.1 looks for kube-proxy's setting in its kubeconfig, where it cannot be: it is run once more on the file that has it.
KUBE_PROXY_CONFIG = CONFIG.replace("/etc/kubernetes/kube-proxy.conf", "/etc/kubernetes/kube-proxy.yaml")


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one check on one host."""

    number: str
    status: str  # PASS, FAIL, WARN or INFO
    scored: bool
    text: str
    reason: str  # why it has no better status, or what was found

    def __str__(self) -> str:
        return f"{self.status} {self.number} {self.text}{f': {self.reason}' if self.reason else ''}"


def parse(output: str) -> list[Result]:
    """The results in what `kube-bench --json` prints."""
    return [
        Result(one["test_number"], one["status"], one["scored"], one["test_desc"], _reason(one))
        for controls in json.loads(output)["Controls"]
        for group in controls["tests"]
        for one in group["results"]
    ]


def _reason(result: t.Mapping[str, t.Any]) -> str:
    return " ".join((result.get("reason") or result.get("actual_value") or "").split())[:300]


def targets(etcd: bool, control_plane: bool, node: bool) -> list[str]:
    """The parts of the benchmark that a host of these kinds is compared with. Policies are the cluster's, and run where kubectl is."""
    kinds = {"master": control_plane, "controlplane": control_plane, "etcd": etcd, "node": node}
    return [name for name, wanted in kinds.items() if wanted]


def ensure() -> pathlib.Path:
    """The directory with the program and its checks; built where it is missing or not what was built."""
    directory = cache("kube-bench", VERSION)
    with lock():
        if not _intact(directory):
            with step(f"kube-bench {VERSION}: building"):
                _build(directory)
    return directory


def sums(directory: pathlib.Path) -> str:
    """What sha256sum would print of the directory's files."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n" for path in paths
    )


def _intact(directory: pathlib.Path) -> bool:
    noted = directory / "SHA256SUMS"
    return noted.is_file() and noted.read_text(encoding="utf-8") == sums(directory)


def _build(directory: pathlib.Path) -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    temporary = directory.with_name(f".{VERSION}")
    for leftover in (temporary, directory):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    module = f"{MODULE}@v{VERSION}"
    downloaded = json.loads(run(go, "mod", "download", "-json", module, cwd=temporary, env=environment))
    if downloaded["Sum"] != MODULE_SUM:
        raise LabError(f"{module} has the sum {downloaded['Sum']}, not {MODULE_SUM}: it is not what was published.")
    flags = f"-s -w -X {MODULE}/cmd.KubeBenchVersion={VERSION}"
    # Where it lies in Go's cache, which is read-only, with its own go.sum: `go install` would ask for all versions that there are.
    command = (go, "build", "-trimpath", f"-ldflags={flags}", "-o", str(temporary / "kube-bench"), ".")
    run(*command, cwd=downloaded["Dir"], env=environment)
    (temporary / "cfg").mkdir()
    for path in pathlib.Path(downloaded["Dir"], "cfg", BENCHMARK).iterdir():
        (temporary / "cfg" / path.name).write_bytes(path.read_bytes())
    (temporary / "SHA256SUMS").write_text(sums(temporary), encoding="utf-8")
    temporary.rename(directory)


class KubeBench:
    """kube-bench on one host of a lab."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab = lab
        self.host = host
        directory = ensure()
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
        # kubectl, which the policies are asked of, as root on a control plane has it.
        environment = ["env", "PATH=/usr/local/bin:/usr/bin:/usr/sbin", "KUBECONFIG=/etc/kubernetes/admin.conf"]
        code, output = self.lab.run(self.host, *environment, *command)
        if code:
            raise LabError(f"kube-bench on {self.host} ended with {code}: {output.strip()[-1000:]}")
        code, output = self.lab.run(self.host, "cat", f"{PLACE}/results.json")
        if code:
            raise LabError(f"kube-bench on {self.host} has written no results: {output}")
        return parse(output)
