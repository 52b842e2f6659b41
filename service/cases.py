"""Cases: what a person of the operator's has to decide, with what speaks for and against it.

    open -> decided (allowed | refused, with a sentence); an appeal adds a sentence and opens it again

A case names its subject by id alone, so other kinds of case need another word in `CASE_KINDS` and no new table. Whoever
a case is about sees what was said, never what of somebody else's stands in its evidence.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from service.db.connections import read

CaseKind = Literal["near_duplicate", "withheld_work"]
Outcome = Literal["allowed", "refused"]
SENTENCE_CHARACTERS_MAX = 1000
SAID_MAX = 20
"""Sentences of one case, so that nobody fills the place with appeals."""

_COLUMNS = "id, kind, subject, creator_id, evidence, said, state, outcome, opened_at, decided_at"


@dataclass(frozen=True, kw_only=True)
class Case:
    """`said` are `{"at", "by", "sentence"}` in order; `by` is `creator` or `operator`."""

    id: str
    kind: CaseKind
    subject: str
    creator_id: str
    evidence: dict[str, Any]
    said: list[dict[str, str]]
    state: Literal["open", "decided"]
    outcome: Outcome | None
    opened_at: datetime
    decided_at: datetime | None

    @property
    def holds(self) -> bool:
        """True while its subject may not be used."""
        return self.outcome != "allowed"


async def open_case(
    conn: Connection,
    *,
    case_id: str,
    kind: CaseKind,
    subject: str,
    creator_id: str,
    evidence: dict[str, Any],
    now: datetime,
) -> None:
    """Put something before the operator."""
    await conn.execute(
        "INSERT INTO service.cases (id, kind, subject, creator_id, evidence, opened_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        *(case_id, kind, subject, creator_id, json.dumps(evidence), now),
    )


async def find_case(conn: Connection, case_id: str) -> Case | None:
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM service.cases WHERE id = $1", case_id)
    return read(Case, row) if row else None


async def cases_about(conn: Connection, subjects: list[str]) -> dict[str, Case]:
    """The case about each subject that has one, the newest where there are several."""
    rows = await conn.fetch(
        f"SELECT DISTINCT ON (subject) {_COLUMNS} FROM service.cases WHERE subject = ANY($1::text[])"
        " ORDER BY subject, id DESC",
        subjects,
    )
    return {row["subject"]: read(Case, row) for row in rows}


async def list_cases(conn: Connection, *, limit: int = 100) -> list[Case]:
    """The open ones, who waits longest first; then the decided ones, the newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.cases ORDER BY state <> 'open',"
        " CASE WHEN state = 'open' THEN opened_at END, decided_at DESC LIMIT $1",
        limit,
    )
    return [read(Case, row) for row in rows]


async def appeal(conn: Connection, *, subject: str, creator_id: str, sentence: str, now: datetime) -> Case | Refusal:
    """Add the creator's sentence to the case about their subject; a case that was refused is open again.

    Refusals: not_found; conflict, where it was allowed already or too much was said.
    """
    async with conn.transaction():
        row = await conn.fetchrow(
            f"SELECT {_COLUMNS} FROM service.cases WHERE subject = $1 AND creator_id = $2"
            " ORDER BY id DESC LIMIT 1 FOR UPDATE",
            *(subject, creator_id),
        )
        if row is None:
            return Refusal(
                slug="not_found",
                message=say("There is no case about {subject!r}; nothing has to be answered.", subject=subject),
            )
        case = read(Case, row)
        if not case.holds:
            return Refusal(
                slug="conflict", message=say("Case {id} was decided for you; nothing has to be answered.", id=case.id)
            )
        if len(case.said) >= SAID_MAX:
            message = say(
                "Case {id} holds {most} sentences, the most there can be; write to the operator.",
                id=case.id,
                most=SAID_MAX,
            )
            return Refusal(slug="conflict", message=message)
        return await _say(conn, case, by="creator", sentence=sentence, state="open", outcome=None, now=now)


async def decide(conn: Connection, case: Case, outcome: Outcome, *, sentence: str, now: datetime) -> Case:
    """The operator's decision with its reason. The caller lets go of the subject where it is allowed."""
    return await _say(conn, case, by="operator", sentence=sentence, state="decided", outcome=outcome, now=now)


async def _say(
    conn: Connection, case: Case, *, by: str, sentence: str, state: str, outcome: Outcome | None, now: datetime
) -> Case:
    line = {"at": now.isoformat(), "by": by, "sentence": sentence}
    row = await conn.fetchrow(
        "UPDATE service.cases SET said = said || $2::jsonb, state = $3, outcome = $4, decided_at = $5"
        f" WHERE id = $1 RETURNING {_COLUMNS}",
        *(case.id, json.dumps([line]), state, outcome, now if state == "decided" else None),
    )
    assert row is not None
    return read(Case, row)
