"""What gets into the training data, what stays out, and how it is drawn."""

import json
import random
import shutil

import numpy as np
import pytest
import torch

from tests.training.base.conftest import write_sources
from training.base.captions import Subject, caption, plain
from training.base.collection import at_most_a_third
from training.base.data import make_data, read_data, split_of
from training.base.errors import SourceRefused, StageMissing
from training.base.paper import lay_on, soft_paper
from training.base.recipe import read_everyday, read_recipe
from training.base.render import render, render_moved
from training.base.sources import Drawing, is_wanted, read_credit, words_of

SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 2"><rect width="4" height="2" fill="#f00"/></svg>'


def test_a_share_alike_set_is_refused_with_its_licence_named(tmp_path):
    write_sources(tmp_path, licence="CC-BY-SA-4.0")

    with pytest.raises(SourceRefused, match=r"'drawn' is under CC-BY-SA-4\.0.*take the set out"):
        read_credit(tmp_path, "drawn")


def test_doubles_flags_and_empty_drawings_stay_out(work):
    names = {row["name"] for row in read_data(work).rows}

    assert "person-waving" in names
    assert names.isdisjoint({"person-waving-dark", "flag-france", "empty-thing"})
    assert len(names & {"red-apple", "apple-again"}) == 1


@pytest.mark.parametrize(
    ("package", "name", "wanted"),
    [
        ("noto", "boy-medium-light-skin-tone", False),
        ("fluent-emoji", "detective-medium-dark", False),
        ("noto", "vertical-traffic-light", True),
        ("noto", "keycap-3", False),
        ("twemoji", "flag-for-chad", False),
        ("noto", "one-thirty", False),
        ("noto", "three-oclock", True),
        ("icon-park", "facebook-one", False),
        ("streamline-plump", "cheese-solid", False),
        ("streamline-plump", "cheese", True),
    ],
)
def test_only_motifs_are_wanted(package, name, wanted):
    names = {"boy", "detective", name}

    assert is_wanted(package, name, names) is wanted


def test_rows_say_what_a_drawing_shows(work):
    rows = {row["name"]: row for row in read_data(work).rows}

    apple = rows.get("red-apple") or rows["apple-again"]
    assert rows["house"]["concept"] == "house"
    assert rows["house"]["keywords"] == ["home"]
    assert rows["house"]["kind"] == "concrete"
    assert rows["person-waving"]["kind"] == "people"
    assert rows["left-arrow"]["kind"] == "abstract"
    assert apple["name"] == "apple-again" or apple["everyday"] == "apple"


def test_captions_vary_and_mostly_name_the_style():
    subject = {"concept": "red apple", "everyday": "apple", "keywords": ["fruit"]}
    pick = random.Random(1)

    captions = [caption(subject, "noto", pick) for _ in range(400)]

    assert {"apple", "red apple", "apple, noto style", "noto style, red apple, fruit"} <= set(captions)
    assert 0.65 < sum("noto style" in line for line in captions) / len(captions) < 0.85
    assert all("apple" in line for line in captions)


def test_names_become_words():
    assert words_of("fox-face-1") == "fox face"
    assert words_of("phone-two") == "phone"
    assert plain("Woman\u2019s hat: red") == "womans hat red"


def test_the_split_depends_on_nothing_but_the_name():
    splits = [split_of("noto", f"thing-{number}", 0.1) for number in range(2000)]

    assert splits == [split_of("noto", f"thing-{number}", 0.1) for number in range(2000)]
    assert 0.07 < splits.count("held") / 2000 < 0.13


def test_a_wide_drawing_is_centred_in_a_square():
    pixels = render(SQUARE, 16)

    assert pixels.shape == (16, 16, 4)
    assert pixels[8, 8].tolist() == [255, 0, 0, 255]
    assert pixels[1, 8, 3] == 0


def test_a_moved_drawing_is_another_view_of_the_same(tmp_path):
    plain_view, moved = render(SQUARE, 32), render_moved(SQUARE, 32, random.Random(3))

    assert moved.shape == plain_view.shape
    assert not np.array_equal(moved, plain_view)
    assert 0.4 < moved[..., 3].mean() / plain_view[..., 3].mean() < 1.2


def test_a_drawing_lies_on_white_or_on_a_soft_ground():
    drawings = torch.from_numpy(np.stack([render(SQUARE, 16)] * 2))

    white = lay_on(drawings)
    soft = lay_on(drawings, soft_paper([random.Random(2), random.Random(3)], 16, share=1.0))

    assert white.shape == soft.shape == (2, 3, 16, 16)
    assert white[0, :, 0, 0].tolist() == [1, 1, 1]
    assert (soft[:, :, 0, 0] < 1).all()
    assert not torch.equal(soft[0, :, 0, 0], soft[1, :, 0, 0])
    torch.testing.assert_close(white[:, :, 8, 8], soft[:, :, 8, 8])


def test_a_share_of_the_paper_stays_white():
    papers = soft_paper([random.Random(number) for number in range(200)], 4, share=0.25)

    soft = (papers < 254).flatten(1).any(dim=1).sum().item()

    assert 30 <= soft <= 70


def test_a_stage_started_too_early_names_the_one_to_run(tmp_path):
    with pytest.raises(StageMissing, match=r"python -m training\.base data"):
        read_data(tmp_path)


def test_pictures_are_rendered_from_the_collected_drawings_alone(recipe, work, tmp_path):
    shutil.copy(work / "drawings.jsonl.gz", tmp_path)

    make_data(recipe, tmp_path, lambda line: None)

    assert read_data(tmp_path).rows == read_data(work).rows
    assert np.array_equal(read_data(tmp_path).pixels, read_data(work).pixels)


def test_rendering_before_collecting_names_the_stage_to_run(recipe, tmp_path):
    with pytest.raises(StageMissing, match=r"python -m training\.base drawings"):
        make_data(recipe, tmp_path, lambda line: None)


def test_one_colour_drawings_are_a_third_at_most():
    def pairs(package, count):
        subject = Subject(concept="tree", everyday=None, keywords=(), kind="concrete")
        names = [f"tree-{number}" for number in range(count)]
        return [(Drawing(package=package, name=name, svg="", codepoint=None), subject) for name in names]

    kept = at_most_a_third(pairs("noto", 10) + pairs("tabler", 40), frozenset({"tabler"}))

    assert [drawing.package for drawing, _ in kept].count("tabler") == 5
    assert len(kept) == 15


def test_credits_are_kept_with_the_data(work):
    credits = json.loads((work / "credits.json").read_text())

    assert credits == [{"package": "drawn", "title": "Drawn", "author": "A. Painter", "licence": "MIT", "url": ""}]


@pytest.mark.parametrize("name", ["base", "base-cpu"])
def test_the_shipped_recipes_are_readable_and_name_no_held_out_set(name, pytestconfig):
    folder = pytestconfig.rootpath / "configs" / "recipes"

    recipe = read_recipe(folder / f"{name}.toml")
    everyday = read_everyday(folder / "everyday.toml")

    assert recipe.data.size // recipe.autoencoder.factor == 8
    assert {"fluent-emoji-flat", "streamline-ultimate-color"}.isdisjoint(recipe.data.styles)
    assert len(set(recipe.data.styles.values())) == len(recipe.data.styles)
    assert len(everyday) >= 60
    assert {"apple", "house", "face"} <= set(everyday)
