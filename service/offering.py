"""What an order of a style would get: its version, and what its creator allows. Read for many requests at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from licensing.rulebooks import Rulebook, read_rulebook
from licensing.terms import Approval
from service.catalogue import check_not_destroyed
from service.errors import not_found
from service.resources import Gateway
from service.versions import IS_SOLD

_OFFERINGS = f"""
SELECT s.id AS style_id, s.name AS style_name, s.creator_id, v.id AS version_id, v.base,
       coalesce(t.permissions ->> 'approval', 'off') AS approval, t.version AS terms_version,
       r.version AS rules_version, r.rules::text AS rules, r.is_own AS has_own_rules
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (style_id, version_id, number)
LEFT JOIN service.styles s ON s.id = wanted.style_id
LEFT JOIN service.versions v ON v.style_id = s.id AND {IS_SOLD}
    AND v.id = coalesce(wanted.version_id, s.published_version_id)
LEFT JOIN licensing.style l ON l.style_id = s.id
LEFT JOIN licensing.terms t ON t.style_id = l.style_id AND t.version = l.terms_version
LEFT JOIN LATERAL licensing.rules_of(s.creator_id, s.id) r ON true
ORDER BY wanted.number
"""


@dataclass(frozen=True, kw_only=True)
class Offering:
    """A style as it is sold. `approval` is of its terms of today, `terms_version`; a licence may have older ones."""

    style_id: str
    style_name: str
    creator_id: str
    version_id: str
    base: str
    approval: Approval
    terms_version: int
    rulebook: Rulebook

    def may_need_approval(self, terms_version: int) -> bool:
        """Whether it is worth asking if the creator looks at the pictures of an order under these terms first."""
        return self.approval != "off" or terms_version != self.terms_version


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
    return [_offering(row) if row["version_id"] else None for row in rows]


def _offering(row: asyncpg.Record) -> Offering:
    return Offering(
        style_id=row["style_id"],
        style_name=row["style_name"],
        creator_id=row["creator_id"],
        version_id=row["version_id"],
        base=row["base"],
        approval=row["approval"],
        terms_version=row["terms_version"],
        rulebook=read_rulebook(row["rules_version"], row["rules"], is_own=row["has_own_rules"]),
    )
