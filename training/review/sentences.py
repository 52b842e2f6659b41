"""What the review says, in words for people who make pictures: what is there, with its value, and what to do."""

from collections.abc import Sequence

from training.messages import Finding
from training.review.damage import Damage
from training.review.lettering import Lettering
from training.review.repeats import Repeat
from training.review.wording import finding

NAMES_SHOWN = 3


def blurred(work: str, damage: Damage, *, usual_px: float, size: int) -> Finding:
    """usual_px: width of the edges of the portfolio's other works. size: edge of the base's pictures."""
    assert damage.edge_px is not None
    assert damage.detail_px is not None
    return finding(
        "blurred",
        work=work,
        kind="blur",
        severity="note" if damage.detail_px >= 2 * size else "warning",
        edge=f"{damage.edge_px:.1f}",
        usual=f"{usual_px:.1f}",
        detail=damage.detail_px,
    )


def squeezed(work: str, damage: Damage) -> Finding:
    quality = damage.jpeg_quality
    said = "squeezed" if quality is None else "squeezed_jpeg"
    return finding(said, work=work, kind="jpeg_damage", severity="warning", quality=quality)


def written(work: str, lettering: Lettering) -> Finding:
    return finding(lettering.kind, work=work, kind=lettering.kind, severity="warning", says=lettering.says)


def much_writing(count: int, of: int, works: Sequence[str]) -> Finding:
    return finding(
        "much_writing", work=None, kind="much_writing", severity="note", about=tuple(works), count=count, of=of
    )


def repeated(work: str, repeat: Repeat, *, earlier_name: str) -> Finding:
    return finding(
        "mirrored" if repeat.is_mirrored else "repeated",
        work=work,
        kind="near_duplicate",
        severity="warning",
        name=earlier_name,
        likeness=f"{repeat.likeness:.0%}",
    )


def same_file(work: str, *, earlier_name: str) -> Finding:
    return finding("same_file", work=work, kind="same_file", severity="error", name=earlier_name)


def out_of_style(work: str, *, times: float) -> Finding:
    return finding("out_of_style", work=work, kind="out_of_style", severity="warning", times=f"{times:.1f}")


def second_style(works: Sequence[str], names: Sequence[str], *, of: int) -> Finding:
    more = len(names) - NAMES_SHOWN
    return finding(
        "second_style_of_many" if more > 0 else "second_style",
        work=None,
        kind="second_style",
        severity="warning",
        about=tuple(works),
        count=len(works),
        of=of,
        names=_listed(names),
        more=more,
    )


def few_alike(works: Sequence[str], names: Sequence[str], *, count: int, wanted: int) -> Finding:
    """names: of the works that are most typical of the main style, NAMES_SHOWN at most."""
    return finding(
        "few_like_one" if len(names) == 1 else "few_alike",
        work=None,
        kind="few_alike",
        severity="warning",
        about=tuple(works),
        count=count,
        wanted=wanted,
        more=wanted - count,
        names=_listed(names),
    )


def too_many(given: int, most: int) -> Finding:
    return finding("too_many", work=None, kind="too_many", severity="warning", given=given, most=most)


def too_few(good: int, least: int) -> Finding:
    return finding("too_few", work=None, kind="too_few", severity="error", good=good, least=least, more=least - good)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names[:NAMES_SHOWN])
