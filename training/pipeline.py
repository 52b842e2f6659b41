"""The story of one training, top to bottom: works in, an adapter with its receipt and report out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from inference.catalog import base_spec
from inference.errors import InferenceError
from inference.pictures import png_bytes
from training.budget import Budget
from training.errors import TrainingError
from training.export import ADAPTER, RECEIPT, REPORT, Facts, export_adapter, make_receipt, write_receipt
from training.gate import Verdict
from training.interruption import Interrupted, unless
from training.learning import learn_style
from training.messages import Done, Event, Sample, StateChanged, TrainingRequest, check_request
from training.recipe import Recipe, recipe_for
from training.release import Release, choose, open_examination
from training.report import Report, draw_sheet, render_report
from training.review.portfolio import review_portfolio
from training.state import Training
from training.trial import Trial
from training.works import Review


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The end of a training. `outcome` interrupted: a checkpoint was written, the same request continues it."""

    outcome: Literal["passed", "refused", "interrupted"]
    adapter: Path | None = None
    receipt: Path | None = None
    report: Path | None = None
    message: str = ""


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

    budget = Budget(request.max_minutes)
    try:
        return _train(request, budget, on_event=on_event, go_on=unless(stop), sign=sign, device=device)
    except Interrupted:
        return Trained(outcome="interrupted", message="stopped; run the same request again to continue")
    except (TrainingError, InferenceError) as error:
        on_event(StateChanged(state="failed", message=str(error)))
        raise


def _train(
    request: TrainingRequest,
    budget: Budget,
    *,
    on_event: Callable[[Event], None],
    go_on: Callable[[], None],
    sign: Callable[[dict[str, Any]], str] | None,
    device: str,
) -> Trained:
    check_request(request)
    on_event(StateChanged(state="preparing"))
    spec = base_spec(request.base)
    recipe = recipe_for(spec, request.recipe)
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

    learnt = learn_style(request, review, recipe, budget, on_event=on_event, go_on=go_on, device=device)
    training = learnt.training

    def go_on_in_budget() -> None:
        go_on()
        budget.require_any()

    on_event(StateChanged(state="measuring", message=learnt.message))
    exam = open_examination(training, review, learnt.held_out, seed=request.seed, go_on=go_on_in_budget)
    release = choose(exam, say=lambda sentence: on_event(StateChanged(state="measuring", message=sentence)))
    return _deliver(request, review, training, release, on_event=on_event, sign=sign)


def _deliver(
    request: TrainingRequest,
    review: Review,
    training: Training,
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
