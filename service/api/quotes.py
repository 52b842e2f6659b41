"""`/v1/quotes`: what a generation would cost. Charges nothing, holds nothing."""

from typing import Any

from fastapi import APIRouter

from licensing.terms import terms_at
from service import intake
from service.api.shapes import money, permissions_document
from service.auth import Client, Web
from service.resources import Gateway

router = APIRouter(tags=["quotes"])


@router.post("/quotes")
async def post_quote(web: Web, asker: Client, body: intake.OrderBody) -> dict[str, Any]:
    """The price of a generation's body, with its tax. `pay` says what would pay it now: null if nothing of the client's
    does.

    `use` and `licence` are what its pictures could be used for, by the `terms_version` that would hold for them.
    `approval` says for how many hours at most the creator may look at the pictures first; null if nobody does.
    """
    wanted = await intake.check(web, asker, body)
    priced = await intake.price(web, asker, wanted)
    async with web.pool.acquire() as conn:
        terms = await terms_at(conn, body.style, priced.quote.terms_version)
    assert terms is not None, "a quote names a version that is kept"
    return _document(web, priced, is_test=asker.is_test) | {
        "use": terms.tiers[body.tier].use,
        "licence": permissions_document(terms.permissions),
        "terms_version": terms.version,
    }


def _document(web: Gateway, priced: intake.Priced, *, is_test: bool) -> dict[str, Any]:
    amount, tax = money(priced.quote.amount), money(priced.quote.tax)
    if is_test:
        return {
            "amount": amount | {"amount": 0},
            "tax": tax | {"amount": 0},
            "units": 0,
            "eta_s": 0.0,
            "pay": "test",
            "approval": None,
        }
    return {
        "amount": amount,
        "tax": tax,
        "units": priced.quote.units,
        "eta_s": priced.eta_s,
        "pay": priced.quote.pay,
        "approval": {"hours": web.settings.approval_hours} if priced.needs_approval else None,
    }
