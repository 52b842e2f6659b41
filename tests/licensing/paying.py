"""What tests of payouts and disputes have in common: creators who earned something, accounts, a role that is bound."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg

from licensing import docket, payees, payouts
from licensing.billing import methods
from licensing.errors import Refusal
from licensing.money import Money
from licensing.payees import BankAccount, Payee
from licensing.payments import Method, Setup
from licensing.payouts import Payout
from licensing.refunds import refund_output
from licensing.tenancy import ACTING, APPLICATION
from licensing.terms import StyleTerms
from tests.licensing.world import World, eur, new_id

SHARE = 51
"""The creator's part of a picture of the tier `personal`, which costs 60."""
IBAN = "DE89370400440532013000"
ACCOUNT = BankAccount(holder="Ada Ink", iban=IBAN)
OTHER_ACCOUNT = BankAccount(holder="Ada Ink", iban="NL91ABNA0417164300")
SMALLEST = eur(100)


async def seller(world: World, *, pictures: int = 10, **payee: Any) -> StyleTerms:
    """A style whose creator sold so many pictures and has said where to be paid, long enough ago."""
    style = await world.style()
    if pictures:
        await sell(world, style, pictures)
    await put(world, style.creator_id, **payee)
    world.later(days=4)
    return style


async def sell(world: World, style: StyleTerms, pictures: int) -> str:
    """Sell so many pictures to a client of their own; the order's id."""
    client = await world.client(prepaid=60 * pictures)
    return (await world.sold(style, client, count=pictures)).order_id


async def refund(world: World, output_id: str) -> Any:
    async with world.pool.acquire() as conn:
        return await refund_output(conn, output_id=output_id, reason="r", by="op", now=world.now)


async def put(world: World, creator_id: str, **changes: Any) -> Payee | Refusal:
    wanted: dict[str, Any] = {"account": ACCOUNT, "minimum": SMALLEST, "schedule": "weekly", "smallest": SMALLEST}
    async with world.pool.acquire() as conn:
        return await payees.put_payee(
            conn, creator_id=creator_id, **wanted | {"by": creator_id, "now": world.now} | changes
        )


async def open_one(world: World, creator_id: str, *, at_least: Money = SMALLEST, payout_id: str | None = None) -> Any:
    async with world.pool.acquire() as conn:
        return await payouts.open_payout(
            conn, payout_id=payout_id or new_id("pay"), creator_id=creator_id, at_least=at_least, now=world.now
        )


async def opened(world: World, creator_id: str) -> Payout:
    payout = await open_one(world, creator_id)
    assert isinstance(payout, Payout), payout
    return payout


async def end(world: World, payout_id: str, outcome: Any = "paid", detail: str = "transfer 1") -> Any:
    async with world.pool.acquire() as conn:
        return await payouts.end_payout(conn, payout_id=payout_id, outcome=outcome, detail=detail, now=world.now)


async def reverse(world: World, payout_id: str, reason: str = "the account was closed") -> Any:
    async with world.pool.acquire() as conn:
        return await payouts.reverse_payout(conn, payout_id=payout_id, reason=reason, now=world.now)


async def sums(world: World, creator_id: str) -> tuple[int, int, int, int]:
    """payable, held, paying, paid."""
    async with world.pool.acquire() as conn:
        found = await payouts.standing(conn, creator_id=creator_id)
    return found.payable.amount, found.held.amount, found.paying.amount, found.paid.amount


async def due(world: World, now: datetime | None = None) -> dict[str, int]:
    """Who is due now, and with how much."""
    async with world.pool.acquire() as conn:
        return {
            one.creator_id: one.free.amount
            for one in await payouts.due_payouts(conn, now=now or world.now, limit=10_000)
        }


async def forget_words(world: World) -> None:
    """Other tests of this database have had their say on what a month costs."""
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("ALTER TABLE licensing.dues_price DISABLE TRIGGER USER")
        await conn.execute("DELETE FROM licensing.dues_price")
        await conn.execute("ALTER TABLE licensing.dues_price ENABLE TRIGGER USER")


async def dispute(world: World, dispute_id: str) -> docket.Dispute:
    async with world.pool.acquire() as conn:
        found = await docket.find_dispute(conn, dispute_id)
    assert found is not None
    return found


@asynccontextmanager
async def acting(url: str, party: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the application's role that acts for a party."""
    conn = await asyncpg.connect(url.replace("postgres@", f"{APPLICATION}@"), server_settings={ACTING: party})
    try:
        yield conn
    finally:
        await conn.close()


async def setup(world: World, client_id: str, setup_id: str) -> None:
    async with world.pool.acquire() as conn:
        await conn.execute(
            "SELECT licensing.begin_setup($1, $2, 'stripe', $3, $4)", setup_id, client_id, f"cs_{setup_id}", world.now
        )


async def setup_ended(world: World, setup_id: str, state: Any = "succeeded") -> Any:
    kept = Method(reference=f"cus_1/pm_{setup_id}", label=f"Visa ending {setup_id}") if state == "succeeded" else None
    async with world.pool.acquire() as conn:
        made = Setup(reference=f"cs_{setup_id}", state=state, method=kept)
        return await methods.end_setup(conn, "stripe", made, now=world.now)


async def saved(world: World, client_id: str) -> str | None:
    async with world.pool.acquire() as conn:
        found = await methods.saved_method(conn, client_id)
    return found and found.method.label
