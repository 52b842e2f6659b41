"""The desk's front: what a client may spend, what was made, and one order as it is made."""

from dataclasses import dataclass, replace
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import docket, plans
from licensing.database import Connection
from licensing.gateway import find_hold, find_holds
from licensing.money import Money
from licensing.orders import Hold, Pay
from service import events
from service.api.generations import cancel_generation
from service.api.outputs import get_certificate
from service.catalogue import list_published
from service.errors import Problem, not_found
from service.forecasts import with_fresh_eta
from service.languages import gettext
from service.orders import Order, find_order, list_orders
from service.outputs import Output, find_output, outputs_of
from service.pages.desk_endings import endings
from service.pages.render import page, see_other
from service.pages.visits import ClientVisit, Member
from service.resources import Gateway
from service.retention import words_kept_until
from service.styles import style_names
from service.teams import names_of_people

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"order": "_order.html"}
_RECENT = 12


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An order as pages show it. `amount`, or `units` of a quota, are held until the end, charged when it is ready."""

    order: Order
    hold: Hold
    style_name: str
    outputs: list[Output]

    @property
    def url(self) -> str:
        return f"/desk/orders/{self.order.id}"

    @property
    def amount(self) -> Money:
        return Money(self.order.amount, self.order.currency)

    @property
    def pay(self) -> Pay:
        return self.hold.pay

    @property
    def units(self) -> int:
        return self.hold.units if self.order.is_open else self.hold.charged_units

    kept_until: datetime | None
    """Until when its prompt is kept; None while it is being made."""

    by: str = ""
    """The name of whoever ordered it, where the client has a team."""

    @property
    def prompt(self) -> str:
        """What was asked for; empty where that was deleted."""
        return self.order.prompt or ""

    @property
    def title(self) -> str:
        return self.prompt or gettext("An order of {style}").format(style=self.style_name)


@router.get("/desk")
async def desk(visit: ClientVisit) -> HTMLResponse:
    """Balance, usage, the last pictures, and the styles one can order from."""
    async with visit.web.pool.acquire() as conn:
        usage = await plans.usage(conn, visit.account.id, visit.now, currency=visit.web.prices.currency)
        recent = await shown_orders(visit.web, conn, await list_orders(conn, client_id=visit.account.id, limit=_RECENT))
        is_any_on_sale = bool(await list_published(conn, now=visit.now, limit=1))
    ending = await endings(visit, usage)
    plans_offered = visit.web.prices.plans
    return page(
        visit,
        "desk.html",
        usage=usage,
        recent=recent,
        is_any_on_sale=is_any_on_sale,
        plans=plans_offered,
        ending=ending,
    )


@router.get("/desk/orders/{order_id}")
async def order_page(visit: ClientVisit, order_id: str) -> HTMLResponse:
    """One order; its part of the page asks for itself until it has ended."""
    return await _order(visit, order_id)


@router.post("/desk/orders/{order_id}/cancel")
async def cancel_order(visit: ClientVisit, order_id: str) -> Response:
    """Stop it; nothing is charged."""
    try:
        await cancel_generation(visit.web, visit.identity, order_id)
    except Problem as problem:
        return await _order(visit, order_id, problem)
    return see_other(f"/desk/orders/{order_id}")


@router.get("/desk/outputs/{output_id}")
async def certificate_page(visit: ClientVisit, output_id: str) -> HTMLResponse:
    """The certificate of one picture, readable, with the signed document."""
    found = await get_certificate(visit.web, visit.identity, output_id)
    paper = found["document"]
    if paper is None:
        raise not_found("certificate", output_id)
    async with visit.web.pool.acquire() as conn:
        output = await find_output(conn, output_id, client_id=visit.account.id)
        disputes = await docket.newest_about(conn, [output_id])
        hold = await find_hold(conn, paper["generation"], client_id=visit.account.id)
    return page(
        visit,
        "desk_output.html",
        paper=paper,
        hold=hold,
        amount=Money(**paper["amount"]),
        is_over=paper["expires_at"] is not None and paper["expires_at"] <= visit.now,
        document=found["certificate"],
        has_receipt=output is not None and bool(output.receipt),
        revoked_reason=found["revoked_reason"],
        dispute=disputes.get(output_id),
        origin=visit.web.settings.origin,
    )


async def _order(visit: Member, order_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        order = await find_order(conn, order_id, client_id=visit.account.id)
    if order is None:
        raise not_found("order", order_id)
    # Takes a connection of its own: who held one meanwhile could wait for it for ever.
    order = await with_fresh_eta(visit.web, order)
    async with visit.web.pool.acquire() as conn:
        (shown,) = await shown_orders(visit.web, conn, [order])
        preview = await _preview(conn, order)
    (shown,) = await with_people(visit, [shown])
    return page(
        visit,
        "desk_order.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        shown=shown,
        preview=preview,
        approval_s=visit.web.settings.approval_hours * 3600,
    )


async def _preview(conn: Connection, order: Order) -> str:
    """The newest look at a picture being made, as a data URL; empty where there is none."""
    if order.state != "running":
        return ""
    seen = await events.since(conn, subject=order.id, after=0)
    return next((event.data["preview"] for event in reversed(seen) if "preview" in event.data), "")


async def with_people(visit: Member, shown: list[Shown]) -> list[Shown]:
    """The same orders with who ordered them. It takes a connection of its own."""
    people = {one.order.ordered_by for one in shown if one.order.ordered_by}
    async with visit.web.house() as conn:
        names = await names_of_people(conn, visit.account.id, people) if people else {}
    return [replace(one, by=names.get(one.order.ordered_by or "", "")) for one in shown]


async def shown_orders(web: Gateway, conn: Connection, orders: list[Order]) -> list[Shown]:
    """Orders as pages show them, in their order."""
    order_ids = [order.id for order in orders]
    outputs, holds = await outputs_of(conn, order_ids), await find_holds(conn, order_ids)
    names = await style_names(conn, {order.style_id for order in orders})
    return [
        Shown(
            order=order,
            hold=holds[order.id],
            style_name=names.get(order.style_id, order.style_id),
            outputs=outputs.get(order.id, []),
            kept_until=words_kept_until(web, order.ended_at) if order.ended_at else None,
        )
        for order in orders
    ]
