# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module kube_objects; here, so that module survey can import it."""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubectl, _objects
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._kubectl import Answer
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

# Used if their names are unknown.
ALL = "all objects of the manifest"


def kubectl(module: AnsibleModule, *arguments: str) -> Answer:
    # A user's own diff program may print a different format.
    environment = {"KUBECTL_EXTERNAL_DIFF": "diff -u -N"}
    manifest = module.params["manifest"]
    return _kubectl.run(module, *arguments, "--filename=-", data=manifest, environ_update=environment)


def patiently(module: AnsibleModule, good: t.Container[int], *arguments: str) -> Answer:
    """Run kubectl until the API server is fully available; check mode does not wait, because no run has started it."""
    return poll(
        lambda: kubectl(module, *arguments),
        lambda answer: answer.code in good or not answer.early,
        0 if module.check_mode else module.params["wait"],
        0.5,
    )


def checked(module: AnsibleModule, answer: Answer, good: t.Container[int], verb: str) -> Answer:
    if answer.code not in good:
        module.fail_json(
            msg=f"kubectl could not {verb} the objects with kubeconfig {module.params['kubeconfig']}: "
            f"{_objects.reason(answer.complaint)}"
        )
    return answer


def inspect_present(module: AnsibleModule) -> Answer:
    ownership = ["--server-side", "--force-conflicts", f"--field-manager={module.params['field_manager']}"]
    return patiently(module, (0, 1), "diff", "--concurrency=8", *ownership)


def inspect_absent(module: AnsibleModule) -> Answer:
    return patiently(module, (0,), "get", "--ignore-not-found", "--output=name")


def apply(module: AnsibleModule) -> str:
    ownership = ["--server-side", "--force-conflicts", f"--field-manager={module.params['field_manager']}"]
    return checked(module, patiently(module, (0,), "apply", *ownership), (0,), "apply").out


def delete(module: AnsibleModule) -> None:
    timeout = f"--timeout={max(1, module.params['wait'])}s"
    checked(module, patiently(module, (0,), "delete", "--ignore-not-found", "--wait=true", timeout), (0,), "delete")


def wait_until_available(module: AnsibleModule) -> None:
    end = time.monotonic() + module.params["wait"]
    for entry in module.params["available"]:
        rollout = _objects.Rollout(entry["namespace"], entry["kind"], entry["name"])
        seconds = max(1, round(end - time.monotonic()))
        where = [f"--kubeconfig={module.params['kubeconfig']}", f"--namespace={rollout.namespace}"]
        command = [
            _kubectl.binary(module) or "kubectl",
            *where,
            "rollout",
            "status",
            f"{rollout.kind}/{rollout.name}",
            f"--timeout={seconds}s",
        ]
        code, out, err = _command.run(module, command)
        if code != 0:
            module.fail_json(
                msg=f"{rollout} is not available after {module.params['wait']} s: {_objects.reason(err or out)}; "
                f"see `kubectl -n {rollout.namespace} describe {rollout.kind} {rollout.name}` and its pods"
            )


def make_present(module: AnsibleModule) -> dict:
    answer = inspect_present(module)
    if module.check_mode and answer.nobody:
        msg = f"no API server responds ({_objects.reason(answer.complaint)}), so all objects would be applied"
        return {**_actions.result([Action("apply", ALL)]), "msg": msg, "diff": all_new(module)}
    if _objects.in_new_namespace(answer.complaint, module.params["manifest"]):
        # kubectl cannot compare them, and prints their names only after it has created them.
        objects = [] if module.check_mode else _objects.applied(apply(module))
        objects, diff = objects or [ALL], all_new(module)
    else:
        text = checked(module, answer, (0, 1), "compare").out
        objects = _objects.differing(text)
        if objects and not module.check_mode:
            apply(module)
        diff = {"prepared": _objects.clean_diff(text)}
    if not module.check_mode:
        wait_until_available(module)
    actions = [Action("apply", name) for name in objects]
    if module.check_mode:
        workloads = [f"{entry['kind']}/{entry['name']}" for entry in module.params["available"]]
        actions += [Action("wait", workload, "it must be available") for workload in workloads]
    return {**_actions.result(actions), "diff": diff}


def all_new(module: AnsibleModule) -> dict:
    return {"before": "", "after": module.params["manifest"], "after_header": "objects"}


def make_absent(module: AnsibleModule) -> dict:
    answer = inspect_absent(module)
    if module.check_mode and answer.nobody:
        msg = f"no API server responds ({_objects.reason(answer.complaint)}), so the state of the objects is unknown"
        return {**_actions.result([]), "msg": msg}
    objects = checked(module, answer, (0,), "look for").out.split()
    if objects and not module.check_mode:
        delete(module)
    diff = {"before": "".join(f"{name}\n" for name in objects), "after": ""}
    return {**_actions.result(_actions.removals(objects)), "diff": diff}


SPEC = {
    "manifest": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
    "field_manager": {"type": "str", "default": "plainkube"},
    "available": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "kind": {
                "type": "str",
                "choices": ["deployment", "daemonset", "statefulset"],
                "default": "deployment",
            },
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
        },
    },
    "wait": {"type": "int", "default": 60},
}


def run(module: AnsibleModule) -> dict:
    return (make_present if module.params["state"] == "present" else make_absent)(module)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with _run.held(module):
        module.exit_json(**run(module))
