"""The story of one training, top to bottom: works in, an adapter with its receipt and report out."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from inference.adapters.stack import StackedAdapters
from inference.bases import open_base
from inference.catalog import base_spec
from inference.errors import InferenceError
from inference.pictures import png_bytes
from training import state, steps
from training.captions import make_trigger
from training.encode import Encoded, encode
from training.errors import TrainingError
from training.export import ADAPTER, RECEIPT, REPORT, Facts, export_adapter, make_receipt, merkle_root, write_receipt
from training.gate import Verdict
from training.measure import Grid, make_grid, measure_gain
from training.messages import (
    Done,
    Estimate,
    Event,
    HeldOut,
    Progress,
    Sample,
    StateChanged,
    TrainingRequest,
    check_request,
)
from training.plan import split_works
from training.recipe import Recipe, load_recipe, style_recipe
from training.release import Release, choose, open_examination
from training.report import Report, draw_sheet, render_report
from training.review.portfolio import review_portfolio
from training.sampling import draw, order_for
from training.trial import Trial
from training.works import Review

PROBE_STEPS = 3
"""Steps that are timed before the estimate is told; the first one is slower than the others and not counted."""
PROGRESS_EVERY = 5
MEASURING_STEPS = 280
"""Measuring and drawing at the end take about as long as this many steps."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The end of a training. `outcome` interrupted: a checkpoint was written, the same request continues it."""

    outcome: Literal["passed", "refused", "interrupted"]
    adapter: Path | None = None
    receipt: Path | None = None
    report: Path | None = None
    message: str = ""


class _Interrupted(Exception):
    """Raised from wherever `stop` said True."""


def train(
    request: TrainingRequest,
    *,
    on_event: Callable[[Event], None],
    stop: Callable[[], bool],
    sign: Callable[[dict[str, Any]], str] | None = None,
    device: str = "cpu",
) -> Trained:
    """Train one adapter from a portfolio.

    on_event: hears every event of `training.messages`, in order. stop: asked before every step; when it says True a
    checkpoint is written and the outcome is "interrupted". sign: turns the receipt into a signature (a JWS); without
    it the receipt stays unsigned. Raises TrainingError or InferenceError with a sentence; "failed" was then reported.
    """

    def go_on() -> None:
        if stop():
            raise _Interrupted

    try:
        return _train(request, on_event=on_event, go_on=go_on, sign=sign, device=device)
    except _Interrupted:
        return Trained(outcome="interrupted", message="stopped; run the same request again to continue")
    except (TrainingError, InferenceError) as error:
        on_event(StateChanged(state="failed", message=str(error)))
        raise


def _train(
    request: TrainingRequest,
    *,
    on_event: Callable[[Event], None],
    go_on: Callable[[], None],
    sign: Callable[[dict[str, Any]], str] | None,
    device: str,
) -> Trained:
    check_request(request)
    on_event(StateChanged(state="preparing"))
    spec = base_spec(request.base)
    recipe = load_recipe(request.recipe) if request.recipe else style_recipe(spec)
    review = review_portfolio(
        request.works,
        size=spec.size,
        min_works=recipe.min_works,
        is_whole=not request.is_reviewed,
        num_threads=torch.get_num_threads(),
        go_on=go_on,
    )
    for finding in review.findings:
        on_event(finding)
    request.out.mkdir(parents=True, exist_ok=True)
    if len(review.good) < recipe.min_works:
        return _refuse_for_too_few(request, review, recipe, on_event)

    training, grid = learn_style(request, review, recipe, on_event=on_event, go_on=go_on, device=device)
    on_event(StateChanged(state="measuring"))
    exam = open_examination(training, review, grid, seed=request.seed, go_on=go_on)
    release = choose(exam, say=lambda sentence: on_event(StateChanged(state="measuring", message=sentence)))
    return _deliver(request, review, training, release, on_event=on_event, sign=sign)


def learn_style(
    request: TrainingRequest,
    review: Review,
    recipe: Recipe,
    *,
    on_event: Callable[[Event], None],
    go_on: Callable[[], None],
    device: str,
) -> tuple[state.Training, Grid]:
    """Take all steps of a training, or those that are left of it; returns it and what its held-out works ask.

    `go_on` is called before every step and may raise; a checkpoint is written then.
    """
    spec = base_spec(request.base)
    base = open_base(spec, device=device)
    stack = StackedAdapters(base.denoiser)
    split = split_works(review.clusters, share=recipe.heldout_share, seed=request.seed)
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
    training = state.begin(
        base,
        stack,
        data,
        split,
        recipe,
        seed=request.seed,
        fingerprint=_fingerprint(request, review, recipe, base.sha256, data),
        folder=request.scratch / "checkpoints",
    )
    grid = make_grid(base, stack, data, split.held_out, gamma=recipe.min_snr_gamma, seed=request.seed, go_on=go_on)
    state.resume(training)
    on_event(StateChanged(state="training"))
    _learn(training, grid, request.scratch, on_event, go_on)
    return training, grid


def _learn(
    training: state.Training, grid: Grid, scratch: Path, on_event: Callable[[Event], None], go_on: Callable[[], None]
) -> None:
    """Take all steps that are left, saving, looking at the held-out works and telling as the recipe says."""
    recipe, pace = training.recipe, _Pace(training.step)
    try:
        go_on()
        for done in steps.take_steps(training):
            pace.saw(done)
            if done.step - pace.first_step == PROBE_STEPS:
                left = recipe.steps - done.step + MEASURING_STEPS
                on_event(Estimate(seconds=round(left * pace.step_s, 1), steps=recipe.steps))
            if done.step % PROGRESS_EVERY == 0 or training.is_over:
                eta_s = round((recipe.steps - done.step + MEASURING_STEPS) * pace.step_s, 1)
                on_event(Progress(step=done.step, steps=recipe.steps, loss=round(pace.loss, 5), eta_s=eta_s))
            if done.step % recipe.heldout_every == 0 or done.step == recipe.steps:
                _look_at_heldout(training, grid, scratch, on_event)
            if done.step % recipe.checkpoint_every == 0 or training.is_over:
                state.save(training)
            go_on()
    except _Interrupted:
        state.save(training)
        raise


def _look_at_heldout(training: state.Training, grid: Grid, scratch: Path, on_event: Callable[[Event], None]) -> None:
    """Measure and draw in between. Not to be stopped: a step is saved only with the look that belongs to it."""
    gain = measure_gain(training.base, training.stack, grid, training.adapter, go_on=lambda: None)
    training.take_note(gain)
    on_event(HeldOut(step=training.step, gain=round(gain.mean, 5)))
    path = scratch / "samples" / f"step-{training.step:06d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    _draw_progress(training, grid.works[0]).save(path)
    on_event(Sample(step=training.step, path=path))


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


def _deliver(
    request: TrainingRequest,
    review: Review,
    training: state.Training,
    release: Release,
    *,
    on_event: Callable[[Event], None],
    sign: Callable[[dict[str, Any]], str] | None,
) -> Trained:
    """Judge, write the three files, and say how it ended."""
    recipe, split, base = training.recipe, training.split, training.base
    candidate, trial, verdict = release.candidate, release.trial, release.verdict
    facts = Facts(
        base=base.spec.id,
        base_sha256=base.sha256,
        trained=tuple(review.good[number].sha256 for number in split.trained_works),
        held_out=tuple(review.good[number].sha256 for number in split.held_out),
        recipe=recipe,
        seed=request.seed,
        trigger=training.data.trigger,
        steps=candidate.step,
        tried=release.tried,
        heldout_curve=tuple((look.step, look.gain.mean, look.gain.error) for look in training.heldout),
    )
    content = export_adapter(candidate.adapter, base, trigger=training.data.trigger, rank=candidate.rank)
    paths = [request.out / name for name in (ADAPTER, RECEIPT, REPORT)]
    paths[0].write_bytes(content)
    write_receipt(paths[1], make_receipt(facts, content, release.scores, verdict), sign)
    report = Report(
        verdict=verdict,
        scores=release.scores,
        tried=release.tried,
        trigger=training.data.trigger,
        num_trained=len(split.trained_works),
        num_held_out=len(split.held_out),
        steps=candidate.step,
        pairs=trial.pairs,
        samples=trial.samples,
        copies=trial.copies,
        curve=facts.heldout_curve,
        findings=review.findings,
        names=_names(request),
    )
    paths[2].write_text(render_report(report), encoding="utf-8")
    sheet = request.scratch / "samples" / "with-and-without.png"
    draw_sheet(trial.pairs).save(sheet)
    on_event(Sample(step=candidate.step, path=sheet))
    examples = _keep_examples(trial, request.scratch / "examples")
    scores = release.scores.as_dict()
    on_event(Done(adapter=paths[0], receipt=paths[1], report=paths[2], scores=scores, examples=examples))
    outcome: Literal["passed", "refused"] = "passed" if verdict.passed else "refused"
    message = "" if verdict.passed else verdict.sentences[0]
    on_event(StateChanged(state=outcome, message=message))
    return Trained(outcome=outcome, adapter=paths[0], receipt=paths[1], report=paths[2], message=message)


def _keep_examples(trial: Trial, folder: Path) -> tuple[Path, ...]:
    """Common words drawn in the style, each in a file of its own, so that nothing of a work can come with them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{number}.png" for number in range(1, len(trial.examples) + 1))
    for path, image in zip(paths, trial.examples, strict=True):
        path.write_bytes(png_bytes(image))
    return paths


def _refuse_for_too_few(
    request: TrainingRequest, review: Review, recipe: Recipe, on_event: Callable[[Event], None]
) -> Trained:
    finding = next(finding for finding in review.findings if finding.kind == "too_few")
    message = f"{finding.why} {finding.fix}"
    report = Report(
        verdict=Verdict(passed=False, sentences=(message,)),
        scores=None,
        trigger="",
        num_trained=0,
        num_held_out=0,
        steps=0,
        findings=review.findings,
        names=_names(request),
    )
    path = request.out / REPORT
    path.write_text(render_report(report), encoding="utf-8")
    on_event(StateChanged(state="refused", message=message))
    return Trained(outcome="refused", report=path, message=message)


def _names(request: TrainingRequest) -> dict[str, str]:
    return {work.id: work.path.name for work in request.works}


class _Pace:
    """Time and loss of the steps so far, smoothed for those who watch."""

    def __init__(self, first_step: int) -> None:
        self.first_step = first_step
        self.step_s = 0.0
        self.loss = 0.0
        self._began = time.perf_counter()
        self._counted = 0

    def saw(self, done: steps.StepDone) -> None:
        self._counted += 1
        self.loss = done.loss if self._counted == 1 else 0.95 * self.loss + 0.05 * done.loss
        if self._counted == 1:
            self._began = time.perf_counter()
        else:
            self.step_s = (time.perf_counter() - self._began) / (self._counted - 1)


def _fingerprint(request: TrainingRequest, review: Review, recipe: Recipe, base_sha256: str, data: Encoded) -> str:
    """Of all that decides the adapter's numbers."""
    content = {
        "works": [work.sha256 for work in review.good],
        "captions": data.captions,
        "trigger": data.trigger,
        "recipe": recipe.as_dict(),
        "base": base_sha256,
        "seed": request.seed,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
