"""`/v1/bank-statements`: what the operator's bank booked, shown line by line with what each would do, then booked."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from licensing.bank_statements import STATEMENT_BYTES_MAX, read_camt053
from licensing.errors import Refusal
from licensing.sentence import say
from service.api.shapes import Cursor, Limit, money, page, upload_of
from service.auth import Identity, Operator, OperatorReading, Web
from service.bank_statements import (
    BankStatement,
    LineShown,
    book_statement,
    drop_statement,
    find_statement,
    keep_statement,
    lines_of,
    list_statements,
)
from service.errors import Problem, not_found, refused
from service.resources import Gateway

router = APIRouter(tags=["bank statements"])


@router.post("/bank-statements", status_code=201, openapi_extra=upload_of("file", "application/xml"))
async def post_statement(web: Web, asker: Operator, request: Request) -> dict[str, Any]:
    """Upload a statement (camt.053): multipart, field `file`, or the bytes alone as `application/xml`. Nothing is
    booked before it is confirmed; `lines` say what each would do. The same file again is the same statement
    (`repeated`)."""
    content, name = await _read(request)
    statement, repeated = await take_statement(web, asker, content, name)
    return {**await _document(web, statement), "repeated": repeated}


@router.get("/bank-statements")
async def get_statements(web: Web, asker: OperatorReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Every statement that was uploaded, the newest first."""
    async with web.house() as conn:
        found = await list_statements(conn, limit=limit + 1, before=cursor)
    return page(found, limit, _head)


@router.get("/bank-statements/{statement_id}")
async def get_bank_statement(web: Web, asker: OperatorReading, statement_id: str) -> dict[str, Any]:
    """One with its lines: what they did, or would do now."""
    return await _document(web, await own_statement(web, statement_id))


@router.post("/bank-statements/{statement_id}/confirm")
async def confirm_statement(web: Web, asker: Operator, statement_id: str) -> dict[str, Any]:
    """Book what its lines say, all in one commit. Again books nothing again."""
    async with web.house() as conn, conn.transaction():
        booked = await book_statement(conn, statement_id, by=asker.who, now=web.clock())
    if booked is None:
        raise not_found("bank statement", statement_id)
    return await _document(web, booked)


@router.delete("/bank-statements/{statement_id}", status_code=204, response_class=Response)
async def delete_statement(web: Web, asker: Operator, statement_id: str) -> None:
    """Forget one that was not confirmed."""
    await own_statement(web, statement_id)
    async with web.house() as conn, conn.transaction():
        done = await drop_statement(conn, statement_id, by=asker.who, now=web.clock())
    if not done:
        raise Problem(
            "conflict",
            say(
                "Bank statement {statement_id} was confirmed; what it booked stays, and so does it.",
                statement_id=statement_id,
            ),
        )


async def take_statement(web: Gateway, asker: Identity, content: bytes, name: str) -> tuple[BankStatement, bool]:
    """Keep a file, and whether it was here before. Raises Problem for what is no statement: nothing of it is kept."""
    # Megabytes of XML take a while, and others wait for this loop.
    lines = await asyncio.to_thread(read_camt053, content)
    if isinstance(lines, Refusal):
        raise refused(lines)
    if not lines:
        raise Problem(
            "invalid_request", say("This statement has no booked line; export one of days on which money moved.")
        )
    async with web.house() as conn, conn.transaction():
        return await keep_statement(
            conn, content=content, name=name, lines=lines, by=asker.who, now=web.clock(), new_id=web.new_id
        )


async def own_statement(web: Gateway, statement_id: str) -> BankStatement:
    """Raises Problem for one that is not there."""
    async with web.house() as conn:
        found = await find_statement(conn, statement_id)
    if found is None:
        raise not_found("bank statement", statement_id)
    return found


async def file_of(file: object) -> tuple[bytes, str]:
    """The bytes and the name of a form's file. Raises Problem where there is none, or one that is too large."""
    if not isinstance(file, UploadFile) or not file.filename:
        raise Problem(
            "invalid_request", say("No file came; choose the statement that your bank exported, as camt.053.")
        )
    content = await file.read(STATEMENT_BYTES_MAX + 1)
    if len(content) > STATEMENT_BYTES_MAX:
        sentence = say("The file has over {most} MB; export it for fewer days.", most=STATEMENT_BYTES_MAX // 10**6)
        raise Problem("payload_too_large", sentence)
    return content, file.filename


async def _read(request: Request) -> tuple[bytes, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/xml", "text/xml"):
        return await request.body(), "statement.xml"
    if kind != "multipart/form-data":
        raise Problem(
            "unsupported_media_type",
            f"The body is {kind or 'of no stated kind'}; send multipart/form-data with the field `file`, or"
            " application/xml.",
        )
    return await file_of((await request.form()).get("file"))


async def _document(web: Gateway, statement: BankStatement) -> dict[str, Any]:
    async with web.house() as conn:
        lines = await lines_of(conn, statement)
    return {**_head(statement), "lines": [_line(one) for one in lines]}


def _head(statement: BankStatement) -> dict[str, Any]:
    shown = asdict(statement) | {"bytes": statement.num_bytes}
    return {name: value for name, value in shown.items() if name != "num_bytes"}


def _line(one: LineShown) -> dict[str, Any]:
    return {
        "number": one.number,
        "line": one.line.id,
        "day": f"{one.line.at:%Y-%m-%d}",
        "amount": money(one.line.amount),
        "text": one.line.text,
        "from_or_to": one.line.holder,
        "about": one.about,
        "subject": one.subject,
        "party": one.party,
        "does": one.does,
        "sentence": one.sentence,
    }
