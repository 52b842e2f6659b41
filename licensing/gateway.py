"""The metered path: quote, reserve, begin, renew, settle, void, expire.

Each verb is one call of one PL/pgSQL function (`licensing/sql/`), so a caller may put it into a transaction together
with rows of its own. Transactions must be READ COMMITTED (the default): the functions take a lock and then read what
is true under it.

Locks are always taken in the order key, switch, sales of a style, hold, budget, chain. So put one verb into a
transaction, and call it before you touch rows of your own that others touch after a verb; else two callers may wait for
each other until Postgres ends one of them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from licensing.database import Answer, Connection, ask, ask_all
from licensing.errors import LedgerBroken, Refusal, SealRefused
from licensing.fingerprint import NEAR
from licensing.money import Money
from licensing.orders import (
    AlreadyEnded,
    CancelRequested,
    EndReason,
    Hold,
    Made,
    Quote,
    Replay,
    Reserve,
    Settle,
    Settled,
    Standing,
    Voided,
)

__all__ = [
    "AlreadyEnded",
    "CancelRequested",
    "Hold",
    "Made",
    "Quote",
    "Refusal",
    "Replay",
    "Reserve",
    "Settle",
    "Settled",
    "Standing",
    "Voided",
    "begin",
    "begin_all",
    "expire_due",
    "find_hold",
    "keep_until",
    "may_sign",
    "quote",
    "renew",
    "request_cancel",
    "requeue",
    "reserve",
    "reserve_all",
    "reserve_documents",
    "sale_document",
    "settle",
    "settle_all",
    "settle_answers",
    "standing",
    "void",
]


async def quote(
    conn: Connection, *, style_id: str, client_id: str, tier: str, count: int, now: datetime
) -> Quote | Refusal:
    """What `count` pictures would cost this client now. Holds nothing, charges nothing.

    Refuses what `reserve` would refuse for the style, the switch or the tier; not for want of money: see `Quote.pay`.
    """
    answer = await ask(conn, "quote", style_id, client_id, tier, count, now)
    if answer.refusal:
        return answer.refusal
    found = answer.detail
    return Quote(
        amount=Money(found["amount"], found["currency"]),
        tax=Money(found["tax"], found["currency"]),
        tax_bps=found["tax_bps"],
        units=found["units"],
        pay=found["pay"],
        terms_version=found["terms_version"],
    )


async def reserve(conn: Connection, order: Reserve, *, now: datetime) -> Hold | Replay | Refusal:
    """Set aside what `order` may cost at most, or say why not. Nothing is written when the answer is a refusal.

    Refusals: not_found, invalid_request, unauthenticated (key revoked, expired or another's), idempotency_conflict,
    idempotency_mismatch, conflict (the order id is taken), style_closed, style_exclusive, style_paused, style_off,
    style_destroyed, payment_required, quota_exceeded, spend_cap_reached.
    """
    answer = await ask(
        conn,
        "reserve",
        order.order_id,
        order.client_id,
        order.key_id,
        order.idempotency_key,
        order.request_hash,
        order.style_id,
        order.creator_id,
        order.tier,
        order.count,
        order.hold_s,
        order.test,
        now,
    )
    return Replay(hold=_hold(answer.hold)) if answer.outcome == "replayed" else _hold_or_refusal(answer)


async def reserve_all(conn: Connection, orders: Sequence[Reserve], *, now: datetime) -> list[Hold | Replay | Refusal]:
    """`reserve` for many orders in one commit: an answer for each, in their order.

    Goes first in its transaction, and once: it takes the locks of all orders in one order.
    """
    answers = await ask_all(conn, "reserve_all", reserve_documents(orders), now)
    return [Replay(hold=_hold(one.hold)) if one.outcome == "replayed" else _hold_or_refusal(one) for one in answers]


def reserve_documents(orders: Sequence[Reserve]) -> str:
    """Orders as `licensing.reserve_all` and `licensing.reserve_plain` take them. The second is for a function of the
    caller's, which stores rows of its own in the same call: it goes first in its transaction, and once."""
    return json.dumps([vars(order) for order in orders])


async def find_hold(conn: Connection, order_id: str, *, client_id: str) -> Hold | None:
    """The hold of an order, None where this client has no such order."""
    row = await conn.fetchrow(
        "SELECT * FROM licensing.hold WHERE order_id = $1 AND client_id = $2", order_id, client_id
    )
    return _hold(row) if row else None


async def find_holds(conn: Connection, order_ids: Collection[str]) -> dict[str, Hold]:
    """The holds of orders that whoever reads may see, by the orders' ids."""
    rows = await conn.fetch("SELECT * FROM licensing.hold WHERE order_id = ANY($1::text[])", list(order_ids))
    return {row["order_id"]: _hold(row) for row in rows}


async def begin(conn: Connection, *, order_id: str, now: datetime) -> Hold | Refusal:
    """An attempt starts: the fence rises by one, the lease is renewed. Only this attempt's fence can settle.

    Refusals: not_found; style_paused (a queued order of a paused style; it stays held); style_off, style_destroyed;
    conflict (the order has ended or its cancellation was asked for: `detail["state"]`, `detail["reason"]`).
    """
    return _hold_or_refusal(await ask(conn, "begin_attempt", order_id, now))


async def begin_all(conn: Connection, order_ids: Sequence[str], *, now: datetime) -> list[Hold | Refusal]:
    """`begin` for many orders in one commit: an answer for each, in their order.

    Goes first in its transaction, and once: it takes the locks of all orders in one order.
    """
    return [_hold_or_refusal(answer) for answer in await ask_all(conn, "begin_all", list(order_ids), now)]


async def requeue(conn: Connection, *, order_id: str, fence: int, now: datetime) -> Hold | Refusal:
    """An attempt gave up without an end (its worker lost the lease): the order counts as queued again, the hold stays.

    Refusals: not_found; conflict, style_off (as `begin`), or conflict where a later attempt has begun.
    """
    return _hold_or_refusal(await ask(conn, "requeue", order_id, fence, now))


async def keep_until(conn: Connection, *, order_id: str, fence: int, until: datetime, now: datetime) -> Hold | Refusal:
    """An attempt's sealed pictures wait for somebody's word: the hold lives until then, and expires where none comes.

    The attempt stays the one that may settle, also while the style is paused. Refusals: as `settle`, for the order.
    """
    return _hold_or_refusal(await ask(conn, "keep_until", order_id, fence, until, now))


async def renew(conn: Connection, order_ids: Sequence[str], now: datetime) -> list[str]:
    """Extend the leases of open orders, queued or running; returns those that were.

    An order that a pause holds keeps its 24 hours.
    """
    rows = await conn.fetch("SELECT order_id FROM licensing.renew($1, $2) AS order_id", list(order_ids), now)
    return [row["order_id"] for row in rows]


async def standing(conn: Connection, order_ids: Sequence[str]) -> dict[str, Standing]:
    """Whether work on these orders may go on: one cheap look-up, for workers to poll several times a second."""
    rows = await conn.fetch(
        """
        SELECT order_id, CASE WHEN state <> 'open' THEN coalesce(reason, state)
                              WHEN cancel_requested THEN 'canceled'
                              WHEN paused_at IS NOT NULL THEN 'paused' END AS reason
        FROM licensing.hold WHERE order_id = ANY ($1)
        """,
        list(order_ids),
    )
    known = {row["order_id"]: Standing(go=row["reason"] is None, reason=row["reason"]) for row in rows}
    return {order_id: known.get(order_id, Standing(go=False, reason="unknown")) for order_id in order_ids}


async def may_sign(conn: Connection, *, order_id: str, fence: int, digest: str, now: datetime) -> None:
    """Record that `digest` (SHA-256 in hex of the picture to be sealed) is about to be signed for this attempt.

    Raises SealRefused unless the hold is open, the fence is the attempt's, nobody asked to stop, and no more pictures
    than held were signed in this attempt. The same digest twice counts once.
    """
    why = await conn.fetchval("SELECT licensing.may_sign($1, $2, $3, $4)", order_id, fence, digest, now)
    if why is not None:
        raise SealRefused(f"a picture of order {order_id} was not signed: {why}")


async def settle(
    conn: Connection, *, order_id: str, fence: int, made: Sequence[Made], now: datetime
) -> Settled | Refusal:
    """Charge for what was made and register it: from this commit on it belongs to the client.

    Fewer pictures than held cost less. Settling the same pictures again returns the first answer. Refusals: not_found;
    invalid_request (none, or more than held); conflict (another fence, canceled, or ended: `detail["state"]`,
    `detail["reason"]`); style_off, style_destroyed (void what was made as withdrawn). A conflict for the reason
    `exclusive` names in `detail["outputs"]` what looks like a picture of this style that another client has alone, or
    has at all where these are to be exclusive: settle the others.
    """
    sale = Settle(order_id=order_id, fence=fence, made=tuple(made))
    return (await settle_all(conn, [sale], now=now))[0]


async def settle_all(conn: Connection, sales: Sequence[Settle], *, now: datetime) -> list[Settled | Refusal]:
    """`settle` for many orders in one commit: an answer for each, in their order.

    Goes first in its transaction, and once: it takes the locks of all orders in one order.
    """
    wishes = [sale_document(sale) for sale in sales]
    return settle_answers(await ask_all(conn, "settle_all", json.dumps(wishes), NEAR, now))


def sale_document(sale: Settle) -> dict[str, Any]:
    """A sale as `licensing.settle_all` takes it, in JSON. Also for a function of the caller's, which stores rows of its
    own in the same call: it may say more of the sale, and goes first in its transaction, and once."""
    return {
        "order_id": sale.order_id,
        "fence": sale.fence,
        "outputs": [picture.output_id for picture in sale.made],
        "sha256s": [picture.sha256 for picture in sale.made],
        "phashes": [picture.phash for picture in sale.made],
        "certificates": [picture.certificate for picture in sale.made],
    }


def settle_answers(answers: Sequence[Answer]) -> list[Settled | Refusal]:
    """What `licensing.settle_all` answered."""
    return [answer.refusal or _settled(answer) for answer in answers]


def _settled(answer: Answer) -> Settled:
    hold = _hold(answer.hold)
    return Settled(
        order_id=hold.order_id,
        made=hold.made,
        amount=hold.charged,
        units=hold.charged_units,
        share=Money(answer.detail["share"], hold.amount.currency),
        fee=Money(answer.detail["fee"], hold.amount.currency),
        tax=Money(answer.detail["tax"], hold.amount.currency),
        repeated=answer.outcome == "repeated",
    )


async def void(
    conn: Connection, *, order_id: str, reason: EndReason, now: datetime, fence: int | None = None
) -> Voided | AlreadyEnded | Refusal:
    """End an order without a charge; money and units are free again. An order that ended before stays as it ended.

    With a `fence`, only for the attempt that has it. Refusals: conflict where a later attempt has begun. Raises
    LedgerBroken for an order that never was.
    """
    answer = await ask(conn, "void", order_id, fence, reason, now)
    if answer.refusal and answer.refusal.slug == "not_found":
        raise LedgerBroken(f"order {order_id} was to be voided as {reason}, but there is no such order")
    if answer.refusal:
        return answer.refusal
    hold = _hold(answer.hold)
    if answer.outcome == "ended":
        return AlreadyEnded(order_id=order_id, state=hold.state, reason=hold.reason)
    return Voided(order_id=order_id, reason=reason, amount=hold.amount, units=hold.units)


async def request_cancel(
    conn: Connection, *, order_id: str, client_id: str
) -> CancelRequested | AlreadyEnded | Refusal:
    """Record the client's wish to stop: `standing` says so at once and the order cannot settle; the caller voids it.

    Refusals: not_found.
    """
    answer = await ask(conn, "request_cancel", order_id, client_id)
    if answer.refusal:
        return answer.refusal
    hold = _hold(answer.hold)
    if answer.outcome == "ended":
        return AlreadyEnded(order_id=order_id, state=hold.state, reason=hold.reason)
    return CancelRequested(order_id=order_id, running=hold.running)


async def expire_due(conn: Connection, *, now: datetime, limit: int) -> list[str]:
    """End up to `limit` orders whose lease ran out; returns their ids. Sweepers may run side by side."""
    ended: list[str] = await conn.fetchval("SELECT licensing.expire_due($1, $2)", now, limit)
    return ended


def _hold_or_refusal(answer: Answer) -> Hold | Refusal:
    return answer.refusal or _hold(answer.hold)


def _hold(row: Mapping[str, Any]) -> Hold:
    """A row of `licensing.hold` as a value."""
    return Hold(
        order_id=row["order_id"],
        client_id=row["client_id"],
        key_id=row["key_id"],
        creator_id=row["creator_id"],
        style_id=row["style_id"],
        tier=row["tier"],
        terms_version=row["terms_version"],
        count=row["count"],
        test=row["test"],
        pay=row["pay"],
        amount=Money(row["amount"], row["currency"]),
        units=row["units"],
        fence=row["fence"],
        running=row["running"],
        state=row["state"],
        reason=row["reason"],
        cancel_requested=row["cancel_requested"],
        lease_until=row["lease_until"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        made=row["made"],
        charged=Money(row["charged"], row["currency"]),
        charged_units=row["charged_units"],
    )
