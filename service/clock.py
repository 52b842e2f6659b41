"""The one clock: whoever writes a date or compares one asks it, or was told the time by somebody who did.

It is handed through (`Resources.clock`, the argument `now`), so tests move it; SQL is told the time like everybody
else. How long something took is no date: that is `time.monotonic`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The machine's time. Named where a process or a command begins, and nowhere below."""
    return datetime.now(UTC)
