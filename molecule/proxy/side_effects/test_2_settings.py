# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Changed proxy settings on a running cluster; the password appears nowhere."""

from __future__ import annotations

import pytest

from lab import proxy, runs, secrets

HOSTS = ("k1", "n1", "n2")
# Host -> the service that uses the proxies there, and the file with its settings.
SERVICES = {"n1": "docker", "n2": "containerd"}
NEEDLES = (proxy.PASSWORD, proxy.ENCODED)


def variables(**values):
    return "-e", runs.extra_variables(values)


def restarted(site, **values):
    """The services that a run with these variables restarts, as its plan announced; a second run changes nothing."""
    plan = site.plan(*variables(**values))
    run, started = site.apply(*variables(**values))
    assert run.restarts == plan.restarts
    again, nothing = site.apply(*variables(**values))
    assert (again.changed, nothing) == (0, set())
    for one in (plan, run, again):
        assert not secrets.found_in(one.output, NEEDLES)
    return run.restarts, started


@pytest.fixture
def stays(pods):
    """The containers of pods are the same afterwards."""
    before = pods()
    yield
    assert pods() == before


def test_a_second_run_changes_nothing_and_shows_no_password_however_much_it_is_asked_to_say(site):
    run, started = site.apply("-vvv", "--diff")
    assert (run.changed, started) == (0, set())
    assert not secrets.found_in(run.output, NEEDLES)


@pytest.mark.parametrize("host", HOSTS)
def test_the_password_is_for_root_alone(lab, host):
    assert secrets.found_on(lab, host, NEEDLES) == []
    code, shown = lab.run(host, "systemctl", "show", "*")
    assert code == 0
    assert not secrets.found_in(shown, NEEDLES)
    code, found = lab.run(
        host, "grep", "-rlsF", "-e", NEEDLES[0], "-e", NEEDLES[1], "/etc", "/opt", "/root", "/run", "/usr/local"
    )
    expected = {f"/etc/kubernetes/plainkube-{SERVICES[host]}.env"} if host in SERVICES else set()
    assert set(found.split()) == expected


@pytest.mark.usefixtures("stays")
def test_another_exception_restarts_what_goes_through_the_proxies_and_no_pod(site, lab):
    restarts, started = restarted(site, cluster_no_proxy=["registry.example.com", "192.0.2.0/24"])
    for host, service in SERVICES.items():
        path = f"/etc/kubernetes/plainkube-{service}.env"
        assert restarts[host] == {service: f"{path} changes"}
        assert "registry.example.com,192.0.2.0/24" in lab.run(host, "cat", path)[1]
    assert {name for name in started if name.split("/")[1] in SERVICES.values()} >= {"n1/docker", "n2/containerd"}
    assert not [name for name in started if name.startswith("k1/")]


@pytest.mark.usefixtures("stays")
def test_without_proxies_nothing_of_them_is_left_and_back(site, lab):
    restarts, dummy = restarted(site, cluster_http_proxy="", cluster_https_proxy="")
    for host, service in SERVICES.items():
        assert restarts[host] == {service: "its unit file changes"}
        assert lab.run(host, "sh", "-c", "ls /etc/kubernetes/*.env")[0] != 0
        pid = lab.run(host, "systemctl", "show", "--property=MainPID", "--value", service)[1].strip()
        assert "PROXY" not in lab.run(host, "cat", f"/proc/{pid}/environ")[1]
    restarts, dummy = restarted(site)
    for host, service in SERVICES.items():
        assert list(restarts[host]) == [service]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"cluster_https_proxy": f"https://lab:{proxy.ENCODED}@proxy:3128"},
            "cluster_https_proxy has the scheme https, but ",
        ),
        ({"cluster_http_proxy": f"http://lab:{proxy.ENCODED}"}, "cluster_http_proxy has a port that is not a number"),
        ({"cluster_no_proxy": ["a,b"]}, "cluster_no_proxy has 'a,b': write a host"),
    ],
)
def test_wrong_ones_are_refused(site, lab, values, said):
    before = lab.invocations()
    run = site.run(*variables(**values))
    assert run.code != 0
    assert said in run.output
    assert (run.changed, lab.invocations()) == (0, before)
    assert not secrets.found_in(run.output, NEEDLES)


def test_a_wrong_password_is_one_sentence_without_it(site, lab, inventory):
    """Detected when a download is needed, before any change."""
    wrong = f"http://lab:{proxy.ENCODED}no@{proxy_place(inventory)}"
    needed = {
        "cluster_version": "1.37.1",
        "artifacts_mirror": "",
        "cluster_http_proxy": wrong,
        "cluster_https_proxy": wrong,
    }
    before = lab.invocations()
    run = site.run(*variables(**needed))
    assert run.code != 0
    assert "because the proxy refuses this host: check the user and password in cluster_http_proxy" in run.output
    assert (run.changed, lab.invocations()) == (0, before)
    assert not secrets.found_in(run.output, NEEDLES)


def proxy_place(inventory):
    """Host and port, according to the inventory."""
    with open(inventory, encoding="utf-8") as stream:
        (url,) = [line.partition("=")[2].strip() for line in stream if line.startswith("cluster_http_proxy=")]
    return url.rpartition("@")[2]
