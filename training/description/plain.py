"""A model's words for a picture without those that say how it is drawn: that is the trigger's part. No torch."""

import re
import textwrap

from training.captions import as_phrase
from training.messages import MAX_CAPTION_CHARACTERS


def _any_of(words: str) -> str:
    # An underscore stands for a blank, a hyphen or nothing.
    return "(?:" + "|".join(word.replace("_", "[ -]?") for word in words.split()) + ")"


_MEDIUM = _any_of(
    "image picture photograph photo close_up screenshot drawing illustration sketch painting icon cartoon comic logo"
    " clip_art vector emoji sticker rendering render doodle artwork art graphic design outline silhouette pictogram"
    " print watercolor watercolour"
)
_QUALITY = _any_of(
    "simple plain solid flat cute small stylized stylised minimalistic minimalist minimal abstract detailed digital"
    " computer hand_drawn pencil ink pen crayon charcoal pixel line low_poly isometric monochrome colorful"
    " colourful colored coloured color colour bright dark light pale bold gradient black white grey gray red orange"
    " yellow green blue purple pink brown beige 2d 3d two_dimensional three_dimensional and or"
)
_AT_THE_END = _any_of("drawing illustration sketch painting image artwork art graphic design outline silhouette")
_ANYWHERE = _any_of(
    "cartoonish cartoon_like cartoons cartoon clip_arts clip_art vectors vector icons icon emojis emoji illustrations"
    " illustration illustrated line_art line_drawing pixel_art digital_art flat_design hand_drawn minimalistic"
    " minimalist stylized stylised isometric watercolors watercolor watercolours watercolour doodles doodle low_poly"
    " monochrome pixelated sketched animated anime 2d 3d logos logo pictograms pictogram"
)
"""Words that speak of the drawing wherever they stand; others of `_MEDIUM` may be a thing that the picture shows."""
_SHOWS = "(?:of|showing|that shows|shows|depicting|that depicts|depicts|featuring|features|displaying|with|for)"
_SMALL = "(?:an?|the|of|with|in|on|as|by|for|and|is|are|this|that|it|there)"

_OPENINGS = (
    re.compile(rf"^(?:(?:the|this) (?:(?:{_QUALITY}|{_MEDIUM})[ -])*{_MEDIUM} (?:is|shows|depicts|features)\s+)"),
    re.compile(r"^(?:(?:this|that|it|there|here) (?:is|are)\s+)"),
    re.compile(rf"^(?:(?:an?|the) )?(?:(?:{_QUALITY}|{_MEDIUM})[ ,-]+)*{_MEDIUM} {_SHOWS}\s+"),
)
_WITHIN = (
    # "in the style of ...", "in a flat cartoon style"; and "retro-style".
    re.compile(r"\b(?:in|with) (?:an? |the )?(?:(?!in\b|with\b|on\b|at\b)[\w-]+ ){0,3}style\b(?: of .*)?"),
    re.compile(r"\b[\w-]+[ -]styled?\b"),
    # A plain ground is the whole portfolio's.
    re.compile(rf"\b(?:on|with|against|over) (?:an? |the )?(?:{_QUALITY} )+backgrounds?\b"),
)
_ENDING = re.compile(rf"(?<!\bis )(?<!\bare )\b(?:{_QUALITY} )*{_AT_THE_END}$")
_STYLED = re.compile(rf"(?:\b(?P<article>an?) )?\b{_ANYWHERE}\b(?:[ -]{_ANYWHERE}\b)*(?P<next> \w)?")


def without_style(text: str) -> str:
    """One caption in small letters that names things alone; empty where nothing is left. Of several sentences the
    first."""
    spoken = re.sub(r"^\W*(?:(?:caption|answer)\s*:\W*)?", "", text.lower())
    said = _opened(re.sub(r"\W+$", "", re.split(r"[.!?\n](?:\s|$)", spoken, maxsplit=1)[0]))
    named = ", ".join(_things_in(part) for part in re.split("[,;]", said))
    return as_phrase(textwrap.shorten(named, MAX_CAPTION_CHARACTERS, placeholder=""), set())


def _opened(said: str) -> str:
    """Without the words before the thing: "this is a simple, flat icon of"."""
    said, before = " ".join(said.split()), ""
    while said != before:
        before = said
        for opening in _OPENINGS:
            said = opening.sub("", said)
    return said


def _things_in(part: str) -> str:
    part = _opened(part)
    for pattern in _WITHIN:
        part = pattern.sub("", part).strip()
    part = _ENDING.sub("", " ".join(_STYLED.sub(_mended, part).split())).strip()
    part = re.sub(rf"(?:^|\s+){_SMALL}(?:\s+{_SMALL})*$", "", part)
    return re.sub(r"^(?:of|with|and|in|on|as|by|for)\s+", "", part)


def _mended(found: re.Match[str]) -> str:
    """What stands where words fell out: the article that fits the word behind them."""
    follows: str = found["next"] or ""
    if not found["article"]:
        return follows
    return ("an" if follows[-1:] in tuple("aeiou") else "a") + follows
