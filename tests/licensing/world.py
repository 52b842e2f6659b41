"""A small world for the licensing tests: creators, styles, clients with money, orders; ids count up, time is given."""

import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from licensing import gateway, keys, ledger, plans, switch, terms
from licensing.billing import issuing
from licensing.billing.buyers import put_buyer
from licensing.billing.invoices import Invoice
from licensing.billing.parties import Party
from licensing.billing.taxes import Seller, Taxes
from licensing.errors import Refusal
from licensing.money import Money
from licensing.orders import Hold, Made, Reserve, Settled
from licensing.payments import manual
from licensing.prices import Plan, Prices, load_prices
from licensing.refunds import Refund, refund_output

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
PEPPER = b"pepper of the tests"
PRICES = Path(__file__).parents[2] / "configs" / "prices.toml"
NUMBERS = itertools.count(1)
SELLER = Seller(
    party=Party(
        name="Bildwerk eG", street="Hafenstr. 4", postcode="20457", city="Hamburg", country="DE", vat_id="DE136695976"
    ),
    prefix="",
    pay_to="Transfer it.",
)
BUYER = Party(name="Harbour Books", street="Kai 1", postcode="20457", city="Hamburg", country="DE")


def new_id(prefix: str) -> str:
    return f"{prefix}_{next(NUMBERS)}"


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def pictures(*output_ids: str) -> list[Made]:
    """What an attempt made: hashes and certificates that are as unlike each other as real ones."""
    return [
        Made(
            output_id=output_id,
            sha256=hashlib.sha256(output_id.encode()).hexdigest(),
            phash=hashlib.sha256(b"looks " + output_id.encode()).hexdigest(),
            certificate=f"certificate of {output_id}",
        )
        for output_id in output_ids
    ]


@dataclass(kw_only=True)
class World:
    """Everything a test does to the gateway, each call on a connection of its own, as real callers do."""

    pool: asyncpg.Pool
    now: datetime = NOW
    prices: Prices = field(default_factory=lambda: load_prices(PRICES))

    def later(self, **interval: float) -> datetime:
        self.now += timedelta(**interval)
        return self.now

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[asyncpg.Connection]:
        """Whatever is written inside was never there afterwards."""
        async with self.pool.acquire() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                yield conn
            finally:
                await transaction.rollback()

    async def style(self, creator_id: str | None = None, **changes: Any) -> terms.StyleTerms:
        """A style on sale at the default prices, with `changes` to its terms."""
        wanted = self.prices.default_terms(style_id=new_id("sty"), creator_id=creator_id or new_id("acc"))
        async with self.pool.acquire() as conn:
            stored = await terms.put_terms(conn, replace(wanted, **changes), by=wanted.creator_id, now=self.now)
        assert isinstance(stored, terms.StyleTerms)
        return stored

    async def client(self, *, prepaid: int = 0) -> str:
        client_id = new_id("acc")
        if prepaid:
            await self.credit(client_id, prepaid)
        return client_id

    async def credit(self, client_id: str, amount: int) -> None:
        async with self.pool.acquire() as conn:
            booked = await manual.credit(conn, client_id, eur(amount), new_id("ref"), self.now)
        assert isinstance(booked, manual.Credit)

    async def tax(self, client_id: str, bps: int, *, country: str = "DE") -> None:
        """A client who is taxed at that rate from now on."""
        home = replace(SELLER.party, country=country)
        taxes = Taxes(home=bps, rates={}, exempt="", seller=replace(SELLER, party=home))
        async with self.pool.acquire() as conn:
            stored = await put_buyer(conn, client_id, replace(BUYER, country=country), taxes)
        assert isinstance(stored, Party), stored

    async def invoice(self, client_id: str, until: datetime | None = None) -> list[Invoice]:
        """What a client was charged before `until` (until now) on papers, the invoice first."""
        async with self.pool.acquire() as conn, conn.transaction():
            numbers = await issuing.issue_papers(
                conn,
                client_id=client_id,
                currency="EUR",
                until=until or self.now + timedelta(seconds=1),
                seller=SELLER,
                buyer=BUYER,
                style_names={},
                payment_days=self.prices.payment_days,
                now=self.now,
            )
            papers = [await issuing.find_invoice(conn, number, client_id=client_id) for number in numbers]
        return [paper for paper in papers if paper]

    async def refund(self, output_id: str) -> Refund:
        async with self.pool.acquire() as conn, conn.transaction():
            done = await refund_output(conn, output_id=output_id, reason="broken", by="test", now=self.now)
        assert isinstance(done, Refund), done
        return done

    async def key(self, account_id: str, **given: Any) -> keys.IssuedKey:
        async with self.pool.acquire() as conn:
            return await keys.issue(
                conn,
                **{"account_id": account_id, "kind": "live", "new_id": new_id, "now": self.now, "pepper": PEPPER}
                | given,
            )

    def order(self, style: terms.StyleTerms, client_id: str, **changes: Any) -> Reserve:
        order = Reserve(
            order_id=new_id("gen"),
            client_id=client_id,
            key_id=None,
            idempotency_key=None,
            request_hash="body",
            style_id=style.style_id,
            creator_id=style.creator_id,
            tier="personal",
            count=1,
            hold_s=900,
        )
        return replace(order, **changes)

    async def reserve(self, style: terms.StyleTerms, client_id: str, **changes: Any) -> Any:
        async with self.pool.acquire() as conn:
            return await gateway.reserve(conn, self.order(style, client_id, **changes), now=self.now)

    async def held(self, style: terms.StyleTerms, client_id: str, **changes: Any) -> Hold:
        answer = await self.reserve(style, client_id, **changes)
        assert isinstance(answer, Hold), answer
        return answer

    async def begin(self, hold: Hold) -> Any:
        async with self.pool.acquire() as conn:
            return await gateway.begin(conn, order_id=hold.order_id, now=self.now)

    async def settle(self, hold: Hold, *, made: int | None = None, fence: int = 1) -> Any:
        output_ids = [f"out_{hold.order_id}_{number}" for number in range(hold.count if made is None else made)]
        async with self.pool.acquire() as conn:
            return await gateway.settle(
                conn, order_id=hold.order_id, fence=fence, made=pictures(*output_ids), now=self.now
            )

    async def sold(self, style: terms.StyleTerms, client_id: str, **changes: Any) -> Settled:
        hold = await self.held(style, client_id, **changes)
        await self.begin(hold)
        answer = await self.settle(hold)
        assert isinstance(answer, Settled), answer
        return answer

    async def void(self, hold: Hold, reason: Any = "failed") -> Any:
        async with self.pool.acquire() as conn:
            return await gateway.void(conn, order_id=hold.order_id, reason=reason, now=self.now)

    async def hold(self, order_id: str, client_id: str) -> Hold:
        async with self.pool.acquire() as conn:
            found = await gateway.find_hold(conn, order_id, client_id=client_id)
        assert found is not None
        return found

    async def set_level(self, style: terms.StyleTerms, level: Any, **given: Any) -> Any:
        where = {"creator_id": style.creator_id, "style_id": style.style_id, "by": style.creator_id, "now": self.now}
        async with self.pool.acquire() as conn:
            return await switch.set_level(conn, **where | given, level=level)

    async def subscribe(self, client_id: str, **given: Any) -> Any:
        plan = given.pop("plan", self.prices.plans["studio"])
        async with self.pool.acquire() as conn:
            return await plans.subscribe(conn, client_id=client_id, plan=plan, now=self.now, new_id=new_id, **given)

    async def buy_licence(self, style: terms.StyleTerms, client_id: str, tier: str = "personal", **given: Any) -> Any:
        where = {"client_id": client_id, "style_id": style.style_id, "tier": tier}
        async with self.pool.acquire() as conn:
            return await plans.buy_licence(conn, **where, now=self.now, new_id=new_id, **given)

    async def change(self, client_id: str, plan: Plan, *, at_once: bool = True) -> Any:
        async with self.pool.acquire() as conn:
            return await plans.change(
                conn, client_id=client_id, plan=plan, at_once=at_once, now=self.now, new_id=new_id
            )

    async def cap_overage(self, client_id: str, cap: int) -> Any:
        async with self.pool.acquire() as conn:
            return await plans.cap_overage(conn, client_id=client_id, cap=eur(cap), now=self.now)

    async def roll_over(self) -> list[str]:
        """Every period that is over is closed, and renewed if it renews."""
        async with self.pool.acquire() as conn:
            due = await plans.due_periods(conn, now=self.now)
            days = self.prices.retry_days
            return [
                one.id for one in due if await plans.roll_over(conn, one, now=self.now, new_id=new_id, retry_days=days)
            ]

    async def usage(self, client_id: str) -> plans.Usage:
        async with self.pool.acquire() as conn:
            return await plans.usage(conn, client_id, self.now)

    async def balance(self, account_id: str) -> int:
        async with self.pool.acquire() as conn:
            return await ledger.balance(conn, account_id)


def refused(answer: Any, slug: str) -> Refusal:
    """Assert that `answer` is the refusal `slug` with a whole sentence, and return it."""
    assert isinstance(answer, Refusal), answer
    assert answer.slug == slug, answer
    assert "{" not in answer.message
    assert answer.message.endswith(".")
    return answer
