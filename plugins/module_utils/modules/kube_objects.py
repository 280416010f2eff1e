# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module kube_objects."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubectl
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._api import PAUSE, ApiError
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

# Used if their names are unknown.
ALL = "all objects of the manifest"
OWNERSHIP = ("--server-side", "--force-conflicts", "--field-manager=plainkube")


def kubectl(module: AnsibleModule, verb: str, *arguments: str) -> str:
    """The output of kubectl for the manifest, once the API server is fully available. Check mode does not wait, because no run has started one."""
    # A user's own diff program may print a different format.
    options = {"data": module.params["manifest"], "environ_update": {"KUBECTL_EXTERNAL_DIFF": "diff -u -N"}}
    answer = poll(
        lambda: _kubectl.run(module, *arguments, "--filename=-", **options),
        lambda answer: not answer.early,
        0 if module.check_mode else module.params["wait"],
        PAUSE,
    )
    if not answer.ok:
        raise _kubectl.refused(module, f"{verb} the objects", answer)
    return answer.text


def names(module: AnsibleModule) -> list[str]:
    """The objects of the manifest, as KIND/NAME."""
    return kubectl(module, "read", "create", "--dry-run=client", "--output=name").split()


def wait_until_available(module: AnsibleModule) -> None:
    end = time.monotonic() + module.params["wait"]
    for entry in module.params["available"]:
        namespace, kind, name = entry["namespace"], entry["kind"], entry["name"]
        limits = [f"--timeout={max(1, round(end - time.monotonic()))}s", "--request-timeout=0"]
        answer = _kubectl.run(module, "rollout", "status", f"{kind}/{name}", f"--namespace={namespace}", *limits)
        if not answer.ok:
            raise ApiError(
                f"{kind}/{name} in namespace {namespace} is not available after {module.params['wait']} s: "
                f"{_kubectl.reason(answer.text)}; see `kubectl -n {namespace} describe {kind} {name}` and its pods",
                answer,
            )


def make_present(module: AnsibleModule) -> dict:
    try:
        text = kubectl(module, "compare", "diff", "--concurrency=8", *OWNERSHIP)
    except ApiError as error:
        if module.check_mode and error.answer.unreachable:
            msg = f"All objects would be applied, because their state is unknown: {error}"
            return {**_actions.result([Action("apply", ALL)]), "msg": msg, "diff": all_new(module)}
        missing = _kubectl.missing_namespace(error.answer.text)
        objects = names(module) if missing else []
        if f"namespace/{missing}" not in objects:
            raise
        diff = all_new(module)
    else:
        objects, diff = _kubectl.differing(text), {"prepared": _kubectl.clean_diff(text)}
    if not module.check_mode:
        if objects:
            kubectl(module, "apply", "apply", *OWNERSHIP)
        wait_until_available(module)
    actions = [Action("apply", name) for name in objects]
    if module.check_mode:
        workloads = [f"{entry['kind']}/{entry['name']}" for entry in module.params["available"]]
        actions += [Action("wait", workload, "it must be available") for workload in workloads]
    return {**_actions.result(actions), "diff": diff}


def all_new(module: AnsibleModule) -> dict:
    return {"before": "", "after": module.params["manifest"], "after_header": "objects"}


def make_absent(module: AnsibleModule) -> dict:
    try:
        objects = kubectl(module, "look for", "get", "--ignore-not-found", "--output=name").split()
    except ApiError as error:
        if module.check_mode and error.answer.unreachable:
            return {**_actions.result([]), "msg": f"The state of the objects is unknown: {error}"}
        raise
    if objects and not module.check_mode:
        timeout = f"--timeout={max(1, module.params['wait'])}s"
        kubectl(module, "delete", "delete", "--ignore-not-found", "--wait=true", timeout)
    diff = {"before": "".join(f"{name}\n" for name in objects), "after": ""}
    return {**_actions.result(_actions.removals(objects)), "diff": diff}


SPEC = {
    "manifest": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "kubeconfig": {"type": "path", "default": _places.ADMIN_CONF},
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
    try:
        return (make_present if module.params["state"] == "present" else make_absent)(module)
    except ApiError as error:
        return module.fail_json(msg=str(error))


def main() -> None:
    _run.main(SPEC, run)
