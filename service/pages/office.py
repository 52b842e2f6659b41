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
from licensing.sentence import say
from licensing.watermarks import Watermark
from service import overview
from service.accounts import Account, account_by_email, account_by_id, list_accounts
from service.api.outputs import REASON_CHARACTERS_MAX, refund
from service.cases import list_cases
from service.desk import invite as make_invitation
from service.errors import Problem, not_found, refused
from service.heartbeats import content_checks, num_workers
from service.languages import gettext, ngettext, translate
from service.pages import words
from service.pages.forms import chosen, price
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit
from service.self_tests import last_self_test
from service.styles import Style, list_all_styles

router = APIRouter(include_in_schema=False)

_PER_PAGE = 50
"""Of each list."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A style in the operator's list."""

    style: Style
    creator_name: str
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
        return await _show(visit, problem=Problem("invalid_request", say("{what}.", what=error.args[0])))
    except Problem as problem:
        return await _show(visit, problem=problem)
    return await _show(visit, invited=account, link=link)


@router.post("/office/credits")
async def book_credit(visit: OperatorVisit) -> Response:
    """Book prepaid money that arrived by other ways."""
    try:
        amount = price(await visit.field("amount"), currency=visit.web.prices.currency, name=gettext("Amount"))
        async with visit.web.pool.acquire() as conn:
            named = await visit.field("client")
            client = await (account_by_email(conn, named) if "@" in named else account_by_id(conn, named))
            if client is None or client.role != "client":
                raise not_found("client", named)
            booked = await manual.credit(conn, client.id, amount, await visit.field("reference"), visit.now)
        if isinstance(booked, Refusal):
            raise refused(booked)
    except ValueError as error:
        return await _show(visit, problem=Problem("invalid_request", say("{what}.", what=error.args[0])))
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
                "invalid_request", say("A sale is taken back by the picture's number and with a reason; give both.")
            )
        done = await refund(visit.web, visit.identity, output_id, reason)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"/office?done={'refunded_before' if done['repeated'] else 'refunded'}")


def watermark_words(watermark: Watermark | None) -> str:
    """Which invisible mark pictures get here."""
    if watermark is None:
        return gettext("No invisible watermark is active: a picture whose seal is gone is found by its looks alone.")
    said = gettext("{name} (licence {licence}) marks every picture that is sold.")
    return said.format(name=watermark.name, licence=watermark.licence)


def content_check_words(workers: Mapping[str, int]) -> str:
    """What judges what pictures show. workers: how many judge by each check, and how many, under "", by none."""
    active = {name: num for name, num in workers.items() if name}
    if not active:
        return gettext("No content classifier is active: pictures are not judged by what they show.")
    total = sum(workers.values())
    judges = ngettext(
        "{name} (licence {licence}) judges what pictures show, on {num} of {total:,} worker.",
        "{name} (licence {licence}) judges what pictures show, on {num} of {total:,} workers.",
        total,
    )
    said = [
        judges.format(
            name=name, licence=licence_of(name) if name in CHECKERS else gettext("unknown here"), num=num, total=total
        )
        for name, num in active.items()
    ]
    if workers.get(""):
        said.append(
            gettext("On the others no content classifier is active: their pictures are not judged by what they show.")
        )
    return " ".join(said)


async def _show(
    visit: Member, *, problem: Problem | None = None, invited: Account | None = None, link: str = ""
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        found = {
            role: await list_accounts(conn, role=role, limit=_PER_PAGE + 1, before=_before(visit, role))
            for role in words.ROLES
        }
        people = {role: listed[:_PER_PAGE] for role, listed in found.items()}
        clients = [client.id for client in people["client"]]
        balances = await plans.prepaid_of(conn, clients, currency=visit.web.prices.currency)
        styles = await _styles(conn, visit)
        failed = await overview.failures(conn, now=visit.now)
        held = await overview.long_held(conn, now=visit.now)
        silence_s = visit.web.settings.executor_silence_s
        values: dict[str, Any] = {
            "needs": await overview.needs(conn, now=visit.now, failed=failed, held=held),
            "workers": await num_workers(conn, now=visit.now, silence_s=silence_s),
            "is_tested": await last_self_test(conn, only_passed=True) is not None,
            "styles": styles[:_PER_PAGE],
            "older_style": styles[_PER_PAGE - 1].style.id if len(styles) > _PER_PAGE else "",
            "audit": await last_audit(conn),
            "cases": await list_cases(conn),
            "content_check": content_check_words(await content_checks(conn, now=visit.now, silence_s=silence_s)),
        }
    return page(
        visit,
        "office.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        people=people,
        older={role: listed[_PER_PAGE - 1].id for role, listed in found.items() if len(listed) > _PER_PAGE},
        balances=balances,
        invited=invited,
        link=link,
        minutes=visit.web.settings.sign_in_link_minutes,
        currency=visit.web.prices.currency,
        watermark=watermark_words(visit.web.watermark),
        translate=translate,
        has_seller=visit.web.taxes.seller is not None,
        reason_characters=REASON_CHARACTERS_MAX,
        done=visit.request.query_params.get("done", ""),
        now=visit.now,
        **values,
    )


def _before(visit: Member, what: str) -> str | None:
    """Before which id a list goes on that is not at its beginning."""
    return visit.request.query_params.get(f"{what}s_before") or None


async def _styles(conn: Connection, visit: Member) -> list[Shown]:
    found = await list_all_styles(conn, limit=_PER_PAGE + 1, before=_before(visit, "style"))
    levels = await switch.states(conn, style_ids=[style.id for style, _ in found], now=visit.now)
    return [Shown(style=style, creator_name=name, state=levels.get(style.id)) for style, name in found]
