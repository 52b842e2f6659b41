"""The works of a style: upload many, say whose they are, say what they show, leave some out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service import reviews
from service.api.styles import own_style
from service.api.trainings import find_recipe
from service.api.uploads import give_up
from service.api.works import (
    Answer,
    WorkChange,
    answer_finding,
    delete_work,
    note_rights,
    patch_work,
    take_files,
    upload_form,
)
from service.arriving import find_upload
from service.auth import check_csrf
from service.consents import Consent, ConsentState, list_consents
from service.ending_starts import end_orders_without_start
from service.errors import Problem, not_found
from service.pages.forms import checked, chosen
from service.pages.render import is_fragment, page, see_other
from service.pages.standing import load_standing
from service.pages.visits import CreatorVisit, Member, Uploader
from service.pages.work_cards import Place, deal
from service.uploads import Taken
from service.works import Rights, StoredWork, change_work, find_work, list_works, take_suggested

router = APIRouter(include_in_schema=False)

KNOWN_RIGHTS: tuple[Rights, ...] = ("mine", "client_consented", "licensed", "unsure")
_FRAGMENTS = {"works": "_works.html", "looked": "_looked_all.html"}


@router.get("/studio/styles/{style_id}/works")
async def works_page(visit: CreatorVisit, style_id: str, arrived: int = 0) -> HTMLResponse:
    """A page of the works with what the review says about them; those first that need their creator."""
    return await _show(visit, style_id, num_arrived=arrived)


@router.post("/studio/styles/{style_id}/works")
async def upload(visit: Uploader, style_id: str) -> Response:
    """Take many files. Where some are refused the page says which and why; the others are kept."""
    try:
        async with visit.web.pool.acquire() as conn:
            style = await own_style(conn, style_id, visit.account.id)
        async with upload_form(visit.request, visit.web) as form:
            check_csrf(visit.session, str(form.get("csrf", "")))
            taken = await take_files(visit.web, visit.identity, style, form)
    except Problem as problem:
        return await _show(visit, style_id, problem=problem)
    kept = [one for one in taken if one.work is not None]
    if len(kept) < len(taken):
        return await _show(visit, style_id, taken=taken, num_arrived=len(kept))
    return see_other(f"/studio/styles/{style_id}/works?arrived={len(kept)}")


@router.post("/studio/styles/{style_id}/upload/end")
async def end_upload(visit: CreatorVisit, style_id: str) -> Response:
    """Give up what has not come of the open upload, and put its list away."""
    await give_up(visit.web, visit.identity, style_id)
    return see_other(f"/studio/styles/{style_id}/works{_place(visit).query}")


@router.post("/studio/styles/{style_id}/rights")
async def set_rights(visit: CreatorVisit, style_id: str) -> Response:
    """One answer for many works: for those without an answer yet, or for all."""
    try:
        rights = chosen(await visit.field("rights"), KNOWN_RIGHTS)
        which = chosen(await visit.field("which"), ("unsure", "all"))
        async with visit.web.pool.acquire() as conn, conn.transaction():
            await own_style(conn, style_id, visit.account.id)
            changed = []
            for work in await list_works(conn, style_id=style_id, creator_id=visit.account.id):
                # What a case of the operator's holds stays as it is; its card says so.
                if which == "all" or work.rights == "unsure":
                    after = await change_work(
                        conn, work_id=work.id, creator_id=visit.account.id, now=visit.now, rights=rights
                    )
                    changed += [(work, after)] if after is not None else []
            await note_rights(conn, visit.identity, changed, now=visit.now)
        await end_orders_without_start(visit.web)
    except Problem as problem:
        return await _show(visit, style_id, problem=problem)
    return see_other(f"/studio/styles/{style_id}/works{_place(visit).query}")


@router.get("/studio/works/{work_id}")
async def one_work(visit: CreatorVisit, work_id: str) -> Response:
    """One work's card where htmx asks for it; else its place on the page of all works."""
    work = await _own(visit, work_id)
    if not is_fragment(visit.request, work_id):
        asked = _place(visit).query or f"?work={work_id}"
        return see_other(f"/studio/styles/{work.style_id}/works{asked}#{work_id}")
    return await _show(visit, work.style_id, only=work_id)


@router.post("/studio/works/{work_id}")
async def change_one(visit: CreatorVisit, work_id: str) -> Response:
    """Rights, captions, whether it trains and whether clients may start from it."""
    captions = [part.strip() for part in (await visit.field("captions")).split(";") if part.strip()]
    include = bool(await visit.field("include"))
    rights = await visit.field("rights")
    work = await _own(visit, work_id)
    # A card whose rights are changed says nothing of clients yet: other rights take the offer back.
    start = bool(await visit.field("start")) if rights == work.rights else None
    try:
        body = checked(WorkChange, rights=rights, captions=captions, include=include, start=start)
        await patch_work(visit.web, visit.identity, work_id, body)
    except Problem as problem:
        return await _show(visit, work.style_id, only=work_id, problem=problem)
    return see_other(f"/studio/works/{work_id}{_place(visit).query}")


@router.post("/studio/works/{work_id}/words")
async def take_words(visit: CreatorVisit, work_id: str) -> Response:
    """Make the suggested words the creator's own, to be edited like any."""
    await _own(visit, work_id)
    async with visit.web.pool.acquire() as conn:
        await take_suggested(conn, work_id=work_id, creator_id=visit.account.id, now=visit.now)
    return see_other(f"/studio/works/{work_id}{_place(visit).query}")


@router.post("/studio/works/{work_id}/answer")
async def answer_one(visit: CreatorVisit, work_id: str) -> Response:
    """Keep it in spite of a finding, take that back, appeal, or leave it out."""
    try:
        act = chosen(await visit.field("act"), ("answer", "exclude"))
        if act == "exclude":
            await patch_work(visit.web, visit.identity, work_id, WorkChange(include=False))
        else:
            body = checked(Answer, kind=await visit.field("kind"), reason=await visit.field("reason"))
            await answer_finding(visit.web, visit.identity, work_id, body)
    except Problem as problem:
        work = await _own(visit, work_id)
        return await _show(visit, work.style_id, only=work_id, problem=problem)
    return see_other(f"/studio/works/{work_id}{_place(visit).query}")


@router.post("/studio/styles/{style_id}/exclude")
async def exclude_many(visit: CreatorVisit, style_id: str) -> Response:
    """Leave out the works that a finding about the whole set speaks of."""
    form = await visit.form()
    async with visit.web.pool.acquire() as conn, conn.transaction():
        await own_style(conn, style_id, visit.account.id)
        for work_id in form.getlist("works"):
            await change_work(conn, work_id=str(work_id), creator_id=visit.account.id, now=visit.now, include=False)
    return see_other(f"/studio/styles/{style_id}/works{_place(visit).query}")


@router.post("/studio/works/{work_id}/delete")
async def delete_one(visit: CreatorVisit, work_id: str) -> Response:
    """Delete a work and its file."""
    work = await _own(visit, work_id)
    await delete_work(visit.web, visit.identity, work_id)
    return see_other(f"/studio/styles/{work.style_id}/works{_place(visit).query}")


def _place(visit: Member) -> Place:
    """Where in the cards the visitor is; the address of every form on them says so."""
    return Place.of(visit.request.query_params)


def _asked_about(asked: Sequence[Consent], now: datetime) -> dict[str, tuple[Consent, ConsentState]]:
    """The newest question about each work, of those that were not taken back or forgotten."""
    known = [(one, one.state(now)) for one in reversed(asked)]
    return {
        work_id: (one, state) for one, state in known if state not in ("revoked", "expired") for work_id in one.work_ids
    }


async def _own(visit: Member, work_id: str) -> StoredWork:
    async with visit.web.pool.acquire() as conn:
        work = await find_work(conn, work_id, creator_id=visit.account.id)
    if work is None:
        raise not_found("work", work_id)
    return work


async def _show(
    visit: Member,
    style_id: str,
    *,
    problem: Problem | None = None,
    taken: Sequence[Taken] = (),
    num_arrived: int = 0,
    only: str = "",
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
        works = await list_works(conn, style_id=style_id, creator_id=visit.account.id)
        recipe = find_recipe(visit.web, standing.style, None)
        seen = await reviews.see_works(visit.web, conn, standing.style, recipe, works)
        upload = await find_upload(conn, style_id, creator_id=visit.account.id)
        asked = await list_consents(conn, style_id=style_id, creator_id=visit.account.id)
    # What is missing in rights stands in each card's own field.
    shown = [one for one in seen.shown if one.finding.kind != "rights"]
    found_in: dict[str, list[reviews.Shown]] = {}
    for one in shown:
        if one.finding.work is not None:
            found_in.setdefault(one.finding.work, []).append(one)
    refused = [one for one in taken if one.problem is not None]
    asked_about, query = _asked_about(asked, visit.now), visit.request.query_params
    place, wanted = _place(visit), only or query.get("work", "")
    if only and not is_fragment(visit.request, only):
        # What is said about one work is said on its card, wherever that is by now.
        place = replace(place, page=None)
    cards = deal(works, found_in, asked_about, place, with_work=wanted)
    # What asks again whether the look has come names the cards that are there; others may be first by then.
    named = {one for one in query.get("shown", "").split(",") if one} or {work.id for work in cards.works}
    return page(
        visit,
        "studio_works.html",
        fragments={only: "_work_alone.html"} if only else _FRAGMENTS,
        status=problem.status if problem else 422 if refused else 200,
        problem=problem.document if problem else None,
        standing=standing,
        upload=upload,
        cards=cards,
        looked_at=[work for work in works if work.id in named],
        asked_about=asked_about,
        only=only,
        work=next((work for work in works if work.id == only), None),
        found_in=found_in,
        findings=[one.finding for one in shown if one.finding.work is None],
        is_looking=seen.state == "looking",
        refused=refused,
        num_arrived=num_arrived,
        was_asked="asked" in visit.request.query_params,
        is_described=bool(visit.web.settings.captioner),
    )
