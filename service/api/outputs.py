"""`/v1/outputs`: a client's pictures, their certificates and receipts, served at every level of the switch; and the
operator's act that takes a sale back."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from licensing.certificates import read_certificate
from licensing.errors import Refusal
from licensing.refunds import refund_output
from service import audit, pending
from service.api.bundles import PICTURES_MAX, find_bought, write_zip
from service.api.shapes import bytes_of, money
from service.api.verify import certificate_document
from service.auth import BuyerOrCreator, ClientReading, Identity, Operator, Web
from service.errors import ObjectMissing, not_found, refused
from service.outbox import tell_refunded
from service.outputs import Output, find_output
from service.resources import Gateway
from service.telling.of_money import tell_taken_back

router = APIRouter(tags=["outputs"])

REASON_CHARACTERS_MAX = 300
# What browsers say of what is opened or saved for itself. Programs say nothing.
_LED_ELSEWHERE = ("document", "empty")


class Reason(BaseModel):
    """Why a sale is taken back: whoever checks the picture reads it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=1, max_length=REASON_CHARACTERS_MAX)


_Ids = Annotated[
    list[str],
    Query(max_length=PICTURES_MAX, description=f"Up to {PICTURES_MAX} ids: `ids=out_a&ids=out_b`, or with commas"),
]


@router.get("/outputs.zip", response_class=Response, responses=bytes_of("application/zip"))
async def get_outputs(web: Web, asker: ClientReading, ids: _Ids) -> Response:
    """Several pictures of this client as one file, with their certificates and a sheet of licences. It is written while
    it is sent; all is checked before the first byte."""
    return await zip_response(web, asker, [one.strip() for text in ids for one in text.split(",") if one.strip()])


async def zip_response(web: Gateway, asker: Identity, output_ids: list[str]) -> Response:
    """The same for a client in a browser. Raises Problem."""
    bought = await find_bought(web, output_ids, client_id=asker.account_id)
    name = f"{web.clock():pictures-%Y-%m-%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(write_zip(web, bought), media_type="application/zip", headers=headers)


@router.get("/outputs/{output_id}", response_class=Response, responses=bytes_of("image/*"))
async def get_output(web: Web, asker: ClientReading, request: Request, output_id: str) -> Response:
    """The sealed picture. Where the place is set so, programs and downloads are led (307) to a link to its object
    storage, which works for a minute at most and wants no token."""
    link = await _link(web, request, output_id, client_id=asker.account_id)
    if link is not None:
        return RedirectResponse(link, status_code=307, headers={"Cache-Control": "no-store"})
    output, content = await read_output(web, output_id, client_id=asker.account_id)
    return Response(
        content,
        media_type=output.mime,
        headers={
            "Content-Disposition": f'inline; filename="{output.id}.png"',
            "Cache-Control": "private, max-age=31536000, immutable",
            "ETag": f'"{output.sha256}"',
        },
    )


@router.get("/outputs/{output_id}/certificate")
async def get_certificate(web: Web, asker: BuyerOrCreator, output_id: str) -> dict[str, Any]:
    """The signed licence document: `certificate` is the JWS, `document` what it says. For whoever bought the picture,
    and for the creator who earned by it."""
    async with web.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT output_id, certificate, revoked_at, revoked_reason FROM licensing.output"
            " WHERE output_id = $1 AND $2 IN (client_id, creator_id)",
            *(output_id, asker.account_id),
        )
    if row is None:
        raise not_found("output", output_id)
    certificate = read_certificate(web.authority, row["certificate"])
    return {
        "output": row["output_id"],
        "certificate": row["certificate"],
        "document": certificate_document(certificate) if certificate else None,
        "revoked_at": row["revoked_at"],
        "revoked_reason": row["revoked_reason"],
    }


@router.get("/outputs/{output_id}/receipt")
async def get_receipt(web: Web, asker: ClientReading, output_id: str) -> dict[str, Any]:
    """How the picture was made: enough to make it again with the same base and adapter."""
    output = await _own(web, output_id, asker.account_id)
    if not output.receipt:
        raise not_found("receipt of", output_id)
    return output.receipt


@router.post("/outputs/{output_id}/refund")
async def post_refund(web: Web, asker: Operator, output_id: str, why: Reason) -> dict[str, Any]:
    """Take a sale back: its client has the money as prepaid money, creator and operator give their parts, and the
    certificate is revoked with the reason, for everybody to see. Once; asked again it only says so (`repeated`)."""
    return await refund(web, asker, output_id, why.reason)


async def refund(web: Gateway, asker: Identity, output_id: str, reason: str) -> dict[str, Any]:
    """The same for an operator in a browser. Raises Problem."""
    now = web.clock()
    async with web.pool.acquire() as conn, conn.transaction():
        done = await refund_output(conn, output_id=output_id, reason=reason, by=asker.account_id, now=now)
        if isinstance(done, Refusal):
            raise refused(done)
        row = await conn.fetchrow(
            "SELECT client_id, creator_id, revoked_at, revoked_reason FROM licensing.output WHERE output_id = $1",
            output_id,
        )
        if not done.repeated:
            await tell_refunded(conn, output_id, now=now)
            await tell_taken_back(conn, output_id, now=now)
            for account_id in (row["client_id"], row["creator_id"]):
                told = {"account_id": account_id, "by": asker.who, "now": now, "subject": output_id}
                await audit.note(conn, "sale_refunded", **told)
    return {
        "output": output_id,
        "amount": money(done.amount),
        "revoked_at": row["revoked_at"],
        "revoked_reason": row["revoked_reason"],
        "repeated": done.repeated,
    }


async def _link(web: Gateway, request: Request, output_id: str, *, client_id: str) -> str | None:
    """A link to the file, where this place gives them. None for pictures that a page shows, whose policy lets in what
    comes from here alone, and for one that is not yet where it stays."""
    if not web.settings.link_s or request.headers.get("sec-fetch-dest", "empty") not in _LED_ELSEWHERE:
        return None
    output = await _own(web, output_id, client_id)
    if output.storage_key.startswith(pending.PREFIX):
        return None
    # Signed here: nobody is asked, so nothing is waited for.
    return web.storage.link(
        output.storage_key, seconds=web.settings.link_s, mime=output.mime, filename=f"{output.id}.png"
    )


async def read_output(web: Gateway, output_id: str, *, client_id: str | None) -> tuple[Output, bytes]:
    """A picture and its bytes; where a client is named, only that client's own. Raises Problem."""
    output = await _own(web, output_id, client_id)
    try:
        return output, await asyncio.to_thread(web.storage.get, output.storage_key)
    except ObjectMissing:
        # It was moved to its final place between the question and here: ask once more.
        output = await _own(web, output_id, client_id)
        return output, await asyncio.to_thread(web.storage.get, output.storage_key)


async def _own(web: Gateway, output_id: str, client_id: str | None) -> Output:
    async with web.pool.acquire() as conn:
        output = await find_output(conn, output_id, client_id=client_id)
    if output is None:
        raise not_found("output", output_id)
    return output
