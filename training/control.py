"""What the adapters of one training are tried on, and what they are compared with: made once, by the base alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor

from inference.likeness import Look, look_at
from training.copies import Learnt, see
from training.encode import through_autoencoder, versions
from training.examination import SHOWN, SUSPECTS, WITHOUT_WORDS, common_words
from training.sampling import Order, draw, order_for
from training.state import Training
from training.works import Review


@dataclass(frozen=True, kw_only=True)
class Series:
    """Pictures to draw, and what the base draws for the same words from the same noise."""

    orders: tuple[Order, ...]
    works: tuple[int, ...] = ()
    """The works whose captions they are drawn from, as numbers of the portfolio; empty: none's."""
    without: tuple[Image.Image, ...]
    steps: int


@dataclass(frozen=True, kw_only=True)
class Control:
    """All of it, for one portfolio."""

    whole: tuple[Image.Image, ...]
    """Every good work as a square of the base's size, whatever its own shape: pictures are compared as squares."""
    portfolio: tuple[Look, ...]
    """How they look."""
    learnt: Learnt
    learnt_works: tuple[int, ...]
    """The works of `learnt`, as numbers of the portfolio."""
    words: Series
    """Common words, which the base draws well."""
    shown: Series
    captions: Series
    """Of trained works."""
    alone: Series
    """The trigger alone."""
    styles: tuple[Tensor, ...]
    """Textures of the works, of other styles, and of what the base draws for `words` (`training.recognise`)."""


def make_control(
    training: Training,
    review: Review,
    suspects: Sequence[int],
    *,
    seed: int,
    go_on: Callable[[], None],
) -> Control:
    """suspects: trained works, the best learnt first. `go_on` is called before every step and may raise to end it.

    Copies are looked for with half the base's steps; what people see is drawn with all of them.
    """
    base, held_out = training.base, training.split.held_out
    full, half = base.spec.steps, max(base.spec.steps // 2, 1)
    tried = tuple(suspects[:SUSPECTS])
    known = common_words(base.spec, of_held_out=[training.data.captions[work][0] for work in held_out])
    square = (base.spec.size, base.spec.size)
    whole = tuple(ImageOps.fit(work.image, square, Image.Resampling.LANCZOS) for work in review.good)
    portfolio = tuple(look_at(image) for image in whole)

    def series(words: Sequence[str], works: Sequence[int], steps: int) -> Series:
        orders = [
            order_for(word, trigger=training.data.trigger, seed=seed + number) for number, word in enumerate(words)
        ]
        without = [Order(called=order.plain, plain=order.plain, seed=order.seed) for order in orders]
        drawn = draw(base, training.stack, without, adapter=None, guidance=training.guidance, steps=steps, go_on=go_on)
        return Series(orders=tuple(orders), works=tuple(works), without=tuple(drawn), steps=steps)

    def of_works(works: Sequence[int], steps: int) -> Series:
        return series([training.data.captions[work][0] for work in works], works, steps)

    words = series(known, (), full)
    others = load_file(base.spec.styles).values() if base.spec.styles else ()
    return Control(
        whole=whole,
        portfolio=portfolio,
        learnt=_learnt(training, review, portfolio),
        learnt_works=training.split.trained_works,
        words=words,
        shown=of_works(held_out[:SHOWN], full),
        captions=of_works(tried, half),
        alone=series([""] * WITHOUT_WORDS, (), half),
        styles=(
            base.textures(through_autoencoder(base, whole)),
            *(other.float() for other in others),
            base.textures(words.without),
        ),
    )


def _learnt(training: Training, review: Review, portfolio: Sequence[Look]) -> Learnt:
    recipe, square = training.recipe, (training.base.spec.size, training.base.spec.size)
    cluster_of = {work: number for number, cluster in enumerate(review.clusters) for work in cluster}
    seen = [
        tuple(
            see(image)
            for image in versions(
                review.good[work].image, bucket=square, crops=recipe.crops, flips=True, seed=f"{training.seed} {work}"
            )
        )
        for work in training.split.trained_works
    ]
    return Learnt(
        versions=tuple(seen),
        clusters=tuple(cluster_of[work] for work in training.split.trained_works),
        portfolio=tuple(portfolio),
    )
