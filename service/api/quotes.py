"""`/v1/quotes`: what a generation would cost. Charges nothing, holds nothing."""

from typing import Any

from fastapi import APIRouter

from licensing.orders import Quote
from service import intake
from service.api.shapes import money
from service.auth import Client, Web

router = APIRouter(tags=["quotes"])


@router.post("/quotes")
async def post_quote(web: Web, asker: Client, body: intake.OrderBody) -> dict[str, Any]:
    """The price of a generation's body. `pay` says what would pay it now: null if nothing this client has does."""
    wanted = await intake.check(web, asker, body)
    quote, eta_s = await intake.price(web, asker, wanted)
    return _document(quote, eta_s, is_test=asker.is_test)


def _document(quote: Quote, eta_s: float, *, is_test: bool) -> dict[str, Any]:
    amount = money(quote.amount)
    if is_test:
        return {"amount": amount | {"amount": 0}, "units": 0, "eta_s": 0.0, "pay": "test"}
    return {"amount": amount, "units": quote.units, "eta_s": eta_s, "pay": quote.pay}
