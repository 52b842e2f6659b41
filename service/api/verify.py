"""`/v1/verify`: what a file or a certificate proves. For everybody, though not everybody is told everything."""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from licensing.certificates import Certificate
from licensing.sentence import say
from licensing.verify import Verdict, verify
from service.api.shapes import money, permissions_document
from service.auth import Anyone, Identity, Web
from service.errors import Problem
from service.limits import count_check
from service.resources import Gateway

router = APIRouter(tags=["verify"])

# Of a certificate: what a stranger is not told. The hash of the prompt would let them try prompts until one fits.
_BETWEEN_THEM = frozenset({"generation", "client", "prompt_sha256", "amount"})
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
async def post_verify(web: Web, asker: Anyone, request: Request) -> dict[str, Any]:
    """Judge a picture (multipart, field `file`) or a certificate (field `certificate`, or JSON with that member).

    Strangers are told whose style it is and what the licence allows; who bought it and for how much is for the client,
    the creator and the operator.
    """
    count_check(request, asker.account_id if asker else None)
    return await judge(web, await _read(request), asker)


async def judge(web: Gateway, content: bytes, asker: Identity | None) -> dict[str, Any]:
    """The verdict on a file's bytes or a certificate's text, as much of it as `asker` may know. Raises Problem where
    there is nothing to judge."""
    if not content:
        raise Problem("invalid_request", say("The file is empty; send the picture or the certificate you want judged."))
    async with web.house() as conn:
        verdict = await verify(conn, web.authority, content, now=web.clock(), watermark=web.watermark)
    return verdict_document(verdict, asker)


def verdict_document(verdict: Verdict, asker: Identity | None) -> dict[str, Any]:
    """What is told of a verdict, in the API and on the page.

    The client, the creator and the operator: everything. Strangers: of what is certainly this output, whose style it is
    and what the licence allows; of a likeness only the output and the style, for it may be somebody else's picture.
    """
    paper = verdict.certificate
    is_party = paper is not None and _is_party(paper, asker)
    told: dict[str, Any] | None = None
    if paper is not None and (is_party or verdict.is_certain):
        told = certificate_document(paper)
        told = told if is_party else {name: told[name] for name in told if name not in _BETWEEN_THEM}
    return {
        "verdict": verdict.verdict,
        "sentence": verdict.sentence,
        "output": verdict.output_id,
        "style": {"id": paper.style_id, "name": paper.style_name} if paper else None,
        "test": verdict.is_test,
        "certificate": told,
        "document": verdict.document if is_party else None,
        "distance": verdict.distance,
        "revoked_reason": verdict.revoked_reason,
        "expired_at": verdict.expired_at,
    }


def _is_party(paper: Certificate, asker: Identity | None) -> bool:
    return asker is not None and (asker.role == "operator" or asker.account_id in (paper.client_id, paper.creator_id))


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
        "licence": permissions_document(certificate.permissions) if certificate.permissions else None,
        "expires_at": certificate.expires_at,
        "ownership_terms": certificate.ownership_terms,
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
