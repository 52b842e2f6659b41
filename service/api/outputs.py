"""`/v1/outputs`: a client's pictures, their certificates and receipts. Served at every level of the switch."""

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licensing.certificates import read_certificate
from service.api.verify import certificate_document
from service.auth import BuyerOrCreator, ClientReading, Web
from service.errors import ObjectMissing, not_found
from service.limits import Limited
from service.outputs import Output, find_output
from service.resources import Gateway

router = APIRouter(tags=["outputs"], dependencies=[Limited])


@router.get("/outputs/{output_id}", response_class=Response)
async def get_output(web: Web, asker: ClientReading, output_id: str) -> Response:
    """The sealed picture."""
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


async def read_output(web: Gateway, output_id: str, *, client_id: str) -> tuple[Output, bytes]:
    """A client's own picture and its bytes. Raises Problem."""
    output = await _own(web, output_id, client_id)
    try:
        return output, await asyncio.to_thread(web.storage.get, output.storage_key)
    except ObjectMissing:
        # It was moved to its final place between the question and here: ask once more.
        output = await _own(web, output_id, client_id)
        return output, await asyncio.to_thread(web.storage.get, output.storage_key)


async def _own(web: Gateway, output_id: str, client_id: str) -> Output:
    async with web.pool.acquire() as conn:
        output = await find_output(conn, output_id, client_id=client_id)
    if output is None:
        raise not_found("output", output_id)
    return output
