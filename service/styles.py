"""Styles: what creators sell. Terms and switch are the licensing room's; name, words and base are here."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from service.db.connections import read

NAME_CHARACTERS_MAX = 80
SUMMARY_CHARACTERS_MAX = 600

_COLUMNS = "id, creator_id, name, summary, base, published_version_id, created_at, updated_at, destroyed_at, deletion"


@dataclass(frozen=True, kw_only=True)
class Style:
    id: str
    creator_id: str
    name: str
    summary: str
    base: str
    published_version_id: str | None
    created_at: datetime
    updated_at: datetime
    destroyed_at: datetime | None
    deletion: str | None


async def add_style(
    conn: Connection,
    *,
    style_id: str,
    creator_id: str,
    name: str,
    summary: str,
    base: str,
    now: datetime,
) -> Style:
    row = await conn.fetchrow(
        "INSERT INTO service.styles (id, creator_id, name, summary, base, created_at, updated_at)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING {_COLUMNS}",
        *(style_id, creator_id, name, summary, base, now),
    )
    assert row is not None
    return read(Style, row)


async def change_style(
    conn: Connection,
    *,
    style_id: str,
    creator_id: str,
    now: datetime,
    name: str | None = None,
    summary: str | None = None,
) -> Style | None:
    """The style after the change; None where this creator has no such style. None leaves a field as it is."""
    row = await conn.fetchrow(
        "UPDATE service.styles SET name = coalesce($3, name), summary = coalesce($4, summary),"
        f" updated_at = $5 WHERE id = $1 AND creator_id = $2 RETURNING {_COLUMNS}",
        *(style_id, creator_id, name, summary, now),
    )
    return read(Style, row) if row else None


async def find_style(conn: Connection, style_id: str, *, creator_id: str) -> Style | None:
    """A creator's own style, published or not."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.styles WHERE id = $1 AND creator_id = $2", style_id, creator_id
    )
    return read(Style, row) if row else None


async def list_styles(conn: Connection, *, creator_id: str, limit: int = 100, before: str | None = None) -> list[Style]:
    """A creator's styles, newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.styles WHERE creator_id = $1 AND ($2::text IS NULL OR id < $2)"
        " ORDER BY id DESC LIMIT $3",
        *(creator_id, before, limit),
    )
    return [read(Style, row) for row in rows]


async def list_all_styles(conn: Connection, *, limit: int, before: str | None = None) -> list[tuple[Style, str]]:
    """Everybody's styles with the names of their creators, the newest first. For the operator."""
    columns = ", ".join(f"s.{column}" for column in _COLUMNS.split(", "))
    rows = await conn.fetch(
        f"SELECT {columns}, a.name AS creator_name FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id"
        " WHERE $1::text IS NULL OR s.id < $1 ORDER BY s.id DESC LIMIT $2",
        *(before, limit),
    )
    return [(read(Style, row), row["creator_name"]) for row in rows]


async def own_among(conn: Connection, style_ids: Collection[str], *, creator_id: str) -> set[str]:
    """Those of some styles that are a creator's own."""
    rows = await conn.fetch(
        "SELECT id FROM service.styles WHERE id = ANY($1::text[]) AND creator_id = $2", list(style_ids), creator_id
    )
    return {row["id"] for row in rows}


async def styles_by_id(conn: Connection, style_ids: Collection[str]) -> dict[str, Style]:
    """Styles by their ids, whosever they are. Of the house, for those to whom somebody showed them."""
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM service.styles WHERE id = ANY($1::text[])", list(style_ids))
    return {row["id"]: read(Style, row) for row in rows}


async def style_names(conn: Connection, style_ids: Collection[str]) -> dict[str, str]:
    """What styles are called, by their ids."""
    rows = await conn.fetch("SELECT id, name FROM service.styles WHERE id = ANY($1::text[])", list(style_ids))
    return {row["id"]: row["name"] for row in rows}
