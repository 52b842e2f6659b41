"""A creator's month as papers show it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from licensing.money import Money


@dataclass(frozen=True, kw_only=True)
class Line:
    """One earning, its reversal, or a training's price: `price` = `fee` + `tax` + `share`.

    `output_id` is None for what a client left unused of a licence, and for a training: its price and tax are 0, its fee
    what computing cost, its share as much below zero.
    """

    kind: Literal["sale", "refund", "unused", "compute"]
    at: datetime
    style_id: str
    tier: str
    order_id: str | None
    output_id: str | None
    price: Money
    fee: Money
    tax: Money
    share: Money


@dataclass(frozen=True, kw_only=True)
class Payout:
    """Money that went to the creator (below zero: that came back), and the reference it had at the bank."""

    on: date
    amount: Money
    reference: str


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month in UTC ("2026-03").

    `gross` - `fee` - `tax` - `compute` = `net`, the sum of the lines' shares; `fee` is without what computing cost.
    `opening` + `net` - payouts = `closing`, what is the creator's and not paid out yet.
    """

    creator_id: str
    month: str
    lines: tuple[Line, ...]
    gross: Money
    fee: Money
    tax: Money
    compute: Money
    net: Money
    opening: Money
    payouts: tuple[Payout, ...]
    closing: Money


def check(month: Month) -> None:
    """Raises ValueError where the sums of `month` are not those of its lines: such a statement is never printed."""
    for line in month.lines:
        if line.fee + line.tax + line.share != line.price:
            raise ValueError(
                f"{line.kind} of {line.output_id or line.style_id}: {line.fee}, {line.tax} and {line.share} are not"
                f" {line.price}"
            )
    earned = [line for line in month.lines if line.kind != "compute"]
    sums = {
        "gross": sum(line.price.amount for line in month.lines),
        "fee": sum(line.fee.amount for line in earned),
        "tax": sum(line.tax.amount for line in month.lines),
        "compute": sum(line.fee.amount for line in month.lines if line.kind == "compute"),
        "net": sum(line.share.amount for line in month.lines),
    }
    sums["closing"] = month.opening.amount + sums["net"] - sum(payout.amount.amount for payout in month.payouts)
    for name, amount in sums.items():
        if Money(amount, month.net.currency) != getattr(month, name):
            raise ValueError(
                f"statement of {month.month}: its {name} is {getattr(month, name)}, its lines make {amount}"
            )
