"""Terms are versioned and kept; prices come from a file that is checked word for word."""

from dataclasses import replace
from pathlib import Path

import pytest

from licensing import terms
from licensing.errors import PricesInvalid
from licensing.money import Money
from licensing.prices import load_prices
from licensing.terms import Permissions, Tier
from tests.licensing.world import PRICES, World, eur, new_id, refused


async def put(world: World, wanted: terms.StyleTerms):
    async with world.pool.acquire() as conn:
        return await terms.put_terms(conn, wanted, by=wanted.creator_id, now=world.now)


async def test_terms_come_back_as_they_were_stored(world: World):
    permissions = Permissions(attribution=True, ceiling=500, expiry_days=365, approval="new_clients")
    stored = await world.style(permissions=permissions, fee_bps=1000, notice_days=14)

    async with world.pool.acquire() as conn:
        assert await terms.current_terms(conn, stored.style_id) == stored
        assert await terms.terms_at(conn, stored.style_id, 1) == stored
        assert await terms.terms_at(conn, stored.style_id, 2) is None
        assert await terms.current_terms(conn, "sty_none") is None
    assert stored.currency == "EUR"


@pytest.mark.parametrize(
    ("approval", "tier", "trust", "num_approved", "looks"),
    [
        ("off", "personal", "always_review", 0, False),
        ("all", "personal", "trusted", 99, True),
        ("all", "draft", "by_count", 99, True),
        ("new_clients", "personal", "by_count", 2, True),
        ("new_clients", "personal", "by_count", 3, False),
        ("new_clients", "personal", "trusted", 0, False),
        ("new_clients", "personal", "always_review", 99, True),
        ("new_clients", "draft", "always_review", 0, False),
    ],
)
def test_whose_pictures_the_creator_looks_at_first(approval, tier, trust, num_approved, looks):
    answer = terms.looks_first(approval, tier=tier, trust=trust, num_approved=num_approved, trusted_from=3)

    assert answer == looks


async def test_a_change_is_a_new_version_and_the_same_again_is_not(world: World):
    first = await world.style()

    same = await put(world, first)
    second = await put(world, replace(first, notice_days=99))

    assert (same.version, second.version) == (1, 2)
    async with world.pool.acquire() as conn:
        assert (await terms.terms_at(conn, first.style_id, 1)).notice_days == first.notice_days


async def test_nobody_sells_anothers_style(world: World):
    style = await world.style()

    refused(await put(world, replace(style, creator_id=new_id("acc"))), "not_found")


async def test_a_destroyed_style_gets_no_new_terms(world: World):
    style = await world.style()
    await world.set_level(style, "destroyed")

    refused(await put(world, replace(style, notice_days=1)), "style_destroyed")


async def test_terms_that_cannot_be_charged_are_refused_in_words(world: World):
    style = await world.style()
    yen = Tier(price=Money(100, "JPY"), use="any")

    for wrong in (
        replace(style, tiers={}),
        replace(style, tiers={"personal": Tier(price=eur(-1), use="any")}),
        replace(style, tiers={"a": Tier(price=eur(1), use="any"), "b": yen}),
        replace(style, fee_bps=10_001),
        replace(style, notice_days=-1),
        replace(style, permissions=Permissions(ceiling=0)),
        replace(style, permissions=Permissions(expiry_days=0)),
        replace(style, style_id=new_id("sty"), tiers={"a": yen}),
    ):
        refused(await put(world, wrong), "invalid_request")


def test_the_shipped_prices_can_be_charged():
    prices = load_prices(PRICES)

    assert (prices.currency, list(prices.tiers)) == ("EUR", ["draft", "personal", "commercial", "exclusive"])
    assert all(plan.covers.keys() <= prices.tiers.keys() for plan in prices.plans.values())
    assert prices.default_terms(style_id="s", creator_id="c").fee_bps == prices.fee_bps


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("price = 60", "price = 0.6", "price must be a int, not 0.6"),
        ("price = 60", "price = -1", "price must be between 0"),
        ("price = 60", "pric = 60", "price must be a int, not None"),
        ("price = 60", "price = 60\ncolour = 1", "colour"),
        ('currency = "EUR"', 'currency = "euro"', "three capital letters"),
        ('currency = "EUR"', "", "currency must be a str"),
        ("operator_fee_bps = 1500", "operator_fee_bps = 15000", "between 0 and 10000"),
        ("covers = { draft = 1,", "covers = { gold = 1,", "gold"),
        ("units = 100", "units = 0", "units must be between 1"),
        ("minute = 0", "minute = -1", "minute must be between 0"),
        ("minute = 0", "minute = 0\nhour = 1", "hour"),
        ("notice_days = 30", "notice_days = 30\nnotice = 1", "notice"),
        ("[plans.studio]", "[plans.studio", "cannot be read"),
    ],
)
def test_prices_that_are_wrong_are_named(tmp_path: Path, old: str, new: str, complaint: str):
    text = PRICES.read_text()
    assert old in text
    wrong = tmp_path / "prices.toml"
    wrong.write_text(text.replace(old, new, 1))

    with pytest.raises(PricesInvalid, match=complaint) as caught:
        load_prices(wrong)

    assert str(wrong) in str(caught.value)


def test_prices_that_are_not_there_are_named(tmp_path: Path):
    with pytest.raises(PricesInvalid, match=r"none\.toml"):
        load_prices(tmp_path / "none.toml")
