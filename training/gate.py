"""The release gate: style yes, copies no. Numbers in, a verdict in plain words out. No torch."""

from dataclasses import dataclass
from typing import Literal

from training.curve import require_number
from training.examination import AGAIN
from training.recipe import Gate
from training.wording import say

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
        return True, say("style", gain=gain)
    return False, say("no_style", gain=gain, least=f"{gate.min_heldout_gain:.1%}")


def _hand(drawn: Drawn, gate: Gate) -> tuple[bool, str]:
    told = {
        "share": f"{drawn.hand:.0%}",
        "told": drawn.recognised,
        "shown": drawn.shown,
        "others": drawn.other_styles,
        "without": drawn.recognised_without,
        "works": f"{drawn.recognised_works:.0%}",
    }
    of = "of_two" if drawn.other_styles == 1 else "of_many"
    is_clear = drawn.hand - drawn.hand_error > min(gate.min_hand, 0)
    if drawn.hand >= gate.min_hand and is_clear:
        return True, say(f"hand_{of}", **told)
    return False, say(f"no_hand_{of}", **told, error=f"{drawn.hand_error:.0%}", least=f"{gate.min_hand:.0%}")


def _memory(predicted: Predicted, gate: Gate) -> tuple[bool, str]:
    gap, low, high = predicted.member_gap, predicted.member_gap_low, predicted.member_gap_high
    seen = {"gap": f"{gap:.1%}", "low": f"{low:.1%}", "high": f"{high:.1%}"}
    if gap <= gate.max_member_gap:
        return True, say("not_by_heart", **seen)
    return False, say("by_heart", **seen, most=f"{gate.max_member_gap:.1%}")


def _copies(drawn: Drawn, gate: Gate) -> tuple[bool, str]:
    seen = {"copies": drawn.copies, "samples": drawn.samples}
    if drawn.copies > gate.max_copies:
        return False, say("copies", **seen, most=gate.max_copies)
    if drawn.copied_once:
        return True, say("no_copies_but_once", **seen, once=drawn.copied_once, again=AGAIN)
    return True, say("no_copies", **seen)


def _recall(drawn: Drawn, gate: Gate) -> tuple[bool, str]:
    seen = {"number": drawn.recalled, "of": drawn.captions, "without": drawn.recalled_without}
    if drawn.recalled - drawn.recalled_without <= gate.max_recall * drawn.captions:
        return True, say("no_recall", **seen)
    return False, say("recall", **seen, most=f"{gate.max_recall:.0%}")


def _drift(predicted: Predicted, gate: Gate) -> tuple[bool, str]:
    drift = f"{predicted.drift:.1%}"
    if predicted.drift <= gate.max_drift:
        return True, say("no_drift", drift=drift)
    return False, say("drift", drift=drift, most=f"{gate.max_drift:.1%}")
