"""What a training will take on a machine whose speed was measured. Thin: no torch."""

from inference.catalog import BaseSpec
from training.examination import LEVELS, SIGNS, num_answers
from training.messages import Estimate, Speed
from training.recipe import Recipe

GRADIENT_COSTS = 1.1
"""What an answer's gradient costs beside the answer: frozen weights need none of their own."""
PROMPTS_PER_WORK = 6
"""Wordings of a work's captions, with the trigger and without, that are read ahead."""


def estimate(speed: Speed, spec: BaseSpec, recipe: Recipe, num_works: int) -> Estimate:
    """The whole training of so many works, from opening the base to the three files.

    Speeds are those of squares, which hold for works of other shapes as well: their areas are alike.
    """
    versions = (1 + recipe.crops) * (2 if recipe.flips else 1)
    encoding_s = num_works * (versions * speed.picture_s + PROMPTS_PER_WORK * speed.prompt_s)
    steps = recipe.steps + looking_steps(spec, recipe, num_works) + examination_steps(spec, recipe, num_works)
    seconds = speed.opening_s + encoding_s + steps * speed.step_s
    return Estimate(seconds=round(seconds, 1), steps=recipe.steps, memory_bytes=speed.memory_bytes)


def examination_steps(spec: BaseSpec, recipe: Recipe, num_works: int) -> float:
    """How many steps of the training take as long as judging what came of it."""
    return num_answers(spec, recipe, num_works) / _answers_per_step(recipe)


def looking_steps(spec: BaseSpec, recipe: Recipe, num_works: int) -> float:
    """The same of all looks at the held-out works on the way, with a picture each."""
    looks = -(-recipe.steps // recipe.heldout_every)
    asked = 3 if spec.style_guidance else 2
    answers = recipe.num_held_out(num_works) * len(LEVELS) * len(SIGNS) + asked * spec.steps
    return looks * answers / _answers_per_step(recipe)


def _answers_per_step(recipe: Recipe) -> float:
    """Answers of the denoiser that take as long as a step: every row's with its gradient, and the base's own for prior
    rows."""
    return (1 + GRADIENT_COSTS) * recipe.batch + recipe.num_prior_rows
