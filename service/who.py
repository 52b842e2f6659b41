"""Who does something: a person, by a key or in a browser, or this place itself."""

from dataclasses import dataclass
from typing import Literal

WhoRole = Literal["creator", "client", "operator", "place"]


@dataclass(frozen=True, kw_only=True)
class Who:
    """`actor` is an account, or the name of a process where the role is `place`. `via` is the key or the browser's
    session that spoke for the account, empty where nobody needed one. `person` is the account of whoever of a client's
    team acted for it, empty where nobody else did."""

    role: WhoRole
    actor: str
    via: str = ""
    person: str = ""


PLACE = Who(role="place", actor="")
"""This place by itself: what follows from what somebody else did."""
