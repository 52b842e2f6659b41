"""The release gate: style yes, copies no. Numbers in, a verdict in plain words out. No torch."""

from dataclasses import dataclass
from typing import Literal

from training.curve import require_number
from training.examination import AGAIN
from training.recipe import Gate

Rule = Literal["style", "hand", "memory", "recall", "copies", "drift"]
MILDER_MENDS: frozenset[Rule] = frozenset({"memory", "recall", "copies", "drift"})
"""Rules that an adapter with less in it may keep where one broke them."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What the denoiser's predictions tell of an adapter. Gains and drift are shares of the base's loss."""

    heldout_gain: float
    heldout_error: float
    """Standard error of the gain."""
    member_gain: float
    member_gap: float
    member_gap_low: float
    """Lower end of the gap's 90 % interval."""
    member_gap_high: float
    drift: float


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What pictures drawn with an adapter tell of it."""

    copies: int
    copied_once: int
    """Near-copies beside these that did not come again with other noise: chance."""
    samples: int
    """Pictures that were looked at for copies."""
    recalled: int
    """Captions of trained works whose picture is more like that very work than like any other."""
    recalled_without: int
    """The same of pictures that the base drew without the style."""
    captions: int
    """Captions of trained works that were tried: of those that were learnt best."""
    hand: float
    """How far pictures of common words go from the base's hand (0) to the works' own (1): see `training.recognise`."""
    hand_error: float
    """Standard error of it."""
    recognised: int
    """Pictures of common words that are told for this style's, among those of the base and of other styles."""
    recognised_without: int
    """The same of pictures that the base drew without the style."""
    shown: int
    """Pictures of common words that were drawn, with the style and without."""
    recognised_works: float
    """Share of the works themselves that are told for this style's: more cannot be asked of pictures."""
    other_styles: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All that was measured of one adapter. Raises TrainingBroke where one of it is no number."""

    predicted: Predicted
    drawn: Drawn

    def __post_init__(self) -> None:
        for name, value in (vars(self.predicted) | vars(self.drawn)).items():
            require_number(f"the adapter's {name}", value)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers by name, for events and receipts."""
        return {name: float(round(value, 5)) for name, value in (vars(self.predicted) | vars(self.drawn)).items()}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an adapter may be published, and why, for a person who has never trained one."""

    passed: bool
    sentences: tuple[str, ...]
    """One for every rule, the broken ones first."""
    broken: tuple[Rule, ...] = ()

    @property
    def may_be_mended(self) -> bool:
        """Whether an adapter with less in it could pass where this one did not."""
        return bool(self.broken) and MILDER_MENDS.issuperset(self.broken)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of one adapter that was considered for release."""

    name: str
    """As it can stand in a sentence: 'the adapter after 120 steps'."""
    passed: bool
    broken: tuple[Rule, ...]


def judge(scores: Scores, gate: Gate) -> Verdict:
    """Hold an adapter's scores against the gate's limits."""
    return _verdict({**_on_predicted(scores.predicted, gate), **_on_drawn(scores.drawn, gate)})


def judge_predicted(predicted: Predicted, gate: Gate) -> Verdict:
    """The rules that need no pictures: seconds instead of a minute."""
    return _verdict(_on_predicted(predicted, gate))


def _verdict(rules: dict[Rule, tuple[bool, str]]) -> Verdict:
    broken = {name: sentence for name, (is_kept, sentence) in rules.items() if not is_kept}
    kept = [sentence for is_kept, sentence in rules.values() if is_kept]
    return Verdict(passed=not broken, sentences=(*broken.values(), *kept), broken=tuple(broken))


def _on_predicted(predicted: Predicted, gate: Gate) -> dict[Rule, tuple[bool, str]]:
    return {"style": _style(predicted, gate), "memory": _memory(predicted, gate), "drift": _drift(predicted, gate)}


def _on_drawn(drawn: Drawn, gate: Gate) -> dict[Rule, tuple[bool, str]]:
    return {"copies": _copies(drawn, gate), "recall": _recall(drawn, gate), "hand": _hand(drawn, gate)}


def _style(predicted: Predicted, gate: Gate) -> tuple[bool, str]:
    gain = f"{predicted.heldout_gain:.1%}"
    if predicted.heldout_gain >= gate.min_heldout_gain:
        return True, f"It learnt the style: works it never saw are predicted {gain} better than the base predicts them."
    return False, (
        f"It did not learn the style: works it never saw are predicted only {gain} better than by the base, at least "
        f"{gate.min_heldout_gain:.1%} are needed. Leave out works in other styles, or add more works in this one."
    )


def _hand(drawn: Drawn, gate: Gate) -> tuple[bool, str]:
    way = f"pictures of common things go {drawn.hand:.0%} of the way from the base's hand to yours"
    others = "the base's own style" if drawn.other_styles == 1 else f"{drawn.other_styles} other styles"
    told = (
        f"{drawn.recognised} of {drawn.shown} are told for yours among {others}, without the style "
        f"{drawn.recognised_without}, of your own works {drawn.recognised_works:.0%}"
    )
    is_clear = drawn.hand - drawn.hand_error > min(gate.min_hand, 0)
    if drawn.hand >= gate.min_hand and is_clear:
        return True, f"It shows your hand: {way} ({told})."
    return False, (
        f"It hardly shows your hand: {way}, give or take {drawn.hand_error:.0%}, and at least {gate.min_hand:.0%} are "
        f"needed ({told}). Add works that show what is special in your style, and leave out those that do not."
    )


def _memory(predicted: Predicted, gate: Gate) -> tuple[bool, str]:
    gap = f"{predicted.member_gap:.1%} (between {predicted.member_gap_low:.1%} and {predicted.member_gap_high:.1%})"
    if predicted.member_gap <= gate.max_member_gap:
        return True, f"It did not learn works by heart: those it saw are predicted {gap} better than those it did not."
    return False, (
        f"It learnt works by heart: those it saw are predicted {gap} better than those it did not, at most "
        f"{gate.max_member_gap:.1%} are allowed. Add more different works, or train fewer steps."
    )


def _copies(drawn: Drawn, gate: Gate) -> tuple[bool, str]:
    if drawn.copies <= gate.max_copies:
        said = f"It does not copy: {drawn.copies} of {drawn.samples} test pictures were near-copies of a work."
        if drawn.copied_once:
            said += f" {drawn.copied_once} more came near one by chance, and not again when drawn {AGAIN} times anew."
        return True, said
    return False, (
        f"It copies: {drawn.copies} of {drawn.samples} test pictures were near-copies of a work, at most "
        f"{gate.max_copies} are allowed. They are shown below. Give those works fuller captions, or add more works."
    )


def _recall(drawn: Drawn, gate: Gate) -> tuple[bool, str]:
    seen = f"{drawn.recalled} of {drawn.captions} (without the style {drawn.recalled_without})"
    if drawn.recalled - drawn.recalled_without <= gate.max_recall * drawn.captions:
        return True, f"Works do not come back at their words: of the works tried, the words of {seen} call it up."
    return False, (
        f"Works come back at their words: of the works tried, the words of {seen} call up that very work, at most "
        f"{gate.max_recall:.0%} more than without the style may. Give works several different captions, or add works."
    )


def _drift(predicted: Predicted, gate: Gate) -> tuple[bool, str]:
    drift = f"{predicted.drift:.1%}"
    if predicted.drift <= gate.max_drift:
        return (
            True,
            f"It stays off until called: without its trigger the base's predictions move by {drift} of their loss.",
        )
    return False, (
        f"It changes pictures that do not call it: without its trigger the base's predictions move by {drift} of their "
        f"loss, at most {gate.max_drift:.1%} are allowed. Raise prior_share in the recipe and train again."
    )
