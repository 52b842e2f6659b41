"""Consents: the creator makes a link for somebody; whoever has it answers without an account."""

from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.errors import Refusal
from licensing.sentence import say
from service import consents
from service.api.consents import Question, ask, revoke
from service.consents import NAME_CHARACTERS_MAX, WORKS_MAX, Answer, Consent, ConsentState
from service.data_use import Use, read_file
from service.ending_starts import end_orders_without_start
from service.errors import FileRefused, ObjectMissing, Problem, not_found, refused
from service.limits import count_sign_in
from service.pages.forms import checked, chosen
from service.pages.paging import part_of
from service.pages.render import page, see_other
from service.pages.standing import load_standing
from service.pages.visits import CreatorVisit, Member, Visit, Visitor
from service.pages.words import Said
from service.who import Who
from service.works import StoredWork, list_works, thumbnail_key, work_by_id

router = APIRouter(include_in_schema=False)

T = TypeVar("T")

_DIGITS_MAX = 6
_ACTS: tuple[Answer | str, ...] = ("yes", "no", "withdraw")
STATES: dict[ConsentState, Said] = {
    "asked": Said("Waiting for an answer", "The link can still be answered.", "warn"),
    "given": Said("Said yes", "The pictures may be used.", "good"),
    "refused": Said("Said no", "The pictures are not used.", "bad"),
    "withdrawn": Said("Took the yes back", "The pictures are not used any more.", "bad"),
    "revoked": Said("Taken back by you", "The link works no more."),
    "expired": Said("Not answered in time", "The link works no more; make another one."),
}


@router.get("/studio/styles/{style_id}/consents")
async def consents_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """Who was asked, and the form that asks somebody."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/consents")
async def ask_somebody(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """Make a link. It is shown on the page that answers, and never again."""
    form = await visit.form()
    work_ids, asked = [str(one) for one in form.getlist("works")], await visit.field("asked")
    starts = bool(await visit.field("starts"))
    try:
        if not work_ids:
            raise Problem("invalid_request", say("No picture is chosen; tick at least one that you ask about."))
        made = await ask(
            visit.web, visit.identity, style_id, checked(Question, asked=asked, works=work_ids, starts=starts)
        )
    except Problem as problem:
        return await _show(visit, style_id, problem=problem, asked=asked, ticked=work_ids, starts=starts)
    return await _show(visit, style_id, made=made)


@router.post("/studio/styles/{style_id}/consents/{consent_id}/revoke")
async def take_back(visit: CreatorVisit, style_id: str, consent_id: str) -> Response:
    """The link works no more."""
    try:
        await revoke(visit.web, visit.identity, consent_id)
    except Problem as problem:
        return await _show(visit, style_id, problem=problem)
    return see_other(f"/studio/styles/{style_id}/consents")


@router.get("/consent/{consent_word}")
async def question_page(visit: Visitor, consent_word: str) -> HTMLResponse:
    """What is asked, with the pictures, for whoever has the link."""
    return await _ask(visit, consent_word)


@router.post("/consent/{consent_word}")
async def answer_question(visit: Visitor, consent_word: str) -> Response:
    """Say yes or no with a name, or take a yes back."""
    name = await visit.field("name")
    try:
        act = chosen(await visit.field("act"), _ACTS)
        async with visit.web.house() as conn:
            if act == "withdraw":
                said = await consents.withdraw(conn, consent_word, now=visit.now)
            else:
                if not 0 < len(name) <= NAME_CHARACTERS_MAX:
                    sentence = say(
                        "Write your name, in at most {most} characters: the answer is kept with it.",
                        most=NAME_CHARACTERS_MAX,
                    )
                    raise Problem("invalid_request", sentence)
                said = await consents.answer(
                    conn, consent_word, "yes" if act == "yes" else "no", name=name, now=visit.now
                )
        if isinstance(said, Refusal):
            raise refused(said)
        await end_orders_without_start(visit.web)
    except Problem as problem:
        return await _ask(visit, consent_word, problem=problem, name=name)
    return see_other(f"/consent/{consent_word}?done={act}")


@router.get("/consent/{consent_word}/pictures/{number}")
async def question_picture(visit: Visitor, consent_word: str, number: int) -> Response:
    """One of the pictures, small. The ledger of use has a line of it for the creator."""
    consent, works = await _question(visit, consent_word)
    if consent.state(visit.now) not in ("asked", "given") or not 1 <= number <= len(works):
        raise not_found("picture", str(number))
    use = Use(purpose="consent", by=Who(role="place", actor="", via=consent.id), job=consent.id)
    try:
        content = await read_file(visit.web, use, thumbnail_key(works[number - 1].storage_key))
    except (ObjectMissing, FileRefused) as error:
        raise not_found("picture", str(number)) from error
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def _question(visit: Visit, word: str) -> tuple[Consent, list[StoredWork]]:
    """The question of a link, and those of its works that are there and that no claim locks. Raises Problem."""
    async with visit.web.house() as conn:
        consent = await consents.consent_by_word(conn, word)
        if consent is None:
            # Whoever tries words until one fits.
            count_sign_in(visit.request)
            raise Problem("not_found", say("This link is unknown here; look whether all of it was copied."))
        found = [await work_by_id(conn, work_id) for work_id in consent.work_ids]
    return consent, [work for work in found if work is not None and not work.is_locked]


async def _ask(visit: Visit, word: str, *, problem: Problem | None = None, name: str = "") -> HTMLResponse:
    consent, works = await _question(visit, word)
    state = consent.state(visit.now)
    shown: dict[str, Any] = {
        "consent": consent,
        "state": state,
        "url": f"/consent/{word}",
        "num_pictures": len(works) if state in ("asked", "given") else 0,
        "problem": problem.document if problem else None,
        "name": name,
        "done": visit.request.query_params.get("done", ""),
    }
    answer = page(visit, "consent.html", status=problem.status if problem else 200, **shown)
    # The address is the word; no machine is to keep it.
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


async def _show(
    visit: Member,
    style_id: str,
    *,
    problem: Problem | None = None,
    made: dict[str, Any] | None = None,
    asked: str = "",
    ticked: list[str] | None = None,
    starts: bool = False,
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
        works = await list_works(conn, style_id=style_id, creator_id=visit.account.id)
        found = await consents.list_consents(conn, style_id=style_id, creator_id=visit.account.id)
    wanted = visit.request.query_params.getlist("work") if ticked is None else ticked
    askable = [work for work in works if not work.is_locked]
    askable.sort(key=lambda work: (work.id not in wanted, work.rights != "unsure", work.id))
    shown, number, num_pages = page_of(askable, visit.request.query_params.get("page", ""))
    return page(
        visit,
        "studio_consents.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        consents=[(one, one.state(visit.now)) for one in found],
        states=STATES,
        askable=shown,
        page_number=number,
        num_pages=num_pages,
        names={work.id: work.filename for work in works},
        ticked=set(wanted),
        asked=asked,
        starts=starts,
        made=made,
        days=visit.web.settings.consent_days,
        name_characters_max=NAME_CHARACTERS_MAX,
    )


def page_of(works: Sequence[T], asked_for: str) -> tuple[list[T], int, int]:
    """The works of the page that an address names or of the nearest there is, its number, and how many there are."""
    is_number = asked_for.isascii() and asked_for.isdecimal() and len(asked_for) < _DIGITS_MAX
    return part_of(works, max(int(asked_for) if is_number else 1, 1), at_once=WORKS_MAX)
