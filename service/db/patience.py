"""How long the database may take to answer whoever is at work.

Somebody waits for a request, so its statements have a time after which the server gives them up, and its connections
one in which they must come. Everything outside of requests (stories, sweeps, the audit) takes as long as it takes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

# The server is to give up first: it says why, and the connection can be used on.
_GRACE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """connect_s: until there is a connection. statement_s: for one statement. None: for ever."""

    connect_s: float | None = None
    statement_s: float | None = None

    @cached_property
    def answer_s(self) -> float | None:
        """When a server that says nothing at all, not even that it gave up, is taken for gone."""
        return None if self.statement_s is None else self.statement_s + _GRACE_S

    @cached_property
    def batch_s(self) -> float | None:
        """How long an answer may take that is made for many at once, on a connection that has no such times."""
        times = (self.connect_s, self.answer_s)
        return None if None in times else sum(filter(None, times))

    @cached_property
    def statement_timeout(self) -> str:
        """As PostgreSQL has it: milliseconds, 0 for none."""
        return str(round((self.statement_s or 0.0) * 1000))


FOR_EVER = Patience()
_patience: ContextVar[Patience] = ContextVar("patience", default=FOR_EVER)


def patience() -> Patience:
    """How long what runs here waits."""
    return _patience.get()


@contextmanager
def waiting_for(most: Patience) -> Iterator[None]:
    """Connections that are taken inside, and what is asked on them, take so long at most."""
    before = _patience.set(most)
    try:
        yield
    finally:
        _patience.reset(before)
