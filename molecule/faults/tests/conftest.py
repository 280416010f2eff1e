# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os

import pytest

from lab.lab import Lab


@pytest.fixture(scope="session")
def lab():
    """The lab that the scenario runs in."""
    return Lab(os.environ["MOLECULE_SCENARIO_NAME"])


@pytest.fixture(scope="session")
def inventory(request):
    return request.config.option.ansible_inventory
