"""What every catalogue holds: all texts that are said, whole, and with the values and the markup of the English."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from service.languages import ENGLISH, LANGUAGES
from service.languages.__main__ import compare
from service.languages.catalogues import FOLDER
from service.languages.marked import Marked, find_marked

OTHERS = sorted(set(LANGUAGES) - {ENGLISH})
FILES = sorted(path for language in OTHERS for path in (FOLDER / language).glob("*.po"))
_VALUE = re.compile(r"%\((\w+)\)s|\{([a-z]\w*)(?:![rs])?(?::[^{}]*)?\}")
_TAG = re.compile(r"</?[a-z][^>]*>")


def messages(path: Path) -> list[Message]:
    with path.open("rb") as file:
        return [message for message in read_po(file, locale=path.parent.name) if message.id]


def pairs(message: Message) -> Iterator[tuple[str, str]]:
    """Each form of a text, with its translation."""
    if isinstance(message.id, str):
        yield message.id, str(message.string)
    else:
        yield from zip(message.id, message.string, strict=True)


def values(text: str) -> set[str]:
    return {found[1] or found[2] for found in _VALUE.finditer(text)}


def tags(text: str) -> list[str]:
    return sorted(_TAG.findall(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
class TestFile:
    def test_every_text_is_translated_in_all_its_forms(self, path: Path):
        lacking = [said for message in messages(path) for said, german in pairs(message) if not german.strip()]

        assert lacking == []

    def test_no_translation_is_a_guess(self, path: Path):
        assert [message.id for message in messages(path) if message.fuzzy] == []

    def test_values_are_the_same_on_both_sides(self, path: Path):
        found = [pair for message in messages(path) for pair in pairs(message)]

        assert [(one, other) for one, other in found if values(one) != values(other)] == []

    def test_markup_is_the_same_on_both_sides(self, path: Path):
        found = [pair for message in messages(path) for pair in pairs(message)]

        assert [(one, other) for one, other in found if tags(one) != tags(other)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_is_translated_in_two_ways(language: str):
    ways = defaultdict(set)
    for path in FILES:
        if path.parent.name == language:
            for message in messages(path):
                for said, translated in pairs(message):
                    ways[message.context, said].add(translated)

    assert {key: found for key, found in ways.items() if len(found) > 1} == {}


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_that_is_said_has_a_translation(language: str):
    missing, _ = compare(language, find_marked())

    assert [f"{one.path}:{one.line} {one.id!r}" for one in missing] == []


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_translated_that_nobody_says(language: str):
    _, unused = compare(language, find_marked())

    assert [message.id for message in unused] == []


def test_a_translation_of_the_one_alone_is_none_of_the_many():
    one = Marked(id="client", path="x.html", line=1)
    many = Marked(id=("client", "clients"), path="y.html", line=1)

    assert compare("de", [one])[0] == []
    assert compare("de", [one, many])[0] == [many]
