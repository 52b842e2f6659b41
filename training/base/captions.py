"""What a drawing is called: its concept, its everyday word, its keywords, and the captions made of them."""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.base.sources import Drawing, words_of

CONCRETE_GROUPS = frozenset({0, 3, 4, 5, 6, 7})
PEOPLE_GROUP = 1
COMPONENT_AND_FLAGS = frozenset({2, 9})
SIGNS = frozenset({"keycap", "alphanum", "country-flag", "subdivision-flag", "flag", "skin-tone", "hair-style"})
ABSTRACT_SUBGROUPS = frozenset({"time", "emotion", "av-symbol"})
JOINED_NAMES = "fxemoji"
BODY_SUBGROUPS = re.compile(r"^(hand|body)")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a drawing shows. `kind` is everyday, concrete, people or abstract; `everyday` the plain word, if any."""

    concept: str
    everyday: str | None
    keywords: tuple[str, ...]
    kind: str


@dataclass(frozen=True, kw_only=True)
class Emoji:
    """One entry of the keyword list."""

    label: str
    tags: tuple[str, ...]
    group: int
    subgroup: str


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Labels and keywords of emoji, by code point and by label, and the nouns that name concrete things."""

    by_codepoint: Mapping[str, Emoji]
    by_label: Mapping[str, Emoji]
    by_joined_label: Mapping[str, Emoji]
    concrete_nouns: frozenset[str]


def read_lexicon(folder: Path) -> Lexicon:
    """The lexicon in the npm package `emojibase-data` installed in `folder`."""
    english = folder / "node_modules" / "emojibase-data" / "en"
    subgroups = {
        item["order"]: item["key"] for item in json.loads((english / "messages.json").read_text())["subgroups"]
    }
    by_codepoint: dict[str, Emoji] = {}
    by_label: dict[str, Emoji] = {}
    for entry in json.loads((english / "data.json").read_text()):
        if "group" not in entry:
            continue
        emoji = Emoji(
            label=plain(entry["label"]),
            tags=tuple(plain(tag) for tag in entry.get("tags", ())),
            group=entry["group"],
            subgroup=subgroups.get(entry["subgroup"], ""),
        )
        by_codepoint[_bare(entry["hexcode"])] = emoji
        by_label.setdefault(emoji.label, emoji)
    nouns = {label.split()[-1] for label, emoji in by_label.items() if _kind_of_emoji(emoji) == "concrete"}
    joined = {label.replace(" ", ""): emoji for label, emoji in by_label.items()}
    return Lexicon(
        by_codepoint=by_codepoint, by_label=by_label, by_joined_label=joined, concrete_nouns=frozenset(nouns)
    )


def subject_of(drawing: Drawing, lexicon: Lexicon, everyday: Mapping[str, frozenset[str]]) -> Subject | None:
    """What `drawing` shows; None for flags, keycaps and letters, which teach a picture model nothing."""
    name = plain(words_of(drawing.name))
    emoji = lexicon.by_codepoint.get(_bare(drawing.codepoint)) if drawing.codepoint else None
    emoji = emoji or lexicon.by_label.get(name)
    if emoji is None and drawing.package == JOINED_NAMES:
        emoji = next((lexicon.by_joined_label[n] for n in _joined(name) if n in lexicon.by_joined_label), None)
    if emoji and (emoji.group in COMPONENT_AND_FLAGS or emoji.subgroup in SIGNS):
        return None
    if f"flag {name}" in lexicon.by_label or (drawing.package == JOINED_NAMES and emoji is None):
        return None
    concept = emoji.label if emoji and (drawing.codepoint or drawing.package == JOINED_NAMES) else name
    if not re.search(r"[a-z]{3}", concept):
        return None
    word = next((word for word, names in everyday.items() if concept in names or name in names), None)
    tags = emoji.tags if emoji else ()
    keywords = tuple(tag for tag in tags if re.fullmatch(r"[a-z ]{3,18}", tag) and tag not in concept)
    if emoji and name != concept and re.fullmatch(r"[a-z0-9 ]{3,40}", name) and drawing.package != JOINED_NAMES:
        keywords = (name, *keywords)
    return Subject(concept=concept, everyday=word, keywords=keywords[:8], kind=_kind(word, emoji, concept, lexicon))


def caption(subject: Mapping[str, Any], style: str, pick: random.Random) -> str:
    """One of the captions of a subject (a row of the data file); the style word is there three times in four.

    Several captions per picture keep the model from tying a picture to one sentence (arXiv 2305.20086).
    """
    word = subject["concept"]
    if subject["everyday"] and pick.random() < 0.6:
        word = subject["everyday"]
    parts = [word]
    if subject["keywords"] and pick.random() < 0.35:
        parts.append(pick.choice(subject["keywords"]))
    if pick.random() < 0.75:
        parts.insert(len(parts) if pick.random() < 0.8 else 0, f"{style} style")
    return ", ".join(parts)


def plain(text: str) -> str:
    """Lower-case words without punctuation: "Woman's hat: red" -> "womans hat red"."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower().replace("'", "").replace("\u2019", "")).strip()


def _joined(name: str) -> tuple[str, ...]:
    """What a name written as one word may stand for: `foxsmiling` has no label, `bunnyside` none, `catside` `cat`."""
    short = re.sub(r"(side|face|smiley)$", "", name)
    return (name, short, f"{short}face", f"face{name}", f"{name}face")


def _bare(codepoint: str) -> str:
    return "-".join(part for part in codepoint.lower().split("-") if part not in ("fe0f", "fe0e")).lstrip("0")


def _kind_of_emoji(emoji: Emoji) -> str:
    if emoji.group == PEOPLE_GROUP:
        return "concrete" if BODY_SUBGROUPS.match(emoji.subgroup) else "people"
    return "concrete" if emoji.group in CONCRETE_GROUPS and emoji.subgroup not in ABSTRACT_SUBGROUPS else "abstract"


def _kind(everyday: str | None, emoji: Emoji | None, concept: str, lexicon: Lexicon) -> str:
    if everyday:
        return "everyday"
    if emoji:
        return _kind_of_emoji(emoji)
    return "concrete" if concept.split()[-1] in lexicon.concrete_nouns else "abstract"
