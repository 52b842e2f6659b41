"""How one training learns: its steps taken within its budget, watched, looked at on held-out works, and saved."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from inference.adapters.stack import StackedAdapters
from inference.bases import Base, open_base
from inference.catalog import base_spec
from training import state, steps
from training.budget import Budget
from training.captions import make_trigger
from training.checkpoint import save_text
from training.encode import Encoded, encode
from training.estimate import examination_steps, looking_steps
from training.export import merkle_root
from training.interruption import Interrupted
from training.measure import Grid, make_grid, measure_gain
from training.messages import Estimate, Event, HeldOut, Progress, Sample, StateChanged, TrainingRequest, Way
from training.plan import split_works
from training.probe import fastest_way
from training.recipe import Recipe
from training.sampling import draw, order_for
from training.works import Review

PROBE_STEPS = 3
"""Steps that are timed before the estimate is told; the first one is slower than the others and not counted."""
PROGRESS_EVERY = 5


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A training that has taken its steps."""

    training: state.Training
    held_out: Grid
    """What its held-out works ask."""
    message: str = ""
    """Why it ended before its time, if it did."""


def learn_style(
    request: TrainingRequest,
    review: Review,
    recipe: Recipe,
    budget: Budget,
    *,
    on_event: Callable[[Event], None],
    go_on: Callable[[], None],
    device: str,
) -> Learnt:
    """Take all steps of a training, or those that are left of it.

    `go_on` is called before every step and may raise Interrupted; a checkpoint is written then. Raises OverBudget as
    soon as it is clear that the training does not fit into its budget.
    """
    base = open_base(base_spec(request.base), device=device)
    stack = StackedAdapters(base.denoiser)
    on_event(StateChanged(state="preparing", message=f"Reading {len(review.good)} works."))
    data = encode(
        base,
        review.good,
        trigger=request.trigger or make_trigger(merkle_root(sorted(work.sha256 for work in review.good))),
        style_words=request.style_words,
        crops=recipe.crops,
        flips=recipe.flips,
        seed=request.seed,
        go_on=go_on,
    )
    way = _way(request, base, data, recipe, go_on)
    training = state.begin(
        base,
        stack,
        data,
        split_works(review.clusters, recipe, seed=request.seed),
        recipe,
        seed=request.seed,
        fingerprint=_fingerprint(request, review, recipe, base.sha256, data, way),
        folder=request.scratch / "checkpoints",
        way=way,
    )
    held_out = training.split.held_out
    grid = make_grid(base, stack, data, held_out, gamma=recipe.min_snr_gamma, seed=request.seed, go_on=go_on)
    state.resume(training)
    budget.count(training.spent_s)
    on_event(StateChanged(state="training"))
    watch = _Watch(training, grid, budget, request.scratch, on_event)
    return Learnt(training=training, held_out=grid, message=_learn(watch, go_on))


def _learn(watch: "_Watch", go_on: Callable[[], None]) -> str:
    """Take all steps that are left, or those that the budget leaves room for; returns why it was cut short."""
    training = watch.training
    recipe = training.recipe
    try:
        go_on()
        for done in steps.take_steps(training):
            watch.tell(done)
            is_last = training.step == recipe.steps or watch.is_spent
            if done.step % recipe.heldout_every == 0 or is_last:
                watch.look_at_heldout()
            if done.step % recipe.checkpoint_every == 0 or training.is_over or is_last:
                watch.save()
            if is_last and not training.is_over:
                return f"Its time was nearly used up after {training.step} of {recipe.steps} steps, so it ended there."
            go_on()
    except Interrupted:
        watch.save()
        raise
    return ""


class _Watch:
    """Tells, measures and saves a training while it goes on, and knows how long it still takes."""

    def __init__(
        self,
        training: state.Training,
        grid: Grid,
        budget: Budget,
        scratch: Path,
        on_event: Callable[[Event], None],
    ) -> None:
        self.training = training
        self._grid, self._budget, self._scratch, self._on_event = grid, budget, scratch, on_event
        spec, recipe, num_works = training.base.spec, training.recipe, training.data.num_works
        self._examination_steps = examination_steps(spec, recipe, num_works)
        self._looking_per_step = looking_steps(spec, recipe, num_works) / recipe.steps
        self._first_step = training.step
        self._pace = _Pace()

    @property
    def is_spent(self) -> bool:
        """True if the budget has just enough left to judge what was learnt."""
        return self._budget.left_s < self._examination_steps * self._pace.step_s

    def tell(self, done: steps.StepDone) -> None:
        """Say where it stands, and, once the pace is known, how long it takes. Raises OverBudget."""
        self._pace.saw(done)
        recipe = self.training.recipe
        left_s = self._left_s(recipe.steps - done.step)
        if done.step - self._first_step == PROBE_STEPS:
            self._budget.require_room_for(left_s)
            seconds = round(self._budget.spent_s + left_s, 1)
            self._on_event(Estimate(seconds=seconds, steps=recipe.steps))
        if done.step % PROGRESS_EVERY == 0 or self.training.is_over:
            loss, eta_s = round(self._pace.loss, 5), round(left_s, 1)
            self._on_event(Progress(step=done.step, steps=recipe.steps, loss=loss, eta_s=eta_s))

    def look_at_heldout(self) -> None:
        """Measure and draw in between. Not to be stopped: a step is saved only with the look that belongs to it."""
        training = self.training
        gain = measure_gain(training.base, training.stack, self._grid, training.adapter, go_on=lambda: None)
        training.take_note(gain)
        self._on_event(HeldOut(step=training.step, gain=round(gain.mean, 5)))
        path = self._scratch / "samples" / f"step-{training.step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _draw_progress(training, self._grid.works[0]).save(path)
        self._on_event(Sample(step=training.step, path=path))

    def save(self) -> None:
        """Write a checkpoint."""
        self.training.spent_s = self._budget.spent_s
        state.save(self.training)

    def _left_s(self, num_steps: int) -> float:
        return (num_steps * (1 + self._looking_per_step) + self._examination_steps) * self._pace.step_s


class _Pace:
    """Time and loss of the steps so far, smoothed for those who watch; the first step is slower and not counted."""

    def __init__(self) -> None:
        self.step_s = 0.0
        self.loss = 0.0
        self._counted = 0
        self._began = 0.0

    def saw(self, done: steps.StepDone) -> None:
        self._counted += 1
        self.loss = done.loss if self._counted == 1 else 0.95 * self.loss + 0.05 * done.loss
        if self._counted > 1:
            self.step_s += (done.seconds - self.step_s) / (self._counted - 1)


def _draw_progress(training: state.Training, work: int) -> Image.Image:
    """A work's words in the style as it is now: one picture that can be watched growing."""
    order = order_for(training.data.captions[work][0], trigger=training.data.trigger, seed=0)
    return draw(
        training.base,
        training.stack,
        [order],
        adapter=training.adapter,
        guidance=training.guidance,
        go_on=lambda: None,
    )[0]


def _way(request: TrainingRequest, base: Base, data: Encoded, recipe: Recipe, go_on: Callable[[], None]) -> Way:
    """The way that was measured before, or is now; once begun, a training keeps to its way."""
    if request.way is not None:
        return request.way
    if base.device.type == "cpu":
        return Way()
    kept = request.scratch / "way.json"
    if kept.is_file():
        return Way(**json.loads(kept.read_text()))
    way, _ = fastest_way(base, data, recipe, go_on=go_on)
    save_text(kept, json.dumps(asdict(way)))
    return way


def _fingerprint(
    request: TrainingRequest, review: Review, recipe: Recipe, base_sha256: str, data: Encoded, way: Way
) -> str:
    """Of all that decides the adapter's numbers."""
    content: dict[str, object] = {
        "works": [work.sha256 for work in review.good],
        "captions": data.captions,
        "trigger": data.trigger,
        "recipe": recipe.as_dict(),
        "base": base_sha256,
        "seed": request.seed,
    }
    if way.precision != "float32":
        content["precision"] = way.precision
    # They follow from the base's entry, which its hash knows nothing of; squares are what every base can draw.
    shapes = [data.shape_of(work)[1:] for work in range(data.num_works)]
    if any(high != wide for high, wide in shapes):
        content["shapes"] = shapes
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
