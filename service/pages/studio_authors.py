"""Several authors of one style: its creator asks them and may end it; they say yes or no, and may leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.money import Money, split
from licensing.sentence import Sentence, say
from licensing.terms import StyleTerms, current_terms_of
from service.accounts import accounts_by_id
from service.api.authorships import (
    AuthorsBody,
    accept_authorship,
    decline_authorship,
    get_authors,
    get_authorships,
    leave_authorship,
    post_authors,
)
from service.authorships import AUTHORS_MAX
from service.errors import Problem
from service.formats import rate
from service.pages.forms import checked, part
from service.pages.render import page, see_other
from service.pages.standing import load_standing, lowest_price
from service.pages.visits import CreatorVisit, Member
from service.styles import Style, styles_by_id

router = APIRouter(include_in_schema=False)

WHOLE = 10_000
"""Parts are asked for and shown in hundredths of a percent."""
_ROWS_MORE = 3


@dataclass(frozen=True, kw_only=True)
class Author:
    """One who shares, or is asked to: `part` in hundredths of a percent, `earns` of the sale that is the example."""

    id: str
    name: str
    said: str | None
    part: int
    earns: Money


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """A sharing that waits or is in force, with the sale of a picture for `price` as its example."""

    id: str
    style: Style
    creator_id: str
    state: str
    authors: tuple[Author, ...]
    price: Money
    fee: Money

    @property
    def creator_name(self) -> str:
        return next((one.name for one in self.authors if one.id == self.creator_id), "")

    def of(self, account_id: str) -> Author | None:
        """An account's own part."""
        return next((one for one in self.authors if one.id == account_id), None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the form as it was typed."""

    email: str
    part: str


@dataclass(frozen=True, kw_only=True)
class Typed:
    """The form as it was typed: the creator's own part, and the lines of the others."""

    own: str
    rows: tuple[Row, ...]


@router.get("/studio/styles/{style_id}/authors")
async def authors_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """Who shares what the style earns, who is asked to, and the form that asks."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/authors")
async def ask_authors(visit: CreatorVisit, style_id: str) -> Response:
    """Ask the others, or show more lines to name them on."""
    typed = await _typed(visit)
    try:
        async with visit.web.pool.acquire() as conn:
            await load_standing(conn, visit, style_id)
        if await visit.field("do") == "more":
            return await _show(visit, style_id, typed=typed, num_empty=_ROWS_MORE)
        await post_authors(visit.web, visit.identity, style_id, _asked(typed))
    except Problem as problem:
        return await _show(visit, style_id, typed=typed, problem=problem)
    return see_other(f"/studio/styles/{style_id}/authors?done=asked")


@router.post("/studio/styles/{style_id}/authors/end")
async def end_sharing(visit: CreatorVisit, style_id: str) -> Response:
    """End what is in force, or take back what waits."""
    try:
        async with visit.web.pool.acquire() as conn:
            await load_standing(conn, visit, style_id)
        await leave_authorship(visit.web, visit.identity, await visit.field("authorship"))
    except Problem as problem:
        return await _show(visit, style_id, problem=problem)
    return see_other(f"/studio/styles/{style_id}/authors?done=ended")


@router.get("/studio/shared")
async def shared_page(visit: CreatorVisit) -> HTMLResponse:
    """Styles of others of which this creator has a part, or is asked to take one."""
    return await _show_shared(visit)


@router.post("/studio/shared/{authorship_id}/accept")
async def say_yes(visit: CreatorVisit, authorship_id: str) -> Response:
    """Take the part that is offered."""
    try:
        said = await accept_authorship(visit.web, visit.identity, authorship_id)
    except Problem as problem:
        return await _show_shared(visit, problem)
    return see_other(f"/studio/shared?done={'in_force' if said['state'] == 'in_force' else 'accepted'}")


@router.post("/studio/shared/{authorship_id}/decline")
async def say_no(visit: CreatorVisit, authorship_id: str) -> Response:
    """Refuse the part that is offered."""
    try:
        await decline_authorship(visit.web, visit.identity, authorship_id)
    except Problem as problem:
        return await _show_shared(visit, problem)
    return see_other("/studio/shared?done=declined")


@router.post("/studio/shared/{authorship_id}/leave")
async def leave(visit: CreatorVisit, authorship_id: str) -> Response:
    """Have no part of what is sold from now on."""
    try:
        await leave_authorship(visit.web, visit.identity, authorship_id)
    except Problem as problem:
        return await _show_shared(visit, problem)
    return see_other("/studio/shared?done=left")


async def _typed(visit: Member) -> Typed:
    form = await visit.form()
    emails, parts = [[str(value).strip() for value in form.getlist(name)] for name in ("email", "part")]
    rows = [Row(email=email, part=typed) for email, typed in zip(emails, parts, strict=False) if email or typed]
    return Typed(own=await visit.field("own"), rows=tuple(rows[:AUTHORS_MAX]))


def _asked(typed: Typed) -> AuthorsBody:
    """Raises Problem where the parts do not add up, or nobody is named."""
    if not typed.rows:
        raise Problem("invalid_request", say("Nobody is named to share with; give an e-mail address and a part."))
    own = part(typed.own, name=say("Your part"))
    others = [part(row.part, name=_whose_part(row)) for row in typed.rows]
    total = own + sum(others)
    if total != WHOLE:
        raise Problem("invalid_request", _does_not_add_up(total))
    named = [{"email": row.email, "weight": weight} for row, weight in zip(typed.rows, others, strict=True)]
    return checked(AuthorsBody, weight=own, authors=named)


def _whose_part(row: Row) -> Sentence:
    return say("Part of {email}", email=row.email) if row.email else say("Part of the author without an address")


def _does_not_add_up(total: int) -> Sentence:
    if total < WHOLE:
        return say(
            "The parts add up to {total} and must add up to {whole}: {gap} is missing.",
            total=rate(total),
            whole=rate(WHOLE),
            gap=rate(WHOLE - total),
        )
    return say(
        "The parts add up to {total} and must add up to {whole}: {gap} is too much.",
        total=rate(total),
        whole=rate(WHOLE),
        gap=rate(total - WHOLE),
    )


async def _show(
    visit: Member, style_id: str, *, typed: Typed | None = None, num_empty: int = 0, problem: Problem | None = None
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
    found = await get_authors(visit.web, visit.identity, style_id)
    known = {state: _sharing(one, standing.style, standing.terms) for state, one in found.items() if one}
    if typed is None:
        typed = await _as_it_is(visit, known.get("in_force"))
    num_empty = max(num_empty, 2 - len(typed.rows))
    rows = [*typed.rows, *[Row(email="", part="")] * min(num_empty, AUTHORS_MAX - len(typed.rows))]
    return page(
        visit,
        "studio_authors.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        in_force=known.get("in_force"),
        waiting=known.get("waiting"),
        own=typed.own,
        rows=rows,
        may_name_more=len(rows) < AUTHORS_MAX,
        done=visit.request.query_params.get("done", ""),
    )


async def _as_it_is(visit: Member, in_force: Sharing | None) -> Typed:
    """The form as it begins: what is in force, to be changed."""
    if in_force is None:
        return Typed(own="", rows=())
    async with visit.web.house() as conn:
        people = await accounts_by_id(conn, {one.id for one in in_force.authors})
    others = [one for one in in_force.authors if one.id != visit.account.id]
    own = in_force.of(visit.account.id)
    return Typed(
        own=_plain(own.part) if own else "",
        rows=tuple(Row(email=people[one.id].email, part=_plain(one.part)) for one in others),
    )


async def _show_shared(visit: Member, problem: Problem | None = None) -> HTMLResponse:
    found = (await get_authorships(visit.web, visit.identity))["items"]
    ids = sorted({one["style"] for one in found})
    async with visit.web.house() as conn:
        styles, terms = await styles_by_id(conn, ids), await current_terms_of(conn, ids)
    sharings = [_sharing(one, styles[one["style"]], terms[one["style"]]) for one in found]
    others = [one for one in sharings if one.creator_id != visit.account.id]
    return page(
        visit,
        "studio_shared.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        asked=[one for one in others if one.state == "waiting"],
        shared=[one for one in others if one.state == "in_force"],
        own={one.style.id: one.style for one in sharings if one.creator_id == visit.account.id}.values(),
        done=visit.request.query_params.get("done", ""),
    )


def _sharing(found: Mapping[str, Any], style: Style, terms: StyleTerms) -> Sharing:
    price = lowest_price(terms)
    share, fee = price.split([terms.share_bps, terms.fee_bps])
    weights = [author["weight"] for author in found["authors"]]
    parts = zip(found["authors"], split(WHOLE, weights), share.split(weights), strict=True)
    return Sharing(
        id=found["id"],
        style=style,
        creator_id=found["creator"],
        state=found["state"],
        authors=tuple(
            Author(id=one["id"], name=one["name"], said=one["said"], part=bps, earns=earns) for one, bps, earns in parts
        ),
        price=price,
        fee=fee,
    )


def _plain(bps: int) -> str:
    """A part as a form's field holds it."""
    return rate(bps).split("\N{NO-BREAK SPACE}")[0]
