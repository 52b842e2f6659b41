"""A training that is broken off and taken up again, beside one that is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training.base.crew import Crew
from training.base.errors import Interrupted
from training.base.loop import Plan, Run, Session, resume, train


def check_resumes_exactly(a_run: Callable[[int], tuple[Run, Crew]], folder: Path, *, steps: int, stop: int) -> None:
    """`a_run(seed)` makes a run from other random weights for every seed: only a checkpoint can make two alike."""
    plan = Plan(steps=steps, learning_rate=1e-2, warmup=steps // 4, ema=0.9, matrix_factor=2)
    session = Session(say=lambda line: None)
    unbroken, crew = a_run(1)
    train(unbroken, plan, crew.gradient, folder / "unbroken", session)

    first, crew = a_run(1)
    with pytest.raises(Interrupted):
        train(first, plan, crew.gradient, folder / "broken", Session(say=session.say, stop=lambda: first.step == stop))
    second, crew = a_run(2)
    planned = resume(second, folder / "broken")
    train(second, plan, crew.gradient, folder / "broken", session)

    assert planned == steps
    assert all(torch.equal(value, second.average[key]) for key, value in unbroken.average.items())
    assert all(
        torch.equal(value, second.network.state_dict()[key]) for key, value in unbroken.network.state_dict().items()
    )
