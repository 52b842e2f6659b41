"""What a client was charged and given back, one by one, the tax apart."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.sentence import say


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What was charged or given back at once: `subject` is the order, period, output, paper or dispute that it was for,
    by `kind`. Below 0 it was given back."""

    kind: str
    subject: str
    at: datetime
    style_id: str | None
    key_id: str | None
    tier: str | None
    pictures: int
    net: Money
    tax: Money

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.subject}"


async def charges(
    conn: Connection, *, client_id: str, limit: int, before: str | None = None, currency: str = "EUR"
) -> list[Charge] | Refusal:
    """What a client was charged and given back, one by one, the newest first; `before` is the id of the last one that
    was read. Refusal: invalid_request (there is none of that id)."""
    start = _NEVER
    if before is not None:
        kind, _, subject = before.partition(":")
        start = await conn.fetchval(
            "SELECT group_no FROM licensing.entry_group WHERE kind = $1 AND subject = $2", kind, subject
        )
    if start is None:
        return refuse(
            "invalid_request", what=say("There is no charge {before} to go on from; begin without it", before=before)
        )
    rows = await conn.fetch(_PAGE, purses(client_id, currency), start, limit)
    return [
        Charge(
            kind=row["kind"],
            subject=row["subject"],
            at=row["at"],
            style_id=row["style_id"],
            key_id=row["key_id"],
            tier=row["tier"],
            pictures=row["pictures"],
            net=Money(row["net"], currency),
            tax=Money(row["charged"] - row["net"], currency),
        )
        for row in rows
    ]


_NEVER = 2**63 - 1
"""After every group."""


def purses(client_id: str, currency: str) -> list[str]:
    """The accounts that a client is charged on."""
    return [f"prepaid:{client_id}:{currency}", f"receivable:{client_id}:{currency}"]


# What a charge is about is worked out before anything is looked up by it: a condition that asks a row of JSON for a
# name finds nothing by an index where Postgres first has to ask whose each row is.
_CHARGES = """
    WITH charge AS MATERIALIZED (
        SELECT g.group_no, g.kind, g.at, g.subject, g.body, g.charged,
               CASE WHEN g.kind = 'sale' THEN g.subject END AS of_order,
               CASE g.kind WHEN 'refund' THEN g.subject WHEN 'adjustment' THEN g.body ->> 'output'
                   WHEN 'adjustment_undone' THEN g.body ->> 'output' END AS of_output,
               CASE WHEN g.kind IN ('plan', 'licence', 'plan_end', 'licence_end') THEN g.subject END AS of_allowance
        FROM ({groups}) g
    )
    SELECT g.group_no, g.kind, g.at, g.subject, coalesce(h.style_id, o.style_id, a.style_id) AS style_id,
           coalesce(h.key_id, back.key_id) AS key_id, coalesce(h.tier, o.tier, a.tier) AS tier, g.charged,
           coalesce(h.made, CASE WHEN back.units = 0 THEN -1 END, 0) AS pictures,
           CASE g.kind
               WHEN 'sale' THEN h.made * (h.unit_price - h.unit_tax)
               WHEN 'plan' THEN a.price - a.discount
               WHEN 'licence' THEN a.price - a.discount
               WHEN 'refund' THEN -coalesce((g.body ->> 'net')::bigint, -g.charged)
               WHEN 'tax_rounding' THEN 0
               WHEN 'adjustment' THEN -(g.body ->> 'net')::bigint
               WHEN 'adjustment_undone' THEN (g.body ->> 'net')::bigint
               ELSE -(g.body ->> 'refund')::bigint END AS net
    FROM charge g
    LEFT JOIN licensing.hold h ON h.order_id = g.of_order
    LEFT JOIN licensing.output o ON o.output_id = g.of_output
    LEFT JOIN licensing.hold back ON back.order_id = o.order_id AND g.kind = 'refund'
    LEFT JOIN licensing.allowance a ON a.allowance_id = g.of_allowance
"""
_KINDS = (
    "('sale', 'plan', 'licence', 'refund', 'plan_end', 'licence_end', 'tax_rounding', 'adjustment',"
    " 'adjustment_undone')"
)
CHARGES = _CHARGES.format(
    groups=f"""SELECT b.group_no, b.kind, b.at, b.subject, b.body, -sum(b.amount)::bigint AS charged
             FROM licensing.booked($1, $2, $3) b WHERE b.kind IN {_KINDS}
             GROUP BY b.group_no, b.kind, b.at, b.subject, b.body"""
)
"""What was charged and given back, by group: `charged` with its tax, `net` without. $1 purses, $2 <= at < $3."""
# The newest groups of each purse before $2, and of all of them the newest: none of those is missing in its own purse.
_NEWEST = f"""SELECT e.group_no, -sum(e.amount)::bigint AS charged FROM unnest($1::text[]) purse (account_id), LATERAL (
              SELECT e.group_no, e.amount FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
              WHERE e.account_id = purse.account_id AND e.group_no < $2 AND g.kind IN {_KINDS}
              ORDER BY e.group_no DESC LIMIT $3) e
          GROUP BY e.group_no ORDER BY e.group_no DESC LIMIT $3"""
_PAGE = (
    _CHARGES.format(
        groups=f"""SELECT g.group_no, g.kind, g.at, g.subject, g.body, p.charged FROM ({_NEWEST}) p
                 CROSS JOIN LATERAL (SELECT * FROM licensing.entry_group g WHERE g.group_no = p.group_no LIMIT 1) g"""
    )
    + " ORDER BY g.group_no DESC"
)
