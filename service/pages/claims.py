"""Claims to works, in the office and in the studio: found and written down, decided, answered, trained without."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response

from licensing.deadlines import CLOCK
from service import claims, withdrawing
from service.accounts import accounts_by_id
from service.api.claims import (
    ClaimBody,
    DecisionBody,
    RetrainingBody,
    WithheldBody,
    WordsBody,
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
from service.claims import Claim
from service.data_use import Use, read_file
from service.errors import ObjectMissing, Problem, not_found
from service.pages.forms import checked, chosen
from service.pages.render import page, see_other
from service.pages.visits import CreatorVisit, Member, MemberVisit, OperatorUploader, OperatorVisit, member
from service.styles import style_names
from service.works import thumbnail_key, work_by_id

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_CREATOR, _OPERATOR = Depends(member("creator")), Depends(member("operator"))
_BASES = {"creator": "studio_disputes_base.html", "operator": "office_base.html"}
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
    try:
        await post_note(visit.web, visit.identity, claim_id, checked(WordsBody, words=await visit.field("words")))
    except Problem as problem:
        return await _show(visit, claim_id, problem)
    return see_other(f"{_home(visit)}/{claim_id}?done=said")


@router.post("/studio/claims/{claim_id}/appeal", dependencies=[_CREATOR])
@router.post("/office/claims/{claim_id}/appeal", dependencies=[_OPERATOR])
async def appeal(visit: MemberVisit, claim_id: str) -> Response:
    """Ask for another decision."""
    try:
        await appeal_claim(visit.web, visit.identity, claim_id, checked(WordsBody, words=await visit.field("words")))
    except Problem as problem:
        return await _show(visit, claim_id, problem)
    return see_other(f"{_home(visit)}/{claim_id}?done=appealed")


@router.post("/office/claims/{claim_id}/withdraw")
async def withdraw(visit: OperatorVisit, claim_id: str) -> Response:
    """Whoever claims it lets it go."""
    try:
        await withdraw_claim(visit.web, visit.identity, claim_id, checked(WordsBody, words=await visit.field("words")))
    except Problem as problem:
        return await _show(visit, claim_id, problem)
    return see_other(f"/office/claims/{claim_id}?done=withdrawn")


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
        steps={one.id: claims.step(one, visit.now) for one in shown},
        style_names=names,
        older=shown[-1].id if len(found) > _PER_PAGE else "",
        matches=matches,
        typed=typed or {"work": "", "style": "", "words": "", "contact": ""},
        contact_most=claims.CONTACT_CHARACTERS_MAX,
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
    step = claims.step(claim, visit.now)
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
        may_retrain=not is_operator and _is_held(claim),
    )


def _is_held(claim: Claim) -> bool:
    return claim.in_effect_at is not None


def _page(visit: Member, template: str, problem: Problem | None, **values: Any) -> HTMLResponse:
    return page(
        visit,
        template,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        own_problem=False,
        base=_BASES[visit.account.role],
        home=_home(visit),
        role=visit.account.role,
        clock=CLOCK,
        words_most=claims.WORDS_CHARACTERS_MAX,
        done=visit.request.query_params.get("done", ""),
        **values,
    )


def _home(visit: Member) -> str:
    return "/office/claims" if visit.account.role == "operator" else "/studio/claims"
