"""What a picture lost shows in numbers: focus, size, JPEG's squares."""

import io

import pytest
from PIL import Image, ImageFilter

from tests.training.portfolio import drawing
from training.review.damage import find_blocks, jpeg_quality, look_for_damage, sharpest_edges

EDGE = 400


def saved(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.parametrize("number", range(4))
def test_the_softer_a_picture_the_wider_its_sharpest_edges(number):
    sharp = drawing(number, EDGE)

    widths = [sharpest_edges(sharp.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 2, 5)]

    assert widths == sorted(widths)
    assert widths[0] < 2
    assert widths[1] > 3


def test_a_soft_ground_behind_a_sharp_thing_is_no_blur():
    soft = drawing(1, EDGE).filter(ImageFilter.GaussianBlur(6))
    soft.paste(drawing(2, EDGE // 2), (0, 0))

    assert sharpest_edges(soft) < 2


def test_a_small_file_made_large_shows_as_much_as_the_small_one():
    small = drawing(3, EDGE).resize((100, 100), Image.Resampling.LANCZOS)
    large = small.resize((EDGE, EDGE), Image.Resampling.BICUBIC)

    damage = look_for_damage(large, saved(large, 95))

    assert damage.detail_px is not None
    assert 80 <= damage.detail_px <= 220


def test_a_plain_picture_has_no_edges_to_judge_by():
    assert sharpest_edges(Image.new("RGB", (EDGE, EDGE), "#fff8ee")) is None


@pytest.mark.parametrize("quality", [8, 15])
def test_squares_are_found_also_after_saving_as_something_else(quality):
    squeezed = opened(saved(drawing(1, EDGE), quality))

    blocking, share = find_blocks(squeezed)

    assert blocking > 10
    assert share > 0.001
    assert find_blocks(drawing(1, EDGE))[0] < 5


@pytest.mark.parametrize("quality", [5, 30, 75, 92])
def test_the_quality_is_read_from_the_files_own_tables(quality):
    assert jpeg_quality(saved(drawing(1, EDGE), quality)) == pytest.approx(quality, abs=2)


def test_what_is_no_jpeg_has_no_quality():
    file = io.BytesIO()
    drawing(1, EDGE).save(file, format="PNG")

    assert jpeg_quality(file.getvalue()) is None
