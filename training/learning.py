"""How trainings learn, one or many in a batch: steps within a budget, watched, looked at on held-out works, saved."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from inference.adapters.stack import StackedAdapters
from inference.bases import Base
from training import state, steps
from training.budget import Budget
from training.captions import make_trigger
from training.checkpoint import save_text
from training.encode import Encoded, encode
from training.errors import TrainingBroke, TrainingError
from training.estimate import examination_steps, looking_steps
from training.export import merkle_root
from training.interruption import Interrupted
from training.keeping import reopen
from training.kept import CHECKPOINTS, WAY
from training.measure import Grid, make_grid, measure_gain
from training.messages import Estimate, Event, HeldOut, Progress, Sample, StateChanged, TrainingRequest, Way
from training.plan import split_works
from training.probe import fastest_way, row_bytes, rows_with_room
from training.recipe import Recipe
from training.sampling import draw, order_for
from training.ways import thread_counts
from training.wording import say
from training.works import Review

PROBE_STEPS = 3
"""Steps that each takes alone, and that are timed before the estimate is told; the first one is slower than the others
and not counted."""
PROGRESS_EVERY = 5
TOLD_EVERY_S = 1.0
"""It tells where it stands after so many steps, or after so long where steps are slow."""


class Learner:
    """One training on its way: it tells, measures and saves, knows how long it still takes, and why it ended."""

    def __init__(
        self,
        training: state.Training,
        held_out: Grid,
        budget: Budget,
        scratch: Path,
        *,
        on_event: Callable[[Event], None],
        go_on: Callable[[], None],
    ) -> None:
        """`go_on` may raise Interrupted; a checkpoint is written then."""
        self.training = training
        self.held_out = held_out
        self.message = ""
        """Why it ended before its time, if it did and may be judged all the same."""
        self.error: TrainingError | Interrupted | None = None
        """What ended it, if it cannot be judged."""
        self._budget, self._scratch, self._on_event, self._go_on = budget, scratch, on_event, go_on
        spec, recipe, num_works = training.base.spec, training.recipe, training.data.num_works
        self._examination_steps = examination_steps(spec, recipe, num_works)
        self._looking_per_step = looking_steps(spec, recipe, num_works) / recipe.steps
        self._first_step = training.step
        self._untold_s = 0.0
        self._pace = _Pace()

    def begin(self) -> None:
        """Say that it learns now."""
        self._on_event(StateChanged(state="training"))

    def take(self, done: steps.StepDone | TrainingBroke) -> None:
        """A step was taken: tell, look and save as the recipe says."""
        if isinstance(done, TrainingBroke):
            self._end(done)
            return
        self._budget.count(done.own_s)
        with self._budget.counting():
            try:
                self._note(done)
            except TrainingError as error:
                self._end(error)

    def heed(self) -> None:
        """End here, with a checkpoint, if somebody wants that. Only once every step so far was taken note of."""
        try:
            self._go_on()
        except Interrupted:
            self.leave()

    def leave(self) -> None:
        """End here, with a checkpoint."""
        self._end(Interrupted())
        try:
            self._save()
        except TrainingError as error:
            self._end(error)

    def _end(self, error: TrainingError | Interrupted) -> None:
        self.error, self.training.is_stopped = error, True

    def _note(self, done: steps.StepDone) -> None:
        training, recipe = self.training, self.training.recipe
        self._tell(done)
        is_last = training.step == recipe.steps or self.is_spent
        if done.step % recipe.heldout_every == 0 or is_last:
            self._look_at_heldout()
        if done.step % recipe.checkpoint_every == 0 or training.is_over or is_last:
            self._save()
        if is_last and not training.is_over:
            self.message = say("ended_early", step=training.step, steps=recipe.steps)
            training.is_stopped = True

    @property
    def is_spent(self) -> bool:
        """True if the budget has just enough left to judge what was learnt."""
        return self._budget.left_s < self._examination_steps * self._pace.alone_s

    def _tell(self, done: steps.StepDone) -> None:
        """Say where it stands, and, once the pace is known, how long it takes. Raises OverBudget."""
        self._pace.saw(done)
        recipe = self.training.recipe
        left_s = self._left_s(recipe.steps - done.step)
        if done.step - self._first_step == PROBE_STEPS:
            self._budget.require_room_for(left_s)
            seconds = round(self._budget.spent_s + left_s, 1)
            self._on_event(Estimate(seconds=seconds, steps=recipe.steps))
        self._untold_s += done.seconds
        if done.step % PROGRESS_EVERY == 0 or self._untold_s >= TOLD_EVERY_S or self.training.is_over:
            self._untold_s = 0.0
            # Of all that is done meanwhile, the others' looks and examinations among it, its share is that of its rows.
            loss, eta_s = round(self._pace.loss, 5), round(left_s / done.share, 1)
            self._on_event(Progress(step=done.step, steps=recipe.steps, loss=loss, eta_s=eta_s))

    def _look_at_heldout(self) -> None:
        """Measure and draw in between. Not to be stopped: a step is saved only with the look that belongs to it."""
        training = self.training
        gain = measure_gain(training.base, training.stack, self.held_out, training.adapter, go_on=lambda: None)
        training.take_note(gain)
        self._on_event(HeldOut(step=training.step, gain=round(gain.mean, 5)))
        path = self._scratch / "samples" / f"step-{training.step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _draw_progress(training, self.held_out.works[0]).save(path)
        self._on_event(Sample(step=training.step, path=path))

    def _save(self) -> None:
        """Write a checkpoint."""
        self.training.spent_s = self._budget.spent_s
        state.save(self.training)

    def _left_s(self, num_steps: int) -> float:
        """Of its own work."""
        pace = self._pace
        return num_steps * pace.own_s + (num_steps * self._looking_per_step + self._examination_steps) * pace.alone_s


class _Pace:
    """Time and loss of the steps so far, smoothed for those who watch; the first step is slower and not counted."""

    def __init__(self) -> None:
        self.own_s = 0.0
        """Its share of a step."""
        self.alone_s = 0.0
        """A step that it takes alone, as it is looked at and judged."""
        self.loss = 0.0
        self._counted = self._alone = 0

    def saw(self, done: steps.StepDone) -> None:
        self._counted += 1
        self.loss = done.loss if self._counted == 1 else 0.95 * self.loss + 0.05 * done.loss
        if self._counted == 1:
            return
        self.own_s += (done.own_s - self.own_s) / (self._counted - 1)
        if done.share == 1:
            self._alone += 1
            self.alone_s += (done.seconds - self.alone_s) / self._alone


def begin_learning(
    request: TrainingRequest,
    review: Review,
    recipe: Recipe,
    budget: Budget,
    *,
    base: Base,
    stack: StackedAdapters,
    way: Way | None,
    on_event: Callable[[Event], None],
    go_on: Callable[[], None],
) -> Learner:
    """A training at its first step, or where its last run left it.

    stack: over the base's denoiser, shared by all that learn together. way: of computing, where it has none of its own;
    None: measured now. go_on: see Learner. Raises TrainingError and what `go_on` raises.
    """
    on_event(StateChanged(state="preparing", message=say("reading", number=len(review.good))))
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
    way = _way(request, way, base, stack, data, recipe, go_on)
    training = state.begin(
        base,
        stack,
        data,
        split_works(review.clusters, recipe, seed=request.seed),
        recipe,
        seed=request.seed,
        fingerprint=_fingerprint(request, review, recipe, base.sha256, data, way),
        folder=request.scratch / CHECKPOINTS,
        way=way,
    )
    held_out = training.split.held_out
    grid = make_grid(base, stack, data, held_out, gamma=recipe.min_snr_gamma, seed=request.seed, go_on=go_on)
    if request.take:
        reopen(training, request.take)
    else:
        state.resume(training)
    budget.count(training.spent_s)
    return Learner(training, grid, budget, request.scratch, on_event=on_event, go_on=go_on)


def learn(learners: Sequence[Learner], *, when_over: Callable[[Learner], None] = lambda learner: None) -> None:
    """Take all steps that are left of each, in one batch, after a few that each takes alone to know what it costs.

    How each ended it knows itself: none ends another. when_over: hears of each as soon as it has ended; the others wait
    meanwhile. Those whose ways of computing differ take turns. Raises TooLarge if not even one row fits into memory.
    """
    for learner in learners:
        if learner.error is None:
            learner.begin()
            learner.heed()
    for learner in learners:
        if learner.training.is_over:
            when_over(learner)
    ways = [replace(learner.training.way, rows_at_once=0) for learner in learners]
    for way in dict.fromkeys(ways):
        alike = [learner for learner, own in zip(learners, ways, strict=True) if own == way]
        if len(alike) > 1:
            for learner in alike:
                _take_steps([learner], when_over, most=PROBE_STEPS)
        _take_steps(alike, when_over)


def _take_steps(learners: Sequence[Learner], when_over: Callable[[Learner], None], *, most: int | None = None) -> None:
    of = {id(learner.training): learner for learner in learners}
    trainings = [learner.training for learner in learners]
    for taken in islice(steps.take_steps_together(trainings, most_rows=_most_rows(trainings)), most):
        for training, done in taken:
            of[id(training)].take(done)
        for training, _ in taken:
            if not training.is_over:
                of[id(training)].heed()
            if training.is_over:
                when_over(of[id(training)])


def _most_rows(trainings: Sequence[state.Training]) -> int:
    """How many rows of many trainings a CPU has room for; of one alone its way says it, and a GPU refuses by itself."""
    left = [training for training in trainings if not training.is_over]
    if len(left) <= 1 or left[0].base.device.type != "cpu":
        return 0
    return rows_with_room(max(row_bytes(one.base, one.data, one.recipe, one.way, stack=one.stack) for one in left))


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


def _way(
    request: TrainingRequest,
    way: Way | None,
    base: Base,
    stack: StackedAdapters,
    data: Encoded,
    recipe: Recipe,
    go_on: Callable[[], None],
) -> Way:
    """The way that was measured before, or is now; once begun, a training keeps to its way."""
    kept = request.scratch / WAY
    if kept.is_file():
        return Way(**json.loads(kept.read_text()))
    if request.way is not None:
        return request.way
    if base.device.type == "cpu" and thread_counts() == [1]:
        return Way()
    way = way or fastest_way(base, data, recipe, stack=stack, go_on=go_on)[0]
    save_text(kept, json.dumps(asdict(way)))
    return way


def _fingerprint(
    request: TrainingRequest, review: Review, recipe: Recipe, base_sha256: str, data: Encoded, way: Way
) -> str:
    """Of all that decides the adapter's numbers: not of the gate's limits, by which they are judged."""
    learnt_by = {name: value for name, value in recipe.as_dict().items() if name != "gate"}
    content: dict[str, object] = {
        "works": [work.sha256 for work in review.good],
        "captions": data.captions,
        "trigger": data.trigger,
        "recipe": learnt_by,
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
