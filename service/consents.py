"""Consents: somebody for whom a work was made is asked, by a link and without an account, whether it may be used.

    asked -> yes -> taken back by the same link, whenever they like
          -> no
          -> revoked by the creator, or too old: the link works no more

The row is the evidence: who was asked what, in the words that they read, who answered and when. The link's word is kept
as a digest. A yes makes the rights of its works `client_consented`; a no, or a yes that is taken back, makes them
`unsure`, takes every version that learnt from them off sale, and holds them there until somebody says yes to another
link. It goes by the hash of a file, so a copy in another style is found as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say, templates
from service.db.connections import read
from service.formats import count
from service.ids import NewId
from service.languages import gettext
from service.secret_words import digest_of_word, make_word
from service.styles import Style
from service.withdrawing import stop_trainings, take_off_sale
from service.works import StoredWork, change_work

ConsentState = Literal["asked", "given", "refused", "withdrawn", "revoked", "expired"]
Answer = Literal["yes", "no"]
NAME_CHARACTERS_MAX = 120
WORKS_MAX = 60
"""Pictures that one person looks through."""
OPEN_MAX = 100
"""Questions of one style that wait for an answer."""
TEXT_VERSION = 3
"""Raised with the words below, so that evidence says which were read."""
_TEXT, _SEEN_BY_NOBODY, _SEEN_TO_START = templates(
    (
        "{creator} asks for your consent.\n"
        "It is about {pictures}, shown below: {creator} would like to train a picture model of their own hand,"
        " “{style}”, with them, at {operator}. Clients can then order new pictures drawn in that hand. {starts}"
        " The model is {creator}'s own.\n"
        "You answer for yourself, or for those in whose name you may answer. A yes can be taken back at any time, with"
        " this same link: then nothing that learnt from these pictures is sold until it has been learnt again without"
        " them. Pictures that were sold before stay with those who bought them.",
        "The pictures below are not sold, and no client sees them.",
        "Clients may also see each of the pictures below, small, and order a new picture that starts from it. The"
        " pictures below are not sold, and no client gets their files.",
    )
)

_COLUMNS = (
    "id, style_id, creator_id, asked, words, covers_starts, text_version, made_at, expires_at, revoked_at, answer,"
    " answered_by, answered_at, withdrawn_at,"
    " ARRAY(SELECT c.work_id FROM service.consent_works c WHERE c.consent_id = consents.id ORDER BY c.work_id)"
    " AS work_ids"
)


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One question. `words` are what is asked, as they are read; with `covers_starts` also that clients start from the
    works. `work_ids` may name works that are deleted since."""

    id: str
    style_id: str
    creator_id: str
    asked: str
    words: str
    covers_starts: bool
    text_version: int
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    answer: Answer | None
    answered_by: str | None
    answered_at: datetime | None
    withdrawn_at: datetime | None
    work_ids: list[str]

    def state(self, now: datetime) -> ConsentState:
        if self.withdrawn_at is not None:
            return "withdrawn"
        if self.answer is not None:
            return "given" if self.answer == "yes" else "refused"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if now > self.expires_at else "asked"


def text_for(*, creator: str, style: str, operator: str, num_pictures: int, covers_starts: bool) -> str:
    """What somebody is asked, in paragraphs: in the language of whoever asks, for there is no other to go by."""
    return gettext(_TEXT).format(
        creator=creator,
        style=style,
        operator=operator,
        pictures=count(num_pictures, "picture", "pictures"),
        starts=gettext(_SEEN_TO_START if covers_starts else _SEEN_BY_NOBODY),
    )


async def ask_consent(
    conn: Connection,
    style: Style,
    works: Sequence[StoredWork],
    *,
    asked: str,
    words: str,
    covers_starts: bool,
    days: int,
    now: datetime,
    new_id: NewId,
) -> tuple[Consent, str] | Refusal:
    """A new question about works of one style, and the word of its link, which is told this once.

    Refusals: payload_too_large (works), conflict (too many questions wait, or a work is locked).
    """
    locked = [work.filename for work in works if work.is_locked]
    if locked:
        return Refusal(
            slug="conflict",
            message=say("{locked} is locked by a claim; nobody can be asked about it.", locked=locked[0]),
        )
    if len(works) > WORKS_MAX:
        said = say(
            "{number} works are in one question; ask about at most {most} at once.", number=len(works), most=WORKS_MAX
        )
        return Refusal(slug="payload_too_large", message=said)
    word, consent_id = make_word(), new_id("cns")
    async with conn.transaction():
        await conn.execute("SELECT 1 FROM service.styles WHERE id = $1 FOR UPDATE", style.id)
        num_open = await conn.fetchval(
            "SELECT count(*) FROM service.consents WHERE style_id = $1 AND answer IS NULL AND revoked_at IS NULL"
            " AND expires_at > $2",
            *(style.id, now),
        )
        if num_open >= OPEN_MAX:
            said = say(
                "{num_open} questions of this style wait for an answer, the most there can be; take one back first.",
                num_open=num_open,
            )
            return Refusal(slug="conflict", message=said)
        await conn.execute(
            "INSERT INTO service.consents (id, style_id, creator_id, digest, asked, words, text_version, made_at,"
            " expires_at, covers_starts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            *(consent_id, style.id, style.creator_id, digest_of_word(word), asked, words, TEXT_VERSION, now),
            *(now + timedelta(days=days), covers_starts),
        )
        await conn.execute(
            "INSERT INTO service.consent_works (consent_id, work_id, creator_id, sha256)"
            " SELECT $1, w.id, $2, w.sha256 FROM unnest($3::text[], $4::text[]) AS w (id, sha256)",
            *(consent_id, style.creator_id, [work.id for work in works], [work.sha256 for work in works]),
        )
    made = await find_consent(conn, consent_id, creator_id=style.creator_id)
    assert made is not None
    return made, word


async def find_consent(conn: Connection, consent_id: str, *, creator_id: str) -> Consent | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.consents WHERE id = $1 AND creator_id = $2", consent_id, creator_id
    )
    return read(Consent, row) if row else None


async def consent_by_word(conn: Connection, word: str, *, is_locked: bool = False) -> Consent | None:
    """The question of a link's word, for whoever has it; of the house's connection. is_locked: until the commit."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.consents WHERE digest = $1{' FOR UPDATE' if is_locked else ''}",
        digest_of_word(word),
    )
    return read(Consent, row) if row else None


async def list_consents(
    conn: Connection, *, style_id: str, creator_id: str, limit: int = 200, before: str | None = None
) -> list[Consent]:
    """Questions about a style's works, newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.consents WHERE style_id = $1 AND creator_id = $2"
        " AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        *(style_id, creator_id, before, limit),
    )
    return [read(Consent, row) for row in rows]


async def revoke(conn: Connection, consent: Consent, *, now: datetime) -> Refusal | None:
    """Take a question back that nobody has answered. Refusal: conflict."""
    status = await conn.execute(
        "UPDATE service.consents SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 AND answer IS NULL",
        *(consent.id, now),
    )
    if status == "UPDATE 0":
        said = say("{id} is answered; only whoever answered can take that back.", id=consent.id)
        return Refusal(slug="conflict", message=said)
    return None


async def answer(conn: Connection, word: str, said: Answer, *, name: str, now: datetime) -> Consent | Refusal:
    """Keep what somebody answers, and what follows from it for the works, in one commit. Refusals: not_found; conflict,
    where the question cannot be answered any more."""
    async with conn.transaction():
        consent = await consent_by_word(conn, word, is_locked=True)
        if consent is None:
            return Refusal(
                slug="not_found", message=say("This link is unknown here; look whether all of it was copied.")
            )
        if consent.state(now) != "asked":
            return Refusal(
                slug="conflict", message=say("This question cannot be answered now; the page says how it stands.")
            )
        await conn.execute(
            "UPDATE service.consents SET answer = $2, answered_by = $3, answered_at = $4 WHERE id = $1",
            *(consent.id, said, name, now),
        )
        if said == "yes":
            for work_id in consent.work_ids:
                await change_work(
                    conn, work_id=work_id, creator_id=consent.creator_id, rights="client_consented", now=now
                )
        else:
            await _stop_using(conn, consent, now=now)
        found = await consent_by_word(conn, word)
    assert found is not None
    return found


async def withdraw(conn: Connection, word: str, *, now: datetime) -> Consent | Refusal:
    """Take a yes back. Refusals: not_found; conflict, where there is none."""
    async with conn.transaction():
        consent = await consent_by_word(conn, word, is_locked=True)
        if consent is None:
            return Refusal(
                slug="not_found", message=say("This link is unknown here; look whether all of it was copied.")
            )
        if consent.state(now) != "given":
            return Refusal(slug="conflict", message=say("There is no yes to take back; the page says how it stands."))
        await conn.execute("UPDATE service.consents SET withdrawn_at = $2 WHERE id = $1", consent.id, now)
        await _stop_using(conn, consent, now=now)
        found = await consent_by_word(conn, word)
    assert found is not None
    return found


async def _stop_using(conn: Connection, consent: Consent, *, now: datetime) -> None:
    rows = await conn.fetch(
        "SELECT DISTINCT c.sha256, w.id FROM service.consent_works c LEFT JOIN service.works w"
        " ON w.creator_id = c.creator_id AND w.sha256 = c.sha256 WHERE c.consent_id = $1 ORDER BY c.sha256, w.id",
        consent.id,
    )
    for row in rows:
        if row["id"] is not None:
            await change_work(conn, work_id=row["id"], creator_id=consent.creator_id, rights="unsure", now=now)
    for sha256 in sorted({row["sha256"] for row in rows}):
        await take_off_sale(conn, creator_id=consent.creator_id, sha256=sha256, now=now)
        await stop_trainings(conn, creator_id=consent.creator_id, sha256=sha256, now=now)
