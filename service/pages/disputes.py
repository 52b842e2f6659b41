"""Disputes for both parties and the operator: the list, one with all that was said, and the forms of each step."""

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response

from licensing import docket
from licensing.disputes import GROUNDS
from licensing.docket import Dispute, Side
from service.accounts import accounts_by_id
from service.api.disputes import (
    DecisionBody,
    DisputeBody,
    TakedownBody,
    appeal_dispute,
    decide_dispute,
    post_dispute,
    post_note,
    post_takedown,
    withdraw_dispute,
)
from service.api.outputs import get_certificate
from service.disputed import shows_pictures, shows_words, subjects_of
from service.errors import Problem, not_found
from service.languages import gettext
from service.pages import words
from service.pages.forms import checked, price
from service.pages.proceedings import Verb, home_of, proceeding_page, speak
from service.pages.render import see_other
from service.pages.visits import ClientVisit, CreatorVisit, Member, MemberVisit, OperatorVisit, member

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_CLIENT, _CREATOR, _OPERATOR = Depends(member("client")), Depends(member("creator")), Depends(member("operator"))


@router.get("/desk/disputes", dependencies=[_CLIENT])
@router.get("/studio/disputes", dependencies=[_CREATOR])
@router.get("/office/disputes", dependencies=[_OPERATOR])
async def disputes_page(visit: MemberVisit, before: str | None = None) -> HTMLResponse:
    """Of a party: all, the newest first. Of the operator: those that run, the next date first."""
    return await _show_list(visit, before=before)


@router.get("/desk/disputes/{dispute_id}", dependencies=[_CLIENT])
@router.get("/studio/disputes/{dispute_id}", dependencies=[_CREATOR])
@router.get("/office/disputes/{dispute_id}", dependencies=[_OPERATOR])
async def dispute_page(visit: MemberVisit, dispute_id: str) -> HTMLResponse:
    """One with all that was said and decided."""
    return await _show(visit, dispute_id)


@router.post("/desk/disputes/{dispute_id}/notes", dependencies=[_CLIENT])
@router.post("/studio/disputes/{dispute_id}/notes", dependencies=[_CREATOR])
@router.post("/office/disputes/{dispute_id}/notes", dependencies=[_OPERATOR])
async def say(visit: MemberVisit, dispute_id: str) -> Response:
    """Say something in it."""
    return await _speak(visit, dispute_id, post_note, done="said")


@router.post("/desk/disputes/{dispute_id}/appeal", dependencies=[_CLIENT])
@router.post("/studio/disputes/{dispute_id}/appeal", dependencies=[_CREATOR])
@router.post("/office/disputes/{dispute_id}/appeal", dependencies=[_OPERATOR])
async def appeal(visit: MemberVisit, dispute_id: str) -> Response:
    """Ask for another decision."""
    return await _speak(visit, dispute_id, appeal_dispute, done="appealed")


@router.post("/desk/disputes/{dispute_id}/withdraw", dependencies=[_CLIENT])
@router.post("/studio/disputes/{dispute_id}/withdraw", dependencies=[_CREATOR])
@router.post("/office/disputes/{dispute_id}/withdraw", dependencies=[_OPERATOR])
async def withdraw(visit: MemberVisit, dispute_id: str) -> Response:
    """Let one's own dispute go."""
    return await _speak(visit, dispute_id, withdraw_dispute, done="withdrawn")


@router.post("/office/disputes/{dispute_id}/decide")
async def decide(visit: OperatorVisit, dispute_id: str) -> Response:
    """Decide, with a reason that both sides read."""
    try:
        typed = await visit.field("amount")
        body = checked(
            DecisionBody,
            outcome=await visit.field("outcome"),
            reason=await visit.field("reason"),
            amount=price(typed, currency=visit.web.prices.currency, name=gettext("Amount")).amount if typed else None,
        )
        await decide_dispute(visit.web, visit.identity, dispute_id, body)
    except Problem as problem:
        return await _show(visit, dispute_id, problem)
    return see_other(f"/office/disputes/{dispute_id}?done=decided")


@router.post("/office/takedowns")
async def take_down(visit: OperatorVisit) -> Response:
    """Open a dispute for somebody outside."""
    names = ("output", "order", "words", "contact")
    typed = {name: await visit.field(name) for name in names}
    try:
        body = checked(TakedownBody, **{name: text or None for name, text in typed.items()})
        opened = await post_takedown(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show_list(visit, problem=problem, typed=typed)
    return see_other(f"/office/disputes/{opened['id']}?done=opened")


@router.get("/desk/outputs/{output_id}/dispute")
async def client_form(visit: ClientVisit, output_id: str) -> HTMLResponse:
    """Say what is wrong with a picture that was bought."""
    return await _show_form(visit, output_id)


@router.post("/desk/outputs/{output_id}/dispute")
async def client_opens(visit: ClientVisit, output_id: str) -> Response:
    return await _open(visit, output_id)


@router.get("/studio/sales/{output_id}/dispute")
async def creator_form(visit: CreatorVisit, output_id: str) -> HTMLResponse:
    """Say what is wrong with the line of a picture that was sold."""
    return await _show_form(visit, output_id)


@router.post("/studio/sales/{output_id}/dispute")
async def creator_opens(visit: CreatorVisit, output_id: str) -> Response:
    return await _open(visit, output_id)


async def _speak(visit: Member, dispute_id: str, verb: Verb, *, done: str) -> Response:
    return await speak(visit, _home(visit), dispute_id, verb, done=done, show=_show)


async def _open(visit: Member, output_id: str) -> Response:
    typed = {name: await visit.field(name) for name in ("ground", "words")}
    try:
        body = checked(DisputeBody, **typed)
        opened = await post_dispute(visit.web, visit.identity, output_id, body)
    except Problem as problem:
        return await _show_form(visit, output_id, problem, typed)
    return see_other(f"{_home(visit)}/{opened['id']}?done=opened")


async def _show_form(
    visit: Member, output_id: str, problem: Problem | None = None, typed: dict[str, str] | None = None
) -> HTMLResponse:
    paper = (await get_certificate(visit.web, visit.identity, output_id))["document"]
    if paper is None:
        raise not_found("certificate", output_id)
    return _page(
        visit,
        "dispute_form.html",
        problem,
        paper=paper,
        grounds=_grounds(visit.account.role),
        typed=typed or {"ground": "", "words": ""},
        action=visit.request.url.path,
    )


async def _show_list(
    visit: Member,
    *,
    before: str | None = None,
    problem: Problem | None = None,
    typed: dict[str, str] | None = None,
) -> HTMLResponse:
    is_operator = visit.account.role == "operator"
    async with visit.web.pool.acquire() as conn:
        if is_operator:
            found = await docket.running(conn, limit=_PER_PAGE + 1, after=before)
        else:
            found = await docket.disputes_of(conn, visit.account.id, limit=_PER_PAGE + 1, before=before)
        shown = found[:_PER_PAGE]
        subjects = await subjects_of(conn, shown)
    return _page(
        visit,
        "disputes.html",
        problem,
        disputes=shown,
        subjects=subjects,
        steps={one.id: docket.step(one, visit.now) for one in shown},
        older=shown[-1].id if len(found) > _PER_PAGE else "",
        typed=typed or {"output": "", "order": "", "words": "", "contact": ""},
    )


async def _show(visit: Member, dispute_id: str, problem: Problem | None = None) -> HTMLResponse:
    is_operator = visit.account.role == "operator"
    async with visit.web.pool.acquire() as conn:
        dispute = await docket.find_dispute(conn, dispute_id)
        if dispute is None:
            raise not_found("dispute", dispute_id)
        notes = await docket.notes(conn, dispute_id)
        subject = (await subjects_of(conn, [dispute]))[dispute_id]
        contact = await docket.contact(conn, dispute_id) if is_operator else None
        known = {dispute.creator_id, *([dispute.client_id] if dispute.client_id else [])} if is_operator else set()
        people = await accounts_by_id(conn, known)
    step = docket.step(dispute, visit.now)
    return _page(
        visit,
        "dispute.html",
        problem,
        dispute=dispute,
        subject=subject,
        shows_pictures=shows_pictures(dispute, visit.account.role),
        shows_words=shows_words(dispute, visit.account.role),
        notes=notes,
        contact=contact,
        people=people,
        step=step,
        may_withdraw=dispute.state == "open" and dispute.opener == visit.account.role,
        may_appeal=step is not None and step.waits_for == "appeal",
        may_decide=is_operator and step is not None and step.waits_for in ("decision", "final decision"),
        outcomes={name: words.OUTCOMES[name] for name in _outcomes(dispute)},
    )


def _outcomes(dispute: Dispute) -> tuple[docket.Outcome, ...]:
    """What can be decided: a creator's own dispute is about its share alone."""
    return ("corrected", "released") if dispute.opener == "creator" else ("released", "partly", "refunded")


def _grounds(side: Side) -> dict[str, str]:
    """In the language that is spoken."""
    return {name: gettext(said) for name, said in GROUNDS[side].items()}


def _page(visit: Member, template: str, problem: Problem | None, **values: Any) -> HTMLResponse:
    return proceeding_page(
        visit,
        template,
        problem,
        home=_home(visit),
        grounds_of={side: _grounds(side) for side in GROUNDS},
        currency=visit.web.prices.currency,
        **values,
    )


def _home(visit: Member) -> str:
    return home_of(visit, "disputes")
