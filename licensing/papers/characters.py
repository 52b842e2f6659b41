"""Names and texts come from strangers: here they become one line that any paper can hold."""

import unicodedata

# What turns the direction of text around it: a name with these can make a sum read backwards.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """`text` in composed form (NFC), with single spaces for line breaks and control characters, and without what turns
    the direction of text. What is no character at all (a lone surrogate, an unassigned code point) becomes U+FFFD."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(_seen(character) for character in unicodedata.normalize("NFC", text)).split())


def _seen(character: str) -> str:
    if character in _TURNING:
        return ""
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "\ufffd" if category in ("Cs", "Cn") else character
