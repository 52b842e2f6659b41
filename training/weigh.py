"""How much a style should weigh in a picture: drawn at several weights, the gentlest that comes near the works.

A style of thin lines hardly shows at a weight at which one of full grounds has already covered the things
(`inference.guidance` says what a weight does). So the weight is measured for every adapter and travels in its file.

Shapes: W works, N drawn pictures, T numbers of a texture.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice

import torch
from PIL import Image
from torch import Tensor

from inference.adapters.stack import Adapter
from inference.bases import Base
from training.curve import standard_error
from training.encode import ENCODE_BATCH
from training.sampling import draw, order_for
from training.state import Training

SHARES = (0.7, 0.85, 1.0, 1.2, 1.4)
"""Weights that are tried, as shares of the base's own."""
PICTURES = 12
"""Drawn at every weight: of words that the base draws well, or else of works that were not trained on. Half as many
let a single picture decide."""
LEAST_DEVIATION = 1e-3


def weigh_style(
    training: Training, adapter: Adapter, works_WT: Tensor, *, seed: int, go_on: Callable[[], None]
) -> Adapter:
    """The adapter with the lowest weight at which its pictures are drawn about as the works are.

    Not clearly further from the works than at any other weight, that is, picture by picture. The lowest, because things
    keep their shapes there.

    works_WT: textures of the works as the base's autoencoder gives them back. A base that gives styles no scale of
    their own leaves nothing to choose. Drawn with half the base's steps: that is enough to compare.
    """
    base = training.base
    if base.spec.style_guidance == 0:
        return adapter
    tried = [replace(adapter, style_guidance=round(share * base.spec.style_guidance, 2)) for share in SHARES]
    drawn = [base.textures(_draw(training, one, seed=seed, go_on=go_on)) for one in tried]
    distances = distances_to_works(works_WT, drawn)
    nearest = min(distances, key=sum)
    return next(one for one, own in zip(tried, distances, strict=True) if not clearly_above(own, nearest))


def distances_to_works(works_WT: Tensor, drawn: Sequence[Tensor]) -> list[list[float]]:
    """How far each picture of each lot (N, T) stands from the work nearest to it.

    The nearest, because a portfolio may hold more than one way of drawing. Every number of a texture counts alike.
    """
    every = torch.cat([works_WT, *drawn])
    deviation = every.std(dim=0).clamp_min(LEAST_DEVIATION)
    return [torch.cdist(lot / deviation, works_WT / deviation).amin(dim=1).tolist() for lot in drawn]


def clearly_above(values: Sequence[float], others: Sequence[float]) -> bool:
    """Whether values exceed the others, pair by pair, by more than the standard error of the difference."""
    differences = [value - other for value, other in zip(values, others, strict=True)]
    return sum(differences) / len(differences) > standard_error(differences)


def through_autoencoder(base: Base, images: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures of one size as the base's autoencoder gives them back: drawn ones come out of it as well."""
    return [
        image
        for start in range(0, len(images), ENCODE_BATCH)
        for image in base.decode(base.encode_images(images[start : start + ENCODE_BATCH]))
    ]


def _draw(training: Training, adapter: Adapter, *, seed: int, go_on: Callable[[], None]) -> list[Image.Image]:
    data = training.data
    words = training.base.spec.known_words or [data.captions[number][0] for number in training.split.held_out]
    orders = [
        order_for(word, trigger=data.trigger, seed=seed + number)
        for number, word in enumerate(islice(cycle(words), PICTURES))
    ]
    steps = max(training.base.spec.steps // 2, 1)
    return draw(
        training.base,
        training.stack,
        orders,
        adapter=adapter,
        guidance=training.guidance,
        steps=steps,
        go_on=go_on,
    )
