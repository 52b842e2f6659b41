"""Thousands of requests of every sort, sound, broken, stopped, cancelled: each ends once, and memory stays flat."""

import gc
import random
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Semaphore
from typing import Any

import psutil
import pytest
import torch

from inference.adapters.stack import LayerChange
from inference.bases.sd import StableDiffusion
from inference.catalog import SAMPLERS, BaseSpec
from inference.engine import Engine
from inference.errors import AdapterRefused, ImageRefused, InvalidRequest, PictureFailed, WrongBase
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Result, Step, Stopped
from tests.benchmarks.figures import Figure, as_document, write
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.test_engine import half_mask, png

REQUESTS, REQUESTS_LONG = 300, 10_000
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "mixed.json"
WAITING = 64
"""At most; a cancelled one may still be in the line for a step."""
ADAPTERS = 24
GROWTH = 0.05
"""Share by which memory may grow after the first fifth: what is made once is made by then."""
ENDINGS = ("to_q", "to_v", "conv1")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request, how it is treated, and the ends that are right for it."""

    request: ImageRequest
    ends: tuple[type, ...]
    kind: str = ""
    stop_at: int | None = None
    """The question at which its stop says so."""
    cancel: bool = False
    listener: Callable[[Step], None] | None = None


class Deal:
    """Deals out requests by chance; the same seed deals the same ones."""

    def __init__(self, spec: BaseSpec, folder: Path, *, seed: int) -> None:
        self._pick = random.Random(seed)
        base = StableDiffusion(spec)
        self._samplers = [name for name in SAMPLERS if can_draw(base, name)]
        sound = [random_adapter(base.unet, ENDINGS, seed=n, rank=1 + n % 9) for n in range(ADAPTERS)]
        self._adapters = [write_adapter(folder / f"{n}.safetensors", one) for n, one in enumerate(sound)]
        self._broken = write_broken_adapters(sound[0], folder)
        self._kinds: list[tuple[str, Callable[[ImageRequest], Case]]] = [
            *[("plain", self._sound)] * 6,
            *[("variation", self._variation)] * 2,
            *[("redo of a part", self._redo)] * 2,
            *[("stopped", self._stopped)] * 2,
            *[("cancelled", self._cancelled)] * 2,
            ("broken adapter", self._broken_adapter),
            ("broken picture", self._broken_picture),
            ("broken listener", self._broken_listener),
            ("impossible", self._impossible),
        ]

    def case(self, number: int) -> Case:
        pick = self._pick
        request = ImageRequest(
            id=f"{number}",
            base="tiny",
            prompt=pick.choice(("an apple", "a long story " * 40, "two boats", "ein Haus")),
            negative_prompt=pick.choice(("", "blur")),
            seed=pick.randrange(2**40),
            adapters=tuple(
                replace(pick.choice(self._adapters), strength=pick.uniform(-1, 1)) for _ in range(pick.randrange(3))
            ),
            width=pick.choice((None, 32, 40)),
            height=pick.choice((None, 32, 40)),
            steps=pick.randint(1, 4),
            guidance=pick.choice((None, 1.0, 3.0)),
            sampler=pick.choice((None, *self._samplers)),
        )
        kind, make = pick.choice(self._kinds)
        return replace(make(request), kind=kind)

    def _sound(self, request: ImageRequest) -> Case:
        return Case(request=request, ends=(Picture,))

    def _variation(self, request: ImageRequest) -> Case:
        changed = replace(request, image=png("red", 50), strength=self._pick.uniform(0, 1))
        return Case(request=changed, ends=(Picture,))

    def _redo(self, request: ImageRequest) -> Case:
        changed = replace(request, image=png("blue"), mask=half_mask(), strength=1.0)
        return Case(request=changed, ends=(Picture,))

    def _stopped(self, request: ImageRequest) -> Case:
        # It may be finished before it is asked so often.
        return Case(request=request, ends=(Stopped, Picture), stop_at=self._pick.randrange(40))

    def _cancelled(self, request: ImageRequest) -> Case:
        return Case(request=request, ends=(CancelledError, Stopped, Picture), cancel=True)

    def _broken_adapter(self, request: ImageRequest) -> Case:
        ref, ends = self._pick.choice(self._broken)
        return Case(request=replace(request, adapters=(*request.adapters[:1], ref)), ends=ends)

    def _broken_picture(self, request: ImageRequest) -> Case:
        content = self._pick.choice((b"", b"no picture", png("red")[:60]))
        return Case(request=replace(request, image=content, strength=0.5), ends=(ImageRefused,))

    def _broken_listener(self, request: ImageRequest) -> Case:
        def listener(_: Step) -> None:
            raise RuntimeError("the listener broke")

        return Case(request=request, ends=(RuntimeError,), listener=listener)

    def _impossible(self, request: ImageRequest) -> Case:
        changes: Sequence[dict[str, Any]] = (
            {"prompt": " "},
            {"steps": 0},
            {"width": 33},
            {"sampler": "none"},
            {"base": "other"},
            {"mask": half_mask()},
        )
        return Case(request=replace(request, **self._pick.choice(changes)), ends=(InvalidRequest,))


def can_draw(base: StableDiffusion, sampler: str) -> bool:
    """Some samplers cannot start from pure noise, which this base needs."""
    try:
        base.table(sampler, steps=2, width=32, height=32)
    except InvalidRequest:
        return False
    return True


def write_broken_adapters(sound: Any, folder: Path) -> list[tuple[AdapterRef, tuple[type, ...]]]:
    """Files that no picture can be made with, each with its ends."""
    (folder / "garbage").write_bytes(b"no adapter")
    name, change = next(iter(sound.layers.items()))
    wrong = LayerChange(down=change.down[:, :-1], up=change.up)
    misshapen = replace(sound, layers={**sound.layers, name: wrong})
    nowhere = replace(sound, layers={"mid_block.nowhere.to_q": change})
    not_finite = replace(
        sound, layers={key: replace(one, up=torch.full_like(one.up, torch.nan)) for key, one in sound.layers.items()}
    )
    refused = (AdapterRefused,)
    return [
        (AdapterRef(path=folder / "missing", sha256="00"), refused),
        (AdapterRef(path=folder / "garbage", sha256="00"), refused),
        (replace(write_adapter(folder / "renamed", sound), sha256="00"), refused),
        (write_adapter(folder / "other base", sound, metadata={"ownhand.base": "other"}), (WrongBase,)),
        (write_adapter(folder / "misshapen", misshapen), refused),
        (write_adapter(folder / "nowhere", nowhere), refused),
        (write_adapter(folder / "not finite", not_finite), (AdapterRefused, PictureFailed)),
    ]


class Ends:
    """How requests ended; told by the engine's thread."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.kinds: Counter[str] = Counter()

    def note(self, case: Case, end: object) -> None:
        self.times[case.request.id] += 1
        self.kinds[f"{case.kind}: {type(end).__name__}"] += 1
        if not isinstance(end, case.ends):
            self.wrong.append(f"{case.kind} {case.request} ended as {end!r}")


def submit(engine: Engine, case: Case, ends: Ends, room: Semaphore) -> "Future[Result] | None":
    """None where it was refused at the door."""
    asked = iter(range(10**9))

    def stop() -> str | None:
        return "withdrawn" if case.stop_at is not None and next(asked) >= case.stop_at else None

    def ended(future: "Future[Result]") -> None:
        room.release()
        ends.note(case, CancelledError() if future.cancelled() else future.exception() or future.result())

    room.acquire()
    try:
        turn = Turn(client=case.request.id[-1], creator=case.request.id[-2:])
        future = engine.submit(case.request, stop=stop, on_step=case.listener, turn=turn)
    except InvalidRequest as error:
        room.release()
        ends.note(case, error)
        return None
    future.add_done_callback(ended)
    return future


@pytest.mark.parametrize("count", [REQUESTS, pytest.param(REQUESTS_LONG, marks=pytest.mark.long)])
def test_every_request_ends_once_and_nothing_is_left(tiny_spec, tmp_path, count):
    deal, ends, room = Deal(tiny_spec, tmp_path, seed=count), Ends(), Semaphore(WAITING)
    pick, memory, process = random.Random(count), [], psutil.Process()
    with Engine(tiny_spec, max_rows=4, max_waiting=2 * WAITING) as engine:
        left: list[Future[Result]] = []
        doomed: list[Future[Result]] = []
        for number in range(count):
            case = deal.case(number)
            future = submit(engine, case, ends, room)
            left = [one for one in (*left, future) if one is not None and not one.done()]
            doomed = [one for one in (*doomed, future if case.cancel else None) if one is not None and not one.done()]
            if doomed and pick.random() < 0.3:
                pick.choice(doomed).cancel()
            memory.append(process.memory_info().rss)
        assert not wait(left, timeout=120).not_done
        still_there = len(engine._running) + len(engine._waiting)

    grown = max(memory[count // 5 :]) / max(memory[: count // 5]) - 1
    if count == REQUESTS_LONG:
        write(RESULTS, as_document("mixed", as_figures(ends, grown, still_there), seed=count, now=datetime.now(UTC)))
    assert ends.wrong == []
    assert len(ends.times) == count
    assert set(ends.times.values()) == {1}
    assert still_there == 0
    assert len({kind.partition(":")[0] for kind in ends.kinds}) == 9, "every kind was dealt"
    if count == REQUESTS_LONG:
        assert grown <= GROWTH


def as_figures(ends: Ends, grown: float, still_there: int) -> list[Figure]:
    lost = sum(times != 1 for times in ends.times.values()) + REQUESTS_LONG - len(ends.times)
    return [
        Figure(name="requests", value=sum(ends.times.values()), unit="requests", goal=REQUESTS_LONG),
        Figure(name="did not end exactly once", value=lost, unit="requests", goal=0, at_most=True),
        Figure(name="ended otherwise than they should", value=len(ends.wrong), unit="requests", goal=0, at_most=True),
        Figure(name="still in the engine", value=still_there, unit="requests", goal=0, at_most=True),
        Figure(name="memory grown after the first fifth", value=grown, unit="share", goal=GROWTH, at_most=True),
        *(Figure(name=kind, value=times, unit="requests") for kind, times in sorted(ends.kinds.items())),
    ]


@pytest.mark.parametrize("kind", ["broken listener", "broken adapter", "broken picture", "stop that fails", "plain"])
def test_what_a_request_held_is_gone_with_its_end_and_not_only_when_somebody_looks(tiny_spec, tmp_path, kind):
    deal = Deal(tiny_spec, tmp_path, seed=3)
    make = {
        "broken listener": deal._broken_listener,
        "broken adapter": deal._broken_adapter,
        "broken picture": deal._broken_picture,
    }.get(kind, deal._sound)
    request = ImageRequest(id="1", base="tiny", prompt="an apple", seed=1, steps=2)
    case = make(request)
    held = weakref.ref(case.request)

    def fail() -> str | None:
        raise RuntimeError("the stop broke")

    gc.collect()
    gc.disable()
    try:
        with Engine(tiny_spec, max_rows=4) as engine:
            stop = fail if kind == "stop that fails" else lambda: None
            future = engine.submit(case.request, stop=stop, on_step=case.listener)
            error = future.exception()
            assert (error is None) == (kind == "plain")
            said = "".join(getattr(error, "__notes__", ()))
            assert ("test_mixed_requests.py" in said) == (kind in ("broken listener", "stop that fails"))
            del future, error, request, case
            # The engine keeps its last batch until it works on the next.
            engine.submit(
                ImageRequest(id="2", base="tiny", prompt="two boats", seed=1, steps=1), stop=lambda: None
            ).result()
            assert held() is None
    finally:
        gc.enable()
