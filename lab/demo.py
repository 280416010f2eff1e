# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The demo: from a bare machine to a running cluster, with a table of durations."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import time
import typing as t

from lab import artifacts, engine, image
from lab.base import CHECKOUT, LabError, playbook
from lab.lab import Lab

NAME = "demo"
INVENTORY = CHECKOUT / "lab" / "inventory.ini"
KUBECONFIG = CHECKOUT / "lab" / "kubeconfig"
BINARIES = pathlib.Path(sys.executable).parent


class Stages:
    """The completed stages, and their durations."""

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def stage(self, text: str) -> t.Iterator[None]:
        """One line of the table."""
        print(f"\n=== {text}", flush=True)
        started = time.monotonic()
        yield
        self.done.append((text, time.monotonic() - started))

    def table(self) -> str:
        """All lines, and their sum."""
        rows = [*self.done, ("in all", sum(seconds for _text, seconds in self.done))]
        width = max(len(text) for text, _seconds in rows)
        return "\n".join(f"  {text:{width}}  {seconds:7.1f} s" for text, seconds in rows)


def main(started: float | None) -> None:
    """Run every stage; each detects existing results, so the demo resumes where it was stopped."""
    stages, lab = Stages(), None
    if started is not None:
        stages.done.append(("virtual environment", time.time() - started))
    try:
        with stages.stage("Docker Engine"):
            lab = Lab(NAME, engine.ensure())
        with stages.stage("image of a bare Debian host"):
            image.ensure(lab.client)
        with stages.stage("binaries and images of the cluster"):
            artifacts.ensure()
        with stages.stage("three hosts"):
            lab.up()
            INVENTORY.write_text(lab.inventory(), encoding="utf-8")
        for text, name in (
            ("cluster (site.yml)", "site.yml"),
            ("verification (verify.yml)", "verify.yml"),
            ("kubeconfig (kubeconfig.yml)", "kubeconfig.yml"),
            ("status (status.yml)", "status.yml"),
        ):
            with stages.stage(text):
                playbook(name, "-i", _short(INVENTORY))
        # The cluster's own kubectl in the directory of ansible-playbook, because the machine's may be too old.
        lab.fetch("k1", "/usr/local/bin/kubectl", BINARIES / "kubectl")
    except LabError:
        if lab is not None and lab.hosts():
            print(lab.journals())
        if stages.done:
            print(f"\nDone so far:\n{stages.table()}")
        print("`make demo` resumes here.")
        raise
    print(f"\nThe cluster is up.\n{stages.table()}\n\n{_next(lab)}")


def _short(path: t.Any) -> str:
    return os.path.relpath(path, CHECKOUT)


def _next(lab: Lab) -> str:
    playbooks, inventory = "ansible-playbook playbooks", _short(INVENTORY)
    return f"""Try next:
  export PATH=$PWD/{_short(BINARIES)}:$PATH KUBECONFIG=$PWD/{_short(KUBECONFIG)}
  kubectl get nodes -o wide
  {playbooks}/status.yml -i {inventory}
  {playbooks}/site.yml -i {inventory} --check --diff -e etcd_auto_compaction_retention=10m
  ansible n1 -i {inventory} --become -m command -a 'systemctl stop kubelet' ; {playbooks}/site.yml -i {inventory}
  {lab.ssh_command("k1")}
  make demo-down"""
