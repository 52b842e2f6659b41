"""What strangers need to check signatures by themselves: public keys, the root of all seals, and what was taken back.

They may be kept and read from other sites' pages.
"""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from licensing.authority import public_keys
from licensing.revocations import Revocation, list_revocations, sign_revocations
from service.api.shapes import Cursor, Limit, bytes_of, page
from service.auth import Web

router = APIRouter(tags=["verify"])
well_known = APIRouter(prefix="/.well-known", tags=["verify"])

# A minute for what may change at any time, such as terms. Keys change seldom, and whoever meets an unknown one asks
# again anyway.
A_MINUTE, AN_HOUR, A_DAY = 60, 3600, 86_400


def shared_for(seconds: int) -> dict[str, str]:
    """Headers of what anybody may keep for so long, and other sites' pages may read."""
    return {
        "Cache-Control": f"public, max-age={seconds}",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


@well_known.get("/jwks.json", response_class=Response, responses=bytes_of("application/jwk-set+json"))
async def get_keys(web: Web) -> JSONResponse:
    """Every key that ever signed documents here (RFC 7517), the present one first. Documents name theirs in `kid`."""
    content = {"keys": public_keys(web.authority)}
    return JSONResponse(content, headers=shared_for(AN_HOUR), media_type="application/jwk-set+json")


@well_known.get("/ownhand-root.pem", response_class=Response, responses=bytes_of("application/x-pem-file"))
async def get_root(web: Web) -> Response:
    """The certificate that every seal leads to: the trust anchor to give to a C2PA reader."""
    return Response(web.authority.root, headers=shared_for(A_DAY), media_type="application/x-pem-file")


@router.get("/revocations")
async def get_revocations(web: Web, response: Response, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Outputs whose licence was taken back, oldest first: whoever has read all goes on from the last `id` as cursor."""
    async with web.house() as conn:
        found = await list_revocations(conn, after=cursor, limit=limit + 1)
    response.headers.update(shared_for(A_MINUTE))
    return page(found, limit, _document)


@router.get("/revocations/signed", response_class=Response, responses=bytes_of("application/jose"))
async def get_signed_revocations(web: Web) -> Response:
    """All of them as one signed document (a JWS; keys at `/.well-known/jwks.json`), to be kept and checked offline."""
    async with web.house() as conn:
        document = await sign_revocations(conn, web.authority, now=web.clock())
    return Response(document, headers=shared_for(A_MINUTE), media_type="application/jose")


def _document(one: Revocation) -> dict[str, Any]:
    return {"id": one.output_id, "revoked_at": one.revoked_at, "reason": one.reason}
