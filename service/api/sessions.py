"""`/v1/sessions`: the browsers that are signed in to an account, and signing them out from afar."""

from typing import Any

from fastapi import APIRouter

from service.api.shapes import Cursor, Limit, page
from service.auth import Identity, Member, MemberReading, Web
from service.errors import not_found
from service.resources import Gateway
from service.sessions import ListedSession, end_all_sessions, end_listed, list_sessions

router = APIRouter(tags=["account"])


@router.get("/sessions")
async def get_sessions(web: Web, asker: MemberReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Where this account is signed in, newest first. `is_this` marks the session that asks; a token has none."""
    this = asker.session.mark if asker.session else None
    async with web.pool.acquire() as conn:
        found = await list_sessions(conn, asker.account_id, now=web.clock(), limit=limit + 1, after=cursor or "")
    return page(found, limit, lambda one: _document(one, this))


@router.delete("/sessions/{session_id}", status_code=204)
async def delete_session(web: Web, asker: Member, session_id: str) -> None:
    """Sign one browser out. Streams that it has open end within a second."""
    await end_one(web, asker, session_id)


@router.delete("/sessions")
async def delete_sessions(web: Web, asker: Member) -> dict[str, Any]:
    """Sign every browser out, but the one that asks."""
    return {"ended": await end_others(web, asker)}


async def end_one(web: Gateway, asker: Identity, session_id: str) -> None:
    """The same for somebody in a browser. Raises Problem where the account has no such session."""
    async with web.pool.acquire() as conn:
        if not await end_listed(conn, session_id, account_id=asker.account_id, by=asker.who, now=web.clock()):
            raise not_found("session", session_id)


async def end_others(web: Gateway, asker: Identity) -> int:
    """How many sessions were ended."""
    async with web.pool.acquire() as conn:
        return await end_all_sessions(
            conn, account_id=asker.account_id, now=web.clock(), by=asker.who, but=asker.session
        )


def _document(one: ListedSession, this: str | None) -> dict[str, Any]:
    return {
        "id": one.id,
        "way": one.way,
        "device": one.device,
        "created_at": one.created_at,
        "seen_at": one.seen_at,
        "expires_at": one.expires_at,
        "is_this": one.id == this,
    }
