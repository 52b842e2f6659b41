"""A page that another room wrote in English, in the language that is spoken: what of it is known by its template."""

import re
from collections.abc import Sequence
from html import escape, unescape

from licensing.sentence import known_again
from service.languages import ENGLISH, figures, spoken, translate

_TAG_AND_TEXT = re.compile(r"(<[^>]*>)([^<]*)")
_LABEL = re.compile(r'\b(alt|aria-label)="([^"]*)"')
_AS_IT_IS = ("<style", "<script")
_LANGUAGE = f'<html lang="{ENGLISH}">'


def retell(page: str, texts: Sequence[str]) -> str:
    """`page`, HTML in English, with every text and label of it that is one of the templates `texts` in the language
    that is spoken, and numbers as that writes them. What elements with `translate="no"` hold stays, as do pictures."""
    if spoken() == ENGLISH:
        return page

    def again(found: re.Match[str]) -> str:
        tag, text = found.groups()
        if tag == _LANGUAGE:
            tag = f'<html lang="{spoken()}">'
        if 'translate="no"' in tag or tag.startswith(_AS_IT_IS):
            return f"{tag}{text}"
        label = _LABEL.sub(lambda part: f'{part[1]}="{_said(part[2], texts)}"', tag) if "=" in tag else tag
        return label + _said(text, texts)

    return _TAG_AND_TEXT.sub(again, page)


def _said(text: str, texts: Sequence[str]) -> str:
    """A text between tags, the white space around it kept; escaped before and after."""
    inner = text.strip()
    if not inner:
        return text
    before, _, after = text.partition(inner)
    known = known_again(unescape(inner), texts)
    said = translate(known) if known.template in texts else figures.rewritten(unescape(inner), spoken())
    return before + escape(said) + after
