"""Wait until the pods are ready, and print their addresses and the Services' addresses in JSON.

Arguments: seconds, then a kubectl command with the pods' namespace. If a pod is not ready, or gone, prints a sentence
for each instead, and exits with 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

Object = dict[str, t.Any]
LONGEST = 300
# What Docker says of a hostPort that a process or another container has. The scheduler only knows those of pods.
TAKEN = ("address already in use", "port is already allocated")
FREE = "set verify_host_port to a port that is free on every node"


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def said(events: t.Sequence[Object], name: str) -> str:
    """The latest message about a pod: the reason why it does not run, if the kubelet or the scheduler has reported one."""
    about = [event for event in events if event["involvedObject"]["name"] == name]
    about.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    warnings = [event for event in about if event.get("type") == "Warning"] or about
    if not warnings:
        return "there is no event about it"
    text = " ".join(warnings[-1].get("message", "").split()).rstrip(".")
    # The end of a chain of errors is its cause.
    return text if len(text) <= LONGEST else f"...{text[-LONGEST:]}"


def sentence(pod: Object, events: t.Sequence[Object], seconds: str) -> str:
    name = pod["metadata"]["name"]
    wanted = pod["spec"]["nodeSelector"]["kubernetes.io/hostname"]
    why = said(events, name)
    if any(words in why for words in TAKEN):
        advice = f"something else on {wanted} uses the port (`ss -ltnp`, `docker ps`), so {FREE}"
    elif pod["spec"].get("nodeName"):
        advice = f"see `journalctl -u kubelet`, and the container runtime's journal, on {wanted}"
    elif "free ports" in why:
        advice = FREE
    else:
        advice = "see `journalctl -u kube-scheduler` on the control planes"
    return f"Pod {name} on {wanted} is not ready after {seconds} s: {why}; {advice}."


def found(pods: t.Sequence[Object], services: t.Sequence[Object]) -> dict[str, t.Any]:
    """Node -> the addresses of its pods in the order of their names; Service -> its address and ports. The nodes are in the order of their numbers."""
    nodes: dict[str, list[str]] = {}
    for pod in sorted(pods, key=lambda pod: (int(pod["metadata"]["name"].rpartition("-")[2]), pod["metadata"]["name"])):
        nodes.setdefault(pod["spec"]["nodeName"], []).append(pod["status"]["podIP"])
    return {
        "pods": nodes,
        "services": {
            one["metadata"]["name"]: {
                "ip": one["spec"]["clusterIP"],
                "port": one["spec"]["ports"][0]["port"],
                "node_port": one["spec"]["ports"][0].get("nodePort", 0),
            }
            for one in services
        },
    }


def main() -> None:
    seconds, *kubectl = sys.argv[1:]

    def output(*arguments: str) -> str:
        return subprocess.run([*kubectl, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout

    def items(kinds: str) -> list[Object]:
        return json.loads(output("get", kinds, "--output=json"))["items"]

    subprocess.run(
        [*kubectl, "wait", "pods", "--all", "--for=condition=Ready", f"--timeout={seconds}s"],
        capture_output=True,
        check=False,
    )
    objects = items("pods,services")
    pods = [one for one in objects if one["kind"] == "Pod"]
    if not pods:
        print("The pods are gone: they were deleted by others.")
        sys.exit(1)
    late = [pod for pod in pods if not is_ready(pod)]
    if late:
        events = items("events")
        print("\n".join(sentence(pod, events, seconds) for pod in late))
        sys.exit(1)
    print(json.dumps(found(pods, [one for one in objects if one["kind"] == "Service"])))


if __name__ == "__main__":
    main()
