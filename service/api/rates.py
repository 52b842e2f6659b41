"""`/v1/styles/{id}/rates`: what a creator asks of single clients instead of a tier's price."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from licensing.errors import Refusal
from licensing.money import Money
from licensing.rates import Rate, put_rate, rates_of_style
from service.accounts import account_by_id
from service.api.shapes import money
from service.api.styles import Body, Price, check_exists, own_style
from service.auth import Creator, CreatorReading, Web
from service.errors import not_found, refused

router = APIRouter(tags=["rates"])


class RateBody(Body):
    """`price` is for a picture of the tier, before tax; null: the tier's own holds again."""

    tier: str = Field(max_length=40)
    price: Price | None


@router.get("/styles/{style_id}/rates")
async def get_rates(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """The prices that hold for single clients, by client and tier."""
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
        found = await rates_of_style(conn, style.id)
    return {"items": [_document(rate) for rate in found], "next_cursor": None}


@router.put("/styles/{style_id}/rates/{client_id}")
async def put_client_rate(web: Web, asker: Creator, style_id: str, client_id: str, body: RateBody) -> dict[str, Any]:
    """Ask another price of one client from now on. It is never below the tier's floor, and what was ordered keeps its
    price. Answers with all prices of this client."""
    price = Money(body.price.amount, body.price.currency) if body.price else None
    async with web.pool.acquire() as conn:
        check_exists(await own_style(conn, style_id, asker.account_id))
    # Whoever never bought of this creator is nobody whom the creator's own connection sees.
    async with web.house() as conn:
        client = await account_by_id(conn, client_id)
    if client is None or client.role != "client" or client.disabled_at is not None:
        raise not_found("client", client_id[:80])
    async with web.pool.acquire() as conn:
        stored = await put_rate(
            conn,
            style_id=style_id,
            client_id=client.id,
            tier=body.tier,
            price=price,
            by=asker.account_id,
            now=web.clock(),
        )
        if isinstance(stored, Refusal):
            raise refused(stored)
        found = await rates_of_style(conn, style_id)
    items = [_document(rate) for rate in found if rate.client_id == client.id]
    return {"items": items, "next_cursor": None}


def _document(rate: Rate) -> dict[str, Any]:
    return {"style": rate.style_id, "client": rate.client_id, "tier": rate.tier, "price": money(rate.price)}
