"""`/v1/disputes`: what somebody holds against a sale, said and decided in writing, by a clock that both sides see."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints

from licensing import disputes, docket
from licensing.database import Connection
from licensing.docket import Dispute, Side
from licensing.errors import Refusal
from licensing.money import Money
from service.api.outputs import read_output
from service.api.shapes import Cursor, Limit, bytes_of, money, page
from service.api.styles import Body
from service.auth import BuyerOrMaker, Identity, Operator, Party, PartyReading, Web
from service.closing import tell_closed
from service.disputed import Subject, shows_pictures, shows_words, subjects_of
from service.errors import not_found, refused
from service.resources import Gateway
from service.telling.of_disputes import Act, tell_dispute

router = APIRouter(tags=["disputes"])

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=disputes.WORDS_CHARACTERS_MAX)]
Contact = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=disputes.CONTACT_CHARACTERS_MAX)
]


class DisputeBody(Body):
    """`ground`: for a client `not_as_ordered`, `rights_unclear` or `other`; for a creator `share` or `other`."""

    ground: str = Field(max_length=40)
    words: Words


class WordsBody(Body):
    words: Words


class TakedownBody(Body):
    """A stranger's claim to a picture that was sold, or to all of an order. `contact` is how to reach them; nobody but
    the operator sees it."""

    output: str | None = Field(default=None, max_length=64)
    order: str | None = Field(default=None, max_length=64)
    words: Words
    contact: Contact


class DecisionBody(Body):
    """`amount`, in minor units, for `partly` (to the client) and `corrected` (to the creator)."""

    outcome: Literal["refunded", "released", "partly", "corrected"]
    reason: Words
    amount: int | None = Field(default=None, ge=1, le=10**12)


@router.post("/outputs/{sold_id}/disputes", status_code=201)
async def post_dispute(web: Web, asker: BuyerOrMaker, sold_id: str, body: DisputeBody) -> dict[str, Any]:
    """Dispute a picture that you bought or made, within 30 days. Its creator's share is held until it is decided.

    Where you bought it, its creator sees the picture and the words that you ordered it with."""
    async with web.house() as conn, conn.transaction():
        opened = await disputes.open_dispute(
            conn,
            dispute_id=web.new_id("dsp"),
            side=_side(asker),
            party_id=asker.account_id,
            ground=body.ground,
            words=body.words,
            output_id=sold_id,
            now=web.clock(),
        )
        return await _told(web, conn, asker, opened, "opened")


@router.post("/takedowns", status_code=201)
async def post_takedown(web: Web, asker: Operator, body: TakedownBody) -> dict[str, Any]:
    """Open a dispute for somebody outside who claims a right to what was sold."""
    async with web.house() as conn, conn.transaction():
        opened = await disputes.open_dispute(
            conn,
            dispute_id=web.new_id("dsp"),
            side="operator",
            party_id=asker.account_id,
            ground="takedown",
            words=body.words,
            output_id=body.output,
            order_id=body.order,
            contact=body.contact,
            now=web.clock(),
        )
        return await _told(web, conn, asker, opened, "opened")


@router.get("/disputes")
async def get_disputes(web: Web, asker: PartyReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Your disputes, the newest first. For the operator: those that run, the next date first."""
    async with web.pool.acquire() as conn:
        if asker.role == "operator":
            found = await docket.running(conn, limit=limit + 1, after=cursor)
        else:
            found = await docket.disputes_of(conn, asker.account_id, limit=limit + 1, before=cursor)
        subjects = await subjects_of(conn, found)
    return page(found, limit, lambda dispute: dispute_document(web, dispute, subjects[dispute.id]))


@router.get("/disputes/{dispute_id}")
async def get_dispute(web: Web, asker: PartyReading, dispute_id: str) -> dict[str, Any]:
    """One of them, with all that was said and decided."""
    async with web.pool.acquire() as conn:
        return await _document(web, conn, asker, await _own(conn, dispute_id))


@router.get("/disputes/{dispute_id}/outputs/{sold_id}", response_class=Response, responses=bytes_of("image/*"))
async def get_disputed_output(web: Web, asker: PartyReading, dispute_id: str, sold_id: str) -> Response:
    """A picture that a dispute is about. A creator sees those that somebody else disputes."""
    async with web.pool.acquire() as conn:
        dispute = await _own(conn, dispute_id)
    if sold_id not in dispute.output_ids or not shows_pictures(dispute, _side(asker)):
        raise not_found("output", sold_id)
    output, content = await read_output(web, sold_id, client_id=None)
    return Response(content, media_type=output.mime, headers={"Cache-Control": "private, no-store"})


@router.post("/disputes/{dispute_id}/notes", status_code=201)
async def post_note(web: Web, asker: Party, dispute_id: str, body: WordsBody) -> dict[str, Any]:
    """Say something in it. The first that the other side says is its answer."""
    async with web.house() as conn, conn.transaction():
        said = await disputes.say(conn, **_note(web, asker, dispute_id, body.words))
        return await _told(web, conn, asker, said, "said")


@router.post("/disputes/{dispute_id}/appeal")
async def appeal_dispute(web: Web, asker: Party, dispute_id: str, body: WordsBody) -> dict[str, Any]:
    """Ask for another decision, once and within three days of the first."""
    async with web.house() as conn, conn.transaction():
        appealed = await disputes.appeal(conn, **_note(web, asker, dispute_id, body.words))
        return await _told(web, conn, asker, appealed, "appealed")


@router.post("/disputes/{dispute_id}/withdraw")
async def withdraw_dispute(web: Web, asker: Party, dispute_id: str, body: WordsBody) -> dict[str, Any]:
    """Let your dispute go; what was held is free again."""
    async with web.house() as conn, conn.transaction():
        ended = await disputes.withdraw(conn, **_note(web, asker, dispute_id, body.words))
        return await _told(web, conn, asker, ended, "withdrawn")


@router.post("/disputes/{dispute_id}/decide")
async def decide_dispute(web: Web, asker: Operator, dispute_id: str, body: DecisionBody) -> dict[str, Any]:
    """Decide. It takes effect when the time to appeal is over; after an appeal, at once."""
    async with web.house() as conn, conn.transaction():
        dispute = await _own(conn, dispute_id)
        decided = await disputes.decide(
            conn,
            note_id=web.new_id("dnt"),
            dispute_id=dispute_id,
            outcome=body.outcome,
            reason=body.reason,
            amount=Money(body.amount, dispute.currency) if body.amount is not None else None,
            now=web.clock(),
        )
        await tell_closed(conn, decided, now=web.clock())
        return await _told(web, conn, asker, decided, "decided")


def dispute_document(web: Gateway, dispute: Dispute, subject: Subject) -> dict[str, Any]:
    """A dispute with what it waits for; who the parties are is not said beyond their sides."""
    shown = asdict(dispute) | {"held": money(dispute.held), "amount": money(dispute.amount) if dispute.amount else None}
    step = docket.step(dispute, web.clock())
    hidden = ("creator_id", "client_id", "currency", "order_id", "output_ids")
    return {
        **{name: value for name, value in shown.items() if name not in hidden},
        "style": {"id": subject.style_id, "name": subject.style_name},
        "order": dispute.order_id,
        "outputs": list(dispute.output_ids),
        "waits": asdict(step) if step else None,
    }


async def _document(web: Gateway, conn: Connection, asker: Identity, answer: Dispute | Refusal) -> dict[str, Any]:
    if isinstance(answer, Refusal):
        raise refused(answer)
    said = await docket.notes(conn, answer.id)
    contact = await docket.contact(conn, answer.id) if asker.role == "operator" else None
    subject = (await subjects_of(conn, [answer]))[answer.id]
    return dispute_document(web, answer, subject) | {
        "prompt": subject.prompt if shows_words(answer, _side(asker)) else None,
        "notes": [asdict(note) | {"amount": money(note.amount) if note.amount else None} for note in said],
        "contact": contact,
    }


async def _told(web: Gateway, conn: Connection, asker: Identity, answer: Dispute | Refusal, act: Act) -> dict[str, Any]:
    """What it is now; whoever else is in it is told."""
    if isinstance(answer, Dispute):
        await tell_dispute(conn, answer, act, by=_side(asker), now=web.clock())
    return await _document(web, conn, asker, answer)


async def _own(conn: Connection, dispute_id: str) -> Dispute:
    """A dispute that whoever the connection acts for may see. Raises Problem."""
    found = await docket.find_dispute(conn, dispute_id)
    if found is None:
        raise not_found("dispute", dispute_id)
    return found


def _side(asker: Identity) -> Side:
    side: Side = asker.role
    return side


def _note(web: Gateway, asker: Identity, dispute_id: str, words: str) -> dict[str, Any]:
    return {
        "note_id": web.new_id("dnt"),
        "dispute_id": dispute_id,
        "side": _side(asker),
        "party_id": asker.account_id,
        "words": words,
        "now": web.clock(),
    }
