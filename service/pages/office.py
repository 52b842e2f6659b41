"""The operator's office: people, prepaid money, styles and their switches, and whether the ledger adds up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from inference.checkers import CHECKERS, licence_of
from licensing import plans, switch
from licensing.audits import last_audit
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.payments import manual
from licensing.watermarks import Watermark
from service.accounts import Account, account_by_email, account_by_id, list_accounts
from service.api.outputs import REASON_CHARACTERS_MAX, refund
from service.cases import list_cases
from service.desk import invite as make_invitation
from service.errors import Problem, not_found, refused
from service.formats import count
from service.heartbeats import content_checks
from service.pages import words
from service.pages.forms import chosen, price
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit
from service.styles import Style, list_styles

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A style in the operator's list."""

    style: Style
    creator: Account
    state: switch.SwitchState | None


@router.get("/office")
async def office(visit: OperatorVisit) -> HTMLResponse:
    """Everything on one page."""
    return await _show(visit)


@router.post("/office/invitations")
async def invite(visit: OperatorVisit) -> HTMLResponse:
    """Make the account if needed, and show its one-time sign-in link. The answer is a page: the link is seen once."""
    try:
        role = chosen(await visit.field("role"), list(words.ROLES))
        email, name = await visit.field("email"), await visit.field("name")
        async with visit.web.pool.acquire() as conn, conn.transaction():
            link = await make_invitation(
                conn, visit.web.settings, role=role, email=email, name=name or None, now=visit.now
            )
            account = await account_by_email(conn, email)
    except ValueError as error:
        return await _show(visit, problem=Problem("invalid_request", f"{error}."))
    except Problem as problem:
        return await _show(visit, problem=problem)
    return await _show(visit, invited=account, link=link)


@router.post("/office/credits")
async def book_credit(visit: OperatorVisit) -> Response:
    """Book prepaid money that arrived by other ways."""
    try:
        amount = price(await visit.field("amount"), currency=visit.web.prices.currency, name="Amount")
        async with visit.web.pool.acquire() as conn:
            client = await account_by_id(conn, await visit.field("client"))
            if client is None or client.role != "client":
                raise not_found("client", await visit.field("client"))
            booked = await manual.credit(conn, client.id, amount, await visit.field("reference"), visit.now)
        if isinstance(booked, Refusal):
            raise refused(booked)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"/office?done={'booked_before' if booked.repeated else 'booked'}#clients")


@router.post("/office/refunds")
async def take_back(visit: OperatorVisit) -> Response:
    """Take the sale of one picture back."""
    try:
        output_id, reason = await visit.field("output"), (await visit.field("reason"))[:REASON_CHARACTERS_MAX]
        if not output_id or not reason:
            raise Problem(
                "invalid_request", "A sale is taken back by the picture's number and with a reason; give both."
            )
        done = await refund(visit.web, visit.identity, output_id, reason)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"/office?done={'refunded_before' if done['repeated'] else 'refunded'}")


def watermark_words(watermark: Watermark | None) -> str:
    """Which invisible mark pictures get here."""
    if watermark is None:
        return "No invisible watermark is active: a picture whose seal is gone is found by its looks alone."
    return f"{watermark.name} (licence {watermark.licence}) marks every picture that is sold."


def content_check_words(workers: Mapping[str, int]) -> str:
    """What judges what pictures show. workers: how many judge by each check, and how many, under "", by none."""
    active = {name: num for name, num in workers.items() if name}
    if not active:
        return "No content classifier is active: pictures are not judged by what they show."
    total = sum(workers.values())
    said = [
        f"{name} (licence {licence_of(name) if name in CHECKERS else 'unknown here'}) judges what pictures show,"
        f" on {num} of {count(total, 'worker')}."
        for name, num in active.items()
    ]
    if workers.get(""):
        said.append("On the others no content classifier is active: their pictures are not judged by what they show.")
    return " ".join(said)


async def _show(
    visit: Member, *, problem: Problem | None = None, invited: Account | None = None, link: str = ""
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        people = {role: await list_accounts(conn, role=role) for role in words.ROLES}
        balances = {
            client.id: await plans.usage(conn, client.id, visit.now, currency=visit.web.prices.currency)
            for client in people["client"]
        }
        values: dict[str, Any] = {
            "styles": await _styles(conn, visit, people["creator"]),
            "audit": await last_audit(conn),
            "cases": await list_cases(conn),
            "content_check": content_check_words(
                await content_checks(conn, now=visit.now, silence_s=visit.web.settings.executor_silence_s)
            ),
        }
    return page(
        visit,
        "office.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        people=people,
        balances=balances,
        invited=invited,
        link=link,
        minutes=visit.web.settings.sign_in_link_minutes,
        currency=visit.web.prices.currency,
        watermark=watermark_words(visit.web.watermark),
        has_seller=visit.web.taxes.seller is not None,
        reason_characters=REASON_CHARACTERS_MAX,
        done=visit.request.query_params.get("done", ""),
        **values,
    )


async def _styles(conn: Connection, visit: Member, creators: list[Account]) -> list[Shown]:
    found = [(creator, style) for creator in creators for style in await list_styles(conn, creator_id=creator.id)]
    levels = await switch.states(conn, style_ids=[style.id for _, style in found], now=visit.now)
    return [Shown(style=style, creator=creator, state=levels.get(style.id)) for creator, style in found]
