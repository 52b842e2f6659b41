"""Whether pictures made with a base may be sold, by the licence of its weights. Thin.

A base's file may say so itself (`commercial`). Where it does not, what is known of the licence decides, and a licence
that nobody here knows is taken to forbid it. A licence whose name says that it is not for commerce forbids it whatever
else the file says: who has bought another one names that.
"""

import re
from dataclasses import dataclass

ALLOWING = frozenset(
    {
        *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC"),
        *("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "Unlicense"),
        *("CreativeML-OpenRAIL-M", "CreativeML-OpenRAIL++-M", "OpenRAIL++", "BigScience-OpenRAIL-M"),
    }
)
"""Licences of weights under which pictures made with them may be sold. The OpenRAIL ones bind users by their list of
forbidden uses, which an operator's terms must repeat."""
_FORBIDDING = re.compile(r"non-?\s?commercial|research[- ]only|for research|(^|[-_ ])NC([-_ ]|$)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Sale:
    """Whether pictures may be sold, and why in one sentence."""

    is_allowed: bool
    why: str


def sale_of(licence: str, commercial: bool | None) -> Sale:
    """What a base's licence and its own entry `commercial` (None: there is none) come to."""
    if forbids(licence):
        return Sale(is_allowed=False, why=f"Its licence, {licence}, is not for commercial use.")
    if commercial is not None:
        said = "may be sold" if commercial else "may not be sold"
        return Sale(is_allowed=commercial, why=f"Its file says that what is made under {licence} {said}.")
    if licence in ALLOWING:
        return Sale(is_allowed=True, why=f"Its licence, {licence}, lets anybody sell what is made with it.")
    return Sale(is_allowed=False, why=f"Nobody here knows whether its licence, {licence}, lets pictures be sold.")


def forbids(licence: str) -> bool:
    """Whether the very name of a licence says that it is not for commerce."""
    return _FORBIDDING.search(licence) is not None
