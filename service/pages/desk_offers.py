"""Plans as the desk offers them: what each costs with its tax, against the one that runs, or with a coupon."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from licensing import plans
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.plans import Allowance, Discounted
from licensing.prices import Plan
from licensing.sentence import say
from service.errors import Problem, refused
from service.pages.visits import Member


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody filled in at one of the plans. Its coupon is looked up if it `is_priced`: not one that was refused
    a moment ago."""

    plan: str = ""
    coupon: str = ""
    renews: bool = True
    is_priced: bool = True


NOTHING = Wish()


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A plan that this client could have: what it costs with `tax`; `back` is what the one that runs would give back if
    it ended now for this one. `less` is what a coupon makes of its first periods."""

    plan: Plan
    tax: Money
    back: Money
    less: Discounted | None = None

    @property
    def full(self) -> Money:
        """A period without a coupon, with its tax."""
        return self.plan.price + self.tax

    @property
    def cost(self) -> Money:
        """The first period, with its tax."""
        return self.plan.price - self.less.discount + self.less.tax if self.less else self.full

    @property
    def agreed(self) -> str:
        """What a form sends back as the sums that were seen."""
        return f"{self.cost.amount} {self.back.amount} {self.cost.currency}"


async def offered(conn: Connection, visit: Member, current: Allowance | None) -> list[Offered]:
    """The plans on offer beside the one that runs."""
    client_id, found = visit.account.id, visit.web.prices.plans.values()
    nothing = Money(0, visit.web.prices.currency)
    back = await plans.back_for(conn, current.id, now=visit.now) if current else nothing
    return [
        Offered(plan=plan, tax=await plans.tax_for(conn, client_id, plan.price), back=back)
        for plan in found
        if current is None or plan.id != current.name
    ]


async def with_coupon(conn: Connection, visit: Member, found: Sequence[Offered], wish: Wish) -> list[Offered]:
    """The plans on offer, the one that is wished for as its coupon makes it. Raises Problem where that is no good."""
    return [
        replace(one, less=await _less(conn, visit, one.plan, wish.coupon)) if one.plan.id == wish.plan else one
        for one in found
    ]


async def _less(conn: Connection, visit: Member, plan: Plan, code: str) -> Discounted | None:
    if not code:
        return None
    answer = await plans.quote(conn, client_id=visit.account.id, plan=plan, coupon=code, now=visit.now)
    if isinstance(answer, Refusal) and answer.slug == "not_found":
        sentence = say("There is no coupon {code}; look how it is written, or subscribe without it.", code=code[:40])
        raise Problem("not_found", sentence)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return answer
