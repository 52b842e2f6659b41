"""Changes of switches, written down beside the database: a backup of last night is restored with what was switched off
since.

The file is no record for people; the database has that. Lines are added in the order of the events' numbers.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from licensing.switch import LEVELS, Level
from service.db.connections import read
from service.resources import Gateway

FILE = "switches.jsonl"
_OUT_OF_ORDER = 1000

Place = tuple[str, str, str]
"""A switch: of a creator, a style, a client."""


@dataclass(frozen=True, kw_only=True)
class Switched:
    """One change; '' stands for all styles and for all clients, as in the database."""

    event_no: int
    creator_id: str
    style_id: str
    client_id: str
    level: Level

    @property
    def place(self) -> Place:
        """Which switch it was."""
        return self.creator_id, self.style_id, self.client_id


async def note_switches(web: Gateway) -> None:
    """Add what the file has not yet. A sweep of the web role, at every notice of a switch."""
    path = web.settings.backup_keys_folder / FILE
    known = {one.event_no for one in await asyncio.to_thread(read_switches, path)}
    async with web.house() as conn:
        # Changes of two creators may commit in another order than they got their numbers.
        rows = await conn.fetch(
            "SELECT event_no, creator_id, style_id, client_id, level FROM licensing.switch_event"
            " WHERE event_no > $1 ORDER BY event_no",
            max(known, default=0) - _OUT_OF_ORDER,
        )
    new = [read(Switched, row) for row in rows if row["event_no"] not in known]
    if new:
        await asyncio.to_thread(_add, path, new)


def read_switches(path: Path) -> list[Switched]:
    """All that were noted, in order. A line that was cut off by a crash was not noted. Blocks."""
    if not path.exists():
        return []
    return [Switched(**json.loads(line)) for line in path.read_text().split("\n")[:-1]]


def stricter_since(noted: Sequence[Switched], *, after: int, now: Mapping[Place, Level]) -> list[Switched]:
    """The newest change of each switch after the event `after`, where it is stricter than what the switch is `now`."""
    newest = {one.place: one for one in sorted(noted, key=lambda one: one.event_no) if one.event_no > after}
    strictness = LEVELS.index
    return [one for place, one in newest.items() if strictness(one.level) > strictness(now.get(place, "live"))]


def _add(path: Path, changes: Sequence[Switched]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # Another process may have been first, or have died in the middle of a line.
        known = {one.event_no for one in read_switches(path)}
        file.truncate(_end_of_lines(path))
        file.writelines(f"{json.dumps(asdict(one))}\n" for one in changes if one.event_no not in known)
        file.flush()
        os.fsync(file.fileno())


def _end_of_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1
