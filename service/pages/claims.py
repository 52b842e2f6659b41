"""Claims to works, in the office and in the studio: found and written down, decided, answered, trained without."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response

from licensing import docket
from service import claims, withdrawing
from service.accounts import accounts_by_id
from service.api.claims import (
    ClaimBody,
    DecisionBody,
    RetrainingBody,
    WithheldBody,
    appeal_claim,
    decide_claim,
    find_matches,
    own_claim,
    post_claim,
    post_note,
    post_withheld,
    retrain,
    withdraw_claim,
)
from service.auth import check_csrf
from service.data_use import Use, read_file
from service.errors import ObjectMissing, Problem, not_found
from service.pages.forms import checked, chosen
from service.pages.proceedings import Verb, home_of, proceeding_page, speak
from service.pages.render import see_other
from service.pages.visits import CreatorVisit, Member, MemberVisit, OperatorUploader, OperatorVisit, member
from service.styles import style_names
from service.works import thumbnail_key, work_by_id

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_CREATOR, _OPERATOR = Depends(member("creator")), Depends(member("operator"))
_OUTCOMES: tuple[Literal["upheld", "rejected"], ...] = ("upheld", "rejected")
_SIDES: tuple[claims.Side, ...] = ("creator", "operator")


@router.get("/studio/claims", dependencies=[_CREATOR])
@router.get("/office/claims", dependencies=[_OPERATOR])
async def claims_page(visit: MemberVisit, before: str | None = None) -> HTMLResponse:
    """The newest first. In the office with the forms to find a work and to write a claim down."""
    return await _show_list(visit, before=before)


@router.post("/office/claims/matches")
async def search(visit: OperatorUploader) -> HTMLResponse:
    """Works that look like the picture which somebody shows."""
    try:
        check_csrf(visit.session, await visit.field("csrf"))
        found = (await find_matches(visit.web, visit.identity, visit.request))["items"]
    except Problem as problem:
        return await _show_list(visit, problem=problem)
    return await _show_list(visit, matches=found)


@router.post("/office/claims")
async def write_down(visit: OperatorVisit) -> Response:
    """Open a claim for somebody outside."""
    typed = {name: await visit.field(name) for name in ("work", "style", "words", "contact")}
    try:
        body = checked(ClaimBody, **{name: text or None for name, text in typed.items()})
        opened = await post_claim(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show_list(visit, problem=problem, typed=typed)
    return see_other(f"/office/claims/{opened['id']}?done=opened")


@router.get("/studio/claims/{claim_id}", dependencies=[_CREATOR])
@router.get("/office/claims/{claim_id}", dependencies=[_OPERATOR])
async def claim_page(visit: MemberVisit, claim_id: str) -> HTMLResponse:
    """One with all that was said, and what learnt from the work."""
    return await _show(visit, claim_id)


@router.get("/office/claims/{claim_id}/picture")
async def picture(visit: OperatorVisit, claim_id: str) -> Response:
    """The work, small. Its creator reads in the record that it was looked at."""
    async with visit.web.pool.acquire() as conn:
        claim = await own_claim(conn, visit.identity, claim_id)
        work = await work_by_id(conn, claim.work_id)
    if work is None:
        raise not_found("picture", claim_id)
    try:
        use = Use(purpose="case", by=visit.identity.who, job=claim_id)
        content = await read_file(visit.web, use, thumbnail_key(work.storage_key))
    except ObjectMissing as error:
        raise not_found("picture", claim_id) from error
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.post("/studio/claims/{claim_id}/notes", dependencies=[_CREATOR])
@router.post("/office/claims/{claim_id}/notes", dependencies=[_OPERATOR])
async def say(visit: MemberVisit, claim_id: str) -> Response:
    """Say something in it."""
    return await _speak(visit, claim_id, post_note, done="said")


@router.post("/studio/claims/{claim_id}/appeal", dependencies=[_CREATOR])
@router.post("/office/claims/{claim_id}/appeal", dependencies=[_OPERATOR])
async def appeal(visit: MemberVisit, claim_id: str) -> Response:
    """Ask for another decision."""
    return await _speak(visit, claim_id, appeal_claim, done="appealed")


@router.post("/office/claims/{claim_id}/withdraw")
async def withdraw(visit: OperatorVisit, claim_id: str) -> Response:
    """Whoever claims it lets it go."""
    return await _speak(visit, claim_id, withdraw_claim, done="withdrawn")


@router.post("/office/claims/{claim_id}/decide")
async def decide(visit: OperatorVisit, claim_id: str) -> Response:
    """Uphold or reject it, with a reason that the creator reads."""
    try:
        outcome = chosen(await visit.field("outcome"), _OUTCOMES)
        payer = chosen(await visit.field("paid_by"), _SIDES) if outcome == "upheld" else None
        body = checked(DecisionBody, outcome=outcome, reason=await visit.field("reason"), paid_by=payer)
        await decide_claim(visit.web, visit.identity, claim_id, body)
    except Problem as problem:
        return await _show(visit, claim_id, problem)
    return see_other(f"/office/claims/{claim_id}?done=decided")


@router.post("/studio/claims/{claim_id}/retrain")
async def train_again(visit: CreatorVisit, claim_id: str) -> Response:
    """Train a style without the work, with one press."""
    try:
        body = checked(RetrainingBody, style=await visit.field("style") or None)
        made = await retrain(visit.web, visit.identity, claim_id, body)
    except Problem as problem:
        return await _show(visit, claim_id, problem)
    return see_other(f"/studio/styles/{made['style']}/training")


@router.post("/studio/styles/{style_id}/withheld")
async def ask_for_withheld(visit: CreatorVisit, style_id: str) -> Response:
    """Say why a picture may come that was not taken."""
    body = checked(WithheldBody, sha256=await visit.field("sha256"), reason=await visit.field("reason"))
    await post_withheld(visit.web, visit.identity, style_id, body)
    return see_other(f"/studio/styles/{style_id}/works?asked=yes")


async def _speak(visit: Member, claim_id: str, verb: Verb, *, done: str) -> Response:
    return await speak(visit, _home(visit), claim_id, verb, done=done, show=_show)


async def _show_list(
    visit: Member,
    *,
    before: str | None = None,
    problem: Problem | None = None,
    typed: Mapping[str, str] | None = None,
    matches: list[dict[str, Any]] | None = None,
) -> HTMLResponse:
    own = visit.account.id if visit.account.role == "creator" else None
    async with visit.web.pool.acquire() as conn:
        found = await claims.list_claims(conn, creator_id=own, limit=_PER_PAGE + 1, before=before)
        names = await style_names(conn, {one.style_id for one in found} | {one["style"] for one in matches or ()})
    shown = found[:_PER_PAGE]
    return _page(
        visit,
        "claims.html",
        problem,
        claims=shown,
        steps={one.id: docket.step(one, visit.now) for one in shown},
        style_names=names,
        older=shown[-1].id if len(found) > _PER_PAGE else "",
        matches=matches,
        typed=typed or {"work": "", "style": "", "words": "", "contact": ""},
    )


async def _show(visit: Member, claim_id: str, problem: Problem | None = None) -> HTMLResponse:
    is_operator = visit.account.role == "operator"
    async with visit.web.pool.acquire() as conn:
        claim = await own_claim(conn, visit.identity, claim_id)
        versions = await withdrawing.named_versions(conn, claim)
        opened = await withdrawing.opened_for_training(conn, claim)
        names = await style_names(conn, {*claim.styles, *(one.style_id for one in versions)})
        work = await work_by_id(conn, claim.work_id)
        contact = await claims.contact(conn, claim_id) if is_operator else None
        people = await accounts_by_id(conn, {claim.creator_id}) if is_operator else {}
    step = docket.step(claim, visit.now)
    return _page(
        visit,
        "claim.html",
        problem,
        claim=claim,
        step=step,
        versions=versions,
        opened=opened,
        style_names=names,
        work=work,
        contact=contact,
        creator=people.get(claim.creator_id),
        may_appeal=step is not None and step.waits_for == "appeal",
        may_decide=is_operator and step is not None and step.waits_for in ("decision", "final decision"),
        may_retrain=not is_operator and claim.in_effect_at is not None,
    )


def _page(visit: Member, template: str, problem: Problem | None, **values: Any) -> HTMLResponse:
    return proceeding_page(visit, template, problem, home=_home(visit), **values)


def _home(visit: Member) -> str:
    return home_of(visit, "claims")
