#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Systemd services, their files, and the processes that run with them
version_added: 1.0.0
description:
  - Writes the unit and its configuration files atomically, starts and enables the service, and waits until it is ready.
  - Restarts the service exactly when the running process was started from something else than what is now on disk - unit,
    drop-ins, configuration, certificates, binary.
  - It learns that from the process and not from what changed in this run. The unit puts a digest of all its inputs into the
    process's environment, and the module reads it back from C(/proc). So a run that was killed between writing
    and restarting is healed by the next one, and a process that somebody started from a file edited by hand is found.
  - In check mode it answers with the same diff, and with RV(components.restart) and RV(components.reasons).
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  components:
    description:
      - The components, in the order in which they are started. Each is ready before the next one is started.
      - Several in one task cost a host a fraction of a second less each.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service, without C(.service).
        type: str
        required: true
      unit:
        description: Content of the unit file in C(/etc/systemd/system). A trailer with the digest is added to it.
        type: str
        required: true
      user:
        description: System user (and group) that the service runs as; created through sysusers.d(5) where it does not exist.
        type: str
      directories:
        description: Directories that the service needs.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          owner:
            description: Name of the owner.
            type: str
            default: root
          group:
            description: Name of the group.
            type: str
            default: root
          mode:
            description: Permissions, octal.
            type: str
            default: "0755"
      files:
        description: Configuration files that the process reads when it starts. Another content means a restart.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          content:
            description: The whole content. Either this or O(components[].files[].secret_content).
            type: str
          secret_content:
            description: The same for a content that is secret. It appears in no diff, answer or log.
            type: str
          owner:
            description: Name of the owner.
            type: str
            default: root
          group:
            description: Name of the group.
            type: str
            default: root
          mode:
            description: Permissions, octal.
            type: str
            default: "0644"
          secret:
            description: Whether the content is left out of the diff.
            type: bool
            default: false
      environment:
        description:
          - Variables of the process that only root may read, such as the URL of a proxy with a password. Another value means a restart.
          - They are written to C(/etc/kubernetes/plainkube-NAME.env), with mode 0600, and O(components[].unit) has to name that file
            by C(EnvironmentFile=-). Where there are none, the file is removed.
        type: dict
        default: {}
      inputs:
        description: Files that others write and the process reads when it starts, such as certificates and keys.
        type: list
        elements: path
        default: []
      stale:
        description: Patterns (C(*), C(?), C([…])) of files that are the component's. Those that are not in O(components[].files) are removed.
        type: list
        elements: str
        default: []
      flags:
        description:
          - The flags in O(components[].unit) that are the operator's, a mapping of name to a value or a list of values.
          - Before a start or restart, the program is asked for C(--help) with them. Where it does not know one, or cannot read its value, the module
            fails and has changed nothing. In check mode it is not asked while the program is yet to be installed.
        type: dict
        default: {}
      binary:
        description: The program that the unit starts. A process that runs another file is restarted.
        type: path
        required: true
      ready_url:
        description: URL that answers with a status of 200 to 299 when the component is ready. Asked once the unit is active.
        type: str
      ready_ca:
        description: CA certificate that the server at O(components[].ready_url) must show. Without it, the certificate is not checked.
        type: path
      wait:
        description: Seconds to wait until the component is ready. V(0) starts it without waiting.
        type: int
        default: 90
      state:
        description:
          - V(absent) stops the service, and removes its unit, O(components[].files), O(components[].user) and the file of
            O(components[].environment). A unit of that name that this module did not write is left alone, with all that belongs to it.
            Directories, inputs and the binary stay.
        type: str
        choices: [present, absent]
        default: present
  replaced:
    description:
      - Files that earlier tasks of this run replace, or would in check mode - binaries, authorities, keys.
      - Check mode cannot see what they will be, so it takes a component that has one of them as an input for one that will be restarted.
        In a real run they only word RV(components.reasons) alike.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - Drop-ins in C(/etc/systemd/system/NAME.service.d) are the host administrator's; they are left alone and count as inputs.
seealso:
  - name: sd_notify
    description: Units of C(Type=notify) tell systemd when they are ready.
    link: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

EXAMPLES = r"""
- name: Run the scheduler
  plainkube.cluster.component:
    components:
      - name: kube-scheduler
        user: kube-scheduler
        unit: "{{ lookup('ansible.builtin.template', 'kube-scheduler.service.j2') }}"
        files:
          - path: /etc/kubernetes/scheduler.yaml
            content: "{{ lookup('ansible.builtin.template', 'scheduler.yaml.j2') }}"
        inputs: [/etc/kubernetes/pki/scheduler.crt]
        binary: /usr/local/bin/kube-scheduler
        ready_url: https://127.0.0.1:10259/healthz
"""

RETURN = r"""
components:
  description: What was done, or would be, by name of the component.
  returned: success
  type: dict
  contains:
    restart:
      description: Whether the service was started or restarted.
      returned: success
      type: bool
    removed:
      description: Whether it was there and was removed.
      returned: success
      type: bool
    reasons:
      description: Why it was started or restarted, in words.
      returned: success
      type: list
      elements: str
    running:
      description: Whether the service ran before, so that a restart interrupts it.
      returned: success
      type: bool
pending:
  description:
    - What is to do though it changes nothing, in words.
    - Here, in check mode, that systemd has to read a unit again, or that a component which is waited for is not ready.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.component import main

if __name__ == "__main__":
    main()
