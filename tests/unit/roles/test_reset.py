# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

VARIABLES = pathlib.Path(__file__).parents[3] / "roles" / "reset" / "vars" / "main.yml"


@pytest.mark.parametrize(
    ("name", "confirm", "answer", "confirmed"),
    [
        ("prod", "prod", "", True),
        ("prod", "", "prod", True),
        ("prod", "Prod", "", False),
        ("prod", "", "", False),
        ("prod", "other", "prod", False),
        # A name that role preflight refuses, and that a cluster may have all the same.
        (2024, "2024", "", True),
        (2024, 2024, "", True),
        (2024, "", "2024", True),
        ("2024", 2024, "", True),
        (2024, 2025, "", False),
    ],
)
def test_a_reset_is_confirmed_by_the_name_as_text(name, confirm, answer, confirmed):
    text = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))["__reset_confirmed"]
    variables = {"cluster_name": name, "reset_confirm": confirm, "__reset_answer": {"user_input": answer}}
    assert Templar(DataLoader(), variables=variables).template(trust_as_template(text)) is confirmed
