"""Whether a personal style is plain to see: portfolios of sets the base never saw, trained as a creator would."""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from inference.adapters.manifest import read_manifest
from inference.bases import Base, open_base
from inference.catalog import base_spec
from inference.engine import Engine
from inference.run import adapter_ref
from tests.benchmarks.concepts import ConceptProbe, learn_concepts, on_white, real
from tests.benchmarks.drawn_works import lay_works, read_shown
from tests.benchmarks.features import Features, nearest, top_k, train_probe
from tests.benchmarks.figures import Figure
from tests.benchmarks.pairs import draw_words, lay_pairs, lay_row
from training.base.data import Pictures, read_data
from training.base.render import render
from training.base.sources import words_of
from training.encode import through_autoencoder
from training.messages import TrainingRequest
from training.pipeline import Trained, train

HELD_OUT = {
    "fluent-emoji-flat": "1.2.6",
    "streamline-ultimate-color": "1.2.2",
    "streamline-kameleon-color": "1.2.2",
    "streamline-freehand-color": "1.2.2",
    "streamline-cyber-color": "1.2.2",
    "streamline-stickies-color": "1.2.2",
}
"""Sets (npm `@iconify-json/<set>`) that no base recipe names, all MIT or CC-BY."""
PORTFOLIO = 40
SHEET_COLUMNS = 12
SHOWN_PER_SET = 200
"""Pictures of a set that the classifier learns from, at most."""


@dataclass(frozen=True, kw_only=True)
class Set:
    """One held-out drawing set: a creator's 40 works, and other drawings that only the classifier sees."""

    name: str
    works: tuple[tuple[str, str], ...]
    """(name, SVG) of the portfolio."""
    others: np.ndarray
    """(N, s, s, 3) uint8."""
    concepts: frozenset[str]
    """Everyday concepts that the portfolio shows."""
    everyday: np.ndarray
    """All drawings of the set that show an everyday concept, (M, s, s, 3) uint8."""
    everyday_words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What came out for one set: pictures (N, s, s, 3) with and without its adapter, their words, and the portfolio."""

    name: str
    words: tuple[str, ...]
    with_style: np.ndarray
    without: np.ndarray
    works: np.ndarray
    weight: float
    """What the style weighs, as its training measured it."""
    passed: bool


@dataclass(frozen=True, kw_only=True)
class SetClassifier:
    """Names the set that a picture's texture belongs to."""

    names: tuple[str, ...]
    network: torch.nn.Module
    on_real: float
    """Share of hits on real pictures, by a twin that had not seen them."""
    on_real_of: dict[str, float]
    """The same by set."""

    def share_of(self, name: str, textures_NT: torch.Tensor) -> float:
        """Share of pictures that it takes for this set's."""
        return top_k(self.network(textures_NT), torch.full((len(textures_NT),), self.names.index(name)), 1)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="work folder of `python -m training.base data`")
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--sets", nargs="*", default=list(HELD_OUT), choices=list(HELD_OUT), help="default: all")
    parser.add_argument("--concepts", type=int, default=24, help="pictures per set, each of another concept")
    parser.add_argument("--sheets", type=Path, help="folder for a with/without sheet of each set")


def measure(
    *, seed: int, say: Callable[[str], None], work: Path, base: str, sets: list[str], concepts: int, sheets: Path | None
) -> list[Figure]:
    """A classifier of all training sets and the held-out ones looks at pictures drawn with each portfolio's adapter."""
    pictures, features, opened = read_data(work), Features(), open_base(base_spec(base))
    say("learning to name concepts and sets in real pictures ...")
    probe = learn_concepts(pictures, features, seed=seed)
    held_out = [read_set(name, work / "npm", base_spec(base).size, probe.concepts, seed=seed) for name in sets]
    sets_known = learn_sets(pictures, held_out, features, opened, seed=seed)
    figures = [
        Figure(name=f"classifier of {len(sets_known.names)} sets, unseen real", value=sets_known.on_real, unit="share")
    ]
    results = []
    for one in held_out:
        drawn = draw_set(one, probe.concepts, base, work / "styles", concepts, seed=seed, say=say)
        if sheets:
            write_sheet(drawn, sheets / f"{one.name}.webp")
        results.append(judge_set(one, drawn, probe, sets_known, features, opened))
        figures += results[-1].as_figures(one.name)
    shares, lost, near = zip(*((r.right, r.base_top_5 - r.top_5, r.near) for r in results), strict=True)
    return [
        *figures,
        Figure(name="all sets: right style", value=float(np.mean(shares)), unit="share", goal=0.80),
        Figure(name="all sets: concept top-5 lost", value=float(np.mean(lost)), unit="share", goal=0.05, at_most=True),
        Figure(name="all sets: nearer than works' p95", value=max(near), unit="share", goal=0.0, at_most=True),
    ]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found about one set; shares from 0 to 1."""

    right: float
    """Drawn pictures that the classifier takes for the set's."""
    right_real: float
    """The set's own drawings, unseen, that it takes for the set's: more cannot be asked of drawn ones."""
    top_5: float
    base_top_5: float
    real_top_5: float
    """The set's own drawings of everyday things that the concept probe knows: it learnt from other sets' drawings."""
    num_real: int
    near: float
    weight: float
    passed: bool

    def as_figures(self, name: str) -> list[Figure]:
        own = Figure(name=f"{name}: concept top-5, its own {self.num_real}", value=self.real_top_5, unit="share")
        return [
            *([own] if self.num_real else []),
            Figure(name=f"{name}: right style", value=self.right, unit="share"),
            Figure(name=f"{name}: right style, its own drawings", value=self.right_real, unit="share"),
            Figure(name=f"{name}: concept top-5", value=self.top_5, unit="share"),
            Figure(name=f"{name}: concept top-5 of the base", value=self.base_top_5, unit="share"),
            Figure(name=f"{name}: nearer to a work than works", value=self.near, unit="share"),
            Figure(name=f"{name}: weight of the style", value=self.weight, unit="times"),
            Figure(name=f"{name}: passed the gate", value=float(self.passed), unit="yes or no"),
        ]


def judge_set(
    one: Set, drawn: Drawn, probe: ConceptProbe, sets_known: SetClassifier, features: Features, base: Base
) -> Judged:
    """Look at one set's pictures with the classifier of sets and the probe of concepts."""
    own = _as_the_base_gives_back(one.everyday, base) if len(one.everyday) else one.everyday
    return Judged(
        right=sets_known.share_of(one.name, features.textures(drawn.with_style)),
        right_real=sets_known.on_real_of[one.name],
        top_5=probe.hits(features(drawn.with_style), drawn.words, 5),
        base_top_5=probe.hits(features(drawn.without), drawn.words, 5),
        real_top_5=probe.hits(features(own), one.everyday_words, 5) if len(own) else float("nan"),
        num_real=len(own),
        near=_nearer_than_works(features(drawn.with_style), features(drawn.works)),
        weight=drawn.weight,
        passed=drawn.passed,
    )


def read_set(name: str, folder: Path, size: int, probed: Sequence[str], *, seed: int) -> Set:
    """Fetch a set and split it: 40 drawings are a portfolio, the others teach the classifier. probed: concepts that
    the probe knows."""
    shown = read_shown(name, HELD_OUT[name], folder, seed=seed)
    portfolio, rest = shown[:PORTFOLIO], shown[PORTFOLIO : PORTFOLIO + SHOWN_PER_SET]
    things = [(drawing, subject.everyday) for drawing, subject in shown if subject.everyday in probed]
    return Set(
        name=name,
        works=tuple((words_of(drawing.name), drawing.svg) for drawing, _ in portfolio),
        others=_drawn_on_white([drawing.svg for drawing, _ in rest], size),
        concepts=frozenset(subject.everyday for _, subject in portfolio if subject.everyday),
        everyday=_drawn_on_white([drawing.svg for drawing, _ in things], size),
        everyday_words=tuple(word for _, word in things),
    )


def learn_sets(
    pictures: Pictures, held_out: Sequence[Set], features: Features, base: Base, *, seed: int
) -> SetClassifier:
    """A classifier of all sets.

    It looks at real pictures as the base's autoencoder gives them back: otherwise its softness would be taken for a
    style of its own.
    """
    by_set: dict[str, np.ndarray] = {}
    for name in sorted({row["set"] for row in pictures.rows}):
        numbers = [number for number, row in enumerate(pictures.rows) if row["set"] == name and row["kind"] != "people"]
        picked = random.Random(f"{seed}/{name}").sample(numbers, min(SHOWN_PER_SET, len(numbers)))
        by_set[name] = real(pictures, sorted(picked))
    by_set |= {one.name: one.others for one in held_out}
    names = list(by_set)
    found = [features.textures(_as_the_base_gives_back(some, base)) for some in by_set.values()]
    labels = torch.cat([torch.full((len(some),), number) for number, some in enumerate(found)])
    together = torch.cat(found)
    tested = torch.arange(len(together)) % 5 == 0
    trial = train_probe(together[~tested], labels[~tested], len(names), seed=seed)
    right = trial(together[tested]).argmax(dim=1) == labels[tested]
    return SetClassifier(
        names=tuple(names),
        network=train_probe(together, labels, len(names), seed=seed),
        on_real=float(right.float().mean()),
        on_real_of={name: float(right[labels[tested] == number].float().mean()) for number, name in enumerate(names)},
    )


def _as_the_base_gives_back(pictures: np.ndarray, base: Base) -> np.ndarray:
    """(N, s, s, 3) uint8 to latents and back."""
    images = through_autoencoder(base, [Image.fromarray(picture) for picture in pictures])
    return np.stack([np.asarray(image) for image in images])


def draw_set(
    one: Set, concepts: Sequence[str], base: str, folder: Path, count: int, *, seed: int, say: Callable[[str], None]
) -> Drawn:
    """Train the set's portfolio and draw concepts that are not in it, with and without the adapter."""
    say(f"{one.name}: training on {len(one.works)} works ...")
    trained = _train(one, base, folder / one.name, seed=seed)
    assert trained.adapter is not None, trained.message
    adapter = adapter_ref(trained.adapter)
    words = tuple([word for word in concepts if word not in one.concepts][:count])
    spec = base_spec(base)
    with Engine(spec, max_rows=8, max_waiting=2 * count) as engine:
        with_style, without = (draw_words(engine, words, adapters, seed=seed) for adapters in ((adapter,), ()))
    works = _drawn_on_white([svg for _, svg in one.works], spec.size)
    return Drawn(
        name=one.name,
        words=words,
        with_style=with_style,
        without=without,
        works=works,
        weight=read_manifest(trained.adapter).style_guidance,
        passed=trained.outcome == "passed",
    )


def write_sheet(drawn: Drawn, path: Path) -> None:
    """The first works of the portfolio; under them, in pairs of rows, the words without the adapter and with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    works = lay_row(drawn.works[:SHEET_COLUMNS], columns=SHEET_COLUMNS)
    pairs = lay_pairs(drawn.without, drawn.with_style, columns=SHEET_COLUMNS)
    Image.fromarray(np.concatenate([works, pairs], axis=0)).save(path, quality=88)


def _train(one: Set, base: str, folder: Path, *, seed: int) -> Trained:
    works = lay_works(one.works, folder / "works")
    out = folder / "out"
    request = TrainingRequest(
        id=f"benchmark {one.name}", base=base, works=works, out=out, scratch=folder / "scratch", seed=seed
    )
    return train(request, on_event=lambda _: None, stop=lambda: False)


def _drawn_on_white(svgs: Sequence[str], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8."""
    drawings = [render(svg, size) for svg in svgs]
    return on_white(np.stack(drawings)) if drawings else np.zeros((0, size, size, 3), np.uint8)


def _nearer_than_works(drawn_ND: torch.Tensor, works_MD: torch.Tensor) -> float:
    """Share of pictures nearer to a work than 95 of 100 works are to another work of the portfolio."""
    own = torch.stack(
        [nearest(works_MD[n : n + 1], torch.cat([works_MD[:n], works_MD[n + 1 :]]))[0] for n in range(len(works_MD))]
    )
    return float((nearest(drawn_ND, works_MD) > own.quantile(0.95)).float().mean())
