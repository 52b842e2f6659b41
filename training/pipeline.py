"""The story of a training, alone or beside others, top to bottom: works in, an adapter with receipt and report out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from inference.adapters.reading import AdapterReader
from inference.adapters.stack import StackedAdapters
from inference.bases import Base, open_base
from inference.catalog import base_spec
from inference.errors import InferenceError
from inference.likeness import pack_looks
from inference.pictures import png_bytes
from training.budget import Budget
from training.errors import RequestInvalid, TooLarge, TrainingError
from training.export import ADAPTER, FLAT, RECEIPT, REPORT, Facts, export_adapter, make_receipt, write_receipt
from training.gate import Verdict
from training.interruption import Interrupted, unless
from training.keeping import keep
from training.learning import Learner, begin_learning, learn
from training.looks import LOOKS, looks_of
from training.messages import Done, Event, Sample, StateChanged, TrainingRequest, Way, check_request
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


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to run.

    on_event: hears every event of `training.messages`, in order. stop: asked before every step; when it says True a
    checkpoint is written and the outcome is "interrupted". sign: turns the receipt into a signature (a JWS); without
    it the receipt stays unsigned.
    """

    request: TrainingRequest
    on_event: Callable[[Event], None]
    stop: Callable[[], bool]
    sign: Callable[[dict[str, Any]], str] | None = None


def train(
    request: TrainingRequest,
    *,
    on_event: Callable[[Event], None],
    stop: Callable[[], bool],
    sign: Callable[[dict[str, Any]], str] | None = None,
    device: str = "cpu",
) -> Trained:
    """Train one adapter from a portfolio; see Job.

    Raises TrainingError or InferenceError with a sentence; "failed" was then reported.
    """
    [ended] = train_together([Job(request=request, on_event=on_event, stop=stop, sign=sign)], device=device)
    if isinstance(ended, Exception):
        raise ended
    return ended


def train_together(jobs: Sequence[Job], *, device: str = "cpu") -> list[Trained | TrainingError | InferenceError]:
    """Train one adapter for each of many creators over one base, their steps in one batch; how each ended, in order.

    None of them touches another: each has its own works, limits, stop, gate and files, and one that is refused, fails
    or is stopped leaves the others to go on. Who has learnt is examined at once, while the others wait. Raises
    RequestInvalid if they are not all for the same base, and TooLarge if not even one row fits into memory beside what
    belongs to all of them: each may fit alone.
    """
    if len({job.request.base for job in jobs}) > 1:
        raise RequestInvalid("trainings over different bases cannot share a batch; run them one by one")
    stories: list[_Story] = []
    stories += [_Story(job, Budget(job.request.max_minutes), stories) for job in jobs]
    for story in stories:
        story.go_on(_look)
    _learn_together([story for story in stories if story.ended is None], device)
    return [story.told for story in stories]


class _Story:
    """Where one of the trainings stands, and how it ended once it has."""

    def __init__(self, job: Job, budget: Budget, company: "Sequence[_Story]") -> None:
        """company: all that run together, this one among them."""
        self.job = job
        self.budget = budget
        self._company = company
        self.ended: Trained | TrainingError | InferenceError | None = None
        self.review: Review
        self.recipe: Recipe
        self.learner: Learner | None = None

    @property
    def told(self) -> Trained | TrainingError | InferenceError:
        assert self.ended is not None, "every story has an end"
        return self.ended

    def heed(self) -> None:
        """Raise Interrupted if it is to stop. Who of the others is leaves meanwhile: it need not wait for its turn."""
        for other in self._company:
            if other is not self and other.ended is None and other.job.stop():
                other.go_on(_leave)
        unless(self.job.stop)()

    def heed_in_budget(self) -> None:
        """The same, or OverBudget if its time is up."""
        self.heed()
        self.budget.require_any()

    def go_on(self, step: "Callable[[_Story], None]") -> None:
        """Take a step of the story, if it has not ended; what ends it is kept and told."""
        if self.ended is not None:
            return
        try:
            with self.budget.counting():
                step(self)
        except Interrupted:
            message = "stopped; run the same request again to continue"
            self.job.on_event(StateChanged(state="interrupted", message=message))
            self.ended = Trained(outcome="interrupted", message=message)
        except (TrainingError, InferenceError) as error:
            self.fail(error)

    def fail(self, error: TrainingError | InferenceError) -> None:
        """It ends with this error, and says so."""
        self.job.on_event(StateChanged(state="failed", message=str(error)))
        self.ended = error


def _look(story: _Story) -> None:
    request, on_event = story.job.request, story.job.on_event
    check_request(request)
    on_event(StateChanged(state="preparing"))
    spec = base_spec(request.base)
    story.recipe = recipe_for(spec, request.recipe)
    story.review = review_portfolio(
        request.works,
        size=spec.size,
        min_works=story.recipe.min_works,
        is_whole=not request.is_reviewed,
        num_threads=torch.get_num_threads(),
        go_on=story.heed,
    )
    for finding in story.review.findings:
        on_event(finding)
    request.out.mkdir(parents=True, exist_ok=True)
    if len(story.review.good) < story.recipe.min_works:
        story.ended = _refuse_for_too_few(request, story.review, story.recipe, on_event)


def _learn_together(stories: Sequence[_Story], device: str) -> None:
    """One open base for all; who cannot begin is told so, and the others learn and are examined."""
    if not stories:
        return
    began = time.monotonic()
    try:
        base = open_base(base_spec(stories[0].job.request.base), device=device)
    except InferenceError as error:
        _fail_all(stories, error)
        return
    for story in stories:
        story.budget.count((time.monotonic() - began) / len(stories))
    stack, way = StackedAdapters(base.denoiser), None
    for story in stories:
        story.go_on(partial(_begin, base=base, stack=stack, way=way))
        way = story.learner.training.way if story.learner else way
    of = {story.learner: story for story in stories if story.learner is not None and story.ended is None}
    try:
        learn(list(of), when_over=lambda learner: of[learner].go_on(_examine))
    except TooLarge as error:
        if len(of) > 1:
            raise
        _fail_all(stories, error)


def _fail_all(stories: Sequence[_Story], error: TrainingError | InferenceError) -> None:
    for story in stories:
        if story.ended is None:
            story.fail(error)


def _leave(story: _Story) -> None:
    """It is told to stop while another one is at work."""
    if story.learner is not None:
        story.learner.leave()
        assert story.learner.error is not None
        raise story.learner.error
    raise Interrupted


def _begin(story: _Story, *, base: Base, stack: StackedAdapters, way: Way | None) -> None:
    story.learner = begin_learning(
        story.job.request,
        story.review,
        story.recipe,
        story.budget,
        base=base,
        stack=stack,
        way=way,
        on_event=story.job.on_event,
        go_on=story.heed,
    )


def _examine(story: _Story) -> None:
    request, on_event, learner = story.job.request, story.job.on_event, story.learner
    assert learner is not None, "whoever could not begin has ended"
    if learner.error is not None:
        raise learner.error
    on_event(StateChanged(state="measuring", message=learner.message))
    exam = open_examination(
        learner.training,
        story.review,
        learner.held_out,
        seed=request.seed,
        go_on=story.heed_in_budget,
        take=request.take,
    )
    release = choose(exam, say=lambda sentence: on_event(StateChanged(state="measuring", message=sentence)))
    story.ended = _deliver(request, story.review, learner.training, release, on_event=on_event, sign=story.job.sign)


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
    # Where nothing was learnt, nothing was drawn on the way either.
    sheet.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(trial.pairs).save(sheet)
    on_event(Sample(step=candidate.step, path=sheet))
    examples = _keep_examples(trial, request.scratch / "examples")
    looks = request.scratch / LOOKS
    looks.write_bytes(pack_looks(looks_of(review, base.spec, crops=recipe.crops, seed=request.seed)))
    scores = release.scores.as_dict()
    flat = _write_flat(content, training, request.scratch / FLAT) if verdict.passed else None
    on_event(
        Done(
            adapter=paths[0],
            receipt=paths[1],
            report=paths[2],
            scores=scores,
            examples=examples,
            flat=flat,
            looks=looks,
            kept=() if request.take else keep(training, delivered=candidate.step),
        )
    )
    outcome: Literal["passed", "refused"] = "passed" if verdict.passed else "refused"
    message = "" if verdict.passed else verdict.sentences[0]
    on_event(StateChanged(state=outcome, message=message))
    return Trained(outcome=outcome, adapter=paths[0], receipt=paths[1], report=paths[2], message=message)


def _write_flat(content: bytes, training: Training, path: Path) -> Path:
    """From the file that was written, not from what was trained: both then hold the same numbers."""
    path.write_bytes(AdapterReader(training.base, training.stack).flat_file(content, ADAPTER))
    return path


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
        verdict=Verdict(passed=False, sentences=(finding.why, finding.fix)),
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
