"""What a creator asks of one client instead of a tier's price."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.sentence import say
from licensing.terms import StyleTerms, current_terms


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One client's own price for a picture of a tier, before tax. The tier's floor holds for it, too."""

    style_id: str
    client_id: str
    tier: str
    price: Money


async def put_rate(
    conn: Connection, *, style_id: str, client_id: str, tier: str, price: Money | None, by: str, now: datetime
) -> Rate | Refusal | None:
    """Set a client's price from now on; `price` None: the tier's holds again, also where it is not sold any more.

    Refusals: not_found (the style), invalid_request (the tier is not sold, another currency, below the floor).
    """
    terms = await current_terms(conn, style_id)
    if terms is None:
        return refuse("not_found", what=say("style"), id=style_id)
    ends_one = price is None and any(
        (one.client_id, one.tier) == (client_id, tier) for one in await rates_of_style(conn, style_id)
    )
    if tier not in terms.tiers and not ends_one:
        return refuse(
            "invalid_request",
            what=say(
                "Style {style_id} has no tier {tier}; choose one of {tiers}",
                style_id=style_id,
                tier=tier,
                tiers=", ".join(terms.tiers),
            ),
        )
    if price is not None and price.currency != terms.currency:
        return refuse(
            "invalid_request",
            what=say(
                "Style {style_id} is sold in {currency}; give {price} in that",
                style_id=style_id,
                currency=terms.currency,
                price=price,
            ),
        )
    floor = Money(terms.tiers[tier].floor if tier in terms.tiers else 0, terms.currency)
    if price is not None and price.amount < floor.amount:
        return refuse(
            "invalid_request",
            what=say("A price of {price} is below the floor of {floor}; ask that or more", price=price, floor=floor),
        )
    await conn.execute(
        "INSERT INTO licensing.rate (style_id, client_id, tier, price, actor, at) VALUES ($1, $2, $3, $4, $5, $6)",
        *(style_id, client_id, tier, None if price is None else price.amount, by, now),
    )
    if price is None:
        return None
    return Rate(style_id=style_id, client_id=client_id, tier=tier, price=price)


async def prices_for(conn: Connection, *, client_id: str, terms: StyleTerms) -> dict[str, Money]:
    """What a picture of each tier costs one client before tax, by tier."""
    rows = await conn.fetch(
        """
        SELECT one.tier, licensing.price_for($1, $2, one.tier, one.price, one.floor) AS price
        FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS one (tier, price, floor)
        """,
        *(terms.style_id, client_id, list(terms.tiers)),
        *([tier.price.amount for tier in terms.tiers.values()], [tier.floor for tier in terms.tiers.values()]),
    )
    return {row["tier"]: Money(row["price"], terms.currency) for row in rows}


async def rates_of_style(conn: Connection, style_id: str) -> list[Rate]:
    """The prices that hold for single clients, by client and tier."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT ON (r.client_id, r.tier) r.style_id, r.client_id, r.tier, r.price, s.currency
        FROM licensing.rate r JOIN licensing.style s USING (style_id) WHERE r.style_id = $1
        ORDER BY r.client_id, r.tier, r.rate_no DESC
        """,
        style_id,
    )
    return [
        Rate(
            style_id=row["style_id"],
            client_id=row["client_id"],
            tier=row["tier"],
            price=Money(row["price"], row["currency"]),
        )
        for row in rows
        if row["price"] is not None
    ]
