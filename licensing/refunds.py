"""Taking a sale back: the only thing besides a decided dispute that revokes a certificate."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection, ask
from licensing.errors import Refusal
from licensing.money import Money


@dataclass(frozen=True, kw_only=True)
class Refund:
    """Money back on a client's prepaid balance, the certificate revoked; `repeated` if that was done before."""

    output_id: str
    amount: Money
    repeated: bool


async def refund_output(conn: Connection, *, output_id: str, reason: str, by: str, now: datetime) -> Refund | Refusal:
    """Reverse the sale of one output in full and revoke its certificate with the reason. Refusals: not_found."""
    answer = await ask(conn, "refund_output", output_id, reason, by, now)
    return answer.refusal or Refund(
        output_id=output_id,
        amount=Money(answer.detail["amount"], answer.detail["currency"]),
        repeated=answer.detail["repeated"],
    )
