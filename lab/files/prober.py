# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Runs on a lab's host: constantly sends requests to the API and a Service, and reports their results.

Its argument is a JSON object, see lab/probes.py. It ends when its standard input does, and prints a JSON object. Each prober is
one client that asks at a constant rate and tries again as client-go and its users do: after a connection error, and where the server
says when to (Retry-After, with 429 or a server error), on a new connection. Any other answer is a failure, and so are ten seconds without one.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time

ATTEMPT = 5.0  # seconds that one attempt may take
GIVE_UP = 10.0  # seconds after which a request has failed


class Prober:
    """Sends requests of one kind, one after the other."""

    def __init__(self, name, options, stopped):
        self.name = name
        self.options = options
        self.stopped = stopped
        self.sent = self.failed = self.retries = 0
        self.longest_gap = 0.0
        self.errors = []
        self.answered = time.monotonic()
        self.started = self.answered
        self.connection = None

    # Different for each kind

    keeps = True

    def connect(self):
        """A new connection, with the current CAs and certificates on disk, which client-go also rereads."""
        context = ssl.create_default_context(cafile=self.options["ca"])
        context.load_cert_chain(self.options["cert"], self.options["key"])
        return http.client.HTTPSConnection(self.options["host"], self.options["port"], timeout=ATTEMPT, context=context)

    def request(self, number):
        """Method, path and body of a request, and the status codes that mean success."""
        return "GET", self.options["path"], None, (200,)

    def accept(self, number, status, body):
        """Record a successful response."""

    # One request

    def attempt(self, number):
        """Why the request failed ("" if it succeeded), and the seconds to wait before the next attempt; None: no other attempt."""
        method, path, body, good = self.request(number)
        try:
            if self.connection is None:
                self.connection = self.connect()
            headers = {"Content-Type": "application/json"} if body else {}
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            return f"{type(error).__name__}: {error}", 0.05
        if answer.will_close or not self.keeps:
            self.hang_up()
        if answer.status in good:
            self.accept(number, answer.status, content)
            return "", 0
        self.hang_up()
        problem = f"status {answer.status}: {content[:200].decode(errors='replace')}"
        after = answer.headers.get("Retry-After", "")
        again = after.isdigit() and (answer.status == 429 or answer.status >= 500)
        return problem, min(int(after), 1) if again else None

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def one(self, number):
        began = time.monotonic()
        self.sent += 1
        while True:
            problem, pause = self.attempt(number)
            if not problem:
                break
            if pause is None or time.monotonic() - began > GIVE_UP:
                self.failed += 1
                self.errors.append(f"{time.monotonic() - self.started:.1f} s: {problem}")
                return
            self.retries += 1
            time.sleep(pause)
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self.answered)
        self.answered = now

    def run(self):
        ends = self.started + self.options["seconds"]
        due = time.monotonic()
        while not self.stopped.is_set() and time.monotonic() < ends and self.sent < self.options["count"]:
            self.one(self.sent)
            due = max(due + self.options["interval"], time.monotonic())
            self.stopped.wait(due - time.monotonic())
        # A gap may last until the end.
        self.longest_gap = max(self.longest_gap, time.monotonic() - self.answered - self.options["interval"])
        self.hang_up()

    def result(self):
        figures = {"name": self.name, "sent": self.sent, "failed": self.failed, "retries": self.retries}
        return {**figures, "longest_gap": self.longest_gap, "errors": self.errors[:10]}


class NewConnections(Prober):
    keeps = False


class Writes(Prober):
    """Creates objects; at the end, all acknowledged ones must exist with their content."""

    def __init__(self, name, options, stopped):
        super().__init__(name, options, stopped)
        self.acknowledged = {}

    def names(self, number):
        return f"{self.options['run']}-{number}", f"value {number}"

    def request(self, number):
        name, value = self.names(number)
        metadata = {"name": name, "labels": {"run": self.options["run"]}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}
        # 409: an earlier attempt was stored, but its response was lost.
        return "POST", self.options["collection"], json.dumps(body), (201, 409)

    def accept(self, number, status, body):
        name, value = self.names(number)
        self.acknowledged[name] = value

    def lost(self):
        """The acknowledged writes that do not exist. Removes all writes of the run."""
        path = f"{self.options['collection']}?labelSelector=run={self.options['run']}"
        reader = Reader("read back", {**self.options, "path": path}, self.stopped)
        reader.one(0)
        if reader.failed:
            return [f"nothing could be read back: {reader.errors[0]}"]
        found = {one["metadata"]["name"]: one["data"]["value"] for one in json.loads(reader.content)["items"]}
        remover = Remover("removed", {**self.options, "path": path}, self.stopped)
        remover.one(0)
        return sorted(name for name, value in self.acknowledged.items() if found.get(name) != value)

    def result(self):
        return {**super().result(), "lost": self.lost()}


class Reader(Prober):
    keeps = False
    content = b""

    def accept(self, number, status, body):
        self.content = body


class Remover(Reader):
    def request(self, number):
        return "DELETE", self.options["path"], None, (200, 404)


class Service(Prober):
    keeps = False

    def connect(self):
        return http.client.HTTPConnection(self.options["service"], 80, timeout=ATTEMPT)

    def request(self, number):
        return "GET", "/hostname", None, (200,)


KINDS = {
    "API, new connections": NewConnections,
    "API, kept connections": Prober,
    "API, writes": Writes,
    "Service": Service,
}


def main():
    options = json.loads(sys.argv[1])
    stopped = threading.Event()
    probers = [kind(name, options, stopped) for name, kind in KINDS.items()]
    threads = [threading.Thread(target=prober.run, daemon=True) for prober in probers]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    stopped.set()
    for thread in threads:
        thread.join(GIVE_UP + ATTEMPT)
    print(json.dumps([prober.result() for prober in probers]), flush=True)


if __name__ == "__main__":
    main()
