"""A picture that is half made goes on elsewhere or later, as the picture it would have been."""

import logging
import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from inference.catalog import SAMPLERS, BaseSpec, base_spec
from inference.engine import Engine
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Step, Stopped
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.test_engine import ENDINGS, asked, half_mask, make, never, pixels, png
from tests.inference.tiny_base import write_tiny_base

LEAVES_AFTER = 3
GUEST, HOST = Turn(client="guest", priority=1), Turn(client="host")


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> BaseSpec:
    """A base that every sampler can start from."""
    return base_spec(str(write_tiny_base(tmp_path_factory.mktemp("any_sampler"), zero_snr=False)))


@pytest.fixture(scope="module")
def engine(spec):
    with Engine(spec, max_rows=1) as running:
        yield running


@pytest.fixture(scope="module")
def other_engine(spec):
    """As another process would open it."""
    with Engine(spec, max_rows=4) as running:
        yield running


@pytest.fixture(scope="module")
def style(spec, tmp_path_factory) -> AdapterRef:
    from inference.bases.sd import StableDiffusion

    adapter = random_adapter(StableDiffusion(spec).unet, ENDINGS, seed=1, rank=4)
    return write_adapter(tmp_path_factory.mktemp("styles") / "style.safetensors", adapter)


def leave(engine: Engine, request: ImageRequest, *, after: int = LEAVES_AFTER) -> bytes:
    """Draw a request until it was told to stop; what was written down of it."""
    heard: list[Step] = []

    def stop() -> str | None:
        return "closing" if len(heard) == after else None

    assert isinstance(engine.submit(request, stop=stop, on_step=heard.append).result(60), Stopped)
    return heard[-1].halfway()


def take_up(engine: Engine, request: ImageRequest, halfway: bytes) -> tuple[Picture, list[int]]:
    """The picture, and the steps that were told of it."""
    told: list[int] = []
    drawn = engine.submit(request, stop=never, on_step=lambda step: told.append(step.index), halfway=halfway).result(60)
    assert isinstance(drawn, Picture)
    return drawn, told


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_another_engine_goes_on_where_one_left_a_picture(engine, other_engine, style, sampler):
    request = asked(adapters=(style,), sampler=sampler, steps=8, seed=11)
    whole = make(other_engine, request)

    drawn, told = take_up(other_engine, request, leave(engine, request))

    assert np.array_equal(pixels(drawn), pixels(whole))
    assert told == list(range(LEAVES_AFTER, told[-1] + 1)), "no step is made twice"


@pytest.mark.parametrize(
    "change", [{"image": png("red"), "strength": 0.8}, {"image": png("red"), "mask": half_mask(), "strength": 0.9}]
)
def test_a_variation_and_a_redo_go_on_too(engine, other_engine, change):
    request = asked(steps=10, sampler="euler_a", **change)

    drawn, _ = take_up(other_engine, request, leave(engine, request))

    assert np.array_equal(pixels(drawn), pixels(make(other_engine, request)))


def test_a_picture_that_only_had_to_be_decoded_is_decoded(engine, other_engine):
    request = asked(steps=5)

    drawn, told = take_up(other_engine, request, leave(engine, request, after=5))

    assert told == [5]
    assert np.array_equal(pixels(drawn), pixels(make(other_engine, request)))


def swapped(content: bytes, **changes: torch.Tensor) -> bytes:
    return save(load(content) | changes)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda content: content[:40], "it is damaged"),
        (lambda content: swapped(content, draws=torch.zeros(32, dtype=torch.uint8)), "of another picture"),
        (lambda content: swapped(content, index=torch.tensor(99)), "step 99 of 8 cannot look"),
        (lambda content: swapped(content, latent=torch.zeros(4, 2, 2)), "cannot look as it does"),
    ],
)
def test_what_cannot_be_gone_on_from_is_said_and_the_picture_begins_anew(engine, other_engine, caplog, spoil, why):
    request = asked(steps=8)
    spoilt = spoil(leave(engine, request))

    with caplog.at_level(logging.WARNING, "ownhand.engine"):
        drawn, told = take_up(other_engine, request, spoilt)

    assert told == list(range(1, 9))
    assert np.array_equal(pixels(drawn), pixels(make(other_engine, request)))
    assert why in caplog.text


@pytest.mark.parametrize("change", [{"seed": 2}, {"prompt": "a pear"}, {"guidance": 2.0}, {"steps": 9}])
def test_nobody_goes_on_from_a_picture_of_something_else(engine, other_engine, change, caplog):
    halfway = leave(engine, asked(steps=8))
    other = asked(**{"steps": 8, **change})

    drawn, told = take_up(other_engine, other, halfway)

    assert told[0] == 1
    assert np.array_equal(pixels(drawn), pixels(make(other_engine, other)))
    assert "of another picture" in caplog.text


class Guests:
    """Submits one request of higher priority when a picture has made so many steps."""

    def __init__(self, engine: Engine, request: ImageRequest, *, turn: Turn, at: int) -> None:
        self.told: list[int] = []
        self.future: Future | None = None
        self._engine, self._request, self._turn, self._at = engine, request, turn, at

    def __call__(self, step: Step) -> None:
        self.told.append(step.index)
        if step.index == self._at and self.future is None:
            self.future = self._engine.submit(self._request, stop=never, turn=self._turn)


def test_who_has_a_lower_priority_makes_room_and_loses_no_step(engine, style):
    host, guest = asked("host", steps=20, sampler="euler_a", adapters=(style,)), asked("guest", steps=4, seed=5)
    guests = Guests(engine, guest, turn=GUEST, at=6)
    ended: list[str] = []

    first = engine.submit(host, stop=never, on_step=guests, turn=HOST)
    first.add_done_callback(lambda _: ended.append("host"))
    drawn = first.result(60)
    assert guests.future is not None
    other = guests.future.result(60)

    assert ended == ["host"]
    assert guests.told == list(range(1, 21)), "each step once, in order"
    assert np.array_equal(pixels(drawn), pixels(make(engine, host)))
    assert np.array_equal(pixels(other), pixels(make(engine, guest)))


def test_a_guest_is_finished_before_its_host_goes_on(engine):
    steps: list[str] = []
    guest_came = threading.Event()

    def hear(name: str, step: Step) -> None:
        steps.append(name)
        if name == "host" and step.index == 3 and not guest_came.is_set():
            guest_came.set()
            engine.submit(asked("guest", steps=4), stop=never, on_step=lambda s: hear("guest", s), turn=GUEST)

    engine.submit(asked("host", steps=9), stop=never, on_step=lambda s: hear("host", s), turn=HOST).result(60)

    assert steps == ["host"] * 3 + ["guest"] * 4 + ["host"] * 6


def test_nobody_makes_room_for_an_equal(engine):
    guests = Guests(engine, asked("equal", steps=2), turn=Turn(client="another"), at=2)

    first = engine.submit(asked("first", steps=8), stop=never, on_step=guests, turn=HOST)
    first.result(60)

    assert guests.future is not None
    assert not guests.future.done()
    assert isinstance(guests.future.result(60), Picture)


def test_only_as_many_make_room_as_must(spec):
    # Two places and two that are drawn: the one with more steps left leaves.
    told: list[str] = []
    with Engine(spec, max_rows=2, max_questions=100) as engine:

        def hear(name: str, step: Step) -> None:
            told.append(name)
            if name == "long" and step.index == 1:
                engine.submit(asked("guest", steps=3), stop=never, on_step=lambda s: hear("guest", s), turn=GUEST)

        futures = [
            engine.submit(asked("short", steps=6), stop=never, on_step=lambda s: hear("short", s), turn=HOST),
            engine.submit(asked("long", steps=12), stop=never, on_step=lambda s: hear("long", s), turn=HOST),
        ]
        assert all(isinstance(future.result(60), Picture) for future in futures)

    during = told[told.index("guest") : len(told) - told[::-1].index("guest")]
    assert "short" in during
    assert "long" not in during


def test_who_made_room_can_be_stopped_while_it_waits(engine):
    is_withdrawn = threading.Event()

    def withdraw(_: Step) -> None:
        is_withdrawn.set()

    def hear(step: Step) -> None:
        if step.index == 2:
            engine.submit(asked("guest", steps=6), stop=never, on_step=withdraw, turn=GUEST)

    host = engine.submit(
        asked("host", steps=9), stop=lambda: "withdrawn" if is_withdrawn.is_set() else None, on_step=hear, turn=HOST
    )

    assert host.result(60) == Stopped(request_id="host", reason="withdrawn", step=2)


def test_an_estimate_reckons_with_those_who_make_room(spec):
    gate, begun = threading.Event(), threading.Event()

    def hold(_: Step) -> None:
        begun.set()
        gate.wait(30)

    with Engine(spec, max_rows=1) as engine:
        first = engine.submit(asked(steps=50), stop=never, on_step=hold, turn=HOST)
        assert begun.wait(30)

        of_host, of_guest = (engine.estimate(asked(), turn=turn).begins_s for turn in (HOST, GUEST))
        gate.set()
        assert isinstance(first.result(60), Picture)

    assert of_guest == 0 < of_host
