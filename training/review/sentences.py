"""What the review says, in words for people who make pictures: what is there, with its value, and what to do."""

from collections.abc import Sequence

from training.messages import Finding, Severity
from training.review.damage import Damage
from training.review.lettering import Lettering
from training.review.repeats import Repeat

NAMES_SHOWN = 3

_WRITING = {
    "text": (
        "There is writing in it: {says}. A model learns letters as shapes and draws words that say nothing.",
        "Upload it without the words, exclude it, or keep it if lettering is part of your style.",
    ),
    "watermark": (
        "A watermark seems to lie on it: {says}. The model would draw it into its pictures.",
        "Upload the picture without it, or exclude it.",
    ),
    "signature": (
        "There seems to be a signature: {says}. The model would sign its pictures with something like it.",
        "Upload the picture without it, exclude it, or keep it if it is no signature.",
    ),
}


def blurred(work: str, damage: Damage, *, usual_px: float, size: int) -> Finding:
    """usual_px: width of the edges of the portfolio's other works. size: edge of the base's pictures."""
    assert damage.edge_px is not None
    assert damage.detail_px is not None
    why = (
        f"It is soft: its sharpest edges are {damage.edge_px:.1f} pixels wide, those of your other works"
        f" {usual_px:.1f}. It shows no more than a picture of about {damage.detail_px} pixels, enlarged."
    )
    fix = "Upload the sharp original, exclude it, or keep it if the softness is meant."
    is_enough = damage.detail_px >= 2 * size
    return _about(work, "blur", "note" if is_enough else "warning", why, fix)


def squeezed(work: str, damage: Damage) -> Finding:
    quality = damage.jpeg_quality
    said = "" if quality is None else f" (it was saved as JPEG of quality {quality})"
    why = f"Strong compression left small squares and smudges in it{said}. The model would learn them as your hand."
    fix = "Upload the original, or a copy saved with a quality of 85 or more; or exclude it."
    return _about(work, "jpeg_damage", "warning", why, fix)


def written(work: str, lettering: Lettering) -> Finding:
    why, fix = _WRITING[lettering.kind]
    return _about(work, lettering.kind, "warning", why.format(says=f"“{lettering.says}”"), fix)


def much_writing(count: int, of: int, works: Sequence[str]) -> Finding:
    why = f"{count} of {of} works hold writing. A model learns letters as shapes and draws words that say nothing."
    fix = "Keep them if lettering is part of your style; otherwise upload pictures without words."
    return Finding(work=None, kind="much_writing", severity="note", why=why, fix=fix, about=tuple(works))


def repeated(work: str, repeat: Repeat, *, earlier_name: str) -> Finding:
    how = ", mirrored" if repeat.is_mirrored else ""
    why = (
        f"It shows the same picture as “{earlier_name}”{how} ({repeat.likeness:.0%} of its outlines agree)."
        " Together they count as one work."
    )
    fix = "Keep the better one and exclude the other, or keep both if they differ in what matters to you."
    return _about(work, "near_duplicate", "warning", why, fix)


def same_file(work: str, *, earlier_name: str) -> Finding:
    why = f"It is the same file as “{earlier_name}”, so it is used once."
    return _about(work, "same_file", "error", why, "Nothing to do; or exclude it, to keep the list short.")


def out_of_style(work: str, *, times: float) -> Finding:
    why = f"It looks different from the rest: {times:.1f} times as far from your other works as is usual among them."
    fix = "Exclude it, or keep it if it belongs to the style."
    return _about(work, "out_of_style", "warning", why, fix)


def second_style(works: Sequence[str], names: Sequence[str], *, of: int) -> Finding:
    why = (
        f"These {len(works)} of {of} works look like a second style: {_listed(names)}."
        " One model of both would draw something in between."
    )
    fix = "Train two models: make a second style of them and exclude them here. Or keep them, if the mixture is meant."
    return Finding(work=None, kind="second_style", severity="warning", why=why, fix=fix, about=tuple(works))


def few_alike(works: Sequence[str], names: Sequence[str], *, count: int, wanted: int) -> Finding:
    """names: of the works that are most typical of the main style."""
    why = f"{count} works are in your main style; with {wanted} or more it is learnt much more surely."
    more = wanted - count
    fix = f"Add {more} more like {'this one' if len(names) == 1 else 'these'}: {_listed(names)}."
    return Finding(work=None, kind="few_alike", severity="warning", why=why, fix=fix, about=tuple(works))


def too_many(given: int, most: int) -> Finding:
    why = f"{given} works were given; the first {most} are used."
    fix = "Choose the most typical ones yourself and exclude the others."
    return Finding(work=None, kind="too_many", severity="warning", why=why, fix=fix)


def too_few(good: int, least: int) -> Finding:
    why = f"{good} usable works are left, at least {least} are needed to learn a style."
    fix = f"Add {least - good} more, or fix the ones named above."
    return Finding(work=None, kind="too_few", severity="error", why=why, fix=fix)


def _about(work: str, kind: str, severity: Severity, why: str, fix: str) -> Finding:
    return Finding(work=work, kind=kind, severity=severity, why=why, fix=fix)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"
