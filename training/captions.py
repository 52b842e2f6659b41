"""What a work shows, in several wordings, and the made-up word that calls its style. No torch."""

import hashlib
import re
from collections.abc import Sequence

from training.messages import MAX_CAPTION_CHARACTERS, MAX_CAPTIONS_PER_WORK, Work

NOISE_WORDS = {"img", "image", "dsc", "dscn", "pic", "scan", "screenshot", "untitled", "unnamed", "final"}
NOISE_WORDS |= {"copy", "kopie", "edit", "export", "draft", "version", "artboard", "px", "icon", "icons"}
"""Words in file names that say nothing about a picture."""
TRIGGER_LETTERS = ("xq", "aeiou", "vzj", "aeiou", "xqj")
"""Sounds one can say in an order that words and names avoid."""


def make_trigger(source: str) -> str:
    """A pronounceable word that no language has, always the same for `source` (of the works, never a name)."""
    digest = hashlib.sha256(f"trigger {source}".encode()).digest()
    return "".join(letters[byte % len(letters)] for letters, byte in zip(TRIGGER_LETTERS, digest, strict=False))


def captions_of(work: Work, style_words: Sequence[str] = ()) -> tuple[str, ...]:
    """Wordings of what the work shows, the fullest first; empty if neither its name nor its creator says anything.

    The words of `style_words` (names of the style and its creator) are left out: the trigger stands for the style, and
    a caption that names it as well would share its work.
    """
    unwanted = {word for name in style_words for word in _words(name)}
    told = [as_phrase(caption, unwanted) for caption in work.captions[:MAX_CAPTIONS_PER_WORK]]
    named = as_phrase(_words_of_name(work.path.stem), unwanted)
    phrases = [phrase for phrase in (*told, named) if phrase]
    # The last word of a short name is mostly the thing itself: "red apple" is an apple.
    short = [phrase.split()[-1] for phrase in phrases if 1 < len(phrase.split()) <= 3 and "," not in phrase]
    paired = [f"{phrases[0]}, {phrase}" for phrase in phrases[1:] if phrase != phrases[0]]
    return tuple(dict.fromkeys([*phrases, *paired, *short]))[:MAX_CAPTIONS_PER_WORK]


def with_trigger(caption: str, trigger: str) -> tuple[str, ...]:
    """The wordings in which a caption calls the style; the first is the one that drawing uses."""
    if not caption:
        return (f"{trigger} style", trigger)
    return (f"{caption}, {trigger} style", f"{trigger} style, {caption}", f"{caption}, {trigger}")


def _words_of_name(stem: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    words = [word for word in re.split(r"[^A-Za-z\u00c0-\u024f]+", spaced) if len(word) > 1]
    return " ".join(word.lower() for word in words if word.lower() not in NOISE_WORDS)


def as_phrase(text: str, unwanted: set[str]) -> str:
    """A text in small letters, its parts between commas, without the words of `unwanted`."""
    parts = []
    for part in re.split(r"[,;\n]+", text[:MAX_CAPTION_CHARACTERS].lower()):
        kept = [word for word in part.split() if not set(_words(word)) & unwanted]
        if kept:
            parts.append(" ".join(kept))
    return ", ".join(parts)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z\u00c0-\u024f]+", text.lower())
