"""Cases before the operator: both pictures side by side, what was said, and the decision."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.sentence import say
from service.accounts import account_by_id
from service.cases import SENTENCE_CHARACTERS_MAX, Case, Outcome, decide, find_case
from service.data_use import Use, read_file
from service.errors import ObjectMissing, Problem, not_found
from service.pages.forms import chosen
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit
from service.telling.of_disputes import tell_case_decided
from service.works import StoredWork, release_work, thumbnail_key, work_by_id

router = APIRouter(include_in_schema=False)

OUTCOMES: tuple[Outcome, ...] = ("allowed", "refused")
SIDES = ("subject", "other")


@router.get("/office/cases/{case_id}")
async def case_page(visit: OperatorVisit, case_id: str) -> HTMLResponse:
    """One case with all that is known about it."""
    return await _show(visit, case_id)


@router.post("/office/cases/{case_id}")
async def decide_case(visit: OperatorVisit, case_id: str) -> Response:
    """Allow or refuse, with a sentence that the creator reads."""
    try:
        outcome = chosen(await visit.field("outcome"), OUTCOMES)
        sentence = (await visit.field("sentence"))[:SENTENCE_CHARACTERS_MAX]
        if not sentence:
            raise Problem("invalid_request", say("The sentence is empty; say why, for the creator reads it."))
        case = await _found(visit, case_id)
        async with visit.web.pool.acquire() as conn, conn.transaction():
            decided = await decide(conn, case, outcome, sentence=sentence, now=visit.now)
            await tell_case_decided(conn, decided, now=visit.now)
            if outcome == "allowed" and case.kind == "near_duplicate":
                await release_work(conn, work_id=case.subject, rights=case.evidence["rights"], now=visit.now)
    except Problem as problem:
        return await _show(visit, case_id, problem)
    return see_other("/office?done=decided#cases")


@router.get("/office/cases/{case_id}/pictures/{side}")
async def case_picture(visit: OperatorVisit, case_id: str, side: str) -> Response:
    """One of the two pictures, small: the operator alone sees both."""
    case = await _found(visit, case_id)
    work = await _side(visit, case, chosen(side, SIDES))
    if work is None:
        raise not_found("picture", side)
    try:
        use = Use(purpose="case", by=visit.identity.who, job=case_id)
        content = await read_file(visit.web, use, thumbnail_key(work.storage_key))
    except ObjectMissing as error:
        raise not_found("picture", side) from error
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


async def _show(visit: Member, case_id: str, problem: Problem | None = None) -> HTMLResponse:
    case = await _found(visit, case_id)
    works = {side: await _side(visit, case, side) for side in SIDES}
    async with visit.web.pool.acquire() as conn:
        asker = await account_by_id(conn, case.creator_id)
        owners = {side: await account_by_id(conn, work.creator_id) for side, work in works.items() if work is not None}
    return page(
        visit,
        "office_case.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        case=case,
        works=works,
        owners=owners,
        asker=asker,
    )


async def _found(visit: Member, case_id: str) -> Case:
    async with visit.web.pool.acquire() as conn:
        case = await find_case(conn, case_id)
    if case is None:
        raise not_found("case", case_id)
    return case


async def _side(visit: Member, case: Case, side: str) -> StoredWork | None:
    """None where the work is gone: it was deleted since."""
    if case.kind != "near_duplicate":
        return None
    async with visit.web.pool.acquire() as conn:
        return await work_by_id(conn, case.subject if side == "subject" else case.evidence["other"])
