"""Three years on a movable clock: whatever clients, creators and the calendar do, the books and the papers agree.

A seed decides what happens on each day; a failing one plays the same years again.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licensing import disputes, docket, dues, payouts, plans, rates, statements
from licensing.analytics.earned import earned
from licensing.analytics.over import close_days, differences
from licensing.analytics.spans import Span
from licensing.billing import issuing, payments
from licensing.billing.coupons import Coupon, make_coupon
from licensing.ledger import check
from licensing.orders import Settled
from licensing.payees import BankAccount, put_payee
from licensing.payments import Charge
from licensing.prices import Plan
from licensing.switch import due_notices, end_notice
from licensing.terms import StyleTerms
from tests.licensing.paying import forget_words
from tests.licensing.world import BUYER, SELLER, World, eur, new_id

# Begins before a leap day, so that three years meet 29 February, every change of the clocks, and ends of all months.
BEGIN = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
COUNTRIES = ("DE", "AT", "FR", "US", "CH")
TIERS = ("draft", "personal", "commercial")


@dataclass(kw_only=True)
class Years:
    """What is known of the years so far: who there is, and what everybody was charged by the papers."""

    world: World
    random: random.Random
    styles: list[StyleTerms] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    sold: list[str] = field(default_factory=list)
    credited: dict[str, int] = field(default_factory=dict)
    paid: int = 0
    asked: list[tuple[datetime, int]] = field(default_factory=list)
    """What the operator asked for a month, since when."""
    paid_dues: dict[str, int] = field(default_factory=dict)
    taken_dues: int = 0

    @property
    def authors(self) -> list[str]:
        """Everybody who earns."""
        return [author for style in self.styles for author in style.authors or {style.creator_id: 1}]

    @property
    def plans(self) -> list[Plan]:
        studio = self.world.prices.plans["studio"]
        return [
            studio,
            replace(studio, id="small", price=eur(997), units=13, overage=eur(83), overage_most=eur(5000)),
            replace(studio, id="large", price=eur(19_900), units=500, overage=None, overage_most=None, trial=None),
        ]

    async def begin(self) -> None:
        await forget_words(self.world)
        # These years begin again with each seed, in the same books.
        async with self.world.pool.acquire() as conn:
            await conn.execute("DELETE FROM licensing.closing")
        for fee_bps in (1500, 0, 3333):
            creator = new_id("acc")
            authors = {creator: 2, new_id("acc"): 1} if fee_bps == 3333 else {}
            self.styles.append(await self.world.style(creator, fee_bps=fee_bps, authors=authors))
        for country in COUNTRIES:
            client = await self.world.client()
            await self.world.tax(client, self.random.choice((0, 700, 1900, 2550)), country=country)
            self.clients.append(client)
            self.credited[client] = 0
        async with self.world.pool.acquire() as conn:
            for author in self.authors:
                await put_payee(
                    conn,
                    creator_id=author,
                    account=BankAccount(holder="Somebody", iban="DE89370400440532013000"),
                    minimum=eur(100),
                    schedule=self.random.choice(("weekly", "monthly")),
                    smallest=eur(1),
                    by=author,
                    now=self.world.now,
                )
            for client in self.clients[:2]:
                grant = {"free": self.world.prices.free, "now": self.world.now, "new_id": new_id}
                await plans.grant_free(conn, client_id=client, **grant)

    async def day(self) -> None:
        """A few things happen, at some time of the day; then whoever sweeps comes by."""
        start = self.world.now
        acts: list[Callable[[str], Awaitable[Any]]] = [
            *[self.order] * 8,
            *[self.top_up] * 3,
            *[self.refund] * 2,
            *(
                self.subscribe,
                self.change,
                self.cap,
                self.pause,
                self.licence,
                self.switch,
                self.rate,
                self.end_renewal,
                *[self.pay] * 2,
                *[self.dispute] * 2,
                self.dues,
            ),
        ]
        for _ in range(self.random.randint(0, 4)):
            self.world.later(minutes=self.random.randint(1, 300))
            await self.random.choice(acts)(self.random.choice(self.clients))
        self.world.now = start + timedelta(days=1)
        await self.sweep()
        # Whatever changes a day that is over, and whenever that was summed, is found at the month's end.
        if self.random.random() < 0.1:
            async with self.world.pool.acquire() as conn:
                await close_days(conn, now=self.world.now)

    async def order(self, client: str) -> None:
        style, tier = self.random.choice(self.styles), self.random.choice(TIERS)
        count = self.random.choice((1, 1, 2, 7, 40))
        hold = await self.world.reserve(style, client, tier=tier, count=count)
        if not hasattr(hold, "fence"):
            return
        if not hasattr(await self.world.begin(hold), "fence") or self.random.random() < 0.1:
            await self.world.void(hold)
            return
        sale = await self.world.settle(hold, made=self.random.randint(1, count))
        assert isinstance(sale, Settled), sale
        self.sold += [f"out_{hold.order_id}_{number}" for number in range(sale.made)]

    async def top_up(self, client: str) -> None:
        amount = self.random.choice((500, 5000, 25_000))
        await self.world.credit(client, amount)
        self.credited[client] += amount

    async def pay(self, client: str) -> None:
        """A card is charged, and sometimes declines."""
        amount, now = eur(self.random.choice((700, 4900, 9000))), self.world.now
        payment_id, state = new_id("pay"), self.random.choice(("succeeded", "succeeded", "failed"))
        charge = Charge(payment_id=payment_id, reference=new_id("ref"), state=state, amount=amount, reason="declined")
        async with self.world.pool.acquire() as conn:
            await payments.begin_payment(
                conn,
                payment_id=payment_id,
                client_id=client,
                provider="manual",
                purpose="pack",
                subject="small",
                amount=amount,
                bonus=eur(100),
                now=now,
            )
            await payments.end_payment(conn, "manual", charge, now=now)
        self.credited[client] += amount.amount + 100 if state == "succeeded" else 0

    async def dues(self, client: str) -> None:
        """The operator asks for more or less; creators pay, or let it be taken. One never does either."""
        author, chance = self.random.choice(self.authors), self.random.random()
        about = {"creator_id": author, "reference": new_id("ref"), "by": "office", "now": self.world.now}
        async with self.world.pool.acquire() as conn:
            if chance < 0.25:
                self.asked.append((self.world.now, self.random.choice((0, 500, 2500))))
                await dues.say_dues(conn, eur(self.asked[-1][1]), now=self.world.now)
            elif chance < 0.6:
                takes = self.random.random() < 0.5 and author != self.styles[0].creator_id
                await dues.let_dues_be_taken(conn, creator_id=author, takes=takes, by=author, now=self.world.now)
            elif author != self.styles[0].creator_id:
                how: Any = self.random.choice(("paid", "paid", "waived"))
                done = await dues.lower_dues(conn, how=how, amount=eur(self.random.choice((100, 2500))), **about)
                if isinstance(done, dues.DuesStanding):
                    self.paid_dues[author] = self.paid_dues.get(author, 0) + 1

    async def post_dues(self, conn: Any) -> None:
        """By a sweep that may come twice, and late: some days it does not come at all."""
        for author in self.authors if self.random.random() < 0.7 else []:
            month = dues.month_of(self.world.now)
            before = await self.world.balance(f"payable:{author}:EUR")
            done = await dues.post_dues(
                conn, creator_id=author, month=month, currency="EUR", here_since=BEGIN, now=self.world.now
            )
            assert isinstance(done, dues.Posted)
            assert done.taken.amount <= max(before, 0) or done.repeated
            self.taken_dues += 0 if done.repeated else done.taken.amount

    async def dispute(self, client: str) -> None:
        """Somebody holds something against a sale, or the operator decides about what is held."""
        async with self.world.pool.acquire() as conn, conn.transaction():
            running = await docket.running(conn, limit=3)
            if running and self.random.random() < 0.6:
                await self._decide(conn, self.random.choice(running).id)
            elif self.sold:
                output_id = self.random.choice(self.sold[-40:])
                buyer = await conn.fetchval("SELECT client_id FROM licensing.output WHERE output_id = $1", output_id)
                await disputes.open_dispute(
                    conn,
                    dispute_id=new_id("dsp"),
                    side="client",
                    party_id=buyer,
                    ground="other",
                    words="not what I ordered",
                    output_id=output_id,
                    now=self.world.now,
                )

    async def _decide(self, conn: Any, dispute_id: str) -> None:
        outcome = self.random.choice(("refunded", "released", "partly", "partly"))
        await disputes.decide(
            conn,
            note_id=new_id("dnt"),
            dispute_id=dispute_id,
            outcome=outcome,
            reason="as it seems",
            amount=eur(self.random.randint(1, 60)) if outcome == "partly" else None,
            now=self.world.now,
        )

    async def pay_out(self, conn: Any) -> None:
        """Whose payday it was is paid; some transfers fail, and some come back."""
        now = self.world.now
        for due in await payouts.due_payouts(conn, now=now):
            where = {"payout_id": new_id("pyt"), "creator_id": due.creator_id, "at_least": due.minimum}
            async with conn.transaction():
                await payouts.open_payout(conn, **where, now=now)
        for one in await payouts.open_payouts(conn):
            async with conn.transaction():
                outcome = self.random.choice(("paid", "paid", "failed"))
                await payouts.end_payout(conn, payout_id=one.id, outcome=outcome, detail="by the bank", now=now)
                if outcome == "paid" and self.random.random() < 0.1:
                    await payouts.reverse_payout(conn, payout_id=one.id, reason="account closed", now=now)
                self.paid += outcome == "paid"

    async def refund(self, client: str) -> None:
        if self.sold:
            await self.world.refund(self.sold.pop(self.random.randrange(len(self.sold))))

    async def subscribe(self, client: str) -> None:
        plan = self.random.choice(self.plans)
        is_trial = plan.trial is not None and self.random.random() < 0.3
        code = await self._coupon() if not is_trial and self.random.random() < 0.4 else None
        await self.world.subscribe(client, plan=plan, is_trial=is_trial, coupon=code)

    async def _coupon(self) -> str:
        made = Coupon(
            code=new_id("C").replace("_", "-") + "-X",
            percent=self.random.randint(1, 100),
            periods=self.random.randint(1, 4),
            plan=None,
            uses_most=None,
            expires_at=None,
        )
        async with self.world.pool.acquire() as conn:
            await make_coupon(conn, made, by="office", now=self.world.now)
        return made.code

    async def change(self, client: str) -> None:
        await self.world.change(client, self.random.choice(self.plans), at_once=self.random.random() < 0.6)

    async def cap(self, client: str) -> None:
        await self.world.cap_overage(client, self.random.choice((0, 300, 5000)))

    async def pause(self, client: str) -> None:
        until = self.world.now + timedelta(days=self.random.randint(1, 90))
        async with self.world.pool.acquire() as conn:
            if self.random.random() < 0.5:
                await plans.pause(conn, client_id=client, until=until, now=self.world.now)
            else:
                await plans.resume(conn, client_id=client, now=self.world.now)

    async def licence(self, client: str) -> None:
        tier = self.random.choice(("personal", "commercial"))
        await self.world.buy_licence(self.random.choice(self.styles), client, tier, renews=self.random.random() < 0.5)

    async def switch(self, client: str) -> None:
        level = self.random.choice(("live", "live", "live", "closed", "paused", "wind_down", "off"))
        await self.world.set_level(self.random.choice(self.styles), level)

    async def rate(self, client: str) -> None:
        style, price = self.random.choice(self.styles), self.random.choice((None, eur(0), eur(33), eur(41)))
        async with self.world.pool.acquire() as conn:
            await rates.put_rate(
                conn,
                style_id=style.style_id,
                client_id=client,
                tier="personal",
                price=price,
                by=style.creator_id,
                now=self.world.now,
            )

    async def end_renewal(self, client: str) -> None:
        async with self.world.pool.acquire() as conn:
            running = await plans.current_plan(conn, client_id=client, now=self.world.now)
            if running and self.random.random() < 0.2:
                await plans.end_renewal(conn, client_id=client, allowance_id=running.id)

    async def sweep(self) -> None:
        now = self.world.now
        async with self.world.pool.acquire() as conn:
            for client in await plans.due_resumptions(conn, now=now):
                await plans.resume(conn, client_id=client, now=now)
            for notice in await due_notices(conn, now=now):
                async with conn.transaction():
                    await end_notice(conn, notice, now=now)
        while await self.world.roll_over():
            pass
        async with self.world.pool.acquire() as conn:
            for dispute_id in await docket.due_to_close(conn, now=now):
                async with conn.transaction():
                    await disputes.close(conn, dispute_id=dispute_id, now=now)
            await self.post_dues(conn)
            await self.pay_out(conn)
            for renewal in await plans.due_renewals(conn, now=now):
                await plans.retry_renewal(conn, renewal, now=now, new_id=new_id)
            for paper in await issuing.unpaid_invoices(conn):
                async with conn.transaction():
                    await issuing.pay_invoice(conn, paper.number, now=now)
        if now.day == 1:
            await self.close_month()

    async def close_month(self) -> None:
        """Papers for all, the ledger recomputed, and every statement added up."""
        until = issuing.month_start(self.world.now)
        async with self.world.pool.acquire() as conn:
            for client, currency in await issuing.clients_to_invoice(conn, until=until):
                async with conn.transaction():
                    await issuing.issue_papers(
                        conn,
                        client_id=client,
                        currency=currency,
                        until=until,
                        seller=SELLER,
                        buyer=BUYER,
                        style_names={},
                        payment_days=14,
                        now=self.world.now,
                    )
            assert await issuing.clients_to_invoice(conn, until=until) == []
            assert await check(conn) == []
            await close_days(conn, now=self.world.now)
            assert await differences(conn) == []
            month = (until - timedelta(days=1)).strftime("%Y-%m")
            for author in self.authors:
                await self._check_statement(conn, author, month)
        for client in self.clients:
            await self._check_purse(client)

    async def _check_statement(self, conn: Any, author: str, month: str) -> None:
        """price = tax + fee + share + others on every line, and months follow from each other."""
        found = await statements.statement(conn, creator_id=author, month=month)
        for line in found.lines:
            assert line.price == line.tax + line.fee + line.share + line.others
        assert found.gross == found.tax + found.fee + found.others + found.total + found.compute
        moved = sum(one.amount.amount for one in found.movements)
        assert found.opening.amount + found.total.amount + moved == found.closing.amount
        begins = dues.first_of(month)
        days = Span(first=begins, last=self.world.now.date() - timedelta(days=1))
        summed = await earned(conn, creator_id=author, days=days, now=self.world.now)
        assert summed.share == found.total
        assert summed.pictures == sum({"sale": 1, "refund": -1}.get(line.kind, 0) for line in found.lines)
        await self._check_dues(conn, author, month, found)

    async def _check_dues(self, conn: Any, author: str, month: str, found: statements.Statement) -> None:
        """A month is owed once, for no more than was asked for on any day of its notice, and is taken once."""
        begins = datetime.combine(dues.first_of(month), datetime.min.time(), UTC)
        asked = [amount for since, amount in self.asked if since <= begins - timedelta(days=30)][-1:] or [0]
        asked += [amount for since, amount in self.asked if begins - timedelta(days=30) < since <= begins]
        least = min(asked) if begins >= BEGIN + timedelta(days=30) else 0
        lines = [line for line in found.dues.lines if line.subject == month]
        assert sum(line.amount.amount for line in lines if line.kind == "dues") == least
        assert sum(line.kind == "dues" for line in lines) == (least > 0)
        taken = -sum(line.amount.amount for line in lines if line.kind == "dues_taken")
        assert taken == -sum(one.amount.amount for one in found.movements if one.kind == "dues_taken")
        running = await statements.statement(conn, creator_id=author, month=dues.month_of(self.world.now))
        assert running.dues.opening == found.dues.closing
        assert running.dues.closing.amount == -await self.world.balance(f"dues:{author}:EUR")
        if author == self.styles[0].creator_id:
            # Who never pays and never says yes earns and is paid like anybody else.
            assert taken == 0
            owed = await conn.fetchval("SELECT sum(amount)::bigint FROM licensing.dues WHERE creator_id = $1", author)
            assert running.dues.closing.amount == (owed or 0)

    async def _check_purse(self, client: str) -> None:
        """What a client has is what came in, less what the papers say was charged, less what is on no paper yet."""
        async with self.world.pool.acquire() as conn:
            papers = await issuing.list_invoices(conn, client_id=client, limit=1000)
            waiting = await conn.fetch(
                "SELECT net + tax AS charged FROM licensing.to_invoice($1, 'EUR', 'infinity')", client
            )
        charged = sum(paper.total.amount * (1 if paper.kind == "invoice" else -1) for paper in papers)
        charged += sum(row["charged"] for row in waiting)
        prepaid = await self.world.balance(f"prepaid:{client}:EUR")
        owed = await self.world.balance(f"receivable:{client}:EUR")
        assert prepaid + owed == self.credited[client] - charged


@pytest.mark.parametrize(
    ("months", "seed"),
    [(4, 1), *(pytest.param(36, seed, marks=pytest.mark.long) for seed in range(2, 8))],
)
async def test_the_books_balance_every_month(world: World, months: int, seed: int):
    world.now = BEGIN
    years = Years(world=world, random=random.Random(seed))
    await years.begin()

    months_played = months
    while months:
        await years.day()
        months -= world.now.day == 1

    assert years.sold, "something must have been sold, or nothing was tried"
    assert years.paid, "somebody must have been paid"
    if months_played > 12:
        assert years.paid_dues, "somebody must have paid dues"
        assert years.taken_dues, "of somebody they must have been taken"


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 60))])
async def test_nobody_gains_by_when_they_change_pause_or_cancel(world: World, seed: int):
    """A client who does nothing but look for gaps pays at least for what was made, at what it is worth."""
    chance = random.Random(seed)
    world.now = datetime(2028, 2, 28, 23, tzinfo=UTC)
    years = Years(world=world, random=chance)
    style, client = await world.style(), await world.client(prepaid=500_000)
    made = 0
    for _ in range(60):
        world.later(hours=chance.choice((0, 1, 23, 24, 24 * 27, 24 * 31)))
        act = chance.choice((years.subscribe, years.change, years.change, years.pause, years.end_renewal, None))
        if act in (years.subscribe,):
            await world.subscribe(client, plan=chance.choice(years.plans))
        elif act is not None:
            await act(client)
        hold = await world.reserve(style, client, count=chance.choice((1, 5, 13)))
        if hasattr(hold, "pay"):
            await world.begin(hold)
            sale = await world.settle(hold)
            made += sale.share.amount + sale.fee.amount
        while await world.roll_over():
            pass

    assert 500_000 - (await world.usage(client)).prepaid.amount >= made > 0
