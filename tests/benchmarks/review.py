"""What the portfolio review finds of faults that were planted, what it finds where there is nothing, and how long it
takes. Limits were tuned on one half of the drawing sets and are judged on the other."""

import argparse
import io
import random
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.benchmarks import faults
from tests.benchmarks.figures import ROOT, Figure
from tests.benchmarks.portfolios import LAYOUTS, SETS, Picture, drawn, fetch_sets, photographed, require_photographs
from training.messages import Work
from training.review.kinship import find_kin
from training.review.messages import ReviewRequest
from training.review.portfolio import review_portfolio
from training.review.strokes import strokes_of

SIZE = 512
"""Edge of the pictures of the usual bases: SD 1.5 and its kin."""
NUM_WORKS = 36
EACH = 2
"""Works of a portfolio that get each fault."""
TOGETHER = 40
"""Works of a portfolio that holds strangers or a second style."""
SMALL_EDGE = 320
"""Of pictures that are only looked at for how they are drawn: no more than 224 pixels of them are used."""
WRITTEN = frozenset({"text", "watermark", "signature"})
FOUND_AS = {
    "blurred": frozenset({"blur"}),
    "upscaled": frozenset({"blur"}),
    "squeezed": frozenset({"jpeg_damage"}),
    "squeezed, saved again": frozenset({"jpeg_damage"}),
    "watermarked": WRITTEN,
    "signed": WRITTEN,
    "screenshot": WRITTEN,
    **{f"repeat: {name}": frozenset({"near_duplicate"}) for name in faults.REPEATS},
}
"""Planted fault -> kinds of finding that name it."""
NOT_ON_PHOTOGRAPHS = frozenset({"upscaled", "second style"})
"""Our photographs are small and were enlarged, all of them, and come from three scenes in three lights."""
NAMED = {"watermarked": "watermark", "signed": "signature", "screenshot": "text"}
RECALL, FALSE_ALARMS, SECONDS = 0.9, 0.1, 60.0


@dataclass(kw_only=True)
class Tally:
    """Hits of tries, by what was tried."""

    hits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tries: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def note(self, name: str, *, is_hit: bool) -> None:
        self.tries[name] += 1
        self.hits[name] += is_hit

    def as_figures(self, prefix: str, *, goal: float | None, at_most: bool = False) -> list[Figure]:
        return [
            Figure(
                name=f"{prefix}: {name} (of {tries})",
                value=self.hits[name] / tries,
                unit="share",
                goal=goal,
                at_most=at_most,
            )
            for name, tries in self.tries.items()
        ]

    def together(self, name: str, *, goal: float | None) -> Figure:
        """All kinds as one, each try counting alike."""
        tries = sum(self.tries.values())
        return Figure(name=f"{name} (of {tries})", value=sum(self.hits.values()) / tries, unit="share", goal=goal)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A work as it is uploaded, and the fault in it; "" where there is none."""

    name: str
    content: bytes
    fault: str


@dataclass(frozen=True, kw_only=True)
class Tallies:
    """What was found of what was planted; which kinds of writing were named right; what was found of nothing."""

    found: Tally = field(default_factory=Tally)
    named: Tally = field(default_factory=Tally)
    false: Tally = field(default_factory=Tally)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder that gets `npm` with drawing sets and fonts")
    parser.add_argument("--halves", nargs="*", default=list(SETS), choices=list(SETS), help="default: both")
    parser.add_argument("--sets", type=int, default=8, help="drawing sets of each half, at most")
    parser.add_argument("--threads", type=int, default=2)


def measure(
    *, seed: int, say: Callable[[str], None], work: Path, halves: list[str], sets: int, threads: int
) -> list[Figure]:
    """Recall and false alarms by kind for each half, and the time for 100 works."""
    folder = work / "npm"
    for half in halves:
        require_photographs(half)
    fetch_sets(folder)
    faults.fetch_fonts(folder)
    figures = []
    for half in halves:
        names = list(SETS[half])[:sets]
        tallies = Tallies()
        for place, name in enumerate(names):
            say(f"{half}: {name} ...")
            layout = LAYOUTS[place % len(LAYOUTS)]
            pictures = drawn(folder, name, NUM_WORKS, layout=layout, seed=seed)
            review_planted(pictures, tallies, folder, seed=f"{seed}/{name}", threads=threads)
            try_styles(folder, name, names, tallies, seed=seed)
        say(f"{half}: photographs ...")
        pictures = photographed(half, NUM_WORKS, seed=seed)
        own_seed = f"{seed}/photographs"
        review_planted(pictures, tallies, folder, seed=own_seed, threads=threads, without=NOT_ON_PHOTOGRAPHS)
        is_judged = half == "reported"
        goal = RECALL if is_judged else None
        figures.append(tallies.found.together(f"{half}: recall: all planted faults", goal=goal))
        figures += tallies.found.as_figures(f"{half}: recall", goal=goal)
        figures += tallies.named.as_figures(f"{half}: named right", goal=None)
        limit = FALSE_ALARMS if is_judged else None
        figures += tallies.false.as_figures(f"{half}: false alarms", goal=limit, at_most=True)
    say("the time of 100 works ...")
    return [*figures, *time_review(folder, seed=seed)]


def review_planted(
    pictures: Sequence[Picture],
    tallies: Tallies,
    fonts: Path,
    *,
    seed: str,
    threads: int,
    without: frozenset[str] = frozenset(),
) -> None:
    """Plant every fault into some pictures of a clean portfolio, add repeats of others, and review it all."""
    planted = plant(pictures, random.Random(seed), fonts, without=without)
    with TemporaryDirectory() as folder:
        works = write(planted, Path(folder))
        review = review_portfolio(works, size=SIZE, min_works=8, num_threads=threads)
    found = defaultdict(set)
    for finding in review.findings:
        found[finding.work].add(finding.kind)
    for one in planted:
        kinds = found[one.name]
        if one.fault:
            tallies.found.note(one.fault, is_hit=bool(kinds & FOUND_AS[one.fault]))
        if one.fault in NAMED and kinds & WRITTEN:
            tallies.named.note(one.fault, is_hit=NAMED[one.fault] in kinds)
        if not one.fault:
            for kind in ("blur", "jpeg_damage", "near_duplicate", "out_of_style"):
                tallies.false.note(kind, is_hit=kind in kinds)
            tallies.false.note("any writing", is_hit=bool(kinds & WRITTEN))
    if "second style" not in without:
        tallies.false.note("second_style", is_hit="second_style" in found[None])


def plant(pictures: Sequence[Picture], pick: random.Random, fonts: Path, *, without: frozenset[str]) -> list[Planted]:
    """The first works get the faults, others a repeat each that comes last, the rest are left as they are."""
    acts: dict[str, faults.Fault] = {
        "blurred": faults.blurred,
        "upscaled": faults.upscaled,
        "squeezed": lambda image, _: image,
        "squeezed, saved again": faults.squeezed,
        "watermarked": lambda image, pick: faults.watermarked(image, pick, fonts),
        "signed": lambda image, pick: faults.signed(image, pick, fonts),
        "screenshot": lambda image, pick: faults.screenshot(image, pick, fonts),
    }
    wanted = [name for name in acts if name not in without for _ in range(EACH)]
    planted = []
    for number, picture in enumerate(pictures):
        fault = wanted[number] if number < len(wanted) else ""
        image = acts[fault](picture.image, pick) if fault else picture.image
        quality = pick.randint(5, 30) if fault == "squeezed" else pick.choice((None, 85, 90, 95))
        planted.append(_planted(picture.name, image, fault, None if fault == "squeezed, saved again" else quality))
    clean = pictures[len(wanted) :]
    for number, (name, act) in enumerate(faults.REPEATS.items()):
        for picture in clean[2 * number : 2 * number + EACH]:
            image = act(picture.image, pick)
            planted.append(_planted(f"z {name} {picture.name}", image, f"repeat: {name}", pick.choice((None, 85, 92))))
    return planted


def try_styles(folder: Path, name: str, names: Sequence[str], tallies: Tallies, *, seed: int) -> None:
    """Portfolios of one style, with one to four strangers, and of two styles, in two proportions."""
    pick = random.Random(f"{seed}/{name}/styles")
    others = pick.sample([other for other in names if other != name], min(3, len(names) - 1))
    layout = pick.choice(LAYOUTS)
    own = drawn(folder, name, TOGETHER, layout=layout, seed=seed + 1, edges=(SMALL_EDGE, SMALL_EDGE + 1))
    kin = find_kin(strokes_of([picture.image for picture in own]))
    tallies.false.note("second_style", is_hit=bool(kin.second_style))
    for number in range(len(own)):
        tallies.false.note("out_of_style", is_hit=number in kin.strangers)
    for other in others:
        foreign = drawn(folder, other, TOGETHER // 2, layout=layout, seed=seed + 2, edges=(SMALL_EDGE, SMALL_EDGE + 1))
        count = pick.randint(1, 4)
        mixed = [*own[: TOGETHER - count], *foreign[:count]]
        kin = find_kin(strokes_of([picture.image for picture in mixed]))
        for number in range(len(mixed)):
            is_hit = number in kin.strangers
            if number >= TOGETHER - count:
                tallies.found.note("out of style", is_hit=is_hit)
            else:
                tallies.false.note("out_of_style", is_hit=is_hit)
        for share in (TOGETHER // 2, TOGETHER // 3):
            mixed = [*own[: TOGETHER - share], *foreign[:share]]
            second = set(find_kin(strokes_of([picture.image for picture in mixed])).second_style)
            meant = set(range(TOGETHER - share, TOGETHER))
            # Which of two equal halves is the second one is nobody's to say.
            right = max(len(second & meant), len(second - meant) if 2 * share == TOGETHER else 0)
            tallies.found.note(f"second style, {share} of {TOGETHER}", is_hit=bool(second))
            if second:
                tallies.named.note("works of the second style", is_hit=right >= 0.9 * len(second | meant) - 1)


def time_review(folder: Path, *, seed: int) -> list[Figure]:
    """Wall time and processor time of the review process for 100 works, everything included."""
    name = next(iter(SETS["reported"]))
    pictures = drawn(folder, name, 100, layout="ground", seed=seed)
    with TemporaryDirectory() as place:
        works = write([_planted(picture.name, picture.image, "", 90) for picture in pictures], Path(place))
        request = Path(place) / "request.json"
        request.write_text(ReviewRequest(works=tuple(works), size=SIZE, min_works=8).to_json())
        command = [sys.executable, "-m", "training.review", str(request)]
        before, began = _children_s(), time.perf_counter()
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            status = process.wait()
        assert status == 0, f"the review ended with status {status}"
        took_s, computed_s = time.perf_counter() - began, _children_s() - before
    name = "100 works of 600 to 1000 pixels"
    return [
        Figure(name=name, value=took_s, unit="s", goal=SECONDS, at_most=True),
        Figure(name=f"{name}, all cores together", value=computed_s, unit="CPU s"),
    ]


def _children_s() -> float:
    """Processor seconds of all child processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write(planted: Sequence[Planted], folder: Path) -> list[Work]:
    """Each as a file; its name is its id."""
    works = []
    for one in planted:
        path = folder / one.name.replace("/", " ")
        path.write_bytes(one.content)
        works.append(Work(id=one.name, path=path))
    return works


def _planted(name: str, image: Image.Image, fault: str, quality: int | None) -> Planted:
    file = io.BytesIO()
    if quality is None:
        image.save(file, format="PNG", compress_level=1)
    else:
        image.save(file, format="JPEG", quality=quality)
    return Planted(name=name, content=file.getvalue(), fault=fault)
