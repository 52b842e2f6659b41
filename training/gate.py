"""The release gate: style yes, copies no. Numbers in, a verdict in plain words out. No torch."""

from dataclasses import dataclass

from training.recipe import Gate


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What was measured of one adapter. Gains and drift are shares of the base's loss."""

    heldout_gain: float
    heldout_error: float
    """Standard error of the gain."""
    member_gain: float
    member_gap: float
    member_gap_low: float
    """Lower end of the gap's 90 % interval."""
    member_gap_high: float
    drift: float
    copies: int
    samples: int
    natural_likeness: float
    """The likeness that different works of this portfolio have by nature."""
    own_likeness_trained: float
    """Mean likeness of samples to the trained work they share a caption with."""
    own_likeness_heldout: float
    """The same for works never seen. Much less than the former: captions call works up."""

    def as_dict(self) -> dict[str, float]:
        """Plain numbers by name, for events and receipts."""
        return {name: float(round(value, 5)) for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an adapter may be published, and why, for a person who has never trained one."""

    passed: bool
    sentences: tuple[str, ...]
    """One for every rule, the broken ones first."""


def judge(scores: Scores, gate: Gate) -> Verdict:
    """Hold an adapter's scores against the gate's limits."""
    broken: list[str] = []
    kept: list[str] = []
    for is_kept, sentence in (_style(scores, gate), _memory(scores, gate), _copies(scores, gate), _drift(scores, gate)):
        (kept if is_kept else broken).append(sentence)
    return Verdict(passed=not broken, sentences=(*broken, *kept))


def _style(scores: Scores, gate: Gate) -> tuple[bool, str]:
    gain = f"{scores.heldout_gain:.1%}"
    if scores.heldout_gain >= gate.min_heldout_gain:
        return True, f"It learnt the style: works it never saw are predicted {gain} better than the base predicts them."
    return False, (
        f"It did not learn the style: works it never saw are predicted only {gain} better than by the base, at least "
        f"{gate.min_heldout_gain:.1%} are needed. Leave out works in other styles, or add more works in this one."
    )


def _memory(scores: Scores, gate: Gate) -> tuple[bool, str]:
    gap = f"{scores.member_gap:.1%} (between {scores.member_gap_low:.1%} and {scores.member_gap_high:.1%})"
    if scores.member_gap <= gate.max_member_gap:
        return True, f"It did not learn works by heart: those it saw are predicted {gap} better than those it did not."
    return False, (
        f"It learnt works by heart: those it saw are predicted {gap} better than those it did not, at most "
        f"{gate.max_member_gap:.1%} are allowed. Add more different works, or train fewer steps."
    )


def _copies(scores: Scores, gate: Gate) -> tuple[bool, str]:
    if scores.copies <= gate.max_copies:
        return True, f"It does not copy: {scores.copies} of {scores.samples} test pictures were near-copies of a work."
    return False, (
        f"It copies: {scores.copies} of {scores.samples} test pictures were near-copies of a work, at most "
        f"{gate.max_copies} are allowed. They are shown below. Give those works fuller captions, or add more works."
    )


def _drift(scores: Scores, gate: Gate) -> tuple[bool, str]:
    drift = f"{scores.drift:.1%}"
    if scores.drift <= gate.max_drift:
        return (
            True,
            f"It stays off until called: without its trigger the base's predictions move by {drift} of their loss.",
        )
    return False, (
        f"It changes pictures that do not call it: without its trigger the base's predictions move by {drift} of their "
        f"loss, at most {gate.max_drift:.1%} are allowed. Raise prior_share in the recipe and train again."
    )
