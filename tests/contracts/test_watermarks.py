"""What every invisible mark keeps, whichever a place turns on by name."""

import importlib.util
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from licensing.errors import WatermarkUnusable
from licensing.fingerprint import NEAR, distance, fingerprint
from licensing.watermarks import KEY_BYTES, WATERMARKS, Watermark, licence_of, open_watermark
from licensing.watermarks.registry import key_of
from tests.licensing.drawings import drawing, encoded
from tests.licensing.plain_watermark import PlainMark

OPENED: dict[str, Callable[[], Watermark]] = {
    "plain, of the tests": PlainMark,
    **{name: lambda name=name: open_watermark(name) for name in WATERMARKS},
}
KEYS = [key_of(f"out_{number}") for number in range(8)]
LEVELS_MOVED_MAX = 10
"""Mean difference of a marked picture, of 255."""


@pytest.fixture(scope="module", params=OPENED)
def watermark(request) -> Watermark:
    if request.param in WATERMARKS and importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is an extra of its own, and not installed here")
    return OPENED[request.param]()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_it_says_what_it_is(watermark):
    assert watermark.name.isidentifier()
    assert watermark.licence


@pytest.mark.parametrize("number", range(6))
def test_a_marked_picture_says_its_key_and_looks_as_before(watermark, number):
    png = encoded(drawing(number), "PNG")

    marked = watermark.mark(png, KEYS[number])

    assert marked.startswith(b"\x89PNG")
    assert opened(marked).size == opened(png).size
    assert watermark.detect(marked) == KEYS[number]
    moved = np.asarray(opened(marked), dtype=float) - np.asarray(opened(png), dtype=float)
    assert np.abs(moved).mean() < LEVELS_MOVED_MAX
    assert distance(fingerprint(png), fingerprint(marked)) <= NEAR


@pytest.mark.parametrize("number", range(3))
def test_it_survives_what_takes_a_seal_away(watermark, number):
    marked = opened(watermark.mark(encoded(drawing(number), "PNG"), KEYS[number]))
    half = marked.resize((marked.width // 2, marked.height // 2), Image.Resampling.LANCZOS)

    copies = [encoded(marked, "JPEG", quality=75), encoded(marked, "WEBP", quality=80), encoded(half, "PNG")]

    assert [watermark.detect(copy) for copy in copies] == [KEYS[number]] * 3


def test_it_finds_nothing_where_nothing_is(watermark):
    for content in (b"", b"text", encoded(drawing(1), "PNG")[:300], encoded(Image.new("RGB", (8, 8), "white"), "PNG")):
        assert watermark.detect(content) is None
    assert [watermark.detect(encoded(drawing(number), "PNG")) for number in range(40)] == [None] * 40


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (512, 768)])
def test_it_marks_pictures_of_any_shape(watermark, size):
    png = encoded(drawing(2).resize(size), "PNG")

    marked = watermark.mark(png, KEYS[0])

    assert opened(marked).size == size
    assert watermark.detect(marked) == KEYS[0]


def test_it_marks_many_at_once(watermark):
    pictures = [encoded(drawing(number), "PNG") for number in range(len(KEYS))]

    with ThreadPoolExecutor(4) as threads:
        marked = list(threads.map(watermark.mark, pictures, KEYS))

    assert [watermark.detect(one) for one in marked] == KEYS
    assert {len(key) for key in KEYS} == {KEY_BYTES}


@pytest.mark.parametrize("name", WATERMARKS)
def test_its_licence_is_known_before_it_is_installed(name):
    assert licence_of(name)


def test_what_nobody_knows_or_installed_says_so(monkeypatch):
    with pytest.raises(WatermarkUnusable, match="there is no watermark 'ink'; there is none"):
        open_watermark("ink")

    monkeypatch.setitem(WATERMARKS, "elsewhere", "tests.contracts.test_watermarks:Elsewhere")

    with pytest.raises(WatermarkUnusable, match="there is no watermark 'ink'; there is elsewhere, or none"):
        open_watermark("ink")
    with pytest.raises(WatermarkUnusable, match=r"'elsewhere' needs a package .* pip install 'ownhand\[elsewhere\]'"):
        open_watermark("elsewhere")


class Elsewhere:
    """A mark whose package nobody has."""

    def __init__(self) -> None:
        importlib.import_module("a_package_that_nobody_has")
