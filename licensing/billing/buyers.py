"""Clients as buyers: how invoices name them and at which rate they are taxed."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from licensing.billing.parties import Party, checked
from licensing.billing.taxes import Taxes
from licensing.database import Connection
from licensing.errors import Refusal


async def put_buyer(conn: Connection, client_id: str, party: Party, taxes: Taxes) -> Party | Refusal:
    """Say who a client is; what they buy from now on is taxed accordingly. Refusals: invalid_request (see
    `checked`)."""
    buyer = checked(party)
    if isinstance(buyer, Party):
        await _store(conn, client_id, buyer, taxes)
    return buyer


async def buyer_of(conn: Connection, client_id: str) -> Party | None:
    """Who a client said they are; None where they told nothing."""
    party = await conn.fetchval("SELECT party::text FROM licensing.buyer WHERE client_id = $1", client_id)
    return Party(**json.loads(party)) if party else None


async def apply_taxes(conn: Connection, taxes: Taxes) -> int:
    """Bring every buyer to the operator's rates, who may have changed them; returns how many changed. At each start."""
    rows = await conn.fetch("SELECT *, party::text AS told FROM licensing.buyer")
    stale = [row for row in rows if _differs(row, taxes)]
    for row in stale:
        await _store(conn, row["client_id"], _party(row), taxes)
    return len(stale)


def _differs(row: Mapping[str, Any], taxes: Taxes) -> bool:
    rate = taxes.rate_for(_party(row))
    return (row["tax_category"], row["tax_bps"], row["tax_why"]) != (rate.category, rate.bps, rate.why)


def _party(row: Mapping[str, Any]) -> Party | None:
    return Party(**json.loads(row["told"])) if row["told"] else None


async def _store(conn: Connection, client_id: str, party: Party | None, taxes: Taxes) -> None:
    rate = taxes.rate_for(party)
    told = json.dumps(asdict(party)) if party else None
    await conn.execute(
        "SELECT licensing.put_buyer($1, $2, $3, $4, $5)", client_id, told, rate.category, rate.bps, rate.why
    )
