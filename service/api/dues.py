"""`/v1/dues`: the flat sum a month that creators owe where the operator asks for one; `/v1/creator-dues` for the
operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from licensing import dues
from licensing.dues import DuesStanding, MonthlyDues
from licensing.errors import Refusal
from licensing.money import Money
from service import audit
from service.accounts import account_by_id
from service.api.shapes import money
from service.api.styles import Body
from service.auth import Creator, CreatorReading, Identity, Operator, OperatorReading, Web
from service.errors import not_found, refused
from service.resources import Gateway

router = APIRouter(tags=["dues"])

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ConsentBody(Body):
    """Whether what is owed may be taken from earnings on the first of a month."""

    from_earnings: bool


class DuesPaidBody(Body):
    """Money that arrived, in minor units, and what the bank calls it: booked once a reference."""

    amount: int = Field(ge=1, le=10**12)
    reference: Words


class DuesWaivedBody(Body):
    """How much is not asked for any more, in minor units, and why."""

    amount: int = Field(ge=1, le=10**12)
    why: Words


@dataclass(frozen=True, kw_only=True)
class DuesNow:
    """What a page shows of dues: what months cost from this one on, and what the asker owes."""

    standing: DuesStanding
    months: tuple[MonthlyDues, ...]

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to be told."""
        return bool(self.standing.owed.amount or any(one.amount.amount for one in self.months))

    @property
    def changes(self) -> Sequence[MonthlyDues]:
        """The months that cost something else than the one before."""
        pairs = zip(self.months, self.months[1:], strict=False)
        return [after for before, after in pairs if after.amount != before.amount]


@router.get("/dues")
async def get_dues(web: Web, asker: CreatorReading) -> dict[str, Any]:
    """What is owed, what this month and the next ones cost by all that was said so far, and whether it is taken from
    earnings. Payouts never wait for it. `reference` is what to write on a transfer that pays it."""
    return _document(await dues_now(web, asker.account_id))


@router.put("/dues")
async def put_dues(web: Web, asker: Creator, body: ConsentBody) -> dict[str, Any]:
    """Say whether what you owe may be taken from your earnings. It counts from the next first of a month on: then at
    most what is payable is taken, once."""
    async with web.pool.acquire() as conn, conn.transaction():
        is_news = await dues.let_dues_be_taken(
            conn, creator_id=asker.account_id, takes=body.from_earnings, by=asker.account_id, now=web.clock()
        )
        if is_news:
            await audit.note(
                conn,
                "dues_consent_changed",
                account_id=asker.account_id,
                by=asker.who,
                now=web.clock(),
                takes="yes" if body.from_earnings else "no",
            )
    return _document(await dues_now(web, asker.account_id))


@router.get("/creator-dues")
async def get_creator_dues(web: Web, asker: OperatorReading) -> dict[str, Any]:
    """Who owes how much, the most first, and what months cost."""
    async with web.house() as conn:
        found = await dues.dues_of_everybody(conn, currency=web.prices.currency)
        months = await dues.dues_ahead(conn, now=web.clock(), currency=web.prices.currency)
    return {"items": [_standing(one) for one in found], "months": [_month(one) for one in months]}


@router.post("/creator-dues/{creator_id}/payments", status_code=201)
async def post_dues_payment(web: Web, asker: Operator, creator_id: str, body: DuesPaidBody) -> dict[str, Any]:
    """A creator's transfer arrived. The same `reference` again is the same payment."""
    return await _lower(web, asker, creator_id, "paid", body.amount, reference=body.reference)


@router.post("/creator-dues/{creator_id}/waivers", status_code=201)
async def post_dues_waiver(web: Web, asker: Operator, creator_id: str, body: DuesWaivedBody) -> dict[str, Any]:
    """Ask for less: at most what is owed."""
    return await _lower(web, asker, creator_id, "waived", body.amount, reference=web.new_id("wvr"), why=body.why)


async def dues_now(web: Gateway, creator_id: str) -> DuesNow:
    """What a creator owes and what months cost."""
    async with web.pool.acquire() as conn:
        standing = await dues.dues_standing(conn, creator_id=creator_id, currency=web.prices.currency)
        months = await dues.dues_ahead(conn, now=web.clock(), currency=web.prices.currency)
    return DuesNow(standing=standing, months=months)


async def _lower(
    web: Gateway,
    asker: Identity,
    creator_id: str,
    how: Literal["paid", "waived"],
    cents: int,
    *,
    reference: str,
    why: str = "",
) -> dict[str, Any]:
    amount = Money(cents, web.prices.currency)
    kind: Literal["dues_paid", "dues_waived"] = "dues_paid" if how == "paid" else "dues_waived"
    async with web.house() as conn, conn.transaction():
        creator = await account_by_id(conn, creator_id)
        if creator is None or creator.role != "creator":
            raise not_found("creator", creator_id)
        about: dict[str, Any] = {"how": how, "reference": reference, "why": why, "by": asker.account_id}
        before = await dues.dues_standing(conn, creator_id=creator_id, currency=amount.currency)
        lowered = await dues.lower_dues(conn, creator_id=creator_id, amount=amount, now=web.clock(), **about)
        if isinstance(lowered, Refusal):
            raise refused(lowered)
        if lowered.owed != before.owed:
            told: dict[str, Any] = {"account_id": creator_id, "by": asker.who, "now": web.clock(), "subject": reference}
            await audit.note(conn, kind, amount=str(amount), **told)
    return _standing(lowered)


def _document(now: DuesNow) -> dict[str, Any]:
    return {
        "owed": money(now.standing.owed),
        "from_earnings": now.standing.takes,
        "months": [_month(one) for one in now.months],
        "reference": now.standing.code,
    }


def _month(one: MonthlyDues) -> dict[str, Any]:
    return {"month": one.month, "amount": money(one.amount)}


def _standing(one: DuesStanding) -> dict[str, Any]:
    return {
        "creator": one.creator_id,
        "owed": money(one.owed),
        "from_earnings": one.takes,
        "reference": one.code,
    }
