"""Every sentence that the gate and its report say, with the names of its values in braces. Thin: no torch.

Whoever shows one in another language knows it again by its template, so none is put together anywhere else.
"""

from collections.abc import Mapping

from training.review.wording import SAID as OF_WORKS

_HAND = "pictures of common things go {share} of the way from the base's hand to yours"
_TOLD = "{told} of {shown} are told for yours among {others}, without the style {without}, of your own works {works}"
_ONE_OTHER, _OTHERS = (
    _TOLD.replace("{others}", "the base's own style"),
    _TOLD.replace("{others}", "{others} other styles"),
)
_HARDLY = "It hardly shows your hand: " + _HAND + ", give or take {error}, and at least {least} are needed ("
_ADD = "). Add works that show what is special in your style, and leave out those that do not."
_RECALLED = "of the works tried, the words of {number} of {of} (without the style {without}) call"

GATE: Mapping[str, str] = {
    "style": "It learnt the style: works it never saw are predicted {gain} better than the base predicts them.",
    "no_style": (
        "It did not learn the style: works it never saw are predicted only {gain} better than by the base, at least"
        " {least} are needed. Leave out works in other styles, or add more works in this one."
    ),
    "hand_of_two": f"It shows your hand: {_HAND} ({_ONE_OTHER}).",
    "hand_of_many": f"It shows your hand: {_HAND} ({_OTHERS}).",
    "no_hand_of_two": _HARDLY + _ONE_OTHER + _ADD,
    "no_hand_of_many": _HARDLY + _OTHERS + _ADD,
    "not_by_heart": (
        "It did not learn works by heart: those it saw are predicted {gap} (between {low} and {high}) better than those"
        " it did not."
    ),
    "by_heart": (
        "It learnt works by heart: those it saw are predicted {gap} (between {low} and {high}) better than those it did"
        " not, at most {most} are allowed. Add more different works, or train fewer steps."
    ),
    "no_copies": "It does not copy: {copies} of {samples} test pictures were near-copies of a work.",
    "no_copies_but_once": (
        "It does not copy: {copies} of {samples} test pictures were near-copies of a work. {once} more came near one by"
        " chance, and not again when drawn {again} times anew."
    ),
    "copies": (
        "It copies: {copies} of {samples} test pictures were near-copies of a work, at most {most} are allowed. They"
        " are shown below. Give those works fuller captions, or add more works."
    ),
    "no_recall": f"Works do not come back at their words: {_RECALLED} it up.",
    "recall": (
        f"Works come back at their words: {_RECALLED} up that very work, at most {{most}} more than without the style"
        " may. Give works several different captions, or add works."
    ),
    "no_drift": (
        "It stays off until called: without its trigger the base's predictions move by {drift} of their loss."
    ),
    "drift": (
        "It changes pictures that do not call it: without its trigger the base's predictions move by {drift} of their"
        " loss, at most {most} are allowed. Raise prior_share in the recipe and train again."
    ),
}
"""The gate's rules, kept and broken."""
TRIED: Mapping[str, str] = {
    "after": "the adapter after {step} steps",
    "weaker": "the adapter after {step} steps at {share} of its strength",
    "smaller": "the adapter after {step} steps with a capacity of {rank} instead of {before}",
}
"""How adapters are named that are considered for release, as it can stand in a sentence."""
TRYING = "{why} Trying {name}."
"""`why` one of GATE, `name` one of TRIED."""
UNDER_WAY: Mapping[str, str] = {
    "reading": "Reading {number} works.",
    "ended_early": "Its time was nearly used up after {step} of {steps} steps, so it ended there.",
    "too_long": (
        "this training would take about {total} minutes on this machine, and its limit is {limit}; allow more, or"
        " choose a recipe with fewer steps"
    ),
    "used_up": (
        "this training has reached its limit of {limit} min, and nothing was released; what was learnt is kept, allow"
        " more and it goes on from there"
    ),
}
"""What is said of a training that goes on, or whose time is over."""
TOO_FEW = " ".join(OF_WORKS["too_few"])
"""Why nothing was trained, and what to do about it."""
REPORT: Mapping[str, str] = {
    "passed_title": "Your style: passed",
    "refused_title": "Your style: not yet",
    "passed_head": "Your style is ready.",
    "passed_lead": "It passed every check. Look at the pictures below, then decide whether to publish it.",
    "refused_head": "Not ready to publish yet.",
    "refused_lead": (
        "The style was trained, but a check failed. What to change is said below; nothing is lost by trying again."
    ),
    "nothing_head": "Nothing was trained.",
    "nothing_lead": "Too few works could be used. What to change is said below.",
    "learnt": "Learnt from {trained} works, judged by {held_out} that were kept aside, in {steps} steps.",
    "trigger": "The word that calls it, added for you:",
    "milder_released": "The first adapter that was tried remembered too much, so a milder one is released.",
    "milder_refused": "Milder ones were tried as well, and none passed.",
    "tried": "Tried",
    "result": "Result",
    "passed": "passed",
    "broke_style": "did not learn the style",
    "broke_hand": "hardly shows your hand",
    "broke_memory": "learnt works by heart",
    "broke_recall": "calls works up by their words",
    "broke_copies": "copies works",
    "broke_drift": "changes pictures that do not call it",
    "pairs": "With and without your style",
    "pairs_lead": (
        "Your style never saw these works. Beside each: what the base draws for the same words, and what your style"
        " draws from the same noise."
    ),
    "of_work": "work: {caption}",
    "of_without": "without the style: {caption}",
    "of_with": "with the style: {caption}",
    "your_work": "your work",
    "without": "without",
    "with": "with",
    "no_words": "no words known",
    "near_copies": "Near-copies",
    "near_copies_lead": (
        "These test pictures repeat a work. Give the work fuller captions, or add more works beside it."
    ),
    "test_picture": "test picture",
    "more": "More in your style",
    "curve": "How it learnt",
    "curve_lead": (
        "How much better than the base it predicted the works that were kept aside, as training went on. It was taken"
        " at the latest of these points that is within one standard error of the highest: a style goes on growing after"
        " this number has levelled off."
    ),
    "curve_label": "Gain on works kept aside, by step",
    "findings": "About your works",
    "work": "Work",
    "seen": "What was seen",
    "to_do": "What to do",
    "portfolio": "the portfolio",
}
"""What stands on the report's page besides."""
_SAID: Mapping[str, str] = {**GATE, **TRIED, **UNDER_WAY, **REPORT}
MESSAGES = (TRYING, *GATE.values(), *UNDER_WAY.values(), TOO_FEW)
"""What a training says of itself as it goes on and ends."""
TEMPLATES = (*_SAID.values(), TRYING, TOO_FEW)
"""All of them."""


def say(said: str, /, **values: object) -> str:
    """One of the sentences, by its name."""
    return _SAID[said].format(**values)
