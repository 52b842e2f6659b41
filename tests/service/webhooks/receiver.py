"""A real HTTP server that messages are posted to: it notes what came and answers by a script."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

NETWORKS = "127.0.0.0/8"
"""What a place must allow for its messages to come here."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def verified(self, secret: str) -> dict[str, Any]:
        """The message as the receiving peer of Standard Webhooks reads it; raises where the signature is wrong."""
        return dict(Webhook(secret).verify(self.body, self.headers))


@dataclass
class Receiver:
    """`script` are the answers to come, `(status, headers)` each; after them 204. `gate`: closed, answers wait."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    script: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0
    _here: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def ids(self) -> list[str]:
        return [post.id for post in self.posts]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [post.message for post in self.posts]

    def answers(self, *statuses: int, **headers: str) -> None:
        """Answer the next posts so."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script += [(status, named) for status in statuses]

    def hears(self, count: int, *, within_s: float = 10.0) -> bool:
        """Wait until so many posts came, all in all."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.posts) >= count, within_s)

    def take(self, post: Post) -> tuple[int, dict[str, str]]:
        with self._changed:
            self.posts.append(post)
            self._here += 1
            self.most_at_once = max(self.most_at_once, self._here)
            answer = self.script.pop(0) if self.script else (204, {})
            self._changed.notify_all()
        self.gate.wait(10)
        with self._changed:
            self._here -= 1
        return answer


@contextmanager
def receiving(server_class: type[ThreadingHTTPServer] = ThreadingHTTPServer) -> Iterator[Receiver]:
    """A receiver at a free port of 127.0.0.1 until the end of the block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more = receiver.take(Post(path=self.path, headers=headers, body=body))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Tests look at what came; the console stays quiet."""

    server = server_class(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
