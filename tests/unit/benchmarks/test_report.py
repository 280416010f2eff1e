# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import xml.etree.ElementTree

from benchmarks import report

SECONDS = {report.SITE: [30.0, 20.0, 25.0], report.FLOOR: [10.0, 12.5, 20.0], report.STATUS: [2.0]}


def test_rows_have_median_spread_and_ratio_in_order():
    assert report.rows(SECONDS, {report.SITE: 60}) == [
        ["", "median (s)", "minimum (s)", "maximum (s)", "ratio to the script", "tasks on hosts"],
        [report.FLOOR, "12.5", "10.0", "20.0", "", ""],
        [report.SITE, "25.0", "20.0", "30.0", "2.00", "60"],
        [report.STATUS, "2.0", "2.0", "2.0", "0.16", ""],
    ]


def test_memory_has_empty_cells_where_a_component_does_not_run():
    sizes = {"etcd": {"k1": (53740, 53732)}, "kubelet": {"n1": (108252, 2048)}}
    assert report.memory_rows(sizes) == [
        ["", "k1 RSS", "k1 PSS", "n1 RSS", "n1 PSS"],
        ["etcd", "52", "52", "", ""],
        ["kubelet", "", "", "106", "2"],
    ]


def test_table_is_markdown():
    assert report.table([["a", "b"], ["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_plot_is_well_formed_and_longer_times_have_longer_bars():
    root = xml.etree.ElementTree.fromstring(report.plot(SECONDS))
    rectangles = root.iter("{http://www.w3.org/2000/svg}rect")
    bars = [float(one.get("width")) for one in rectangles if one.get("x")]
    assert len(bars) == 3
    assert bars[1] == 2 * bars[0]


def test_page_has_what_was_measured():
    head = report.introduction(1, "2 cores", "3 Debian hosts")
    text = report.page(head, "TIMES", "SIZES")
    assert "1 round on 2 cores, which 3 Debian hosts" in text
    assert text.index("TIMES") < text.index("SIZES")
    assert "{" not in text
