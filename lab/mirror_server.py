# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Serves a directory over HTTP on one address: `python -m lab.mirror_server DIRECTORY ADDRESS PORT`."""

from __future__ import annotations

import functools
import http.server
import sys
import typing as t


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files only, sent by the kernel, on connections that stay open."""

    protocol_version = "HTTP/1.1"

    def list_directory(self, path: t.Any) -> None:
        """A mirror has no listings."""
        self.send_error(404)

    def copyfile(self, source: t.Any, outputfile: t.Any) -> None:
        """sendfile(2): the archives are large and the machine is small."""
        self.connection.sendfile(source)


class Server(http.server.ThreadingHTTPServer):
    """All hosts connect at once, each with several downloads. With a short queue, some would have to retry after a second."""

    request_queue_size = 128


def main(directory: str, address: str, port: str) -> None:
    """Serve until killed."""
    handler = functools.partial(Handler, directory=directory)
    Server((address, int(port)), handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
