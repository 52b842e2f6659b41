"""`/v1/verify`: what a file or a certificate proves. For everybody."""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from licensing.certificates import Certificate
from licensing.verify import Verdict, verify
from service.api.shapes import money
from service.auth import Web
from service.errors import Problem
from service.limits import Limited
from service.resources import Gateway

router = APIRouter(tags=["verify"], dependencies=[Limited])

_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "certificate": {"type": "string"},
                    },
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"certificate": {"type": "string"}},
                    "required": ["certificate"],
                }
            },
        },
    }
}


@router.post("/verify", openapi_extra=_UPLOAD)
async def post_verify(web: Web, request: Request) -> dict[str, Any]:
    """Judge a picture (multipart, field `file`) or a certificate (field `certificate`, or JSON with that member)."""
    return verdict_document(await judge(web, await _read(request)))


async def judge(web: Gateway, content: bytes) -> Verdict:
    """The verdict on a file's bytes or a certificate's text. Raises Problem where there is nothing to judge."""
    if not content:
        raise Problem("invalid_request", "The file is empty; send the picture or the certificate you want judged.")
    async with web.pool.acquire() as conn:
        return await verify(conn, web.authority, content)


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "sentence": verdict.sentence,
        "output": verdict.output_id,
        "certificate": certificate_document(verdict.certificate) if verdict.certificate else None,
        "document": verdict.document,
        "distance": verdict.distance,
        "revoked_reason": verdict.revoked_reason,
    }


def certificate_document(certificate: Certificate) -> dict[str, Any]:
    """What a certificate says, readable."""
    return {
        "output": certificate.output_id,
        "generation": certificate.order_id,
        "client": {"id": certificate.client_id, "name": certificate.client_name},
        "creator": {"id": certificate.creator_id, "name": certificate.creator_name},
        "style": {"id": certificate.style_id, "name": certificate.style_name},
        "version": certificate.version_id,
        "tier": certificate.tier,
        "use": certificate.use,
        "terms_version": certificate.terms_version,
        "prompt_sha256": certificate.prompt_sha256,
        "output_sha256": certificate.output_sha256,
        "phash": certificate.phash,
        "size": [certificate.width, certificate.height],
        "amount": money(certificate.amount),
        "issued_at": certificate.issued_at,
        "test": certificate.test,
    }


async def _read(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = await request.form()
        file, certificate = form.get("file"), form.get("certificate")
        if isinstance(file, UploadFile):
            return await file.read()
        if isinstance(certificate, str):
            return certificate.encode()
        raise Problem(
            "invalid_request", "The form has neither a `file` nor a `certificate`; put what you want judged there."
        )
    if kind == "application/json":
        return _certificate_in(await request.body())
    if kind.startswith("image/") or kind in ("application/octet-stream", "application/jose", "text/plain"):
        return await request.body()
    raise Problem(
        "unsupported_media_type",
        f"The body is {kind or 'of no stated kind'}; send multipart/form-data with the field `file`,"
        ' or JSON {"certificate": "…"}.',
    )


def _certificate_in(body: bytes) -> bytes:
    try:
        content = json.loads(body)
    except ValueError as error:
        raise Problem("invalid_request", f'The body is no JSON ({error}); send {{"certificate": "…"}}.') from error
    text = content.get("certificate") if isinstance(content, dict) else content
    if not isinstance(text, str):
        raise Problem("invalid_request", 'The JSON has no text in `certificate`; send {"certificate": "…"}.')
    return text.encode()
