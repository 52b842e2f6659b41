"""What anybody may see of the styles: those with a published version."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licensing.database import Connection
from licensing.errors import refuse
from service.db.connections import read
from service.errors import not_found, refused

_SELECT = (
    "SELECT s.id, s.creator_id, s.name, s.summary, s.base, a.name AS creator_name,"
    " v.id AS version_id, v.number AS version_number, v.scores, v.examples, v.published_at"
    " FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id"
    " JOIN service.versions v ON v.id = s.published_version_id"
)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One published style and its published version. `examples` are the keys of pictures drawn with it."""

    id: str
    creator_id: str
    creator_name: str
    name: str
    summary: str
    base: str
    version_id: str
    version_number: int
    scores: dict[str, Any]
    examples: list[str]
    published_at: datetime

    @property
    def example_urls(self) -> list[str]:
        """The version is part of each address, so that nobody keeps an older version's picture."""
        count = len(self.examples)
        return [f"/v1/styles/{self.id}/examples/{number}?of={self.version_id}" for number in range(1, count + 1)]


async def list_published(
    conn: Connection, *, query: str = "", limit: int = 100, before: str | None = None
) -> list[Listed]:
    """Published styles, newest first; every word of `query` must be in the name, the summary or the creator's name."""
    rows = await conn.fetch(
        _SELECT + " WHERE ($1::text IS NULL OR s.id < $1)"
        " AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS word"
        "  WHERE strpos(lower(s.name || ' ' || s.summary || ' ' || a.name), word) = 0)"
        " ORDER BY s.id DESC LIMIT $3",
        *(before, query.lower().split(), limit),
    )
    return [read(Listed, row) for row in rows]


async def published_style(conn: Connection, style_id: str) -> Listed:
    """One published style. Raises Problem: style_destroyed for one that was on sale, else not_found."""
    row = await conn.fetchrow(_SELECT + " WHERE s.id = $1", style_id)
    if row is None:
        await check_not_destroyed(conn, style_id)
        raise not_found("style", style_id)
    return read(Listed, row)


async def check_not_destroyed(conn: Connection, style_id: str) -> None:
    """Raises Problem (style_destroyed) for a style that is gone. Of one that was never on sale nobody learns that."""
    is_gone: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM service.styles s JOIN service.versions v ON v.style_id = s.id"
        " WHERE s.id = $1 AND s.destroyed_at IS NOT NULL AND v.published_at IS NOT NULL)",
        style_id,
    )
    if is_gone:
        raise refused(refuse("style_destroyed", style_id=style_id))
