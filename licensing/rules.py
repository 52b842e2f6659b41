"""What a creator will not have drawn, and for whom: judged before anything is held, so that a refusal costs nothing.

Words and prompts are compared in a plain form (`plain`): any case, width or accent, digits that stand for letters, and
any punctuation are the same. A term is met as whole words; a `*` at its end lets its last word go on.
"""

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from licensing.errors import Refusal, RulesInvalid, refuse
from licensing.sentence import as_said, say

TERMS_MAX = 200
TERM_CHARACTERS_MAX = 60
CLIENTS_MAX = 200

_LETTERS = str.maketrans("013457@$", "oieastas")
# Combining accents of Latin, Greek and Cyrillic. Marks of other scripts are vowels, and make other words.
_ACCENTS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True, kw_only=True)
class Category:
    """A list of terms with a name. `meaning` says in one sentence what it is about."""

    id: str
    name: str
    meaning: str
    terms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`refuse` are the creator's own terms, `categories` ids of lists. If `only_clients` names any, nobody else may
    order; `blocked_clients` never may. Clients are named by the id of their account or by their e-mail address."""

    refuse: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    only_clients: tuple[str, ...] = ()
    blocked_clients: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Objection:
    """A term that a prompt contains, and the category it comes from; None for the creator's own terms."""

    term: str
    category: Category | None = None

    @property
    def rule(self) -> str:
        """What the creator chose: the category's id, or the term itself."""
        return self.category.id if self.category else self.term

    @property
    def words(self) -> str:
        """The objection as a part of a sentence."""
        said = repr(self.term)
        if self.term.endswith("*"):
            said = say("words that begin with {term!r}", term=self.term[:-1])
        if self.category is None:
            return said
        return say("{term} ({category})", term=said, category=as_said(self.category.name.lower()))


def judge_prompt(rules: Rules, categories: Mapping[str, Category], *, style: str, prompt: str) -> Refusal | None:
    """Why this may not be drawn in a style (`style` is its name); None where it may.

    Refusals: prompt_refused, whose detail has `rule`, `term` and `whose`.
    """
    found = objections(rules, categories, prompt)
    if not found:
        return None
    first = found[0]
    return refuse("prompt_refused", style=style, words=first.words, rule=first.rule, term=first.term, whose="creator")


def judge_client(rules: Rules, *, style: str, client: Collection[str]) -> Refusal | None:
    """Why a client may not order in a style at all; None where the client may. `client` are the names that the client
    goes by: id and e-mail address.

    Refusals: style_not_offered, which tells of no other client, nor which list it was.
    """
    names = {name.casefold() for name in client}
    is_let_in = not rules.only_clients or bool(names & _folded(rules.only_clients))
    if is_let_in and not names & _folded(rules.blocked_clients):
        return None
    return refuse("style_not_offered", style=style)


def objections(rules: Rules, categories: Mapping[str, Category], prompt: str) -> list[Objection]:
    """Everything in a prompt that the rules object to, the creator's own terms first. A category that nobody knows any
    more objects to nothing."""
    text = f" {plain(prompt)} "
    known = [categories[name] for name in rules.categories if name in categories]
    own = [Objection(term=term) for term in rules.refuse if _needle(term) in text]
    return own + [
        Objection(term=term, category=category)
        for category in known
        for term in category.terms
        if _needle(term) in text
    ]


def unsound(rules: Rules, categories: Mapping[str, Category]) -> str | None:
    """What is wrong with rules in themselves, as a sentence without its full stop; None where nothing is."""
    if len(rules.refuse) > TERMS_MAX or len(rules.only_clients) + len(rules.blocked_clients) > CLIENTS_MAX:
        return say(
            "Rules take at most {most_terms} terms and {most_clients} clients; take a category, or shorten the lists",
            most_terms=TERMS_MAX,
            most_clients=CLIENTS_MAX,
        )
    for term in rules.refuse:
        if len(term) > TERM_CHARACTERS_MAX:
            return say(
                "{term!r}… has {number} characters and a term at most {most}; shorten it",
                term=term[:20],
                number=len(term),
                most=TERM_CHARACTERS_MAX,
            )
        if not plain(term) or "*" in term[:-1]:
            return say(
                "{term!r} is no term; write words, with a * at the very end if the last may go on, as in gun*",
                term=term,
            )
    for name in rules.categories:
        if name not in categories:
            return say(
                "There is no category {name!r}; choose among {categories}", name=name, categories=", ".join(categories)
            )
    return None


def plain(text: str) -> str:
    """Words in one form, with single blanks between them."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    folded = unicodedata.normalize("NFKC", bare.casefold())
    return " ".join(filter(None, map(_as_letters, "".join(_parts(folded)).split())))


def load_categories(path: Path) -> dict[str, Category]:
    """Read the file of categories. Raises RulesInvalid naming what is wrong with it."""
    try:
        sections = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RulesInvalid(f"{path} cannot be read as categories of prompts: {error}") from error
    return {name: _category(path, name, section) for name, section in sections.items()}


def _category(path: Path, name: str, section: object) -> Category:
    keys = {"name": str, "meaning": str, "terms": list}
    if not isinstance(section, dict) or {key: type(value) for key, value in section.items()} != keys:
        raise RulesInvalid(f"{path}: [{name}] must have name and meaning, both texts, and terms, a list; nothing else")
    for term in section["terms"]:
        if not isinstance(term, str) or not plain(term) or "*" in term[:-1]:
            raise RulesInvalid(
                f"{path}: {term!r} in [{name}] is no term; write words, with a * at the very end at most"
            )
    said, meaning = as_said(section["name"]), as_said(section["meaning"])
    return Category(id=name, name=said, meaning=meaning, terms=tuple(section["terms"]))


@lru_cache(maxsize=8192)
def _needle(term: str) -> str:
    """What a prompt's words, with a blank on either side, contain where the term is met."""
    return f" {plain(term)}" if term.endswith("*") else f" {plain(term)} "


def _parts(text: str) -> Iterable[str]:
    """Each character of words as it is, a blank for what stands between them, nothing for what nobody sees."""
    for character in text:
        kind = unicodedata.category(character)
        if kind != "Cf":
            yield character if kind[0] in "LMN" or character in "@$" else " "


def _as_letters(word: str) -> str:
    """Digits and signs as the letters they look like, unless the word is a number."""
    if any(character.isalpha() for character in word):
        return word.translate(_LETTERS)
    return word.strip("@$")


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}
