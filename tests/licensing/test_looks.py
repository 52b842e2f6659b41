"""Stripped pictures found by an index: the same answers as by looking at every picture."""

import random
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from licensing.authority import Authority
from licensing.fingerprint import BITS, NEAR, distance, fingerprint, is_telling
from licensing.looks import BAND_BITS, BANDS, bands_near, nearest
from licensing.verify import verify
from tests.licensing.drawings import drawing, encoded
from tests.licensing.world import NOW, new_id


def written(bits: int) -> str:
    return f"{bits:064x}"


def sparse(dice: random.Random, rows: int) -> int:
    """A fingerprint of which only some rows of 16 have anything in them."""
    return sum(dice.getrandbits(16) << (16 * row) for row in dice.sample(range(16), rows))


def turned(dice: random.Random, print_: int, bits: int) -> int:
    return print_ ^ sum(1 << bit for bit in dice.sample(range(BITS), bits))


def spread(dice: random.Random, print_: int, bits: int) -> int:
    """As few bits turned in each band as can be: what bands find hardest."""
    bands = dice.sample(range(BANDS), BANDS)
    for number in range(bits):
        print_ ^= 1 << (BAND_BITS * bands[number % BANDS] + number // BANDS)
    return print_


def shares_a_band(asked: list[list[int]], print_: int) -> bool:
    words = [(print_ >> (BAND_BITS * (BANDS - 1 - band))) & (2**BAND_BITS - 1) for band in range(BANDS)]
    return any(word in values for word, values in zip(words, asked, strict=True))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 12, 16])
def test_whatever_is_near_shares_a_band(rows: int):
    dice = random.Random(rows)

    for _ in range(12):
        asked = sparse(dice, rows)
        found = bands_near(written(asked))

        for bits in (0, 1, NEAR // 2, NEAR):
            assert shares_a_band(found, turned(dice, asked, bits))
            assert shares_a_band(found, spread(dice, asked, bits))


def test_a_usual_picture_asks_for_a_few_hundred_values():
    counts = [
        sum(len(values) for values in bands_near(fingerprint(encoded(drawing(number), "PNG")))) for number in range(8)
    ]

    assert max(counts) < 2000
    assert min(counts) >= 7 * (BAND_BITS + 1)


@pytest_asyncio.fixture(scope="module")
async def registry(pool: asyncpg.Pool) -> list[str]:
    """Fingerprints of 600 sold pictures: full ones, sparse ones, some near to each other."""
    dice = random.Random(5)
    prints = [dice.getrandbits(BITS) for _ in range(200)]
    prints += [sparse(dice, dice.randrange(1, 10)) for _ in range(200)]
    prints += [turned(dice, print_, dice.randrange(1, 24)) for print_ in prints[:200]]
    await insert(pool, [written(print_) for print_ in prints])
    return [written(print_) for print_ in prints]


async def insert(pool: asyncpg.Pool, prints: list[str], *, test: bool = False) -> None:
    """Rows of pictures that were sold, without the orders they belong to."""
    order_id = new_id("gen")
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.executemany(
            "INSERT INTO licensing.output (output_id, order_id, position, client_id, creator_id, style_id, tier, test,"
            " sha256, phash, certificate, price, share, fee, currency, settled_at) VALUES ($1, $2, $3, 'c', 'c', 's',"
            " 'personal', $4, repeat('0', 64), ('x' || $5)::bit(256), 'none', 0, 0, 0, 'EUR', $6)",
            [
                (f"{order_id}_{number}", order_id, number, test, print_, NOW + timedelta(seconds=number))
                for number, print_ in enumerate(prints)
            ],
        )


async def test_the_index_finds_what_looking_at_every_picture_finds(pool: asyncpg.Pool, registry: list[str]):
    dice, near, far = random.Random(6), 0, 0

    for number in range(120):
        asked = written(turned(dice, int(registry[dice.randrange(len(registry))], 16), dice.randrange(0, 30)))
        if number % 4 == 0:
            asked = written(dice.getrandbits(BITS))
        if not is_telling(asked):
            continue
        there = [distance(asked, one) for one in registry if is_telling(one)]
        best = min((one for one in there if one <= NEAR), default=None)

        async with pool.acquire() as conn:
            found = await nearest(conn, asked)
        assert (found and found.distance) == best
        near, far = near + (best is not None), far + (best is None)

    assert near > 30
    assert far > 30


async def test_the_search_reads_indexes_and_not_the_table(pool: asyncpg.Pool, registry: list[str]):
    counted = "SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'licensing.output'::regclass"
    used = "SELECT count(*) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'output_by_band%' AND idx_scan > 0"
    async with pool.acquire() as conn:
        await conn.execute("ANALYZE licensing.output")
        await conn.execute("SELECT pg_stat_force_next_flush()")
        before = await conn.fetchval(counted)
        for asked in registry[:20]:
            await nearest(conn, asked)
        await conn.execute("SELECT pg_stat_force_next_flush()")

        assert await conn.fetchval(counted) == before
        assert await conn.fetchval(used) == BANDS


async def test_pictures_of_next_to_one_colour_and_test_pictures_are_like_nothing(
    authority: Authority, pool: asyncpg.Pool
):
    plain = encoded(drawing(7).resize((2, 2)).resize((64, 64)), "PNG")
    image = encoded(drawing(881), "PNG")
    assert not is_telling(fingerprint(plain))
    await insert(pool, [fingerprint(plain)])
    await insert(pool, [fingerprint(image)], test=True)

    async with pool.acquire() as conn:
        verdicts = [await verify(conn, authority, content, now=NOW) for content in (plain, image)]

    assert [(verdict.verdict, verdict.output_id) for verdict in verdicts] == [("unknown", None)] * 2
