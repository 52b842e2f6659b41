"""What a captioning model says of works: several wordings, the same each time, of things and not of the drawing."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.portfolio import drawing, write_portfolio
from tests.training.tiny_captioner import WORDS, write_blip, write_chat, write_git
from training.captions import captions_of
from training.description.captioner import Captioner, describe, describe_works, open_captioner
from training.description.messages import DescriptionRequest, read_description_request
from training.description.plain import without_style
from training.errors import CaptionerUnusable, RequestInvalid
from training.interruption import Interrupted
from training.messages import MAX_CAPTION_CHARACTERS, Described, Finding, Work, read_event
from training.works import works_in

ROOT = Path(__file__).parents[2]
KINDS: dict[str, Callable[[Path], Path]] = {"blip": write_blip, "git": write_git, "chat": write_chat}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """One tiny model of every kind."""
    return {name: write(tmp_path_factory.mktemp("captioners") / name) for name, write in KINDS.items()}


@pytest.fixture(scope="module", params=list(KINDS))
def captioner(request, folders) -> Captioner:
    return open_captioner(str(folders[request.param]), device="cpu")


@pytest.fixture(scope="module")
def works(tmp_path_factory) -> tuple[Work, ...]:
    return works_in(write_portfolio(tmp_path_factory.mktemp("described"), 4))


# --- what is said


def test_works_get_several_wordings_made_of_the_models_own_words(captioner, works):
    said = list(describe_works(works, captioner))

    assert [one.work for one in said] == [work.id for work in works]
    assert all(len(set(one.captions)) == len(one.captions) <= 3 for one in said)
    assert max(len(one.captions) for one in said) > 1
    assert {word for one in said for caption in one.captions for word in caption.split()} <= {*WORDS, "an"}


def test_the_same_file_is_described_the_same_whatever_was_described_before(captioner, works):
    first = {one.work: one.captions for one in describe_works(works, captioner)}
    again = {one.work: one.captions for one in describe_works(works[::-1], captioner)}

    assert again == first


def test_the_wordings_follow_from_the_file_and_not_from_its_name(captioner, works, tmp_path):
    copy = tmp_path / "something else.png"
    copy.write_bytes(works[0].path.read_bytes())

    described = list(describe_works([works[0], Work(id="copy", path=copy)], captioner))

    assert described[0].captions == described[1].captions


def test_a_question_is_put_to_models_that_take_one_and_is_no_part_of_the_answer(folders):
    chat = open_captioner(str(folders["chat"]), device="cpu")
    plain = open_captioner(str(folders["blip"]), device="cpu")

    captions = describe(chat, drawing(1), seed=7)

    assert chat.processor.chat_template
    assert not plain.processor.chat_template
    assert captions
    assert not any(word in caption.split() for caption in captions for word in ("user", "assistant", "picture", "show"))


def test_a_model_that_speaks_of_the_drawing_alone_has_said_nothing(tmp_path):
    captioner = open_captioner(str(write_blip(tmp_path / "icons", only="icon")), device="cpu")

    assert describe(captioner, drawing(1), seed=7) == ()


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("An illustration of a red apple on a white background.", "a red apple"),
        ("a black and white drawing of a cat", "a cat"),
        ("a simple, flat icon of a house with a red roof", "a house with a red roof"),
        ("The image shows two dogs on a table. It is drawn in a flat style.", "two dogs on a table"),
        ("this is a cartoon drawing of a fox with a hat", "a fox with a hat"),
        ("a cartoon elephant", "an elephant"),
        ("a cat in a hat in cartoon style", "a cat in a hat"),
        ("a car in the style of van gogh, clip art", "a car"),
        ('Caption: "A bus, flat design"', "a bus"),
        ("a 3d render of a mug; a spoon", "a mug, a spoon"),
        ("a painting on a wall", "a painting on a wall"),
        ("a boy holding a drawing of a cat", "a boy holding a drawing of a cat"),
        ("a girl is drawing", "a girl is drawing"),
        ("a black and white cat", "a black and white cat"),
        ("an icon", ""),
        ("...", ""),
    ],
)
def test_words_about_the_drawing_are_left_out(said, named):
    assert without_style(said) == named


def test_long_and_looping_answers_are_cut_at_a_word_and_cost_no_time():
    began = time.perf_counter()

    long = without_style("apple tree " * 60)
    loops = [without_style(f"a {words} " * 60) for words in ("hand drawn", "flat line", "black and white", "in a red")]

    assert MAX_CAPTION_CHARACTERS - 10 < len(long) <= MAX_CAPTION_CHARACTERS
    assert set(long.split()) == {"apple", "tree"}
    assert all(len(loop) <= MAX_CAPTION_CHARACTERS for loop in loops)
    assert time.perf_counter() - began < 1


def test_names_of_style_and_creator_leave_what_a_model_said_as_well(works):
    described = Work(id="a", path=Path("IMG_1.png"), captions=("a red boat by mira", "a boat"))

    assert captions_of(described, ["Mira Holt"]) == ("a red boat by", "a boat", "a red boat by, a boat", "boat")


# --- what cannot be described


def test_a_broken_file_is_named_and_stops_no_other(captioner, works, tmp_path):
    half = tmp_path / "half.png"
    half.write_bytes(works[0].path.read_bytes()[:100])
    broken = [Work(id="half", path=half), Work(id="gone", path=tmp_path / "gone.png")]

    said = list(describe_works([*broken, works[1]], captioner))

    assert [type(one) for one in said] == [Finding, Finding, Described]
    assert [one.work for one in said] == ["half", "gone", works[1].id]
    assert [one.severity for one in said[:2]] == ["error", "error"]


def test_what_is_no_captioning_model_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')

    with pytest.raises(CaptionerUnusable, match=r"nowhere is not there; name one that is"):
        open_captioner(str(tmp_path / "nowhere"), device="cpu")
    with pytest.raises(CaptionerUnusable, match=r"cannot be opened: .*; name a folder that holds a model"):
        open_captioner(str(tmp_path), device="cpu")


def test_a_model_that_breaks_at_a_picture_is_named(folders):
    captioner = open_captioner(str(folders["git"]), device="cpu")
    captioner.processor.image_processor.crop_size = {"height": 8, "width": 8}

    with pytest.raises(CaptionerUnusable, match=r"could not describe a picture: .*; name another model"):
        describe(captioner, drawing(1), seed=7)


def test_it_ends_between_two_wordings_when_told_to(captioner, works):
    calls = []

    def go_on() -> None:
        calls.append(None)
        if len(calls) == 5:
            raise Interrupted

    said = []
    with pytest.raises(Interrupted):
        said.extend(describe_works(works, captioner, go_on=go_on))
    assert len(calls) == 5


# --- as a process


def command(tmp_path: Path, works: tuple[Work, ...], captioner: Path | str) -> list[str]:
    path = tmp_path / "request.json"
    path.write_text(DescriptionRequest(works=works, captioner=str(captioner)).to_json())
    return [sys.executable, "-m", "training.description", str(path), "--device", "cpu"]


def test_a_description_is_a_process_that_says_one_line_a_work(folders, works, tmp_path):
    asked = command(tmp_path, works, folders["blip"])
    # It ends early where its standard input closes, so that is held open.
    with subprocess.Popen(asked, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        events = [read_event(line) for line in process.stdout]

    here = open_captioner(str(folders["blip"]), device="cpu")
    assert process.returncode == 0
    assert events == list(describe_works(works, here))


def test_the_process_ends_with_its_input_or_a_signal(folders, works, tmp_path):
    many = tuple(Work(id=str(number), path=works[0].path) for number in range(2000))

    closed = subprocess.run(
        command(tmp_path, works, folders["blip"]), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    asked = command(tmp_path, many, folders["blip"])
    with subprocess.Popen(asked, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        first = read_event(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        process.stdout.read()

    assert (closed.returncode, closed.stdout) == (75, b"")
    assert isinstance(first, Described)
    assert process.returncode == 75


def test_the_process_says_what_is_wrong_and_fails(works, tmp_path):
    asked = command(tmp_path, works, tmp_path / "nowhere")
    with subprocess.Popen(
        asked, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said, sentence = process.stdout.read(), process.stderr.read()

    assert (process.returncode, said) == (1, "")
    assert sentence.strip().endswith("nowhere is not there; name one that is")


@pytest.mark.parametrize(
    "content", [{}, {"works": [], "captioner": ""}, {"works": [], "captioner": "x", "more": 1}, {"works": [{}]}]
)
def test_a_request_that_cannot_be_read_is_refused(content):
    with pytest.raises(RequestInvalid, match=r"cannot be read|no captioning model is named"):
        read_description_request(json.dumps(content))
