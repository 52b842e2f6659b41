"""A sale that somebody disputes, and what its parties do about it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from licensing import disputes, docket
from licensing.deadlines import CLOCK
from licensing.docket import Dispute
from licensing.refunds import refund_output
from licensing.terms import StyleTerms
from tests.licensing.paying import dispute, seller
from tests.licensing.world import World, eur, new_id

PRICE, FEE = 60, 9


@dataclass(kw_only=True)
class Case:
    """A sale and what its parties do about it, each call on a connection of its own."""

    world: World
    style: StyleTerms
    client: str
    order_id: str
    outputs: list[str]
    id: str = field(default_factory=lambda: new_id("dsp"))

    @property
    def creator(self) -> str:
        return self.style.creator_id

    def party(self, side: str) -> str:
        return {"client": self.client, "creator": self.creator, "operator": "operator"}[side]

    async def open(self, side: Any = "client", **changes: Any) -> Any:
        grounds = {"client": "not_as_ordered", "creator": "share", "operator": "takedown"}
        wanted = {
            "dispute_id": self.id,
            "side": side,
            "party_id": self.party(side),
            "ground": grounds[side],
            "words": "This is not a fox.",
            "output_id": self.outputs[0],
            "contact": "a stranger, +49 30 901820" if side == "operator" else None,
            "now": self.world.now,
        }
        async with self.world.pool.acquire() as conn:
            return await disputes.open_dispute(conn, **wanted | changes)

    async def opened(self, side: Any = "client", **changes: Any) -> Dispute:
        found = await self.open(side, **changes)
        assert isinstance(found, Dispute), found
        return found

    async def act(self, verb: Any, side: str | None = None, **given: Any) -> Any:
        who = {"side": side, "party_id": self.party(side)} if side else {}
        wanted = {"note_id": new_id("note"), "dispute_id": self.id, "now": self.world.now} | who
        async with self.world.pool.acquire() as conn:
            return await verb(conn, **wanted | given)

    async def say(self, side: str, **given: Any) -> Any:
        return await self.act(disputes.say, side, **{"words": "Look again."} | given)

    async def decide(self, outcome: str, amount: int | None = None, **given: Any) -> Any:
        money = eur(amount) if amount is not None else None
        return await self.act(
            disputes.decide, **{"outcome": outcome, "amount": money, "reason": "It is a dog."} | given
        )

    async def decided(self, outcome: str, amount: int | None = None) -> Dispute:
        """Decided after the other side has answered."""
        if (await dispute(self.world, self.id)).answer_due_at is not None:
            await self.say("creator")
        found = await self.decide(outcome, amount)
        assert isinstance(found, Dispute), found
        return found

    async def appeal(self, side: str, **given: Any) -> Any:
        return await self.act(disputes.appeal, side, **{"words": "It is a fox."} | given)

    async def withdraw(self, side: str, **given: Any) -> Any:
        return await self.act(disputes.withdraw, side, **{"words": "Never mind."} | given)

    async def close(self) -> bool:
        async with self.world.pool.acquire() as conn:
            return await disputes.close(conn, dispute_id=self.id, now=self.world.now)

    async def ended(self, outcome: str, amount: int | None = None) -> Dispute:
        """Decided, not appealed, and carried out."""
        await self.decided(outcome, amount)
        self.world.later(days=CLOCK.appeal_days, seconds=1)
        assert await self.close()
        return await dispute(self.world, self.id)

    async def refund(self, output_id: str | None = None) -> Any:
        async with self.world.pool.acquire() as conn:
            return await refund_output(
                conn, output_id=output_id or self.outputs[0], reason="a mistake", by="op", now=self.world.now
            )

    async def next_case(self) -> "Case":
        """The same sale, another dispute."""
        return Case(
            world=self.world, style=self.style, client=self.client, order_id=self.order_id, outputs=self.outputs
        )

    async def prepaid(self) -> int:
        return (await self.world.usage(self.client)).prepaid.amount

    async def revoked(self) -> list[str | None]:
        async with self.world.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT revoked_reason FROM licensing.output WHERE order_id = $1 ORDER BY position", self.order_id
            )
        return [row["revoked_reason"] for row in rows]


async def case_of(world: World, *, pictures: int = 1, tier: str = "personal") -> Case:
    style = await seller(world, pictures=0)
    client = await world.client(prepaid=60 * pictures if tier == "personal" else 2900)
    order_id = (await world.sold(style, client, count=pictures, tier=tier)).order_id
    outputs = [f"out_{order_id}_{number}" for number in range(pictures)]
    return Case(world=world, style=style, client=client, order_id=order_id, outputs=outputs)


async def settled_at(case: Case) -> datetime:
    async with case.world.pool.acquire() as conn:
        found: datetime = await conn.fetchval(
            "SELECT settled_at FROM licensing.output WHERE output_id = $1", case.outputs[0]
        )
    return found


async def notes(case: Case) -> list[docket.Note]:
    async with case.world.pool.acquire() as conn:
        return await docket.notes(conn, case.id)


async def open_on(conn: asyncpg.Connection, case: Case) -> None:
    """The client opens, in a transaction that goes on."""
    await disputes.open_dispute(
        conn,
        dispute_id=case.id,
        side="client",
        party_id=case.client,
        ground="other",
        words="w",
        output_id=case.outputs[0],
        now=case.world.now,
    )
