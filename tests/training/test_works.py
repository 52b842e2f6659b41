"""A portfolio is looked at file by file: what is wrong is named with a fix, and never stops the rest."""

import io

import pytest
from PIL import Image

from tests.training.portfolio import drawing, write_portfolio
from training.messages import MAX_WORKS, Work
from training.review.portfolio import review_portfolio
from training.works import MAX_WORK_BYTES, Review, inspect_upload, works_in

EDGE = 160


def review(folder, *, size: int = 32, min_works: int = 4) -> Review:
    return review_portfolio(works_in(folder), size=size, min_works=min_works, is_whole=False)


def kinds(found: Review) -> dict[str | None, str]:
    return {finding.work: finding.kind for finding in found.findings}


@pytest.fixture
def folder(tmp_path):
    return write_portfolio(tmp_path / "works", 6, edge=EDGE)


def test_a_clean_portfolio_has_no_findings(folder):
    found = review(folder)

    assert len(found.good) == 6
    assert found.findings == ()
    assert len(found.clusters) == 6


def test_every_kind_of_bad_file_is_named_and_the_rest_is_used(folder):
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7")
    (folder / "empty.png").write_bytes(b"")
    Image.effect_noise((256, 256), 90).save(folder / "cut.png")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:9000])
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    drawing(7, 12).save(folder / "stamp.png")
    drawing(8, 24).save(folder / "small.png")
    drawing(9, EDGE).save(folder / "moving.gif", save_all=True, append_images=[drawing(10, EDGE)])
    drawing(11, EDGE).convert("RGBA").save(folder / "opaque.png")
    seen_through = drawing(12, EDGE).convert("RGBA")
    seen_through.putalpha(Image.linear_gradient("L").resize((EDGE, EDGE)))
    seen_through.save(folder / "glass.png")

    found = review(folder)

    assert kinds(found) == {
        "letter.pdf": "not_a_picture",
        "empty.png": "not_a_picture",
        "cut.png": "damaged",
        "bomb.png": "too_many_pixels",
        "stamp.png": "too_small",
        "small.png": "small",
        "moving.gif": "animated",
        "glass.png": "transparent",
    }
    used = {work.work.id for work in found.good}
    assert {"small.png", "moving.gif", "glass.png", "opaque.png"} <= used
    assert len(used) == 10
    assert all(finding.why.endswith(".") and finding.fix.endswith(".") for finding in found.findings)


def test_a_file_that_vanished_is_named(folder):
    works = [*works_in(folder), Work(id="wrk_gone", path=folder / "gone.png")]

    found = review_portfolio(works, size=32, min_works=4, is_whole=False)

    assert kinds(found) == {"wrk_gone": "missing"}
    assert len(found.good) == 6


def test_the_same_file_twice_is_used_once(folder):
    first = sorted(folder.iterdir())[0]
    (folder / "zz-again.png").write_bytes(first.read_bytes())

    found = review(folder)

    assert kinds(found) == {"zz-again.png": "same_file"}
    assert first.name in found.findings[0].why
    assert len(found.good) == 6


def test_a_picture_saved_again_smaller_is_a_near_duplicate_in_one_cluster(folder):
    first = sorted(folder.iterdir())[0]
    Image.open(first).resize((120, 120), Image.Resampling.LANCZOS).save(folder / "zz-again.jpg", quality=85)

    found = review(folder)

    assert kinds(found) == {"zz-again.jpg": "near_duplicate"}
    assert sorted(map(len, found.clusters)) == [1, 1, 1, 1, 1, 2]


def test_too_few_good_works_are_named_with_how_many_are_missing(folder):
    found = review(folder, min_works=8)

    assert kinds(found) == {None: "too_few"}
    assert "Add 2 more" in found.findings[0].fix


def test_works_beyond_the_limit_are_left_out_with_one_finding(folder):
    path = sorted(folder.iterdir())[0]
    works = [Work(id=f"wrk_{number}", path=path) for number in range(MAX_WORKS + 7)]

    found = review_portfolio(works, size=32, min_works=1, is_whole=False)

    assert [finding.kind for finding in found.findings if finding.work is None] == ["too_many"]
    assert len(found.good) == 1


def test_words_beside_a_picture_are_its_captions_and_hidden_files_are_none_of_ours(folder):
    (folder / "dog-02.txt").write_text("a brown dog\n\nasleep in the sun\n")
    (folder / ".DS_Store").write_bytes(b"x")

    works = {work.id: work for work in works_in(folder)}

    assert works["dog-02.png"].captions == ("a brown dog", "asleep in the sun")
    assert len(works) == 6


def test_an_upload_is_judged_by_the_same_rules():
    target = io.BytesIO()
    drawing(1).save(target, "PNG")

    opened, findings = inspect_upload("wrk_1", target.getvalue(), size=32)
    refused, reasons = inspect_upload("wrk_2", b"\0" * (MAX_WORK_BYTES + 1), size=32)

    assert opened is not None
    assert findings == []
    assert refused is None
    assert reasons[0].kind == "too_many_bytes"
