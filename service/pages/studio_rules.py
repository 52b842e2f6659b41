"""What a creator will not have drawn, and for whom: for one style or for all, tried on examples before it is saved."""

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.rulebooks import Rulebook, current_rules
from licensing.rules import Rules, unsound
from licensing.sentence import say
from service import rules
from service.api.rules import EXAMPLES_MAX, DryRun, delete_rules, put_default_rules, put_rules
from service.api.styles import RulesBody
from service.errors import Problem
from service.languages import translate
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.standing import load_standing
from service.pages.visits import CreatorVisit, Member
from service.rules import PastOrders

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Examples with what the rules object to in each, in words, and how many of the newest orders they would have
    refused."""

    examples: list[tuple[str, str]]
    past: PastOrders | None


@router.get("/studio/rules")
async def default_rules_page(visit: CreatorVisit) -> HTMLResponse:
    """The rules for all styles without rules of their own."""
    return await _show(visit, None)


@router.post("/studio/rules")
async def change_default_rules(visit: CreatorVisit) -> Response:
    """Try what was typed, or save it."""
    return await _change(visit, None)


@router.get("/studio/styles/{style_id}/rules")
async def rules_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """The rules of one style."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/rules")
async def change_rules(visit: CreatorVisit, style_id: str) -> Response:
    """Try what was typed, save it, or go back to the rules for all styles."""
    return await _change(visit, style_id)


async def _change(visit: Member, style_id: str | None) -> Response:
    wish = await visit.field("do")
    typed = await _typed(visit)
    try:
        if wish == "follow" and style_id is not None:
            await delete_rules(visit.web, visit.identity, style_id)
        elif wish == "try":
            return await _show(visit, style_id, typed=typed, tried=await _try(visit, style_id, typed))
        elif style_id is None:
            await put_default_rules(visit.web, visit.identity, checked(RulesBody, **vars(typed)))
        else:
            await put_rules(visit.web, visit.identity, style_id, checked(RulesBody, **vars(typed)))
    except Problem as problem:
        return await _show(visit, style_id, typed=typed, problem=problem)
    return see_other(f"{_url(style_id)}?done={'followed' if wish == 'follow' else 'saved'}")


async def _typed(visit: Member) -> Rules:
    """The rules as the form has them; they may be none that can be saved."""
    ticked = (await visit.form()).getlist("categories")
    return Rules(
        refuse=await _lines(visit, "refuse"),
        categories=tuple(str(name) for name in ticked),
        only_clients=await _lines(visit, "only_clients"),
        blocked_clients=await _lines(visit, "blocked_clients"),
    )


async def _lines(visit: Member, name: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in (await visit.field(name)).splitlines() if line.strip())


async def _try(visit: Member, style_id: str | None, typed: Rules) -> Tried:
    """Raises Problem."""
    examples = await _lines(visit, "examples")
    body = checked(DryRun, rules=checked(RulesBody, **vars(typed)), examples=list(examples))
    what = unsound(typed, visit.web.categories)
    if what:
        raise Problem("invalid_request", say("{what}.", what=what))
    past = None
    if style_id is not None:
        async with visit.web.pool.acquire() as conn:
            await load_standing(conn, visit, style_id)
            past = await rules.try_on_past_orders(conn, visit.web, typed, style_id=style_id)
    found = rules.try_on(visit.web, typed, body.examples)
    said = [", ".join(translate(one.words) for one in objections) for objections in found]
    return Tried(examples=list(zip(body.examples, said, strict=True)), past=past)


async def _show(
    visit: Member,
    style_id: str | None,
    *,
    typed: Rules | None = None,
    tried: Tried | None = None,
    problem: Problem | None = None,
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id) if style_id is not None else None
        book: Rulebook = await current_rules(conn, creator_id=visit.account.id, style_id=style_id)
    return page(
        visit,
        "studio_rules.html" if standing else "studio_rules_all.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        book=book,
        rules=typed or book.rules,
        missing=[name for name in book.rules.categories if name not in visit.web.categories],
        categories=list(visit.web.categories.values()),
        examples="\n".join(await _lines(visit, "examples")),
        examples_max=EXAMPLES_MAX,
        tried=tried,
        url=_url(style_id),
        done=visit.request.query_params.get("done", ""),
    )


def _url(style_id: str | None) -> str:
    return "/studio/rules" if style_id is None else f"/studio/styles/{style_id}/rules"
