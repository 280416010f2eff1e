#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
short_description: Have images in the container runtime, loaded from archives or pulled
version_added: 1.0.0
description:
  - Looks for all images with one command. What is missing is loaded from an archive on the host, or pulled.
  - An image that is there by its name is left alone.
author:
  - The plainkube authors (@plainkube)
attributes:
  check_mode:
    support: full
    description: Says which images would be loaded or pulled; a runtime that does not run yet counts as having none.
  diff_mode:
    support: full
    description: One line for each image that is loaded or pulled.
  idempotent:
    support: full
    description: Images that are there are neither loaded nor pulled.
options:
  images:
    description: The images to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name with tag, under which the image is there afterwards.
        type: str
        required: true
      archive:
        description: An archive on the host that has the image under this name, as C(docker save) writes it. Without it, the image is pulled.
        type: path
      digest:
        description: Pull exactly this digest, for example C(sha256:4f5c…).
        type: str
  registry:
    description:
      - Pull from this registry, with or without a path, instead of the one in the names. The rest of a name stays, and the image is
        tagged with its full name. With V(registry.example.com/kubernetes), C(registry.k8s.io/coredns/coredns:v1.14.7) is pulled as
        C(registry.example.com/kubernetes/coredns/coredns:v1.14.7).
    type: str
    default: ""
  runtime:
    description: The container runtime.
    type: str
    choices: [docker]
    default: docker
"""

EXAMPLES = r"""
- name: Have the pause image, from an archive
  plainkube.cluster.container_images:
    images:
      - name: registry.k8s.io/pause:3.10.2
        archive: /opt/plainkube/images/pause_3.10.2_amd64.tar

- name: Have the pause image, from a registry of one's own
  plainkube.cluster.container_images:
    images:
      - name: registry.k8s.io/pause:3.10.2
    registry: registry.example.com/kubernetes
"""

RETURN = r"""
changes:
  description: What was done, or would be.
  type: list
  elements: str
  returned: always
  sample: ["registry.k8s.io/pause:3.10.2 absent → loaded from /opt/plainkube/images/pause_3.10.2_amd64.tar"]
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils._images import (
    RUNTIMES,
    familiar,
    from_registry,
    pull_reference,
)

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
    "runtime": {"type": "str", "choices": ["docker"], "default": "docker"},
}
# The waits between attempts to pull; a registry that refuses answers the same three times, 10 seconds later.
PAUSES = (2.0, 8.0)


def present(module: AnsibleModule, runtime: t.Any, names: list[str]) -> set[str]:
    """Which of the names the runtime has. In check mode, one that is not installed or not running has none."""
    command = runtime.list(names)
    try:
        code, out, err = module.run_command(command, handle_exceptions=False)
    except OSError as error:
        code, out, err = 1, "", str(error)
    if code != 0 and "no such image" not in err.lower() and not module.check_mode:
        module.fail_json(
            msg=f"The container runtime cannot be asked for its images: `{' '.join(command)}` says: {err.strip()}"
        )
    known = {line.strip() for line in out.splitlines()}
    return {name for name in names if familiar(name) in known}


def reference(image: dict[str, t.Any], registry: str) -> str:
    """What to pull for an image."""
    return pull_reference(from_registry(image["name"], registry), image["digest"] or "")


def how(image: dict[str, t.Any], registry: str) -> str:
    """How an image comes, for people."""
    return f"loaded from {image['archive']}" if image["archive"] else f"pulled as {reference(image, registry)}"


def load(module: AnsibleModule, runtime: t.Any, image: dict[str, t.Any]) -> None:
    """Load an image from its archive."""
    code, out, err = module.run_command(runtime.load(image["archive"]))
    if code != 0:
        module.fail_json(msg=f"{image['archive']} cannot be loaded for {image['name']}: {(err or out).strip()}")


def pull(module: AnsibleModule, runtime: t.Any, image: dict[str, t.Any]) -> None:
    """Pull an image, and give it its name."""
    source = reference(image, module.params["registry"])
    code, out, err = module.run_command(runtime.pull(source))
    for pause in PAUSES:
        if code == 0:
            break
        time.sleep(pause)
        code, out, err = module.run_command(runtime.pull(source))
    if code != 0:
        module.fail_json(
            msg=f"{source} cannot be pulled ({(err or out).strip()}): check that this host reaches the registry,"
            " or set artifacts_image_registry to one that it reaches, or artifacts_images to 'archive'."
        )
    if source != image["name"]:
        module.run_command(runtime.tag(source, image["name"]), check_rc=True)


def provide(module: AnsibleModule, runtime: t.Any, absent: list[dict[str, t.Any]]) -> None:
    """Load or pull images, and see that they are there."""
    for image in absent:
        (load if image["archive"] else pull)(module, runtime, image)
    there = present(module, runtime, [image["name"] for image in absent])
    lost = [image for image in absent if image["name"] not in there]
    if lost:
        was = how(lost[0], module.params["registry"])
        module.fail_json(msg=f"{lost[0]['name']} is still absent after it was {was}: check what that has in it.")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    runtime = RUNTIMES[module.params["runtime"]]
    images = module.params["images"]
    there = present(module, runtime, [image["name"] for image in images]) if images else set()
    absent = [image for image in images if image["name"] not in there]
    changes = [f"{image['name']} absent → {how(image, module.params['registry'])}" for image in absent]
    if absent and not module.check_mode:
        provide(module, runtime, absent)
    module.exit_json(
        changed=bool(changes), changes=changes, diff={"prepared": "".join(f"{line}\n" for line in changes)}
    )


if __name__ == "__main__":
    main()
