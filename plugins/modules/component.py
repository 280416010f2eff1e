#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Manage systemd services with their files, and restart outdated processes
version_added: 1.0.0
description:
  - Writes the unit and its configuration files atomically, starts and enables the service, and waits until it is ready.
  - Restarts the service only if the running process was started from something other than what is now on disk - unit,
    drop-ins, configuration, certificates, binary.
  - It compares the process itself, not what changed in this run. The unit puts a digest of all inputs into the
    process's environment, and the module reads it from C(/proc). So the next run repairs the state if a run was killed between writing
    and restarting, and also detects a process that was started from a manually edited file.
  - Check mode returns the same diff and the same RV(actions).
extends_documentation_fragment: [plainkube.cluster.common]
options:
  components:
    description:
      - The components, in start order. Each is ready before the next one starts.
      - Several components in one task are faster than one task for each.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service, without C(.service).
        type: str
        required: true
      unit:
        description: Content of the unit file in C(/etc/systemd/system). The module appends a trailer with the digest.
        type: str
        required: true
      user:
        description: System user (and group) of the service; created with sysusers.d(5) if it does not exist.
        type: str
      files:
        description: Configuration files that the process reads at start. Changing their content restarts it.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          content:
            description: The whole content. Set either this or O(components[].files[].secret_content).
            type: str
          secret_content:
            description: The whole content, if it is secret. It appears in no diff, result or log.
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
            description: Whether to omit the content from the diff.
            type: bool
            default: false
      environment:
        description:
          - Environment variables of the process that only root may read, such as a proxy URL with a password. Changing a value restarts the process.
          - They are written to C(/etc/kubernetes/plainkube-NAME.env), with mode 0600. O(components[].unit) must refer to that file
            with C(EnvironmentFile=-). Without variables, the file is removed.
        type: dict
        default: {}
      inputs:
        description: Files from other sources that the process reads at start, such as certificates and keys.
        type: list
        elements: path
        default: []
      stale:
        description: Patterns (C(*), C(?), C([…])) of files that belong to the component. Those that are not in O(components[].files) are removed.
        type: list
        elements: str
        default: []
      flags:
        description:
          - The operator's flags, as a mapping of name (without dashes) to a value or a list of values. A list becomes one comma-separated value for
            V(etcd), and repeats the flag for all others; an empty list removes the flag.
          - They follow the flags of C(ExecStart) in O(components[].unit), which has one per line, and replace those of the same name. They are sorted
            by name, and quoted according to systemd.service(5) - specifiers (C(%)), variables (C($)), backslashes, quotes and spaces reach the program
            unchanged.
          - Before a start or restart, the module runs the program with these flags and C(--help). If a flag is unknown or its value is invalid, the module
            fails and changes nothing. Check mode skips this if the program is not installed yet.
        type: dict
        default: {}
      binary:
        description: The program that the unit starts. A process that runs a different file is restarted.
        type: path
        required: true
      ready_url:
        description: URL that returns a status of 200 to 299 when the component is ready. Checked once the unit is active.
        type: str
      ready_ca:
        description: CA certificate that verifies the server at O(components[].ready_url). Without it, the server certificate is not verified.
        type: path
      kernel:
        description:
          - What the process maintains in the kernel. A process without it is restarted.
          - A process writes most of this once, and does not notice if others remove it.
        type: dict
        suboptions:
          flannel:
            description:
              - flannel's interface, and its route, neighbor entry and forwarding entry for each lease.
              - Checked from 10 seconds after the start of the process.
            type: dict
            suboptions:
              subnet_file:
                description: flannel's subnet file.
                type: path
                default: /var/lib/flannel/subnet.env
              tunnel:
                description: Whether the backend is V(vxlan), whose interface is V(flannel.1).
                type: bool
                default: true
              direct:
                description: Whether hosts in the same layer-2 network are routed without the tunnel.
                type: bool
                default: false
              leases:
                description:
                  - The leases of all hosts, this one included. By default, routes are not compared with leases.
                type: list
                elements: dict
                default: []
                suboptions:
                  subnet:
                    description: The subnet, such as V(10.244.5.0/24).
                    type: str
                    required: true
                  address:
                    description: The IPv4 address of the host.
                    type: str
                    required: true
                  mac:
                    description: The MAC address of its V(flannel.1). Empty for other backends.
                    type: str
                    required: true
          services:
            description:
              - kube-proxy's rules for the Service of the API server, which represent those of all Services.
              - Checked from 10 seconds after the start of the process, while it is healthy.
            type: dict
            suboptions:
              address:
                description: The cluster IP.
                type: str
                required: true
              port:
                description: The TCP port.
                type: int
                default: 443
              health_url:
                description: URL that returns a status of 200 to 299 when kube-proxy is healthy.
                type: str
                required: true
              config:
                description: kube-proxy's configuration, whose C(mode) is V(nftables) or V(iptables). Other modes are not checked.
                type: path
                default: /etc/kubernetes/kube-proxy.yaml
          docker:
            description: Docker's iptables rules for published ports, which hostPorts use.
            type: bool
            default: false
          cni:
            description: Containerd's pod network, which module M(plainkube.cluster.cni_bridge) configures.
            type: bool
            default: false
      wait:
        description: Seconds to wait until the component is ready. V(0) starts it without waiting.
        type: int
        default: 90
      state:
        description:
          - V(absent) stops the service, and removes its unit, O(components[].files), O(components[].user) and the file of
            O(components[].environment). A unit of that name that this module did not write is left alone, with everything that belongs to it.
            Directories, inputs and the binary stay.
        type: str
        choices: [present, absent]
        default: present
  replaced:
    description:
      - Files that earlier tasks of this run replaced, or would replace in check mode - binaries, CAs, keys.
      - Check mode cannot see their future content, so it assumes that every component with one of them as an input will restart.
        In a real run, they only affect the wording of the reasons in RV(actions), so that it matches the plan.
    type: list
    elements: path
    default: []
notes:
  - Drop-ins in C(/etc/systemd/system/NAME.service.d) belong to the host's administrator. They are left alone and count as inputs.
seealso:
  - name: sd_notify
    description: Units with C(Type=notify) tell systemd when they are ready.
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
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - V(restart) if the service was running, so that it is interrupted; otherwise, V(start).
    - V(wait), in check mode, if systemd must reload a unit, or a component is not ready yet.
  sample:
    - {verb: write, subject: "/etc/systemd/system/etcd.service", reason: ""}
    - {verb: restart, subject: "etcd", reason: "its unit file changes"}
components:
  description: The state that was found, by name of the component.
  returned: success
  type: dict
  contains:
    running:
      description: Whether the service was running, so that a restart interrupts it.
      returned: with O(components[].state=present)
      type: bool
    ready:
      description: Whether the service was ready.
      returned: in check mode, with O(components[].state=present)
      type: bool
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.component import main

if __name__ == "__main__":
    main()
