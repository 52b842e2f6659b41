"""One client's many orders leave the next place to another's single one: over the API, with an engine by hand."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from inference.fairness import Turn
from inference.messages import ImageRequest, Picture, Step, Stopped
from inference.pace import Speed
from service import events, turns
from service.db.connections import open_pool
from service.drawing import studio
from service.heartbeats import read_fleet
from tests.service.conftest import Person, browser, sign_in, slug_of
from tests.service.instant_engine import InstantEngine
from tests.service.market import Market, open_market, publish_style, state_of

STEPS = 20
WORK = 2 * STEPS
"""Of a picture: two questions a step."""
SPEED = Speed(rows=4, questions=8, half_s=0.04, full_s=0.08, admission_s=0.0, finishing_s=0.0)


class HandEngine(InstantEngine):
    """Draws nothing by itself: a test lets the pictures be done one by one, in the order in which they came."""

    def __init__(self) -> None:
        super().__init__(speed=SPEED, steps=STEPS)
        self._changed = threading.Condition()
        self._waiting: list[tuple[ImageRequest, Callable[[], str | None], Future[Picture | Stopped]]] = []
        self.begun: list[str] = []
        """Orders, by their pictures."""

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Picture | Stopped]":
        future: Future[Picture | Stopped] = Future()
        with self._changed:
            self._waiting.append((request, stop, future))
            self.begun.append(request.id.partition("/")[0])
            self._changed.notify_all()
        return future

    def wait_for(self, *, num_begun: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.begun) >= num_begun, 30.0)

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    def finish(self, count: int = 1) -> None:
        """The pictures that came first are done, or stopped where they were told to."""
        with self._changed:
            done, self._waiting = self._waiting[:count], self._waiting[count:]
        for request, stop, future in done:
            reason = stop()
            future.set_result(
                self.picture(request) if reason is None else Stopped(request_id=request.id, reason=reason, step=0)
            )

    def close(self) -> None:
        self.finish(len(self._waiting))


@pytest.fixture(scope="module")
def engine() -> HandEngine:
    return HandEngine()


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, engine: HandEngine
) -> AsyncIterator[Market]:
    folder: Path = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, draws=lambda _: engine, max_open_orders=1000) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def nothing_waits_afterwards(market: Market, engine: HandEngine) -> AsyncIterator[None]:
    """Nothing waits at the end of a test, and nobody is behind anybody."""
    engine.begun.clear()
    yield
    await market.switch("off")
    unfinished = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
    async with asyncio.timeout(60), market.gateway.pool.acquire() as conn:
        while await conn.fetchval(unfinished):
            engine.finish(100)
            await asyncio.sleep(0.02)
    await market.switch("live")
    await turns.forget_turns(market.gateway)


async def order_many(market: Market, client: Person, num_orders: int, **body: object) -> list[str]:
    """So many orders, of one picture each unless told; their ids."""
    answers = [await market.order(client, wait=0, steps=STEPS, **body) for _ in range(num_orders)]
    assert {answer.status_code for answer in answers} <= {201}
    return [str(answer.json()["id"]) for answer in answers]


async def turns_of(market: Market, order_ids: list[str]) -> list[int | None]:
    async with market.gateway.pool.acquire() as conn:
        rows = await conn.fetch("SELECT id, turn FROM service.generations WHERE id = ANY($1::text[])", order_ids)
    found = {row["id"]: row["turn"] for row in rows}
    return [found[order_id] for order_id in order_ids]


async def until_asked_of_workers(market: Market, order_id: str) -> None:
    """Until an order lies in the queue that workers take from."""
    async with asyncio.timeout(30), market.gateway.pool.acquire() as conn:
        while not await conn.fetchval(
            "SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = $1", f"{order_id}.1.render"
        ):
            await asyncio.sleep(0.02)


async def fill_the_worker(
    market: Market, engine: HandEngine, client: Person, num_orders: int, **body: object
) -> list[str]:
    """So many orders, of which four pictures are drawn and the next order stands at the door; their ids."""
    ids = await order_many(market, client, num_orders, **body)
    await until_the_worker_is_full(engine, num_begun=4)
    return ids


async def until_the_worker_is_full(engine: HandEngine, *, num_begun: int) -> None:
    """Until so many pictures were begun and the next order stands at the door: nothing is taken by itself any more."""
    assert await asyncio.to_thread(engine.wait_for, num_begun=num_begun)
    async with asyncio.timeout(30):
        while studio().places.has_room:
            await asyncio.sleep(0.02)


async def finish_one(engine: HandEngine) -> str:
    """A picture is done; the order whose picture is begun in its place."""
    num_begun = len(engine.begun)
    engine.finish()
    assert await asyncio.to_thread(engine.wait_for, num_begun=num_begun + 1)
    return engine.begun[num_begun]


@pytest.mark.parametrize("count", [80, pytest.param(400, marks=pytest.mark.long)])
async def test_a_single_order_is_drawn_next_whatever_another_client_has_queued(
    market: Market, engine: HandEngine, count: int
):
    """Slow because each of the many is accepted over the API: a tenth of a second."""
    anna, ben = await market.client(cents=100_000), await market.client()
    many = await fill_the_worker(market, engine, anna, count)
    (single,) = await order_many(market, ben, 1)
    await until_asked_of_workers(market, single)

    begun = [await finish_one(engine) for _ in range(4)]

    assert await turns_of(market, [*many, single]) == [*(number * WORK for number in range(count)), 3 * WORK]
    assert begun.index(single) == 1, "one of Anna's stood at the door already"
    assert sorted(begun) == [*many[4:7], single]


async def test_a_single_picture_does_not_wait_behind_an_order_of_eight(market: Market, engine: HandEngine):
    anna, ben = await market.client(), await market.client()
    large = await fill_the_worker(market, engine, anna, 4, count=8)
    (single,) = await order_many(market, ben, 1)
    await until_asked_of_workers(market, single)

    begun = []
    while single not in begun:
        begun.append(await finish_one(engine))
        # Time to come in while this picture is drawn.
        await asyncio.sleep(0.3)

    assert begun[:5] == [*[large[0]] * 4, large[1]], "the second order stood at the door"
    assert len(begun) <= 5 + 3, "and its eight pictures let Ben's come in between"


async def test_an_order_of_another_creator_does_not_wait_behind_all_of_its_client(market: Market, engine: HandEngine):
    anna = await market.client()
    other = await publish_style(market.gateway, await market.person("creator"), market.adapter)
    many = await fill_the_worker(market, engine, anna, 12)
    (single,) = await order_many(market, anna, 1, style=other)
    await until_asked_of_workers(market, single)

    begun = [await finish_one(engine) for _ in range(4)]

    assert begun == [many[4], single, *many[5:7]]
    assert await turns_of(market, [many[4], single, many[5], many[11]]) == [4 * WORK, 5 * WORK, 6 * WORK, 12 * WORK]
    engine.finish(100)
    await state_of(anna, single, wanted="settled")


async def test_a_pause_takes_turns_away_and_its_end_gives_others(market: Market, engine: HandEngine):
    anna, ben, creator = await market.client(), await market.client(), await market.person("creator")
    slow = await publish_style(market.gateway, creator, market.adapter)
    bens = await order_many(market, ben, 4)
    assert await asyncio.to_thread(engine.wait_for, num_begun=4)
    paused = await order_many(market, anna, 3, style=slow)
    await until_asked_of_workers(market, paused[2])
    await creator.http.put(f"/v1/styles/{slow}/switch", json={"level": "paused"})

    # They come to a worker, which puts them back because of the pause.
    engine.finish(2)
    async with asyncio.timeout(30):
        while any(turn is not None for turn in await turns_of(market, paused)):
            await asyncio.sleep(0.05)
    more = await order_many(market, ben, 6)
    await until_the_worker_is_full(engine, num_begun=6)
    begun = [await finish_one(engine) for _ in range(2)]
    await creator.http.put(f"/v1/styles/{slow}/switch", json={"level": "live"})
    async with asyncio.timeout(30):
        while None in (given := await turns_of(market, paused)):
            await asyncio.sleep(0.05)

    now = (await turns_of(market, [begun[-1]]))[0]
    assert now is not None
    assert set(begun) <= {*bens, *more}
    assert sorted(turn - now for turn in given if turn is not None) == [0, WORK, 2 * WORK]


async def test_a_full_place_takes_an_order_of_who_has_less_than_a_share_of_it(market: Market, engine: HandEngine):
    anna, ben = await market.client(), await market.client()
    web = market.gateway
    market.app.state.gateway = replace(web, settings=replace(web.settings, max_open_orders=4))
    try:
        await order_many(market, anna, 4)
        annas = await market.order(anna, wait=0)
        bens = [await market.order(ben, wait=0) for _ in range(3)]
    finally:
        market.app.state.gateway = web

    assert (annas.status_code, slug_of(annas)) == (503, "overloaded")
    assert "4 orders are waiting, 4 of them yours" in annas.json()["detail"]
    assert [answer.status_code for answer in bens] == [201, 201, 503]


async def test_place_and_time_are_told_by_turns_and_by_how_fast_the_worker_draws(market: Market, engine: HandEngine):
    anna, ben = await market.client(), await market.client()
    many = await fill_the_worker(market, engine, anna, 12)
    web = market.gateway
    async with asyncio.timeout(30), web.pool.acquire() as conn:
        while not (await read_fleet(conn, now=web.clock(), silence_s=15)).speeds:
            await asyncio.sleep(0.1)
    body = {"style": market.style_id, "prompt": "an apple", "steps": STEPS}

    annas_quote = (await anna.http.post("/v1/quotes", json=body)).json()
    bens_quote = (await ben.http.post("/v1/quotes", json=body)).json()
    (single,) = await order_many(market, ben, 1)
    found = (await ben.http.get(f"/v1/generations/{single}")).json()
    last = (await anna.http.get(f"/v1/generations/{many[-1]}")).json()

    # A step of four pictures takes 0.08 s: four are drawn, then four with Ben's among them; Anna's next are the fourth.
    assert bens_quote["eta_s"] == found["eta_s"] == pytest.approx(2 * STEPS * 0.08, rel=0.01)
    assert annas_quote["eta_s"] == pytest.approx(4 * STEPS * 0.08, rel=0.01)
    assert last["eta_s"] == pytest.approx(4 * STEPS * 0.08, rel=0.01), "reckoned anew: Ben's goes before it"
    async with web.pool.acquire() as conn:
        (told,) = await events.since(conn, subject=single, after=0)
    assert (told.kind, told.data) == ("queued", {"position": 1, "eta_s": found["eta_s"]})


async def test_a_page_of_an_order_that_waits_never_holds_one_connection_while_it_waits_for_another(
    market: Market, engine: HandEngine
):
    anna = await market.client()
    many = await fill_the_worker(market, engine, anna, 8)
    http = browser(market, await sign_in(market, anna.account))
    web = market.gateway
    async with await open_pool(market.database_url, 1) as narrow:
        market.app.state.gateway = replace(web, pool=narrow)
        try:
            page = await asyncio.wait_for(http.get(f"/desk/orders/{many[-1]}"), 20)
        finally:
            market.app.state.gateway = web

    assert page.status_code == 200
    assert "Waiting" in page.text


async def test_turns_begin_anew_when_nobody_waits(market: Market, engine: HandEngine):
    anna = await market.client()
    first = await order_many(market, anna, 2)
    assert await asyncio.to_thread(engine.wait_for, num_begun=2)
    await turns.forget_turns(market.gateway)
    while_drawn = await turns_of(market, first)

    engine.finish(2)
    for order_id in first:
        await state_of(anna, order_id, wanted="settled")
    await turns.forget_turns(market.gateway)
    (later,) = await order_many(market, anna, 1)

    assert while_drawn == [0, WORK]
    assert await turns_of(market, [*first, later]) == [None, None, 0]


async def test_the_line_is_found_by_indexes_however_many_orders_there_were(market: Market):
    async with await open_pool(market.database_url, 1) as pool, pool.acquire() as conn:
        # As in a place with many orders: there is an index for each part of the line, or Postgres still reads all.
        await conn.execute("SET enable_seqscan = off")
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {turns.LINE}"))

    parts = ("generations_not_ended", "turn_end >=", "generations_in_line")
    assert [part for part in parts if part not in plan] == []
    assert "Seq Scan" not in plan
