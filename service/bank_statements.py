"""Statements of the operator's bank: kept as they came, shown with what each line would do, and booked once somebody
has seen that."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.bank_booking import Booked, Does, Match, book, codes_in, match_lines
from licensing.bank_statements import BankLine
from licensing.database import Connection
from licensing.money import Money
from service import audit
from service.db.connections import read
from service.ids import NewId
from service.telling.of_money import tell_payouts
from service.who import Who

_LOCK = "SELECT pg_advisory_xact_lock(licensing.lock_no('bank_statements', ''))"
NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class BankStatement:
    """A file, by whom it was uploaded, and whether it was booked and by whom."""

    id: str
    sha256: str
    name: str
    num_bytes: int
    state: Literal["read", "booked"]
    uploaded_by: str
    uploaded_at: datetime
    booked_by: str | None
    booked_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class LineShown:
    """A line with what it is about. Before its file is booked `does` says what it would do, afterwards what it did:
    `booked`, or `nothing`."""

    number: int
    line: BankLine
    about: str
    subject: str
    party: str
    does: Does | Literal["booked"]
    sentence: str


async def keep_statement(
    conn: Connection, *, content: bytes, name: str, lines: Sequence[BankLine], by: Who, now: datetime, new_id: NewId
) -> tuple[BankStatement, bool]:
    """A file with its lines, in the caller's transaction; and whether it was here before: nothing is kept twice."""
    digest = hashlib.sha256(content).hexdigest()
    await conn.execute(_LOCK)
    row = await conn.fetchrow("SELECT * FROM service.bank_statements WHERE sha256 = $1", digest)
    if row is not None:
        return read(BankStatement, row), True
    row = await conn.fetchrow(
        "INSERT INTO service.bank_statements (id, sha256, name, num_bytes, uploaded_by, uploaded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
        *(new_id("bst"), digest, name[:NAME_CHARACTERS_MAX], len(content), by.actor, now),
    )
    await conn.executemany(
        "INSERT INTO service.bank_lines (statement_id, number, line_id, at, amount, currency, text, holder, iban, code)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        [
            (
                *(row["id"], number, line.id, line.at, line.amount.amount, line.amount.currency),
                *(line.text, line.holder, line.iban, codes_in(line)),
            )
            for number, line in enumerate(lines, 1)
        ],
    )
    await audit.note(
        conn, "bank_statement_read", account_id=by.actor, by=by, now=now, subject=row["id"], lines=len(lines)
    )
    return read(BankStatement, row), False


async def find_statement(conn: Connection, statement_id: str) -> BankStatement | None:
    row = await conn.fetchrow("SELECT * FROM service.bank_statements WHERE id = $1", statement_id)
    return read(BankStatement, row) if row else None


async def list_statements(conn: Connection, *, limit: int, before: str | None = None) -> list[BankStatement]:
    """Newest first, those after the one with the id `before`."""
    rows = await conn.fetch(
        "SELECT * FROM service.bank_statements WHERE $1::text IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        *(before, limit),
    )
    return [read(BankStatement, row) for row in rows]


async def lines_of(conn: Connection, statement: BankStatement) -> list[LineShown]:
    """Every line, with what it did, or would do now."""
    rows = await conn.fetch("SELECT * FROM service.bank_lines WHERE statement_id = $1 ORDER BY number", statement.id)
    if statement.state == "booked":
        return [
            LineShown(
                number=row["number"],
                line=_line(row),
                about=row["about"],
                subject=row["subject"],
                party=row["party"],
                does="booked" if row["is_booked"] else "nothing",
                sentence=row["sentence"],
            )
            for row in rows
        ]
    matches = await _matches(conn, statement, rows)
    return [
        LineShown(
            number=row["number"],
            line=match.line,
            about=match.about,
            subject=match.subject,
            party=match.party,
            does=match.does,
            sentence=match.sentence,
        )
        for row, match in zip(rows, matches, strict=True)
    ]


async def book_statement(conn: Connection, statement_id: str, *, by: Who, now: datetime) -> BankStatement | None:
    """Book every line that has something to book, in the caller's transaction: all of a file, or nothing where that
    breaks off. Again it changes nothing. None where there is no such file."""
    await conn.execute(_LOCK)
    statement = await find_statement(conn, statement_id)
    if statement is None or statement.state == "booked":
        return statement
    rows = await conn.fetch("SELECT * FROM service.bank_lines WHERE statement_id = $1 ORDER BY number", statement.id)
    done = [await book(conn, match, by=by.actor, now=now) for match in await _matches(conn, statement, rows)]
    await tell_payouts(conn, now=now)
    await conn.executemany(
        "UPDATE service.bank_lines SET about = $3, subject = $4, party = $5, is_booked = $6, sentence = $7"
        " WHERE statement_id = $1 AND number = $2",
        [_result(statement_id, row["number"], one) for row, one in zip(rows, done, strict=True)],
    )
    row = await conn.fetchrow(
        "UPDATE service.bank_statements SET state = 'booked', booked_by = $2, booked_at = $3 WHERE id = $1 RETURNING *",
        *(statement_id, by.actor, now),
    )
    booked = sum(one.is_booked for one in done)
    await audit.note(
        conn, "bank_statement_booked", account_id=by.actor, by=by, now=now, subject=statement_id, lines=booked
    )
    return read(BankStatement, row)


async def drop_statement(conn: Connection, statement_id: str, *, by: Who, now: datetime) -> bool:
    """Forget a file that was not booked, in the caller's transaction; False where it was."""
    await conn.execute(_LOCK)
    done = await conn.fetchval(
        "DELETE FROM service.bank_statements WHERE id = $1 AND state = 'read' RETURNING id", statement_id
    )
    if done is not None:
        await audit.note(conn, "bank_statement_dropped", account_id=by.actor, by=by, now=now, subject=statement_id)
    return done is not None


async def _matches(conn: Connection, statement: BankStatement, rows: Sequence[Mapping[str, Any]]) -> list[Match]:
    earlier = await conn.fetch(
        "SELECT l.* FROM service.bank_lines l JOIN service.bank_statements s ON s.id = l.statement_id"
        " WHERE s.state = 'booked' AND s.id <> $1 AND (l.line_id = ANY ($2) OR l.code <> '' AND l.code = ANY ($3))",
        *(statement.id, [row["line_id"] for row in rows], [row["code"] for row in rows if row["code"]]),
    )
    return await match_lines(conn, [_line(row) for row in rows], earlier=[_line(row) for row in earlier])


def _line(row: Mapping[str, Any]) -> BankLine:
    return BankLine(
        id=row["line_id"],
        at=row["at"],
        amount=Money(row["amount"], row["currency"]),
        text=row["text"],
        holder=row["holder"],
        iban=row["iban"],
    )


def _result(statement_id: str, number: int, one: Booked) -> tuple[Any, ...]:
    match = one.match
    return (statement_id, number, match.about, match.subject, match.party, one.is_booked, one.sentence)
