"""The one clock: whoever writes a date or compares one asks it, or was told the time by somebody who did.

It is handed through (`Resources.clock`, the argument `now`), so tests move it; SQL is told the time like everybody
else. How long something took is no date: that is `time.monotonic`.

A test that looks from outside, through a browser, moves the clock of all processes of one home by a file in it, the
seconds that it goes ahead of the machine's. Dates that are made up must never meet money that is not, so a home has
such a file from its first start or never, and while it has one, nothing of it reaches anybody else.

Machines' clocks differ, and a place has one: the database's. A process that is told how far its machine is from it
(`service.clocks`) goes by the database's time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from service.errors import NotStarted
from service.settings import PREFIX, Settings

Clock = Callable[[], datetime]

AHEAD = "clock-ahead"
"""The file, in a home whose clock is moved."""
_SETTING = f"{PREFIX}MOVABLE_CLOCK"
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


def utc_now() -> datetime:
    """The machine's time. Named where a process or a command begins, and nowhere below."""
    return datetime.now(UTC)


@dataclass(kw_only=True)
class MachineClock:
    """The machine's time, put right by `ahead_s`, the seconds that it is ahead of the database's."""

    machine: Clock = utc_now
    ahead_s: float = 0.0

    def __call__(self) -> datetime:
        return self.machine() - timedelta(seconds=self.ahead_s)


@dataclass(frozen=True)
class MovedClock:
    """The machine's time and as many seconds as the file says, which may be written anew at any moment."""

    ahead: Path

    def __call__(self) -> datetime:
        return utc_now() + timedelta(seconds=int(self.ahead.read_text()))


def clock_of(settings: Settings) -> Clock:
    """The clock of a process with these settings. Raises NotStarted where one that is moved could do harm."""
    ahead = settings.home / AHEAD
    if not settings.movable_clock:
        if ahead.exists():
            raise NotStarted(
                f"The clock of {settings.home} was moved by tests, so its dates are made up; choose another --home."
            )
        return MachineClock()
    if reason := _why_not_moved(settings):
        raise NotStarted(f"{_SETTING} is for tests alone and {reason}; take the setting away.")
    if not ahead.exists():
        ahead.parent.mkdir(parents=True, exist_ok=True)
        ahead.write_text("0")
    return MovedClock(ahead)


def _why_not_moved(settings: Settings) -> str:
    """What speaks against a clock that is moved; empty where nothing does."""
    folder = settings.home / "postgres"
    if settings.database_url is not None and str(folder) not in unquote(settings.database_url):
        return f"{PREFIX}DATABASE_URL names a server"
    if settings.storage_url is not None:
        return f"{PREFIX}STORAGE_URL names a place outside of the home"
    if settings.payments != "manual":
        return f"{PREFIX}PAYMENTS names a provider that moves real money"
    if settings.public_url is not None or settings.host not in _HERE:
        return f"others can reach {settings.origin}"
    if folder.exists() and not (settings.home / AHEAD).exists():
        return f"{settings.home} was begun with the machine's clock"
    return ""
