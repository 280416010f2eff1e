# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _environment


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"HTTP_PROXY": "http://user:p%40$(x)&!#;@proxy:3128/", "NO_PROXY": "a,.b,10.0.0.0/8"},
        {"A": 'quote " backslash \\ end\\', "B": ""},
    ],
)
def test_what_is_written_is_read_again(values):
    text = _environment.render("x", values)
    assert text.startswith("# Written by plainkube.cluster for x.service.\n")
    assert _environment.parse(text) == values


def test_the_order_of_the_variables_does_not_matter():
    assert _environment.render("x", {"B": "2", "A": "1"}) == _environment.render("x", {"A": "1", "B": "2"})


def test_only_root_reads_it_and_no_diff_shows_it():
    (file,) = _environment.wanted("containerd", {"A": "1"})
    assert file["path"] == "/etc/kubernetes/plainkube-containerd.env"
    assert (file["owner"], file["group"], file["mode"], file["secret"]) == ("root", "root", "0600", True)
    assert _environment.wanted("containerd", {}) == []


def test_what_is_left_over(tmp_path, monkeypatch):
    monkeypatch.setattr(_environment, "DIRECTORY", str(tmp_path))
    assert _environment.left_over("x", {}) == []
    (tmp_path / "plainkube-x.env").write_text("old", encoding="utf-8")
    assert _environment.left_over("x", {"A": "1"}) == []
    assert _environment.left_over("x", {}) == [f"{tmp_path}/plainkube-x.env"]
    assert _environment.differs("x", {"A": "1"}) == [f"{tmp_path}/plainkube-x.env"]
    assert _environment.differs("x", {}) == []
