"""Captions say what a work shows in several wordings; the style is said by the trigger alone."""

from pathlib import Path

import pytest

from training.captions import captions_of, make_trigger, with_trigger
from training.messages import Work


def work(name: str, *captions: str) -> Work:
    return Work(id="wrk_1", path=Path(name), captions=captions)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("red-apple-03.png", ("red apple", "apple")),
        ("RedApple_final_v2.png", ("red apple", "apple")),
        ("IMG_0042.png", ()),
        ("old man.png", ("old man", "man")),
        ("caf\u00e9.png", ("caf\u00e9",)),
    ],
)
def test_a_file_name_becomes_words(name, expected):
    assert captions_of(work(name)) == expected


def test_the_creators_own_words_come_first():
    captions = captions_of(work("apple.png", "Fruit on a table, ripe"))

    assert captions == ("fruit on a table, ripe", "apple", "fruit on a table, ripe, apple")


def test_names_of_style_and_creator_are_left_out():
    captions = captions_of(work("mira-apple.png", "an apple by Mira Holt", "Soft Lines"), ["Mira Holt", "Soft Lines"])

    assert captions[0] == "an apple by"
    assert not any(word in caption for caption in captions for word in ("mira", "holt", "soft", "lines"))


def test_a_trigger_follows_from_the_id_alone_and_is_a_word_nobody_uses():
    triggers = {make_trigger(f"trn_{number}") for number in range(200)}

    assert make_trigger("trn_1") == make_trigger("trn_1")
    assert len(triggers) > 120
    assert all(len(trigger) == 5 and trigger[0] in "xq" for trigger in triggers)


def test_every_wording_calls_the_style():
    assert with_trigger("apple", "xovaj")[0] == "apple, xovaj style"
    assert all("xovaj" in prompt for caption in ("apple", "") for prompt in with_trigger(caption, "xovaj"))
