"""The creator's switch: six levels, three scopes, one commit.

A creator has a switch for everything, one per style and one per style and client. The strictest of the three governs:
live < closed < wind_down < paused < off < destroyed. Turning the switch for everything off and on again therefore
leaves each style's own level as it was.

Setting a level takes the exclusive side of a lock of which every reserve, begin and settle takes the shared side: when
`set_level` has committed, nothing that its level forbids can commit any more. The locks are advisory ones, because row
locks let new readers overtake a waiting writer, and under load `off` would wait without bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.sentence import say

Level = Literal["live", "closed", "paused", "wind_down", "off", "destroyed"]
Scope = Literal["creator", "style", "client"]
LEVELS: tuple[Level, ...] = ("live", "closed", "paused", "wind_down", "off", "destroyed")
CHANNEL = "ownhand_switch"


@dataclass(frozen=True, kw_only=True)
class SwitchChange:
    """What a change did, in one commit.

    `level` and `epoch` are of the switch that was set; `governing` is the level that now holds there, which a switch
    above may make stricter. `voided` orders ended without a charge, of which `stopped` were running; `order_ids` names
    them, for the caller's own rows. `refunded` went back to buyers of one-style licences (in ISO 4217's "no currency"
    where nothing is for sale). `ends_at` is the date of a wind-down.
    """

    level: Level
    epoch: int
    governing: Level
    stopped: int
    voided: int
    refunded: Money
    ends_at: datetime | None
    order_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SwitchState:
    """What holds for a style (and a client): the governing level, whose switch says so, and the date of a wind-down."""

    level: Level
    scope: Scope
    epoch: int
    reason: str | None
    ends_at: datetime | None
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class SwitchEvent:
    """One line of the switch's history. `style_id` and `client_id` are None where the change was wider."""

    event_no: int
    style_id: str | None
    client_id: str | None
    level_before: Level
    level: Level
    epoch: int
    reason: str | None
    by: str
    at: datetime
    stopped: int
    voided: int
    refunded: Money | None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A wind-down whose date has come; '' stands for all styles and for all clients."""

    creator_id: str
    style_id: str
    client_id: str


async def set_level(
    conn: Connection,
    *,
    creator_id: str,
    style_id: str | None = None,
    client_id: str | None = None,
    level: Level,
    reason: str | None = None,
    by: str,
    now: datetime,
) -> SwitchChange | Refusal:
    """Set the switch of everything a creator has, of one style, or of one client of a style.

    `creator_id` is the owner; `by` who did it (the owner or the operator). Commit at once: the fence holds from the
    commit on. The same level again changes nothing. A NOTIFY on `CHANNEL` carries the style's id, or the creator's for
    everything. Refusals: not_found (not this creator's style), style_destroyed (final), invalid_request (a client
    without a style; `destroyed` for one client: what is destroyed is gone for all).
    """
    if level not in LEVELS:
        return refuse(
            "invalid_request",
            what=say("There is no level {level}; choose one of {levels}", level=level, levels=", ".join(LEVELS)),
        )
    if client_id and not style_id:
        return refuse(
            "invalid_request",
            what=say("Name the style that client {client_id} shall be switched for", client_id=client_id),
        )
    answer = await ask(conn, "set_switch", creator_id, style_id or "", client_id or "", level, reason, by, now)
    return answer.refusal or _change(answer.detail)


async def state(conn: Connection, *, style_id: str, client_id: str | None = None, now: datetime) -> SwitchState | None:
    """The level that governs a style, for one client if named; None for a style without terms."""
    return (await states(conn, style_ids=[style_id], client_id=client_id, now=now)).get(style_id)


_GOVERNING = "SELECT s.style_id, g.* FROM licensing.style s, licensing.governing(s.creator_id, s.style_id, $2, $3) g"


async def states(
    conn: Connection, *, style_ids: Sequence[str], client_id: str | None = None, now: datetime
) -> dict[str, SwitchState]:
    """The governing levels of many styles at once, for pages. Styles without terms are left out."""
    rows = await conn.fetch(f"{_GOVERNING} WHERE s.style_id = ANY ($1)", list(style_ids), client_id or "", now)
    return {row["style_id"]: _state(row) for row in rows}


async def winding_down(
    conn: Connection, *, style_ids: Sequence[str], client_id: str, now: datetime
) -> dict[str, SwitchState]:
    """Those of many styles that end on a date, for this client or for everybody."""
    rows = await conn.fetch(
        f"{_GOVERNING} WHERE s.style_id = ANY ($1) AND g.level = 'wind_down'"
        # The few whose creators gave notice of anything are found first: a busy client has hundreds of styles.
        " AND s.creator_id IN (SELECT w.creator_id FROM licensing.switch w WHERE w.level = 'wind_down')",
        *(list(style_ids), client_id, now),
    )
    return {row["style_id"]: _state(row) for row in rows}


def _state(row: Mapping[str, Any]) -> SwitchState:
    return SwitchState(
        level=row["level"],
        scope=row["scope"],
        epoch=row["epoch"],
        reason=row["reason"],
        ends_at=row["ends_at"],
        at=row["at"],
    )


async def due_notices(conn: Connection, *, now: datetime) -> list[Notice]:
    """The wind-downs whose date has come. For the sweeper."""
    rows = await conn.fetch(
        """
        SELECT creator_id, style_id, client_id FROM licensing.switch
        WHERE level = 'wind_down' AND ends_at <= $1 ORDER BY creator_id, style_id, client_id
        """,
        now,
    )
    return [Notice(creator_id=row["creator_id"], style_id=row["style_id"], client_id=row["client_id"]) for row in rows]


async def end_notice(conn: Connection, notice: Notice, *, now: datetime) -> SwitchChange | None:
    """Turn one of `due_notices` to `off`, with its refunds; None where the switch was set otherwise meanwhile.

    In a transaction of its own: it locks the style and its buyers' money, and so does everybody else in that order.
    """
    answer = await ask(conn, "end_notice", notice.creator_id, notice.style_id, notice.client_id, now)
    return None if answer.refusal or answer.outcome == "unchanged" else _change(answer.detail)


async def history(
    conn: Connection, *, creator_id: str, style_id: str | None = None, limit: int = 100, before: int | None = None
) -> list[SwitchEvent]:
    """The changes of a creator's switches, newest first; of one style, with the changes that were for everything.

    before: the `event_no` of one of them: only older ones.
    """
    rows = await conn.fetch(
        """
        SELECT * FROM licensing.switch_event
        WHERE creator_id = $1 AND ($2::text IS NULL OR style_id IN ('', $2))
          AND ($4::bigint IS NULL OR event_no < $4) ORDER BY event_no DESC LIMIT $3
        """,
        *(creator_id, style_id, limit, before),
    )
    return [
        SwitchEvent(
            event_no=row["event_no"],
            style_id=row["style_id"] or None,
            client_id=row["client_id"] or None,
            level_before=row["level_before"],
            level=row["level"],
            epoch=row["epoch"],
            reason=row["reason"],
            by=row["actor"],
            at=row["at"],
            stopped=row["stopped"],
            voided=row["voided"],
            refunded=Money(row["refunded"], row["currency"]) if row["currency"] else None,
        )
        for row in rows
    ]


def _change(detail: Mapping[str, Any]) -> SwitchChange:
    return SwitchChange(
        level=detail["level"],
        epoch=detail["epoch"],
        governing=detail["governing"],
        stopped=detail["stopped"],
        voided=detail["voided"],
        refunded=Money(detail["refunded"], detail["currency"]),
        ends_at=datetime.fromisoformat(detail["ends_at"]) if detail["ends_at"] else None,
        order_ids=tuple(detail["order_ids"]),
    )
