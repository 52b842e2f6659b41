"""The page of an account's second factor: set up with an app, recovery codes, and off again."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service import totp
from service.auth import owes_second_factor
from service.errors import Problem
from service.languages import gettext
from service.pages.qr import qr_svg
from service.pages.render import page, see_other
from service.pages.visits import Member, MemberVisit
from service.second_factors import (
    RECOVERY_CODES,
    ask_at_links,
    begin_factor,
    confirm_factor,
    find_factor,
    renew_codes,
    switch_off,
)

router = APIRouter(include_in_schema=False)


@router.get("/account/second-factor")
async def second_factor_page(visit: MemberVisit) -> HTMLResponse:
    """What it is, and the form for the next step."""
    return await _show(visit)


@router.post("/account/second-factor/begin")
async def begin(visit: MemberVisit) -> HTMLResponse:
    """Show the secret, as a code to be scanned and as text."""
    return await _show(visit, is_begun=True)


@router.post("/account/second-factor/confirm")
async def confirm(visit: MemberVisit) -> HTMLResponse:
    """Switch it on by the app's first code. The answer is a page: recovery codes are seen once."""
    try:
        codes = await confirm_factor(
            visit.web, account_id=visit.account.id, code=await visit.field("code"), by=visit.identity.who
        )
    except Problem as problem:
        return await _show(visit, is_begun=problem.slug != "conflict", problem=problem)
    return await _show(visit, codes=codes)


@router.post("/account/second-factor/codes")
async def new_codes(visit: MemberVisit) -> HTMLResponse:
    """New recovery codes, seen once."""
    try:
        codes = await renew_codes(
            visit.web, account_id=visit.account.id, code=await visit.field("code"), by=visit.identity.who
        )
    except Problem as problem:
        return await _show(visit, problem=problem)
    return await _show(visit, codes=codes)


@router.post("/account/second-factor/links")
async def at_links(visit: MemberVisit) -> Response:
    """Whether links ask for a code, too."""
    try:
        await ask_at_links(
            visit.web,
            account_id=visit.account.id,
            code=await visit.field("code"),
            at_links=bool(await visit.field("at_links")),
            by=visit.identity.who,
        )
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/account/second-factor")


@router.post("/account/second-factor/off")
async def off(visit: MemberVisit) -> Response:
    """Switch it off by a code."""
    try:
        await switch_off(visit.web, account_id=visit.account.id, code=await visit.field("code"), by=visit.identity.who)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/account?done=factor_off#second-factor")


async def _show(
    visit: Member, *, is_begun: bool = False, codes: list[str] | None = None, problem: Problem | None = None
) -> HTMLResponse:
    account = visit.account
    async with visit.web.pool.acquire() as conn:
        factor = await find_factor(conn, account.id)
        secret = None
        if is_begun and factor is None:
            secret = await begin_factor(conn, account_id=account.id, pepper=visit.web.pepper, now=visit.now)
    link = totp.link(secret, issuer=visit.web.settings.operator_name, account=account.email) if secret else ""
    return page(
        visit,
        "second_factor.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        factor=factor,
        codes=codes or [],
        qr=qr_svg(link, title=gettext("QR code with the secret that is written below")) if secret else "",
        secret=_in_fours(totp.as_text(secret)) if secret else "",
        link=link,
        is_needed=factor is None and owes_second_factor(visit.web, visit.session),
        num_codes=RECOVERY_CODES,
    )


def _in_fours(text: str) -> str:
    """As people type it."""
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))
