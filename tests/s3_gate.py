"""A gate before an S3 server: while it is shut, requests are refused with 503 and open connections are cut."""

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_REFUSAL = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    % len(_BODY)
) + _BODY
_LOOK_EVERY_S = 0.05


@dataclass(eq=False)
class Gate:
    """`endpoint` is where clients ask. `num_refused` counts requests and connections that were turned away."""

    endpoint: str
    num_refused: int = 0
    _shut: threading.Event = field(default_factory=threading.Event)

    @property
    def is_shut(self) -> bool:
        return self._shut.is_set()

    def shut(self) -> None:
        self._shut.set()

    def open(self) -> None:
        self._shut.clear()


@contextmanager
def gate_before(endpoint: str) -> Iterator[Gate]:
    """A gate before the server at `endpoint`, open at first."""
    parts = urlsplit(endpoint)
    behind = (parts.hostname or "", parts.port or 80)

    class Visit(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), socket.create_connection(behind) as server:
                _pass_on(self.request, server, gate)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        # Many clients at once.
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Visit) as server:
        gate = Gate(endpoint=f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield gate
        finally:
            server.shutdown()


def _pass_on(client: socket.socket, server: socket.socket, gate: Gate) -> None:
    """Bytes both ways until one side closes; where the gate is shut, the client is refused and cut off."""
    others = {client: server, server: client}
    while True:
        ready, _, _ = select.select(list(others), [], [], _LOOK_EVERY_S)
        if gate.is_shut and client in ready:
            if client.recv(65536):
                gate.num_refused += 1
                client.sendall(_REFUSAL)
            return
        for one in ready:
            chunk = one.recv(65536)
            if not chunk:
                return
            others[one].sendall(chunk)
