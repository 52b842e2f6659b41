"""A provider's list held against our rows: what ended there ends here, and what one of the two does not know is named.

Nothing is booked that was not begun here. What the provider never heard of is ended once it cannot hear of it any more.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from licensing.billing.methods import end_setup
from licensing.billing.payments import Payment, PaymentRefund, end_payment, end_refund, note_chargeback
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.payments import Charge, Chargeback, ChargeRefund, PaymentProvider

CLOCKS_APART_MAX = timedelta(hours=1)
"""How far a provider's clock may be from ours."""
NEVER_ARRIVED = "it never reached the provider; begin it again"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that somebody has to look at: the provider has what we do not (`unknown_here`), or the other way round
    (`unknown_there`), or both have it and do not agree (`differs`). `id` is ours, else the provider's."""

    kind: Literal["unknown_here", "unknown_there", "differs"]
    what: Literal["charge", "refund", "chargeback"]
    id: str
    amount: Money
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """`ended` are our ids of payments, refunds and setups that were pending before and are not any more."""

    ended: tuple[str, ...]
    findings: tuple[Finding, ...]


async def reconcile(conn: Connection, provider: PaymentProvider, *, since: datetime, now: datetime) -> Reconciled:
    """Compare everything that was begun at `since` or later, and whatever is open from before.

    The connection holds no transaction. Raises ProviderUnreachable, with what was written down until then; calling it
    again is harmless.
    """
    ended, findings = await _end_setups(conn, provider, now), list[Finding]()
    for kind in (_CHARGES, _REFUNDS):
        more, found = await _compare(conn, provider, kind, since, now)
        ended += more
        findings += found
    findings += await _compare_chargebacks(conn, provider, since, now)
    return Reconciled(ended=tuple(ended), findings=tuple(findings))


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What payments and refunds have in common: how they are listed there and here, and written down."""

    what: Literal["charge", "refund"]
    listed: Callable[[PaymentProvider, datetime], AsyncIterator[Charge | ChargeRefund]]
    note: Callable[..., Awaitable[Payment | PaymentRefund | Refusal]]
    rows: str
    never: Callable[[str, Money], Charge | ChargeRefund]


_CHARGES = _Kind(
    what="charge",
    listed=lambda provider, since: provider.list_charges(since),
    note=end_payment,
    rows="SELECT payment_id AS id, * FROM licensing.payment",
    never=lambda our_id, amount: Charge(
        payment_id=our_id, reference=None, state="failed", amount=amount, reason=NEVER_ARRIVED
    ),
)
_REFUNDS = _Kind(
    what="refund",
    listed=lambda provider, since: provider.list_refunds(since),
    note=end_refund,
    rows="SELECT refund_id AS id, * FROM licensing.payment_refund",
    never=lambda our_id, amount: ChargeRefund(
        refund_id=our_id, reference=None, state="failed", amount=amount, reason=NEVER_ARRIVED
    ),
)


async def _end_setups(conn: Connection, provider: PaymentProvider, now: datetime) -> list[str]:
    rows = await conn.fetch(
        "SELECT setup_id, reference FROM licensing.payment_setup WHERE provider = $1 AND state = 'pending'",
        provider.name,
    )
    ended = []
    for row in rows:
        setup = await provider.find_setup(row["reference"])
        await end_setup(conn, provider.name, setup, now=now)
        if setup.state != "pending":
            ended.append(row["setup_id"])
    return ended


async def _compare(
    conn: Connection, provider: PaymentProvider, kind: _Kind, since: datetime, now: datetime
) -> tuple[list[str], list[Finding]]:
    """The ids that were ended, and the findings."""
    # Ours first: what is begun meanwhile is then in their list at most, and known when it is asked for.
    rows = await conn.fetch(
        f"{kind.rows} WHERE provider = $1 AND (created_at >= $2 OR state = 'pending')", provider.name, since
    )
    ours = {row["id"]: row for row in rows}
    oldest = min([since, *(row["created_at"] for row in rows)]) - CLOCKS_APART_MAX
    told = [one async for one in kind.listed(provider, oldest)]
    ended, findings, seen = list[str](), list[Finding](), set[str]()
    for one in told:
        noted = await kind.note(conn, provider.name, one, now=now)
        if isinstance(noted, Refusal):
            findings.append(_of_refusal(noted, kind.what, one.reference, one.amount))
            continue
        seen.add(noted.id)
        if noted.state != one.state:
            findings.append(_differing(kind.what, noted.id, noted.amount, noted.state, one.state))
        elif noted.id in ours and ours[noted.id]["state"] == "pending" != noted.state:
            ended.append(noted.id)
    missing = [row for row in rows if row["id"] not in seen and provider.lists_all]
    for row in missing:
        if _can_still_come(row, provider, now):
            continue
        amount = Money(row["amount"], row["currency"])
        if row["state"] == "pending" and row["reference"] is None:
            await kind.note(conn, provider.name, kind.never(row["id"], amount), now=now)
            ended.append(row["id"])
        elif row["state"] != "failed":
            findings.append(_missing(kind.what, row["id"], amount, row["state"]))
    return ended, findings


def _can_still_come(row: Mapping[str, Any], provider: PaymentProvider, now: datetime) -> bool:
    """Whether what is not in the list may be on its way there."""
    within = provider.repeats_within or timedelta(0)
    return bool(row["state"] == "pending" and now - row["created_at"] <= within + CLOCKS_APART_MAX)


async def _compare_chargebacks(
    conn: Connection, provider: PaymentProvider, since: datetime, now: datetime
) -> list[Finding]:
    rows = await conn.fetch(
        """
        SELECT c.*, p.created_at AS paid_at FROM licensing.chargeback c JOIN licensing.payment p USING (payment_id)
        WHERE c.provider = $1 AND (c.created_at >= $2 OR c.state = 'open')
        """,
        *(provider.name, since),
    )
    # We may have heard of it long after it was opened, but no bank takes back what was not paid yet.
    oldest = min([since, *(row["paid_at"] for row in rows)]) - CLOCKS_APART_MAX
    told = [one async for one in provider.list_chargebacks(oldest)]
    findings = [
        finding for one in told if (finding := await _compare_chargeback(conn, provider.name, one, now)) is not None
    ]
    listed = {one.reference for one in told}
    missing = [row for row in rows if row["reference"] not in listed and provider.lists_all]
    return findings + [
        _missing("chargeback", row["reference"], Money(row["amount"], row["currency"]), row["state"]) for row in missing
    ]


async def _compare_chargeback(conn: Connection, provider: str, one: Chargeback, now: datetime) -> Finding | None:
    noted = await note_chargeback(conn, provider, one, now=now)
    if isinstance(noted, Refusal):
        return _of_refusal(noted, "chargeback", one.reference, one.amount)
    state = await conn.fetchval(
        "SELECT state FROM licensing.chargeback WHERE provider = $1 AND reference = $2", provider, one.reference
    )
    return None if state == one.state else _differing("chargeback", one.reference, one.amount, state, one.state)


def _of_refusal(
    refusal: Refusal, what: Literal["charge", "refund", "chargeback"], reference: str | None, amount: Money
) -> Finding:
    if refusal.slug != "not_found":
        return Finding(kind="differs", what=what, id=reference or "", amount=amount, sentence=refusal.message)
    sentence = f"The provider has {what} {reference} of {amount}, which was not begun here; find out there what it is."
    return Finding(kind="unknown_here", what=what, id=reference or "", amount=amount, sentence=sentence)


def _missing(what: Literal["charge", "refund", "chargeback"], our_id: str, amount: Money, state: str) -> Finding:
    sentence = (
        f"The provider does not list {what} {our_id} of {amount}, which is {state} here; ask it what became of it."
    )
    return Finding(kind="unknown_there", what=what, id=our_id, amount=amount, sentence=sentence)


def _differing(
    what: Literal["charge", "refund", "chargeback"], our_id: str, amount: Money, here: str, there: str
) -> Finding:
    sentence = f"{what.capitalize()} {our_id} of {amount} is {here} here and {there} at the provider; look there."
    return Finding(kind="differs", what=what, id=our_id, amount=amount, sentence=sentence)
