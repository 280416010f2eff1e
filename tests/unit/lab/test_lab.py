# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest

from lab.base import LabError
from lab.lab import Lab


@pytest.mark.parametrize("name", ["", "Demo", "1demo", "a_b", "thirteenchars"])
def test_a_lab_is_named_like_a_network_interface(name):
    with pytest.raises(LabError, match="cannot name a lab"):
        Lab(name, client=object())


def test_up_refuses_a_host_name_before_it_does_anything():
    with pytest.raises(LabError, match="'K1' cannot name a host"):
        Lab("demo", client=object()).up(["n1", "K1"])
