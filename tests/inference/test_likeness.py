"""Whether pictures are nearly the same: saved again they are, other pictures are not; looks go into a file and back."""

import io
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from inference.checkers.near_copies import NearCopies
from inference.likeness import Look, is_nearly_same, look_at, pack_looks, unpack_looks
from tests.training.portfolio import drawing


def saved_again(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.resize((128, 128)).save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def icons() -> list[Image.Image]:
    """The demonstration's works: unlike those drawings, each shows a thing of its own."""
    folder = Path(__file__).parents[2] / "configs" / "demo" / "works"
    return [Image.open(path).convert("RGB").resize((200, 200)) for path in sorted(folder.glob("*.png"))]


def faded(image: Image.Image) -> Image.Image:
    """A picture as a style that remembers it would draw it: soft, a little moved, in fainter colours."""
    soft = ImageChops.offset(image, 4, 0).filter(ImageFilter.GaussianBlur(6))
    return ImageEnhance.Color(soft).enhance(0.6)


def test_a_picture_that_was_saved_again_is_nearly_the_same_and_others_are_not():
    images = [drawing(number, 200) for number in range(30)]
    looks, again = [look_at(image) for image in images], [look_at(saved_again(image)) for image in images]

    same = np.array([[is_nearly_same(one, other) for other in again] for one in looks])

    assert (same == np.eye(30, dtype=bool)).all()


def test_a_mirror_image_is_another_look():
    image = drawing(3, 200)

    assert not is_nearly_same(look_at(image), look_at(ImageOps.mirror(image)))


def works_of(images: Iterable[Image.Image]) -> list[list[Look]]:
    return [[look_at(image)] for image in images]


def test_the_check_finds_what_was_saved_again():
    check = NearCopies(works_of(drawing(number, 200) for number in range(30)))

    found = [check.check(saved_again(drawing(number, 200)), "picture") is not None for number in range(60)]

    assert found == [number < 30 for number in range(60)]


def test_a_picture_that_shows_unmistakably_one_work_is_found_however_faint_it_is(icons):
    works, faint = works_of(icons[:20]), [faded(image) for image in icons]
    check = NearCopies(works)

    found = [check.check(image, "picture") is not None for image in faint]

    looks = [look_at(image) for image in faint]
    assert not any(is_nearly_same(look, work) for look in looks for (work,) in works)
    assert found == [True] * 20 + [False] * 20, "what is no work is no copy"


def test_what_is_as_like_another_work_is_no_copy_of_one_unless_it_was_saved_again(icons):
    moved = ImageChops.offset(icons[0], 8, 0)
    check = NearCopies(works_of([*icons[:20], moved]))

    assert check.check(faded(icons[0]), "picture") is None
    assert check.check(saved_again(icons[0]), "picture") is not None


def test_repeats_of_one_picture_are_one_work(icons):
    repeats = [look_at(icons[0]), look_at(ImageChops.offset(icons[0], 8, 0))]
    check = NearCopies([repeats, *works_of(icons[1:20])])

    assert check.check(faded(icons[0]), "picture") is not None


@pytest.mark.parametrize("count", [0, 1, 4])
def test_of_few_works_only_what_was_saved_again_is_found(icons, count):
    check = NearCopies(works_of(icons[:count]))

    assert check.check(faded(icons[0]), "picture") is None
    assert (check.check(saved_again(icons[0]), "picture") is not None) == (count > 0)


def test_looks_come_back_from_their_file_as_they_were():
    works = [[look_at(drawing(2 * number)), look_at(drawing(2 * number + 1))][: 1 + number % 2] for number in range(5)]

    content = pack_looks(works)
    back = unpack_looks(content)

    assert content == pack_looks(works)
    assert [len(forms) for forms in back] == [len(forms) for forms in works] == [1, 2, 1, 2, 1]
    for one, other in zip(chain(*works), chain(*back), strict=True):
        assert (one.bits_64 == other.bits_64).all()
        assert (one.thumb == other.thumb).all()
    assert unpack_looks(pack_looks([])) == ()


def test_a_file_of_looks_shows_no_picture():
    work = drawing(1, 400)

    content = pack_looks([[look_at(work)]])

    assert len(content) < 1024
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(content))


@pytest.mark.parametrize("content", [b"", b"no looks", pack_looks(works_of([drawing(1)]))[:-9], b"\x93NUMPY"])
def test_what_is_no_file_of_looks_is_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        unpack_looks(content)


def test_an_array_of_something_else_is_no_file_of_looks():
    file = io.BytesIO()
    np.save(file, np.zeros((3, 778), np.float32))

    with pytest.raises(ValueError, match="another shape"):
        unpack_looks(file.getvalue())
