# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Every template in variables, tasks and playbooks can be parsed. Ansible itself parses an expression only when a run first needs it."""

from __future__ import annotations

import pathlib

import jinja2
import pytest
import yaml

COLLECTION = pathlib.Path(__file__).parents[3]
FILES = sorted(
    path
    for pattern in ("roles/*/vars/**/*.yml", "roles/*/defaults/*.yml", "roles/*/tasks/*.yml", "playbooks/**/*.yml")
    for path in COLLECTION.glob(pattern)
)
# Where Ansible takes a bare expression.
EXPRESSIONS = {"when", "that", "until", "failed_when", "changed_when", "loop"}


class Loader(yaml.SafeLoader):
    """With tags of Ansible's own, such as !unsafe, read as text."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


def texts(value, bare=False):
    """Each text of a file, as a template."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from texts(one, key in EXPRESSIONS)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one, bare)
    elif isinstance(value, str):
        yield "{{ " + value + " }}" if bare and "{{" not in value else value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(COLLECTION)))
def test_every_expression_can_be_parsed(path):
    environment = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])
    found = [*texts(yaml.load(path.read_text(encoding="utf-8"), Loader=Loader))]  # noqa: S506
    for text in found:
        try:
            environment.parse(text)
        except jinja2.TemplateSyntaxError as error:
            pytest.fail(f"{text}: {error}")
