# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""reset.yml removes everything about the proxies."""

from __future__ import annotations

from lab import proxy, secrets

NEEDLES = (proxy.PASSWORD, proxy.ENCODED)


def test_nothing_is_left(site, lab):
    run = site.run("-e", "reset_confirm=plainkube", playbook="reset").demand()
    assert not secrets.found_in(run.output, NEEDLES)
    for host in ("k1", "n1", "n2"):
        search = ("grep", "-rlsF", "-e", NEEDLES[0], "-e", NEEDLES[1], "/etc", "/opt", "/root", "/run", "/usr/local")
        found = lab.run(host, *search)[1]
        assert found == ""
        assert lab.run(host, "sh", "-c", "ls -d /etc/kubernetes 2>/dev/null")[1] == ""
    assert site.run("-e", "reset_confirm=plainkube", playbook="reset").demand().changed == 0
