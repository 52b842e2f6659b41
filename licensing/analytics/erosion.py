"""Whether a creator's prices fall: what a sold picture costs, by the median, now and a quarter before."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from licensing.analytics.over import PRICED, over_until
from licensing.analytics.spans import moment, today
from licensing.database import Connection
from licensing.money import Money

WINDOW_DAYS = 90
ALERT_PERCENT = 15


@dataclass(frozen=True, kw_only=True)
class TierPrice:
    """The median price of a tier's pictures before tax, in the 90 days before the last 90 and in these; None where
    none was sold. Of an even number it is the lower of the two in the middle, so it is a price that somebody paid."""

    tier: str
    before: Money | None
    after: Money | None
    pictures_before: int
    pictures_after: int
    has_fallen: bool


@dataclass(frozen=True, kw_only=True)
class PriceWatch:
    """Prices before the day `on`. A tier has fallen where its median fell by more than `percent` percent."""

    on: date
    percent: int
    tiers: tuple[TierPrice, ...]

    @property
    def is_alert(self) -> bool:
        return any(tier.has_fallen for tier in self.tiers)


async def price_watch(
    conn: Connection, *, creator_id: str, now: datetime, percent: int = ALERT_PERCENT, currency: str = "EUR"
) -> PriceWatch:
    """What sold pictures of a creator's styles cost on the 90 days before today and on the 90 before those, by tier.

    Days are whole and in UTC, so within a day the answer changes only with what is taken back; that counts as not
    sold. A picture of a plan or licence costs its part of that, and whoever shares a style watches the whole price of
    a picture.
    """
    on = today(now)
    start, middle = (moment(on - timedelta(days=WINDOW_DAYS * windows)) for windows in (2, 1))
    over = await over_until(conn, since=start, until=moment(on))
    rows = await conn.fetch(_MEDIANS, creator_id, currency, over, moment(on), start, middle)
    found = {(row["tier"], row["is_late"]): (Money(row["median"], currency), row["pictures"]) for row in rows}
    tiers = sorted({row["tier"] for row in rows})
    nothing: tuple[Money | None, int] = (None, 0)
    return PriceWatch(
        on=on,
        percent=percent,
        tiers=tuple(
            _tier(tier, found.get((tier, False), nothing), found.get((tier, True), nothing), percent) for tier in tiers
        ),
    )


# The median is the first price up to which half of the pictures lie.
_MEDIANS = f"""
    WITH sold AS (
        {PRICED}
        UNION ALL
        SELECT (o.settled_at AT TIME ZONE 'UTC')::date, o.tier, o.share + o.fee, -1 FROM licensing.output o
        WHERE o.output_id IN (SELECT output_id FROM licensing.revoked_of($1, $5, 'infinity'))
          AND o.currency = $2 AND NOT o.test AND o.settled_at >= $5 AND o.settled_at < $4
    ), counted AS (
        SELECT tier, day >= ($6::timestamptz AT TIME ZONE 'UTC')::date AS is_late, price, sum(pictures) AS pictures
        FROM sold GROUP BY tier, is_late, price HAVING sum(pictures) > 0
    ), ranked AS (
        SELECT *, sum(pictures) OVER (PARTITION BY tier, is_late) AS num,
               sum(pictures) OVER (PARTITION BY tier, is_late ORDER BY price) AS upto FROM counted
    )
    SELECT tier, is_late, max(num)::int AS pictures, min(price) AS median FROM ranked WHERE 2 * upto >= num
    GROUP BY tier, is_late
"""


def _tier(tier: str, before: tuple[Money | None, int], after: tuple[Money | None, int], percent: int) -> TierPrice:
    return TierPrice(
        tier=tier,
        before=before[0],
        after=after[0],
        pictures_before=before[1],
        pictures_after=after[1],
        has_fallen=_has_fallen(before[0], after[0], percent),
    )


def _has_fallen(before: Money | None, after: Money | None, percent: int) -> bool:
    if before is None or after is None:
        return False
    return (before - after).amount * 100 > before.amount * percent
