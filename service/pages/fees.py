"""What the operator takes, on one page for anybody: now, on an example, and before."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from licensing.money import Money
from service.fees import list_fees
from service.pages.render import page
from service.pages.visits import Visitor

router = APIRouter(include_in_schema=False)

_ALL_BPS = 10_000


@router.get("/fees")
async def fees_page(visit: Visitor) -> HTMLResponse:
    """The fee of today and its history."""
    async with visit.web.pool.acquire() as conn:
        known = await list_fees(conn)
    prices = visit.web.prices
    example = max(tier.price.amount for tier in prices.tiers.values())
    share, fee = Money(example, prices.currency).split([_ALL_BPS - prices.fee_bps, prices.fee_bps])
    return page(
        visit,
        "fees.html",
        fees=known,
        fee_bps=prices.fee_bps,
        dues=prices.dues,
        minute=prices.training_minute,
        example=Money(example, prices.currency),
        share=share,
        fee=fee,
    )
