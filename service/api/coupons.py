"""`/v1/coupons`: discounts on plans that the operator gives. Creators get their part of the whole price."""

from typing import Any

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from licensing.billing import coupons
from licensing.billing.coupons import Coupon
from licensing.errors import Refusal
from licensing.sentence import say
from service.auth import Operator, OperatorReading, Web
from service.errors import Problem, not_found, refused

router = APIRouter(tags=["coupons"])


class CouponBody(BaseModel):
    """`percent` off the first `periods` periods of `plan` (null: any), for `uses_most` clients until `expires_at`."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=40)
    percent: int
    periods: int = 1
    plan: str | None = Field(default=None, max_length=100)
    uses_most: int | None = None
    expires_at: AwareDatetime | None = None


@router.get("/coupons")
async def get_coupons(web: Web, asker: OperatorReading) -> dict[str, Any]:
    """All there ever were, the newest first."""
    async with web.pool.acquire() as conn:
        found = await coupons.list_coupons(conn)
    return {"items": [_document(one) for one in found], "next_cursor": None}


@router.post("/coupons", status_code=201)
async def post_coupon(web: Web, asker: Operator, body: CouponBody) -> dict[str, Any]:
    """Make a coupon. What it takes off is the operator's money."""
    if body.plan is not None and body.plan not in web.prices.plans:
        raise Problem(
            "invalid_request",
            say("There is no plan {plan!r}; choose one of {plans}.", plan=body.plan, plans=", ".join(web.prices.plans)),
        )
    wanted = Coupon(**body.model_dump() | {"code": body.code.strip().upper()})
    async with web.pool.acquire() as conn:
        made = await coupons.make_coupon(conn, wanted, by=asker.account_id, now=web.clock())
    if isinstance(made, Refusal):
        raise refused(made)
    return _document(made)


@router.delete("/coupons/{code}", status_code=204)
async def delete_coupon(web: Web, asker: Operator, code: str) -> None:
    """Nobody can use it from now on; who did keeps the discount."""
    async with web.pool.acquire() as conn:
        if not await coupons.end_coupon(conn, code, now=web.clock()):
            raise not_found("coupon", code)


def _document(coupon: Coupon) -> dict[str, Any]:
    return {
        "code": coupon.code,
        "percent": coupon.percent,
        "periods": coupon.periods,
        "plan": coupon.plan,
        "uses_most": coupon.uses_most,
        "expires_at": coupon.expires_at,
        "uses": coupon.uses,
        "ended_at": coupon.ended_at,
    }
