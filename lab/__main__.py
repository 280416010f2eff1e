# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The lab's command line: `python -m lab --help`, from the checkout's root."""

from __future__ import annotations

import argparse
import pathlib
import sys

from lab import artifacts, demo, engine, image, network, rebuild, smoke, torture
from lab.base import LabError, say
from lab.lab import HOSTS, Lab


def arguments(command: list[str]) -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("engine", help="make sure that a Docker Engine is running")
    image_verb = verbs.add_parser("image", help="build the hosts' image, if it is missing")
    up = verbs.add_parser("up", help="create and start a lab's hosts, with everything that they need")
    up.add_argument(
        "--hosts",
        default=",".join(HOSTS),
        help="names, k* is a control plane, n* a node, b* both, e* etcd only; n2:bookworm for another Debian than --suite",
    )
    up.add_argument(
        "--closed",
        action="store_true",
        help="let the hosts connect to the outside only through an HTTP proxy with a password",
    )
    up.add_argument(
        "--machines",
        action="store_true",
        help="virtual machines instead of containers: real Debians, with their own kernels",
    )
    for verb in (image_verb, up):
        verb.add_argument("--prepared", action="store_true", help="with the packages that the roles install")
        verb.add_argument("--suite", default=image.SUITE, help="of Debian (%(default)s)")
    artifacts_verb = verbs.add_parser("artifacts", help="build what the hosts install, if upstream is unavailable")
    artifacts_verb.add_argument("--etcd", action="store_true", help="build only etcd, for the unit tests")
    rebuild_verb = verbs.add_parser("rebuild", help="build the small artifacts twice, and compare them byte by byte")
    rebuild_verb.add_argument("--all", action="store_true", help="build everything twice")
    demo_verb = verbs.add_parser("demo", help="everything: from nothing to a running cluster")
    demo_verb.add_argument("--started", type=float, help="start time, in seconds since the epoch")
    torture_verb = verbs.add_parser(
        "torture", help="kill site.yml before each of its tasks, and check that the next run recovers"
    )
    torture_verb.add_argument("--sample", type=int, default=0, help="number of tasks for each kind of run; 0 means all")
    torture_verb.add_argument("--seed", type=int, help="of the sample")
    torture_verb.add_argument(
        "--hosts",
        default=",".join(torture.HOSTS),
        help="k1 and n1 among them (%(default)s); with k2 and k3, the load balancer's tasks are covered as well",
    )
    smoke_verb = verbs.add_parser(
        "smoke", help="install and test a cluster with a version of Kubernetes that is not supported yet"
    )
    smoke_verb.add_argument("version", help="such as 1.38.0-beta.0")
    down = verbs.add_parser("down", help="remove a lab completely")
    verbs.add_parser("list", help="list the labs and their hosts")
    inventory = verbs.add_parser("inventory", help="print a lab's inventory")
    inventory.add_argument("--output", type=pathlib.Path, help="write it to this file instead")
    inventory.add_argument("--without", default="", help="names of hosts to leave out")
    journals = verbs.add_parser("journals", help="failed units and the units' last journal lines")
    for verb in (up, down, inventory, journals):
        verb.add_argument("name")
    return parser.parse_args(command)


def show_labs() -> None:
    """One line per host."""
    client = engine.ensure()
    for name in network.labs(client):
        for host, one in Lab(name, client).hosts().items():
            print(f"{name:12} {host:6} {one.address:15} {one.state():10} {one.source}")


def main(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.verb == "engine":
        say(f"Docker Engine {engine.ensure().version()['Version']} answers")
    elif options.verb == "image":
        print(image.ensure(engine.ensure(), options.prepared, options.suite))
    elif options.verb == "artifacts":
        if options.etcd:
            artifacts.ensure_etcd()
        else:
            artifacts.ensure()
    elif options.verb == "rebuild":
        rebuild.main(options.all)
    elif options.verb == "demo":
        demo.main(options.started)
    elif options.verb == "torture":
        torture.main(options.sample, options.seed, options.hosts.split(","))
    elif options.verb == "smoke":
        smoke.main(options.version)
    elif options.verb == "up":
        lab = Lab(options.name)
        lab.up(options.hosts.split(","), options.prepared, options.suite, options.closed, options.machines)
        say(f"inventory: {lab.inventory_path()}")
    elif options.verb == "down":
        Lab(options.name).down()
    elif options.verb == "list":
        show_labs()
    elif options.verb == "inventory":
        text = Lab(options.name).inventory(options.without.split(","))
        if options.output:
            options.output.write_text(text, encoding="utf-8")
        else:
            print(text, end="")
    elif options.verb == "journals":
        print(Lab(options.name).journals())


if __name__ == "__main__":
    try:
        main(arguments(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit("lab: interrupted; the same command resumes here")
