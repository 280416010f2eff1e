# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""`make docs`: generates documentation and metadata from the sources.

- README.md: tables of playbooks (first line of their comment), roles and public modules (their short_description); sample outputs
  (docs/samples.py); default versions; figures from docs/benchmark.md
- docs/architecture.md: tables of the ports (the catalogue of components) and of the internal modules
- the defaults in roles/*/meta/argument_specs.yml, from defaults/main.yml
- roles/*/README.md, and the description of the role on Galaxy (meta/main.yml), from meta/argument_specs.yml
- meta/runtime.yml: the action group of all modules, and the action plugin of modules without their own
- plugins/module_utils/modules/survey.py: the modules of all steps
- tests/sanity/ignore-*.txt

With --check (`make lint`), it writes nothing, and fails if a file differs from what it would write.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import typing as t

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / ".venv" / "collections")]

from ansible.plugins.loader import init_plugin_loader

# Before the first import from the collection, so that templates find its plugins.
init_plugin_loader([str(TOP / ".venv" / "collections")])

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _preflight
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps

from benchmarks import __main__ as benchmark
from benchmarks import report, scale
from docs import samples

COLLECTION = "plainkube.cluster"
# Imported by other playbooks; not for direct use.
INTERNAL_PLAYBOOKS = {"groups", "rotate"}
# In the usual order of use; all others follow by name.
PLAYBOOKS = ["build", "site", "status", "verify", "kubeconfig", "certificates", "encryption"]
# For playbooks of users. All other modules are internal to the roles.
PUBLIC_MODULES = ("docker_rebridge", "etcd_network_config", "kube_checkstatus")
SURVEY = "plugins/module_utils/modules/survey.py"
CORES = ["2.20", "2.21", "2.22"]
# Exceptions for ansible-test's sanity tests, and the reasons.
IGNORED = {
    "plugins/action/on_host.py": "action-plugin-docs # it runs many modules, and each has its documentation",
    "lab/files/runc-bounded": "shebang # it starts before every container, so Python skips all that it can",
    "roles/containerd/files/plainkube_cni.py": "shebang # it runs as root, without packages that the host's users installed",
}
# The kinds of hosts, and the sources of the firewall's rules.
KINDS = {"etcd": "etcd members", "control_plane": "control planes", "node": "nodes"}
CLIENTS = {
    "hosts": "the cluster's hosts",
    "members": "etcd members",
    "control_planes": "control planes",
    "pods": "pods",
}
LICENSE = "validate-modules:missing-gplv3-license # Apache-2.0, as the whole collection is"


class DriftError(Exception):
    """One sentence: what is missing in a source."""


def markdown(text: t.Any) -> str:
    """A description as a table cell: Ansible's markup, C(…), V(…), O(…) and so on, becomes code."""
    lines = [text] if isinstance(text, str) else text
    joined = " ".join(line.strip() for line in lines)
    code = re.sub(
        r"\b(?:C|V|O|M|RV)\(([^()]*)\)",
        lambda found: f"`{found[1].rsplit(':', 1)[-1] if '#' in found[1] else found[1]}`",
        joined,
    )
    return code.replace("|", "\\|")


def table(head: tuple[str, ...], rows: t.Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in (head, ("---",) * len(head), *rows)]


def playbook_rows() -> list[tuple[str, str]]:
    names = sorted(path.stem for path in (TOP / "playbooks").glob("*.yml"))
    names = [name for name in names if name not in INTERNAL_PLAYBOOKS]
    names.sort(key=lambda name: PLAYBOOKS.index(name) if name in PLAYBOOKS else len(PLAYBOOKS))
    return [(f"`{name}.yml`", first_comment(TOP / "playbooks" / f"{name}.yml")) for name in names]


def first_comment(path: pathlib.Path) -> str:
    found = re.match(r"---\n# (.+)\n", path.read_text(encoding="utf-8"))
    if not found:
        raise DriftError(
            f"{path.relative_to(TOP)} does not begin with '---' and a comment that says what it is for: write one."
        )
    return found[1].rstrip(".")


def role_specs(role: str) -> str:
    """The text of meta/argument_specs.yml, with the defaults of defaults/main.yml. A default that is a template is described by hand."""
    text = (TOP / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    described = {
        name: option
        for spec in yaml.safe_load(text)["argument_specs"].values()
        for name, option in spec.get("options", {}).items()
    }
    for name, value in defaults(role).items():
        given = described.get(name, {})
        is_template = isinstance(value, str) and "{{" in value
        if not is_template and ("default" not in given or json.dumps(given["default"]) != json.dumps(value)):
            text = with_default(text, name, value)
    return text


def with_default(text: str, name: str, value: t.Any) -> str:
    """Argument specs with another default of an option, below its type."""
    written = yaml.safe_dump({"default": value}, default_flow_style=True, sort_keys=False, width=1000)[1:-2]

    def changed(option: re.Match[str]) -> str:
        others = re.sub(r"^ {8}default:.*\n(?: {9}.*\n| {8}- .*\n)*", "", option[0], flags=re.M)
        kind = r"^ {8}type: .*\n(?: {8}elements: .*\n)?"
        return re.sub(kind, lambda line: f"{line[0]}        {written}\n", others, flags=re.M)

    return re.sub(rf"^ {{6}}{name}:\n(?: {{8}}.*\n)+", changed, text, flags=re.M)


def specs(role: str) -> dict[str, dict]:
    return yaml.safe_load(role_specs(role))["argument_specs"]


def roles() -> list[str]:
    return sorted(path.parent.parent.name for path in (TOP / "roles").glob("*/meta/argument_specs.yml"))


def role_rows() -> list[tuple[str, str]]:
    return [
        (f"[`{role}`](roles/{role}/README.md)", markdown(next(iter(specs(role).values()))["short_description"]))
        for role in roles()
    ]


def modules() -> list[str]:
    return sorted(path.stem for path in (TOP / "plugins" / "modules").glob("[!_]*.py"))


def module_rows(public: bool) -> list[tuple[str, str]]:
    missing = [name for name in PUBLIC_MODULES if name not in modules()]
    if missing:
        raise DriftError(f"plugins/modules has no {missing[0]}, which is in PUBLIC_MODULES: correct the name there.")
    names = [name for name in modules() if (name in PUBLIC_MODULES) == public]
    return [(f"`{name}`", markdown(documentation(name)["short_description"])) for name in names]


def documentation(module: str) -> dict:
    text = (TOP / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    found = re.search(r'^DOCUMENTATION = r?"""\n(.*?)^"""', text, re.M | re.S)
    if not found:
        raise DriftError(f"plugins/modules/{module}.py has no DOCUMENTATION: write it.")
    return yaml.safe_load(found[1])


def filled(path: str, parts: dict[str, list[str]]) -> str:
    """A page with its generated parts between their markers."""
    text = (TOP / path).read_text(encoding="utf-8")
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: generated by make docs -->\n", f"<!-- end of {name} -->\n"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise DriftError(
                f"{path} has not one '{begin.strip()}' and one '{end.strip()}': put them where {name} belongs."
            )
        text = text[: text.index(begin)] + begin + "\n".join(lines) + "\n" + text[text.index(end) :]
    return text


def console(lines: t.Iterable[str]) -> list[str]:
    return ["```console", *lines, "```"]


def defaults(role: str = "cluster") -> dict[str, t.Any]:
    path = TOP / "roles" / role / "defaults" / "main.yml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def versions() -> list[str]:
    named = {
        "Kubernetes": "",
        "etcd": "etcd_",
        "flannel": "flannel_",
        "containerd": "containerd_",
        "cri-dockerd": "cri_dockerd_",
        "CoreDNS": "coredns_",
    }
    found = [f"{name} {defaults()[f'cluster_{variable}version']}" for name, variable in named.items()]
    least, last = (".".join(map(str, minor)) for minor in _preflight.KUBERNETES)
    return [
        f"The default versions are {', '.join(found[:-1])} and {found[-1]}.",
        f"They are variables (`cluster_version`, …); Kubernetes {least} to {last} is supported.",
    ]


def figures() -> list[str]:
    """The medians of docs/benchmark.md in words, and the limits of the benchmarks."""
    text = (TOP / "docs" / "benchmark.md").read_text(encoding="utf-8")
    medians = dict(re.findall(r"^\| (.+?) \| (\d+\.\d) \|", text, re.MULTILINE))
    names = (report.FLOOR, report.SITE, report.KUBEADM, report.FLAG, report.AGAIN, report.STATUS)
    missing = [name for name in names if name not in medians]
    if missing:
        raise DriftError(f"docs/benchmark.md has no row '{missing[0]}': run `make benchmark`.")
    script, site, kubeadm, flag, again, status = (medians[name] for name in names)
    return [
        f"From prepared hosts to the first pod, `site.yml` took {site} s, and a plain shell script that builds the same cluster without any",
        f"checks took {script} s. kubeadm took {kubeadm} s on the same hosts, not counting host preparation and a pod network. A run that",
        f"changed one flag took {flag} s, a run without changes {again} s, and `status.yml` {status} s.",
        "[docs/benchmark.md](docs/benchmark.md) has all measurements, the idle memory of each component, and what exactly is counted.",
        f"`make benchmark` repeats them, and fails if `site.yml` takes more than {benchmark.BARS[report.SITE][1]} times as long as the script.",
        "",
        "The cost per host barely grows with the cluster: `make benchmark-scale` fails if, in a second run, the control node needs over",
        f"{scale.BAR - 1:.0%} more CPU time per host with {scale.SIZES[1]} hosts than with {scale.SIZES[0]}.",
    ]


def readme() -> str:
    return filled(
        "README.md",
        {
            "status": console(samples.status(defaults())),
            "plan": console(samples.plan()),
            "figures": figures(),
            "versions": versions(),
            "playbooks": table(("playbook", ""), playbook_rows()),
            "roles": table(("role", ""), role_rows()),
            "modules": table(("module", ""), module_rows(public=True)),
        },
    )


def catalogue(kind: str) -> dict[str, dict[str, t.Any]]:
    """The catalogue of components for a host of one kind, in a cluster that has every component of these hosts."""
    known = {
        "inventory_hostname": "host",
        "groups": {"etcd": ["e1"], "control_plane": ["k1", "k2"], "node": ["n1"]},
        "group_names": [kind],
        "cluster_virtual_ip": "192.0.2.1",
    }
    templar = Templar(DataLoader(), variables=known)
    return templar.template(trust_as_template("{{ lookup('plainkube.cluster.evaluated', '__cluster_catalogue') }}"))


def port_rows() -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The rows of the ports that other hosts connect to, and of those on loopback."""
    by_kind = {name: catalogue(kind) for kind, name in KINDS.items()}
    accepted: list[tuple[str, ...]] = []
    local: list[tuple[str, ...]] = []
    for name, one in by_kind["nodes"].items():
        hosts = " and ".join(kind for kind, known in by_kind.items() if known[name]["wanted"])
        ports = {**one.get("ports", {}), **one.get("udp_ports", {})}
        for rule in one.get("accepts", []):
            clients = (
                "everyone"
                if "0.0.0.0/0" in rule["sources"]
                else " and ".join(CLIENTS[source] for source in rule["sources"])
            )
            numbers = [f"{ports.pop(port)}/{rule.get('protocol', 'tcp')}" for port in rule.get("ports", [])]
            purpose = ": ".join([name, *rule.get("ports", [])])
            accepted.append((", ".join(numbers) or rule["protocol"].upper(), purpose, hosts, clients))
        local += [(str(port), f"{name}: {purpose}") for purpose, port in ports.items()]
    first, last = _firewall.NODE_PORTS
    everywhere = " and ".join(kind for kind, known in by_kind.items() if known["kube-proxy"]["wanted"])
    accepted.append((f"{first}–{last}", "Services of type NodePort", everywhere, "everyone"))
    return accepted, local


def architecture() -> str:
    accepted, local = port_rows()
    return filled(
        "docs/architecture.md",
        {
            "open ports": table(("port", "component", "on", "clients"), accepted),
            "ports on loopback": table(("port", "component"), local),
            "internal modules": table(("module", ""), module_rows(public=False)),
        },
    )


def default(option: dict) -> str:
    if "default" not in option:
        return "required" if option.get("required") else ""
    value = option["default"]
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`".replace("|", "\\|")


def option_rows(options: dict[str, dict]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        choices = (
            " Choices: " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "." if "choices" in option else ""
        )
        rows.append((f"`{name}`", kind, default(option), markdown(option["description"]) + choices))
    return rows


def entry_point(name: str, spec: dict, only: bool, known: dict[str, dict]) -> list[str]:
    """A section on one entry point of a role, without the options of earlier ones."""
    heading = [] if only else [f"## {'Main entry point' if name == 'main' else f'`tasks_from: {name}`'}", ""]
    intro = [] if only or name == "main" else [markdown(spec["short_description"]) + ".", ""]
    text = spec["description"]
    lines = [f"- {markdown(line)}" for line in ([text] if isinstance(text, str) else text)]
    options = {
        option: known.setdefault(option, value)
        for option, value in spec.get("options", {}).items()
        if option not in known
    }
    listed = table(("variable", "type", "default", ""), option_rows(options)) if options else []
    return [*heading, *intro, *lines, "", *listed, *([""] if listed else [])]


def role_readme(role: str) -> str:
    found = specs(role)
    known: dict[str, t.Any] = {}
    lines = [
        f"# {COLLECTION}.{role}",
        "",
        markdown(next(iter(found.values()))["short_description"]) + ".",
        "",
        f"<!-- generated by `make docs` from meta/argument_specs.yml; `ansible-doc -t role {COLLECTION}.{role}` shows the same -->",
        "",
    ]
    for name, spec in found.items():
        lines += entry_point(name, spec, len(found) == 1, known)
    if role != "cluster":
        lines += ["The role [`cluster`](../cluster/README.md) has the settings that all roles share."]
        lines += [""]
    return "\n".join(lines)


def role_meta(role: str) -> str:
    """What Galaxy says of a role is what its argument specs say."""
    text = (TOP / "roles" / role / "meta" / "main.yml").read_text(encoding="utf-8")
    described = next(iter(specs(role).values()))["short_description"]
    return re.sub(r"^  description: .*$", lambda dummy: f"  description: {described}", text, flags=re.M)


def ignore() -> str:
    lines = [f"{path} {reason}" for path, reason in IGNORED.items()]
    # Of plugins, the test looks at modules and lookups.
    licensed = [f"plugins/lookup/{path.name}" for path in sorted((TOP / "plugins" / "lookup").glob("*.py"))]
    licensed += [f"plugins/modules/{module}.py" for module in modules()]
    return "\n".join(lines + [f"{path} {LICENSE}" for path in licensed]) + "\n"


def runtime() -> str:
    """The action group of all modules, and the action plugin of modules without their own."""
    text = (TOP / "meta" / "runtime.yml").read_text(encoding="utf-8")
    listed = "".join(f"    - {module}\n" for module in modules())
    text = re.sub(r"^  all:\n(    - .*\n)*", f"  all:\n{listed}", text, flags=re.M)
    routed = [module for module in modules() if not (TOP / "plugins" / "action" / f"{module}.py").exists()]
    listed = "".join(f"    {module}: {{action_plugin: {COLLECTION}.on_host}}\n" for module in routed)
    return re.sub(r"^  modules:\n(    .*\n)*", f"  modules:\n{listed}", text, flags=re.M)


def survey() -> str:
    """Ansible sends a host what a module's source imports: module survey runs the modules of all steps."""
    text = (TOP / SURVEY).read_text(encoding="utf-8")
    listed = "".join(f"        {module},\n" for module in sorted({step.module for step in _steps.steps()}))
    return re.sub(r"(?<=modules import \(  # noqa: F401\n)(        .*,\n)*", listed, text)


def wanted() -> dict[str, str]:
    """Every generated file and its text."""
    return {
        "README.md": readme(),
        "docs/architecture.md": architecture(),
        "meta/runtime.yml": runtime(),
        SURVEY: survey(),
        **{f"roles/{role}/meta/argument_specs.yml": role_specs(role) for role in roles()},
        **{f"roles/{role}/README.md": role_readme(role) for role in roles()},
        **{f"roles/{role}/meta/main.yml": role_meta(role) for role in roles()},
        **{f"tests/sanity/ignore-{core}.txt": ignore() for core in CORES},
    }


def drifted() -> dict[str, str]:
    found = {path: (TOP / path).read_text(encoding="utf-8") if (TOP / path).exists() else None for path in wanted()}
    return {path: text for path, text in wanted().items() if found[path] != text}


def main() -> int:
    try:
        changes = drifted()
    except DriftError as error:
        print(f"docs: {error}")
        return 1
    if sys.argv[1:] == ["--check"]:
        for path in changes:
            print(f"docs: {path} is not what its sources say: run `make docs` and commit it.")
        return int(bool(changes))
    for path, text in changes.items():
        (TOP / path).parent.mkdir(parents=True, exist_ok=True)
        (TOP / path).write_text(text, encoding="utf-8")
        print(f"docs: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
