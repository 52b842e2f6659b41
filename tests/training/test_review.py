"""A whole review: every planted fault is named with what to do, a clean portfolio is left in peace."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.training.portfolio import drawing
from training.errors import RequestInvalid
from training.messages import Finding, Work, read_event
from training.review.messages import ReviewRequest, read_review_request
from training.review.portfolio import review_portfolio
from training.works import Review, works_in

ROOT = Path(__file__).parents[2]
SIZE = 128
EDGE = 400


def portfolio(folder: Path, count: int = 20) -> Path:
    folder.mkdir()
    for number in range(count):
        drawing(number, EDGE).save(folder / f"work-{number:02}.png")
    return folder


def look(folder: Path, *, min_works: int = 8) -> Review:
    return review_portfolio(works_in(folder), size=SIZE, min_works=min_works)


def by_work(review: Review) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for finding in review.findings:
        found.setdefault(finding.work, set()).add(finding.kind)
    return found


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Review:
    folder = portfolio(tmp_path_factory.mktemp("faulty") / "works")
    drawing(2, EDGE).filter(ImageFilter.GaussianBlur(6)).save(folder / "work-02.png")
    drawing(3, EDGE).resize((60, 60)).resize((EDGE, EDGE), Image.Resampling.BICUBIC).save(folder / "work-03.png")
    (folder / "work-04.png").unlink()
    drawing(4, EDGE).save(folder / "work-04.jpg", quality=12)
    signed = drawing(5, EDGE)
    ImageDraw.Draw(signed).text((380, 390), "Anna Blix", font=ImageFont.load_default(22), fill="#101018", anchor="rs")
    signed.save(folder / "work-05.png")
    drawing(6, EDGE).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "work-99.jpg", quality=90)
    return look(folder)


def test_every_planted_fault_is_named_at_its_work(faulty):
    found = by_work(faulty)

    assert "blur" in found["work-02.png"]
    assert "blur" in found["work-03.png"]
    assert "jpeg_damage" in found["work-04.jpg"]
    assert "signature" in found["work-05.png"]
    assert "near_duplicate" in found["work-99.jpg"]


def test_a_finding_says_what_happened_with_its_value_and_what_to_do(faulty):
    says = {(finding.work, finding.kind): finding for finding in faulty.findings}

    assert "quality 12" in says["work-04.jpg", "jpeg_damage"].why
    assert "Anna Blix" in says["work-05.png", "signature"].why
    assert "work-06.png" in says["work-99.jpg", "near_duplicate"].why
    assert "mirrored" in says["work-99.jpg", "near_duplicate"].why
    assert "pixels wide" in says["work-02.png", "blur"].why
    assert all(finding.fix.endswith(".") and finding.why.endswith(".") for finding in faulty.findings)


def test_judgements_leave_no_work_out(faulty):
    assert len(faulty.good) == 21
    assert {finding.severity for finding in faulty.findings} <= {"warning", "note"}


def test_a_clean_portfolio_is_left_in_peace(tmp_path):
    review = look(portfolio(tmp_path / "works"))

    # Of twenty drawings by chance, one is the least like the others.
    assert {finding.kind for finding in review.findings} <= {"out_of_style"}
    assert len(review.findings) <= 2


def test_softness_that_all_works_share_is_a_style(tmp_path):
    folder = portfolio(tmp_path / "works", 14)
    for path in folder.iterdir():
        Image.open(path).filter(ImageFilter.GaussianBlur(4)).save(path)

    assert "blur" not in set().union(*by_work(look(folder)).values())


def test_with_few_works_it_asks_for_more_like_the_most_typical_ones(tmp_path):
    review = look(portfolio(tmp_path / "works", 10))

    finding = next(finding for finding in review.findings if finding.kind == "few_alike")
    assert finding.fix.startswith("Add 6 more like these")
    assert len(finding.about) == 3


def test_copies_of_one_work_do_not_count_as_works_of_the_style(tmp_path):
    folder = portfolio(tmp_path / "works", 10)
    for quality in range(60, 90, 3):
        drawing(1, EDGE).save(folder / f"copy-{quality}.jpg", quality=quality)

    finding = next(finding for finding in look(folder).findings if finding.kind == "few_alike")
    assert finding.why.startswith("10 works")


def test_a_training_that_was_reviewed_looks_only_at_what_it_needs(tmp_path):
    folder = portfolio(tmp_path / "works", 12)
    drawing(2, EDGE).filter(ImageFilter.GaussianBlur(6)).save(folder / "work-02.png")
    drawing(6, EDGE).save(folder / "work-99.jpg", quality=80)

    review = review_portfolio(works_in(folder), size=SIZE, min_works=8, is_whole=False)

    assert by_work(review) == {"work-99.jpg": {"near_duplicate"}}


def asked(tmp_path: Path) -> list[str]:
    folder = portfolio(tmp_path / "works", 10)
    request = tmp_path / "request.json"
    request.write_text(ReviewRequest(works=works_in(folder), size=SIZE, min_works=8).to_json())
    return [sys.executable, "-m", "training.review", str(request)]


def test_the_process_says_one_finding_a_line(tmp_path):
    command = asked(tmp_path)

    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        events = [read_event(line) for line in process.stdout]

    assert process.returncode == 0
    assert [event.kind for event in events if isinstance(event, Finding)] == ["few_alike"]
    assert isinstance(events[0].about, tuple)


def test_the_process_ends_when_its_input_does(tmp_path):
    ended = subprocess.run(asked(tmp_path), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert ended.returncode == 75
    assert ended.stdout == b""


def test_a_request_that_cannot_be_read_is_refused_with_its_fault():
    with pytest.raises(RequestInvalid, match="works"):
        read_review_request(json.dumps({"size": 128, "min_works": 8}))


def test_a_request_survives_the_way():
    request = ReviewRequest(works=(Work(id="wrk_1", path=Path("a.png"), captions=("a dog",)),), size=128, min_works=8)

    assert read_review_request(request.to_json()) == request
