# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""`make package`: the contents of the archive, and what works without hosts once it is installed."""

from __future__ import annotations

import json
import tarfile

import pytest
import yaml

from lab.base import CHECKOUT
from tests.packaging.archive import NAME, Installed, build

# Nothing else: neither the tests and the lab, nor what tools and people leave in a checkout.
TOP = {
    "MANIFEST.json",
    "FILES.json",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "meta",
    "plugins",
    "roles",
    "playbooks",
}
TOP |= {"inventory", "changelogs", "docs", "SECURITY.md"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Built with a secret and a cache lying around as a lab leaves them."""
    litter = [
        CHECKOUT / "lab" / "pki" / "litter.key",
        CHECKOUT / ".cache" / "litter",
        CHECKOUT / "inventory" / "pki" / "x" / "litter.key",
        CHECKOUT / "inventory" / "pki" / "x" / "litter.yaml",
    ]
    made = [parent for path in litter for parent in reversed(path.parents) if not parent.exists()]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret", encoding="utf-8")
    try:
        yield build(tmp_path_factory.mktemp("built"))
    finally:
        for path in litter:
            path.unlink()
        for path in reversed([*dict.fromkeys(made)]):
            path.rmdir()


@pytest.fixture(scope="module")
def installed(archive, tmp_path_factory):
    return Installed(archive, tmp_path_factory.mktemp("installed"))


def names(pattern):
    """Names of playbooks, roles or plugins of the checkout."""
    return sorted(path.stem for path in CHECKOUT.glob(pattern) if not path.stem.startswith("_"))


def full(found):
    return [f"{NAME}.{name}" for name in found]


def test_the_archive_has_what_users_need_and_nothing_else(archive):
    with tarfile.open(archive) as stream:
        paths = [member.name for member in stream if member.isfile()]
    assert {path.split("/")[0] for path in paths} <= TOP
    assert not [
        path for path in paths if "litter" in path or "__pycache__" in path or path.endswith((".key", ".pyc", ".retry"))
    ]
    for pattern in ("plugins/**/*.py", "roles/*/*/*", "roles/*/README.md", "playbooks/*.yml", "meta/*"):
        wanted = {str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob(pattern) if path.is_file()}
        assert wanted
        assert wanted <= set(paths)


def test_the_archive_knows_its_requirements(archive):
    with tarfile.open(archive) as stream:
        manifest = json.load(stream.extractfile("MANIFEST.json"))["collection_info"]
        runtime = yaml.safe_load(stream.extractfile("meta/runtime.yml"))
    assert (manifest["namespace"], manifest["name"], manifest["license"]) == ("plainkube", "cluster", ["Apache-2.0"])
    assert runtime["requires_ansible"] == ">=2.20.0"
    assert runtime["action_groups"]["all"] == names("plugins/modules/*.py")


@pytest.mark.parametrize(
    ("kind", "found"),
    [("module", names("plugins/modules/*.py")), ("filter", names("plugins/filter/*.py")), ("role", names("roles/*"))],
)
def test_everything_has_a_page(installed, kind, found):
    """From the installed collection alone."""
    run = installed.run("ansible-doc", "--type", kind, "--json", *full(found)).demand()
    assert sorted(json.loads(run.output[run.output.index("{") :])) == full(found)


@pytest.mark.parametrize("playbook", names("playbooks/*.yml"))
def test_a_playbook_is_found_by_its_full_name(installed, playbook):
    """Roles, plugins and imported playbooks as well."""
    inventory = str(CHECKOUT / "inventory" / "ha.yml")
    run = installed.playbook(playbook, "-i", inventory, "--list-tasks").demand()
    assert (
        f"playbook: {installed.collections}/ansible_collections/plainkube/cluster/playbooks/{playbook}.yml"
        in run.output
    )
    assert "TAGS: [" in run.output


def test_a_run_from_the_archive_checks_inputs(installed, tmp_path):
    """As far as a run comes without a cluster, it comes by what was installed."""
    inventory = tmp_path / "inventory.ini"
    inventory.write_text("[node]\nn1 ansible_connection=local ansible_host=192.0.2.21\n", encoding="utf-8")
    run = installed.playbook("site", "-i", str(inventory))
    assert run.code != 0
    assert "control_plane" in run.output
    assert str(CHECKOUT) not in run.output
