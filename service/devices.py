"""A browser in words that its owner knows again. What it says of itself is kept as these words and nothing else."""

import re

from licensing.sentence import say
from service.languages import translate

# The first that fits: others call themselves by the names of those they are like.
_BROWSERS = (
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/|Chromium/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS = (
    (say("an iPhone"), r"iPhone"),
    (say("an iPad"), r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    (say("a Mac"), r"Macintosh|Mac OS X"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux|X11"),
)


def device_words(user_agent: str) -> str:
    """`Firefox on Linux`, from the header User-Agent; empty where it says nothing that is known."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"A program on {system}" if system else "")


def device_said(kept: str) -> str:
    """Such words as they were kept, in the language that is spoken."""
    program, _, on = kept.partition(" on ")
    system = next((name for name, _ in _SYSTEMS if name == on), None)
    if system is None:
        return kept
    if program == "A program":
        return translate(say("A program on {system}", system=system))
    return translate(say("{browser} on {system}", browser=program, system=system))


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for name, pattern in known if re.search(pattern, user_agent)), "")
