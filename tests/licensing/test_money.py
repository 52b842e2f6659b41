"""Money: whole minor units, one currency, splits that lose nothing; the database splits as Python does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.money import Money, split
from tests.licensing.world import World


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10_000), min_size=1, max_size=8).filter(any))
def test_a_split_loses_nothing_and_no_share_is_off_by_a_unit(amount: int, weights: list[int]):
    shares = split(amount, weights)

    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - amount * weight) < sum(weights)


def test_equal_remainders_go_to_the_earlier_weight():
    assert split(5, [1, 1]) == [3, 2]
    assert split(-5, [1, 1]) == [-3, -2]
    assert split(100, [1, 1, 1]) == [34, 33, 33]


@pytest.mark.parametrize("weights", [[], [0, 0], [2, -1]])
def test_weights_that_share_nothing_are_refused(weights: list[int]):
    with pytest.raises(ValueError, match="weights"):
        split(10, weights)


def test_money_is_never_a_float_nor_a_mix_of_currencies():
    with pytest.raises(TypeError, match="whole minor units"):
        Money(1.5, "EUR")
    with pytest.raises(ValueError, match="three capital letters"):
        Money(1, "eur")
    with pytest.raises(ValueError, match="EUR and USD"):
        Money(1, "EUR") + Money(1, "USD")


def test_money_adds_up():
    assert Money(150, "EUR") + Money(50, "EUR") - Money(1, "EUR") == Money(199, "EUR")
    assert Money(7, "EUR") * 3 == Money(21, "EUR")
    assert Money(10, "EUR").split([2, 1]) == [Money(7, "EUR"), Money(3, "EUR")]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(123456, "EUR"), "1234.56 EUR"),
        (Money(-5, "EUR"), "-0.05 EUR"),
        (Money(500, "JPY"), "500 JPY"),
        (Money(1, "KWD"), "0.001 KWD"),
    ],
)
def test_money_is_written_with_its_currencys_digits(money: Money, text: str):
    assert str(money) == text


async def test_the_database_takes_the_fee_that_the_split_says(world: World):
    cases = [
        (price, bps) for price in (0, 1, 3, 5, 59, 60, 450, 2900, 10**9) for bps in (0, 1, 1500, 3333, 5000, 10_000)
    ]

    async with world.pool.acquire() as conn:
        fees = [await conn.fetchval("SELECT licensing.fee_of($1, $2)", price, bps) for price, bps in cases]

    assert fees == [split(price, [10_000 - bps, bps])[1] for price, bps in cases]


async def test_the_database_divides_times_and_sums_money_without_floats(world: World):
    async with world.pool.acquire() as conn:
        kind = await conn.fetchval("SELECT pg_typeof(60 * extract(epoch FROM interval '1 day') / 7)::text")
        floats = await conn.fetch(
            """
            SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c
            WHERE table_schema = 'licensing' AND data_type IN ('double precision', 'real')
            UNION ALL
            SELECT p.proname FROM pg_proc p WHERE pronamespace = 'licensing'::regnamespace
              AND ARRAY['float4', 'float8']::regtype[] && (p.proargtypes::regtype[] || p.prorettype::regtype)
            """
        )

    assert kind == "numeric"
    assert floats == []
