"""Payouts are opened on their paydays. Those that the provider carries out are sent, told by its events, and looked for
where no answer came."""

import logging
from datetime import datetime

from licensing import payouts
from licensing.database import Connection
from licensing.errors import ProviderUnreachable, Refusal
from licensing.money import Money
from licensing.payees import ProviderAccount, payee_history, put_payee
from licensing.payments import CreatorAccount, Transfer
from licensing.payouts import Payout
from licensing.prices import Prices
from service.resources import Gateway
from service.telling.of_money import tell_payouts

log = logging.getLogger("ownhand.transfers")

PROVIDER = "provider"
"""By whom a payee is written down that the provider told of."""


async def open_payouts(web: Gateway) -> None:
    """Take on its way what creators have to get, whose payday it was. A bank's file, or a provider, carries it out."""
    now = web.clock()
    async with web.house() as conn:
        for due in await payouts.due_payouts(conn, now=now):
            async with conn.transaction():
                opened = await payouts.open_payout(
                    conn, payout_id=web.new_id("pyt"), creator_id=due.creator_id, at_least=due.minimum, now=now
                )
            if isinstance(opened, Refusal):
                log.warning("creator %s was due to be paid and was not: %s", due.creator_id, opened.message)


async def send_payouts(web: Gateway) -> None:
    """Have the provider carry out the payouts that go to accounts it keeps. Each is sent once: it may be asked again as
    long as it knows our ids, and is looked for in its list after that. A sweep."""
    async with web.house() as conn:
        waiting = await payouts.open_payouts(conn, method="stripe", limit=1000)
        ways = {way.payout.id: way.account for way in await payouts.transfers(conn, [one.id for one in waiting])}
    if web.provider.name != "stripe" or not waiting:
        return
    for payout in waiting:
        account = ways[payout.id]
        assert isinstance(account, ProviderAccount), "what goes by the provider goes to an account there"
        try:
            told = await _told(web, payout, account)
        except ProviderUnreachable as error:
            log.warning("the payment provider did not answer; payouts are sent again: %s", error)
            return
        async with web.house() as conn, conn.transaction():
            await note_transfer(conn, web.provider.name, told, now=web.clock())


async def note_transfer(conn: Connection, provider: str, told: Transfer, *, now: datetime) -> Payout | Refusal | None:
    """Write down what the provider says of a payout, in the caller's transaction; None for one that is on its way."""
    payout = await payouts.find_payout(conn, told.payout_id or "")
    if payout is None:
        return None
    answer: Payout | Refusal | None = None
    if told.state == "failed" and payout.state == "open":
        answer = await payouts.end_payout(
            conn, payout_id=payout.id, outcome="failed", detail=told.reason or "the provider refused it", now=now
        )
    elif told.state == "succeeded" and payout.state == "open":
        answer = await payouts.end_payout(
            conn, payout_id=payout.id, outcome="paid", detail=told.reference or provider, now=now
        )
    if told.returned == told.amount and told.state == "succeeded" and payout.state in ("open", "paid"):
        answer = await payouts.reverse_payout(conn, payout_id=payout.id, reason="the provider took it back", now=now)
    elif told.returned.amount > 0 and told.returned != told.amount:
        log.error("of payout %s %s of %s came back: look there, and book it", payout.id, told.returned, told.amount)
    await tell_payouts(conn, now=now)
    return answer


async def note_account(
    conn: Connection, provider: str, told: CreatorAccount, *, prices: Prices, now: datetime
) -> Refusal | None:
    """A creator's account at the provider takes money: payouts go there from now on, as often and from as much on as
    before. Not those of a creator who was paid there and chose a bank account since."""
    if told.creator_id is None or not told.is_ready:
        return None
    history = await payee_history(conn, told.creator_id)
    known = history[0] if history else None
    if known is not None and known.method == "manual" and any(one.method == "stripe" for one in history):
        return None
    stored = await put_payee(
        conn,
        creator_id=told.creator_id,
        account=ProviderAccount(reference=told.reference),
        minimum=known.minimum if known else prices.payout_smallest,
        schedule=known.schedule if known else "monthly",
        smallest=prices.payout_smallest,
        by=PROVIDER,
        now=now,
    )
    return stored if isinstance(stored, Refusal) else None


async def _told(web: Gateway, payout: Payout, account: ProviderAccount) -> Transfer:
    within = web.provider.repeats_within
    if within is None or web.clock() - payout.opened_at < within:
        return await web.provider.transfer(payout_id=payout.id, amount=payout.amount, account=account.reference)
    async for one in web.provider.list_transfers(payout.opened_at):
        if one.payout_id == payout.id:
            return one
    nothing = Money(0, payout.amount.currency)
    return Transfer(
        payout_id=payout.id,
        reference=None,
        state="failed",
        amount=payout.amount,
        returned=nothing,
        reason="it never reached the provider",
    )
