"""The months for which a creator has statements."""

from datetime import date, datetime

from licensing.analytics.over import BEGINNING, EARNED, over_until
from licensing.analytics.spans import TICK
from licensing.database import Connection
from licensing.money import Money

# Of what was ever owed to a creator, and by one, the first and the last: groups come in the order of time.
_BOOKED = """
SELECT min(g.at) AS first, max(g.at) AS last
FROM unnest($1::text[]) AS account (id),
     LATERAL (SELECT min(e.group_no) AS a, max(e.group_no) AS z FROM licensing.entry e
              WHERE e.account_id = account.id) ends
     JOIN licensing.entry_group g ON g.group_no IN (ends.a, ends.z)
"""
_EARNED = f"""
SELECT date_trunc('month', day)::date AS month, sum(share)::bigint AS share FROM ({EARNED}) AS one GROUP BY 1
"""


async def statement_months(
    conn: Connection, *, creator_id: str, now: datetime, currency: str = "EUR"
) -> list[tuple[str, Money]]:
    """From the first month in which something was earned, paid out or owed to the last one, up to `now`: each with what
    it earned, the newest first. A month in between in which nothing happened has a statement as well."""
    accounts = [f"payable:{creator_id}:{currency}", f"dues:{creator_id}:{currency}"]
    booked = await conn.fetchrow(_BOOKED, accounts)
    if booked is None or booked["first"] is None:
        return []
    until = now + TICK
    over = await over_until(conn, since=BEGINNING, until=until)
    rows = await conn.fetch(_EARNED, creator_id, currency, over, until, BEGINNING)
    earned = {row["month"]: row["share"] for row in rows}
    return [
        (f"{month:%Y-%m}", Money(earned.get(month, 0), currency))
        for month in _down_from(booked["last"].date(), booked["first"].date())
    ]


def _down_from(last: date, first: date) -> list[date]:
    """The first days of the months from `last` down to `first`."""
    numbers = range(12 * last.year + last.month - 1, 12 * first.year + first.month - 2, -1)
    return [date(number // 12, number % 12 + 1, 1) for number in numbers]
