"""Works that repeat one another are found whatever was done to them; works that only share a style are not."""

import io

import pytest
from PIL import Image, ImageOps

from tests.training.portfolio import drawing
from training.review.repeats import clusters, find_repeats

EDGE = 300


def saved_again(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=50)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def other_hues(image: Image.Image) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda h: (h + 90) % 256), saturation, value)).convert("RGB")


CHANGES = {
    "saved again": saved_again,
    "smaller": lambda image: image.resize((170, 170), Image.Resampling.LANCZOS),
    "cropped": lambda image: image.crop((18, 6, EDGE - 4, EDGE - 20)),
    "mirrored": ImageOps.mirror,
    "other hues": other_hues,
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_repeat_is_found(change):
    works = [drawing(number, EDGE) for number in range(8)]

    found = find_repeats([*works, change(works[3])])

    assert [(repeat.earlier, repeat.later) for repeat in found] == [(3, 8)]


def test_a_mirrored_repeat_is_called_mirrored():
    works = [drawing(number, EDGE) for number in range(4)]

    found = find_repeats([*works, ImageOps.mirror(works[0]), saved_again(works[1])])

    assert [repeat.is_mirrored for repeat in found] == [True, False]


def test_different_works_and_plain_ones_are_no_repeats():
    works = [drawing(number, EDGE) for number in range(30)]
    plain = [Image.new("RGB", (EDGE, EDGE), colour) for colour in ("white", "#e4572e")]

    assert find_repeats([*works, *plain]) == []


def test_one_work_or_none_repeats_nothing():
    assert find_repeats([]) == []
    assert find_repeats([drawing(1)]) == []


def test_repeats_of_repeats_are_one_cluster():
    first = drawing(1, EDGE)
    works = [first, drawing(2, EDGE), saved_again(first), ImageOps.mirror(first)]

    assert clusters(len(works), find_repeats(works)) == ((0, 2, 3), (1,))
