"""A client's API keys: made here, shown once, ended here."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import keys
from licensing.database import Connection
from licensing.keys import IssuedKey, KeyKind
from licensing.money import Money
from licensing.sentence import say
from service import audit
from service.auth import SCOPES
from service.errors import Problem, not_found, refused
from service.pages.forms import chosen, price
from service.pages.render import page, see_other
from service.pages.shelf import books_of, shelf
from service.pages.visits import ClientVisit, Member

router = APIRouter(include_in_schema=False)

KINDS: tuple[KeyKind, ...] = ("test", "live")
DAYS = ("", "30", "90", "365")
"""How long a key may be made for; empty: until it is revoked."""
OVERLAP = timedelta(days=1)
"""How long a key that was replaced works on, so that its program can be given the new one."""
_TRIED_MAX = 10
"""Styles that are looked at for one that a new key can be tried with; those one can order come first."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The form of a new key as somebody filled it in."""

    kind: str = "test"
    scopes: tuple[str, ...] = SCOPES["client"]
    cap: str = ""
    days: str = ""


NOTHING_ASKED = Asked()


@router.get("/desk/keys")
async def keys_page(visit: ClientVisit) -> HTMLResponse:
    """All keys of the client."""
    return await _show(visit, asked=Asked(kind="live" if visit.request.query_params.get("kind") == "live" else "test"))


@router.post("/desk/keys")
async def make_key(visit: ClientVisit) -> HTMLResponse:
    """A new key. The answer is a page and no redirect: the key is seen once."""
    asked = Asked(
        kind=await visit.field("kind"),
        scopes=tuple([scope for scope in SCOPES["client"] if await visit.field(f"scope-{scope}")]),
        cap=await visit.field("cap"),
        days=await visit.field("days"),
    )
    try:
        kind = chosen(asked.kind, KINDS)
        if not asked.scopes:
            raise Problem("invalid_request", say("The key may do nothing; tick at least one thing it may do."))
        currency = visit.web.prices.currency
        cap = price(asked.cap, currency=currency, name=say("Spending limit")).amount if asked.cap else None
        days = chosen(asked.days, DAYS)
    except Problem as problem:
        return await _show(visit, asked=asked, problem=problem)
    async with visit.web.pool.acquire() as conn, conn.transaction():
        issued = await keys.issue(
            conn,
            account_id=visit.account.id,
            kind=kind,
            scopes=asked.scopes,
            cap=cap,
            expires_at=visit.now + timedelta(days=int(days)) if days else None,
            new_id=visit.web.new_id,
            now=visit.now,
            pepper=visit.web.pepper,
        )
        await _note_member(conn, visit, "key_made_by_member", issued.id)
    return await _show(visit, issued=issued)


@router.post("/desk/keys/{key_id}/replace")
async def replace_key(visit: ClientVisit, key_id: str) -> HTMLResponse:
    """A new key in place of an old one, which works on for a day."""
    async with visit.web.pool.acquire() as conn, conn.transaction():
        issued = await keys.rotate(
            conn,
            key_id=key_id,
            account_id=visit.account.id,
            overlap=OVERLAP,
            new_id=visit.web.new_id,
            now=visit.now,
            pepper=visit.web.pepper,
        )
        if issued is None:
            raise not_found("key", key_id)
        await _note_member(conn, visit, "key_made_by_member", issued.id)
    return await _show(visit, issued=issued, is_replacement=True)


@router.post("/desk/keys/{key_id}/cap")
async def change_cap(visit: ClientVisit, key_id: str) -> Response:
    """Another spending limit for a key that has one."""
    try:
        cap = price(await visit.field("cap"), currency=visit.web.prices.currency, name=say("Spending limit"))
        async with visit.web.pool.acquire() as conn, conn.transaction():
            refusal = await keys.change_cap(conn, key_id=key_id, account_id=visit.account.id, cap=cap, now=visit.now)
            if refusal is not None:
                raise refused(refusal)
            who = visit.identity.who
            await audit.note(
                conn, "key_cap_changed", account_id=visit.account.id, by=who, now=visit.now, subject=key_id
            )
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/desk/keys?done=changed")


@router.post("/desk/keys/{key_id}/revoke")
async def revoke_key(visit: ClientVisit, key_id: str) -> Response:
    """End a key: from the answer on, nothing can be ordered with it."""
    async with visit.web.pool.acquire() as conn, conn.transaction():
        if not await keys.revoke(conn, key_id=key_id, account_id=visit.account.id, now=visit.now):
            raise not_found("key", key_id)
        await _note_member(conn, visit, "key_revoked_by_member", key_id)
    return see_other("/desk/keys?done=revoked")


async def _note_member(conn: Connection, visit: Member, kind: audit.Noted, key_id: str) -> None:
    """The rows of keys do not tell who of a team it was."""
    by = visit.identity.who
    if by.person:
        await audit.note(conn, kind, account_id=visit.account.id, by=by, now=visit.now, subject=key_id)


async def _show(
    visit: Member,
    *,
    asked: Asked = NOTHING_ASKED,
    problem: Problem | None = None,
    issued: IssuedKey | None = None,
    is_replacement: bool = False,
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        found = await keys.listing(conn, account_id=visit.account.id)
        books = await books_of(conn, visit, await shelf(conn, visit, most=_TRIED_MAX)) if issued else []
    new = next((one for one in found if issued is not None and one.id == issued.id), None)
    return page(
        visit,
        "desk_keys.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        keys=found,
        asked=asked,
        token=issued.token if issued else "",
        new=new,
        may_order=new is not None and (not new.scopes or "generate" in new.scopes),
        is_replacement=is_replacement,
        now=visit.now,
        style_id=next((book.style.id for book in books if book.can_order), ""),
        scopes=SCOPES["client"],
        currency=visit.web.prices.currency,
        cost=partial(Money, currency=visit.web.prices.currency),
        origin=visit.web.settings.origin,
        done=visit.request.query_params.get("done", ""),
    )
