"""Several authors of one style: who gets which part of what it earns, once all of them have said yes.

    waiting -> in_force (all said yes) | declined (one said no) | ended (the creator proposed something else, or took
               it back)
    in_force -> ended (another one is in force, the creator ended it, or an author left)

What is sold keeps the authors of the terms that it was sold under (`licensing.terms`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.sentence import Sentence, say
from licensing.terms import StyleTerms, current_terms, put_terms
from service.db.connections import read

AuthorshipState = Literal["waiting", "in_force", "declined", "ended"]
AUTHORS_MAX = 12

_OVER: dict[AuthorshipState, Sentence] = {
    "declined": say("One of the authors said no to this, so it is over; the style's creator may ask anew"),
    "ended": say("This was taken back, replaced or ended, so it is over; look whether a newer one waits for you"),
    "in_force": say("All have said yes to this and it is in force; leave it if you want no part of it any more"),
}

_COLUMNS = "id, style_id, creator_id, parts, said, state, created_at, ended_at"


@dataclass(frozen=True, kw_only=True)
class Authorship:
    """`parts` are weights by account, the creator's among them; `said` what each author answered, yes or no."""

    id: str
    style_id: str
    creator_id: str
    parts: dict[str, int]
    said: dict[str, str]
    state: AuthorshipState
    created_at: datetime
    ended_at: datetime | None

    @property
    def waits_for(self) -> list[str]:
        """Who has not answered."""
        return [author for author in self.parts if author not in self.said] if self.state == "waiting" else []


async def propose(
    conn: Connection,
    *,
    authorship_id: str,
    style_id: str,
    creator_id: str,
    parts: Mapping[str, int],
    now: datetime,
) -> Authorship:
    """Ask the other authors. An earlier proposal that waits is ended; what is in force stays until all said yes."""
    await _end(conn, style_id, "waiting", now=now)
    row = await conn.fetchrow(
        "INSERT INTO service.authorships (id, style_id, creator_id, parts, said, created_at)"
        f" VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}",
        *(authorship_id, style_id, creator_id, json.dumps(dict(parts)), json.dumps({creator_id: "yes"}), now),
    )
    assert row is not None
    return read(Authorship, row)


async def answer(
    conn: Connection, authorship_id: str, author_id: str, *, agrees: bool, now: datetime
) -> Authorship | Refusal:
    """What an author says to a proposal. The last yes puts it in force: orders from then on are shared. Until then a
    yes may still become a no.

    In a transaction of its own, by the house. Refusals: not_found; conflict (it does not wait for this author);
    style_destroyed.
    """
    found = await _lock(conn, authorship_id, author_id)
    if found is None:
        return refuse("not_found", what=say("authorship"), id=authorship_id)
    if found.state != "waiting":
        return refuse("conflict", what=_OVER[found.state])
    if author_id == found.creator_id:
        return refuse(
            "conflict", what=say("You asked the others, which is your yes; take it back if you changed your mind")
        )
    if agrees and author_id in found.said:
        return refuse("conflict", what=say("You have said yes to this already; it waits for the others"))
    said = found.said | {author_id: "yes" if agrees else "no"}
    state: AuthorshipState = "declined" if not agrees else "in_force" if len(said) == len(found.parts) else "waiting"
    if state == "in_force":
        await _end(conn, found.style_id, "in_force", now=now)
        stored = await _share(conn, found.style_id, found.parts, by=found.creator_id, now=now)
        if isinstance(stored, Refusal):
            return stored
    return await _write(conn, authorship_id, said=said, state=state, now=now)


async def leave(conn: Connection, authorship_id: str, author_id: str, *, now: datetime) -> Authorship | Refusal:
    """An author leaves, or the creator ends it: what is sold from now on is shared among the others, and the creator's
    alone where there are none. A proposal that waits is taken back by its creator.

    In a transaction of its own, by the house. Refusals: not_found, conflict (it is not in force).
    """
    found = await _lock(conn, authorship_id, author_id)
    if found is None:
        return refuse("not_found", what=say("authorship"), id=authorship_id)
    if found.state == "waiting" and author_id == found.creator_id:
        return await _write(conn, authorship_id, said=found.said, state="ended", now=now)
    if found.state == "waiting":
        return refuse(
            "conflict", what=say("This is not in force yet, so there is nothing to leave; say no to it instead")
        )
    if found.state != "in_force":
        return refuse("conflict", what=_OVER[found.state])
    left = {author: weight for author, weight in found.parts.items() if author != author_id}
    is_alone = author_id == found.creator_id or set(left) == {found.creator_id}
    stored = await _share(conn, found.style_id, {} if is_alone else left, by=author_id, now=now)
    if isinstance(stored, Refusal):
        return stored
    if is_alone:
        return await _write(conn, authorship_id, said=found.said, state="ended", now=now)
    row = await conn.fetchrow(
        f"UPDATE service.authorships SET parts = $2 WHERE id = $1 RETURNING {_COLUMNS}", authorship_id, json.dumps(left)
    )
    assert row is not None
    return read(Authorship, row)


async def of_account(conn: Connection, account_id: str) -> list[Authorship]:
    """Those that wait or are in force in which an account has a part, the newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.authorships WHERE parts ? $1 AND state IN ('waiting', 'in_force')"
        " ORDER BY id DESC",
        account_id,
    )
    return [read(Authorship, row) for row in rows]


async def of_style(conn: Connection, style_id: str) -> list[Authorship]:
    """What waits and what is in force of a style: at most one each."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.authorships WHERE style_id = $1 AND state IN ('waiting', 'in_force')"
        " ORDER BY state",
        style_id,
    )
    return [read(Authorship, row) for row in rows]


async def _lock(conn: Connection, authorship_id: str, author_id: str) -> Authorship | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.authorships WHERE id = $1 AND parts ? $2 FOR UPDATE", authorship_id, author_id
    )
    return read(Authorship, row) if row else None


async def _share(
    conn: Connection, style_id: str, parts: Mapping[str, int], *, by: str, now: datetime
) -> StyleTerms | Refusal:
    terms = await current_terms(conn, style_id)
    assert terms is not None, "every style has terms"
    return await put_terms(conn, replace(terms, authors=dict(parts)), by=by, now=now)


async def _end(conn: Connection, style_id: str, state: AuthorshipState, *, now: datetime) -> None:
    await conn.execute(
        "UPDATE service.authorships SET state = 'ended', ended_at = $3 WHERE style_id = $1 AND state = $2",
        *(style_id, state, now),
    )


async def _write(
    conn: Connection, authorship_id: str, *, said: dict[str, Any], state: AuthorshipState, now: datetime
) -> Authorship:
    row = await conn.fetchrow(
        f"UPDATE service.authorships SET said = $2, state = $3, ended_at = $4 WHERE id = $1 RETURNING {_COLUMNS}",
        *(authorship_id, json.dumps(said), state, now if state in ("declined", "ended") else None),
    )
    assert row is not None
    return read(Authorship, row)
