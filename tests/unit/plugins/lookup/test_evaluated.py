# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.plainkube.cluster.plugins.lookup import evaluated


def lookup(*names, **variables):
    loader = DataLoader()
    return evaluated.LookupModule(loader=loader, templar=Templar(loader=loader)).run(list(names), variables)


def test_a_variable_of_a_role_that_the_play_has_not_imported():
    assert lookup("flannel_backend", "artifacts_images") == ["vxlan", "pull"]
    assert lookup("artifacts_images", artifacts_mirror="https://mirror.example.org") == ["archive"]


def test_an_unknown_variable():
    with pytest.raises(AnsibleUndefinedVariable, match="no variable steps"):
        lookup("steps")
