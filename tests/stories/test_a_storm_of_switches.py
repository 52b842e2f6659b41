"""Off is pressed wherever a picture can be, a thousand times, and half of the notices of it are lost.

A picture asks whether it may go on before every step, between the sub-blocks of a step, before it is decoded, enlarged
and handed over. At the n-th of these questions the creator presses off, over the API, while the engine goes on; beside
it a picture in another creator's style is drawn in the same steps.
"""

import asyncio
import gc
import io
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.catalog import BaseSpec
from inference.engine import Engine
from inference.fairness import Turn
from inference.messages import ImageRequest, Picture, Result, Step
from service.settings import ROOT
from service.watch import Watch
from tests.benchmarks.figures import Figure, as_document, write
from tests.service.market import (
    PRICE,
    Market,
    Person,
    open_market,
    prepaid,
    publish_style,
    read_events,
    write_style_adapter,
)
from tests.stories.test_switch_off_while_denoising import end_of

PRESSES, PRESSES_LONG = 24, 1000
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "storm.json"
STEPS = 6
CENTS = 10_000_000
ROUNDED = 4
"""Levels of 255 that an enlarged picture may differ by: sums in other batches are rounded otherwise."""
LOST_S = 0.5
"""By how much later a picture may stop when nobody was told: the lease."""


@dataclass(kw_only=True)
class Drawing:
    """One picture in the engine, as the storm sees it."""

    seed: int
    questions: int = 0
    steps_s: list[float] = field(default_factory=list)
    ended_s: float = 0.0
    picture: Picture | None = None


class Storm:
    """Says when to press, loses notices, and keeps what every picture did. Of the engine's thread and the test's."""

    def __init__(self) -> None:
        self.press_at: int | None = None
        self.pressed: asyncio.Event | None = None
        self.loses = False
        self.lost = False
        self.drawings: dict[int, Drawing] = {}
        self._loop = asyncio.get_running_loop()

    def arm(self, question: int | None, *, loses: bool) -> asyncio.Event:
        self.press_at, self.pressed, self.loses, self.lost, self.drawings = question, asyncio.Event(), loses, False, {}
        return self.pressed

    def asked(self, drawing: Drawing) -> None:
        """The picture of the creator who will press asks whether it may go on."""
        if drawing.questions == self.press_at:
            self._press(drawing)
        drawing.questions += 1

    def ended(self, drawing: Drawing) -> None:
        """It is handed over and not yet sold. How often it asks differs a little: then off is pressed here."""
        self._press(drawing)

    def _press(self, drawing: Drawing) -> None:
        # The picture of an earlier press may end a little later than its order.
        if self.pressed is not None and drawing is self.drawings.get(VICTIM):
            self._loop.call_soon_threadsafe(self.pressed.set)


class StormyEngine(Engine):
    """The real engine, watched."""

    def __init__(self, spec: BaseSpec, storm: Storm) -> None:
        super().__init__(spec, max_rows=4)
        self._storm = storm

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        within_s: float | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        drawing = self._storm.drawings.setdefault(request.seed, Drawing(seed=request.seed))

        def stops() -> str | None:
            if request.seed == VICTIM:
                self._storm.asked(drawing)
            return stop()

        def heard(step: Step) -> None:
            drawing.steps_s.append(time.perf_counter())
            if on_step is not None:
                on_step(step)

        def ended(future: "Future[Result]") -> None:
            drawing.ended_s = time.perf_counter()
            result = future.result()
            drawing.picture = result if isinstance(result, Picture) else None
            if request.seed == VICTIM:
                self._storm.ended(drawing)

        future = super().submit(request, stop=stops, on_step=heard, turn=turn, within_s=within_s, halfway=halfway)
        future.add_done_callback(ended)
        return future


VICTIM, NEIGHBOUR = 7, 8
"""Seeds, by which the engine's pictures are told apart."""


@dataclass(frozen=True, kw_only=True)
class Press:
    """What one press did. Times in seconds after `off` had answered; negative: before."""

    lost: bool
    was_sold: bool
    """The picture had been sold before off answered."""
    stopped_s: float
    steps_after: int
    """Steps that ended after off had answered: the one it was in, and what more. A picture that waits for an answer of
    the database makes none."""
    step_s: float
    leaked: int
    """Outputs, previews or cents that could be had after off had answered."""
    changed: int
    """Most levels of 255 by which the neighbour's picture differs from that of the undisturbed run."""
    was_drawn_to_the_end: bool
    """Though nobody could have it any more."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A market with two creators and their clients."""

    market: Market
    storm: Storm
    other_style: str
    client: Person
    neighbour: Person


@pytest.fixture
async def stage(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    torch.set_num_threads(1)
    storm, hear = Storm(), Watch._hear

    def hear_perhaps(watch: Watch, *notice: object) -> None:
        storm.lost = storm.loses
        if not storm.loses:
            hear(watch, *notice)

    monkeypatch.setattr(Watch, "_hear", hear_perhaps)
    async with open_market(
        database_url,
        tmp_path,
        base="openicons",
        draws=lambda spec: StormyEngine(spec, storm),
        requests_per_minute=100_000,
    ) as market:
        other = await market.person("creator")
        adapter = write_style_adapter(ROOT / "configs", tmp_path / "other.safetensors", base="openicons", seed=2)
        style_id = await publish_style(
            market.gateway, other, adapter, base="openicons", name="Quiet Pears", summary="Soft and quiet"
        )
        client, neighbour = await market.client(cents=CENTS), await market.client(cents=CENTS)
        # As the processes do when they have started: else a search for garbage stops everything for some steps.
        gc.freeze()
        yield Stage(market=market, storm=storm, other_style=style_id, client=client, neighbour=neighbour)
        gc.unfreeze()


async def begin(stage: Stage) -> tuple[str, str]:
    """Two orders that are drawn together: the one that will be stopped, and its neighbour."""
    asked = {"wait": 0, "steps": STEPS}
    mine, other = await asyncio.gather(
        stage.market.order(stage.client, seed=VICTIM, **asked),
        stage.market.order(stage.neighbour, seed=NEIGHBOUR, style=stage.other_style, **asked),
    )
    assert (mine.status_code, other.status_code) == (201, 201), (mine.text, other.text)
    return mine.json()["id"], other.json()["id"]


async def press(stage: Stage, question: int, *, loses: bool, reference: np.ndarray) -> Press:
    """Press off at one question of a picture, and see what happens to it and beside it."""
    free_before, _ = await prepaid(stage.client)
    pressed = stage.storm.arm(question, loses=loses)
    order_id, other_id = await begin(stage)
    await asyncio.wait_for(pressed.wait(), 60)

    change = await stage.market.switch("off")
    answered_s = time.perf_counter()

    told = (await stage.client.http.get(f"/v1/generations/{order_id}")).json()
    other = await end_of(stage.neighbour, other_id)
    end = await end_of(stage.client, order_id)
    free, held = await prepaid(stage.client)
    await stage.market.switch("live")
    mine, beside = stage.storm.drawings[VICTIM], stage.storm.drawings[NEIGHBOUR]
    was_sold = told["state"] == "settled"
    assert change["voided"] == (not was_sold)
    assert other["state"] == "settled"
    assert held == 0
    assert beside.picture is not None
    gone = free_before - free - (PRICE if was_sold else 0)
    late_outputs = 0 if was_sold else len(end["outputs"]) + len(told["outputs"])
    events = read_events((await stage.client.http.get(f"/v1/generations/{order_id}/events")).text)
    late_previews = 0 if was_sold else sum("preview" in data for _, data in events) + (events[-1][0] != "withdrawn")
    return Press(
        lost=stage.storm.lost,
        was_sold=was_sold,
        stopped_s=mine.ended_s - answered_s,
        steps_after=sum(ended_s > answered_s for ended_s in mine.steps_s),
        step_s=float(statistics.median(np.diff(beside.steps_s))),
        leaked=abs(gone) + late_outputs + late_previews + (end["state"] != told["state"]),
        changed=int(np.abs(pixels(beside.picture) - reference).max()),
        was_drawn_to_the_end=mine.picture is not None and not was_sold,
    )


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"), dtype=int)


@pytest.mark.parametrize("presses", [PRESSES, pytest.param(PRESSES_LONG, marks=pytest.mark.long)])
async def test_nothing_leaves_and_nothing_is_charged_after_off(stage: Stage, presses: int):
    stage.storm.arm(None, loses=False)
    order_id, other_id = await begin(stage)
    assert (await end_of(stage.client, order_id))["state"] == "settled"
    assert (await end_of(stage.neighbour, other_id))["state"] == "settled"
    whole = stage.storm.drawings[VICTIM].questions
    alone = stage.storm.drawings[NEIGHBOUR].picture
    assert whole > 2 * STEPS
    assert alone is not None
    deal = random.Random(presses)
    # In turn where there are enough presses for every question of a picture, else all over it.
    questions = itertools.islice(itertools.cycle(deal.sample(range(whole), min(whole, presses))), presses)

    done, early = [], []
    for number, question in enumerate(questions):
        done.append(await press(stage, question, loses=number % 2 == 1, reference=pixels(alone)))
        if question < whole / 2 and not done[-1].lost:
            early.append(done[-1])

    if presses == PRESSES_LONG:
        document = as_document("storm", as_figures(done, whole), seed=presses, now=datetime.now(UTC))
        write(RESULTS, document)
    assert sum(one.leaked for one in done) == 0
    assert max(one.changed for one in done) <= ROUNDED
    assert sum(one.lost for one in done) >= presses / 3, "a notice that is never lost proves nothing"
    assert sum(one.was_sold for one in done) < presses / 2, "pictures that were sold before prove nothing"
    assert sum(one.was_drawn_to_the_end for one in early) <= len(early) / 4, "the engine did not heed it"
    assert await stage.market.nothing_pending()
    assert await stage.market.ledger_problems() == []


def as_figures(done: Sequence[Press], questions: int) -> list[Figure]:
    told, lost = ([one for one in done if not one.was_sold and one.lost == is_lost] for is_lost in (False, True))
    in_steps = [max(one.stopped_s, 0.0) / one.step_s for one in told]
    over_a_step = [max(one.stopped_s, 0.0) - one.step_s for one in lost]
    return [
        Figure(name="off pressed while a picture was made", value=len(done), unit="times", goal=PRESSES_LONG),
        Figure(name="places in a picture at which it was pressed", value=questions, unit="places"),
        Figure(name="sold before off answered", value=sum(one.was_sold for one in done), unit="pictures"),
        Figure(
            name="delivered, shown or charged after off answered",
            value=sum(one.leaked > 0 for one in done),
            unit="pictures",
            goal=0,
            at_most=True,
        ),
        Figure(
            name="stopped after off answered, middle",
            value=statistics.median(in_steps),
            unit="steps",
            goal=0.25,
            at_most=True,
        ),
        Figure(name="stopped after off answered, latest", value=max(in_steps), unit="steps", goal=1.0, at_most=True),
        Figure(
            name="steps ended after off answered, most",
            value=max(one.steps_after for one in told),
            unit="steps",
            goal=1,
            at_most=True,
        ),
        Figure(
            name="stopped more than a step after off answered",
            value=sum(one > 1 for one in in_steps),
            unit=f"of {len(in_steps)}",
        ),
        Figure(name="notices lost", value=sum(one.lost for one in done), unit="notices"),
        Figure(
            name="notice lost: stopped later than a step, latest",
            value=max(over_a_step),
            unit="s",
            goal=LOST_S,
            at_most=True,
        ),
        Figure(
            name="neighbours' enlarged pictures changed, at most",
            value=max(one.changed for one in done),
            unit="of 255",
            goal=ROUNDED,
            at_most=True,
        ),
        Figure(name="a step", value=statistics.median(one.step_s for one in done), unit="s"),
    ]
