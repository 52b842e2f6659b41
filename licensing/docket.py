"""Disputes as their parties and the operator see them: what each waits for, until when, and what was said.

Whoever reads sees what row-level security lets them see (`licensing.tenancy`). Sides are words, not ids: neither party
learns more of the other than the sale shows already.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from licensing.database import Connection
from licensing.money import Money

Side = Literal["client", "creator", "operator"]
DisputeState = Literal["open", "decided", "appealed", "closed"]
Outcome = Literal["refunded", "released", "partly", "corrected", "withdrawn"]
Act = Literal["opened", "answer", "evidence", "decision", "appeal", "withdrawal"]
WaitsFor = Literal["answer", "decision", "appeal", "final decision", "effect"]


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """A dispute about `output_ids` of one order, and every date of its clock.

    `held` is what is held of the creator's earnings now. `outcome`, `amount` and `reason` are the latest decision; it
    took effect when the dispute was `closed`. `client_id` is None where the client is no party.
    """

    id: str
    order_id: str
    output_ids: tuple[str, ...]
    creator_id: str
    client_id: str | None
    opener: Side
    ground: str
    currency: str
    held: Money
    state: DisputeState
    opened_at: datetime
    answer_due_at: datetime | None
    answered_at: datetime | None
    decide_due_at: datetime
    decided_at: datetime | None
    outcome: Outcome | None
    amount: Money | None
    reason: str | None
    appeal_due_at: datetime | None
    appealed_at: datetime | None
    final_due_at: datetime | None
    closed_at: datetime | None


class Timed(Protocol):
    """What is decided by the written clock (`licensing.deadlines`): a dispute, or another claim with the same dates."""

    @property
    def state(self) -> DisputeState: ...
    @property
    def answer_due_at(self) -> datetime | None: ...
    @property
    def answered_at(self) -> datetime | None: ...
    @property
    def decide_due_at(self) -> datetime: ...
    @property
    def appeal_due_at(self) -> datetime | None: ...
    @property
    def final_due_at(self) -> datetime | None: ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a dispute waits for and until when. `is_overdue` is true where the operator is late."""

    waits_for: WaitsFor
    due_at: datetime
    is_overdue: bool


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something said or decided, in its order. `references` are opaque; `outcome` and `amount` are of a decision."""

    id: str
    side: Side
    act: Act
    words: str
    references: tuple[str, ...]
    outcome: Outcome | None
    amount: Money | None
    at: datetime


def step(one: Timed, now: datetime) -> Step | None:
    """Where its clock stands; None for a closed one."""
    if one.state == "closed":
        return None
    if one.state == "appealed":
        assert one.final_due_at is not None
        return Step(waits_for="final decision", due_at=one.final_due_at, is_overdue=one.final_due_at < now)
    if one.state == "decided":
        assert one.appeal_due_at is not None
        waits_for: WaitsFor = "appeal" if now <= one.appeal_due_at else "effect"
        return Step(waits_for=waits_for, due_at=one.appeal_due_at, is_overdue=False)
    if one.answered_at is None and one.answer_due_at is not None and now <= one.answer_due_at:
        return Step(waits_for="answer", due_at=one.answer_due_at, is_overdue=False)
    return Step(waits_for="decision", due_at=one.decide_due_at, is_overdue=one.decide_due_at < now)


async def find_dispute(conn: Connection, dispute_id: str) -> Dispute | None:
    row = await conn.fetchrow(_DISPUTES + " WHERE d.dispute_id = $1", dispute_id)
    return _dispute(row) if row else None


async def disputes_of(conn: Connection, party_id: str, *, limit: int = 100, before: str | None = None) -> list[Dispute]:
    """The disputes that a client or a creator is a party of, newest first, those after the one with the id `before`."""
    rows = await conn.fetch(
        _DISPUTES + " WHERE $1 IN (d.creator_id, d.client_id) AND ($2::text IS NULL OR (d.opened_at, d.dispute_id)"
        " < (SELECT opened_at, dispute_id FROM licensing.dispute WHERE dispute_id = $2))"
        " ORDER BY d.opened_at DESC, d.dispute_id DESC LIMIT $3",
        *(party_id, before, limit),
    )
    return [_dispute(row) for row in rows]


async def newest_about(conn: Connection, output_ids: Collection[str]) -> dict[str, Dispute]:
    """The newest dispute about each of these outputs that whoever reads may see; outputs without one are missing."""
    rows = await conn.fetch(
        f"SELECT DISTINCT ON (about.output_id) about.output_id AS about, one.* FROM licensing.disputed about"
        f" JOIN ({_DISPUTES}) one USING (dispute_id) WHERE about.output_id = ANY($1::text[])"
        " ORDER BY about.output_id, one.opened_at DESC, one.dispute_id DESC",
        list(output_ids),
    )
    return {row["about"]: _dispute(row) for row in rows}


async def running(conn: Connection, *, limit: int = 100, after: str | None = None) -> list[Dispute]:
    """Disputes that are not closed, the next date first, those after the one with the id `after`. For the operator."""
    rows = await conn.fetch(
        _DISPUTES + f" WHERE d.state <> 'closed' AND ($1::text IS NULL OR ({_NEXT.format(d='d')}, d.dispute_id)"
        f" > (SELECT {_NEXT.format(d='a')}, dispute_id FROM licensing.dispute a WHERE dispute_id = $1))"
        f" ORDER BY {_NEXT.format(d='d')}, d.dispute_id LIMIT $2",
        *(after, limit),
    )
    return [_dispute(row) for row in rows]


async def overdue(conn: Connection, *, now: datetime, limit: int = 100) -> list[Dispute]:
    """Disputes that the operator should have decided, who is late longest first."""
    rows = await conn.fetch(
        _DISPUTES + f" WHERE d.state IN ('open', 'appealed') AND {_NEXT.format(d='d')} < $1"
        f" ORDER BY {_NEXT.format(d='d')}, d.dispute_id LIMIT $2",
        *(now, limit),
    )
    return [_dispute(row) for row in rows]


async def due_to_close(conn: Connection, *, now: datetime, limit: int = 100) -> list[str]:
    """Ids of disputes whose decision nobody appealed against in time. For the sweeper."""
    rows = await conn.fetch(
        "SELECT dispute_id FROM licensing.dispute WHERE state = 'decided' AND appeal_due_at < $1"
        " ORDER BY appeal_due_at, dispute_id LIMIT $2",
        *(now, limit),
    )
    return [row["dispute_id"] for row in rows]


async def notes(conn: Connection, dispute_id: str) -> list[Note]:
    """All that was said and decided in a dispute, in order."""
    rows = await conn.fetch(
        "SELECT n.*, d.currency FROM licensing.dispute_note n JOIN licensing.dispute d USING (dispute_id)"
        " WHERE dispute_id = $1 ORDER BY note_no",
        dispute_id,
    )
    return [
        Note(
            id=row["note_id"],
            side=row["side"],
            act=row["act"],
            words=row["words"],
            references=tuple(row["refs"]),
            outcome=row["outcome"],
            amount=_money(row["amount"], row["currency"]),
            at=row["at"],
        )
        for row in rows
    ]


async def contact(conn: Connection, dispute_id: str) -> str | None:
    """How to reach the stranger behind a takedown. Of the house alone."""
    found: str | None = await conn.fetchval(
        "SELECT contact FROM licensing.dispute_contact WHERE dispute_id = $1", dispute_id
    )
    return found


_DISPUTES = """
    SELECT d.*, o.output_ids, o.held FROM licensing.dispute d CROSS JOIN LATERAL (
        SELECT array_agg(output_id ORDER BY output_id) AS output_ids,
               coalesce(sum(held) FILTER (WHERE ended_at IS NULL), 0)::bigint AS held
        FROM licensing.disputed WHERE dispute_id = d.dispute_id) o
"""
# The operator's next date, of a dispute `d`.
_NEXT = (
    "CASE {d}.state WHEN 'appealed' THEN {d}.final_due_at WHEN 'decided' THEN {d}.appeal_due_at"
    " ELSE {d}.decide_due_at END"
)


def _money(amount: int | None, currency: str) -> Money | None:
    return Money(amount, currency) if amount is not None else None


def _dispute(row: Mapping[str, Any]) -> Dispute:
    names = [
        *("order_id", "creator_id", "client_id", "opener", "ground", "currency", "state", "outcome", "reason"),
        *("opened_at", "answer_due_at", "answered_at", "decide_due_at", "decided_at"),
        *("appeal_due_at", "appealed_at", "final_due_at", "closed_at"),
    ]
    return Dispute(
        id=row["dispute_id"],
        output_ids=tuple(row["output_ids"]),
        held=Money(row["held"], row["currency"]),
        amount=_money(row["amount"], row["currency"]),
        **{name: row[name] for name in names},
    )
