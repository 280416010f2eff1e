# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""dockerd's start: its unit's command, its daemon.json, and the drop-in that configures docker0 for flannel's subnet."""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _state

Version = tuple[int, ...]

OLDEST = (20, 10)
DAEMON_JSON = "/etc/docker/daemon.json"
DATA_ROOT = "/var/lib/docker"
# In the data root, while Docker is part of a swarm.
SWARM = "swarm/docker-state.json"
# dockerd exits if a setting is both a flag and in daemon.json; these are always flags, whatever daemon.json contains.
_OWNED = ("bip", "mtu", "ip-masq", "userland-proxy", "fixed-cidr")
# Flags with a different name in daemon.json.
_PLURALS = {
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "default-address-pool": "default-address-pools",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
# Short flags of settings that matter here.
_SHORT = {"-b": "--bridge"}


class Needed(t.NamedTuple):
    """The values of a setting with which pods work, in lower case, and why. `for_all`: also pods that Docker does not run, on the bridge that it shares."""

    values: tuple[str, ...]
    reason: str
    for_all: bool


_ON = ("true", "1", "t")
# docs/operations.md says what happens with all other settings.
NEEDED = {
    "bridge": Needed(("",), "pods are on docker0", True),
    "default-gateway": Needed(("",), "docker0 is the gateway of pods", False),
    "firewall-backend": Needed(("iptables", ""), "flannel needs iptables", True),
    "icc": Needed(_ON, "pods on one node must reach each other", True),
    "ip": Needed(("0.0.0.0", "::", ""), "hostPorts must be open on every address of the host", False),
    "iptables": Needed(_ON, "hostPorts need Docker's rules", False),
    "log-driver": Needed(("json-file", ""), "kubelet and kubectl logs read json-file only", False),
    "userns-remap": Needed(("",), "pods could not read their tokens and volumes", False),
}
# Characters that mean the same in a path and in a systemd unit.
_PLAIN_PATH = re.compile(r"(?:/[\w.+@-]+)+", re.ASCII)


def parse_version(text: str) -> Version:
    """The version in the output of `dockerd --version`: `Docker version 20.10.24+dfsg1, build 297e128`."""
    found = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", text)
    if not found:
        raise ValueError(f"`dockerd --version` printed {text.strip()!r}, which has no version")
    return tuple(int(part or 0) for part in found.groups())


# --- units ---------------------------------------------------------------------------------------------------------


def _assignments(text: str) -> t.Iterator[tuple[str, str, str]]:
    """Section, key and value of each line of a unit file; continued lines are joined."""
    section = ""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(("#", ";"))]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).split("\n"):
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped.strip("[]")
        elif "=" in stripped:
            key, dummy, value = stripped.partition("=")
            yield section, key.strip(), value.strip()


def settings(units: t.Sequence[str], key: str) -> list[str]:
    """All values of a key of [Service] in a unit and its drop-ins; an empty value resets the previous ones."""
    values: list[str] = []
    for text in units:
        for section, found, value in _assignments(text):
            if (section, found) == ("Service", key):
                values = [*values, value] if value else []
    return values


def start_command(units: t.Sequence[str]) -> str:
    """The single ExecStart of a service, from the unit and its drop-ins."""
    commands = settings(units, "ExecStart")
    if len(commands) != 1:
        raise ValueError(
            f"docker.service has {len(commands)} ExecStart commands ({'; '.join(commands)}); it must have exactly one"
        )
    return commands[0]


def binary(command: str) -> str:
    """The program of an ExecStart command."""
    return command.split()[0].lstrip("-@:+!")


def _flags(words: t.Sequence[str]) -> t.Iterator[tuple[str, str, int]]:
    """Name and value of each long flag, and its number of words."""
    for position, word in enumerate(words):
        word = _SHORT.get(word, word)
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        following = words[position + 1] if position + 1 < len(words) else ""
        if equals or not following or following.startswith(("-", "$")):
            yield name, value if equals else "true", 1
        else:
            yield name, following, 2


def environment(text: str) -> dict[str, str]:
    """The variables in an environment file, parsed like systemd and shells."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and re.fullmatch(r"\w+", name):
            found[name] = value.strip().strip("\"'")
    return found


def flag_settings(command: str, variables: t.Mapping[str, str]) -> dict[str, str]:
    """The settings of flags, by their names in daemon.json: those in the command, and in its environment variables."""
    words: list[str] = []
    for word in command.split():
        variable = _VARIABLE.fullmatch(word)
        words += variables.get(variable.group(1), "").split() if variable else [word]
    return {_PLURALS.get(name, name): value for name, value, dummy in _flags(words)}


def without_owned_flags(command: str, version: Version) -> str:
    """The command without the flags that we add ourselves."""
    words = command.split()
    ours = owned(version)
    dropped: set[int] = set()
    for position, word in enumerate(words):
        name = word[2:].partition("=")[0] if word.startswith("--") else ""
        if name in ours:
            takes = next(_flags(words[position:]))[2]
            dropped.update(range(position, position + takes))
    if not dropped:
        return command
    return " ".join(word for position, word in enumerate(words) if position not in dropped)


# --- daemon.json ---------------------------------------------------------------------------------------------------


def owned(version: Version) -> tuple[str, ...]:
    """The settings that the drop-in's flags set."""
    return (*_OWNED, "allow-direct-routing") if version >= (28, 2) else _OWNED


def parse_daemon_json(text: str | None, path: str = DAEMON_JSON) -> dict[str, t.Any]:
    """daemon.json's settings; none if the file is missing or empty."""
    if not (text or "").strip():
        return {}
    try:
        current = json.loads(text or "")
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}), so Docker would not start; correct it") from None
    if not isinstance(current, dict):
        raise ValueError(f"{path} is not a JSON object, so Docker would not start; correct it")
    return current


def merge(
    current: t.Mapping[str, t.Any],
    recorded: t.Mapping[str, t.Any],
    options: t.Mapping[str, t.Any],
    flags: t.Mapping[str, str],
    version: Version,
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """The desired daemon.json, and those of its settings that are ours.

    Ours are the unchanged settings that an earlier run recorded, and options that the administrator has set neither
    there nor by a flag. Everything else belongs to the administrator and stays, except settings that the bridge's flags replace.
    """
    ours: dict[str, t.Any] = {}
    merged: dict[str, t.Any] = {}
    for name, value in current.items():
        if name in owned(version):
            continue
        if name in recorded and recorded[name] == value:
            if name in options and name not in flags:
                ours[name] = merged[name] = options[name]
        else:
            merged[name] = value
    for name, value in options.items():
        if name not in merged and name not in flags:
            ours[name] = merged[name] = value
    return merged, ours


class Record(t.NamedTuple):
    """What docker_rebridge added to daemon.json, as recorded in the host's state. A setting that an administrator changes is no longer ours."""

    daemon_json: str
    settings: dict[str, t.Any]


def recorded(state: _state.State) -> Record:
    found = state.get(_state.DOCKER, {})
    return Record(found.get("daemon_json") or DAEMON_JSON, found.get("settings") or {})


def unmerge(current: t.Mapping[str, t.Any], recorded: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """daemon.json without the unchanged settings that `merge` added."""
    return {name: value for name, value in current.items() if name not in recorded or recorded[name] != value}


class Setting(t.NamedTuple):
    """The value of one of Docker's settings, and the file or variable that sets it."""

    value: t.Any
    source: str

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else json.dumps(self.value)

    @property
    def holds(self) -> bool:
        return self.text.lower() in _ON


def is_plain_path(path: str) -> bool:
    return bool(_PLAIN_PATH.fullmatch(path))


def problems(
    settings: t.Mapping[str, Setting], options: t.Collection[str], runs_pods: bool, root: str, swarm: bool
) -> list[str]:
    """Why pods would not work with these settings and this state of Docker, as sentences without their period.

    `options` names the settings in docker_options; `runs_pods` says whether Docker is the runtime of the pods; `root` is Docker's data root, without
    symbolic links."""
    found = []
    ours = sorted({*options} & {*_OWNED, "allow-direct-routing"})
    if ours:
        found.append(
            f"docker_options contains {', '.join(ours)}, which docker_rebridge sets from flannel's subnet: remove it"
        )
    for name, needed in NEEDED.items():
        setting = settings.get(name)
        if setting and setting.text.lower() not in needed.values and (runs_pods or needed.for_all):
            found.append(
                f"Docker's {name} is {setting.text} in {setting.source}, but {needed.reason}: remove the setting"
            )
    live_restore = settings.get("live-restore")
    if swarm and live_restore and live_restore.holds:
        found.append(
            "Docker is part of a swarm, and does not start with both a swarm and live-restore: leave the swarm (docker swarm leave --force), "
            "or set live-restore to false in docker_options"
        )
    if runs_pods and not is_plain_path(root):
        found.append(
            f"Docker's data root is {root!r}, which cri-dockerd's unit cannot contain: use a path of letters, digits and . _ + @ -"
        )
    return found


def pools(settings: t.Mapping[str, Setting]) -> list[tuple[str, str]]:
    """The networks from which Docker takes those of its users, with a description. Docker's default ones avoid whatever has a route."""
    pool = settings.get("default-address-pools")
    if not pool:
        return []
    bases = re.findall(r"base=([^,]+)", pool.text) or [
        str(one.get("base")) for one in (pool.value if isinstance(pool.value, list) else []) if isinstance(one, dict)
    ]
    return [(f"default-address-pools in {pool.source}", base) for base in bases if _is_network(base)]


def _is_network(text: str) -> bool:
    try:
        return bool(ipaddress.IPv4Network(text))
    except ValueError:
        return False


def render_daemon_json(text: str | None, current: t.Mapping[str, t.Any], merged: t.Mapping[str, t.Any]) -> str | None:
    """The file's text: byte for byte the same if nothing changes; None if there is no file and none is needed."""
    if merged == current:
        return text
    indent = re.search(r"^([ \t]+)\S", text or "", re.MULTILINE)
    return json.dumps(merged, indent=indent.group(1) if indent else 2, ensure_ascii=False) + "\n"


# --- the drop-ins --------------------------------------------------------------------------------------------------


# systemd reads it just before it starts each process of the unit, so each process sees what the previous one wrote.
LEASE_FILE = "/run/plainkube-docker.env"
_PART = "PLAINKUBE_FIXED_CIDR"
# The only lines of flannel's subnet file that dockerd gets. Any other line, such as LD_PRELOAD, would also become part of dockerd's environment.
_LEASE_LINE = "FLANNEL_(NETWORK|SUBNET)=[0-9./]+|FLANNEL_MTU=[0-9]+|FLANNEL_IPMASQ=(true|false)"


def _for_systemd(script: str) -> str:
    """A script, escaped for double quotes in a unit's command line."""
    return script.replace("%", "%%").replace("$", "$$")


def _lease(subnet_file: str) -> list[str]:
    """The lines that pass flannel's lease to dockerd at every start. flanneld, which writes the subnet file, has fewer privileges than dockerd."""
    script = (
        f"head -c 4096 {subnet_file} | grep -xE '{_LEASE_LINE}' > {LEASE_FILE}; "
        f"grep -q ^FLANNEL_SUBNET= {LEASE_FILE} && grep -q ^FLANNEL_MTU= {LEASE_FILE} || {{ echo '{subnet_file} has no lease' >&2; exit 1; }}"
    )
    return [
        "# Only the lease lines of flannel's subnet file.",
        f"EnvironmentFile=-{LEASE_FILE}",
        f'ExecStartPre=/bin/sh -c "{_for_systemd(script)}"',
    ]


def _half(upper: bool) -> str:
    """Shell code that writes one half of $FLANNEL_SUBNET to dockerd's environment file."""
    return (
        "l=${FLANNEL_SUBNET#*/} IFS=./; set -- $FLANNEL_SUBNET; "
        "n=$(( (($1 << 24) + ($2 << 16) + ($3 << 8) + $4) >> (32 - l) << (32 - l) )); "
        + ("n=$((n + (1 << (31 - l)))); " if upper else "")
        + f"printf '{_PART}=%d.%d.%d.%d/%d\\n' $((n >> 24)) $((n >> 16 & 255)) $((n >> 8 & 255)) $((n & 255)) $((l + 1))"
    )


def _part(fixed_cidr: str) -> list[str]:
    """The lines that pass dockerd its part of the current subnet at every start."""
    if fixed_cidr not in ("lower", "upper"):
        return []
    script = _for_systemd(f"{_half(fixed_cidr == 'upper')} >> {LEASE_FILE}")
    return [
        f"# Docker's own containers have the {fixed_cidr} half of the subnet; the pods have the other.",
        f'ExecStartPre=/bin/sh -ec "{script}"',
    ]


def _part_flag(fixed_cidr: str) -> list[str]:
    if not fixed_cidr:
        return []
    return [f"--fixed-cidr=${{{_PART}}}" if fixed_cidr in ("lower", "upper") else f"--fixed-cidr={fixed_cidr}"]


def _bridge_flags(version: Version, fixed_cidr: str) -> list[str]:
    flags = ["--bip=${FLANNEL_SUBNET}", "--mtu=${FLANNEL_MTU}", "--ip-masq=false", "--userland-proxy=false"]
    flags += _part_flag(fixed_cidr)
    return [*flags, "--allow-direct-routing"] if version >= (28, 2) else flags


def _bridge_mtu(version: Version) -> list[str]:
    """Docker 20.10 leaves an empty bridge at the kernel's 1500; 26.1 is known to set it."""
    if version >= (26, 1):
        return []
    return [
        "# This version of Docker leaves a bridge without containers at an MTU of 1500.",
        "ExecStartPost=-ip link set dev docker0 mtu ${FLANNEL_MTU}",
    ]


def _forwarding(version: Version) -> list[str]:
    """From 28.0 on, Docker drops packets that other hosts route to its containers, before flannel's rules apply.

    Its chain DOCKER-USER comes first, and Docker never edits it. 28.2 and later also need --allow-direct-routing
    for the raw table; 28.0 and 28.1 only have an environment variable for that.
    """
    if version < (28, 0):
        return []
    rule = "DOCKER-USER $$side $$FLANNEL_NETWORK -j ACCEPT"
    script = f"for side in -s -d; do iptables -w -C {rule} 2>/dev/null || iptables -w -I {rule}; done"
    lines = [
        "# Docker's rules would drop packets that other hosts route to pods.",
        f"ExecStartPost=/bin/sh -ec '{script}'",
    ]
    return lines if version >= (28, 2) else [*lines, "Environment=DOCKER_INSECURE_NO_IPTABLES_RAW=1"]


def drop_in(
    command: str,
    version: Version,
    bounded: bool,
    subnet_file: str,
    fixed_cidr: str = "",
    environment_file: str = "",
) -> str:
    """docker.service's drop-in; `bounded` means that the host cannot lower OOM scores."""
    lines = [
        "# Written by plainkube.cluster (docker_rebridge): docker0 follows flannel's lease at every start of Docker.",
        "# The command of docker.service and its other drop-ins, plus flags for the bridge.",
        "[Unit]",
        "After=flanneld.service",
        "Wants=flanneld.service",
        "# Without a lease, Docker cannot start; it retries until flannel has one.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "RestartSec=1",
        *_lease(subnet_file),
        *([f"EnvironmentFile=-{environment_file}"] if environment_file else []),
        *_part(fixed_cidr),
        "ExecStart=",
        f"ExecStart={without_owned_flags(command, version)} {' '.join(_bridge_flags(version, fixed_cidr))}",
        *_bridge_mtu(version),
        *_forwarding(version),
    ]
    if bounded:
        lines += ["# This host lacks CAP_SYS_RESOURCE, which a negative score needs.", "OOMScoreAdjust=0"]
    return "\n".join(lines) + "\n"


FILE_LIMIT = "LimitNOFILE=infinity"
# Go programs raise their own limit to the hard one, and give their children the original. So /proc/PID/limits does not show it.
FILE_LIMIT_MARK = "PLAINKUBE_NOFILE=infinity"


def limits_files(settings: t.Mapping[str, Setting]) -> bool:
    """Whether the administrator limits the open files of all containers."""
    limits = settings.get("default-ulimits")
    return limits is not None and "nofile" in limits.text


def containerd_drop_in(units: t.Sequence[str], bounded: bool, limited: bool) -> str | None:
    """containerd.service's drop-in, with what its unit lacks on this host; None if it lacks nothing. `limited`: see `limits_files`."""
    scores = settings(units, "OOMScoreAdjust")
    lines: list[str] = []
    if bounded and scores and scores[-1].startswith("-"):
        lines += ["# This host lacks CAP_SYS_RESOURCE, which a negative score needs.", "OOMScoreAdjust=0"]
    # Any limit in the unit is Debian's or the administrator's.
    if settings(units, "ExecStart") and not settings(units, "LimitNOFILE") and not limited:
        lines += [
            "# Containers inherit this limit. containerd's unit sets none since 2.0, so that programs which expect many open files would fail at 1024.",
            FILE_LIMIT,
            "# Tells whether the running process was started with it.",
            f"Environment={FILE_LIMIT_MARK}",
        ]
    return "\n".join(["# Written by plainkube.cluster (docker_rebridge).", "[Service]", *lines, ""]) if lines else None


def survives_restart(units: t.Sequence[str]) -> bool:
    """Whether systemd leaves containers running when it stops containerd."""
    return settings(units, "KillMode")[-1:] == ["process"]


def failure(journal: str) -> str:
    """The reason for dockerd's exit, according to its journal."""
    lines = [line for line in journal.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"failed to start daemon|unable to configure|level=fatal", line)]
    return (telling or lines or ["its journal is empty"])[-1].strip()
