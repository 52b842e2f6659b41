"""Processes of different versions: whether this one may work here, and which of the others it shares no work with.

Tables must be those that this version's code knows, or have got no more than additions since; stories must have the
steps that it knows. `ownhand migrate` does the former, and the workflow engine keeps the latter apart: a story goes on
with the steps it began with.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import licensing
from licensing.database import Connection
from service import __version__
from service.errors import NotStarted

log = logging.getLogger("ownhand.skew")

STEPS = "1"
"""Raised only when the steps of a story change: a story goes on with the code it started with."""
_ROOMS = {
    "licensing": Path(licensing.__file__).parent / "migrations" / "versions",
    "service": Path(__file__).parent / "db" / "migrations" / "versions",
}


def known_revision(room: str) -> str:
    """The newest change of a room's tables (its schema's name) that this version's code has: files begin with it."""
    return max(path.name.split("_", 1)[0] for path in _ROOMS[room].glob("[0-9]*.py"))


async def check_tables(conn: Connection) -> None:
    """Raises NotStarted where tables are older than this version of the code, or newer by more than additions."""
    for room in _ROOMS:
        found, known = await conn.fetchval(f"SELECT version_num FROM {room}.alembic_version"), known_revision(room)
        if found < known:
            raise NotStarted(
                f"the tables of {room} are at {found} and Ownhand {__version__} works with {known}; run `ownhand"
                " migrate` with this version first"
            )
        if found > known:
            oldest = await conn.fetchval("SELECT revision FROM service.oldest_code WHERE room = $1", room)
            if oldest is not None and oldest <= known:
                log.info("the tables of %s are at %s, which %s can work with", room, found, known)
                continue
            raise NotStarted(
                f"the tables of {room} are at {found}, of a newer version than this one ({__version__}, {known});"
                " start that version here, too"
            )


async def apart(conn: Connection, *, steps: str, now: datetime, silence_s: float) -> Mapping[str, str]:
    """The living processes whose stories have other steps than `steps`, with a sentence for each: neither takes what
    the other was given."""
    rows = await conn.fetch(
        "SELECT id, host, machine FROM service.executors WHERE seen_at > $1 AND machine->>'steps' <> $2 ORDER BY id",
        *(now - timedelta(seconds=silence_s), steps),
    )
    sentences = {}
    for row in rows:
        of = json.loads(row["machine"])
        sentences[row["id"]] = (
            f"{row['id']} on {row['host']} is Ownhand {of.get('version', '?')} with steps {of['steps']}, and this is"
            f" {__version__} with steps {steps}: neither takes work that was begun for the other; end the older one"
            " when its work is done"
        )
    return sentences
