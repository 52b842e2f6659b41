"""Orders that come at the same time are accepted in few commits, each as if it had come alone."""

import asyncio
import uuid
from collections import Counter

import httpx

from service import acceptance
from service.resources import Gateway
from tests.service.conftest import slug_of
from tests.service.market import PRICE, Market, prepaid

AT_ONCE = 256
BUDGET = 9


class Counted:
    """How many batches there were."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, web: Gateway, wishes):
        self.sizes.append(len(wishes))
        return await _accept_all(web, wishes)


_accept_all = acceptance.accept_all


async def test_of_many_on_one_budget_exactly_as_many_are_delivered_as_it_pays_for(market: Market, monkeypatch):
    client = await market.client(cents=BUDGET * PRICE + PRICE - 1)
    counted = Counted()
    monkeypatch.setattr(acceptance, "accept_all", counted)

    answers = await asyncio.gather(*(market.order(client, wait=0) for _ in range(AT_ONCE)))

    assert Counter(answer.status_code for answer in answers) == {201: BUDGET, 402: AT_ONCE - BUDGET}
    assert {slug_of(answer) for answer in answers if answer.status_code == 402} == {"payment_required"}
    assert sum(counted.sizes) == AT_ONCE
    assert len(counted.sizes) < AT_ONCE / 4, "each came alone"
    ended = [await _end_of(client.http, answer.json()["id"]) for answer in answers if answer.status_code == 201]
    assert [order["state"] for order in ended] == ["settled"] * BUDGET
    assert sum(len(order["outputs"]) for order in ended) == BUDGET
    assert await prepaid(client) == (PRICE - 1, 0)
    assert await market.ledger_problems() == []


async def test_one_request_sent_many_times_at_once_is_one_order(market: Market):
    client, key = await market.client(cents=10 * PRICE), uuid.uuid4().hex

    answers = await asyncio.gather(*(market.order(client, wait=0, key=key) for _ in range(24)))

    # Whoever comes while the first is not yet committed is told to ask again; nobody gets another order.
    taken = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["id"] for answer in taken}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in taken) == 1
    assert {slug_of(answer) for answer in answers if answer.status_code != 201} <= {"idempotency_conflict"}
    assert (await _end_of(client.http, taken[0].json()["id"]))["amount"]["amount"] == PRICE


async def test_orders_of_one_moment_lie_in_the_line_one_behind_the_other(market: Market):
    anna, ben = await market.client(cents=10 * PRICE), await market.client(cents=10 * PRICE)
    asked = (anna, anna, ben, anna, ben, anna)
    market.curtain.wait_at(1)
    try:
        answers = await asyncio.gather(*(market.order(who, wait=0) for who in asked))
        assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
        ids = [answer.json()["id"] for answer in answers]
        async with market.gateway.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT client_id, array_agg(turn ORDER BY turn) AS turns, min(work) AS work FROM service.generations"
                " WHERE id = ANY($1::text[]) GROUP BY client_id",
                ids,
            )
    finally:
        market.curtain.wait_at(None)

    for row in rows:
        first = row["turns"][0]
        assert row["turns"] == [first + number * row["work"] for number in range(len(row["turns"]))]
    assert {row["client_id"]: len(row["turns"]) for row in rows} == {anna.account.id: 4, ben.account.id: 2}
    ends = [await _end_of(who.http, order_id) for who, order_id in zip(asked, ids, strict=True)]
    assert [end["state"] for end in ends] == ["settled"] * 6


async def _end_of(http: httpx.AsyncClient, order_id: str) -> dict:
    async with asyncio.timeout(60):
        while True:
            order = (await http.get(f"/v1/generations/{order_id}")).json()
            if order["state"] in ("settled", "failed", "withdrawn", "canceled", "expired"):
                return order
            await asyncio.sleep(0.05)
