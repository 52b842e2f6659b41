"""Days that are over, summed once: what they brought creators and cost clients.

A day is over once no sale of it can still be on its way to being committed. Its lines never change from then on: what
is taken back later is a line of the day on which it is. So `close_days` adds them up and keeps the sums, and pages read
those and only the lines of the days since. The lines stay the truth: `differences` adds all of them up again, every
night.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from licensing.analytics.spans import moment, today
from licensing.charges import CHARGES
from licensing.database import Connection
from licensing.ledger import SUMMED, Problem
from licensing.statements import LINES

ON_ITS_WAY = timedelta(hours=2)
"""After midnight a day is closed: longer than any transaction takes, and than clocks of machines are apart."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before everything that was ever sold."""

_DAY = "(at AT TIME ZONE 'UTC')::date"
_COUNTS = """count(*) FILTER (WHERE kind = 'sale')::integer AS sales,
           count(*) FILTER (WHERE kind = 'refund')::integer AS refunds, sum(share)::bigint AS share"""


def _earned_by_day(lines: str, whose: str = "") -> str:
    return f"""
        SELECT {whose}{_DAY} AS day, style_id, tier, {_COUNTS},
               coalesce(sum(share) FILTER (WHERE kind <> 'compute'), 0)::bigint AS running
        FROM {lines} GROUP BY {whose}day, style_id, tier
        HAVING (count(*) FILTER (WHERE kind IN ('sale', 'refund')), sum(share)) <> (0, 0)
    """


def _earned_by_month(lines: str, whose: str = "") -> str:
    return f"""
        SELECT {whose}date_trunc('month', at AT TIME ZONE 'UTC')::date AS month, client_id, {_COUNTS}
        FROM {lines} WHERE client_id IS NOT NULL GROUP BY {whose}month, client_id
    """


def _priced_by_day(lines: str, whose: str = "") -> str:
    return f"""
        SELECT {whose}{_DAY} AS day, tier, share + others + fee AS price, count(*)::integer AS pictures
        FROM {lines} WHERE kind = 'sale' GROUP BY {whose}day, tier, share + others + fee
    """


def _spent_by_day(lines: str, whose: str = "") -> str:
    return f"""
        SELECT {whose}{_DAY} AS day, style_id, key_id, tier, sum(pictures)::integer AS pictures,
               sum(charged)::bigint AS charged, sum(net)::bigint AS net,
               coalesce(sum(net) FILTER (WHERE kind IN ('sale', 'refund')), 0)::bigint AS running
        FROM {lines} GROUP BY {whose}day, style_id, key_id, tier
        HAVING (sum(pictures), sum(charged), sum(net)) <> (0, 0, 0)
    """


EARNED = f"""
    SELECT day, style_id, tier, sales, refunds, share, running FROM licensing.earned_day
    WHERE creator_id = $1 AND currency = $2
      AND day >= ($5::timestamptz AT TIME ZONE 'UTC')::date AND day < ($3 AT TIME ZONE 'UTC')::date
    UNION ALL {_earned_by_day(f"({LINES}) AS lines")}
"""
"""A creator's sums by day, style and tier: `running` is the share without trainings. $1 creator, $2 currency; of
$5 <= day < $3 the kept sums, of $3 <= at < $4 the lines', with what `over_until` says as $3."""
EARNED_FROM_CLIENTS = f"""
    SELECT month, client_id, sales, refunds, share FROM licensing.earned_month
    WHERE creator_id = $1 AND currency = $2
      AND month >= ($5::timestamptz AT TIME ZONE 'UTC')::date AND month < ($3 AT TIME ZONE 'UTC')::date
    UNION ALL {_earned_by_month(f"({LINES}) AS lines")}
"""
"""A creator's sums by month and client, of pictures alone. Parameters as EARNED has them, for whole months."""
PRICED = f"""
    SELECT day, tier, price, pictures FROM licensing.priced_day
    WHERE creator_id = $1 AND currency = $2
      AND day >= ($5::timestamptz AT TIME ZONE 'UTC')::date AND day < ($3 AT TIME ZONE 'UTC')::date
    UNION ALL {_priced_by_day(f"({LINES}) AS lines")}
"""
"""How many pictures of a creator's styles were sold by day, tier and whole price before tax, those that were taken back
later in it. Parameters as EARNED has them."""
SPENT = f"""
    SELECT day, style_id, key_id, tier, pictures, charged, net, running FROM licensing.spent_day
    WHERE client_id = $4 AND currency = $5
      AND day >= ($6::timestamptz AT TIME ZONE 'UTC')::date AND day < ($2 AT TIME ZONE 'UTC')::date
    UNION ALL {_spent_by_day(f"({CHARGES}) AS charges")}
"""
"""A client's sums by day, style, key and tier: `charged` with tax, `net` without, `running` what of it pictures cost.
$1 purses, $4 client, $5 currency; of $6 <= day < $2 the kept sums, of $2 <= at < $3 the charges'."""


async def over_until(conn: Connection, *, since: datetime, until: datetime, by_month: bool = False) -> datetime:
    """From `since` to here there are sums, from here to `until` there are lines. The beginning of a day, or of a month
    where sums of months are asked for; within both ends, of which `since` must be such a beginning itself."""
    closed: date | None = await conn.fetchval("SELECT max(until) FROM licensing.closing")
    if closed is None:
        return since
    last = min(closed, today(until))
    return max(since, moment(last.replace(day=1) if by_month else last))


async def close_days(conn: Connection, *, now: datetime) -> date | None:
    """Sum the days that are over and were not summed yet; the day after the last of them, None where there was none.

    `conn` acts for the house. Whoever comes second waits for the first one, and then finds nothing to do.
    """
    until = today(now - ON_ITS_WAY)
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(licensing.lock_no('closing', ''))")
        before: date | None = await conn.fetchval("SELECT max(until) FROM licensing.closing")
        if before is not None and before >= until:
            return None
        await conn.execute("INSERT INTO licensing.closing (until, at) VALUES ($1, $2)", until, now)
        for kept in _KEPT:
            since = kept.begins(before) if before else BEGINNING
            await conn.execute(kept.closing, since, kept.begins(until), until)
    return until


async def differences(conn: Connection) -> list[Problem]:
    """Add all lines of days that are over up again: a problem for each sum that is not the kept one. An empty list
    means that pages say what statements and charges say."""
    until: date | None = await conn.fetchval("SELECT max(until) FROM licensing.closing")
    if until is None:
        return []
    problems = []
    for kept in _KEPT:
        rows = await conn.fetch(kept.comparison, BEGINNING, kept.begins(until))
        problems += [Problem(rule=SUMMED, place=f"{kept.table}: {row['place']}", detail=row["detail"]) for row in rows]
    return problems


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A table of sums. `names` say of what one is, `sums` what it comes to; `query` makes them of the lines of
    everybody, $1 <= at < $2."""

    table: str
    names: str
    sums: str
    query: str
    by_month: bool = False

    def begins(self, day: date) -> datetime:
        """The first moment of the stretch that a day lies in, of those that are summed as one."""
        return moment(day.replace(day=1) if self.by_month else day)

    @property
    def closing(self) -> str:
        """$3 the day before which everything is summed then."""
        columns = f"{self.names}, {self.sums}"
        return f"""
            INSERT INTO licensing.{self.table} (closing, {columns})
            SELECT $3::date, {columns} FROM ({self.query}) summed
        """

    @property
    def comparison(self) -> str:
        columns = f"{self.names}, {self.sums}"
        return f"""
            WITH lines AS MATERIALIZED (SELECT {columns} FROM ({self.query}) x),
                 kept AS MATERIALIZED (SELECT {columns} FROM licensing.{self.table}),
                 differing AS (
                     (SELECT 'kept' AS side, x.* FROM (TABLE kept EXCEPT TABLE lines) x)
                     UNION ALL
                     (SELECT 'lines' AS side, x.* FROM (TABLE lines EXCEPT TABLE kept) x))
            SELECT concat_ws(' ', {self.names}) AS place,
                   string_agg(side || ' ' || (ROW({self.sums}))::text, ', ' ORDER BY side) AS detail
            FROM differing GROUP BY {self.names} ORDER BY place
        """


def _for_each(query: str, *columns: str) -> str:
    """A query about one party, about each of many: its parameters, in their order, become what `columns` say."""
    for number, column in enumerate(columns, 1):
        query = query.replace(f"${number}", column)
    return query


# Whose account something was posted to in that time; a picture that was given for nothing was posted to none.
_ACTIVE = """
    SELECT a.owner_id, a.unit FROM licensing.entry_group g JOIN licensing.entry e USING (group_no)
    JOIN licensing.account a USING (account_id) WHERE g.at >= $1 AND g.at < $2 AND a.kind IN ({kinds})
"""
_CREATORS = f"""
    SELECT owner_id AS creator_id, unit AS currency FROM ({_ACTIVE.format(kinds="'payable'")}) AS active
    UNION SELECT creator_id, currency FROM licensing.output WHERE settled_at >= $1 AND settled_at < $2
    UNION SELECT s.author_id, o.currency FROM licensing.output_share s JOIN licensing.output o USING (output_id)
          WHERE o.settled_at >= $1 AND o.settled_at < $2
"""
_CLIENTS = f"""
    SELECT DISTINCT owner_id AS client_id, unit AS currency,
           ARRAY['prepaid:' || owner_id || ':' || unit, 'receivable:' || owner_id || ':' || unit] AS purses
    FROM ({_ACTIVE.format(kinds="'prepaid', 'receivable'")}) AS active
"""
_LINES_OF_ALL = (
    f"({_CREATORS}) AS one, LATERAL ({_for_each(LINES, 'one.creator_id', 'one.currency', '$1', '$2')}) AS lines"
)
_CHARGES_OF_ALL = f"({_CLIENTS}) AS one, LATERAL ({_for_each(CHARGES, 'one.purses', '$1', '$2')}) AS charges"

_KEPT = (
    _Kept(
        table="earned_day",
        names="creator_id, currency, day, style_id, tier",
        sums="sales, refunds, share, running",
        query=_earned_by_day(_LINES_OF_ALL, "creator_id, currency, "),
    ),
    _Kept(
        table="earned_month",
        names="creator_id, currency, month, client_id",
        sums="sales, refunds, share",
        query=_earned_by_month(_LINES_OF_ALL, "creator_id, currency, "),
        by_month=True,
    ),
    _Kept(
        table="priced_day",
        names="creator_id, currency, day, tier, price",
        sums="pictures",
        query=_priced_by_day(_LINES_OF_ALL, "creator_id, currency, "),
    ),
    _Kept(
        table="spent_day",
        names="client_id, currency, day, style_id, key_id, tier",
        sums="pictures, charged, net, running",
        query=_spent_by_day(_CHARGES_OF_ALL, "client_id, currency, "),
    ),
)
