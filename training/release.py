"""Which adapter of a training is released: the one as trained or, if that remembers too much, a milder one.

Every adapter is judged by what it predicts first (seconds), and drawn with only if it keeps those rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from training.again import look_for_copies
from training.candidates import Candidate, as_trained, at_look, milder
from training.control import Control, make_control
from training.examination import MEASURED
from training.gate import Predicted, Scores, Tried, Verdict, judge, judge_predicted
from training.measure import Grid, make_grid, measure_predicted
from training.state import Training
from training.trial import Trial, compare, draw_all
from training.weigh import weigh_style
from training.wording import TRYING
from training.works import Review


@dataclass(frozen=True, kw_only=True)
class Release:
    """The adapter that is delivered, released or refused, and how it was judged."""

    candidate: Candidate
    trial: Trial
    scores: Scores
    verdict: Verdict
    tried: tuple[Tried, ...] = ()
    """Every adapter that was considered, in order; the one as trained is the first."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What the adapters of one training are measured on. `go_on` is called before every step and may raise."""

    training: Training
    trained: Candidate
    """The adapter as trained or as asked for, and what its predictions tell of it."""
    predicted: Predicted
    held_out: Grid
    members: Grid
    control: Control
    names: tuple[str, ...]
    """What the creator knows each work by."""
    seed: int
    go_on: Callable[[], None]
    is_asked_for: bool = False
    """Whether this very adapter was asked for: then no other one is tried in its place."""


def choose(exam: Examination, *, say: Callable[[str], None]) -> Release:
    """Judge the adapter as trained and, while less of it could pass, milder ones until one does.

    If none does, the one as trained is delivered as refused. say: hears a sentence when another one is tried.
    """
    trained = examine(exam, exam.trained, exam.predicted)
    tried = [_tried(trained.candidate, trained.verdict)]
    may_be_mended = trained.verdict.may_be_mended and not exam.is_asked_for
    for candidate in milder(exam.training) if may_be_mended else ():
        say(TRYING.format(why=trained.verdict.sentences[0], name=candidate.name))
        predicted = predict(exam, candidate)
        verdict = judge_predicted(predicted, exam.training.recipe.gate)
        if verdict.passed:
            release = examine(exam, candidate, predicted)
            verdict = release.verdict
        tried.append(_tried(candidate, verdict))
        if verdict.passed:
            return replace(release, tried=tuple(tried))
    return replace(trained, tried=tuple(tried))


def open_examination(
    training: Training,
    review: Review,
    held_out: Grid,
    *,
    seed: int,
    go_on: Callable[[], None],
    take: int = 0,
) -> Examination:
    """Draw and measure what does not depend on the adapter.

    Copies are looked for where the adapter as trained has learnt best. take: steps after which an adapter is judged in
    place of the one that the curve chooses.
    """
    base, stack, recipe = training.base, training.stack, training.recipe
    works = _spread(training.split.trained_works, MEASURED)
    members = make_grid(base, stack, training.data, works, gamma=recipe.min_snr_gamma, seed=seed, go_on=go_on)
    trained = at_look(training, take) if take else as_trained(training)
    predicted, gains = measure_predicted(base, stack, held_out, members, trained.adapter, seed=seed, go_on=go_on)
    by_gain = sorted(zip(gains.per_work, works, strict=True), reverse=True)
    suspects = [work for _, work in by_gain]
    return Examination(
        training=training,
        trained=trained,
        predicted=predicted,
        held_out=held_out,
        members=members,
        control=make_control(training, review, suspects, seed=seed, go_on=go_on),
        names=tuple(work.work.path.name for work in review.good),
        seed=seed,
        go_on=go_on,
        is_asked_for=take > 0,
    )


def predict(exam: Examination, candidate: Candidate) -> Predicted:
    """What the denoiser's predictions tell of one adapter."""
    training = exam.training
    predicted, _ = measure_predicted(
        training.base,
        training.stack,
        exam.held_out,
        exam.members,
        candidate.adapter,
        seed=exam.seed,
        go_on=exam.go_on,
    )
    return predicted


def examine(exam: Examination, candidate: Candidate, predicted: Predicted) -> Release:
    """Weigh one adapter, draw with it and judge it."""
    training, control, seed, go_on = exam.training, exam.control, exam.seed, exam.go_on
    adapter = weigh_style(training, candidate.adapter, control, seed=seed, go_on=go_on)
    pictures = draw_all(training, control, adapter, go_on=go_on)
    found = look_for_copies(training, control, adapter, pictures, go_on=go_on)
    trial = compare(training, control, pictures, exam.names, found)
    scores = Scores(predicted=predicted, drawn=trial.drawn)
    return Release(
        candidate=replace(candidate, adapter=adapter),
        trial=trial,
        scores=scores,
        verdict=judge(scores, training.recipe.gate),
    )


def _tried(candidate: Candidate, verdict: Verdict) -> Tried:
    return Tried(name=candidate.name, passed=verdict.passed, broken=verdict.broken)


def _spread(numbers: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` of the numbers, evenly spread over them."""
    if len(numbers) <= count:
        return tuple(numbers)
    return tuple(numbers[place * len(numbers) // count] for place in range(count))
