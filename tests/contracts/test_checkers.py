"""What every check keeps, those that a place may turn on by name and the one against near-copies."""

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from inference.checkers import CHECKERS, Checker, licence_of, open_checker
from inference.checkers.near_copies import NearCopies
from inference.checkers.nudenet import SURE, objection_to
from inference.errors import CheckerUnusable
from inference.likeness import look_at
from inference.pictures import open_picture
from inference.verdicts import Kind, Objection, Stage
from service.settings import ROOT
from tests.training.portfolio import drawing

STAGES: tuple[Stage, ...] = get_args(Stage)
HARMLESS = sorted((ROOT / "configs" / "demo" / "works").glob("*.png"))


def near_copies() -> Checker:
    return NearCopies([[look_at(drawing(number, 200))] for number in range(20)])


OPENED: dict[str, Callable[[], Checker]] = {
    "near_copies": near_copies,
    **{name: lambda name=name: open_checker(name) for name in CHECKERS},
}
OBJECTIONABLE: dict[str, Image.Image] = {"near_copies": drawing(7, 200).resize((64, 64))}
"""A picture that a check is against; for nudity there is none here."""


@pytest.fixture(scope="module", params=OPENED)
def checker(request) -> Checker:
    if request.param in CHECKERS and importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is an extra of its own licence, and not installed here")
    return OPENED[request.param]()


def picture(path: Path) -> Image.Image:
    return open_picture(path.read_bytes()).image


def verdicts(checker: Checker, images: Sequence[Image.Image]) -> list[Objection | None]:
    return [checker.check(image, stage) for stage in STAGES if stage in checker.stages for image in images]


def test_it_says_what_it_is_and_when_it_looks(checker):
    assert checker.name.isidentifier()
    assert checker.licence
    assert checker.stages
    assert checker.stages <= set(STAGES)


def test_it_objects_with_its_name_a_kind_and_a_way_out(checker):
    if checker.name not in OBJECTIONABLE:
        pytest.skip(f"there is no picture here that {checker.name} objects to")

    found = verdicts(checker, [OBJECTIONABLE[checker.name]])

    for stage, objection in zip([stage for stage in STAGES if stage in checker.stages], found, strict=True):
        assert objection is not None
        assert (objection.checker, objection.stage) == (checker.name, stage)
        assert objection.kind in get_args(Kind)
        assert "; " in objection.sentence
        assert objection.sentence[0].islower()
        assert not objection.sentence.endswith(".")
        assert objection.ends or stage == "preview"


def test_it_lets_harmless_pictures_pass_and_leaves_them_as_they_are(checker):
    images = [picture(path) for path in HARMLESS[:6]]
    before = [image.tobytes() for image in images]

    assert not any(verdicts(checker, images))
    assert [image.tobytes() for image in images] == before


@pytest.mark.parametrize("size", [(8, 8), (1, 300), (300, 8), (1024, 512)])
def test_it_looks_at_any_size(checker, size):
    assert not any(verdicts(checker, [Image.new("RGB", size, "white")]))


def test_it_answers_many_engines_at_once_as_it_answers_one(checker):
    images = [picture(path) for path in HARMLESS[:2]] + [*OBJECTIONABLE.values()]
    alone = verdicts(checker, images)

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda _: verdicts(checker, images), range(4)))

    assert together == [alone] * 4


@pytest.mark.parametrize("name", CHECKERS)
def test_its_licence_is_known_before_it_is_installed(name):
    assert licence_of(name)


def test_what_nobody_knows_or_installed_says_so(monkeypatch):
    monkeypatch.setitem(CHECKERS, "elsewhere", "tests.contracts.test_checkers:Elsewhere")

    with pytest.raises(CheckerUnusable, match="there is no content check 'nudnet'; there is elsewhere, nudenet, or"):
        open_checker("nudnet")
    with pytest.raises(CheckerUnusable, match=r"'elsewhere' needs a package .* pip install 'ownhand\[elsewhere\]'"):
        open_checker("elsewhere")


class Elsewhere:
    """A check whose package nobody has."""

    def __init__(self) -> None:
        importlib.import_module("a_package_that_nobody_has")


def test_nudity_is_what_is_bare_and_surely_seen():
    harmless = [{"class": "FACE_FEMALE", "score": 0.9}, {"class": "BUTTOCKS_EXPOSED", "score": SURE - 0.01}]
    bare = {"class": "BUTTOCKS_EXPOSED", "score": SURE}

    assert objection_to(harmless, "picture") is None
    assert objection_to([], "image") is None
    for stage in STAGES:
        objection = objection_to([*harmless, bare], stage)
        assert objection is not None
        assert (objection.kind, objection.stage, objection.ends) == ("content", stage, True)
