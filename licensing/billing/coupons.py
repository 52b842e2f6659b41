"""Discounts that the operator gives, of the operator's money: creators get their part of the whole price."""

import re
from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.sentence import say

_CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{2,31}")
PERIODS_MAX = 36
USES_MAX = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Coupon:
    """`percent` off the first `periods` periods of a plan (`plan`, None for any), once for each client, for at most
    `uses_most` clients and until `expires_at` (None: no limit). `uses` counts them; `ended_at`: nobody can use it any
    more."""

    code: str
    percent: int
    periods: int
    plan: str | None
    uses_most: int | None
    expires_at: datetime | None
    uses: int = 0
    ended_at: datetime | None = None


async def make_coupon(conn: Connection, coupon: Coupon, *, by: str, now: datetime) -> Coupon | Refusal:
    """Refusals: invalid_request (a code or number that cannot be), conflict (there is such a code)."""
    if not _CODE.fullmatch(coupon.code):
        return refuse(
            "invalid_request",
            what=say(
                "{code!r} is no code; give 3 to 32 capital letters, digits or hyphens, as in SPRING-26",
                code=coupon.code[:40],
            ),
        )
    uses = 1 if coupon.uses_most is None else coupon.uses_most
    limits = (
        (say("percent"), coupon.percent, 100),
        (say("periods"), coupon.periods, PERIODS_MAX),
        (say("uses"), uses, USES_MAX),
    )
    for name, number, most in limits:
        if not 1 <= number <= most:
            return refuse(
                "invalid_request",
                what=say(
                    "A coupon over {number} {name} cannot be; give 1 to {most}", number=number, name=name, most=most
                ),
            )
    status = await conn.execute(
        """
        INSERT INTO licensing.coupon (code, percent, periods, plan, uses_most, expires_at, actor, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        *(coupon.code, coupon.percent, coupon.periods, coupon.plan, coupon.uses_most, coupon.expires_at, by, now),
    )
    if status == "INSERT 0 0":
        return refuse("conflict", what=say("There is a coupon {code} already; choose another code", code=coupon.code))
    return coupon


async def end_coupon(conn: Connection, code: str, *, now: datetime) -> bool:
    """Nobody can use it from now on; who did keeps the discount. False where there is none that runs."""
    status = await conn.execute(
        "UPDATE licensing.coupon SET ended_at = $2 WHERE code = $1 AND ended_at IS NULL", code, now
    )
    return bool(status == "UPDATE 1")


async def list_coupons(conn: Connection) -> list[Coupon]:
    """All there ever were, the newest first."""
    rows = await conn.fetch(
        """
        SELECT c.code, c.percent, c.periods, c.plan, c.uses_most, c.expires_at, c.ended_at,
               (SELECT count(*) FROM licensing.coupon_use u WHERE u.code = c.code)::int AS uses
        FROM licensing.coupon c ORDER BY c.created_at DESC, c.code
        """
    )
    return [Coupon(**row) for row in rows]
