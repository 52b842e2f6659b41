"""Sentences that can be said in another language: English, and what it was made of.

A sentence is made where something happens and read by somebody later, perhaps in another language. So it keeps its
template and values; as a string it is the English sentence, for logs, programs and the database.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

Texts = TypeVar("Texts", Mapping[str, str], tuple[str, ...])


class Sentence(str):
    """The English sentence. `template` has the names of `values` in braces; a value may be a Sentence again."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, values: Mapping[str, Any]) -> "Sentence":
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, Any]]:  # type: ignore[override]
        return self.template, self.values


def say(template: str, /, **values: Any) -> Sentence:
    """`say("{count} of {most} pictures", count=3, most=8)`; catalogues of other languages know it by its template."""
    return Sentence(template, values)


def templates(texts: Texts) -> Texts:
    """The same table or list: so it is known that its texts are templates of sentences."""
    return texts


def known_again(said: str, texts: Sequence[str], *, within: Sequence[str] = ()) -> Sentence:
    """A sentence that comes as plain English, from a row or another program: with its values, by the first of these
    templates that it can be made of. One of none stays as it is. within: templates of values that are sentences."""
    return _known(said, texts, within) or as_said(said)


def _known(said: str, texts: Sequence[str], within: Sequence[str]) -> Sentence | None:
    for template in texts:
        found = _pattern(template).fullmatch(said)
        if found is not None:
            values = {name: _known(value, within, ()) or value for name, value in found.groupdict().items()}
            return Sentence(template, values)
    return None


def as_said(text: str) -> Sentence:
    """A text without values, from a file or a row; catalogues know it as it is."""
    return Sentence(text.replace("{", "{{").replace("}", "}}"), {})


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template)), re.DOTALL)
