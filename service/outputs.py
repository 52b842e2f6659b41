"""Pictures that belong to clients: rows that appear in the transaction that charges for them, and never go.

They are served at every level of the switch: what was bought stays the buyer's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licensing.database import Connection
from service.db.connections import read

_COLUMNS = (
    "id, generation_id, client_id, style_id, creator_id, number, storage_key, mime, width, height, num_bytes, sha256,"
    " receipt, created_at"
)


@dataclass(frozen=True, kw_only=True)
class Output:
    """One picture. `number` counts from 1 within its generation; `sha256` is of the sealed bytes; `receipt` says how it
    was made (`inference.receipt`) and is empty where nobody knows: of a test key, or from before receipts."""

    id: str
    generation_id: str
    client_id: str
    style_id: str
    creator_id: str
    number: int
    storage_key: str
    mime: str
    width: int
    height: int
    num_bytes: int
    sha256: str
    receipt: dict[str, Any]
    created_at: datetime


async def find_output(conn: Connection, output_id: str, *, client_id: str | None) -> Output | None:
    """A picture; where a client is named, only that client's own."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.outputs WHERE id = $1 AND ($2::text IS NULL OR client_id = $2)",
        *(output_id, client_id),
    )
    return read(Output, row) if row else None


async def list_outputs(conn: Connection, output_ids: Sequence[str], *, client_id: str) -> list[Output]:
    """Those of these pictures that are a client's own."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.outputs WHERE id = ANY($1::text[]) AND client_id = $2",
        *(list(output_ids), client_id),
    )
    return [read(Output, row) for row in rows]


async def outputs_of(conn: Connection, order_ids: Sequence[str]) -> dict[str, list[Output]]:
    """The pictures of each order, in their order; orders without any are missing."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.outputs WHERE generation_id = ANY($1::text[]) ORDER BY generation_id, number",
        list(order_ids),
    )
    found: dict[str, list[Output]] = {}
    for row in rows:
        found.setdefault(row["generation_id"], []).append(read(Output, row))
    return found


async def move_output(conn: Connection, output_id: str, *, storage_key: str) -> None:
    await conn.execute("UPDATE service.outputs SET storage_key = $2 WHERE id = $1", output_id, storage_key)
