# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A lab: hosts on one network with a mirror, and operations on it and its hosts."""

from __future__ import annotations

import io
import pathlib
import re
import shutil
import tarfile
import typing as t

import docker
import yaml

from lab import (
    artifacts,
    disk,
    engine,
    guests,
    hosts,
    image,
    inventory,
    isolation,
    machine,
    mirror,
    network,
    registry,
    ssh,
)
from lab.base import CHECKOUT, LabError, cache, lock, run, say, step
from lab.host import Host
from plugins.module_utils.services import _units

HOSTS = ("k1", "n1", "n2")
_COMPONENTS = CHECKOUT / "roles" / "cluster" / "vars" / "main" / "components.yml"
UNITS = [*yaml.safe_load(_COMPONENTS.read_text(encoding="utf-8"))["__cluster_catalogue"]]


def host_and_suite(text: str, suite: str) -> tuple[str, str]:
    """Name and Debian release of a host, from NAME or NAME:SUITE."""
    name, dummy, own = text.partition(":")
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(f"{name!r} is not a valid host name: use lowercase letters, digits and dashes.")
    return name, own or suite


class Lab:
    """The lab with this name, whether it is up or not. Hosts have the names in its inventory."""

    def __init__(self, name: str, client: docker.DockerClient | None = None) -> None:
        # The name of the bridge, pk-NAME, must be a valid interface name.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,11}", name):
            raise LabError(f"{name!r} is not a valid lab name: use up to 12 lowercase letters, digits and dashes.")
        self.name = name
        self.client = client or engine.ensure()

    def up(
        self,
        wanted: t.Sequence[str] = HOSTS,
        prepared: bool = False,
        suite: str = image.SUITE,
        closed: bool = False,
        machines: bool = False,
    ) -> None:
        """Start these hosts; existing hosts do not change.

        A host can have its own Debian release, such as n2:bookworm. In a closed lab, the only way out is a proxy.
        The hosts are containers or virtual machines, and all of a lab are the same.
        """
        if machines and prepared:
            raise LabError("virtual machines are always bare: leave out --prepared.")
        others = hosts.find(self.client, self.name) if machines else guests.find(self.name)
        if others:
            raise LabError(
                f"the hosts of lab {self.name} are {'containers' if machines else 'virtual machines'}: "
                f"`python -m lab down {self.name}` removes them."
            )
        suites = dict(host_and_suite(host, suite) for host in wanted)
        sources = {
            name: disk.ensure(suites[name]) if machines else image.ensure(self.client, prepared, suites[name])
            for name in suites
        }
        names = [*suites]
        with step(f"{self.name}: {' '.join(wanted)}"):
            with lock():
                net = network.ensure(self.client, self.name)
                network.contain()
                subnet, gateway = network.subnet_and_gateway(net)
                mirror.ensure(self.name, gateway)
                if closed:
                    isolation.ensure(self.name, gateway, subnet)
                self._create(sources, net, machines)
            self.start(*names)
            if isolation.is_closed(self.name):
                self._trust_registry(names)
        cache("labs", self.name, "inventory.ini").write_text(self.inventory(), encoding="utf-8")

    def _trust_registry(self, names: t.Sequence[str]) -> None:
        """Like an operator with a private CA."""
        files = {"plainkube-lab.crt": (registry.certificate(self.name).read_bytes(), 0o644)}
        for name in names:
            self.put(name, "/usr/local/share/ca-certificates", files)
            code, output = self.run(name, "update-ca-certificates")
            if code:
                raise LabError(f"{name} does not accept the registry's certificate: {output.strip()}")

    def _create(self, sources: t.Mapping[str, str], net: t.Any, machines: bool) -> None:
        known = self.hosts()
        subnet, gateway = network.subnet_and_gateway(net)
        for name, source in sources.items():
            if name in known:
                if known[name].source != source:
                    say(f"{name} keeps its old image: run `python -m lab down {self.name}` first for a new one")
                continue
            address = hosts.address(name, subnet, [host.address for host in self.hosts().values()])
            if machines:
                guests.create(guests.Definition(self.name, name, address, source, subnet, gateway))
            else:
                hosts.create(self.client, self.name, name, source, net.name, address)

    def down(self) -> None:
        """Remove the lab. After the last one, the machine is as before."""
        net = network.find(self.client, self.name)
        with step(f"{self.name}: removing"), lock():
            ssh.hang_up(self.name)
            for host in self.hosts().values():
                host.remove()
            guests.clear(self.name)
            if net is not None:
                gateway = network.subnet_and_gateway(net)[1]
                mirror.service(self.name, gateway).stop()
                isolation.stop(self.name, gateway)
                net.remove()
            if not network.labs(self.client):
                network.release()
            shutil.rmtree(cache("labs", self.name), ignore_errors=True)

    def hosts(self) -> t.Mapping[str, Host]:
        """The hosts by name: containers, or virtual machines."""
        return guests.find(self.name) or hosts.find(self.client, self.name)

    def host(self, name: str) -> Host:
        """One host."""
        known = self.hosts()
        if name not in known:
            raise LabError(f"the lab {self.name} has no host {name}, it has: {', '.join(known) or 'none'}.")
        return known[name]

    def address(self, name: str) -> str:
        """The host's address."""
        return self.host(name).address

    def inventory(self, without: t.Collection[str] = ()) -> str:
        """The text of an inventory of all hosts except these."""
        net = network.find(self.client, self.name)
        if net is None:
            raise LabError(f"there is no lab {self.name}: `python -m lab up {self.name}` creates it.")
        addresses = {name: host.address for name, host in self.hosts().items() if name not in without}
        gateway = network.subnet_and_gateway(net)[1]
        url = mirror.url(gateway) if artifacts.built() else None
        values = inventory.variables(self.name, url)
        machines = guests.find(self.name)
        if any(guest.is_emulated() for guest in machines.values()):
            values.update(inventory.of_emulated())
        if not machines:
            values.update(inventory.of_containers(machine.cgroup_version(), machine.lacks_sys_resource()))
        if isolation.is_closed(self.name):
            values.update(isolation.variables(gateway))
        if image.SUITE in image.UNTESTED:
            values["preflight_untested_systems"] = True
        return inventory.render(self.name, addresses, values)

    def inventory_path(self) -> pathlib.Path:
        """The path of the inventory that `up` wrote."""
        return cache("labs", self.name, "inventory.ini")

    def ssh_command(self, name: str) -> str:
        """The ssh command for a user."""
        return " ".join(["ssh", "-i", str(ssh.key()), *ssh.OPTIONS, f"{ssh.USER}@{self.address(name)}"])

    def run(self, name: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command on the host, as root and without SSH."""
        code, output = self.host(name).run(command)
        return code, output.decode(errors="replace")

    def demand(self, name: str, *command: str) -> str:
        """The output of a command on the host that must succeed."""
        code, output = self.run(name, *command)
        if code:
            raise LabError(f"`{' '.join(command)}` on {name} failed: {output.strip()}")
        return output

    def kubectl(self, name: str, *arguments: str) -> str:
        """The output of kubectl on a control plane, as its administrator."""
        command = ("/usr/local/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments)
        return self.demand(name, *command).strip()

    def fetch(self, name: str, path: str, target: pathlib.Path) -> None:
        """Copy a file from the host, with its mode."""
        code, real = self.run(name, "readlink", "--canonicalize-existing", path)
        if code:
            raise LabError(f"{name} has no {path}.")
        temporary = target.with_name(f".{target.name}.new")
        with tarfile.open(fileobj=io.BytesIO(self.host(name).get(real.strip()))) as archive:
            (entry,) = archive.getmembers()
            content = archive.extractfile(entry)
            if content is None:
                raise LabError(f"{path} on {name} is not a regular file.")
            temporary.write_bytes(content.read())
            temporary.chmod(entry.mode)
        temporary.rename(target)

    def put(self, name: str, directory: str, files: t.Mapping[str, tuple[bytes, int]]) -> None:
        """Write files, path below the directory -> content and mode, owned by root; creates their directories."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, (content, mode) in files.items():
                entry = tarfile.TarInfo(path)
                entry.mode, entry.size = mode, len(content)
                tar.addfile(entry, io.BytesIO(content))
        self.run(name, "mkdir", "-p", directory)
        self.host(name).put(directory, archive.getvalue())

    def readdress(self, name: str, old: str, new: str) -> None:
        """Give the host another address instead of this one, as DHCP does. The lab itself still knows the first one."""
        net = network.find(self.client, self.name)
        if net is None:
            raise LabError(f"there is no lab {self.name}: `python -m lab up {self.name}` creates it.")
        subnet, gateway = network.subnet_and_gateway(net)
        length = subnet.partition("/")[2]
        # The first address of a network takes the others with it.
        change = f"ip address delete {old}/{length} dev eth0; ip address add {new}/{length} dev eth0"
        self.demand(name, "sh", "-ec", f"{change}; ip route replace default via {gateway}")

    # Faults and their reversal: pause and unpause, kill and start, cut_off and rejoin.

    def pause(self, name: str) -> None:
        """Freeze the host: it is silent, but its connections stay open."""
        self.host(name).pause()

    def unpause(self, name: str) -> None:
        """Unfreeze it."""
        self.host(name).unpause()

    def kill(self, *names: str) -> None:
        """Cut the power."""
        for name in names:
            self.host(name).kill()

    def start(self, *names: str) -> None:
        """Restore the power, and wait until the hosts have booted."""
        ssh.hang_up(self.name)
        for name in names:
            self.host(name).start()
        for name in names:
            self.host(name).wait()

    def cut_off(self, name: str) -> None:
        """Cut the host's network at the switch: no traffic gets through, and the host cannot detect it."""
        run("bridge", "link", "set", "dev", self.host(name).port(), "state", "disabled")

    def rejoin(self, name: str) -> None:
        """Connect it again."""
        run("bridge", "link", "set", "dev", self.host(name).port(), "state", "forwarding")

    def shut_down(self, *names: str) -> None:
        """Shut down the hosts cleanly and in parallel, as for a reboot; `start` boots them again."""
        for name in names:
            self.run(name, "systemctl", "--no-block", "poweroff")
        for name in names:
            self.host(name).wait_off()

    def invocations(self) -> dict[str, str]:
        """HOST/UNIT -> systemd's InvocationID, which changes with each start; empty for a unit that is not running there."""
        found = {}
        for name in self.hosts():
            units = [f"{unit}.service" for unit in UNITS]
            shown = _units.parse_shows(self.run(name, "systemctl", "show", "--property=Id,InvocationID", *units)[1])
            found.update({f"{name}/{one['Id'].removesuffix('.service')}": one["InvocationID"] for one in shown})
        return found

    def journals(self, lines: int = 40) -> str:
        """For each host, the failed units, and the last log lines of every existing unit of the cluster."""
        parts = []
        for name, host in self.hosts().items():
            state = host.state()
            if state != "running":
                parts.append(f"==== {name}: {state}")
                continue
            parts.append(
                f"==== {name}: failed units\n" + self.run(name, "systemctl", "--failed", "--no-legend", "--plain")[1]
            )
            for unit in UNITS:
                if self.run(name, "systemctl", "cat", unit)[0] == 0:
                    journal = ("journalctl", "--no-pager", "--output=short-precise", "-n", str(lines), "--unit", unit)
                    parts.append(f"---- {name}: {unit}\n" + self.run(name, *journal)[1])
        return "\n".join(parts)
