"""Whether the release gate tells what was learnt from works from what was learnt by heart, and names the copied ones.

Half of the models are trained as the recipe says, half far beyond it, some on few works; the sets are ones that nothing
was tuned on. Models that are finished are kept in the work folder, so a benchmark that was broken off goes on.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch.nn import functional

from tests.benchmarks.drawn_works import read_shown
from tests.benchmarks.examined import examine_training
from tests.benchmarks.features import Features
from tests.benchmarks.figures import Figure
from training.base.sources import words_of
from training.control import Control
from training.gate import Rule, Scores, Verdict, judge
from training.recipe import Recipe, load_recipe
from training.release import Examination, choose
from training.trial import Trial, compare

SETS = {
    "streamline-flex-color": "1.2.2",
    "streamline-sharp-color": "1.2.2",
    "marketeq": "1.2.2",
    "fluent-color": "1.2.21",
}
"""Sets (npm `@iconify-json/<set>`) that neither the base nor a limit of the gate was tuned on; MIT or CC-BY."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """One training; `steps` and `rank` 0: as the recipe says."""

    works: int
    steps: int = 0
    rank: int = 0

    @property
    def is_overfitted(self) -> bool:
        return self.steps > 0

    @property
    def name(self) -> str:
        return f"{self.works} works, {self.steps} steps, rank {self.rank}" if self.steps else f"{self.works} works"


MODELS = (
    Model(works=40),
    Model(works=5, steps=400, rank=16),
    Model(works=30),
    Model(works=20, steps=900, rank=32),
    Model(works=20),
    Model(works=40, steps=1500, rank=64),
)
"""Of every set; alternating, so that a benchmark that was broken off has some of both."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the gate said of one model."""

    model: Model
    scores: Scores
    verdict: Verdict
    named: int
    """Pictures whose copied work it named."""
    confirmed: int
    """Those of them whose nearest work by features that the gate does not use is the named one."""
    is_released: bool
    """Whether its creator gets a style: this adapter or a milder one that the product tries of itself."""
    shuffled: Verdict
    """The same with the looks of works and pictures dealt out at random."""
    shuffled_confirmed: int

    @property
    def is_right(self) -> bool:
        """A good model passed; an overfitted one was refused and a work that it copies named."""
        return _is_right(self.model, self.verdict, self.confirmed)

    @property
    def is_right_shuffled(self) -> bool:
        return _is_right(self.model, self.shuffled, self.shuffled_confirmed)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder for sets and models; kept for the next run")
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS), help="default: all")


def measure(*, seed: int, say: Callable[[str], None], work: Path, base: str, sets: list[str]) -> list[Figure]:
    """Train every model, let the gate judge it, and judge the gate."""
    judged: list[Judged] = []
    features = Features()
    for name in sets:
        shown = read_shown(name, SETS[name], work / "npm", seed=seed)
        for number, model in enumerate(MODELS):
            # Other works for each model: a gate that is right about one portfolio could be lucky.
            begin = sum(one.works for one in MODELS[:number])
            works = [(words_of(drawing.name), drawing.svg) for drawing, _ in shown[begin : begin + model.works]]
            assert len(works) == model.works, f"{name} has too few drawings for its portfolios"
            found = judge_model(model, works, base, work / "gate" / f"{name}, {model.name}", features, seed=seed)
            judged.append(found)
            say(f"{name}, {model.name}: {_line(found)}")
    return as_figures(judged)


def as_figures(judged: Sequence[Judged]) -> list[Figure]:
    good = [one for one in judged if not one.model.is_overfitted]
    overfitted = [one for one in judged if one.model.is_overfitted]
    named, confirmed = sum(one.named for one in judged), sum(one.confirmed for one in judged)
    rules: tuple[Rule, ...] = ("style", "hand", "memory", "recall", "copies", "drift")
    return [
        Figure(name="good models, judged right", value=_right(good), unit=f"of {len(good)}", goal=11),
        Figure(name="good portfolios released, some milder", value=_released(good), unit=f"of {len(good)}"),
        Figure(name="overfitted, refused and named", value=_right(overfitted), unit=f"of {len(overfitted)}", goal=11),
        Figure(
            name="overfitted, released after all, milder", value=_released(overfitted), unit=f"of {len(overfitted)}"
        ),
        Figure(name="copied works named: confirmed", value=confirmed / max(named, 1), unit="share", goal=0.9),
        Figure(
            name="features shuffled: overfitted judged right",
            value=sum(one.is_right_shuffled for one in overfitted),
            unit=f"of {len(overfitted)}",
            goal=10,
            at_most=True,
        ),
        Figure(
            name="features shuffled: good judged right",
            value=sum(one.is_right_shuffled for one in good),
            unit=f"of {len(good)}",
        ),
        *(
            Figure(
                name=f"{kind} models that break the rule {rule!r}", value=_broken(some, rule), unit=f"of {len(some)}"
            )
            for kind, some in (("good", good), ("overfitted", overfitted))
            for rule in rules
        ),
    ]


def judge_model(
    model: Model, works: Sequence[tuple[str, str]], base: str, folder: Path, features: Features, *, seed: int
) -> Judged:
    """Train one model as it is told and judge it, and see whether it or a milder one would be released."""
    recipe = _recipe(model, base)
    examined = examine_training(works, recipe, base, folder, seed=seed)
    training, exam, pictures = examined.training, examined.exam, examined.pictures
    trial, shuffled = (
        compare(training, control, pictures, exam.names) for control in (exam.control, shuffle(exam.control, seed=seed))
    )
    scores, blind = (Scores(predicted=exam.predicted, drawn=one.drawn) for one in (trial, shuffled))
    verdict = judge(scores, recipe.gate)
    return Judged(
        model=model,
        scores=scores,
        verdict=verdict,
        is_released=verdict.passed or choose(exam, say=_unheard).verdict.passed,
        named=len(trial.copies),
        confirmed=_confirmed(trial, exam, features),
        shuffled=judge(blind, recipe.gate),
        shuffled_confirmed=_confirmed(shuffled, exam, features),
    )


def shuffle(control: Control, *, seed: int) -> Control:
    """The same control with the looks of works and the textures of styles dealt out at random."""
    deal = random.Random(seed)
    versions = list(control.learnt.versions)
    deal.shuffle(versions)
    portfolio = list(control.portfolio)
    deal.shuffle(portfolio)
    textures = np.concatenate([style.numpy() for style in control.styles])
    np.random.default_rng(seed).shuffle(textures)
    ends = np.cumsum([len(style) for style in control.styles])[:-1]
    styles = tuple(control.styles[0].new_tensor(part) for part in np.split(textures, ends))
    learnt = replace(control.learnt, versions=tuple(versions))
    return replace(control, learnt=learnt, portfolio=tuple(portfolio), styles=styles)


def _recipe(model: Model, base: str) -> Recipe:
    recipe = replace(load_recipe(f"{base}-style"), min_works=4)
    if not model.is_overfitted:
        return recipe
    # One look at the held-out works, at the end: neither an early stop nor an earlier state is to save it.
    return replace(recipe, steps=model.steps, rank=model.rank, heldout_every=model.steps, patience=0)


def _confirmed(trial: Trial, exam: Examination, features: Features) -> int:
    """Copies whose nearest work of the portfolio, by what a network for photographs sees in them, is the one named.

    The gate itself looks at what stands where in which colour, and where edges are.
    """
    if not trial.copies:
        return 0
    works_WF, copies_SF = (
        functional.normalize(features(np.stack([np.asarray(image) for image in images])))
        for images in (exam.control.whole, [copy.sample for copy in trial.copies])
    )
    nearest = (copies_SF @ works_WF.T).argmax(dim=1).tolist()
    return sum(exam.names[work] == copy.name for work, copy in zip(nearest, trial.copies, strict=True))


def _is_right(model: Model, verdict: Verdict, confirmed: int) -> bool:
    return (not verdict.passed and confirmed > 0) if model.is_overfitted else verdict.passed


def _right(some: Sequence[Judged]) -> int:
    return sum(one.is_right for one in some)


def _released(some: Sequence[Judged]) -> int:
    return sum(one.is_released for one in some)


def _unheard(_: str) -> None:
    """Nobody watches what else is tried."""


def _broken(some: Sequence[Judged], rule: Rule) -> int:
    return sum(rule in one.verdict.broken for one in some)


def _line(one: Judged) -> str:
    predicted, drawn = one.scores.predicted, one.scores.drawn
    parts = (
        "right" if one.is_right else "WRONG",
        "released" if one.is_released else "not released",
        f"broken: {', '.join(one.verdict.broken) or 'nothing'}",
        f"gain {predicted.heldout_gain:.1%}, gap {predicted.member_gap:.1%}, drift {predicted.drift:.1%}",
        f"recalled {drawn.recalled} of {drawn.captions}, without {drawn.recalled_without}",
        f"copies {drawn.copies}, {one.confirmed} confirmed",
        f"hand {drawn.hand:.2f} +- {drawn.hand_error:.2f}",
        f"shuffled: {', '.join(one.shuffled.broken) or 'nothing'}",
    )
    return "; ".join(parts)
