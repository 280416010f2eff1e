# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module container_images."""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files
from ansible_collections.plainkube.cluster.plugins.module_utils.network._proxy import redact
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._images import (
    RUNTIMES,
    from_registry,
    pull_reference,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _environment, _systemd

SPEC: dict[str, t.Any] = {
    "images": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "archive": {"type": "path"},
            "digest": {"type": "str"},
        },
    },
    "registry": {"type": "str", "default": ""},
    "runtime": {"type": "str", "choices": ["docker", "containerd"], "default": "docker"},
}
# The delays between attempts to pull. If a registry refuses, the error comes after three attempts, 10 seconds later.
PAUSES = (2.0, 8.0)


def present(module: AnsibleModule, runtime: t.Any, names: list[str]) -> set[str]:
    """The images that the runtime has. In check mode, a runtime that is not installed or not running has none."""
    if module.check_mode and _systemd.show(module, runtime.service).get("ActiveState") != "active":
        return set()  # a request would start it, through its socket
    command = runtime.listing(names)
    try:
        code, out, err = _command.run(module, command, handle_exceptions=False)
    except OSError as error:
        code, out, err = 1, "", str(error)
    if code != 0 and "no such image" not in err.lower() and not module.check_mode:
        module.fail_json(
            msg=f"The container runtime cannot list its images: `{' '.join(command)}` failed: {err.strip()}"
        )
    known = {line.strip() for line in out.splitlines()}
    return {name for name in names if runtime.listed(name) in known}


def reference(image: dict[str, t.Any], registry: str) -> str:
    """The reference to pull for an image."""
    return pull_reference(from_registry(image["name"], registry), image["digest"] or "")


def how(image: dict[str, t.Any], registry: str) -> str:
    """How an image is obtained, as text."""
    return f"loaded from {image['archive']}" if image["archive"] else f"pulled as {reference(image, registry)}"


def load(module: AnsibleModule, runtime: t.Any, image: dict[str, t.Any]) -> None:
    """Load an image from its archive."""
    code, out, err = _command.run(module, runtime.load(image["archive"]))
    if code != 0:
        module.fail_json(msg=f"{image['archive']} cannot be loaded for {image['name']}: {(err or out).strip()}")


def proxies(runtime: t.Any) -> dict[str, str]:
    """The environment for a client that pulls images itself, like containerd's: that of the service, or of this process if the service has none."""
    path = _environment.path(runtime.service.removesuffix(".service"))
    return _environment.parse(_files.read(path) or "")


def pull(module: AnsibleModule, runtime: t.Any, image: dict[str, t.Any]) -> None:
    """Pull an image, and tag it with its name."""
    source = reference(image, module.params["registry"])
    variables = proxies(runtime)
    code, out, err = _command.run(module, runtime.pull(source), environ_update=variables)
    for pause in PAUSES:
        if code == 0:
            break
        time.sleep(pause)
        code, out, err = _command.run(module, runtime.pull(source), environ_update=variables)
    if code != 0:
        module.fail_json(
            msg=f"{source} cannot be pulled ({redact((err or out).strip())}): check that this host can reach the registry,"
            " or set artifacts_image_registry to a registry that it can reach, or artifacts_images to 'archive'."
        )
    if source != image["name"]:
        _command.run(module, runtime.tag(source, image["name"]), check_rc=True)


def provide(module: AnsibleModule, runtime: t.Any, absent: list[dict[str, t.Any]]) -> None:
    """Load or pull images, and check that they exist."""
    for image in absent:
        (load if image["archive"] else pull)(module, runtime, image)
    there = present(module, runtime, [image["name"] for image in absent])
    lost = [image for image in absent if image["name"] not in there]
    if lost:
        was = how(lost[0], module.params["registry"])
        module.fail_json(msg=f"{lost[0]['name']} is still absent after it was {was}: check what that contains.")


def run(module: AnsibleModule) -> dict[str, t.Any]:
    runtime = RUNTIMES[module.params["runtime"]]
    images = module.params["images"]
    there = present(module, runtime, [image["name"] for image in images]) if images else set()
    absent = [image for image in images if image["name"] not in there]
    changes = [f"{image['name']} absent → {how(image, module.params['registry'])}" for image in absent]
    if absent and not module.check_mode:
        provide(module, runtime, absent)
    diff = {"prepared": "".join(f"{line}\n" for line in changes)}
    return {**_actions.result([Action("install", text) for text in changes]), "diff": diff}


def main() -> None:
    _run.main(SPEC, run)
