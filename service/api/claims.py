"""`/v1/claims`: somebody outside says that a work in a portfolio is theirs. The operator finds the work, writes the
claim down and decides; its creator answers, appeals, and trains again without it."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.datastructures import UploadFile

from licensing import docket
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from service import claims, withdrawing
from service.accounts import accounts_by_id
from service.api.disputes import Contact, Words, WordsBody
from service.api.shapes import Cursor, Limit, page, upload_of
from service.api.styles import Body, own_style
from service.api.trainings import NewTraining, start_new, training_document
from service.api.works import upload_form
from service.auth import Creator, Identity, MakerOrOperator, MakerOrOperatorReading, Operator, Web
from service.cases import SENTENCE_CHARACTERS_MAX
from service.claims import Claim, Side
from service.ending_starts import end_orders_without_start
from service.errors import Problem, not_found, refused
from service.resemblance import Alike, all_alike, find_look
from service.resources import Gateway
from service.telling.of_disputes import Act, tell_claim
from service.uploads import looks_of_upload
from service.withheld import appeal_withheld
from service.works import StoredWork, work_by_id
from training.works import MAX_WORK_BYTES

router = APIRouter(tags=["claims"])


class ClaimBody(Body):
    """What somebody claims, in words that the work's creator reads. `contact` is how to reach them; nobody but the
    operator sees it. `style` may be named beside the work, to be sure that it is the one that is meant."""

    work: str = Field(max_length=64)
    style: str | None = Field(default=None, max_length=64)
    words: Words
    contact: Contact


class DecisionBody(Body):
    """`paid_by` says who pays a training without the work, where the claim is upheld: the creator, what any training
    costs, or the operator: then it costs the creator nothing until one of them passes."""

    outcome: Literal["upheld", "rejected"]
    reason: Words
    paid_by: Side | None = None


class RetrainingBody(Body):
    """`style`: one that the claim names; without it that of the work."""

    style: str | None = Field(default=None, max_length=64)


class WithheldBody(Body):
    """`sha256` is that of the file which was not taken; `reason` says why it may come."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=SENTENCE_CHARACTERS_MAX)]


@router.post("/claims/matches", openapi_extra=upload_of("picture"))
async def find_matches(web: Web, asker: Operator, request: Request) -> dict[str, Any]:
    """Works that are nearly the same as a picture which somebody shows, mirrored ones as well, the nearest first. The
    picture is not kept, and no creator's file is opened for it."""
    async with upload_form(request, web) as form:
        file = form.get("picture")
        if not isinstance(file, UploadFile):
            raise Problem("invalid_request", say("No picture came; send one, in the field `picture`."))
        looks = await looks_of_upload(file.filename or "", await file.read(MAX_WORK_BYTES + 1))
    async with web.house() as conn:
        alike = await all_alike(conn, looks)
        found = [(one, await work_by_id(conn, one.work_id)) for one in alike]
        people = await accounts_by_id(conn, {work.creator_id for _, work in found if work})
        items = [_match(one, work, people[work.creator_id].name) for one, work in found if work]
    return {"items": items, "next_cursor": None}


@router.post("/claims", status_code=201)
async def post_claim(web: Web, asker: Operator, body: ClaimBody) -> dict[str, Any]:
    """Write down what somebody outside claims about a work. Its creator has seven days to answer."""
    async with web.house() as conn, conn.transaction():
        work = await work_by_id(conn, body.work)
        if work is None or body.style not in (None, work.style_id):
            raise not_found("work", body.work)
        opened = await claims.open_claim(
            conn,
            claim_id=web.new_id("clm"),
            work=work,
            look=await find_look(conn, work.id),
            words=body.words,
            contact=body.contact,
            now=web.clock(),
        )
        return await _told(web, conn, asker, opened, "opened")


@router.get("/claims")
async def get_claims(
    web: Web, asker: MakerOrOperatorReading, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Claims to your works, the newest first; for the operator: to all works."""
    own = asker.account_id if asker.role == "creator" else None
    async with web.pool.acquire() as conn:
        found = await claims.list_claims(conn, creator_id=own, limit=limit + 1, before=cursor)
    return page(found, limit, lambda claim: claim_document(web, claim))


@router.get("/claims/{claim_id}")
async def get_claim(web: Web, asker: MakerOrOperatorReading, claim_id: str) -> dict[str, Any]:
    """One of them, with all that was said, every version that learnt from the work, and when trainings got it."""
    async with web.pool.acquire() as conn:
        return await _document(web, conn, asker, await own_claim(conn, asker, claim_id))


@router.post("/claims/{claim_id}/notes", status_code=201)
async def post_note(web: Web, asker: MakerOrOperator, claim_id: str, body: WordsBody) -> dict[str, Any]:
    """Say something in it. The first that the creator says is the answer."""
    async with web.house() as conn, conn.transaction():
        claim = await own_claim(conn, asker, claim_id, is_locked=True)
        said = await claims.say(conn, claim, by=_side(asker), words=body.words, now=web.clock())
        return await _told(web, conn, asker, said, "said")


@router.post("/claims/{claim_id}/decide")
async def decide_claim(web: Web, asker: Operator, claim_id: str, body: DecisionBody) -> dict[str, Any]:
    """Decide. What is upheld takes effect at once; rejected after an appeal, all is as it was before."""
    now = web.clock()
    async with web.house() as conn, conn.transaction():
        claim = await own_claim(conn, asker, claim_id, is_locked=True)
        decided = await claims.decide(conn, claim, body.outcome, reason=body.reason, paid_by=body.paid_by, now=now)
        if isinstance(decided, Claim):
            change = withdrawing.take_effect if body.outcome == "upheld" else withdrawing.undo
            decided = await change(conn, decided, now=now)
        told = await _told(web, conn, asker, decided, "decided")
    await end_orders_without_start(web)
    return told


@router.post("/claims/{claim_id}/appeal")
async def appeal_claim(web: Web, asker: MakerOrOperator, claim_id: str, body: WordsBody) -> dict[str, Any]:
    """Ask for another decision, once and within three days of the first. The operator appeals for whoever claims it."""
    async with web.house() as conn, conn.transaction():
        claim = await own_claim(conn, asker, claim_id, is_locked=True)
        appealed = await claims.appeal(conn, claim, by=_side(asker), words=body.words, now=web.clock())
        return await _told(web, conn, asker, appealed, "appealed")


@router.post("/claims/{claim_id}/withdraw")
async def withdraw_claim(web: Web, asker: Operator, claim_id: str, body: WordsBody) -> dict[str, Any]:
    """Whoever claims it lets it go, before it is decided."""
    async with web.house() as conn, conn.transaction():
        claim = await own_claim(conn, asker, claim_id, is_locked=True)
        ended = await claims.withdraw(conn, claim, words=body.words, now=web.clock())
        return await _told(web, conn, asker, ended, "withdrawn")


@router.post("/claims/{claim_id}/retrain", status_code=201)
async def retrain(web: Web, asker: Creator, claim_id: str, body: RetrainingBody | None = None) -> dict[str, Any]:
    """Train a style again without the work. Publishing what passes puts the style back on sale."""
    async with web.house() as conn:
        claim = await own_claim(conn, asker, claim_id)
        wanted = (body.style if body else None) or claim.style_id
        if claim.in_effect_at is None:
            raise Problem(
                "conflict", say("Claim {id} was not upheld; nothing has to be trained without the work.", id=claim.id)
            )
        if wanted not in claim.styles:
            raise not_found("style", wanted)
        is_free = claim.paid_by == "operator" and not await _has_passed(conn, claim, wanted)
    made = await start_new(web, asker, wanted, NewTraining(), is_free=is_free)
    async with web.house() as conn:
        await claims.note_retraining(conn, claim.id, style_id=wanted, training_id=made.id)
    return training_document(made)


@router.post("/styles/{style_id}/withheld", status_code=201)
async def post_withheld(web: Web, asker: Creator, style_id: str, body: WithheldBody) -> dict[str, Any]:
    """Say why a picture may come that was not taken because of a claim; a person of the operator's decides."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
    async with web.house() as conn, conn.transaction():
        case = await appeal_withheld(
            conn,
            case_id=web.new_id("cas"),
            creator_id=asker.account_id,
            sha256=body.sha256,
            sentence=body.reason,
            now=web.clock(),
        )
    if isinstance(case, Refusal):
        raise refused(case)
    return {"case": case.id, "sha256": body.sha256, "state": case.state, "outcome": case.outcome}


async def own_claim(conn: Connection, asker: Identity, claim_id: str, *, is_locked: bool = False) -> Claim:
    """A claim to one of the asker's works; any, for the operator. Raises Problem."""
    claim = await claims.find_claim(conn, claim_id, is_locked=is_locked)
    if claim is None or (asker.role != "operator" and claim.creator_id != asker.account_id):
        raise not_found("claim", claim_id)
    return claim


def claim_document(web: Gateway, claim: Claim) -> dict[str, Any]:
    """A claim without what only one of them is told."""
    step = docket.step(claim, web.clock())
    dates = ("opened_at", "answer_due_at", "answered_at", "decide_due_at", "decided_at", "appeal_due_at")
    return {
        "id": claim.id,
        "work": claim.work_id,
        "style": claim.style_id,
        "styles": claim.styles,
        "sha256": claim.sha256,
        "state": claim.state,
        "outcome": claim.outcome,
        "paid_by": claim.paid_by,
        "locked": claim.in_effect_at is not None,
        "waits": asdict(step) if step else None,
        "retrainings": claim.retrainings,
        **{name: getattr(claim, name) for name in dates},
        **{name: getattr(claim, name) for name in ("appealed_at", "final_due_at", "closed_at", "removed_at")},
    }


async def _told(web: Gateway, conn: Connection, asker: Identity, answer: Claim | Refusal, act: Act) -> dict[str, Any]:
    """What it is now; whoever else is in it is told."""
    if isinstance(answer, Claim):
        await tell_claim(conn, answer, act, by=_side(asker), now=web.clock())
    return await _document(web, conn, asker, answer)


async def _document(web: Gateway, conn: Connection, asker: Identity, answer: Claim | Refusal) -> dict[str, Any]:
    if isinstance(answer, Refusal):
        raise refused(answer)
    is_operator = asker.role == "operator"
    return claim_document(web, answer) | {
        "said": answer.said,
        "versions": [asdict(one) for one in await withdrawing.named_versions(conn, answer)],
        "trained_with": [asdict(one) for one in await withdrawing.opened_for_training(conn, answer)],
        "creator": answer.creator_id if is_operator else None,
        "contact": await claims.contact(conn, answer.id) if is_operator else None,
    }


async def _has_passed(conn: Connection, claim: Claim, style_id: str) -> bool:
    """Whether a training that the operator pays made a version already."""
    made = [one["training"] for one in claim.retrainings if one["style"] == style_id]
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM service.trainings WHERE id = ANY($1::text[]) AND state = 'passed')", made
    )
    return found


def _match(alike: Alike, work: StoredWork, creator: str) -> dict[str, Any]:
    return {
        "work": work.id,
        "style": work.style_id,
        "creator": {"id": work.creator_id, "name": creator},
        "sha256": work.sha256,
        "created_at": work.created_at,
        "bits_apart": alike.bits_apart,
        "colours_apart": alike.colours_apart,
    }


def _side(asker: Identity) -> Side:
    return "operator" if asker.role == "operator" else "creator"
