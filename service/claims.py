"""Claims to works: somebody outside says that a work in a portfolio is theirs. Said and decided in writing, by the
clock of disputes (`licensing.deadlines`).

    open -> decided (upheld | rejected) -> closed, where nobody appeals in time
                                        -> appealed -> closed by what is decided then
         -> closed, where whoever claims it lets it go

A claim that is upheld takes effect at once, not when the time to appeal is over: every picture that is made meanwhile
would be made from somebody else's work. So nothing is deleted before the end, and what took effect can be undone
(`service.withdrawing`). Whoever claims has no account: the operator speaks for them. How to reach them stands in a
table that no party sees.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from inference.likeness import Look
from licensing import sentence
from licensing.database import Connection
from licensing.deadlines import CLOCK, Clock, working_days_after
from licensing.docket import DisputeState
from licensing.errors import Refusal
from licensing.sentence import Sentence
from service.db.connections import read
from service.resemblance import bands_of
from service.works import StoredWork

Side = Literal["creator", "operator"]
ClaimState = DisputeState
Outcome = Literal["upheld", "rejected", "withdrawn"]
Act = Literal["opened", "said", "decided", "appealed", "withdrawn"]
NOTES_MAX = 60
"""What can be said in one claim, so that nobody fills the place."""

_COLUMNS = (
    "id, work_id, style_id, creator_id, sha256, state, outcome, paid_by, said, effect, retrainings, opened_at,"
    " answer_due_at, answered_at, decide_due_at, decided_at, appeal_due_at, appealed_at, final_due_at, closed_at,"
    " in_effect_at, removed_at"
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim to one file of a creator, in whichever of their styles it lies, with every date of its clock.

    `said` are `{"at", "by", "act", "words", "outcome"}` in order. `paid_by` says whose a training without the work is.
    `effect` is what being upheld changed: `works` with the rights and use they had, `versions` with the state they had,
    `trainings` that were stopped. `retrainings` are `{"style", "training"}`.
    """

    id: str
    work_id: str
    style_id: str
    creator_id: str
    sha256: str
    state: ClaimState
    outcome: Outcome | None
    paid_by: Side | None
    said: list[dict[str, Any]]
    effect: dict[str, list[dict[str, Any]]]
    retrainings: list[dict[str, str]]
    opened_at: datetime
    answer_due_at: datetime
    answered_at: datetime | None
    decide_due_at: datetime
    decided_at: datetime | None
    appeal_due_at: datetime | None
    appealed_at: datetime | None
    final_due_at: datetime | None
    closed_at: datetime | None
    in_effect_at: datetime | None
    removed_at: datetime | None

    @property
    def styles(self) -> list[str]:
        """The styles that may have to be trained again: those of the work, and of versions that learnt from it."""
        named = [one["style"] for kind in ("works", "versions") for one in self.effect.get(kind, [])]
        return sorted({self.style_id, *named})


async def open_claim(
    conn: Connection,
    *,
    claim_id: str,
    work: StoredWork,
    look: Look | None,
    words: str,
    contact: str,
    now: datetime,
    clock: Clock = CLOCK,
) -> Claim | Refusal:
    """Write down what somebody claims. `look` is what the work looks like, to know it again once it is gone.

    Refusal: conflict, where a claim to this file runs or stands already.
    """
    await conn.execute("SELECT 1 FROM service.styles WHERE id = $1 FOR UPDATE", work.style_id)
    other = await conn.fetchval(
        "SELECT id FROM service.claims WHERE creator_id = $1 AND sha256 = $2"
        " AND (state <> 'closed' OR in_effect_at IS NOT NULL)",
        *(work.creator_id, work.sha256),
    )
    if other is not None:
        return Refusal(
            slug="conflict", message=sentence.say("Claim {id} is about this file already; say it there.", id=other)
        )
    answer_due = now + timedelta(days=clock.answer_days)
    await conn.execute(
        "INSERT INTO service.claims (id, work_id, style_id, creator_id, sha256, bits, thumb, band_0, band_1, band_2,"
        " band_3, opened_at, answer_due_at, decide_due_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        *(claim_id, work.id, work.style_id, work.creator_id, work.sha256),
        *((look.hash_bytes, look.thumb_bytes, *bands_of(look)) if look is not None else (None,) * 6),
        *(now, answer_due, working_days_after(answer_due, clock.decide_working_days)),
    )
    await conn.execute("INSERT INTO service.claim_contacts (claim_id, contact) VALUES ($1, $2)", claim_id, contact)
    return await _note(conn, claim_id, by="operator", act="opened", words=words, now=now)


async def say(
    conn: Connection, claim: Claim, *, by: Side, words: str, now: datetime, clock: Clock = CLOCK
) -> Claim | Refusal:
    """Add something. The first that the creator says in time is the answer: the operator's days count from there.

    Refusal: conflict (decided, or too much said).
    """
    if claim.state not in ("open", "appealed"):
        return _conflict(claim, sentence.say("nothing more can be said in it"))
    if len(claim.said) >= NOTES_MAX:
        return Refusal(
            slug="conflict",
            message=sentence.say("Claim {id} holds {most} notes, the most there can be.", id=claim.id, most=NOTES_MAX),
        )
    changes: dict[str, Any] = {}
    if by == "creator" and claim.state == "open" and claim.answered_at is None and now <= claim.answer_due_at:
        changes = {"answered_at": now, "decide_due_at": working_days_after(now, clock.decide_working_days)}
    return await _note(conn, claim.id, by=by, act="said", words=words, now=now, changes=changes)


async def decide(
    conn: Connection,
    claim: Claim,
    outcome: Literal["upheld", "rejected"],
    *,
    reason: str,
    paid_by: Side | None,
    now: datetime,
    clock: Clock = CLOCK,
) -> Claim | Refusal:
    """The operator's decision. The caller has it take effect, or undoes that, in the same transaction.

    After an appeal it is the last. Refusals: invalid_request (who pays a training is to be said, and only where it is
    upheld); conflict (decided already, or its creator still has time to answer).
    """
    if (paid_by is None) is (outcome == "upheld"):
        message = (
            sentence.say("Say who pays a training without the work.")
            if outcome == "upheld"
            else sentence.say("A claim that is rejected costs nobody a training.")
        )
        return Refusal(slug="invalid_request", message=message)
    if claim.state not in ("open", "appealed"):
        return _conflict(claim, sentence.say("it is decided"))
    if claim.state == "open" and claim.answered_at is None and now <= claim.answer_due_at:
        return Refusal(
            slug="conflict",
            message=sentence.say(
                "The creator may still answer claim {id}, until {until:%Y-%m-%d %H:%M} UTC; decide after that.",
                id=claim.id,
                until=claim.answer_due_at,
            ),
        )
    changes: dict[str, Any] = {"outcome": outcome, "paid_by": paid_by, "decided_at": now}
    if claim.state == "open":
        changes |= {"state": "decided", "appeal_due_at": now + timedelta(days=clock.appeal_days)}
    else:
        changes |= {"state": "closed", "closed_at": now}
    return await _note(
        conn, claim.id, by="operator", act="decided", words=reason, now=now, outcome=outcome, changes=changes
    )


async def appeal(
    conn: Connection, claim: Claim, *, by: Side, words: str, now: datetime, clock: Clock = CLOCK
) -> Claim | Refusal:
    """Ask for another decision, once and in time. What took effect holds until then. Refusal: conflict."""
    if claim.state != "decided" or claim.appeal_due_at is None or now > claim.appeal_due_at:
        return _conflict(claim, sentence.say("it cannot be appealed against now"))
    changes = {
        "state": "appealed",
        "appealed_at": now,
        "final_due_at": working_days_after(now, clock.final_working_days),
    }
    return await _note(conn, claim.id, by=by, act="appealed", words=words, now=now, changes=changes)


async def withdraw(conn: Connection, claim: Claim, *, words: str, now: datetime) -> Claim | Refusal:
    """Whoever claims it lets it go, before it is decided. Refusal: conflict."""
    if claim.state != "open":
        return _conflict(claim, sentence.say("it cannot be withdrawn any more"))
    changes = {"state": "closed", "outcome": "withdrawn", "closed_at": now}
    return await _note(conn, claim.id, by="operator", act="withdrawn", words=words, now=now, changes=changes)


async def close_due(conn: Connection, *, now: datetime) -> None:
    """Decisions that nobody appealed against in time are the last."""
    await conn.execute(
        "UPDATE service.claims SET state = 'closed', closed_at = $1 WHERE state = 'decided' AND appeal_due_at < $1",
        now,
    )


async def note_retraining(conn: Connection, claim_id: str, *, style_id: str, training_id: str) -> None:
    one = json.dumps([{"style": style_id, "training": training_id}])
    await conn.execute("UPDATE service.claims SET retrainings = retrainings || $2::jsonb WHERE id = $1", claim_id, one)


async def find_claim(conn: Connection, claim_id: str, *, is_locked: bool = False) -> Claim | None:
    """One that whoever the connection acts for may see. is_locked: nobody else changes it until the commit."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.claims WHERE id = $1{' FOR UPDATE' if is_locked else ''}", claim_id
    )
    return read(Claim, row) if row else None


async def list_claims(
    conn: Connection, *, creator_id: str | None = None, limit: int, before: str | None = None
) -> list[Claim]:
    """Newest first; a creator's own, or for the operator all."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.claims WHERE ($1::text IS NULL OR creator_id = $1)"
        " AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        *(creator_id, before, limit),
    )
    return [read(Claim, row) for row in rows]


async def count_running(conn: Connection, creator_id: str) -> int:
    """How many claims to a creator's works are not closed."""
    found: int = await conn.fetchval(
        "SELECT count(*) FROM service.claims WHERE creator_id = $1 AND state <> 'closed'", creator_id
    )
    return found


async def contact(conn: Connection, claim_id: str) -> str | None:
    """How to reach whoever claims it. Of the house alone."""
    found: str | None = await conn.fetchval("SELECT contact FROM service.claim_contacts WHERE claim_id = $1", claim_id)
    return found


async def _note(
    conn: Connection,
    claim_id: str,
    *,
    by: Side,
    act: Act,
    words: str,
    now: datetime,
    outcome: Outcome | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Claim:
    line = {"at": now.isoformat(), "by": by, "act": act, "words": words, "outcome": outcome}
    given = dict(changes or {})
    sets = "".join(f", {name} = ${number}" for number, name in enumerate(given, 3))
    row = await conn.fetchrow(
        f"UPDATE service.claims SET said = said || $2::jsonb{sets} WHERE id = $1 RETURNING {_COLUMNS}",
        *(claim_id, json.dumps([line]), *given.values()),
    )
    assert row is not None
    return read(Claim, row)


def _conflict(claim: Claim, what: Sentence) -> Refusal:
    return Refusal(slug="conflict", message=Sentence(_CONFLICTS[claim.state], {"id": claim.id, "what": what}))


_CONFLICTS = sentence.templates(
    {
        "open": "Claim {id} is open; {what}.",
        "decided": "Claim {id} is decided; {what}.",
        "appealed": "Claim {id} is appealed; {what}.",
        "closed": "Claim {id} is closed; {what}.",
    }
)
