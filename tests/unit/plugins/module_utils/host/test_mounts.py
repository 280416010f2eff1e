# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _mounts

ROOT = "1 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"


def table(*mounts):
    """Mounts on a root file system, each as (id, parent, point)."""
    return _mounts.parse(
        "\n".join([ROOT, *(f"{one} {parent} 8:1 /x {point} rw - ext4 /dev/sda1 rw" for one, parent, point in mounts)])
    )


def points(*mounts, directory="/k"):
    return [mount.point for mount in _mounts.below(table(*mounts), directory).mounts]


def test_names_with_blanks_and_line_feeds_are_as_they_are():
    found = _mounts.parse("2 1 0:1 / /k/a\\040b\\012c\\134d\\011\\0401 rw - tmpfs tmpfs rw\n")
    assert found == [_mounts.Mount("2", "1", "/k/a b\nc\\d\t 1")]


def test_what_is_at_the_directory_or_beside_it_stays():
    assert points((2, 1, "/k"), (3, 2, "/k/pods/a"), (4, 1, "/k2/x"), (5, 1, "/kx")) == ["/k/pods/a"]


def test_what_is_mounted_on_another_mount_is_first():
    assert points((2, 1, "/k/v"), (3, 2, "/k/v/sub/deep"), (4, 3, "/k/v/sub/deep/er")) == [
        "/k/v/sub/deep/er",
        "/k/v/sub/deep",
        "/k/v",
    ]


def test_a_stack_is_as_many_mounts_and_what_is_on_its_top_is_first():
    assert points((2, 1, "/k/v"), (3, 2, "/k/v"), (4, 3, "/k/v/x")) == ["/k/v/x", "/k/v", "/k/v"]


def test_a_mount_that_covers_another_one_is_before_it():
    """The later mount on /k/v hides what was mounted below /k/v before."""
    assert points((2, 1, "/k/v/long/path"), (3, 1, "/k/v")) == ["/k/v", "/k/v/long/path"]


def test_what_no_path_leads_to_is_told_apart():
    """A disk was mounted on the directory while volumes were mounted below it."""
    found = _mounts.below(table((2, 1, "/k/pods/a"), (3, 2, "/k/pods/a/b"), (4, 1, "/k"), (5, 4, "/k/pods/c")), "/k")
    assert [mount.point for mount in found.mounts] == ["/k/pods/c"]
    assert [mount.point for mount in found.hidden] == ["/k/pods/a", "/k/pods/a/b"]


def test_a_directory_above_may_be_covered_too():
    found = _mounts.below(table((2, 1, "/v"), (3, 2, "/v/k/a"), (4, 1, "/v"), (5, 4, "/v/k/b")), "/v/k")
    assert [mount.id for mount in found.mounts] == ["5"]
    assert [mount.id for mount in found.hidden] == ["3"]


def test_in_a_container_the_root_is_somebody_elses_child():
    mounts = _mounts.parse(f"{ROOT.replace('1 1 ', '700 650 ', 1)}\n701 700 0:1 / /k/a rw - tmpfs tmpfs rw\n")
    assert [mount.point for mount in _mounts.below(mounts, "/k").mounts] == ["/k/a"]


@pytest.mark.parametrize(
    ("path", "found"), [("/", "1"), ("/v", "4"), ("/v/x", "5"), ("/v/x/y", "5"), ("/w", "1"), ("/vv", "1")]
)
def test_the_newest_mount_is_seen(path, found):
    mounts = table((2, 1, "/v"), (3, 2, "/v/x"), (4, 2, "/v"), (5, 4, "/v/x"))
    assert _mounts.seen(mounts, path).id == found


def test_nothing_is_below_itself():
    assert not _mounts.within("/k", "/k")
    assert not _mounts.within("/", "/")
    assert _mounts.within("/k", "/")
