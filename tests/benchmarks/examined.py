"""One training of a benchmark, learnt and examined as the product does, but never made milder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.adapters.stack import Adapter, StackedAdapters
from inference.bases import open_base
from inference.catalog import base_spec
from tests.benchmarks.drawn_works import lay_works
from training.budget import Budget
from training.learning import begin_learning, learn
from training.messages import Event, TrainingRequest
from training.recipe import Recipe
from training.release import Examination, open_examination
from training.review.portfolio import review_portfolio
from training.state import Training
from training.trial import Pictures, draw_all
from training.weigh import weigh_style


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was learnt, and what the gate looks at."""

    training: Training
    exam: Examination
    adapter: Adapter
    """As trained, with what its style weighs."""
    pictures: Pictures


def examine_training(
    works: Sequence[tuple[str, str]],
    recipe: Recipe,
    base: str,
    folder: Path,
    *,
    seed: int,
    change: Callable[[Training], None] | None = None,
) -> Examined:
    """Train on (words, SVG) drawings; goes on where an earlier call in the same folder was broken off.

    change: makes something else of the training before its first step.
    """
    request = TrainingRequest(
        id=f"benchmark {folder.name}",
        base=base,
        works=lay_works(works, folder / "works"),
        out=folder / "out",
        scratch=folder / "scratch",
        seed=seed,
    )
    review = review_portfolio(request.works, size=base_spec(base).size, min_works=recipe.min_works, is_whole=False)
    opened = open_base(base_spec(base))
    learner = begin_learning(
        request,
        review,
        recipe,
        Budget(0),
        base=opened,
        stack=StackedAdapters(opened.denoiser),
        way=None,
        on_event=_unheard,
        go_on=_go_on,
    )
    training = learner.training
    if change is not None:
        change(training)
    learn([learner])
    exam = open_examination(training, review, learner.held_out, seed=seed, go_on=_go_on)
    adapter = weigh_style(training, exam.trained.adapter, exam.control, seed=seed, go_on=_go_on)
    pictures = draw_all(training, exam.control, adapter, go_on=_go_on)
    return Examined(training=training, exam=exam, adapter=adapter, pictures=pictures)


def _unheard(_: Event) -> None:
    """Nobody watches these trainings."""


def _go_on() -> None:
    """Nothing stops them."""
