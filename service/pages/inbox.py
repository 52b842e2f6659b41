"""The inbox, for everybody; and the way to turn off e-mail of a topic, from an e-mail, without signing in."""

from typing import cast

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.sentence import say
from service import inbox
from service.api.letters import UntilBody, read_all, read_letter
from service.errors import Problem, not_found
from service.letter_kinds import TOPICS, Topic
from service.mailing import may_stop
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.visits import MemberVisit, Visit, Visitor

router = APIRouter(include_in_schema=False)

_PER_PAGE = 50


@router.get("/inbox")
async def inbox_page(visit: MemberVisit, before: str | None = None) -> HTMLResponse:
    """What one was told, newest first, a page at a time."""
    async with visit.web.pool.acquire() as conn:
        found = await inbox.list_inbox(conn, visit.account.id, limit=_PER_PAGE + 1, before=before)
    shown = found[:_PER_PAGE]
    return page(
        visit,
        "inbox.html",
        letters=shown,
        older=shown[-1].id if len(found) > _PER_PAGE else "",
        is_first=before is None,
        sends_mail=visit.web.settings.mail_server is not None,
        done=visit.request.query_params.get("done", ""),
    )


@router.post("/inbox/read")
async def mark_all(visit: MemberVisit) -> Response:
    """Mark all as read that the page showed, and what came before it."""
    await read_all(visit.web, visit.identity, checked(UntilBody, until=await visit.field("until") or None))
    return see_other("/inbox?done=read")


@router.post("/inbox/{letter_id}/open")
async def open_letter(visit: MemberVisit, letter_id: str) -> Response:
    """Mark it as read, and go where it leads."""
    found = await read_letter(visit.web, visit.identity, letter_id)
    return see_other(found["path"])


@router.post("/inbox/{letter_id}/read")
async def mark_one(visit: MemberVisit, letter_id: str) -> Response:
    """Mark it as read."""
    await read_letter(visit.web, visit.identity, letter_id)
    return see_other(f"/inbox#{letter_id}")


@router.post("/account/letters")
async def choose_topics(visit: MemberVisit) -> Response:
    """Of what e-mail is wanted; what cannot be off is not asked about."""
    off = [
        topic
        for topic, about in inbox.topics_of(visit.account.role).items()
        if about.may_be_off and not await visit.field(f"topic-{topic}")
    ]
    async with visit.web.pool.acquire() as conn:
        await inbox.choose(conn, visit.account.id, role=visit.account.role, off=off)
    return see_other("/account?done=letters#letters")


@router.get("/letters/off/{account_id}/{topic}/{word}")
async def stop_page(visit: Visitor, account_id: str, topic: str, word: str) -> HTMLResponse:
    """Where an e-mail's link leads. Opening it changes nothing: mail programs open links too. The button does."""
    about = TOPICS[_asked(visit, account_id, topic, word)]
    return page(visit, "letters_off.html", about=about, is_off=False)


@router.post("/letters/off/{account_id}/{topic}/{word}")
async def stop_topic(visit: Visitor, account_id: str, topic: str, word: str) -> HTMLResponse:
    """No more e-mail of this topic: by the button, or by a mail program that presses it (RFC 8058)."""
    asked = _asked(visit, account_id, topic, word)
    async with visit.web.house() as conn:
        if not await inbox.stop(conn, account_id, asked):
            raise Problem("forbidden", say("E-mail of “{words}” cannot be turned off.", words=TOPICS[asked].words))
    return page(visit, "letters_off.html", about=TOPICS[asked], is_off=True)


def _asked(visit: Visit, account_id: str, topic: str, word: str) -> Topic:
    """The topic of a link that is one of ours. Raises Problem."""
    if topic not in TOPICS or not may_stop(account_id, topic, word, pepper=visit.web.pepper):
        raise not_found("link", word)
    return cast(Topic, topic)
