"""Pictures that a claim keeps out, and creators who say that such a picture is theirs: cases for the operator."""

from datetime import datetime

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from service.cases import Case, appeal, open_case
from service.withdrawing import standing_claim

WAITING_MOST = 20


async def appeal_withheld(
    conn: Connection, *, case_id: str, creator_id: str, sha256: str, sentence: str, now: datetime
) -> Case | Refusal:
    """Put before the operator why this creator may bring a picture that a claim keeps out; said again, it is added.

    Nothing of the file is here but its hash, so what is known of it is what the creator says and what the claim has.
    Whether a claim is meant at all is not told: whoever asks might be trying hashes.
    Refusal: conflict (it was allowed already, too much was said, or too many wait).
    """
    waiting: int = await conn.fetchval(
        "SELECT count(*) FROM service.cases WHERE creator_id = $1 AND kind = 'withheld_work' AND state = 'open'"
        " AND subject <> $2",
        *(creator_id, sha256),
    )
    if waiting >= WAITING_MOST:
        message = say(
            "{waiting} pictures of yours wait for a decision, the most there can be; wait for those first.",
            waiting=waiting,
        )
        return Refusal(slug="conflict", message=message)
    said = await appeal(conn, subject=sha256, creator_id=creator_id, sentence=sentence, now=now)
    if not isinstance(said, Refusal) or said.slug != "not_found":
        return said
    await open_case(
        conn,
        case_id=case_id,
        kind="withheld_work",
        subject=sha256,
        creator_id=creator_id,
        evidence={"claim": await standing_claim(conn, digest=sha256) or ""},
        now=now,
    )
    return await appeal(conn, subject=sha256, creator_id=creator_id, sentence=sentence, now=now)
