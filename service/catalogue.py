"""What anybody may see of the styles: those with a published version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import refuse
from service.db.connections import read
from service.errors import not_found, refused

_COLUMNS = (
    "SELECT s.id, s.creator_id, s.name, s.summary, s.base, a.name AS creator_name,"
    " v.id AS version_id, v.number AS version_number, v.scores, v.examples, v.published_at"
)
_SELECT = (
    f"{_COLUMNS} FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id"
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


Order = Literal["newest", "cheapest", "dearest", "truest"]
ORDERS: tuple[Order, ...] = ("newest", "cheapest", "dearest", "truest")


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What somebody looks for: every word of `words` must be in the name, the summary or the creator's name. `most` is
    in minor units, of a picture of `tier`, or of the cheapest above a draft. `notice_days` is the least notice before a
    style ends. `draws` is a category that its creator has not left out. `at_once`: nobody looks at pictures first."""

    words: str = ""
    tier: str | None = None
    most: int | None = None
    notice_days: int | None = None
    draws: str | None = None
    at_once: bool = False
    on_sale: bool = False
    order: Order | None = None
    """None: by how well the words fit, then the newest."""


EVERYTHING = Sought()

# A style with the terms of today. What a picture costs, of the tier that is asked for ($2), else as the cards say it.
_OFFERED = """
FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id
    JOIN service.versions v ON v.id = s.published_version_id
    JOIN licensing.style l ON l.style_id = s.id
    JOIN licensing.terms t ON (t.style_id, t.version) = (l.style_id, l.terms_version),
    LATERAL (SELECT coalesce(min(x.price) FILTER (WHERE x.tier = $2),
            min(x.price) FILTER (WHERE x.tier <> 'draft'), min(x.price)) AS price,
            coalesce(bool_or(x.tier = $2), false) AS has_tier
        FROM licensing.tier x WHERE (x.style_id, x.version) = (t.style_id, t.version)) offer
WHERE NOT EXISTS (SELECT FROM unnest($1::text[]) AS word
        WHERE strpos(lower(s.name || ' ' || s.summary || ' ' || a.name), word) = 0)
    AND ($2::text IS NULL OR offer.has_tier)
    AND ($3::bigint IS NULL OR offer.price <= $3)
    AND ($4::bigint IS NULL OR t.notice_days >= $4)
    AND ($5::text IS NULL OR NOT coalesce((SELECT r.rules -> 'categories'
        FROM licensing.rules_of(s.creator_id, s.id) r), '[]') ? $5)
    AND (NOT $6 OR coalesce(t.permissions ->> 'approval', 'off') = 'off')
    AND NOT EXISTS (SELECT FROM licensing.switch w WHERE w.creator_id = s.creator_id AND w.style_id IN ('', s.id)
        AND w.client_id = '' AND (w.level IN ('off', 'destroyed') OR w.ends_at <= $8 OR $7 AND w.level <> 'live'))
"""
# A word that begins a word of the name fits best, one somewhere in the summary or the creator's name least.
_FIT = """
(SELECT coalesce(sum(CASE WHEN strpos(' ' || lower(s.name), ' ' || word) > 0 THEN 4 WHEN strpos(lower(s.name), word) > 0
    THEN 3 WHEN strpos(' ' || lower(s.summary), ' ' || word) > 0 THEN 2 ELSE 1 END), 0) FROM unnest($1::text[]) AS word)
"""
# Read once, and not for each style: there are as many rows of it as creators ever turned something.
_TURNED = "(SELECT w.creator_id, w.style_id FROM licensing.switch w WHERE w.client_id = '' AND w.level <> 'live')"
_IS_LIVE = f"((s.creator_id, '') NOT IN {_TURNED} AND (s.creator_id, s.id) NOT IN {_TURNED})"
_ORDERS = {
    None: f"{_FIT} DESC, s.id DESC",
    "newest": "s.id DESC",
    "cheapest": "offer.price, s.id DESC",
    "dearest": "offer.price DESC, s.id DESC",
    "truest": "(v.scores ->> 'hand')::float DESC NULLS LAST, s.id DESC",
}


async def list_published(
    conn: Connection, sought: Sought = EVERYTHING, *, now: datetime, limit: int = 100, before: str | None = None
) -> list[Listed]:
    """Published styles that fit, newest first, those before the id `before`; none that is off."""
    rows = await conn.fetch(
        f"{_COLUMNS} {_OFFERED} AND ($9::text IS NULL OR s.id < $9) ORDER BY s.id DESC LIMIT $10",
        *(*_asked(sought, now), before, limit),
    )
    return [read(Listed, row) for row in rows]


async def find_styles(
    conn: Connection, sought: Sought, *, now: datetime, limit: int, skip: int = 0, nearest: Sequence[str] | None = None
) -> list[Listed]:
    """The same in the order that is asked for, those that one can order first; by `nearest` (ids) where that is given,
    those it does not name last."""
    order = "array_position($11::text[], s.id) NULLS LAST, s.id DESC" if nearest is not None else _ORDERS[sought.order]
    rows = await conn.fetch(
        f"{_COLUMNS} {_OFFERED} AND ($11::text[] IS NULL OR true) ORDER BY {_IS_LIVE} DESC, {order}"
        " LIMIT $10 OFFSET $9::bigint",
        *(*_asked(sought, now), skip, limit, None if nearest is None else list(nearest)),
    )
    return [read(Listed, row) for row in rows]


def _asked(sought: Sought, now: datetime) -> tuple[Any, ...]:
    return (
        *(sought.words.lower().split(), sought.tier, sought.most, sought.notice_days, sought.draws, sought.at_once),
        *(sought.on_sale, now),
    )


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
