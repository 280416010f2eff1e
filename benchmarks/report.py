# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The measurements as a page of the documentation and as a plot. No I/O."""

from __future__ import annotations

import html
import statistics
import typing as t

# In this order; the others are compared with the first one.
FLOOR = "plain script, to the first pod"
SITE = "site.yml, to the first pod"
AGAIN = "second run of site.yml, no changes"
FLAG = "site.yml with one flag changed"
STATUS = "status.yml"
BARE = "a play with one no-op task"
KUBEADM = "kubeadm init and join, to the first pod"
ORDER = (FLOOR, SITE, KUBEADM, FLAG, AGAIN, STATUS, BARE)
_COLOURS = dict.fromkeys((FLOOR, KUBEADM, BARE), "#888888")

INTRODUCTION = """\
# Performance

`make benchmark` wrote this page: {rounds} round{s} on {machine}, which {hosts} (containers) and the control node share.
Each cluster is installed on new hosts that already have Debian's packages. Binaries and images come from a mirror on the same machine.

![seconds, median](benchmark.svg)

What is measured:

- **{floor}**: `benchmarks/floor.sh`, a shell script over the same SSH connections. It creates CAs, keys and certificates on the control
  node, which is faster than on the hosts. It downloads binaries and images and verifies their SHA-256, creates users, starts etcd with
  access control, and writes flannel's network configuration. It starts the control plane, flannel, and Docker on flannel's subnet, loads the
  images, starts kubelet and kube-proxy, applies the addons and starts a pod. It uses units, configuration files and addons that `site.yml`
  wrote earlier, which is not part of the measured time. It checks nothing and works only once. After each measurement, `verify.yml` tests
  the cluster.
- **{site}**: `playbooks/site.yml`, which ends when all components and CoreDNS are healthy, and then the start of a pod.
- **{kubeadm}**: `benchmarks/kubeadm.sh` with the same binaries in images. It does much less: Docker, cri-dockerd, the kubelet's unit and all
  images are installed before the measurement starts, and there is no pod network between the hosts, because kubeadm does not provide one.
- **{flag}**: `-e etcd_auto_compaction_retention=10m`, which restarts only etcd.
- **{bare}**: `lab/bare.yml`, the time in which Ansible starts and connects to the hosts.
"""


def compared(name: str, median: float, medians: t.Mapping[str, float]) -> str:
    return f"{median / medians[FLOOR]:.2f}" if FLOOR in medians and name != FLOOR else ""


def rows(seconds: t.Mapping[str, t.Sequence[float]], tasks: t.Mapping[str, int]) -> list[list[str]]:
    """A row for each measurement."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    lines = [["", "median (s)", "minimum (s)", "maximum (s)", "ratio to the script", "tasks on hosts"]]
    for name in ORDER:
        if name in medians:
            spread = (medians[name], min(seconds[name]), max(seconds[name]))
            cells = [*(f"{value:.1f}" for value in spread), compared(name, medians[name], medians)]
            lines.append([name, *cells, str(tasks.get(name, ""))])
    return lines


def memory_rows(sizes: t.Mapping[str, t.Mapping[str, tuple[int, int]]]) -> list[list[str]]:
    """RSS and PSS in MiB: a row for each component, columns for each host."""
    hosts = sorted({host for found in sizes.values() for host in found})
    lines = [["", *(f"{host} {kind}" for host in hosts for kind in ("RSS", "PSS"))]]
    for name, found in sizes.items():
        cells = [f"{size / 1024:.0f}" for host in hosts for size in found.get(host, ()) or (0, 0)]
        lines.append([name, *("" if cell == "0" else cell for cell in cells)])
    return lines


def table(lines: t.Sequence[t.Sequence[str]]) -> str:
    """Rows as a Markdown table, the first column on the left."""
    head, *body = lines
    rule = ["---", *("---:" for dummy in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *body])


def plot(seconds: t.Mapping[str, t.Sequence[float]]) -> str:
    """Bars of the medians, with lines from minimum to maximum, as SVG."""
    names = [name for name in ORDER if name in seconds]
    left, width, step = 300, 420, 34
    scale = width / max(max(values) for values in seconds.values())
    height = step * len(names) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 80} {height}" '
        'font-family="sans-serif" font-size="14">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, name in enumerate(names):
        values, top = seconds[name], 8 + step * number
        median, middle = statistics.median(values), 8 + step * number + step / 2
        parts += [
            f'<text x="{left - 10}" y="{middle + 5:.0f}" text-anchor="end" fill="#222222">{html.escape(name)}</text>',
            f'<rect x="{left}" y="{top + 5}" width="{median * scale:.1f}" height="{step - 10}" '
            f'fill="{_COLOURS.get(name, "#326ce5")}"/>',
            f'<path d="M{left + min(values) * scale:.1f} {middle}H{left + max(values) * scale:.1f}" stroke="#222222"/>',
            f'<text x="{left + max(values) * scale + 8:.1f}" y="{middle + 5:.0f}" fill="#222222">{median:.1f} s</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def introduction(rounds: int, machine: str, hosts: str) -> str:
    names = {"floor": FLOOR, "site": SITE, "kubeadm": KUBEADM, "flag": FLAG, "bare": BARE}
    return INTRODUCTION.format(rounds=rounds, s="" if rounds == 1 else "s", machine=machine, hosts=hosts, **names)


def page(head: str, times: str, sizes: str) -> str:
    """The whole page."""
    return f"{head}\n{times}\n\nMemory of each component in MiB, on an idle cluster:\n\n{sizes}\n"
