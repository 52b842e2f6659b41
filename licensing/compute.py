"""What computing costs a creator: a price that is known before, taken from earnings.

A creator never pays in order to be paid: the price is a line of the statement, and the balance may be below zero until
pictures have sold.
"""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection, ask
from licensing.errors import LedgerBroken
from licensing.money import Money

MINUTE_S = 60


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a training cost; `repeated` if it was booked before."""

    training_id: str
    amount: Money
    repeated: bool


def training_price(minute: Money, seconds: float) -> Money:
    """The price of so much computing: every minute that was begun."""
    return minute * -int(-seconds // MINUTE_S)


async def charge_training(
    conn: Connection, *, training_id: str, style_id: str, creator_id: str, amount: Money, now: datetime
) -> Charge:
    """Take the price of a training from what its creator earned or is going to earn, once. Raises LedgerBroken for a
    price below zero: that would be a payment."""
    if amount.amount < 0:
        raise LedgerBroken(f"training {training_id} cannot cost {amount}")
    answer = await ask(conn, "charge_training", training_id, style_id, creator_id, amount.amount, amount.currency, now)
    return Charge(
        training_id=training_id,
        amount=Money(answer.detail["amount"], answer.detail["currency"]),
        repeated=answer.detail["repeated"],
    )
