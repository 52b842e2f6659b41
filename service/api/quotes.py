"""`/v1/quotes`: what a generation would cost. Charges nothing, holds nothing."""

from typing import Any

from fastapi import APIRouter

from service import intake
from service.api.shapes import money
from service.auth import Client, Web

router = APIRouter(tags=["quotes"])


@router.post("/quotes")
async def post_quote(web: Web, asker: Client, body: intake.OrderBody) -> dict[str, Any]:
    """The price of a generation's body. `pay` says what would pay it now: null if nothing this client has does.
    `approval` says for how many hours at most the creator may look at the pictures first; null if nobody does."""
    wanted = await intake.check(web, asker, body)
    priced = await intake.price(web, asker, wanted)
    if asker.is_test:
        amount = money(priced.quote.amount) | {"amount": 0}
        return {"amount": amount, "units": 0, "eta_s": 0.0, "pay": "test", "approval": None}
    return {
        "amount": money(priced.quote.amount),
        "units": priced.quote.units,
        "eta_s": priced.eta_s,
        "pay": priced.quote.pay,
        "approval": {"hours": web.settings.approval_hours} if priced.needs_approval else None,
    }
