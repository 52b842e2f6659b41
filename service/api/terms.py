"""`/v1/terms`: who owns what here, in versions, and what an account accepted. For everybody to read."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from licensing.sentence import say
from service.accounts import account_by_id
from service.auth import Anyone, Identity, Member, Web
from service.errors import Problem, not_found
from service.ownership import accept, find_version
from service.resources import Gateway

router = APIRouter(tags=["terms"])


class Acceptance(BaseModel):
    """`version` is the one that was read: another one is not accepted by mistake."""

    model_config = ConfigDict(extra="forbid")

    version: int


@router.get("/terms")
async def get_terms(web: Web, asker: Anyone) -> dict[str, Any]:
    """The version in force: clauses with `owner` (whose it is) and `never` (what the operator may not do). `sha256` is
    of title, since, version and clauses as JSON with sorted keys and without blanks. `accepted` is the asker's own."""
    terms = web.ownership
    return {**terms.document, "sha256": terms.sha256, "accepted": await _accepted(web, asker)}


@router.get("/terms/{version}")
async def get_version(web: Web, version: Annotated[int, Path(ge=0, le=10**9)]) -> dict[str, Any]:
    """A version that is or was in force, as generations and certificates name it."""
    async with web.pool.acquire() as conn:
        found = await find_version(conn, version)
    if found is None:
        raise not_found("version of the terms", str(version))
    document, sha256 = found
    return {**document, "sha256": sha256}


@router.post("/terms/accept")
async def post_acceptance(web: Web, asker: Member, body: Acceptance) -> dict[str, Any]:
    """Accept the version in force for this account. Again changes nothing."""
    await accept_version(web, asker, body.version)
    return {"accepted": await _accepted(web, asker)}


async def accept_version(web: Gateway, asker: Identity, version: int) -> None:
    """The same for somebody in a browser. Raises Problem for a version that is not in force."""
    if version != web.ownership.version:
        raise Problem(
            "conflict",
            say(
                "Version {version} is not in force, version {ownership_version} is; read that one and accept it.",
                version=version,
                ownership_version=web.ownership.version,
            ),
        )
    async with web.pool.acquire() as conn:
        await accept(conn, account_id=asker.account_id, version=version, by=asker.who, now=web.clock())


async def _accepted(web: Gateway, asker: Identity | None) -> dict[str, Any] | None:
    """`at` is null where the account was opened under the version and nobody has said yes to it yet."""
    if asker is None:
        return None
    async with web.pool.acquire() as conn:
        account = await account_by_id(conn, asker.account_id)
    return {"version": account.ownership_terms or None, "at": account.accepted_at} if account else None
