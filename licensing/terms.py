"""What a creator sells and on what terms; every version is kept, for it holds for ever for what was sold under it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.sentence import say

WEIGHT_MAX = 10_000
EXCLUSIVE = "exclusive"
"""The tier whose pictures are one client's alone. A licence of it is a window: the whole style is, while it runs."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A one-style licence: `units` pictures in each period of `months`, for `price` a period."""

    price: Money
    units: int
    months: int


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One way to use a picture: `use` in words, its `price` per picture before tax, and the licence that may be bought
    instead. Below the `floor` (minor units) no picture is sold, whatever a plan, a rate or a licence makes it cost."""

    price: Money
    use: str
    offer: Offer | None = None
    floor: int = 0


_OF_MANY = """
SELECT x.* FROM licensing.{table} x JOIN unnest($1::text[], $2::integer[]) AS wanted (style_id, version)
    ON (x.style_id, x.version) = (wanted.style_id, wanted.version) ORDER BY x.style_id, x.position
"""

Approval = Literal["off", "new_clients", "all"]
"""At whose pictures the creator looks before they are delivered: see `looks_first`."""
Trust = Literal["by_count", "trusted", "always_review"]
"""What a creator decided about a client; by_count: nothing, so pictures that were approved are counted."""


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """The licence's fields beside its tier.

    `attribution`: the maker must be named; `derivatives`: pictures may be changed and built on. `ceiling` is the most
    copies of a picture a buyer may print or sell (None: no limit), `expiry_days` after how many days the right to use a
    picture ends (None: never), `training` whether pictures may be used to train models, `approval` at whose pictures
    the creator looks before they are delivered.
    """

    attribution: bool = False
    derivatives: bool = True
    training: bool = False
    ceiling: int | None = None
    expiry_days: int | None = None
    approval: Approval = "off"

    def ends_at(self, sold_at: datetime) -> datetime | None:
        """When the right to use a picture ends that was sold at that time; None for never."""
        return None if self.expiry_days is None else sold_at + timedelta(days=self.expiry_days)


@dataclass(frozen=True, kw_only=True)
class StyleTerms:
    """Terms of one style. `fee_bps` is the operator's fee in hundredths of a percent of every price; the rest is the
    creator's. `authors` are those among whom the creator's part is split, by weight, the creator included; nobody:
    all of it is the creator's. `notice_days` is the shortest wind-down that buyers under this version are promised.
    `version` counts from 1; terms not yet stored have 0."""

    style_id: str
    creator_id: str
    tiers: Mapping[str, Tier]
    fee_bps: int
    notice_days: int
    permissions: Permissions = Permissions()
    authors: Mapping[str, int] = field(default_factory=dict)
    version: int = 0
    created_at: datetime | None = None

    @property
    def share_bps(self) -> int:
        """The creator's part of every price, in hundredths of a percent."""
        return 10_000 - self.fee_bps

    @property
    def currency(self) -> str:
        return next(iter(self.tiers.values())).price.currency


def looks_first(approval: Approval, *, tier: str, trust: Trust, num_approved: int, trusted_from: int) -> bool:
    """Whether the creator looks at an order's pictures before its client gets them.

    With `new_clients` that is until `trusted_from` pictures of the client were approved, unless the creator decided
    otherwise, and not at drafts, which are small and marked.
    """
    if approval != "new_clients":
        return approval == "all"
    if tier == "draft" or trust == "trusted":
        return False
    return trust == "always_review" or num_approved < trusted_from


async def put_terms(conn: Connection, terms: StyleTerms, *, by: str, now: datetime) -> StyleTerms | Refusal:
    """Store `terms` as the style's next version and return it numbered; the same terms again make no new version.

    The first version makes the style known here, switched `live`. Orders keep the version they were reserved under.
    Refusals: not_found (the style is another creator's), style_destroyed, invalid_request (no tier, mixed currencies,
    or not the currency of the creator's other styles).
    """
    what = _unsound(terms)
    if what:
        return refuse("invalid_request", what=what)
    async with conn.transaction():
        # Versions of one creator's styles are written one after the other.
        await conn.execute("SELECT pg_advisory_xact_lock(licensing.lock_no('terms', $1))", terms.creator_id)
        refusal = await _not_for_sale(conn, terms)
        if refusal:
            return refusal
        known = await current_terms(conn, terms.style_id)
        if known and replace(known, version=0, created_at=None) == replace(terms, version=0, created_at=None):
            return known
        numbered = replace(terms, version=known.version + 1 if known else 1, created_at=now)
        await _store(conn, numbered, by=by, now=now)
    return numbered


async def current_terms(conn: Connection, style_id: str) -> StyleTerms | None:
    """The terms that a new order would get; None for a style that has none."""
    version = await conn.fetchval("SELECT terms_version FROM licensing.style WHERE style_id = $1", style_id)
    return None if version is None else await terms_at(conn, style_id, version)


async def current_terms_of(conn: Connection, style_ids: Sequence[str]) -> dict[str, StyleTerms]:
    """The same of many styles at once, for lists; styles without terms are left out."""
    rows = await conn.fetch(
        """
        SELECT s.style_id, s.creator_id, s.currency, t.version, t.fee_bps, t.notice_days,
            t.permissions::text AS permissions, t.created_at
        FROM licensing.style s JOIN licensing.terms t ON (t.style_id, t.version) = (s.style_id, s.terms_version)
        WHERE s.style_id = ANY($1::text[])
        """,
        list(style_ids),
    )
    tiers: dict[str, dict[str, Tier]] = {row["style_id"]: {} for row in rows}
    currencies = {row["style_id"]: row["currency"] for row in rows}
    versions = list(tiers), [row["version"] for row in rows]
    for tier in await conn.fetch(_OF_MANY.format(table="tier"), *versions):
        tiers[tier["style_id"]][tier["tier"]] = _tier(tier, currencies[tier["style_id"]])
    authors: dict[str, dict[str, int]] = {style_id: {} for style_id in tiers}
    for author in await conn.fetch(_OF_MANY.format(table="author"), *versions):
        authors[author["style_id"]][author["author_id"]] = author["weight"]
    return {
        row["style_id"]: StyleTerms(
            style_id=row["style_id"],
            creator_id=row["creator_id"],
            tiers=tiers[row["style_id"]],
            fee_bps=row["fee_bps"],
            notice_days=row["notice_days"],
            permissions=Permissions(**json.loads(row["permissions"])),
            authors=authors[row["style_id"]],
            version=row["version"],
            created_at=row["created_at"],
        )
        for row in rows
    }


async def terms_at(conn: Connection, style_id: str, version: int) -> StyleTerms | None:
    """One version of a style's terms, as a certificate names it."""
    row = await conn.fetchrow(
        """
        SELECT s.creator_id, s.currency, t.fee_bps, t.notice_days, t.permissions::text AS permissions, t.created_at
        FROM licensing.terms t JOIN licensing.style s USING (style_id) WHERE t.style_id = $1 AND t.version = $2
        """,
        *(style_id, version),
    )
    if row is None:
        return None
    tiers = await conn.fetch(
        "SELECT * FROM licensing.tier WHERE style_id = $1 AND version = $2 ORDER BY position", style_id, version
    )
    authors = await conn.fetch(
        "SELECT author_id, weight FROM licensing.author WHERE style_id = $1 AND version = $2 ORDER BY position",
        *(style_id, version),
    )
    return StyleTerms(
        style_id=style_id,
        creator_id=row["creator_id"],
        tiers={tier["tier"]: _tier(tier, row["currency"]) for tier in tiers},
        fee_bps=row["fee_bps"],
        notice_days=row["notice_days"],
        permissions=Permissions(**json.loads(row["permissions"])),
        authors={author["author_id"]: author["weight"] for author in authors},
        version=version,
        created_at=row["created_at"],
    )


def _tier(row: Mapping[str, Any], currency: str) -> Tier:
    offer = None
    if row["offer_price"] is not None:
        offer = Offer(price=Money(row["offer_price"], currency), units=row["offer_units"], months=row["offer_months"])
    return Tier(price=Money(row["price"], currency), use=row["use"], offer=offer, floor=row["floor"])


def _unsound(terms: StyleTerms) -> str | None:
    """What is wrong with the terms in themselves."""
    if not terms.tiers:
        return say("Style {style_id} needs at least one tier with a price", style_id=terms.style_id)
    prices = [tier.price for tier in terms.tiers.values()]
    prices += [tier.offer.price for tier in terms.tiers.values() if tier.offer]
    if min(price.amount for price in prices) < 0:
        return say("A price cannot be below 0; give prices in whole minor units")
    if len({price.currency for price in prices}) > 1:
        return say("All prices of a style must be in one currency")
    if not 0 <= terms.fee_bps <= 10_000 or terms.notice_days < 0:
        return say(
            "A fee of {fee_bps} bps or a notice of {notice_days} days cannot be; give 0 to 10000, and days",
            fee_bps=terms.fee_bps,
            notice_days=terms.notice_days,
        )
    for name, tier in terms.tiers.items():
        if not 0 <= tier.floor <= tier.price.amount:
            return say(
                "Tier {name} cannot be sold for less than its price; give a floor from 0 to {amount}",
                name=name,
                amount=tier.price.amount,
            )
        if tier.offer and tier.offer.price.amount < tier.floor * tier.offer.units:
            return say(
                "A licence of tier {name} sells {units} pictures for less than the floor of {floor} each;"
                " ask more for it, or lower the floor",
                name=name,
                units=tier.offer.units,
                floor=Money(tier.floor, terms.currency),
            )
    if not all(0 < weight <= WEIGHT_MAX for weight in terms.authors.values()):
        return say("Parts of authors are whole numbers from 1 to {most}; give each author such a part", most=WEIGHT_MAX)
    limits = {say("copies"): terms.permissions.ceiling, say("days of use"): terms.permissions.expiry_days}
    for name, limit in limits.items():
        if limit is not None and limit < 1:
            return say(
                "A limit of {limit} {name} would allow nothing; give 1 or more, or no limit", limit=limit, name=name
            )
    return None


async def _not_for_sale(conn: Connection, terms: StyleTerms) -> Refusal | None:
    """Why these terms cannot be the style's next ones, by what is stored already."""
    row = await conn.fetchrow(
        """
        SELECT s.creator_id, (licensing.switch_row(s.creator_id, s.style_id, '')).level
        FROM licensing.style s WHERE s.style_id = $1
        """,
        terms.style_id,
    )
    if row is not None and row["creator_id"] != terms.creator_id:
        return refuse("not_found", what=say("style"), id=terms.style_id)
    if row is not None and row["level"] == "destroyed":
        return refuse("style_destroyed", style_id=terms.style_id)
    other = await conn.fetchval(
        "SELECT currency FROM licensing.style WHERE creator_id = $1 AND currency <> $2 LIMIT 1",
        *(terms.creator_id, terms.currency),
    )
    if other is not None:
        return refuse(
            "invalid_request",
            what=say(
                "You sell in {other}; give prices in {other}, not in {currency}", other=other, currency=terms.currency
            ),
        )
    return None


async def _store(conn: Connection, terms: StyleTerms, *, by: str, now: datetime) -> None:
    await conn.execute(
        """
        INSERT INTO licensing.style (style_id, creator_id, currency, terms_version, created_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (style_id) DO UPDATE SET terms_version = $4
        """,
        *(terms.style_id, terms.creator_id, terms.currency, terms.version, now),
    )
    await conn.execute(
        """
        INSERT INTO licensing.terms (style_id, version, fee_bps, notice_days, permissions, actor, created_at)
        VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7)
        """,
        *(terms.style_id, terms.version, terms.fee_bps, terms.notice_days),
        *(json.dumps(asdict(terms.permissions)), by, now),
    )
    await conn.executemany(
        """
        INSERT INTO licensing.tier (
            style_id, version, tier, position, price, use, floor, offer_price, offer_units, offer_months)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        [
            (terms.style_id, terms.version, name, position, tier.price.amount, tier.use, tier.floor)
            + ((tier.offer.price.amount, tier.offer.units, tier.offer.months) if tier.offer else (None, None, None))
            for position, (name, tier) in enumerate(terms.tiers.items())
        ],
    )
    await conn.executemany(
        "INSERT INTO licensing.author (style_id, version, author_id, weight, position) VALUES ($1, $2, $3, $4, $5)",
        [
            (terms.style_id, terms.version, author_id, weight, position)
            for position, (author_id, weight) in enumerate(terms.authors.items())
        ],
    )
