"""The report: one page a creator reads to see what their style can do, and what to change. No torch."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageDraw

from inference.pictures import png_bytes
from training.gate import Scores, Tried, Verdict
from training.messages import Finding
from training.wording import say

TEMPLATE = "report_page.html"
GAP = 6
HEADER = 16
CURVE_WIDTH, CURVE_HEIGHT = 640, 160


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One prompt drawn twice from the same noise, beside the work that the prompt describes."""

    caption: str
    work: Image.Image
    without: Image.Image
    with_style: Image.Image


@dataclass(frozen=True, kw_only=True)
class CopyShown:
    """A test picture and the work it repeats."""

    sample: Image.Image
    work: Image.Image
    name: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the page tells."""

    verdict: Verdict
    scores: Scores | None
    """None where no adapter could be trained."""
    trigger: str
    num_trained: int
    num_held_out: int
    steps: int
    tried: tuple[Tried, ...] = ()
    """Adapters that were considered, if the first was not the one to take."""
    pairs: tuple[Pair, ...] = ()
    samples: tuple[tuple[str, Image.Image], ...] = ()
    """Further pictures with the style, by their prompt."""
    copies: tuple[CopyShown, ...] = ()
    curve: tuple[tuple[int, float, float], ...] = ()
    findings: tuple[Finding, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """File names of the works, by id: what their creator knows them by."""


def render_report(report: Report) -> str:
    """The whole page as one HTML text: pictures inside, no script, nothing fetched."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["picture"] = _data_url
    environment.globals["say"] = say
    return environment.get_template(TEMPLATE).render(report=report, curve=_curve_points(report.curve))


def draw_sheet(pairs: Sequence[Pair]) -> Image.Image:
    """One picture: a row for every prompt, with the work, the base alone and the style side by side."""
    edge = pairs[0].without.width
    sheet = Image.new("RGB", (3 * edge + 4 * GAP, HEADER + len(pairs) * (edge + GAP) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(("work", "without", "with")):
        pen.text((GAP + column * (edge + GAP), 2), title, fill="#444444")
    for row, pair in enumerate(pairs):
        for column, image in enumerate((pair.work, pair.without, pair.with_style)):
            sheet.paste(image, (GAP + column * (edge + GAP), HEADER + GAP + row * (edge + GAP)))
    return sheet


def _curve_points(curve: Sequence[tuple[int, float, float]]) -> list[tuple[float, float, int, float]]:
    """(x, y, step, gain) of the held-out looks on a canvas of CURVE_WIDTH x CURVE_HEIGHT."""
    if not curve:
        return []
    last, top, floor = curve[-1][0], max(gain for _, gain, _ in curve), min(0.0, *(gain for _, gain, _ in curve))
    spread = max(top - floor, 1e-9)
    return [
        (40 + (CURVE_WIDTH - 60) * step / last, 20 + (CURVE_HEIGHT - 50) * (top - gain) / spread, step, gain)
        for step, gain, _ in curve
    ]


def _data_url(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()
