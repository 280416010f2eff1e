# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module survey."""

from __future__ import annotations

import copy
import importlib
import os
import types
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run

# Never executed: these imports tell Ansible which files to send to the host.
if t.TYPE_CHECKING:
    from ansible_collections.plainkube.cluster.plugins.module_utils.modules import (  # noqa: F401
        artifacts,
        certificate_request,
        cni_bridge,
        component,
        container_images,
        docker_rebridge,
        etcd_member,
        etcd_network_config,
        etcd_rbac,
        firewall,
        kube_objects,
        node_object,
        runtime_removal,
    )

_MODULES = "ansible_collections.plainkube.cluster.plugins.module_utils.modules"


class StepEnds(Exception):
    """A step's module called exit_json or fail_json."""

    def __init__(self, answer: dict[str, t.Any]) -> None:
        super().__init__()
        self.answer = answer


def load(name: str) -> types.ModuleType:
    """The code of a module. Ansible sends its source, so it is compiled only if needed."""
    return importlib.import_module(f"{_MODULES}.{name}")


def leave(**answer: t.Any) -> t.NoReturn:
    raise StepEnds(answer)


def fail(msg: str, **dummy: t.Any) -> t.NoReturn:
    raise StepEnds({"failed": True, "msg": msg})


def prepare(module: AnsibleModule, spec: dict[str, t.Any], options: dict[str, t.Any]) -> AnsibleModule:
    """Stands in for the AnsibleModule of a step's module."""
    checked = ArgumentSpecValidator(copy.deepcopy(spec)).validate(options)
    # Options that the spec marks as secret are masked in every answer, including refusals.
    module.no_log_values.update(checked._no_log_values)
    if checked.error_messages:
        fail("; ".join(checked.error_messages))
    prepared = copy.copy(module)
    prepared.params, prepared.check_mode = checked.validated_parameters, True
    prepared.exit_json, prepared.fail_json = leave, fail
    prepared.warn = lambda *dummy: None  # the step's own task will report it
    return prepared


def ask(module: AnsibleModule, step: dict[str, t.Any]) -> dict[str, t.Any]:
    """The result of the step's module in check mode."""
    try:
        code = load(step["module"])
        answer = code.run(prepare(module, code.SPEC, step["options"]))
    except StepEnds as end:
        answer = end.answer
    except Exception as error:  # whatever it is, it will also occur in the step's own task, and end the run
        return {"failed": True, "msg": f"{type(error).__name__}: {error}"}
    return {key: value for key, value in answer.items() if key != "diff"}


def masked(value: t.Any, secrets: t.Collection[str]) -> t.Any:
    """A value without these secrets, at any depth. Up to version 2.21, ansible-core masks them in results of modules; later, only in its output."""
    if isinstance(value, str):
        # A secret may be part of another.
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            value = value.replace(secret, "********")
        return value
    if isinstance(value, dict):
        return {key: masked(one, secrets) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(one, secrets) for one in value]
    return value


def main() -> None:
    # The steps themselves use this payload, too.
    name = os.environ.get(_run.MODULE)
    if name:
        load(name).main()
        return
    # The options of all steps would be a line of 170 KB in the journal, and their secrets are known only after each is validated.
    module = _run.Quiet(
        argument_spec={
            "steps": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "module": {"type": "str", "required": True},
                    "options": {"type": "dict", "default": {}},
                },
            },
        },
        supports_check_mode=True,
    )
    steps = module.params["steps"]
    with _run.held(module):
        answers = {step["name"]: ask(module, step) for step in steps}
    module.exit_json(changed=False, answers=masked(answers, module.no_log_values))
