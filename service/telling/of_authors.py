"""Creators who are asked to share what a style earns, and what they answered."""

from datetime import datetime
from typing import Literal

from licensing.database import Connection
from service.accounts import languages_of
from service.authorships import Authorship
from service.languages import Words, speaking
from service.letters import Letter, write_letters

_SUBJECTS = Words(
    {
        "asked": "You are asked to share “{name}”",
        "agreed": "An author of “{name}” said yes",
        "declined": "An author of “{name}” said no",
        "left": "An author of “{name}” has left",
    }
)
_WORDS = Words(
    {
        "asked": "Look at the parts, and say yes or no.",
        "in_force": "It is shared from now on.",
        "waiting": "It waits for the others.",
        "declined": "So it is not shared.",
        "left": "What was ordered before is still shared as it was.",
    }
)
"""By what was done; by how things stand, where somebody said yes."""


async def tell_authors(
    conn: Connection, one: Authorship, act: Literal["asked", "agreed", "declined", "left"], *, by: str, now: datetime
) -> None:
    """Tell the authors of a style what one of them did: those who were asked; or else the style's creator, and all
    where its creator ended it. In the transaction of that."""
    name = await conn.fetchval("SELECT name FROM service.styles WHERE id = $1", one.style_id)
    is_everybodys = act == "asked" or by == one.creator_id
    authors = [author for author in one.parts if author != by and (is_everybodys or author == one.creator_id)]
    now_is = "in_force" if one.state == "in_force" else "waiting"
    letters = []
    for author, language in (await languages_of(conn, authors)).items():
        with speaking(language):
            letter = Letter(
                kind=f"authorship.{act}",
                account_id=author,
                about=one.id,
                key=f"{one.id} {by} {now.isoformat()}",
                subject=_SUBJECTS[act].format(name=name),
                words=_WORDS[now_is if act == "agreed" else act],
                path="/studio/shared" if author != one.creator_id else f"/studio/styles/{one.style_id}/authors",
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now)
