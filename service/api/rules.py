"""`/v1/rules` and `/v1/styles/{id}/rules`: what a creator will not have drawn, and for whom."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from licensing.rulebooks import current_rules
from licensing.rules import Objection, unsound
from licensing.sentence import say
from service import rules
from service.api.styles import Body, RulesBody, check_exists, own_style, rules_document, store_rules
from service.auth import Creator, CreatorReading, Identity, Web
from service.errors import Problem
from service.intake import PROMPT_CHARACTERS_MAX
from service.resources import Gateway

router = APIRouter(tags=["rules"])

EXAMPLES_MAX = 50
Example = Annotated[str, StringConstraints(max_length=PROMPT_CHARACTERS_MAX)]


class DryRun(Body):
    """`rules` to be tried, without which those that hold are; on `examples`, and on the style's newest orders."""

    rules: RulesBody | None = None
    examples: list[Example] = Field(default=[], max_length=EXAMPLES_MAX)


@router.get("/rules")
async def get_default_rules(web: Web, asker: CreatorReading) -> dict[str, Any]:
    """The rules for all styles without rules of their own, and the categories that rules may name."""
    return await _document(web, asker, None)


@router.put("/rules")
async def put_default_rules(web: Web, asker: Creator, body: RulesBody) -> dict[str, Any]:
    """Set them. Orders from now on are judged by them; those that were accepted go on."""
    async with web.pool.acquire() as conn:
        await store_rules(conn, web, asker.account_id, None, body.rules)
    return await _document(web, asker, None)


@router.get("/styles/{style_id}/rules")
async def get_rules(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """The rules that orders of the style are judged by, its own or those for all styles."""
    return await _document(web, asker, style_id)


@router.put("/styles/{style_id}/rules")
async def put_rules(web: Web, asker: Creator, style_id: str, body: RulesBody) -> dict[str, Any]:
    """Give the style rules of its own, which hold instead of those for all styles."""
    async with web.pool.acquire() as conn:
        check_exists(await own_style(conn, style_id, asker.account_id))
        await store_rules(conn, web, asker.account_id, style_id, body.rules)
    return await _document(web, asker, style_id)


@router.delete("/styles/{style_id}/rules")
async def delete_rules(web: Web, asker: Creator, style_id: str) -> dict[str, Any]:
    """Take the style's own rules away: those for all styles hold again."""
    async with web.pool.acquire() as conn:
        check_exists(await own_style(conn, style_id, asker.account_id))
        await store_rules(conn, web, asker.account_id, style_id, None)
    return await _document(web, asker, style_id)


@router.post("/styles/{style_id}/rules/dry-run")
async def dry_run(web: Web, asker: CreatorReading, style_id: str, body: DryRun) -> dict[str, Any]:
    """What rules would say to example prompts, each with every term that is met; and how many of the style's newest
    orders they would have refused (null where that would be about too few clients). Nothing is changed."""
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
        held = await current_rules(conn, creator_id=asker.account_id, style_id=style.id)
        tried = body.rules.rules if body.rules else held.rules
        what = unsound(tried, web.categories) if body.rules else None
        if what:
            raise Problem("invalid_request", say("{what}.", what=what))
        past = await rules.try_on_past_orders(conn, web, tried, style_id=style.id)
    found = rules.try_on(web, tried, body.examples)
    return {
        "examples": [
            {"prompt": prompt, "refused": bool(one), "by": [_objection(objection) for objection in one]}
            for prompt, one in zip(body.examples, found, strict=True)
        ],
        "orders": {"looked_at": past.num_orders, "refused": past.num_refused} if past else None,
    }


async def _document(web: Gateway, asker: Identity, style_id: str | None) -> dict[str, Any]:
    async with web.pool.acquire() as conn:
        if style_id is not None:
            await own_style(conn, style_id, asker.account_id)
        found = await current_rules(conn, creator_id=asker.account_id, style_id=style_id)
    known = [
        {"id": one.id, "name": one.name, "meaning": one.meaning, "terms": one.terms} for one in web.categories.values()
    ]
    # A category that the operator took away objects to nothing; its creator is to see that.
    missing = [name for name in found.rules.categories if name not in web.categories]
    return {**rules_document(found), "missing_categories": missing, "known_categories": known}


def _objection(objection: Objection) -> dict[str, Any]:
    return {"rule": objection.rule, "term": objection.term, "whose": "creator"}
