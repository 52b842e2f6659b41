"""Quotas that clients buy ahead: the operator's plan over all styles, and licences of one style; and free units."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.prices import Free, Plan
from licensing.sentence import say

AllowanceKind = Literal["plan", "licence", "free"]
AllowanceState = Literal["active", "ending", "ended", "refunded"]
RenewalState = Literal["paid", "waiting", "given_up", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """One period of a plan, of a one-style licence or of free units.

    `name` is the plan's id; a licence has `style_id` and `tier` instead. `used` + `held` + `left` = units granted. The
    client paid `price` - `discount` + `tax`. `paused_since` is set while its clock stands still, because its style is
    paused or its client paused the plan (`pause_until` at most): `ends_at` moves on by that much.
    What comes beyond the quota costs `overage` a unit; `overage_cap` is what it may cost at most in a period, as its
    client chose, and `overage_most` what the operator lets them choose.
    `next_plan` is the id of the plan that follows instead of this one.
    """

    id: str
    kind: AllowanceKind
    client_id: str
    name: str | None
    style_id: str | None
    tier: str | None
    price: Money
    discount: Money
    tax: Money
    used: int
    held: int
    left: int
    starts_at: datetime
    ends_at: datetime
    paused_since: datetime | None
    pause_until: datetime | None
    is_trial: bool
    next_plan: str | None
    overage: Money | None
    overage_cap: Money
    overage_most: Money
    overage_spent: Money
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


@dataclass(frozen=True, kw_only=True)
class Discounted:
    """What `code` makes of a plan: its first `periods` cost its price less `discount`, with `tax` on that."""

    code: str
    discount: Money
    tax: Money
    periods: int


async def subscribe(
    conn: Connection,
    *,
    client_id: str,
    plan: Plan,
    now: datetime,
    new_id: Callable[[str], str],
    renews: bool = True,
    coupon: str | None = None,
    is_trial: bool = False,
) -> Allowance | Refusal:
    """Buy a plan with prepaid money, from now on; or try it for nothing, which becomes the plan at its end.

    Subscribing to the plan that already runs returns it (and sets `renews`). Refusals: payment_required; conflict
    (another plan runs: `change` it; the coupon is over or was used; a plan was tried or bought before); not_found (the
    coupon); invalid_request (the plan cannot be tried).
    """
    if is_trial and plan.trial is None:
        return refuse(
            "invalid_request", what=say("Plan {id} cannot be tried; subscribe to it, or try another one", id=plan.id)
        )
    trial = json.dumps(asdict(plan.trial)) if is_trial and plan.trial else None
    answer = await ask(conn, "buy_plan", new_id("alw"), client_id, _offered(plan), renews, coupon, trial, now)
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def quote(conn: Connection, *, client_id: str, plan: Plan, coupon: str, now: datetime) -> Discounted | Refusal:
    """What a coupon would take off a plan that is bought now. Changes nothing. Refusals: those of a coupon, as
    `subscribe`'s."""
    answer = await ask(conn, "quote_plan", client_id, _offered(plan), coupon, now)
    if answer.refusal:
        return answer.refusal
    currency, detail = plan.price.currency, answer.detail
    return Discounted(
        code=detail["coupon"],
        discount=Money(detail["discount"], currency),
        tax=Money(detail["tax"], currency),
        periods=detail["periods"],
    )


async def change(
    conn: Connection,
    *,
    client_id: str,
    plan: Plan,
    at_once: bool,
    now: datetime,
    new_id: Callable[[str], str],
) -> Allowance | Refusal:
    """Another plan instead of the one that runs: when that is renewed, or at once.

    At once, a new period begins for its full price. Of the old one the client gets back what is neither used nor gone
    by: the smaller of both, so that nobody gains by when they change. Refusals: conflict (no plan runs, or pictures are
    being made from it), payment_required."""
    answer = await ask(conn, "change_plan", new_id("alw"), client_id, _offered(plan), at_once, now)
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def pause(conn: Connection, *, client_id: str, until: datetime, now: datetime) -> Allowance | Refusal:
    """Stop the clock of the plan that runs until `resume`, or until that moment. Nothing is made from it meanwhile.

    Refusals: conflict (no plan runs, or it is a trial); invalid_request (until is not later than now).
    """
    if until <= now:
        return refuse("invalid_request", what=say("A pause must end after it begins; give a later day"))
    answer = await ask(conn, "pause_plan", client_id, until, now)
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def resume(conn: Connection, *, client_id: str, now: datetime) -> Allowance | Refusal:
    """Let a paused plan run on: its end is as much later as it was paused. Refusals: conflict (none is paused)."""
    answer = await ask(conn, "resume_plan", client_id, now)
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def cap_overage(conn: Connection, *, client_id: str, cap: Money, now: datetime) -> Allowance | Refusal:
    """What pictures beyond the quota may cost on account in a period, this one and those after; 0 for none.

    What is used already stays. Refusals: conflict (no plan with overage runs; an invoice is overdue), invalid_request
    (below 0, or more than the operator allows).
    """
    if cap.amount < 0:
        return refuse("invalid_request", what=say("A cap of {cap} cannot be; give 0 or more", cap=cap))
    running = await current_plan(conn, client_id=client_id, now=now)
    if running is not None and running.overage is not None and not running.is_trial and cap > running.overage_most:
        return refuse(
            "invalid_request",
            what=say(
                "At most {overage_most} a period can be made on account with plan {name}; give no more,"
                " or add prepaid money",
                overage_most=running.overage_most,
                name=running.name,
            ),
        )
    answer = await ask(conn, "cap_overage", client_id, cap.amount, now)
    return answer.refusal or await _one(conn, answer.detail["allowance_id"])


async def grant_free(
    conn: Connection, *, client_id: str, free: Free, now: datetime, new_id: Callable[[str], str]
) -> bool:
    """A client's free units for a month from now on, renewed by themselves; False where some run already."""
    granted: bool = await conn.fetchval(
        "SELECT licensing.grant_free($1, $2, $3, $4, $5, $6, $7)",
        *(new_id("alw"), client_id, json.dumps({free.tier: 1}), free.worth.amount * free.units, free.worth.currency),
        *(free.units, now),
    )
    return granted


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
        return refuse("not_found", what=say("subscription"), id=allowance_id)
    if row["state"] != "active":
        return refuse(
            "conflict",
            what=say(
                "Subscription {allowance_id} has {state}; there is nothing to renew",
                allowance_id=allowance_id,
                state=row["state"],
            ),
        )
    return await _one(conn, allowance_id)


async def current_plan(conn: Connection, *, client_id: str, now: datetime) -> Allowance | None:
    """The plan period that `now` lies in, if any."""
    row = await conn.fetchrow(
        _ALLOWANCES + " WHERE a.client_id = $1 AND a.kind = 'plan' AND a.state = 'active'"
        " AND (a.ends_at > $2 OR a.paused_since IS NOT NULL)",
        *(client_id, now),
    )
    return _allowance(row) if row else None


async def had_plan(conn: Connection, client_id: str) -> bool:
    """Whether this client has ever had a plan; who has cannot try one."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM licensing.allowance WHERE client_id = $1 AND kind = 'plan')", client_id
    )
    return found


async def next_try(conn: Connection, client_id: str) -> datetime | None:
    """When the renewal of a client's plan is tried again that found no money; None where none waits."""
    moment: datetime | None = await conn.fetchval(
        "SELECT min(next_at) FROM licensing.renewal WHERE client_id = $1 AND state = 'waiting'", client_id
    )
    return moment


async def back_for(conn: Connection, allowance_id: str, *, now: datetime) -> Money:
    """What its client would get back, tax included, if this period ended now for another plan. Changes nothing."""
    row = await conn.fetchrow(
        "SELECT back.refund + back.tax AS amount, a.currency FROM licensing.allowance a"
        " JOIN licensing.budget b ON b.budget_id = 'units:' || a.allowance_id || ':unit',"
        " LATERAL licensing.unused_of(a, b.posted, $2) back WHERE a.allowance_id = $1",
        *(allowance_id, now),
    )
    return Money(row["amount"], row["currency"])


async def tax_for(conn: Connection, client_id: str, net: Money) -> Money:
    """The tax on what this client buys for `net`, as it would be taken now."""
    tax: int = await conn.fetchval("SELECT licensing.tax_on($2, (licensing.tax_of($1)).bps)", client_id, net.amount)
    return Money(tax, net.currency)


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


async def prepaid_of(
    conn: Connection, client_ids: Sequence[str], *, currency: str = "EUR"
) -> dict[str, tuple[Money, Money]]:
    """Of many clients at once what is free to spend, and what is held. For lists."""
    rows = await conn.fetch(
        "SELECT owner_id, granted - posted - pending AS left, pending FROM licensing.budget WHERE budget_id = ANY ($1)",
        [f"prepaid:{client_id}:{currency}" for client_id in client_ids],
    )
    nothing = {client_id: (Money(0, currency), Money(0, currency)) for client_id in client_ids}
    return nothing | {row["owner_id"]: (Money(row["left"], currency), Money(row["pending"], currency)) for row in rows}


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


async def due_renewals(conn: Connection, *, now: datetime, limit: int = 100) -> list[str]:
    """Plans whose renewal waits for money, by the id of the period that ended: whose next try has come, or whose client
    has the money by now."""
    rows = await conn.fetch(
        """
        SELECT r.allowance_id FROM licensing.renewal r JOIN licensing.allowance a USING (allowance_id)
        WHERE r.state = 'waiting' AND (r.next_at <= $1 OR NOT a.renews OR licensing.free_of(
            'prepaid:' || a.client_id || ':' || a.currency) >= a.price + licensing.tax_on(
            a.price, (licensing.tax_of(a.client_id)).bps))
        ORDER BY r.next_at LIMIT $2
        """,
        *(now, limit),
    )
    return [row["allowance_id"] for row in rows]


async def retry_renewal(
    conn: Connection, allowance_id: str, *, now: datetime, new_id: Callable[[str], str]
) -> RenewalState:
    """Try one of `due_renewals` again; its new period begins now if it is paid. In a transaction of its own."""
    state: RenewalState = await conn.fetchval(
        "SELECT licensing.retry_renewal($1, $2, $3)", allowance_id, new_id("alw"), now
    )
    return state


async def due_resumptions(conn: Connection, *, now: datetime, limit: int = 100) -> list[str]:
    """Clients whose plan has been paused as long as it may be."""
    rows = await conn.fetch(
        "SELECT client_id FROM licensing.allowance WHERE pause_until <= $1 AND state = 'active' LIMIT $2", now, limit
    )
    return [row["client_id"] for row in rows]


async def roll_over(
    conn: Connection,
    due: DuePeriod,
    *,
    now: datetime,
    new_id: Callable[[str], str],
    retry_days: Sequence[int] = (),
) -> bool:
    """Close one of `due_periods`, and renew it if it renews; False where nothing changed.

    In a transaction of its own: it locks the style and its buyer's money, and so does everybody else in that order.
    What is left of a plan's money is the operator's, of a licence's the creator's and the operator's by the fee. A
    renewal whose style is not for sale does not happen, nor does one that prepaid money does not cover; a plan's is
    tried again after `retry_days` (`due_renewals`). A period with orders still open stays until they have ended."""
    next_id = new_id("lic" if due.kind == "licence" else "alw")
    is_changed: bool = await conn.fetchval(
        "SELECT licensing.roll_over($1, $2, $3, $4)", due.id, next_id, list(retry_days), now
    )
    return is_changed


_ALLOWANCES = """
    SELECT a.*, b.posted AS used, b.pending AS held, b.granted - b.posted - b.pending AS left,
           a.next_plan ->> 'id' AS next_id, coalesce(o.posted + o.pending, 0) AS overage_spent
    FROM licensing.allowance a JOIN licensing.budget b ON b.budget_id = 'units:' || a.allowance_id || ':unit'
    LEFT JOIN licensing.budget o ON o.budget_id = 'overage:' || a.allowance_id || ':' || a.currency
"""


def _offered(plan: Plan) -> str:
    """A plan as `with_plan` of `sql/allowances.sql` reads it."""
    return json.dumps(
        {
            "id": plan.id,
            "covers": dict(plan.covers),
            "price": plan.price.amount,
            "currency": plan.price.currency,
            "units": plan.units,
            "months": plan.months,
            "overage_price": plan.overage.amount if plan.overage else None,
            "overage_most": plan.overage_most.amount if plan.overage_most else 0,
        }
    )


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
        discount=Money(row["discount"], row["currency"]),
        tax=Money(row["tax"], row["currency"]),
        used=row["used"],
        held=row["held"],
        left=row["left"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        paused_since=row["paused_since"],
        pause_until=row["pause_until"],
        is_trial=row["trial_days"] is not None,
        next_plan=row["next_id"],
        overage=None if row["overage_price"] is None else Money(row["overage_price"], row["currency"]),
        overage_cap=Money(row["overage_cap"], row["currency"]),
        overage_most=Money(row["overage_most"], row["currency"]),
        overage_spent=Money(row["overage_spent"], row["currency"]),
        renews=row["renews"],
        notice_days=row["notice_days"],
        state=row["state"],
    )
