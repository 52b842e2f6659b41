"""The `manual` provider: the operator books money that arrived by other ways."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Prepaid money booked for a client; `balance` is free to spend after it. `repeated` if it was booked before."""

    reference: str
    amount: Money
    balance: Money
    repeated: bool


async def credit(conn: Connection, client_id: str, amount: Money, reference: str, now: datetime) -> Credit | Refusal:
    """Add prepaid money to a client, once per `reference` (a bank statement's line, a receipt's number).

    Refusals: invalid_request (not above 0), conflict (the reference was booked for another client or amount).
    """
    if amount.amount <= 0:
        return refuse("invalid_request", what=f"A credit of {amount} cannot be booked; give an amount above 0")
    answer = await ask(conn, "credit", client_id, amount.amount, amount.currency, f"manual:{reference}", "cash", now)
    return answer.refusal or Credit(
        reference=reference,
        amount=amount,
        balance=Money(answer.detail["left"], amount.currency),
        repeated=answer.detail["repeated"],
    )
