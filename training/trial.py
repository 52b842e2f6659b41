"""The trial of an adapter: drawn with as a client would, and as somebody would who is after the works themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from inference.adapters.stack import Adapter
from training.control import Control, Series
from training.copies import Copy, Sampled, count_recalled, see
from training.examination import FURTHER
from training.gate import Drawn
from training.recognise import compare_hands
from training.report import CopyShown, Pair
from training.sampling import Order, draw
from training.state import Training

EXTRAPOLATION = 2.0
"""Factor by which a style is drawn far beyond what it weighs. What a tuned model remembers comes out in the direction
from the base to it (FineXtract, arXiv 2410.03039)."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the trial of one adapter found."""

    drawn: Drawn
    pairs: tuple[Pair, ...]
    """Held-out works with and without the style, for their creator."""
    examples: tuple[Image.Image, ...]
    """Common words in the style: nothing of a work is in these pictures."""
    samples: tuple[tuple[str, Image.Image], ...]
    """Further pictures in the style, by their words."""
    copies: tuple[CopyShown, ...]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What was drawn with one adapter, series by series of the control."""

    words: tuple[Image.Image, ...]
    shown: tuple[Image.Image, ...]
    captions: tuple[Image.Image, ...]
    alone: tuple[Image.Image, ...]
    blank: tuple[Image.Image, ...]
    """From nothing at all, through the adapter."""
    further: tuple[Image.Image, ...]
    """The first of the captions, with the style far beyond what it weighs."""


def draw_all(training: Training, control: Control, adapter: Adapter, *, go_on: Callable[[], None]) -> Pictures:
    """Draw every series of the control with an adapter."""

    def drawn(series: Series, with_adapter: Adapter = adapter) -> tuple[Image.Image, ...]:
        images = draw(
            training.base,
            training.stack,
            series.orders,
            adapter=with_adapter,
            guidance=training.guidance,
            steps=series.steps,
            go_on=go_on,
        )
        return tuple(images)

    return Pictures(
        words=drawn(control.words),
        shown=drawn(control.shown),
        captions=drawn(control.captions),
        alone=drawn(control.alone),
        blank=drawn(_blank(control.alone)),
        further=drawn(_first(control.captions, FURTHER), far_beyond(training, adapter)),
    )


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A picture in which copies are looked for."""

    order: Order
    steps: int
    is_far: bool
    """Whether it was drawn with the style far beyond what it weighs."""
    image: Image.Image
    sampled: Sampled


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a look for copies came to."""

    copies: tuple[Copy, ...]
    once: int = 0
    """Near-copies that did not come again (`training.again`)."""


def suspects_of(control: Control, pictures: Pictures) -> tuple[Suspect, ...]:
    """Every picture in which copies are looked for; those of captions come first."""
    return (
        *_suspects(control, control.captions, pictures.captions),
        *_suspects(control, _first(control.captions, FURTHER), pictures.further, is_far=True),
        *_suspects(control, control.alone, pictures.alone),
        *_suspects(control, _blank(control.alone), pictures.blank),
    )


def far_beyond(training: Training, adapter: Adapter) -> Adapter:
    """The adapter with EXTRAPOLATION times the weight that it has."""
    weight = adapter.style_guidance or training.base.spec.style_guidance or training.guidance
    return replace(adapter, style_guidance=EXTRAPOLATION * weight)


def compare(training: Training, control: Control, pictures: Pictures, names: Sequence[str], found: Found) -> Trial:
    """What the pictures tell. names: what the creator knows each work by. found: the copies among them."""
    suspects = suspects_of(control, pictures)
    asked = [control.learnt_works.index(work) for work in control.captions.works]
    hand = compare_hands(training.base.textures(pictures.words), control.styles)
    named = zip(control.captions.orders, pictures.captions, strict=True)
    return Trial(
        drawn=Drawn(
            copies=len(found.copies),
            copied_once=found.once,
            samples=len(suspects),
            recalled=count_recalled([one.sampled.with_style for one in suspects[: len(asked)]], asked, control.learnt),
            recalled_without=count_recalled(
                [one.sampled.without for one in suspects[: len(asked)]], asked, control.learnt
            ),
            captions=len(asked),
            hand=hand.way,
            hand_error=hand.error,
            recognised=hand.told,
            recognised_without=hand.told_without,
            shown=len(pictures.words),
            recognised_works=hand.told_works,
            other_styles=len(control.styles) - 1,
        ),
        pairs=_pairs(control, pictures.shown),
        examples=pictures.words,
        samples=(
            *((order.plain or "no words known", image) for order, image in named),
            *(("the style alone", image) for image in pictures.alone),
        ),
        copies=tuple(_shown(control, copy, suspects[copy.sample].image, names) for copy in found.copies),
    )


def _first(series: Series, count: int) -> Series:
    return replace(series, orders=series.orders[:count], works=series.works[:count], without=series.without[:count])


def _blank(alone: Series) -> Series:
    return replace(alone, orders=tuple(replace(order, called="") for order in alone.orders))


def _suspects(
    control: Control, series: Series, images: Sequence[Image.Image], *, is_far: bool = False
) -> list[Suspect]:
    works: Sequence[int | None] = [control.learnt_works.index(work) for work in series.works] or [None] * len(images)
    return [
        Suspect(
            order=order,
            steps=series.steps,
            is_far=is_far,
            image=image,
            sampled=Sampled(with_style=see(image), without=see(before), work=work),
        )
        for order, image, before, work in zip(series.orders, images, series.without, works, strict=True)
    ]


def _pairs(control: Control, images: Sequence[Image.Image]) -> tuple[Pair, ...]:
    shown = control.shown
    return tuple(
        Pair(caption=order.plain, work=control.whole[work], without=before, with_style=after)
        for order, work, before, after in zip(shown.orders, shown.works, shown.without, images, strict=True)
    )


def _shown(control: Control, copy: Copy, sample: Image.Image, names: Sequence[str]) -> CopyShown:
    work = control.learnt_works[copy.work]
    return CopyShown(sample=sample, work=control.whole[work], name=names[work])
