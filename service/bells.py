"""What wakes those who send: rung within this process by whoever writes something that is to be sent."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bells:
    """Rung before the writer's transaction commits, and not at all for what other processes write: who listens looks
    by themselves from time to time."""

    _hung: set[asyncio.Event] = field(default_factory=set, init=False, repr=False)

    def ring(self) -> None:
        for bell in self._hung:
            bell.set()

    @contextmanager
    def hung(self, bell: asyncio.Event) -> Iterator[None]:
        """Set `bell` at each ring until the end of the block."""
        self._hung.add(bell)
        try:
            yield
        finally:
            self._hung.discard(bell)
