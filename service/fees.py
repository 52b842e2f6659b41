"""What the operator asks for, as this place was started with it: for everybody to see, with what it was before."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.money import Money
from licensing.prices import Prices

_LOCK = 6_027_025


@dataclass(frozen=True, kw_only=True)
class Fees:
    """What was asked for from a moment on. `fee_bps` of every price, in hundredths of a percent; `dues` of a creator
    for a month; `training_minute` of a training that passes."""

    since: datetime
    fee_bps: int
    dues: Money
    training_minute: Money


async def note_fees(conn: Connection, prices: Prices, *, now: datetime) -> None:
    """Write down what is asked for, where it differs from what was before. Several processes may start together."""
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        known = await list_fees(conn, limit=1)
        asked = (prices.fee_bps, prices.dues, prices.training_minute)
        if known and (known[0].fee_bps, known[0].dues, known[0].training_minute) == asked:
            return
        await conn.execute(
            "INSERT INTO service.fees (since, fee_bps, dues, training_minute, currency) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (since) DO NOTHING",
            *(now, prices.fee_bps, prices.dues.amount, prices.training_minute.amount, prices.currency),
        )


async def list_fees(conn: Connection, *, limit: int = 100) -> list[Fees]:
    """What is asked for and what was, the newest first."""
    rows = await conn.fetch(
        "SELECT since, fee_bps, dues, training_minute, currency FROM service.fees ORDER BY since DESC LIMIT $1", limit
    )
    return [
        Fees(
            since=row["since"],
            fee_bps=row["fee_bps"],
            dues=Money(row["dues"], row["currency"]),
            training_minute=Money(row["training_minute"], row["currency"]),
        )
        for row in rows
    ]
