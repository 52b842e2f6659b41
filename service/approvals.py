"""Orders whose creator looks at the pictures before their client gets them: who is looked at, and what waits.

The order's row says where it stands (`service.orders`); a row here keeps what its settle needs until the creator has
decided (`service.decisions`), so no process waits for people.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from licensing.terms import Trust, looks_first
from service import pending
from service.db.connections import read
from service.orders import IS_OPEN
from service.resources import Gateway

Decision = Literal["approved", "rejected"]
_NUM_APPROVED = (
    "(SELECT coalesce(sum(a.num_pictures), 0)::int FROM service.approvals a"
    " WHERE a.creator_id = {creator} AND a.client_id = {client} AND a.decision = 'approved')"
)
_WAITING = f"""
SELECT g.id, g.style_id, s.name AS style_name, g.client_id, c.name AS client_name, g.tier, tier.use, g.request,
    g.amount, g.currency, a.kept, a.created_at, g.approval_until AS until, coalesce(t.level, 'by_count') AS trust,
    {_NUM_APPROVED.format(creator="g.creator_id", client="g.client_id")} AS num_approved
FROM service.approvals a
JOIN service.generations g ON g.id = a.generation_id
JOIN service.styles s ON s.id = g.style_id
JOIN service.accounts c ON c.id = g.client_id
JOIN licensing.hold h ON h.order_id = g.id
JOIN licensing.tier tier ON tier.style_id = g.style_id AND tier.version = h.terms_version AND tier.tier = g.tier
LEFT JOIN service.trust t ON t.creator_id = a.creator_id AND t.client_id = a.client_id
WHERE a.creator_id = $1 AND a.decision IS NULL AND g.state = 'awaiting_approval'
"""


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """An order that is about to be placed, as far as it decides whether somebody looks at its pictures first.

    `terms_version` is of the terms that it is under: the licence's, where a licence pays.
    """

    creator_id: str
    client_id: str
    style_id: str
    terms_version: int
    tier: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An order whose pictures wait, as its creator sees it. `request` is the order's, `kept` what its settle needs.

    `trust` is what the creator decided about the client, `num_approved` how many pictures of theirs were approved.
    """

    id: str
    style_id: str
    style_name: str
    client_id: str
    client_name: str
    tier: str
    use: str
    request: dict[str, Any]
    amount: int
    currency: str
    kept: dict[str, Any]
    created_at: datetime
    until: datetime
    trust: Trust
    num_approved: int

    @property
    def prompt(self) -> str:
        return str(self.request["prompt"])

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """The sealed pictures, as `service.sealing.Sealed` in JSON."""
        return list(self.kept["pictures"])


@dataclass(frozen=True, kw_only=True)
class KnownClient:
    """A client whose pictures a creator has looked at, or about whom the creator decided."""

    id: str
    name: str
    trust: Trust
    num_approved: int


async def need_approval(conn: Connection, web: Gateway, sales: Sequence[Prospect]) -> list[bool]:
    """Of each sale whether its creator looks at the pictures before the client gets them."""
    rows = await conn.fetch(
        "SELECT terms.permissions ->> 'approval' AS approval, wanted.tier, coalesce(t.level, 'by_count') AS trust, "
        + _NUM_APPROVED.format(creator="wanted.creator_id", client="wanted.client_id")
        + " AS num_approved FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[]) WITH ORDINALITY"
        " AS wanted (creator_id, client_id, style_id, terms_version, tier, number)"
        " JOIN licensing.terms ON terms.style_id = wanted.style_id AND terms.version = wanted.terms_version"
        " LEFT JOIN service.trust t ON t.creator_id = wanted.creator_id AND t.client_id = wanted.client_id"
        " ORDER BY wanted.number",
        [sale.creator_id for sale in sales],
        [sale.client_id for sale in sales],
        [sale.style_id for sale in sales],
        [sale.terms_version for sale in sales],
        [sale.tier for sale in sales],
    )
    return [looks_first(**row, trusted_from=web.settings.trusted_after_pictures) for row in rows]


async def add_approval(
    conn: Connection,
    *,
    order_id: str,
    creator_id: str,
    client_id: str,
    fence: int,
    kept: dict[str, Any],
    now: datetime,
) -> None:
    """The pictures of an attempt wait. Goes into the transaction that keeps the hold."""
    await conn.execute(
        "INSERT INTO service.approvals (generation_id, creator_id, client_id, fence, num_pictures, kept, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(order_id, creator_id, client_id, fence, len(kept["pictures"]), json.dumps(kept), now),
    )


async def list_waiting(conn: Connection, creator_id: str, *, limit: int, after: str | None = None) -> list[Waiting]:
    """What waits for a creator, oldest first; those after the order `after`."""
    rows = await conn.fetch(
        f"{_WAITING} AND ($2::text IS NULL OR g.id > $2) ORDER BY g.id LIMIT $3", creator_id, after, limit
    )
    return [read(Waiting, row) for row in rows]


async def find_waiting(conn: Connection, creator_id: str, order_id: str) -> Waiting | None:
    """One of them; None for one that waits no more, and for another creator's."""
    row = await conn.fetchrow(f"{_WAITING} AND g.id = $2", creator_id, order_id)
    return read(Waiting, row) if row else None


async def count_waiting(conn: Connection, creator_id: str) -> int:
    """How many orders wait for a creator."""
    number: int = await conn.fetchval(
        "SELECT count(*) FROM service.approvals a JOIN service.generations g ON g.id = a.generation_id"
        " WHERE a.creator_id = $1 AND a.decision IS NULL AND g.state = 'awaiting_approval'",
        creator_id,
    )
    return number


async def list_clients(conn: Connection, creator_id: str) -> list[KnownClient]:
    """The clients whose pictures waited for a creator, and those the creator decided about, by name."""
    rows = await conn.fetch(
        "WITH counted AS MATERIALIZED (SELECT client_id,"
        "  coalesce(sum(num_pictures) FILTER (WHERE decision = 'approved'), 0)::int AS num_approved"
        "  FROM service.approvals WHERE creator_id = $1 GROUP BY client_id),"
        " decided AS MATERIALIZED (SELECT client_id, level FROM service.trust WHERE creator_id = $1)"
        " SELECT c.id, c.name, coalesce(d.level, 'by_count') AS trust, coalesce(n.num_approved, 0) AS num_approved"
        " FROM counted n FULL JOIN decided d USING (client_id) JOIN service.accounts c ON c.id = client_id"
        " ORDER BY c.name, c.id",
        creator_id,
    )
    return [read(KnownClient, row) for row in rows]


async def set_trust(conn: Connection, *, creator_id: str, client_id: str, level: Trust, now: datetime) -> bool:
    """What a creator decides about a client holds for orders from now on. False for whoever never ordered from this
    creator, who is not to learn of other people."""
    status = await conn.execute(
        "INSERT INTO service.trust (creator_id, client_id, level, updated_at)"
        " SELECT $1, $2, $3, $4 WHERE EXISTS ("
        "  SELECT FROM service.generations WHERE creator_id = $1 AND client_id = $2 AND NOT test)"
        " ON CONFLICT (creator_id, client_id) DO UPDATE SET level = $3, updated_at = $4",
        *(creator_id, client_id, level, now),
    )
    return bool(status == "INSERT 0 1")


async def read_kept(conn: Connection, order_id: str) -> dict[str, Any]:
    """What an order's settle needs: `fence`, `pictures`, `message`, `refused`."""
    row = await conn.fetchrow("SELECT fence, kept FROM service.approvals WHERE generation_id = $1", order_id)
    assert row is not None
    return {"pictures": [], "message": None, "refused": [], **json.loads(row["kept"]), "fence": row["fence"]}


async def clear_approvals(web: Gateway) -> None:
    """Forget what was kept for orders that have ended, with the pictures of those that were not paid. A sweep.

    However an order ends while it waits, no story is there to tidy up.
    """
    async with web.pool.acquire() as conn:
        ended = await conn.fetch(
            "SELECT g.id, g.state FROM service.approvals a JOIN service.generations g ON g.id = a.generation_id"
            f" WHERE a.kept <> '{{}}' AND NOT g.{IS_OPEN}"
        )
    for order in ended:
        if order["state"] != "settled":
            await pending.drop(web.storage, order["id"])
        async with web.pool.acquire() as conn:
            await conn.execute("UPDATE service.approvals SET kept = '{}' WHERE generation_id = $1", order["id"])
