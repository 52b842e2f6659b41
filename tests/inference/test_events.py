"""A picture heard of event by event: its steps, then one end; who stops listening ends it."""

import asyncio
from contextlib import aclosing

import pytest

from inference.engine import Engine
from inference.errors import AdapterRefused, EngineClosed, InvalidRequest
from inference.events import UNHEARD, submit
from inference.messages import AdapterRef, ImageRequest, Picture, Step, Stopped

STEPS = 12


def never() -> None:
    return None


def request_of(seed: int = 1, **more) -> ImageRequest:
    return ImageRequest(**({"id": str(seed), "base": "tiny", "prompt": "a hat", "seed": seed, "steps": STEPS} | more))


@pytest.fixture
def engine(tiny_spec):
    with Engine(tiny_spec, max_rows=2) as engine:
        yield engine


async def test_every_step_is_heard_and_then_the_picture(engine):
    heard = [event async for event in submit(engine, request_of(), stop=never)]

    *steps, end = heard
    assert [step.index for step in steps] == list(range(1, STEPS + 1))
    assert isinstance(end, Picture)
    assert any(step.preview for step in steps)
    assert end.png == engine.submit(request_of(), stop=never).result(60).png


async def test_pictures_are_heard_of_side_by_side(engine):
    async def count(seed: int) -> tuple[int, str]:
        heard = [event async for event in submit(engine, request_of(seed), stop=never)]
        return len(heard), heard[-1].request_id

    assert await asyncio.gather(*(count(seed) for seed in range(5))) == [(STEPS + 1, str(seed)) for seed in range(5)]


async def test_who_stops_listening_ends_the_picture(engine):
    ends, asked = [], []

    async with aclosing(submit(_Watched(engine, ends), request_of(), stop=lambda: asked.append(1))) as events:
        async for event in events:
            assert isinstance(event, Step)
            break

    end = await asyncio.wrap_future(ends[0])
    assert isinstance(end, Stopped)
    assert end.reason == UNHEARD
    assert asked, "its own stop function is asked first"


async def test_who_is_cancelled_while_listening_ends_the_picture(engine):
    ends, begun = [], asyncio.Event()

    async def listen() -> None:
        async for _ in submit(_Watched(engine, ends), request_of(steps=100), stop=never):
            begun.set()

    task = asyncio.create_task(listen())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    end = await asyncio.wrap_future(ends[0])
    assert isinstance(end, Stopped)
    assert end.step < 100


async def test_a_reason_to_stop_is_heard_as_the_end(engine):
    heard = []

    async for event in submit(engine, request_of(), stop=lambda: "withdrawn" if heard else None):
        heard.append(event)

    *steps, end = heard
    assert all(isinstance(step, Step) for step in steps)
    assert end == Stopped(request_id="1", reason="withdrawn", step=end.step)
    assert 1 <= end.step < STEPS


async def test_what_cannot_be_made_is_raised(engine, tmp_path):
    with pytest.raises(InvalidRequest, match="prompt is empty"):
        await anext(submit(engine, request_of(prompt=" "), stop=never))
    missing = AdapterRef(path=tmp_path / "none.safetensors", sha256="0" * 64)
    with pytest.raises(AdapterRefused):
        await anext(submit(engine, request_of(adapters=(missing,)), stop=never))
    engine.close()
    with pytest.raises(EngineClosed):
        await anext(submit(engine, request_of(), stop=never))


class _Watched:
    """The engine, and the futures that it gave."""

    def __init__(self, engine: Engine, ends: list) -> None:
        self._engine, self._ends = engine, ends

    def submit(self, *args, **options):
        self._ends.append(self._engine.submit(*args, **options))
        return self._ends[-1]
