"""What anybody may see of the styles: those with a published version."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licensing.database import Connection
from service.db.connections import read

_SELECT = (
    "SELECT s.id, s.creator_id, s.name, s.summary, s.base, s.prompt_rules, a.name AS creator_name,"
    " v.id AS version_id, v.number AS version_number, v.scores, t.samples, v.published_at"
    " FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id"
    " JOIN service.versions v ON v.id = s.published_version_id"
    " JOIN service.trainings t ON t.id = v.training_id"
)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One published style and its published version."""

    id: str
    creator_id: str
    creator_name: str
    name: str
    summary: str
    base: str
    prompt_rules: dict[str, Any]
    version_id: str
    version_number: int
    scores: dict[str, Any]
    samples: list[dict[str, Any]]
    published_at: datetime

    @property
    def example_key(self) -> str | None:
        """Where the newest sheet of examples lies: the same prompts and seeds with and without the style."""
        return str(self.samples[-1]["key"]) if self.samples else None


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


async def find_published(conn: Connection, style_id: str) -> Listed | None:
    """One published style."""
    row = await conn.fetchrow(_SELECT + " WHERE s.id = $1", style_id)
    return read(Listed, row) if row else None
