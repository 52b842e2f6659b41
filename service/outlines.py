"""Styles in numbers: how many works, trainings and versions they have, of many styles at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from licensing.database import Connection

_SHOWN = 3

_WORKS = """
SELECT style_id, count(*)::int AS num_works,
    (count(*) FILTER (WHERE include AND rights <> 'unsure' AND NOT is_locked))::int AS num_ready,
    (count(*) FILTER (WHERE include AND rights = 'unsure'))::int AS num_unsure,
    (count(*) FILTER (WHERE is_locked))::int AS num_locked,
    coalesce((array_agg(id ORDER BY id) FILTER (WHERE NOT is_locked))[1:$3], '{}') AS shown
FROM (SELECT id, style_id, include, rights, sha256 IN (SELECT k.sha256 FROM service.claims k
        WHERE k.creator_id = $2 AND k.in_effect_at IS NOT NULL) AS is_locked
    FROM service.works WHERE style_id = ANY($1::text[]) AND creator_id = $2) AS works GROUP BY style_id
"""
_TRAININGS = """
SELECT wanted.id AS style_id, latest.state FROM unnest($1::text[]) AS wanted (id), LATERAL (
    SELECT t.state FROM service.trainings t WHERE t.style_id = wanted.id AND t.creator_id = $2
    ORDER BY t.id DESC LIMIT 1) latest
"""
_VERSIONS = """
SELECT style_id, count(*)::int AS num_versions, bool_or(gate_passed) AS has_passed, max(id) AS newest_version
FROM service.versions
WHERE style_id = ANY($1::text[]) AND creator_id = $2 GROUP BY style_id
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a style has. `num_ready` works may train, `num_unsure` would if their rights were said, `num_locked` have a
    claim that was upheld; `shown` are ids of the first that may be seen. `latest_state` is the newest training's."""

    num_works: int = 0
    num_ready: int = 0
    num_unsure: int = 0
    num_locked: int = 0
    shown: tuple[str, ...] = ()
    latest_state: str | None = None
    num_versions: int = 0
    has_passed: bool = False
    newest_version: str | None = None


async def find(conn: Connection, style_ids: Sequence[str], *, creator_id: str, shown: int = _SHOWN) -> dict[str, Found]:
    """Of each of a creator's own styles what it has."""
    ids = list(style_ids)
    works = {row["style_id"]: row for row in await conn.fetch(_WORKS, ids, creator_id, shown)}
    states = {row["style_id"]: row["state"] for row in await conn.fetch(_TRAININGS, ids, creator_id)}
    versions = {row["style_id"]: row for row in await conn.fetch(_VERSIONS, ids, creator_id)}
    counted = ("num_works", "num_ready", "num_unsure", "num_locked")
    return {
        style_id: Found(
            **({name: work[name] for name in counted} if (work := works.get(style_id)) else {}),
            shown=tuple(work["shown"]) if work else (),
            latest_state=states.get(style_id),
            **(
                {name: made[name] for name in ("num_versions", "has_passed", "newest_version")}
                if (made := versions.get(style_id))
                else {}
            ),
        )
        for style_id in ids
    }
