"""The story of one review: files in, good works and findings out.

    open each file -> look for damage -> find repeats -> read writing -> see which works are drawn alike -> say it

One bad file never stops the rest.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from inference.likeness import look_at
from training.messages import MAX_WORKS, Finding, Work
from training.review import sentences
from training.review.damage import Damage, look_for_damage
from training.review.kinship import NUM_WORKS_MIN, find_kin
from training.review.lettering import judge_lettering, read_all
from training.review.repeats import clusters, find_repeats
from training.review.strokes import strokes_of
from training.works import GoodWork, Review, inspect_upload, read_work

SOFT_PX = 2.6
"""Edges up to this wide are sharp enough, whatever the other works' are."""
SOFTER = 1.6
"""A work is soft if its edges are this many times as wide as the portfolio's usual ones: soft styles have no fault."""
POOR_QUALITY = 35
"""JPEG quality up to which a file is named, by what it says of itself."""
BLOCKY, BLOCKY_JPEG = 15.0, 45.0
"""`Damage.blocking` from which squares show; a JPEG of fair quality has some that nobody sees."""
BLOCKED_SHARE = 0.001
WORKS_WANTED = 16
"""From so many works on, four are held out and a style is judged with some certainty (`recipe.SMALL_PORTFOLIO`)."""
MUCH_WRITING = 0.5


@dataclass(frozen=True, kw_only=True)
class _Opened:
    good: GoodWork | None
    damage: Damage | None
    findings: list[Finding]


def review_portfolio(
    works: Sequence[Work],
    *,
    size: int,
    min_works: int,
    is_whole: bool = True,
    num_threads: int = 1,
    go_on: Callable[[], None] = lambda: None,
) -> Review:
    """Look at every work of a portfolio and at all of them together.

    size: edge of the base's pictures, in pixels. Works beyond MAX_WORKS are left out with one finding. The caller
    decides what to do if fewer than `min_works` are good; a finding says so as well. is_whole: False looks only at what
    a training needs: whether files open, and which works repeat one another. go_on: called now and then, also from
    threads; it raises where the work is to stop.
    """

    def open_one(work: Work) -> _Opened:
        go_on()
        return _open(work, size=size, is_whole=is_whole)

    with ThreadPoolExecutor(num_threads) as threads:
        opened = _without_doubles(list(threads.map(open_one, works[:MAX_WORKS])))
    good = [one.good for one in opened if one.good is not None]
    findings = [finding for one in opened for finding in one.findings]
    repeats = find_repeats([work.image for work in good])
    if is_whole:
        findings += _on_damage(opened, size=size)
    findings += [
        sentences.repeated(good[repeat.later].work.id, repeat, earlier_name=good[repeat.earlier].work.path.name)
        for repeat in {repeat.later: repeat for repeat in reversed(repeats)}.values()
    ]
    groups = clusters(len(good), repeats)
    if is_whole and good:
        findings += _on_writing(good, num_threads=num_threads, go_on=go_on)
        findings += _on_style(good, groups, min_works=min_works, go_on=go_on)
    if len(works) > MAX_WORKS:
        findings.append(sentences.too_many(len(works), MAX_WORKS))
    # One picture in many files leaves nothing to judge by.
    num_usable = len(good) if len(groups) > 1 else len(groups)
    if num_usable < min_works:
        findings.append(sentences.too_few(num_usable, min_works))
    return Review(good=tuple(good), findings=tuple(findings), clusters=groups)


def _open(work: Work, *, size: int, is_whole: bool) -> _Opened:
    content = read_work(work)
    if isinstance(content, Finding):
        return _Opened(good=None, damage=None, findings=[content])
    opened, findings = inspect_upload(work.id, content, size=size)
    if opened is None:
        return _Opened(good=None, damage=None, findings=findings)
    image = opened.image
    damage = look_for_damage(image, content) if is_whole else None
    image.thumbnail((4 * size, 4 * size), Image.Resampling.LANCZOS)
    digest = hashlib.sha256(content).hexdigest()
    good = GoodWork(work=work, image=image, sha256=digest, look=look_at(image))
    return _Opened(good=good, damage=damage, findings=findings)


def _without_doubles(opened: Sequence[_Opened]) -> list[_Opened]:
    """The same file again is no good work, and that is all there is to say of it."""
    seen: dict[str, str] = {}
    kept = []
    for one in opened:
        if one.good is not None and one.good.sha256 in seen:
            finding = sentences.same_file(one.good.work.id, earlier_name=seen[one.good.sha256])
            kept.append(_Opened(good=None, damage=None, findings=[finding]))
            continue
        if one.good is not None:
            seen[one.good.sha256] = one.good.work.path.name
        kept.append(one)
    return kept


def _on_damage(opened: Sequence[_Opened], *, size: int) -> list[Finding]:
    looked = [(one.good.work.id, one.damage) for one in opened if one.good is not None and one.damage is not None]
    widths = [damage.edge_px for _, damage in looked if damage.edge_px is not None]
    usual_px = float(np.median(widths)) if widths else 1.0
    limit_px = max(SOFT_PX, SOFTER * usual_px)
    findings = []
    for work, damage in looked:
        if damage.edge_px is not None and damage.edge_px > limit_px:
            findings.append(sentences.blurred(work, damage, usual_px=usual_px, size=size))
        if is_squeezed(damage):
            findings.append(sentences.squeezed(work, damage))
    return findings


def is_squeezed(damage: Damage) -> bool:
    """True where compression shows: by what the file says, or by squares left from when it was saved before."""
    if damage.jpeg_quality is not None and damage.jpeg_quality <= POOR_QUALITY:
        return True
    limit = BLOCKY if damage.jpeg_quality is None else BLOCKY_JPEG
    return damage.blocking >= limit and damage.blocked_share >= BLOCKED_SHARE


def _on_writing(good: Sequence[GoodWork], *, num_threads: int, go_on: Callable[[], None]) -> list[Finding]:
    judged = judge_lettering(read_all([work.image for work in good], num_threads=num_threads, go_on=go_on))
    found = [(work.work.id, lettering) for work, lettering in zip(good, judged, strict=True) if lettering is not None]
    plain = [work for work, lettering in found if lettering.kind == "text"]
    if len(plain) > MUCH_WRITING * len(good) and len(good) >= NUM_WORKS_MIN:
        others = [sentences.written(work, lettering) for work, lettering in found if lettering.kind != "text"]
        return [*others, sentences.much_writing(len(plain), len(good), plain)]
    return [sentences.written(work, lettering) for work, lettering in found]


def _on_style(
    good: Sequence[GoodWork], groups: Sequence[Sequence[int]], *, min_works: int, go_on: Callable[[], None]
) -> list[Finding]:
    """Repeats count as one work: five copies of a stranger would otherwise be a style."""
    firsts = [min(group) for group in groups]
    num_alike, findings, typical = len(firsts), [], firsts
    if len(firsts) >= NUM_WORKS_MIN:
        kin = find_kin(strokes_of([good[number].image for number in firsts], go_on=go_on))
        strange = {firsts[number]: times for number, times in kin.strangers.items()}
        second = [firsts[number] for number in kin.second_style]
        typical = [firsts[number] for number in kin.typical if firsts[number] not in {*strange, *second}]
        num_alike = len(typical)
        findings = [
            sentences.out_of_style(good[number].work.id, times=times) for number, times in sorted(strange.items())
        ]
        if second:
            findings.append(sentences.second_style(*_ids_and_names(good, second), of=len(firsts)))
    if min_works <= num_alike < WORKS_WANTED:
        ids, names = _ids_and_names(good, typical[: sentences.NAMES_SHOWN])
        findings.append(sentences.few_alike(ids, names, count=num_alike, wanted=WORKS_WANTED))
    return findings


def _ids_and_names(good: Sequence[GoodWork], numbers: Sequence[int]) -> tuple[list[str], list[str]]:
    return [good[number].work.id for number in numbers], [good[number].work.path.name for number in numbers]
