"""Writing in works is found, and what it is follows from where it stands and how often."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.training.portfolio import drawing
from training.review.lettering import Words, judge_lettering, read_all


def words(text: str, *, left: float = 0.1, top: float = 0.4, width: float = 0.2, height: float = 0.05) -> Words:
    return Words(text=text, confidence=0.9, left=left, top=top, right=left + width, bottom=top + height)


def lettered(text: str, spot: tuple[int, int], size: int) -> Image.Image:
    image = drawing(5, 480)
    ImageDraw.Draw(image).text(spot, text, font=ImageFont.load_default(size), fill="#101018", anchor="ls")
    return image


@pytest.fixture(scope="module")
def read() -> list[tuple[Words, ...]]:
    """A drawing without words, one that is signed, one with a word across it, and a letter."""
    letter = Image.new("RGB", (480, 480), "white")
    pen = ImageDraw.Draw(letter)
    for number, line in enumerate(
        ("Dear Anna", "the drawings arrived", "and everybody likes them", "see you on Monday")
    ):
        pen.text((60, 80 + 90 * number), line, font=ImageFont.load_default(28), fill="black")
    signed, marked = lettered("Mira Tanaka", (290, 470), 24), lettered("PREVIEW", (40, 270), 90)
    return read_all([drawing(5, 480), signed, marked, letter], num_threads=1)


def test_writing_is_read_and_named(read):
    found = judge_lettering(read)

    assert [lettering and lettering.kind for lettering in found] == [None, "signature", "watermark", "text"]
    assert found[1] is not None
    assert "Tanaka" in found[1].says


def test_words_many_times_over_are_a_watermark():
    lines = tuple(words("stockpixel.com", top=0.1 * number) for number in range(4))

    assert judge_lettering([lines])[0].kind == "watermark"


def test_the_same_words_on_three_works_are_a_watermark_and_on_one_they_are_text():
    shop = (words("Kolibri"), words("open", top=0.6), words("daily", top=0.7))

    alone, together = judge_lettering([shop]), judge_lettering([shop, (words("Kolibri"),), (words("kolibri"),)])

    assert alone[0].kind == "text"
    assert [lettering.kind for lettering in together] == ["watermark"] * 3


def test_a_name_at_the_border_is_a_signature_and_a_large_one_is_not():
    at_border, large = words("R. Vance", top=0.93), words("R. Vance", top=0.78, height=0.2)

    found = judge_lettering([(at_border,), (large,)])

    assert [lettering.kind for lettering in found] == ["signature", "text"]


def test_no_writing_is_nothing_to_judge():
    assert judge_lettering([(), ()]) == [None, None]
