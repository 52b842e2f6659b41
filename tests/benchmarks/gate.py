"""Whether the release gate tells what was learnt from works from what was learnt by heart, and names the copied ones.

Half of the models are trained as the recipe says, half far beyond it, some on few works; the sets are ones that nothing
was tuned on. What was said of each model is kept in a file, so a benchmark that was broken off goes on, here or on
another machine.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.drawn_works import read_shown
from tests.benchmarks.examined import examine_training
from tests.benchmarks.features import Features
from tests.benchmarks.figures import Figure, commit
from training.again import look_for_copies
from training.base.sources import words_of
from training.control import Control
from training.examination import AGAIN, DOUBTED
from training.gate import Rule, Scores, judge
from training.recipe import Recipe, load_recipe
from training.release import Examination, choose
from training.trial import Trial, compare

SETS = {
    "streamline-plump-color": "1.2.2",
    "streamline-color": "1.2.2",
    "vscode-icons": "1.2.97",
    "material-icon-theme": "1.2.70",
}
"""Sets (npm `@iconify-json/<set>`) that neither the base nor a rule of the gate was made with; MIT or CC-BY.

Rules of the gate were written with streamline-flex-color, streamline-sharp-color, marketeq and fluent-color in sight.
"""


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

    collection: str
    model: Model
    broken: tuple[Rule, ...]
    scores: dict[str, float]
    named: int
    """Pictures whose copied work it named."""
    confirmed: int
    """Those of them whose nearest work by features that the gate does not use is the named one."""
    is_released: bool
    """Whether its creator gets a style: this adapter or a milder one that the product tries of itself."""
    shuffled: tuple[Rule, ...]
    """What is broken with the looks of works and pictures dealt out at random."""
    shuffled_confirmed: int
    by: dict[str, Any]
    """What it was judged by: seed, base, limits of the gate, commit."""

    @property
    def is_right(self) -> bool:
        """A good model passed; an overfitted one was refused and a work that it copies named."""
        return _is_right(self.model, self.broken, self.confirmed)

    @property
    def is_right_shuffled(self) -> bool:
        return _is_right(self.model, self.shuffled, self.shuffled_confirmed)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder for sets and models; kept for the next run")
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS), help="default: all")
    parser.add_argument(
        "--models", type=Path, help="file of what was said of each model; those in it are not made again"
    )


def measure(
    *, seed: int, say: Callable[[str], None], work: Path, base: str, sets: list[str], models: Path | None
) -> list[Figure]:
    """Train every model, let the gate judge it, and judge the gate."""
    limits = asdict(load_recipe(f"{base}-style").gate) | {"doubted": DOUBTED, "again": AGAIN}
    by = {"seed": seed, "base": base, "limits": limits}
    kept = [one for one in _read(models) if by.items() <= one.by.items()]
    judged: list[Judged] = []
    features = Features()
    for name in sets:
        shown = read_shown(name, SETS[name], work / "npm", seed=seed)
        for number, model in enumerate(MODELS):
            found = next((one for one in kept if (one.collection, one.model) == (name, model)), None)
            if found is None:
                # Other works for each model: a gate that is right about one portfolio could be lucky.
                begin = sum(one.works for one in MODELS[:number])
                works = [(words_of(drawing.name), drawing.svg) for drawing, _ in shown[begin : begin + model.works]]
                assert len(works) == model.works, f"{name} has too few drawings for its portfolios"
                found = judge_model(name, model, works, work / "gate", features, by | {"commit": commit()})
                kept.append(found)
                _write(models, kept)
            judged.append(found)
            say(_line(found))
    return as_figures(judged)


def _read(path: Path | None) -> list[Judged]:
    """What earlier runs kept."""

    def as_judged(row: dict[str, Any]) -> Judged:
        rules = {name: tuple(row.pop(name)) for name in ("broken", "shuffled")}
        return Judged(model=Model(**row.pop("model")), **rules, **row)

    return [as_judged(row) for row in json.loads(path.read_text())] if path and path.exists() else []


def _write(path: Path | None, judged: Sequence[Judged]) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps([asdict(one) for one in judged], indent=1) + "\n")
        aside.replace(path)


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
                name=f"{kind} models that break the rule {rule!r}",
                value=sum(rule in one.broken for one in some),
                unit=f"of {len(some)}",
            )
            for kind, some in (("good", good), ("overfitted", overfitted))
            for rule in rules
        ),
    ]


def judge_model(
    name: str, model: Model, works: Sequence[tuple[str, str]], folder: Path, features: Features, by: dict[str, Any]
) -> Judged:
    """Train one model as it is told and judge it, and see whether it or a milder one would be released."""
    base, seed = by["base"], by["seed"]
    recipe = _recipe(model, base)
    examined = examine_training(works, recipe, base, folder / f"{name}, {model.name}", seed=seed)
    training, exam, pictures = examined.training, examined.exam, examined.pictures

    def compared(control: Control) -> Trial:
        found = look_for_copies(training, control, examined.adapter, pictures, go_on=exam.go_on)
        return compare(training, control, pictures, exam.names, found)

    trial, shuffled = (compared(control) for control in (exam.control, shuffle(exam.control, seed=seed)))
    scores, blind = (Scores(predicted=exam.predicted, drawn=one.drawn) for one in (trial, shuffled))
    verdict = judge(scores, recipe.gate)
    return Judged(
        collection=name,
        model=model,
        broken=verdict.broken,
        scores=scores.as_dict(),
        is_released=verdict.passed or choose(exam, say=_unheard).verdict.passed,
        named=len(trial.copies),
        confirmed=_confirmed(trial, exam, features),
        shuffled=judge(blind, recipe.gate).broken,
        shuffled_confirmed=_confirmed(shuffled, exam, features),
        by=by,
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
    """Copies whose nearest work of the portfolio, by what a network for photographs sees at every place of them, is the
    one named.

    The gate itself looks at what stands where in which colour, and where edges are. That the network finds the work of
    a copy is a test of its own (`test_features.py`).
    """
    if not trial.copies:
        return 0
    works_WF, copies_SF = (
        features.places(np.stack([np.asarray(image) for image in images]))
        for images in (exam.control.whole, [copy.sample for copy in trial.copies])
    )
    nearest = (copies_SF @ works_WF.T).argmax(dim=1).tolist()
    return sum(exam.names[work] == copy.name for work, copy in zip(nearest, trial.copies, strict=True))


def _is_right(model: Model, broken: tuple[Rule, ...], confirmed: int) -> bool:
    return (bool(broken) and confirmed > 0) if model.is_overfitted else not broken


def _right(some: Sequence[Judged]) -> int:
    return sum(one.is_right for one in some)


def _released(some: Sequence[Judged]) -> int:
    return sum(one.is_released for one in some)


def _unheard(_: str) -> None:
    """Nobody watches what else is tried."""


def _line(one: Judged) -> str:
    scores = one.scores
    parts = (
        f"{one.collection}, {one.model.name}: {'right' if one.is_right else 'WRONG'}",
        "released" if one.is_released else "not released",
        f"broken: {', '.join(one.broken) or 'nothing'}",
        f"gain {scores['heldout_gain']:.1%}, gap {scores['member_gap']:.1%}, drift {scores['drift']:.1%}",
        f"recalled {scores['recalled']:g} of {scores['captions']:g}, without {scores['recalled_without']:g}",
        f"copies {scores['copies']:g}, {one.confirmed} confirmed, once {scores['copied_once']:g}",
        f"hand {scores['hand']:.2f} +- {scores['hand_error']:.2f}",
        f"shuffled: {', '.join(one.shuffled) or 'nothing'}",
    )
    return "; ".join(parts)
