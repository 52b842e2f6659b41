"""`/v1/subscription`: the operator's plan. Bought, tried, changed, paused, spent beyond, and ended."""

from datetime import timedelta
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from licensing import plans
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.plans import Allowance
from licensing.prices import Plan
from licensing.sentence import say
from service.api.licences import allowance_document
from service.api.shapes import money
from service.auth import Client, ClientReading, Identity, Web, check_terms
from service.errors import Problem, refused
from service.resources import Gateway

router = APIRouter(tags=["subscription"])


class SubscriptionBody(BaseModel):
    """`plan` null ends the renewal of the plan that runs. Another plan than the one that runs needs `change`: at once,
    or when that is renewed."""

    model_config = ConfigDict(extra="forbid")

    plan: str | None
    renews: bool = True
    change: Literal["now", "renewal"] | None = None
    coupon: str | None = Field(default=None, max_length=40)
    trial: bool = False


class PauseBody(BaseModel):
    """`until` null: as long as the operator allows."""

    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime | None = None


class OverageBody(BaseModel):
    """What pictures beyond the quota may cost on account in a period, in minor units; 0 for none."""

    model_config = ConfigDict(extra="forbid")

    cap: int = Field(ge=0, le=10**12)


@router.get("/subscription")
async def get_subscription(web: Web, asker: ClientReading) -> dict[str, Any]:
    """The plan that runs, if any, and the plans on offer."""
    async with web.pool.acquire() as conn:
        current = await plans.current_plan(conn, client_id=asker.account_id, now=web.clock())
    return subscription_document(web, current)


@router.put("/subscription")
async def put_subscription(web: Web, asker: Client, body: SubscriptionBody) -> dict[str, Any]:
    """Buy a plan with prepaid money or try it, change to another one, or end its renewal.

    The plan that already runs is not bought twice. A change at once costs the new plan's full price and begins a new
    period; what is neither used nor gone by of the old one is paid back.
    """
    if body.plan is not None:
        check_terms(web, asker)
        _offered(web, body.plan)
    async with web.pool.acquire() as conn, conn.transaction():
        answer = await _put(web, conn, asker, body)
        if isinstance(answer, Refusal):
            raise refused(answer)
    return subscription_document(web, answer)


@router.post("/subscription/pause")
async def pause_subscription(web: Web, asker: Client, body: PauseBody) -> dict[str, Any]:
    """Stop the plan's clock: it ends as much later, and nothing is made from it meanwhile."""
    now = web.clock()
    latest = now + timedelta(days=web.prices.pause_days_most)
    until = body.until or latest
    if until > latest:
        raise Problem(
            "invalid_request",
            say(
                "A plan can be paused for {pause_days_most} days at most, until {latest:%Y-%m-%d}; give"
                " an earlier day.",
                pause_days_most=web.prices.pause_days_most,
                latest=latest,
            ),
        )
    return await _changed(web, asker, lambda conn: plans.pause(conn, client_id=asker.account_id, until=until, now=now))


@router.post("/subscription/resume")
async def resume_subscription(web: Web, asker: Client) -> dict[str, Any]:
    """Let a paused plan run on."""
    now = web.clock()
    return await _changed(web, asker, lambda conn: plans.resume(conn, client_id=asker.account_id, now=now))


@router.put("/subscription/overage")
async def put_overage(web: Web, asker: Client, body: OverageBody) -> dict[str, Any]:
    """Let pictures beyond the quota come on account, up to a cap a period. They are invoiced after the month."""
    check_terms(web, asker)
    now, cap = web.clock(), Money(body.cap, web.prices.currency)
    return await _changed(
        web, asker, lambda conn: plans.cap_overage(conn, client_id=asker.account_id, cap=cap, now=now)
    )


async def _put(web: Gateway, conn: Connection, asker: Identity, body: SubscriptionBody) -> Allowance | Refusal:
    now, client_id = web.clock(), asker.account_id
    running = await plans.current_plan(conn, client_id=client_id, now=now)
    if body.plan is None:
        if running is None:
            raise Problem("conflict", say("No plan runs, so there is no renewal to end; name a plan to buy one."))
        return await plans.end_renewal(conn, client_id=client_id, allowance_id=running.id)
    plan = _offered(web, body.plan)
    if running is not None and running.name != plan.id and body.change:
        return await plans.change(
            conn, client_id=client_id, plan=plan, at_once=body.change == "now", now=now, new_id=web.new_id
        )
    return await plans.subscribe(
        conn,
        client_id=client_id,
        plan=plan,
        now=now,
        new_id=web.new_id,
        renews=body.renews,
        coupon=body.coupon,
        is_trial=body.trial,
    )


async def _changed(web: Gateway, asker: Identity, verb: Any) -> dict[str, Any]:
    async with web.pool.acquire() as conn, conn.transaction():
        answer = await verb(conn)
        if isinstance(answer, Refusal):
            raise refused(answer)
    return subscription_document(web, answer)


def _offered(web: Gateway, plan_id: str) -> Plan:
    offered = web.prices.plans
    if plan_id not in offered:
        raise Problem(
            "invalid_request",
            say("There is no plan {plan_id!r}; choose one of {offered}.", plan_id=plan_id, offered=", ".join(offered)),
        )
    return offered[plan_id]


def subscription_document(web: Gateway, current: Allowance | None) -> dict[str, Any]:
    """The plan that runs and those on offer."""
    return {
        "plan": current.name if current else None,
        "allowance": allowance_document(current) if current else None,
        "plans": [_plan(plan) for plan in web.prices.plans.values()],
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "name": plan.name,
        "price": money(plan.price),
        "units": plan.units,
        "months": plan.months,
        "covers": dict(plan.covers),
        "overage": money(plan.overage) if plan.overage else None,
        "overage_most": money(plan.overage_most) if plan.overage_most else None,
        "trial": {"units": plan.trial.units, "days": plan.trial.days} if plan.trial else None,
    }
