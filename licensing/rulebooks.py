"""Creators' rules as they are stored: a version for every change, for one style or for all that have none of their own.

Versions count up over everything that a creator changes, so a creator and a number name what an order was judged by.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.rules import Category, Rules, unsound


@dataclass(frozen=True, kw_only=True)
class Rulebook:
    """The rules that hold, and the version they came with; 0 where nothing was ever set.

    `is_own` says that the style has rules of its own; else they are the creator's for all styles.
    """

    rules: Rules
    version: int
    is_own: bool


async def put_rules(
    conn: Connection,
    categories: Mapping[str, Category],
    *,
    creator_id: str,
    style_id: str | None,
    rules: Rules | None,
    by: str,
    now: datetime,
) -> Rulebook | Refusal:
    """Store rules for a style, or for all styles without their own (`style_id` None); what holds afterwards.

    `rules` None takes a style's own rules away. The same again makes no new version. Refusals: invalid_request. Whose
    the style is, the caller has checked.
    """
    what = unsound(rules, categories) if rules is not None else None
    if what:
        return refuse("invalid_request", what=what)
    stored = None if rules is None else json.dumps(asdict(rules))
    async with conn.transaction():
        # Versions of one creator's rules are written one after the other.
        await conn.execute("SELECT pg_advisory_xact_lock(licensing.lock_no('rules', $1))", creator_id)
        await conn.execute(
            """
            INSERT INTO licensing.rules (creator_id, style_id, version, rules, actor, created_at)
            SELECT $1, $2, (SELECT coalesce(max(version), 0) + 1 FROM licensing.rules WHERE creator_id = $1),
                $3::jsonb, $4, $5
            WHERE (SELECT rules FROM licensing.rules WHERE creator_id = $1 AND style_id = $2
                   ORDER BY version DESC LIMIT 1) IS DISTINCT FROM $3::jsonb
            """,
            *(creator_id, style_id or "", stored, by, now),
        )
        return await current_rules(conn, creator_id=creator_id, style_id=style_id)


async def current_rules(conn: Connection, *, creator_id: str, style_id: str | None) -> Rulebook:
    """What an order of the style would be judged by; for `style_id` None, of a style without rules of its own."""
    row = await conn.fetchrow(
        "SELECT version, rules::text AS rules, is_own FROM licensing.rules_of($1, $2)", creator_id, style_id or ""
    )
    return read_rulebook(row["version"], row["rules"], is_own=row["is_own"])


async def current_rules_of(conn: Connection, style_ids: Sequence[str]) -> dict[str, Rulebook]:
    """The same of many styles at once, for lists; by style."""
    rows = await conn.fetch(
        "SELECT s.style_id, r.version, r.rules::text AS rules, r.is_own"
        " FROM licensing.style s, licensing.rules_of(s.creator_id, s.style_id) r WHERE s.style_id = ANY($1::text[])",
        list(style_ids),
    )
    return {row["style_id"]: read_rulebook(row["version"], row["rules"], is_own=row["is_own"]) for row in rows}


def read_rulebook(version: int, stored: str, *, is_own: bool) -> Rulebook:
    """A rulebook from what `licensing.rules_of` answered."""
    lists = {name: tuple(names) for name, names in json.loads(stored).items()}
    return Rulebook(rules=Rules(**lists), version=version, is_own=is_own)
