"""The trial of a trained adapter: measured and drawn as a client would use it, before anyone may publish it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from inference.adapters.stack import Adapter
from training.captions import with_trigger
from training.encode import versions
from training.gate import Scores
from training.likeness import look_at
from training.loop import Training
from training.measure import (
    Copy,
    Grid,
    find_copies,
    gap_interval,
    make_grid,
    measure_drift,
    measure_gain,
    natural_likeness,
    own_likeness,
)
from training.report import CopyShown, Pair
from training.sampling import Order, draw
from training.works import Review

MEMBERS = 12
"""Trained works that are measured and drawn; more would cost time and change little."""
SHOWN = 6
"""Held-out works on the with/without sheet."""
TRIGGER_ALONE = 4
"""Pictures drawn from the trigger alone: what an adapter remembers comes out there first."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the trial found."""

    scores: Scores
    pairs: tuple[Pair, ...]
    samples: tuple[tuple[str, Image.Image], ...]
    copies: tuple[CopyShown, ...]


def try_out(
    training: Training,
    adapter: Adapter,
    grid: Grid,
    review: Review,
    whole: Sequence[Image.Image],
    *,
    seed: int,
    go_on: Callable[[], None],
) -> Trial:
    """Measure an adapter and draw with it. whole: every good work as a square of the base's size."""
    data = training.data
    members = _spread(training.split.trained_works, MEMBERS)
    pairs = _draw_pairs(training, adapter, whole, seed=seed, go_on=go_on)
    called = _draw(training, adapter, members, [seed + number for number in members], called=True, go_on=go_on)
    alone = _draw_alone(training, adapter, seed=seed, go_on=go_on)
    kinship = _compare(training, review, whole, pairs, members, called, alone)
    named = [
        (data.captions[number][0] or "no words known", image) for number, image in zip(members, called, strict=True)
    ]
    samples = (*named, *(("the style alone", image) for image in alone))
    return Trial(
        scores=_score(training, adapter, grid, kinship, len(samples), members, seed=seed, go_on=go_on),
        pairs=pairs,
        samples=samples,
        copies=tuple(
            CopyShown(
                sample=samples[copy.sample][1],
                work=whole[training.split.trained_works[copy.work]],
                name=review.good[training.split.trained_works[copy.work]].work.path.name,
            )
            for copy in kinship.copies
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Kinship:
    """How alike the drawn pictures and the works are."""

    copies: list[Copy]
    natural: float
    own_trained: float
    own_held_out: float


def _compare(
    training: Training,
    review: Review,
    whole: Sequence[Image.Image],
    pairs: Sequence[Pair],
    members: Sequence[int],
    called: Sequence[Image.Image],
    alone: Sequence[Image.Image],
) -> _Kinship:
    split, recipe, size = training.split, training.recipe, training.base.spec.size
    portfolio = [look_at(image) for image in whole]
    firsts = [portfolio[cluster[0]] for cluster in review.clusters]
    drawn, unseen = [look_at(pair.with_style) for pair in pairs], [look_at(pair.work) for pair in pairs]
    learnt = [
        [
            look_at(image)
            for image in versions(
                review.good[number].image, size=size, crops=recipe.crops, flips=True, seed=f"{training.seed} {number}"
            )
        ]
        for number in split.trained_works
    ]
    natural = natural_likeness(firsts, unseen, drawn, portfolio=portfolio)
    samples = [look_at(image) for image in (*called, *alone)]
    own = [portfolio[number] for number in members]
    return _Kinship(
        copies=find_copies(samples, learnt, natural=natural, portfolio=portfolio, gate=recipe.gate),
        natural=natural,
        own_trained=float(own_likeness(samples[: len(own)], own, portfolio=portfolio).mean()),
        own_held_out=float(own_likeness(drawn, unseen, portfolio=portfolio).mean()),
    )


def _score(
    training: Training,
    adapter: Adapter,
    grid: Grid,
    kinship: _Kinship,
    num_samples: int,
    members: Sequence[int],
    *,
    seed: int,
    go_on: Callable[[], None],
) -> Scores:
    base, stack, data = training.base, training.stack, training.data
    own_grid = make_grid(base, stack, data, members, gamma=training.recipe.min_snr_gamma, seed=seed, go_on=go_on)
    held_out = measure_gain(base, stack, grid, adapter, go_on=go_on)
    inside = measure_gain(base, stack, own_grid, adapter, go_on=go_on)
    gap, low, high = gap_interval(inside, held_out, seed=seed)
    return Scores(
        heldout_gain=held_out.mean,
        heldout_error=held_out.error,
        member_gain=inside.mean,
        member_gap=gap,
        member_gap_low=low,
        member_gap_high=high,
        drift=measure_drift(base, stack, grid, adapter, go_on=go_on),
        copies=len(kinship.copies),
        samples=num_samples,
        natural_likeness=kinship.natural,
        own_likeness_trained=kinship.own_trained,
        own_likeness_heldout=kinship.own_held_out,
    )


def draw_progress(training: Training, grid: Grid) -> Image.Image:
    """The first held-out work's words in the style as it is now: one picture that can be watched growing."""
    return _draw(training, training.adapter, [grid.works[0]], [0], called=True, go_on=lambda: None)[0]


def _draw_pairs(
    training: Training, adapter: Adapter, whole: Sequence[Image.Image], *, seed: int, go_on: Callable[[], None]
) -> tuple[Pair, ...]:
    works = training.split.held_out[:SHOWN]
    seeds = [seed + number for number in works]
    without = _draw(training, None, works, seeds, called=False, go_on=go_on)
    with_style = _draw(training, adapter, works, seeds, called=True, go_on=go_on)
    return tuple(
        Pair(caption=training.data.captions[number][0], work=whole[number], without=before, with_style=after)
        for number, before, after in zip(works, without, with_style, strict=True)
    )


def _draw_alone(training: Training, adapter: Adapter, *, seed: int, go_on: Callable[[], None]) -> list[Image.Image]:
    called = with_trigger("", training.data.trigger)[0]
    orders = [Order(called=called, plain="", seed=seed + number) for number in range(TRIGGER_ALONE)]
    return _draw_orders(training, adapter, orders, go_on)


def _draw(
    training: Training,
    adapter: Adapter | None,
    works: Sequence[int],
    seeds: Sequence[int],
    *,
    called: bool,
    go_on: Callable[[], None],
) -> list[Image.Image]:
    """Draw what works show, from their captions; the style is called as `inference.messages.plan` calls it."""
    data, orders = training.data, []
    for number, seed in zip(works, seeds, strict=True):
        caption = data.captions[number][0]
        words = with_trigger(caption, data.trigger)[0] if called else caption
        orders.append(Order(called=words, plain=caption, seed=seed))
    return _draw_orders(training, adapter, orders, go_on)


def _draw_orders(
    training: Training, adapter: Adapter | None, orders: Sequence[Order], go_on: Callable[[], None]
) -> list[Image.Image]:
    return draw(training.base, training.stack, orders, adapter=adapter, guidance=training.guidance, go_on=go_on)


def _spread(numbers: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` of the numbers, evenly spread over them."""
    if len(numbers) <= count:
        return tuple(numbers)
    return tuple(numbers[place * len(numbers) // count] for place in range(count))
