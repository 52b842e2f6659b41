"""A fleet on a real Ray cluster of three nodes: it draws what one engine draws, and stops as one does."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import ray

from inference.catalog import BaseSpec, base_spec
from inference.engine import Engine
from inference.errors import AdapterRefused, InvalidRequest
from inference.messages import AdapterRef, ImageRequest, Picture, Result, Step, Stopped
from service.fleet.cluster import open_fleet
from service.fleet.fleet import Fleet, FleetEngine
from service.fleet.jobs import Job
from service.settings import Settings
from tests.inference.random_adapters import file_sha256
from tests.service.fleet.conftest import NODES
from tests.service.market import Market, open_market, state_of, write_style_adapter

ROWS = 2
STEPS = 100
"""The most: of the pictures that are to be ended in the middle."""
PATIENCE_S = 240.0
"""For processes to start; those that draw are much faster."""


@pytest.fixture(scope="module")
def fleet(ray_address: str, database_url: str) -> Iterator[Fleet]:
    settings = Settings(
        engine="ray",
        ray_address=ray_address,
        ray_replicas=NODES,
        ray_gpus=0.0,
        device="cpu",
        max_rows=ROWS,
        num_threads=1,
    )
    with open_fleet(settings, database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
async def market(fleet: Fleet, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path_factory.mktemp("market"), draws=fleet.engine) as opened:
        yield opened


@pytest.fixture(scope="module")
def spec(market: Market) -> BaseSpec:
    return base_spec("tiny", folder=market.settings.configs / "bases")


@pytest.fixture(scope="module")
async def engine(fleet: Fleet, spec: BaseSpec) -> FleetEngine:
    """Open on every replica."""
    opened = await asyncio.to_thread(fleet.engine, spec)
    await all_open(fleet)
    return opened


@pytest.fixture(scope="module")
def styles(market: Market, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    folder = tmp_path_factory.mktemp("styles")
    paths = [folder / f"style-{number}.safetensors" for number in range(4)]
    for number, path in enumerate(paths, 1):
        write_style_adapter(market.settings.configs, path, seed=number)
    return [AdapterRef(path=path, sha256=file_sha256(path)) for path in paths]


def asked(name: str, *adapters: AdapterRef, steps: int = 6, seed: int = 3) -> ImageRequest:
    return ImageRequest(id=name, base="tiny", prompt="an apple", seed=seed, steps=steps, adapters=adapters)


def never() -> None:
    return None


async def all_open(fleet: Fleet) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(fleet.drawing()) < NODES:
            await asyncio.sleep(0.1)


def place_of(fleet: Fleet, name: str) -> str:
    """The replica that draws a picture."""
    [found] = [replica for replica, pictures in fleet.drawing().items() if name in pictures]
    return found


async def draw(fleet: Fleet, engine: FleetEngine, request: ImageRequest) -> tuple[Picture, str]:
    """A picture, and the replica that drew it."""
    places: set[str] = set()
    end = engine.submit(request, stop=never, on_step=lambda step: places.add(place_of(fleet, request.id)))
    picture = await asyncio.wait_for(asyncio.wrap_future(end), PATIENCE_S)
    assert isinstance(picture, Picture)
    [place] = places
    return picture, place


async def test_the_same_seed_gives_the_same_picture_as_in_one_process(fleet, engine, spec, styles):
    request = asked("same", styles[0])
    steps: list[Step] = []

    picture = await asyncio.wrap_future(engine.submit(request, stop=never, on_step=steps.append))

    with Engine(spec, max_rows=ROWS) as alone:
        other = alone.submit(request, stop=never).result(PATIENCE_S)
    assert isinstance(picture, Picture)
    assert picture.png == other.png
    assert [step.index for step in steps] == [1, 2, 3, 4, 5, 6]
    assert any(step.preview is not None for step in steps)
    assert picture.receipt["adapters"] == other.receipt["adapters"]


async def test_an_adapters_pictures_go_to_one_replica_until_its_queue_is_too_long(fleet, engine, styles):
    places = [(await draw(fleet, engine, asked(f"one by one {number}", styles[1])))[1] for number in range(4)]
    assert len(set(places)) == 1
    many = [asked(f"at once {number}", styles[1], steps=30) for number in range(6 * ROWS)]

    drawn = await asyncio.gather(*(draw(fleet, engine, request) for request in many))

    busy = [place for _, place in drawn]
    assert places[0] in busy
    assert len(set(busy)) == NODES
    assert max(busy.count(place) for place in set(busy)) <= 4 * ROWS


async def test_what_cannot_be_made_is_refused_as_by_one_engine(engine, styles, tmp_path: Path):
    with pytest.raises(InvalidRequest, match="choose 1 to"):
        engine.submit(asked("too many steps", steps=1000), stop=never)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(styles[0].path.read_bytes()[:-8])
    wrong = AdapterRef(path=damaged, sha256=file_sha256(damaged))
    with pytest.raises(AdapterRefused):
        await asyncio.wrap_future(engine.submit(asked("damaged", wrong), stop=never))
    gone = replace(styles[0], path=tmp_path / "gone", sha256="0" * 64)
    with pytest.raises(AdapterRefused, match="gone"):
        await asyncio.wrap_future(engine.submit(asked("gone", gone), stop=never))


async def test_a_picture_that_the_worker_stops_ends_with_its_reason(engine, styles):
    steps: list[Step] = []

    def stop() -> str | None:
        return "canceled" if len(steps) == 3 else None

    end = await asyncio.wrap_future(
        engine.submit(asked("stopped", styles[0], steps=STEPS), stop=stop, on_step=steps.append)
    )

    assert isinstance(end, Stopped)
    assert end.reason == "canceled"
    assert len(steps) == 3


async def test_nothing_is_handed_on_that_was_stopped_when_it_was_all_but_done(engine, styles):
    async def stopped_at_the_end(number: int) -> Result:
        steps: list[Step] = []

        def stop() -> str | None:
            return "withdrawn" if steps and steps[-1].index == steps[-1].total else None

        request = asked(f"all but done {number}", styles[0])
        return await asyncio.wrap_future(engine.submit(request, stop=stop, on_step=steps.append))

    ends = await asyncio.gather(*(stopped_at_the_end(number) for number in range(8)))

    assert {(type(end), getattr(end, "reason", "")) for end in ends} == {(Stopped, "withdrawn")}


async def test_off_stops_a_picture_though_no_word_of_it_reaches_the_replica(market: Market, fleet, engine, monkeypatch):
    # The worker learns nothing and says nothing: what stops the pictures is the replicas' own watch.
    monkeypatch.setattr(Job, "must_stop", lambda job: None)
    steps, hear = [0], Job.hear
    monkeypatch.setattr(Job, "hear", lambda job, heard: (steps.append(heard.index), hear(job, heard)))
    client = await market.client()
    # So many that a quick machine makes few steps of each in the time of a lease.
    order = (await market.order(client, wait=0, steps=STEPS, size=[64, 64], count=8)).json()
    async with asyncio.timeout(PATIENCE_S):
        while max(steps) < 2:
            await asyncio.sleep(0.01)

    await market.switch("off")
    off_s = time.monotonic()

    ended = await state_of(client, order["id"], wanted="withdrawn", within_s=PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        while any(fleet.drawing().values()):
            await asyncio.sleep(0.01)
    took_s = time.monotonic() - off_s
    assert ended["outputs"] == []
    # The lease, a step, and what a busy machine adds. They were far from done.
    assert took_s < 5.0
    assert max(steps) < STEPS / 2
    assert await market.ledger_problems() == []
    assert await market.nothing_pending()
    await market.switch("live")


async def test_a_forgotten_adapter_ends_its_pictures_and_is_read_anew_afterwards(fleet, engine, styles):
    steps: list[Step] = []
    end = engine.submit(asked("forgotten", styles[2], steps=STEPS), stop=never, on_step=steps.append)
    other = engine.submit(asked("other", styles[3], steps=20), stop=never)
    while not steps:
        await asyncio.sleep(0.02)

    engine.forget(styles[2].sha256)

    ended = await asyncio.wait_for(asyncio.wrap_future(end), PATIENCE_S)
    assert isinstance(ended, Stopped)
    assert ended.reason == "forgotten"
    assert isinstance(await asyncio.wrap_future(other), Picture)
    assert isinstance((await draw(fleet, engine, asked("again", styles[2])))[0], Picture)


async def test_a_fleet_becomes_smaller_without_ending_a_picture(fleet, engine, styles):
    requests = [asked(f"stays {number}", style, steps=STEPS) for number, style in enumerate(styles * 2)]
    ends = [asyncio.wrap_future(engine.submit(request, stop=never)) for request in requests]
    async with asyncio.timeout(PATIENCE_S):
        while not all(fleet.drawing().values()):
            await asyncio.sleep(0.01)

    fleet.resize(NODES - 1)

    assert {type(end) for end in await asyncio.gather(*ends)} == {Picture}
    async with asyncio.timeout(PATIENCE_S):
        while len(fleet.drawing()) > NODES - 1:
            await asyncio.sleep(0.05)
    # The one that is missing now comes while the next test goes on.
    fleet.resize(NODES)


async def test_a_killed_replicas_pictures_go_on_elsewhere_as_the_same_pictures(fleet, engine, styles):
    request = replace(asked("goes on", styles[0], steps=STEPS), width=64, height=64)
    undisturbed, _ = await draw(fleet, engine, replace(request, id="undisturbed"))
    steps: list[Step] = []
    end = engine.submit(request, stop=never, on_step=steps.append)
    # Until it was written down where it stands for a second time.
    while not steps or steps[-1].halfway is steps[0].halfway:
        assert not end.done()
        await asyncio.sleep(0.02)
    first = place_of(fleet, request.id)

    kill(fleet, first)

    picture = await asyncio.wait_for(asyncio.wrap_future(end), PATIENCE_S)
    assert isinstance(picture, Picture)
    assert picture.png == undisturbed.png
    indexes = [step.index for step in steps]
    [back] = [after for before, after in pairwise(indexes) if after <= before] or [None]
    # It went on from where it was written down, not from its beginning.
    assert back is None or back > 1
    assert indexes[-1] == STEPS
    # Another one takes the dead one's place.
    await all_open(fleet)
    assert first not in fleet.drawing()


def kill(fleet: Fleet, name: str) -> None:
    """As a machine that goes away would."""
    [member] = [member for member in fleet._members if member.name == name]
    ray.kill(member.actor)


async def test_an_order_is_drawn_by_the_fleet_and_sealed_here(market: Market):
    client = await market.client()

    answer = await market.order(client, count=3)

    assert answer.json()["state"] == "settled"
    assert len(answer.json()["outputs"]) == 3
    assert await market.ledger_problems() == []
