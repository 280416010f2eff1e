# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Error messages name the cause: on a host, in apt, in the CA directory."""

from __future__ import annotations

import contextlib
import json
import pathlib

import pytest


@contextlib.contextmanager
def without_apt(lab, host):
    """apt on a host cannot download packages: it uses a proxy that does not exist."""
    path = "/etc/apt/apt.conf.d/99-test"
    lab.demand(host, "sh", "-c", f"""echo 'Acquire::http::Proxy "http://127.0.0.1:9";' > {path}""")
    try:
        yield
    finally:
        lab.demand(host, "rm", path)


def test_a_host_that_failed_is_told_from_one_that_is_not_reached(lab, site):
    """The kubelet's unit on n1 cannot be written, in a play without lockstep; the other hosts continue, and one of them has pending changes too."""
    unit = "/etc/systemd/system/kubelet.service"
    lab.demand("k1", "systemctl", "stop", "flanneld")
    lab.demand("n1", "sh", "-c", f"mv {unit} /root/kubelet.service && mkdir {unit}")
    try:
        run = site.run()
    finally:
        lab.demand("n1", "sh", "-c", f"rmdir {unit} && mv /root/kubelet.service {unit}")
    assert run.code != 0
    (line,) = (line for line in run.output.splitlines() if line.startswith("  n1 "))
    assert line.startswith("  n1 failed earlier in this run: ")
    assert unit in line
    assert "not reached" not in run.output
    assert site.run().demand().changed == 0


# apt tries several times before it gives up.
@pytest.mark.turn("default")
def test_apt_gives_its_own_reason(lab, site):
    lab.demand("n1", "dpkg", "--purge", "--force-depends", "socat")
    with without_apt(lab, "n1"):
        run = site.run()
    assert run.code != 0
    said = run.output[run.output.index("apt on n1 cannot install socat: ") :].splitlines()[0]
    assert "Failed to fetch http" in said, said
    assert "127.0.0.1:9" in said, said
    # The other sources have the package.
    source = "/etc/apt/sources.list.d/third-party.list"
    lab.demand("n1", "sh", "-ec", f"echo 'deb http://127.0.0.1:9/third-party stable main' > {source}")
    run = site.run()
    lab.demand("n1", "rm", source)
    said = " ".join(run.demand().output.split())
    assert (
        "apt on n1 has installed the packages, but cannot read all of its sources: Failed to fetch http://127.0.0.1:9/third-party"
        in said
    )


@pytest.fixture
def directory(inventory):
    return pathlib.Path(inventory).parent / "pki" / "plainkube"


def test_every_playbook_says_the_same_of_a_directory_that_is_missing(site, directory):
    away = directory.with_name("away")
    directory.rename(away)
    try:
        runs = {name: site.run(playbook=name) for name in ("site", "certificates", "kubeconfig")}
        status = site.status()
    finally:
        away.rename(directory)
    (sentence,) = status["problems"]
    assert sentence.startswith(f"certificates_directory {directory} has no kubernetes CA, but k1 ")
    assert not status["healthy"]
    assert all(host["healthy"] for host in status["hosts"].values())
    # Regardless of a callback's line breaks; site.yml also checks nodes, so it counts more hosts with another CA.
    words = " ".join(sentence.partition(" but k1 ")[0].split())
    for name, run in runs.items():
        assert (name, run.code != 0, run.changed) == (name, True, 0)
        assert words in " ".join(run.output.split()), name
    unwatched = site.status(0, "-e", json.dumps({"status_authorities": False}))
    assert unwatched["problems"] == []


def test_every_playbook_says_the_same_of_a_directory_that_others_can_read(site, directory):
    directory.chmod(0o755)
    (directory / "ca.key").chmod(0o644)
    (sentence,) = site.status()["problems"]
    assert (
        f"{directory} is accessible to other users of this machine (mode 0755), who can read ca.key: run plainkube"
        in sentence
    )
    words = " ".join(sentence.split())
    for name in ("certificates", "kubeconfig", "site"):
        run = site.run(playbook=name).demand()
        assert f"[WARNING]: {words}" in " ".join(run.output.split()), name
    assert (directory.stat().st_mode & 0o777, (directory / "ca.key").stat().st_mode & 0o777) == (0o700, 0o600)
    assert site.status()["problems"] == []
