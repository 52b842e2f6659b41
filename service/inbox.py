"""What an account was told, as it reads it, and of what it wants no e-mail. Every function names whose inbox it is."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.sentence import say
from service.accounts import ROLE_NAMES, Role
from service.db.connections import read
from service.errors import Problem
from service.letter_kinds import TOPICS, About, Topic

_COLUMNS = "id, kind, topic, about, subject, words, path, created_at, read_at, mail"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One letter as its person reads it. `mail` says what became of its e-mail: `off` where none is wanted."""

    id: str
    kind: str
    topic: Topic
    about: str
    subject: str
    words: str
    path: str
    created_at: datetime
    read_at: datetime | None
    mail: str

    @property
    def paragraphs(self) -> list[str]:
        return self.words.split("\n\n")


async def list_inbox(
    conn: Connection, account_id: str, *, limit: int, before: str | None = None, only_unread: bool = False
) -> list[Received]:
    """Newest first, those before the letter `before`."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.letters WHERE account_id = $1 AND in_inbox"
        " AND (NOT $4::boolean OR read_at IS NULL)"
        " AND ($2::text IS NULL OR number < (SELECT number FROM service.letters WHERE account_id = $1 AND id = $2))"
        " ORDER BY number DESC LIMIT $3",
        *(account_id, before, limit, only_unread),
    )
    return [read(Received, row) for row in rows]


async def count_unread(conn: Connection, account_id: str) -> int:
    number: int = await conn.fetchval(
        "SELECT count(*) FROM service.letters WHERE account_id = $1 AND in_inbox AND read_at IS NULL", account_id
    )
    return number


async def mark_read(conn: Connection, account_id: str, letter_id: str, *, now: datetime) -> Received | None:
    """The letter, read from now on if it was not before; None where this account has no such letter."""
    row = await conn.fetchrow(
        "UPDATE service.letters SET read_at = coalesce(read_at, $3) WHERE account_id = $1 AND id = $2 AND in_inbox"
        f" RETURNING {_COLUMNS}",
        *(account_id, letter_id, now),
    )
    return read(Received, row) if row else None


async def mark_all_read(conn: Connection, account_id: str, *, until: str | None, now: datetime) -> int:
    """All that came up to the letter `until`, so that what came meanwhile is not read unseen; None: all. How many."""
    status: str = await conn.execute(
        "UPDATE service.letters SET read_at = $3 WHERE account_id = $1 AND in_inbox AND read_at IS NULL AND"
        " ($2::text IS NULL OR number <= (SELECT number FROM service.letters WHERE account_id = $1 AND id = $2))",
        *(account_id, until, now),
    )
    return int(status.split()[-1])


def topics_of(role: Role) -> dict[Topic, About]:
    """What an account of this role is told of."""
    return {topic: about for topic, about in TOPICS.items() if role in about.roles}


async def topics_off(conn: Connection, account_id: str) -> list[str]:
    """Of what an account wants no e-mail."""
    found: list[str] | None = await conn.fetchval(
        "SELECT off FROM service.letter_choices WHERE account_id = $1", account_id
    )
    return found or []


async def choose(conn: Connection, account_id: str, *, role: Role, off: Collection[str]) -> list[str]:
    """Want no e-mail of these topics, and of all others. Raises Problem for what is no topic or cannot be off."""
    known = topics_of(role)
    for topic in off:
        if topic not in known:
            names = ", ".join(known)
            raise Problem(
                "invalid_request",
                say(
                    "There is no topic {topic!r} for a {role}; there is {names}.",
                    topic=topic[:40],
                    role=ROLE_NAMES[role],
                    names=names,
                ),
            )
        if not known[topic].may_be_off:
            free = ", ".join(name for name, one in known.items() if one.may_be_off) or "none"
            raise Problem(
                "invalid_request", say("E-mail of {topic} cannot be off; what can is {free}.", topic=topic, free=free)
            )
    chosen: list[str] = [topic for topic in known if topic in off]
    await conn.execute(
        "INSERT INTO service.letter_choices (account_id, off) VALUES ($1, $2)"
        " ON CONFLICT (account_id) DO UPDATE SET off = $2",
        *(account_id, chosen),
    )
    return chosen


async def stop(conn: Connection, account_id: str, topic: Topic) -> bool:
    """Want no e-mail of one topic more; False where it cannot be off."""
    if not TOPICS[topic].may_be_off:
        return False
    await conn.execute(
        "INSERT INTO service.letter_choices (account_id, off) VALUES ($1, ARRAY[$2])"
        " ON CONFLICT (account_id) DO UPDATE SET off = array_append(array_remove(letter_choices.off, $2), $2)",
        *(account_id, topic),
    )
    return True
