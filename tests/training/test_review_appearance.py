"""Which group of pictures one picture is drawn like: by what sets groups apart, and by nothing that all share."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from training.review.appearance import PLAIN, nearness
from training.review.eye import Eye


def groups(*rows: tuple[float, ...]) -> np.ndarray:
    """Numbers of the network, with plain ones that are all 0."""
    return np.pad(np.array(rows, np.float32), ((0, 0), (0, PLAIN)))


def test_the_group_that_differs_in_the_same_way_is_nearest():
    mean = groups((5, 0, 9), (5, 4, 9), (5, 8, 9))
    picture = groups((50, 7, 9))[0]

    alike = nearness(picture, mean, mean**2 + 1)

    assert alike.argmax() == 2
    assert alike.argmin() == 0
    assert np.isfinite(nearness(picture, mean[:1], mean[:1] ** 2)).all()


def test_a_number_that_varies_little_weighs_as_much_as_one_that_varies_widely():
    mean = groups((0.0, 0.0), (0.02, 0.0), (0.0, 1000.0))
    picture = groups((0.02, 100.0))[0]

    assert nearness(picture, mean, mean**2).argmax() == 1


def picture(seed: int, *, soft: bool) -> bytes:
    """Some shapes on white, as PNG."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", (200, 200), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(5):
        left, top = dice.integers(10, 120, 2).tolist()
        width, height = dice.integers(30, 70, 2).tolist()
        shape = pen.ellipse if dice.random() < 0.5 else pen.rectangle
        shape((left, top, left + width, top + height), fill=(60, 90, 160), outline="black", width=3)
    file = io.BytesIO()
    (image.filter(ImageFilter.GaussianBlur(6)) if soft else image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def eye() -> Eye:
    return Eye()


def test_two_that_look_at_once_see_what_each_sees_alone(eye: Eye):
    one, other = [picture(seed, soft=False) for seed in range(6)], [picture(9, soft=True)]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(eye, [one, other] * 3))

    for at, pictures in enumerate([one, other] * 3):
        assert np.allclose(found[at], eye(pictures), rtol=1e-3, atol=1e-4)


def test_soft_pictures_are_nearest_to_soft_ones_whatever_they_show(eye: Eye):
    seen = [eye([picture(seed, soft=soft) for seed in range(6)]) for soft in (False, True)]
    mean, square = np.stack([one.mean(axis=0) for one in seen]), np.stack([(one**2).mean(axis=0) for one in seen])
    asked = eye([picture(seed, soft=soft) for soft in (False, True) for seed in (20, 21, 22)])

    assert [int(nearness(one, mean, square).argmax()) for one in asked] == [0, 0, 0, 1, 1, 1]
