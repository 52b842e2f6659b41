"""`/v1/refunds`: money on its way back to clients, as the operator sends it; `/v1/refund-files` for the bank."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import StringConstraints

from licensing.billing import transfers_back
from licensing.billing.transfers_back import Refund, RefundFile
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.payments import State
from service import audit
from service.api.shapes import Cursor, Limit, bytes_of, form_asked_for, money, page
from service.api.styles import Body
from service.auth import Identity, Operator, OperatorReading, Web
from service.errors import not_found, refused
from service.resources import Gateway

router = APIRouter(tags=["refunds"])

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Wanted = Annotated[State | None, Query(description="Only those in this state; `pending` ones are still to be sent")]


class CameBackBody(Body):
    """Why the bank sent it back."""

    reason: Words


@router.get("/refunds")
async def get_refunds(
    web: Web, asker: OperatorReading, state: Wanted = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Refunds of all clients, the newest first: how much, to whom, with which reference. `to` is the account the money
    came from, where a bank statement has told it, else null."""
    async with web.house() as conn:
        found = await transfers_back.refunds(conn, state=state, limit=limit + 1, before=cursor)
    return page(found, limit, refund_document)


@router.post("/refunds/{refund_id}/sent")
async def post_sent(web: Web, asker: Operator, refund_id: str) -> dict[str, Any]:
    """The transfer was sent. Said again it changes nothing: who said it first, and when, stays."""
    async with web.house() as conn, conn.transaction():
        before = await transfers_back.find_refund(conn, refund_id)
        sent = await transfers_back.send_refund(conn, refund_id=refund_id, by=asker.account_id, now=web.clock())
        if isinstance(sent, Refusal):
            raise refused(sent)
        await _note_sent(conn, asker, [before] if before else [], [sent], web)
    return refund_document(sent)


@router.post("/refunds/{refund_id}/returned")
async def post_returned(web: Web, asker: Operator, refund_id: str, body: CameBackBody) -> dict[str, Any]:
    """The bank sent it back after it was sent: it is prepaid money again."""
    async with web.house() as conn, conn.transaction():
        before = await transfers_back.find_refund(conn, refund_id)
        back = await transfers_back.return_refund(conn, refund_id=refund_id, reason=body.reason, now=web.clock())
        if isinstance(back, Refusal):
            raise refused(back)
        if before is not None and before.refund.state == "succeeded":
            told: dict[str, Any] = {"account_id": back.refund.client_id, "by": asker.who, "now": web.clock()}
            await audit.note(conn, "refund_returned", subject=refund_id, amount=str(back.refund.amount), **told)
    return refund_document(back)


@router.get("/refund-files")
async def get_refund_files(
    web: Web, asker: OperatorReading, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Files for the bank, the newest first."""
    async with web.house() as conn:
        found = await transfers_back.refund_files(conn, limit=limit + 1, before=cursor)
    return page(found, limit, _file_document)


@router.post("/refund-files", status_code=201)
async def post_refund_file(web: Web, asker: Operator) -> dict[str, Any]:
    """Gather all refunds that wait and whose account is known into a file. Nothing joins it later."""
    file_id = web.new_id("rff")
    async with web.house() as conn, conn.transaction():
        made = await transfers_back.make_refund_file(
            conn, file_id=file_id, currency=web.prices.currency, by=asker.account_id, now=web.clock()
        )
        if isinstance(made, Refusal):
            raise refused(made)
    return {"id": file_id, "refunds": [refund_document(one) for one in made]}


@router.get("/refund-files/{file_id}/file", response_class=Response, responses=bytes_of("application/xml", "text/csv"))
async def get_refund_file(web: Web, asker: OperatorReading, file_id: str, request: Request) -> Response:
    """The file that a bank takes (SEPA credit transfers, pain.001), or a table (`?format=csv`) for others."""
    async with web.house() as conn:
        found = await transfers_back.refunds_in(conn, file_id)
    if not found:
        raise not_found("file of refunds", file_id)
    return _bank_paper(web, file_id, found, form_asked_for(request, ("xml", "csv")))


@router.post("/refund-files/{file_id}/sent")
async def post_file_sent(web: Web, asker: Operator, file_id: str) -> dict[str, Any]:
    """The bank carried it out: what of it still waits was sent."""
    async with web.house() as conn, conn.transaction():
        before = await transfers_back.refunds_in(conn, file_id)
        sent = await transfers_back.send_refund_file(conn, file_id=file_id, by=asker.account_id, now=web.clock())
        if isinstance(sent, Refusal):
            raise refused(sent)
        await _note_sent(conn, asker, before, sent, web)
    return {"id": file_id, "refunds": [refund_document(one) for one in sent]}


def refund_document(one: Refund) -> dict[str, Any]:
    """One refund."""
    refund = one.refund
    return {
        "id": refund.id,
        "payment": refund.payment_id,
        "client": refund.client_id,
        "provider": refund.provider,
        "state": refund.state,
        "amount": money(refund.amount),
        "reference": refund.reference,
        "to": {"holder": one.holder, "iban": one.iban} if one.iban else None,
        "file": one.file_id,
        "why": refund.why,
        "reason": refund.reason,
        "created_at": refund.created_at,
        "ended_at": refund.ended_at,
        "sent_by": one.sent_by,
    }


async def _note_sent(
    conn: Connection, asker: Identity, before: Sequence[Refund], after: Sequence[Refund], web: Gateway
) -> None:
    """A line in the record of each client to whom something was sent now."""
    waited = {one.refund.id for one in before if one.refund.state == "pending"}
    for one in after:
        if one.refund.id in waited and one.refund.state == "succeeded":
            told: dict[str, Any] = {"account_id": one.refund.client_id, "by": asker.who, "now": web.clock()}
            await audit.note(conn, "refund_sent", subject=one.refund.id, amount=str(one.refund.amount), **told)


def _file_document(file: RefundFile) -> dict[str, Any]:
    return asdict(file) | {"total": money(file.total)}


def _bank_paper(web: Gateway, file_id: str, found: Sequence[Refund], form: str) -> Response:
    # What writes XML takes a while to load, which a web process that starts does not wait for.
    from licensing.papers.bank_file import Transfer
    from service.bank_papers import transfers_paper

    listed = [
        Transfer(
            name=one.holder,
            iban=one.iban,
            amount=one.refund.amount,
            reference=f"{web.settings.operator_name}, refund {one.refund.reference or one.refund.id}",
            end_to_end_id=one.refund.id,
        )
        for one in found
        if one.iban
    ]
    return transfers_paper(web, listed, message_id=file_id, name=f"refunds-{file_id}", form=form)
