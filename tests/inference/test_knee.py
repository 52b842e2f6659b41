"""Where larger batches stop to pay, on machines whose clock is ours."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from inference import knee
from inference.engine import Engine
from inference.knee import measure_steps
from inference.messages import ImageRequest, Picture
from inference.pace import Pace


@pytest.fixture
def machine(monkeypatch) -> Callable[..., SimpleNamespace]:
    """A base whose steps take `seconds(rows)`; more than `fits` rows run out of memory."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(knee.time, "perf_counter", lambda: clock.now)

    def with_steps(seconds: Callable[[int], float], fits: int = 1000) -> SimpleNamespace:
        def predict(latents: torch.Tensor, *_: object) -> None:
            if len(latents) > fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            clock.now += seconds(len(latents))

        return SimpleNamespace(
            spec=SimpleNamespace(size=8),
            device=torch.device("cpu"),
            noises=lambda *_, **__: iter([torch.zeros(1, 1, 1)]),
            encode_prompts=lambda prompts: prompts,
            join_texts=lambda texts: texts,
            predict=predict,
        )

    return with_steps


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        (lambda rows: 0.01, 24),
        (lambda rows: 0.01 * rows, 2),
        (lambda rows: 0.01 * max(rows, 8), 8),
        (lambda rows: 0.1 + 0.01 * rows, 24),
        (lambda rows: 0.01 + 0.01 * rows, 8),
    ],
    ids=["nothing more", "as much more", "nothing up to eight", "a long start", "a short start"],
)
def test_the_knee_is_where_more_at_once_stops_to_pay(machine, seconds, found):
    assert measure_steps(machine(seconds), Pace(), most=24) == found


def test_what_was_measured_is_what_estimates_begin_with(machine):
    pace = Pace()

    measure_steps(machine(lambda rows: 0.1 + 0.01 * rows), pace, most=24)

    assert pace.step_seconds(10) == pytest.approx(0.2)


@pytest.mark.parametrize(("fits", "found"), [(8, 8), (1, 1)])
def test_where_memory_ends_sooner_the_rows_that_fit_are_taken(machine, fits, found):
    assert measure_steps(machine(lambda rows: 0.01, fits=fits), Pace(), most=24) == found


def test_a_machine_on_which_two_rows_take_a_second_is_not_asked_for_more(machine):
    asked = []
    base = machine(lambda rows: asked.append(rows) or 1.5 * rows)

    assert measure_steps(base, Pace(), most=24) == 2
    assert asked == [2]


def test_pictures_beyond_the_knee_wait_and_a_large_one_is_made_alone(tiny_spec):
    together: list[int] = []
    with Engine(tiny_spec, max_rows=4, max_questions=4) as engine:
        requests = [
            ImageRequest(id=f"{side} {number}", base="tiny", prompt="an apple", seed=number, width=side, height=side)
            for number, side in enumerate((32, 32, 32, 64))
        ]
        futures = [
            engine.submit(request, stop=lambda: None, on_step=lambda _: together.append(len(engine._running)))
            for request in requests
        ]
        results = [future.result(timeout=60) for future in futures]

    assert all(isinstance(result, Picture) for result in results)
    assert max(together) == 2, "two pictures of two questions each"
    assert [result.width for result in results] == [32, 32, 32, 64]
