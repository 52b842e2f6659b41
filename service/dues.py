"""What creators owe for a month is posted when the month begins; what the operator asks for is written down when
this place is started with it."""

import logging
from datetime import datetime

from licensing import dues
from licensing.database import Connection
from licensing.errors import Refusal
from service.resources import Gateway
from service.telling.of_money import tell_dues

log = logging.getLogger("ownhand.dues")

_MONTHS_BACK = 12
"""What was not posted for so long, because nothing ran, is owed no more."""
_AT_ONCE = 500


async def post_monthly_dues(web: Gateway) -> None:
    """Write down what is asked for, and post every creator's months that have begun. Each is posted once, whoever comes
    and however often. A sweep."""
    now = web.clock()
    async with web.house() as conn:
        await dues.say_dues(conn, web.prices.dues, now=now)
        for creator_id, month, here_since in await _waiting(conn, now):
            async with conn.transaction():
                posted = await dues.post_dues(
                    conn,
                    creator_id=creator_id,
                    month=month,
                    currency=web.prices.currency,
                    here_since=here_since,
                    now=now,
                )
                if not isinstance(posted, Refusal):
                    await tell_dues(
                        conn, creator_id=creator_id, of_month=month, amount=posted.amount, taken=posted.taken, now=now
                    )
            if isinstance(posted, Refusal):
                log.error("the dues of %s for %s could not be posted: %s", creator_id, month, posted.message)


async def _waiting(conn: Connection, now: datetime) -> list[tuple[str, str, datetime]]:
    """Creators' months that have begun since somebody first asked for dues and are not posted, oldest first, and since
    when their creators are here. Whoever had left before a month owes nothing for it."""
    rows = await conn.fetch(_WAITING, dues.first_of(dues.month_of(now)), _MONTHS_BACK, _AT_ONCE)
    return [(row["id"], row["month"], row["created_at"]) for row in rows]


# $1 the first day of this month, $2 how many months before it, $3 the limit. Months are counted without a time zone.
_WAITING = """
    SELECT a.id, to_char(m.first, 'YYYY-MM') AS month, a.created_at
    FROM (SELECT min(said_at) AT TIME ZONE 'UTC' AS at FROM licensing.dues_price) asked
    CROSS JOIN generate_series($1::timestamp - make_interval(months => $2), $1::timestamp, '1 month') AS m (first)
    JOIN service.accounts a ON a.role = 'creator' AND a.created_at AT TIME ZONE 'UTC' < m.first
         AND (a.disabled_at IS NULL OR a.disabled_at AT TIME ZONE 'UTC' >= m.first)
    WHERE m.first > asked.at
      AND NOT EXISTS (SELECT FROM licensing.dues d WHERE d.creator_id = a.id AND d.month = m.first::date)
    ORDER BY m.first, a.id LIMIT $3
"""
