"""A line between a browser and the service that can be cut, as connections in trains are."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Line:
    """Copies bytes both ways between its own port and another. `cut` ends every connection in its middle, and until
    `mend` new ones are refused."""

    def __init__(self, origin: str) -> None:
        there = urlsplit(origin)
        assert there.hostname is not None
        assert there.port is not None
        self._there = (there.hostname, there.port)
        self._listener = socket.create_server((there.hostname, 0))
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_cut = False
        self.origin = f"http://{there.hostname}:{self._listener.getsockname()[1]}"
        self.num_cut = 0
        """Connections that were cut."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            self.num_cut += len(self._ends) // 2
            for end in self._ends:
                _close(end)
            self._ends.clear()

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _close(near)
                continue
            far = socket.create_connection(self._there)
            with self._lock:
                self._ends |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65_536):
                target.sendall(content)
        for end in (source, target):
            _close(end)
        with self._lock:
            self._ends -= {source, target}


@contextmanager
def open_line(origin: str) -> Iterator[Line]:
    line = Line(origin)
    try:
        yield line
    finally:
        line.close()


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
