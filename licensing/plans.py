"""Quotas that clients buy ahead: the operator's plan over all styles, and licences of one style."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.prices import Plan

AllowanceKind = Literal["plan", "licence"]
AllowanceState = Literal["active", "ending", "ended", "refunded"]


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """One paid period of a plan or of a one-style licence.

    `name` is the plan's id; a licence has `style_id` and `tier` instead. `used` + `held` + `left` = units granted.
    `paused_since` is set while the style is paused: the clock of a licence stops and `ends_at` moves on by that much.
    """

    id: str
    kind: AllowanceKind
    client_id: str
    name: str | None
    style_id: str | None
    tier: str | None
    price: Money
    used: int
    held: int
    left: int
    starts_at: datetime
    ends_at: datetime
    paused_since: datetime | None
    renews: bool
    notice_days: int
    state: AllowanceState


@dataclass(frozen=True, kw_only=True)
class DuePeriod:
    """A paid period that is over and not yet closed."""

    id: str
    kind: AllowanceKind


@dataclass(frozen=True, kw_only=True)
class KeyCap:
    """A key's lifetime spending limit in minor units, and what is spent and held of it."""

    key_id: str
    cap: int
    spent: int
    held: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Where a client stands: units of running quotas, prepaid money free to spend and held, and caps of its keys."""

    used: int
    held: int
    left: int
    prepaid: Money
    prepaid_held: Money
    caps: tuple[KeyCap, ...]
    allowances: tuple[Allowance, ...]


async def subscribe(
    conn: Connection, *, client_id: str, plan: Plan, now: datetime, new_id: Callable[[str], str], renews: bool = True
) -> Allowance | Refusal:
    """Buy a plan with prepaid money, from now on.

    Subscribing to the plan that already runs returns it (and sets `renews`). Refusals: payment_required; conflict
    (another plan runs: end its renewal first).
    """
    answer = await ask(
        conn,
        "buy_plan",
        new_id("alw"),
        client_id,
        plan.id,
        json.dumps(dict(plan.covers)),
        plan.price.amount,
        plan.price.currency,
        plan.units,
        plan.months,
        renews,
        now,
    )
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def end_renewal(conn: Connection, *, client_id: str, allowance_id: str) -> Allowance | Refusal:
    """The period goes on to its end and is not renewed. Refusals: not_found, conflict (it has ended)."""
    row = await conn.fetchrow(
        """
        UPDATE licensing.allowance SET renews = renews AND state <> 'active'
        WHERE allowance_id = $1 AND client_id = $2 RETURNING state
        """,
        *(allowance_id, client_id),
    )
    if row is None:
        return refuse("not_found", what="subscription", id=allowance_id)
    if row["state"] != "active":
        return refuse("conflict", what=f"Subscription {allowance_id} has {row['state']}; there is nothing to renew")
    return await _one(conn, allowance_id)


async def current_plan(conn: Connection, *, client_id: str, now: datetime) -> Allowance | None:
    """The plan period that `now` lies in, if any."""
    row = await conn.fetchrow(
        _ALLOWANCES + " WHERE a.client_id = $1 AND a.kind = 'plan' AND a.state = 'active' AND a.ends_at > $2",
        *(client_id, now),
    )
    return _allowance(row) if row else None


async def buy_licence(
    conn: Connection,
    *,
    client_id: str,
    style_id: str,
    tier: str,
    now: datetime,
    new_id: Callable[[str], str],
    renews: bool = False,
) -> Allowance | Refusal:
    """Buy a licence of one style with prepaid money. A licence that already runs is returned (and `renews` set).

    One of the tier `exclusive` is a window: while it runs nobody else may order of the style or buy a licence of it.
    It is never renewed by itself. Refusals: not_found, invalid_request (the tier has no such offer), payment_required,
    style_closed, style_paused, style_off, style_destroyed; style_exclusive (another client's window runs); for a
    window, conflict (another client has a running licence or an open order).
    """
    answer = await ask(conn, "buy_licence", new_id("lic"), client_id, style_id, tier, renews, now)
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def licences(
    conn: Connection, *, client_id: str, limit: int = 1000, before: str | None = None
) -> list[Allowance]:
    """One-style licences of a client, newest first, those after the one with the id `before`."""
    rows = await conn.fetch(
        _ALLOWANCES
        + " WHERE a.client_id = $1 AND a.kind = 'licence' AND ($2::text IS NULL OR (a.starts_at, a.allowance_id)"
        " < (SELECT starts_at, allowance_id FROM licensing.allowance WHERE allowance_id = $2 AND client_id = $1))"
        " ORDER BY a.starts_at DESC, a.allowance_id DESC LIMIT $3",
        *(client_id, before, limit),
    )
    return [_allowance(row) for row in rows]


async def windows(conn: Connection, style_ids: Sequence[str], *, now: datetime) -> dict[str, datetime]:
    """Until when styles are one client's alone, those that are."""
    rows = await conn.fetch(
        "SELECT style_id, licensing.closed_until(style_id, '', $2) AS until FROM unnest($1::text[]) AS style_id",
        *(list(style_ids), now),
    )
    return {row["style_id"]: row["until"] for row in rows if row["until"] is not None}


async def usage(conn: Connection, client_id: str, now: datetime, *, currency: str = "EUR") -> Usage:
    """Used, held and left of everything that limits a client."""
    rows = await conn.fetch(
        _ALLOWANCES
        + " WHERE a.client_id = $1 AND a.state = 'active' AND (a.ends_at > $2 OR a.paused_since IS NOT NULL)"
        " ORDER BY a.kind, a.starts_at",
        *(client_id, now),
    )
    running = tuple(_allowance(row) for row in rows)
    prepaid = await conn.fetchrow(
        "SELECT granted - posted - pending AS left, pending FROM licensing.budget WHERE budget_id = $1",
        f"prepaid:{client_id}:{currency}",
    )
    caps = await conn.fetch(
        "SELECT * FROM licensing.budget WHERE owner_id = $1 AND kind = 'cap' ORDER BY budget_id", client_id
    )
    return Usage(
        used=sum(allowance.used for allowance in running),
        held=sum(allowance.held for allowance in running),
        left=sum(allowance.left for allowance in running),
        prepaid=Money(prepaid["left"] if prepaid else 0, currency),
        prepaid_held=Money(prepaid["pending"] if prepaid else 0, currency),
        caps=tuple(
            KeyCap(
                key_id=row["budget_id"].removeprefix("cap:"),
                cap=row["granted"],
                spent=row["posted"],
                held=row["pending"],
            )
            for row in caps
        ),
        allowances=running,
    )


async def due_periods(conn: Connection, *, now: datetime, limit: int = 100) -> list[DuePeriod]:
    """The periods that are over and not yet closed, the oldest first. For the sweeper."""
    rows = await conn.fetch(
        """
        SELECT allowance_id, kind FROM licensing.allowance
        WHERE state IN ('active', 'ending') AND ends_at <= $1 AND paused_since IS NULL ORDER BY ends_at LIMIT $2
        """,
        *(now, limit),
    )
    return [DuePeriod(id=row["allowance_id"], kind=row["kind"]) for row in rows]


async def roll_over(conn: Connection, due: DuePeriod, *, now: datetime, new_id: Callable[[str], str]) -> bool:
    """Close one of `due_periods`, and renew it if it renews; False where nothing changed.

    In a transaction of its own: it locks the style and its buyer's money, and so does everybody else in that order.
    What is left of a plan's money is the operator's, of a licence's the creator's and the operator's by the fee. A
    renewal that prepaid money does not cover, or whose style is not for sale, does not happen. A period with orders
    still open stays until they have ended.
    """
    next_id = new_id("alw" if due.kind == "plan" else "lic")
    is_changed: bool = await conn.fetchval("SELECT licensing.roll_over($1, $2, $3)", due.id, next_id, now)
    return is_changed


_ALLOWANCES = """
    SELECT a.*, b.posted AS used, b.pending AS held, b.granted - b.posted - b.pending AS left
    FROM licensing.allowance a JOIN licensing.budget b ON b.budget_id = 'units:' || a.allowance_id || ':unit'
"""


async def _one(conn: Connection, allowance_id: str) -> Allowance:
    return _allowance(await conn.fetchrow(_ALLOWANCES + " WHERE a.allowance_id = $1", allowance_id))


def _allowance(row: Mapping[str, Any]) -> Allowance:
    """A row of `_ALLOWANCES` as a value."""
    return Allowance(
        id=row["allowance_id"],
        kind=row["kind"],
        client_id=row["client_id"],
        name=row["name"],
        style_id=row["style_id"],
        tier=row["tier"],
        price=Money(row["price"], row["currency"]),
        used=row["used"],
        held=row["held"],
        left=row["left"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        paused_since=row["paused_since"],
        renews=row["renews"],
        notice_days=row["notice_days"],
        state=row["state"],
    )
