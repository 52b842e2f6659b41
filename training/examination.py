"""How much is drawn and measured to judge an adapter: every size, and what they add up to. Thin: no torch."""

from collections.abc import Sequence

from inference.catalog import BaseSpec
from training.recipe import Recipe

MEASURED = 48
"""Trained works whose gain is measured; more would cost time and change little."""
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels at which works are asked about: the middles of five equal strata."""
SIGNS = (1.0, -1.0)
"""At every level a noise and its opposite."""
SUSPECTS = 12
"""Trained works whose captions are tried."""
FURTHER = 6
"""Of these, drawn once more with the style far beyond what it weighs."""
SHOWN = 6
"""Held-out works on the with/without sheet."""
LEAST_WORDS = 2
"""Pictures of common words, at least: a single one does not say how far pictures of one hand are from one another."""
WITHOUT_WORDS = 4
"""Pictures drawn from the trigger alone, and as many from nothing: what an adapter remembers comes out there first."""
DOUBTED = 2
"""So few near-copies may be chance: each is drawn again, ..."""
AGAIN = 4
"""... so often: what comes back every other time is missed once in sixteen."""
SHARES = (0.55, 0.7, 0.85, 1.0, 1.2, 1.4)
"""Weights of the style that are tried, as shares of the base's own."""
WEIGHED = 12
"""Pictures drawn at every weight, at least: half as many let a single picture decide."""


def common_words(spec: BaseSpec, *, of_held_out: Sequence[str]) -> tuple[str, ...]:
    """What pictures are drawn of to see whose hand they show: the base's own words, or else what the held-out works
    show, said again where that is too little."""
    words = spec.known_words or tuple(of_held_out)
    return (words * LEAST_WORDS)[: max(len(words), LEAST_WORDS)]


def num_answers(spec: BaseSpec, recipe: Recipe, num_works: int) -> int:
    """Answers of the denoiser, one row each, that it takes to judge one adapter; half of the weights are tried,
    and no near-copy is drawn again.

    Pictures that people see take all of the base's steps, others half of them.
    """
    held_out = recipe.num_held_out(num_works)
    trained = num_works - held_out
    words = max(len(spec.known_words) or held_out, LEAST_WORDS)
    full, half = spec.steps, max(spec.steps // 2, 1)
    seen, tried = words + min(held_out, SHOWN), min(trained, SUSPECTS)
    plain = 2 * (full * seen + half * (tried + WITHOUT_WORDS))
    asked = 3 if spec.style_guidance else 2
    styled = asked * (full * seen + half * (tried + min(tried, FURTHER) + 2 * WITHOUT_WORDS))
    weighed = asked * half * WEIGHED * len(SHARES) // 2 if spec.style_guidance else 0
    questions = len(LEVELS) * len(SIGNS)
    # Both grids once for the base and once for the adapter; the held-out one once more for the drift.
    predicted = questions * (2 * min(trained, MEASURED) + 2 * held_out)
    return plain + styled + weighed + predicted
