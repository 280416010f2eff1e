# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A malicious mirror: each attack ends with an error message in limited time, and changes no host."""

from __future__ import annotations

import pytest

from lab import hostile_mirror, network, runs
from plugins.module_utils.artifacts import _fetch

pytestmark = pytest.mark.turn("user")

CA = "/usr/local/share/ca-certificates/hostile-mirror.crt"
KUBERNETES, CRI_DOCKERD = {"cluster_version": "1.37.99"}, {"cluster_cri_dockerd_version": "0.4.99"}
# Attack -> versions that are not installed yet, and the run's message.
ATTACKS = {
    "redirect": (KUBERNETES, "which has no TLS: use a mirror that does not leave https"),
    "trickle": (KUBERNETES, f"it sends less than 64 KiB in {_fetch.STALL:g} s): use a nearby mirror"),
    "large": (KUBERNETES, "is larger than 2048 MiB: check the mirror, since no release is that large"),
    "sum": (KUBERNETES, "nothing was replaced; check the mirror"),
    "archive": (CRI_DOCKERD, "does not contain cri-dockerd/cri-dockerd: check that it is the right download"),
}


@pytest.fixture(scope="module")
def mirror(lab):
    """It has a certificate that the hosts trust, like a mirror that an attacker has taken over."""
    gateway = network.subnet_and_gateway(network.find(lab.client, lab.name))[1]
    with hostile_mirror.serve(gateway) as made:
        for host in lab.hosts():
            lab.put(host, CA.rpartition("/")[0], {CA.rpartition("/")[2]: (made.served.authority.encode(), 0o644)})
            lab.demand(host, "update-ca-certificates")
        yield made
        for host in lab.hosts():
            lab.run(host, "rm", CA)
            lab.run(host, "update-ca-certificates", "--fresh")


def everything(lab):
    """Everything that a download could have changed or left behind."""
    script = (
        "find /opt/plainkube /usr/local/bin -type f ! -path '*/.incoming/*' -exec sha256sum {} + | sort; find /opt/plainkube -name '.?*' -type d; "
        "ls /run/plainkube-attacked 2>&1; du --summarize --block-size=1K /opt/plainkube | cut -f 1"
    )
    found = {host: lab.run(host, "sh", "-c", script)[1].splitlines() for host in lab.hosts()}
    return {host: lines[:-1] for host, lines in found.items()}, {host: int(lines[-1]) for host, lines in found.items()}


@pytest.mark.parametrize("attack", hostile_mirror.ATTACKS)
def test_it_is_refused(mirror, lab, site, pace, attack):
    versions, sentence = ATTACKS[attack]
    before, used = everything(lab)
    unit = pace()
    run = site.run("-e", runs.extra_variables({**versions, "artifacts_mirror": mirror.url(attack)}))
    assert run.code > 0
    assert sentence in " ".join(run.output.split())
    assert "Traceback" not in run.output
    # The hosts requested more than the checksums.
    assert any(not path.endswith(".sha256") and "/repos/" not in path for path in mirror.asked[attack])
    assert run.changed == 0
    after, more = everything(lab)
    assert after == before
    assert all(more[host] - used[host] < 1 << 10 for host in used)
    # The comparison of the hosts, and the time without progress at most twice.
    assert run.seconds < 20 * unit + 3 * _fetch.STALL


def test_nothing_is_left(site, mirror):
    again, restarted = site.apply()
    assert (again.changed, restarted) == (0, set())
