"""What people read, in the language they read: English stands where it is said, the others in catalogues beside this.

A text is marked where it stands (`say`, `count`, `{% trans %}` in templates) and looked up when it is shown, in the
language that `speaking` has set for the request. `python -m service.languages` finds every marked text and says what a
catalogue lacks. A text without a translation is shown in English.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any

from babel import negotiate_locale

from licensing.money import Money
from licensing.sentence import Sentence
from service.languages import figures
from service.languages.catalogues import catalogue

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "de": "Deutsch"}
"""By the name that HTML and HTTP give it; each as its own speakers call it."""
LANGUAGE_COOKIE = "language"

_SPOKEN = ContextVar("spoken", default=ENGLISH)


def spoken() -> str:
    """The language of whoever is answered now, one of LANGUAGES."""
    return _SPOKEN.get()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Everything said inside is in `language`."""
    token = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def choose(chosen: str | None, accepted: str) -> str:
    """What was chosen here before, else the first of an Accept-Language header that there is, else English."""
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    wishes = sorted((_wish(part) for part in accepted.split(",")), key=lambda wish: -wish[1])
    names = [name for name, quality in wishes if name and quality > 0]
    return negotiate_locale(names, list(LANGUAGES), sep="-") or ENGLISH


def gettext(text: str) -> str:
    """`text` in the language that is spoken."""
    language = spoken()
    return text if language == ENGLISH or not text else catalogue(language).gettext(text)


class Words(Mapping[str, str]):
    """A table of texts, by what they are for; looked up, each is in the language that is spoken."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> str:
        return gettext(self._texts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def translate(said: str) -> str:
    """A text or a Sentence, with the sentences, money, days and shares among its values, in the language that is
    spoken."""
    if not isinstance(said, Sentence):
        return gettext(said)
    values = {name: _written(value) for name, value in said.values.items()}
    return gettext(said.template).format(**values)


def _written(value: Any) -> Any:
    if isinstance(value, Sentence):
        return translate(value)
    if spoken() == ENGLISH:
        return value
    if isinstance(value, Money):
        return figures.money(value, spoken())
    if isinstance(value, str):
        return figures.rewritten(value, spoken())
    # A moment is written by the template.
    if isinstance(value, date) and not isinstance(value, datetime):
        return figures.day(value, spoken())
    return value


def ngettext(one: str, many: str, number: int) -> str:
    """The one of two English texts that fits `number`, in the language that is spoken."""
    language = spoken()
    if language == ENGLISH:
        return one if number == 1 else many
    return catalogue(language).ngettext(one, many, number)


def pgettext(context: str, text: str) -> str:
    """As gettext, for a text that means several things: `context` says which."""
    language = spoken()
    return text if language == ENGLISH else catalogue(language).pgettext(context, text)


def npgettext(context: str, one: str, many: str, number: int) -> str:
    """As ngettext, with a context."""
    language = spoken()
    if language == ENGLISH:
        return one if number == 1 else many
    return catalogue(language).npgettext(context, one, many, number)


def _wish(part: str) -> tuple[str, float]:
    """A language and how much it is wanted, 0 to 1, as HTTP writes it: `de-AT;q=0.8`."""
    name, _, quality = part.strip().partition(";q=")
    try:
        return name, float(quality or 1)
    except ValueError:
        return name, 0.0
