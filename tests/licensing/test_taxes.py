"""Tax on top of prices: who pays which, to the minor unit, at the sale, on the invoice and back."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing import gateway
from licensing.billing.buyers import apply_taxes, buyer_of
from licensing.billing.parties import Party, checked
from licensing.billing.taxes import Taxes, load_taxes
from licensing.errors import PricesInvalid, Refusal
from licensing.money import split
from tests.licensing.world import BUYER, SELLER, World, eur

TAXES = Taxes(home=1900, rates={"AT": 2000}, exempt="", seller=SELLER)
SELLER_FILE = Path(__file__).parents[2] / "configs" / "seller.toml"


@pytest.mark.parametrize(
    ("country", "vat_id", "category", "bps"),
    [
        ("DE", None, "S", 1900),
        ("DE", "DE136695976", "S", 1900),
        ("AT", None, "S", 2000),
        ("FR", None, "S", 1900),
        ("AT", "ATU13585627", "AE", 0),
        ("US", None, "O", 0),
    ],
)
def test_the_rate_follows_from_where_a_buyer_is_and_who(country: str, vat_id: str | None, category: str, bps: int):
    rate = TAXES.rate_for(replace(BUYER, country=country, vat_id=vat_id))

    assert (rate.category, rate.bps, bool(rate.why)) == (category, bps, bps == 0)


def test_whoever_tells_nothing_pays_the_home_rate_and_where_no_tax_is_charged_nobody_does():
    assert TAXES.rate_for(None).bps == 1900
    assert load_taxes(SELLER_FILE).rate_for(BUYER).why == "No VAT is charged."


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vat_id": "DE136695977"}, "DE136695977"),
        ({"vat_id": "ATU13585627"}, "not of DE"),
        ({"country": "Germany"}, "two letters"),
        ({"street": " "}, "street"),
        ({"name": "x" * 201}, "200"),
        ({"city": "Ham\nburg"}, "city"),
    ],
)
def test_a_buyer_whom_no_invoice_could_name_is_told_what_is_wrong(changes: dict[str, str], says: str):
    answer = checked(replace(BUYER, **changes))

    assert isinstance(answer, Refusal)
    assert says in answer.message


def test_a_vat_id_is_kept_in_its_compact_form_and_greece_may_write_el():
    compact = checked(replace(BUYER, vat_id=" de 136 695 976 "))
    greek = checked(replace(BUYER, country="gr", vat_id="EL094259216"))

    assert isinstance(compact, Party)
    assert isinstance(greek, Party)
    assert (compact.vat_id, greek.vat_id, greek.country) == ("DE136695976", "EL094259216", "GR")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tax]\nhome = 19.0", "hundredths"),
        ("[tax]\nhome = 1900", "[seller] is missing"),
        ("[tax]\nrates = { DE = 1900 }", "home"),
        ("[tax]\nexempt = 'None.'\nextra = 1", "extra"),
        ("[tax]\nexempt = 'None.'\n[seller]\nname = 'A'", "street"),
        ("[seller]\nname = 'A'", "[tax]"),
        ("[tax", "cannot be read"),
    ],
)
def test_a_seller_file_that_cannot_be_is_refused_at_the_start(tmp_path: Path, text: str, says: str):
    path = tmp_path / "seller.toml"
    path.write_text(text)

    with pytest.raises(PricesInvalid, match=re.escape(says)):
        load_taxes(path)


async def test_a_sale_is_share_fee_and_tax_and_the_tax_comes_on_top(world: World):
    style, client = await world.style(fee_bps=1500), await world.client(prepaid=10_000)
    await world.tax(client, 1900)

    async with world.pool.acquire() as conn:
        quote = await gateway.quote(
            conn, style_id=style.style_id, client_id=client, tier="personal", count=3, now=world.now
        )
    sale = await world.sold(style, client, count=3)

    assert (quote.amount, quote.tax, quote.tax_bps) == (eur(3 * 72), eur(3 * 12), 1900)
    assert sale.amount == quote.amount == sale.share + sale.fee + sale.tax
    assert (sale.share, sale.fee, sale.tax) == (eur(3 * 51), eur(3 * 9), eur(3 * 12))
    assert await world.balance(f"payable:{style.creator_id}:EUR") == 153


async def test_the_invoice_is_exact_and_gives_back_what_was_rounded_up(world: World):
    style, client = await world.style(), await world.client(prepaid=10_000)
    await world.tax(client, 1900)
    for _ in range(3):
        await world.sold(style, client, tier="draft", count=8)
    before = (await world.usage(client)).prepaid

    (paper,) = await world.invoice(client)

    assert (paper.net, paper.tax, paper.total) == (eur(120), eur(23), eur(143))
    assert before == eur(10_000 - 24 * 6)
    assert (await world.usage(client)).prepaid == eur(10_000 - 143)
    assert [(line.quantity, line.unit, line.net) for line in paper.lines] == [(24, eur(5), eur(120))]
    assert await world.invoice(client) == []


async def test_whoever_gets_drafts_back_one_by_one_gains_nothing_by_it(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.tax(client, 500)
    sales = [await world.sold(style, client, tier="draft") for _ in range(10)]
    await world.invoice(client)

    for month, sale in enumerate(sales, start=1):
        world.now = datetime(2026, month, 5, tzinfo=UTC)
        await world.refund(f"out_{sale.order_id}_0")
        (note,) = await world.invoice(client)
        assert note.kind == "credit_note"

    assert (await world.usage(client)).prepaid == eur(1000)
    async with world.pool.acquire() as conn:
        posted = await conn.fetchval(
            "SELECT sum(amount)::bigint FROM licensing.entry JOIN licensing.entry_group g USING (group_no)"
            " WHERE account_id = 'tax:operator:EUR' AND (g.subject = ANY ($1) OR g.kind = 'refund')",
            [sale.order_id for sale in sales],
        )
    assert posted == 10, "each draft's cent was taken, and a refund later gives back the tax by its credit note"


async def test_new_rates_hold_for_whoever_is_known_from_the_next_start_on(world: World):
    client = await world.client(prepaid=1000)
    await world.tax(client, 1900)
    home = replace(SELLER, party=replace(SELLER.party))

    async with world.pool.acquire() as conn:
        assert await apply_taxes(conn, Taxes(home=2000, rates={}, exempt="", seller=home)) >= 1
        assert await apply_taxes(conn, Taxes(home=2000, rates={}, exempt="", seller=home)) == 0
        stored = await buyer_of(conn, client)
        style = await world.style()
        sale = await world.sold(style, client)
        await apply_taxes(conn, Taxes(home=None, rates={}, exempt="None.", seller=None))

    assert stored == BUYER
    assert sale.tax == eur(12)


@given(amount=st.integers(0, 10**9), weights=st.lists(st.integers(1, 10_000), min_size=1, max_size=6))
def test_parts_of_authors_are_those_of_the_largest_remainder(split_in_sql, amount: int, weights: list[int]):
    assert split_in_sql(amount, weights) == split(amount, weights)


@pytest.fixture(scope="module")
def split_in_sql(licensing_url: str):
    import psycopg

    with psycopg.connect(licensing_url, autocommit=True) as conn:
        yield lambda amount, weights: conn.execute(
            "SELECT licensing.split(%s, %s::bigint[])", (amount, weights)
        ).fetchone()[0]
