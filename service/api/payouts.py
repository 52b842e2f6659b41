"""`/v1/payee` and `/v1/payouts`: where and when a creator is paid, and what was; `/v1/payout-runs` for the operator."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from licensing import payees, payouts
from licensing.errors import ProviderUnreachable, Refusal
from licensing.money import Money
from licensing.payees import BankAccount, Payee
from licensing.payouts import Payout
from licensing.sentence import say
from service import audit, onboarding
from service.api.shapes import Cursor, Limit, bytes_of, form_asked_for, money, page
from service.api.styles import Body
from service.auth import Creator, CreatorReading, Operator, OperatorReading, Web
from service.errors import Problem, not_found, refused
from service.resources import Gateway
from service.telling.of_money import tell_payouts

router = APIRouter(tags=["payouts"])

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class PayeeBody(Body):
    """A bank account, the least to be paid out at once (minor units), and when: on Mondays, on the first of a month, or
    only when asked for."""

    holder: str = Field(max_length=200)
    iban: str = Field(max_length=64)
    bic: str | None = Field(default=None, max_length=20)
    minimum: int = Field(ge=1, le=10**12)
    schedule: Literal["weekly", "monthly", "never"]


class ReasonBody(Body):
    reason: Words


class ReferenceBody(Body):
    """What the bank knows the run by."""

    reference: Words


@router.get("/payee")
async def get_payee(web: Web, asker: CreatorReading) -> dict[str, Any]:
    """Where this creator is paid: null before it was said. Of the account only its end is shown; `history` has every
    change."""
    async with web.pool.acquire() as conn:
        history = await payees.payee_history(conn, asker.account_id)
    shown = [_payee_document(one) for one in history]
    return {"payee": shown[0] if shown else None, "history": shown, "smallest": money(web.prices.payout_smallest)}


@router.put("/payee")
async def put_payee(web: Web, asker: Creator, body: PayeeBody) -> dict[str, Any]:
    """Say where and when to pay. Another account than before is paid after three days, so that a change that was not
    yours can be seen in time."""
    currency = web.prices.currency
    async with web.pool.acquire() as conn, conn.transaction():
        stored = await payees.put_payee(
            conn,
            creator_id=asker.account_id,
            account=BankAccount(holder=body.holder, iban=body.iban, bic=body.bic),
            minimum=Money(body.minimum, currency),
            schedule=body.schedule,
            smallest=web.prices.payout_smallest,
            by=asker.account_id,
            now=web.clock(),
        )
        if isinstance(stored, Refusal):
            raise refused(stored)
        if stored.created_at == web.clock() or stored.version == 1:
            await audit.note(conn, "payee_changed", account_id=asker.account_id, by=asker.who, now=web.clock())
    return _payee_document(stored)


@router.post("/payee/connect", status_code=201)
async def connect_payee(web: Web, asker: Creator) -> dict[str, Any]:
    """Begin to open an account at the payment provider, or go on with the one that was begun: send your browser to
    `url`. Payouts go there once it takes money, which the provider tells."""
    try:
        begun = await onboarding.begin(web, creator_id=asker.account_id, by=asker.who)
    except ProviderUnreachable as error:
        raise Problem(
            "overloaded", say("The payment provider does not answer: {error}; try again in a moment.", error=error)
        ) from error
    if begun is None:
        raise Problem("conflict", say("Creators are paid by bank transfer here: give an IBAN instead."))
    return {"url": begun.url}


@router.get("/payouts")
async def get_payouts(web: Web, asker: CreatorReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """What was paid out and what is on its way, the newest first; `standing` is where all earnings are."""
    async with web.pool.acquire() as conn:
        found = await payouts.payouts(conn, creator_id=asker.account_id, limit=limit + 1, before=cursor)
        standing = await payouts.standing(conn, creator_id=asker.account_id, currency=web.prices.currency)
    sums = {name: money(getattr(standing, name)) for name in ("payable", "held", "paying", "paid")}
    return page(found, limit, payout_document) | {"standing": sums}


@router.post("/payouts", status_code=201)
async def post_payout(web: Web, asker: Creator) -> dict[str, Any]:
    """Ask to be paid now what is payable, whatever the schedule says."""
    async with web.house() as conn, conn.transaction():
        opened = await payouts.open_payout(
            conn,
            payout_id=web.new_id("pyt"),
            creator_id=asker.account_id,
            at_least=web.prices.payout_smallest,
            now=web.clock(),
        )
        if isinstance(opened, Refusal):
            raise refused(opened)
    return payout_document(opened)


@router.get("/payouts/{payout_id}")
async def get_payout(web: Web, asker: CreatorReading, payout_id: str) -> dict[str, Any]:
    async with web.pool.acquire() as conn:
        found = await payouts.find_payout(conn, payout_id)
    if found is None or found.creator_id != asker.account_id:
        raise not_found("payout", payout_id)
    return payout_document(found)


@router.get("/payout-runs")
async def get_runs(web: Web, asker: OperatorReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Files for the bank, the newest first, and how much waits to be put into one."""
    async with web.house() as conn:
        found = await payouts.runs(conn, limit=limit + 1, before=cursor)
        waiting = [one for one in await payouts.open_payouts(conn, method="manual", limit=1000) if one.run_id is None]
    total = Money(sum(one.amount.amount for one in waiting), web.prices.currency)
    return page(found, limit, _run_document) | {"waiting": {"payouts": len(waiting), "total": money(total)}}


@router.post("/payout-runs", status_code=201)
async def post_run(web: Web, asker: Operator) -> dict[str, Any]:
    """Gather all open payouts by bank into a file. Nothing joins it later."""
    run_id = web.new_id("run")
    async with web.house() as conn, conn.transaction():
        made = await payouts.make_run(conn, run_id=run_id, currency=web.prices.currency, now=web.clock())
        if isinstance(made, Refusal):
            raise refused(made)
    return {"id": run_id, "payouts": [payout_document(one) for one in made]}


@router.get("/payout-runs/{run_id}")
async def get_run(web: Web, asker: OperatorReading, run_id: str) -> dict[str, Any]:
    """One of them with its payouts."""
    return {"id": run_id, "payouts": [payout_document(one) for one in await _payouts_of(web, run_id)]}


@router.get("/payout-runs/{run_id}/file", response_class=Response, responses=bytes_of("application/xml", "text/csv"))
async def get_run_file(web: Web, asker: OperatorReading, run_id: str, request: Request) -> Response:
    """The file that a bank takes (SEPA credit transfers, pain.001), or a table (`?format=csv`) for others."""
    found = await _payouts_of(web, run_id)
    async with web.house() as conn:
        ways = await payouts.transfers(conn, [one.id for one in found])
    return _bank_paper(web, run_id, ways, form_asked_for(request, ("xml", "csv")))


@router.post("/payout-runs/{run_id}/confirm")
async def confirm_run(web: Web, asker: Operator, run_id: str, body: ReferenceBody) -> dict[str, Any]:
    """The bank carried it out: what of it is still open was paid."""
    async with web.house() as conn, conn.transaction():
        now = web.clock()
        done = await payouts.confirm_run(conn, run_id=run_id, reference=body.reference, now=now)
        if isinstance(done, Refusal):
            raise refused(done)
        await tell_payouts(conn, now=now)
    return {"id": run_id, "payouts": [payout_document(one) for one in done]}


@router.post("/payouts/{any_payout_id}/fail")
async def fail_payout(web: Web, asker: Operator, any_payout_id: str, body: ReasonBody) -> dict[str, Any]:
    """It did not arrive, or it came back: the money is the creator's again."""
    async with web.house() as conn, conn.transaction():
        found = await payouts.find_payout(conn, any_payout_id)
        if found is None:
            raise not_found("payout", any_payout_id)
        now = web.clock()
        if found.state == "paid":
            moved = await payouts.reverse_payout(conn, payout_id=found.id, reason=body.reason, now=now)
        else:
            moved = await payouts.end_payout(conn, payout_id=found.id, outcome="failed", detail=body.reason, now=now)
        if isinstance(moved, Refusal):
            raise refused(moved)
        await tell_payouts(conn, now=now)
    return payout_document(moved)


def payout_document(payout: Payout) -> dict[str, Any]:
    """One transfer to a creator."""
    shown = asdict(payout) | {"amount": money(payout.amount), "run": payout.run_id, "creator": payout.creator_id}
    return {name: value for name, value in shown.items() if name not in ("run_id", "creator_id", "payee_version")}


def _payee_document(payee: Payee) -> dict[str, Any]:
    shown = asdict(payee) | {"minimum": money(payee.minimum)}
    return {name: value for name, value in shown.items() if name not in ("creator_id", "by")}


def _run_document(run: payouts.Run) -> dict[str, Any]:
    return asdict(run) | {"total": money(run.total)}


async def _payouts_of(web: Gateway, run_id: str) -> list[Payout]:
    async with web.house() as conn:
        found = await payouts.payouts_of_run(conn, run_id)
    if not found:
        raise not_found("run of payouts", run_id)
    return found


def _bank_paper(web: Gateway, run_id: str, ways: list[payouts.Transfer], form: str) -> Response:
    # What writes XML takes a while to load, which a web process that starts does not wait for.
    from licensing.papers.bank_file import Transfer
    from service.bank_papers import transfers_paper

    listed = [
        Transfer(
            name=way.account.holder,
            iban=way.account.iban,
            bic=way.account.bic,
            amount=way.payout.amount,
            reference=f"{web.settings.operator_name}, pictures sold",
            end_to_end_id=way.payout.id,
        )
        for way in ways
        if isinstance(way.account, BankAccount)
    ]
    return transfers_paper(web, listed, message_id=run_id, name=f"payouts-{run_id}", form=form)
