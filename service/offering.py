"""What an order of a style would get: its version, and what its creator allows. Read for many requests at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.catalogue import check_not_destroyed
from service.db.connections import read
from service.errors import not_found
from service.resources import Gateway
from service.versions import IS_SOLD

_OFFERINGS = f"""
SELECT s.id AS style_id, s.name AS style_name, s.creator_id, s.prompt_rules, v.id AS version_id, v.base,
       coalesce((t.permissions ->> 'approval')::boolean, false) AS needs_approval
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (style_id, version_id, number)
LEFT JOIN service.styles s ON s.id = wanted.style_id
LEFT JOIN service.versions v ON v.style_id = s.id AND {IS_SOLD}
    AND v.id = coalesce(wanted.version_id, s.published_version_id)
LEFT JOIN licensing.style l ON l.style_id = s.id
LEFT JOIN licensing.terms t ON t.style_id = l.style_id AND t.version = l.terms_version
ORDER BY wanted.number
"""


@dataclass(frozen=True, kw_only=True)
class Offering:
    """A style as it is sold. `prompt_rules` are those of `service.styles.Style`."""

    style_id: str
    style_name: str
    creator_id: str
    prompt_rules: dict[str, Any]
    version_id: str
    base: str
    needs_approval: bool
    """Its creator wants to see every picture before it is delivered."""


async def offered(web: Gateway, style_id: str, version_id: str | None) -> Offering:
    """The style with its published version, or with the one named if that was ever published. Raises Problem."""
    found = await web.together(_read_all, (style_id, version_id))
    if found is not None:
        return found
    async with web.pool.acquire() as conn:
        published = await conn.fetchval(
            "SELECT published_version_id IS NOT NULL FROM service.styles WHERE id = $1", style_id
        )
        if published is not None:
            await check_not_destroyed(conn, style_id)
    raise not_found("version", version_id) if published and version_id else not_found("style", style_id)


async def _read_all(web: Gateway, wanted: Sequence[tuple[str, str | None]]) -> list[Offering | None]:
    styles, versions = zip(*wanted, strict=True)
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(_OFFERINGS, list(styles), list(versions))
    return [read(Offering, row) if row["version_id"] else None for row in rows]
