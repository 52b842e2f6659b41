"""The registry of what was sold, asked by looks: nothing that is near is missed, and little else is read.

The 256 bits are cut into 8 bands of 32. Give every band a radius, -1 to a band that is not asked. A fingerprint that
differs from the one looked for by more than the radius in every band differs by at least the sum of all radii + 1 each.
So where that sum is over NEAR, whatever is near differs in some band by no more than that band's radius, and whoever
asks for all values within the radii finds it (pigeonholes of unequal size, as in GPH: Qin and others, ICDE 2018).

Which radii is a question of cost alone. A wider one asks for more values; a band with few bits set is that of many
pictures, soft or symmetric ones, whose other frequencies are absent.
"""

import itertools
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from licensing.database import Connection
from licensing.fingerprint import BITS, NEAR

BANDS = 8
BAND_BITS = BITS // BANDS
_RADIUS_MAX = 3
# What a value costs that nobody has, in pictures that are read in vain; and the registry that costs are guessed for.
_ASKED, _PICTURES = 0.3, 1_000_000


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """A sold output, and how many of 256 bits of its fingerprint differ."""

    output_id: str
    distance: int


async def nearest(conn: Connection, print_: str) -> Likeness | None:
    """The output whose fingerprint is nearest, of those within NEAR bits; of several, the one that was sold first.

    Test pictures and such of next to one colour (`fingerprint.is_telling`) are not looked at.
    """
    row = await conn.fetchrow(
        "SELECT * FROM licensing.nearest_output($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *(print_, NEAR, *bands_near(print_)),
    )
    return Likeness(**row) if row else None


def bands_near(print_: str) -> list[list[int]]:
    """For each band the values (unsigned, 32 bits) of which every fingerprint within NEAR bits of `print_` has at least
    one; no values for a band that need not be asked."""
    words = np.frombuffer(bytes.fromhex(print_), dtype=">u4").astype(np.int64)
    radii = _radii([int(word).bit_count() for word in words])
    return [(_turns(radius) ^ word).tolist() for word, radius in zip(words, radii, strict=True)]


def _radii(set_bits: list[int]) -> tuple[int, ...]:
    """The cheapest radii that promise everything within NEAR, by how many bits are set in each band."""
    needed = NEAR + 1
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for count in set_bits:
        ways: dict[int, tuple[float, tuple[int, ...]]] = {}
        for (promised, (cost, radii)), radius in itertools.product(best.items(), range(-1, _RADIUS_MAX + 1)):
            total, price = min(needed, promised + radius + 1), cost + _cost(count, radius)
            if total not in ways or price < ways[total][0]:
                ways[total] = (price, (*radii, radius))
        best = ways
    return best[needed][1]


@cache
def _cost(set_bits: int, radius: int) -> float:
    """Values asked for and pictures read, if as many bits of a band are alive and unset as are set."""
    live = min(BAND_BITS, 2 * set_bits)
    return sum(
        _ASKED * comb(BAND_BITS, turned) + _PICTURES * comb(live, turned) / 2.0**live for turned in range(radius + 1)
    )


@cache
def _turns(radius: int) -> NDArray[np.int64]:
    """All 32-bit numbers with at most so many bits set."""
    return np.array(
        [
            sum(1 << bit for bit in bits)
            for count in range(radius + 1)
            for bits in itertools.combinations(range(BAND_BITS), count)
        ],
        dtype=np.int64,
    )
