# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _proxy

SECRET = "Geheim"  # noqa: S105


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://proxy:3128",
        "http://proxy.example.com",
        "http://192.0.2.1:3128/",
        "HTTP://[2001:db8::1]:3128",
        "http://user:pass@proxy.example.com:3128",
        "http://user:p%40ss%2Fw%3Ard$!~@proxy:8080",
        "http://token@proxy:8080",
    ],
)
def test_good_urls(url):
    assert _proxy.problems({"cluster_http_proxy": url, "cluster_https_proxy": url}) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"user:{SECRET}@proxy:3128", "has no scheme"),
        ("proxy.example.com", "has no scheme"),
        (f"https://user:{SECRET}@proxy:3128", "has the scheme https, but"),
        ("socks5://proxy:1080", "has the scheme socks5, but"),
        (f"http://user:{SECRET}@", "names no host"),
        ("http://:3128", "names no host"),
        ("http://192.0.2.300:3128", "names no host"),
        ("http://-proxy:3128", "names no host"),
        (f"http://user:{SECRET}", "has a port that is not a number"),
        ("http://proxy:70000", "has a port that is not a number"),
        ("http://proxy:0", "has a port that is not a number"),
        ("http://proxy:", "has a port that is not a number"),
        (f"http://user:{SECRET}@x@proxy:3128", "has an @, :, [ or ] in its user or password"),
        (f"http://user:{SECRET}:x@proxy:3128", "has an @, :, [ or ] in its user or password"),
        (f"http://user:{SECRET}/x@proxy:3128", "has more than a host and a port"),
        (f"http://user:{SECRET}#x@proxy:3128", "has more than a host and a port"),
        ("http://proxy:3128/path", "has more than a host and a port"),
        (f"http://user:{SECRET} x@proxy:3128", "has a character that a URL cannot have"),
        (f'http://user:{SECRET}"@proxy:3128', "has a character that a URL cannot have"),
        (f"http://user:{SECRET}'@proxy:3128", "has a character that a URL cannot have"),
        (f"http://user:{SECRET}\\@proxy:3128", "has a character that a URL cannot have"),
        (f"http://user:{SECRET}%zz@proxy:3128", "has a character that a URL cannot have"),
        (f"http://user:{SECRET}@proxy:3128\n", "has a character that a URL cannot have"),
    ],
)
def test_bad_urls_are_refused_in_one_sentence_without_the_password(url, said):
    for name in ("cluster_http_proxy", "cluster_https_proxy"):
        (problem,) = _proxy.problems({name: url})
        assert problem.startswith(f"{name} {said}")
        assert problem.endswith(f"write a URL like {_proxy.EXAMPLE}.")
        assert SECRET not in problem
        assert "\n" not in problem


@pytest.mark.parametrize(
    ("entry", "good"),
    [
        ("registry.example.com", True),
        ("registry.example.com:5000", True),
        (".example.com", True),
        ("*.example.com", True),
        ("192.0.2.1", True),
        ("192.0.2.1:5000", True),
        ("192.0.2.0/24", True),
        ("2001:db8::/32", True),
        ("2001:db8::1", True),
        ("[2001:db8::1]:5000", True),
        ("", False),
        ("*", False),
        ("a,b", False),
        ("a b", False),
        ("192.0.2.0/33", False),
        ("192.0.2.300", False),
        ("http://registry", False),
        ("registry:http", False),
        ("registry:70000", False),
        (5, False),
        (None, False),
    ],
)
def test_exceptions(entry, good):
    found = _proxy.problems({"cluster_no_proxy": ["localhost", entry]})
    assert found == (
        []
        if good
        else [
            f"cluster_no_proxy has {entry!r}: write a host, an address, a network (192.0.2.0/24) or a domain (.example.com)."
        ]
    )


def test_a_password_in_daemon_json_is_refused_without_showing_it():
    url = "http://user:Geheim@proxy:3128"
    assert _proxy.problems({"docker_options": {"proxies": {"http-proxy": "http://proxy:3128"}, "a": [1, None]}}) == []
    for options, path in (
        ({"proxies": {"http-proxy": url}}, "docker_options.proxies.http-proxy"),
        ({"registry-mirrors": ["https://m", url]}, "docker_options.registry-mirrors[1]"),
    ):
        (said,) = _proxy.problems({"docker_options": options})
        assert said.startswith(f"{path} has a URL with a user or password")
        assert "set cluster_http_proxy and cluster_https_proxy" in said
        assert "Geheim" not in said


def test_what_is_no_text_and_no_list_is_for_the_types_to_refuse():
    assert _proxy.problems({"cluster_http_proxy": 5, "cluster_no_proxy": "a"}) == []
    assert _proxy.problems({}) == []


@pytest.mark.parametrize(
    ("host", "bypassed"),
    [
        ("localhost", True),
        ("127.0.0.9:8000", True),
        ("[::1]:80", True),
        ("10.96.3.4:5000", True),
        ("10.97.3.4:5000", False),
        ("registry.default.svc", True),
        ("svc", False),
        ("registry.default.svc.cluster.local", True),
        ("mirror.example.com", True),
        ("deep.mirror.example.com", True),
        ("other.example.com", False),
        ("badmirror.example.com", False),
        ("MIRROR.example.com.", True),
        ("192.0.2.7", True),
        ("192.0.2.70", False),
        ("host.starred.org", True),
        ("starred.org", False),
        ("port.example.org:8443", True),
        ("port.example.org", False),
        ("secure.example.org", True),
    ],
)
def test_who_is_reached_without_a_proxy(host, bypassed):
    no_proxy = [
        *("10.96.0.0/16", ".svc", ".cluster.local", "mirror.example.com", "192.0.2.7", "*.starred.org"),
        *("port.example.org:8443", "secure.example.org:443"),
    ]
    assert _proxy.bypasses(host, "https", no_proxy) is bypassed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"bad proxy URL http://user:{SECRET}@proxy:3128.", "bad proxy URL http://***@proxy:3128."),
        (f"http://a:{SECRET}@b@c and http://d:{SECRET}@e", "http://***@c and http://***@e"),
        ("https://dl.k8s.io/kubelet user@example.com", "https://dl.k8s.io/kubelet user@example.com"),
    ],
)
def test_redacted(text, expected):
    assert _proxy.redact(text) == expected
