"""Letters: what people are told, in their inbox and by e-mail, written in the transaction of what it tells of.

What is rolled back was never told, and what is committed is told however the process ends: every web process sends
what waits (`service.mailing`). A letter's id is made of whom it tells and of what: told twice, it is one letter.

A one-time link that only the e-mail carries lies in its row under a key from the pepper, because whoever sends it may
be another process, or the same one after a restart; so the database alone signs nobody in. It is deleted when it was
sent and when it runs out. Where nothing sends e-mail, or an e-mail failed, the office shows it until then.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import InvalidToken

from licensing.database import Connection
from service.bells import Bells
from service.errors import SecretLost
from service.letter_kinds import KINDS, NOT_IN_INBOX
from service.safe import open_safe

BELLS = Bells()
PATIENCE = timedelta(days=3)
"""For so long an e-mail is tried; then it is given up, and the office is shown that."""
SUBJECT_CHARACTERS_MAX = 160
_OF = "links in letters"

_COLUMNS = (
    "id, account_id, address, kind, topic, about, subject, words, path, link, link_until, in_inbox, created_at,"
    " round_at, due_at, give_up_at"
)
# Whoever asked to be erased is told nothing more. $2: nothing of this kind about the same thing within this time.
_WRITE = f"""
INSERT INTO service.letters ({_COLUMNS}, mail)
SELECT {", ".join(f"n.{name.strip()}" for name in _COLUMNS.split(","))},
    CASE WHEN n.topic = ANY(c.off) THEN 'off' ELSE 'waiting' END
FROM jsonb_populate_recordset(NULL::service.letters, $1) n
LEFT JOIN service.accounts a ON a.id = n.account_id
LEFT JOIN service.letter_choices c ON c.account_id = n.account_id
WHERE (n.account_id IS NULL OR a.erase_asked_at IS NULL)
    AND NOT ($2 > interval '0' AND EXISTS (SELECT FROM service.letters l WHERE l.account_id = n.account_id
        AND l.kind = n.kind AND l.about = n.about AND l.created_at > n.created_at - $2::interval))
ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, kw_only=True)
class SealedLink:
    """A one-time link as it is kept (`seal_link`). It works until `until`; the e-mail is not tried after that."""

    sealed: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What somebody is told. `account_id`, `address` or both: the e-mail goes to `address`, else to whatever the
    account's address is when it is sent.

    `kind` is one of KINDS. `key` tells it from others of this kind to the same person: `about`, the id of what it is
    about, where that is enough. `words` are plain: paragraphs with an empty line between them. `path` leads to the page
    where something can be done, from its slash on.
    """

    kind: str
    subject: str
    words: str
    path: str
    account_id: str | None = None
    address: str | None = None
    about: str = ""
    key: str = ""
    link: SealedLink | None = None


def seal_link(path: str, *, until: datetime, pepper: bytes) -> SealedLink:
    """A one-time link for a letter: a path of this place with a secret in it, which works until then."""
    return SealedLink(sealed=open_safe(pepper, _OF).encrypt(path.encode()).decode(), until=until)


def open_link(sealed: str, *, pepper: bytes) -> str:
    """The path in a link as it is kept. Raises SecretLost."""
    try:
        return open_safe(pepper, _OF).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise SecretLost("The link cannot be read any more, because this place's own secret was replaced.") from error


async def write_letter(conn: Connection, letter: Letter, *, now: datetime) -> bool:
    """Tell somebody something. Goes into the transaction of what it tells of, on a connection that acts for the house
    or for whom it tells. False where it was told before, or where its account is being erased."""
    return await write_letters(conn, [letter], now=now) > 0


async def write_letters(
    conn: Connection, letters: Sequence[Letter], *, now: datetime, at_most_every: timedelta = timedelta()
) -> int:
    """Tell several people, in one statement; how many were told anew.

    at_most_every: whoever was told something of this kind about the same thing so recently is not told again, also
    where two processes come at once. Who writes such letters looks from time to time for what was not told.
    """
    if not letters:
        return 0
    rows = json.dumps([_row(one, now=now, every=at_most_every) for one in letters], default=str)
    status: str = await conn.execute(_WRITE, rows, at_most_every)
    written = int(status.split()[-1])
    if written:
        BELLS.ring()
    return written


def _row(letter: Letter, *, now: datetime, every: timedelta) -> dict[str, Any]:
    assert letter.path.startswith("/"), f"{letter.path!r} is no page of ours"
    assert letter.account_id or letter.address, "a letter goes to somebody"
    topic = KINDS[letter.kind]
    key = letter.key or letter.about
    if every:
        # So that one of two that are written at once gives way; those of the hour before are asked for besides.
        key = f"{letter.about} {int(now.timestamp() // every.total_seconds())}"
    of = "\n".join((letter.account_id or "", letter.address or "", letter.kind, key))
    return {
        "id": "ltr_" + hashlib.sha256(of.encode()).hexdigest()[:26],
        "account_id": letter.account_id,
        "address": letter.address,
        "kind": letter.kind,
        "topic": topic,
        "about": letter.about,
        "subject": one_line(letter.subject)[:SUBJECT_CHARACTERS_MAX],
        "words": "\n\n".join(filter(None, (one_line(part) for part in letter.words.split("\n\n")))),
        "path": letter.path,
        "link": letter.link.sealed if letter.link else None,
        "link_until": letter.link.until if letter.link else None,
        "in_inbox": letter.account_id is not None and topic not in NOT_IN_INBOX,
        "created_at": now,
        "round_at": now,
        "due_at": now,
        "give_up_at": min(now + PATIENCE, letter.link.until) if letter.link else now + PATIENCE,
    }


def one_line(text: str) -> str:
    """Without line breaks and other control characters, which would end a header or hide what comes after them."""
    plain = "".join(one if one.isprintable() or one == "\N{NO-BREAK SPACE}" else " " for one in text)
    return re.sub(" +", " ", plain).strip(" ")
