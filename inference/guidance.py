"""What the denoiser is asked in every step of a picture, and how its answers become one.

Three questions are worth asking about a picture in somebody's style: what the words look like in that style (with the
adapters and their call), what the words look like to the base alone, and what the negative prompt looks like to it.
`guidance` leads from the third towards the second, `style_guidance` from the second towards the first:

    negative + guidance * (plain - negative) + style_guidance * (styled - plain)

So a thing keeps the shape that the base knows for it, and a style that was learnt gently (its call is all that brings
it) still shows plainly. Two scales over three predictions: Brooks and others, arXiv 2211.09800, section 3.2.1.
"""

from dataclasses import dataclass

from torch import Tensor

from inference.adapters.stack import RowAdapters
from inference.readings import Readings


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question: what the denoiser reads, through which adapters, and what its answer weighs."""

    text: object
    """A reading that only the base understands."""
    weight: float
    adapters: RowAdapters = ()


def asks(
    *,
    called: object,
    plain: object,
    negative: object,
    adapters: RowAdapters,
    guidance: float,
    style_guidance: float,
) -> tuple[Ask, ...]:
    """The questions about one picture, the wanted one first; weights add up to 1, none is 0.

    `called` is `plain` with the adapters' call. `style_guidance` is the base's: what a style weighs whose file does not
    say. Where neither says anything, it is asked as stock pipelines do: through the adapters in both halves.
    """
    weight = _weight_of(adapters, style_guidance)
    if weight == 0:
        every = [
            Ask(text=called, weight=guidance, adapters=adapters),
            Ask(text=negative, weight=1 - guidance, adapters=adapters),
        ]
    else:
        every = [
            Ask(text=called, weight=weight, adapters=adapters),
            Ask(text=plain, weight=guidance - weight),
            Ask(text=negative, weight=1 - guidance),
        ]
    return tuple(ask for ask in every if ask.weight != 0)


def _weight_of(adapters: RowAdapters, style_guidance: float) -> float:
    """What one adapter's style weighs; of several the mean, by their strengths; 0: it has no scale of its own."""
    if not adapters:
        return 0.0
    weights = [adapter.style_guidance or style_guidance for adapter, _ in adapters]
    shares = [abs(strength) for _, strength in adapters]
    if sum(shares) == 0:
        return style_guidance
    return sum(share * weight for share, weight in zip(shares, weights, strict=True)) / sum(shares)


def read_asks(
    readings: Readings,
    *,
    called: str,
    plain: str,
    negative: str,
    adapters: RowAdapters,
    guidance: float,
    style_guidance: float,
) -> tuple[Ask, ...]:
    """`asks` of prompts: each is read through the adapters that its question goes through."""
    others = () if _weight_of(adapters, style_guidance) else adapters
    return asks(
        called=readings.read(called, adapters),
        plain=readings.read(plain, others),
        negative=readings.read(negative, others),
        adapters=adapters,
        guidance=guidance,
        style_guidance=style_guidance,
    )


def blend(answers_KCHW: Tensor, weights_K111: Tensor, rescale: float) -> Tensor:
    """The K answers about one picture, weighted, (C, H, W); the first is the wanted one.

    A share `rescale` of the blend has its deviation set back to that of the wanted answer, which keeps colours from
    oversaturating where the noise schedule ends in pure noise. Source: Lin and others, arXiv 2305.08891, section 3.4.
    """
    blended = (weights_K111 * answers_KCHW).sum(dim=0)
    if rescale == 0 or len(weights_K111) == 1:
        return blended
    level = blended * (answers_KCHW[0].std() / blended.std().clamp_min(1e-8))
    return rescale * level + (1 - rescale) * blended
