"""What a seal costs and what is found of it afterwards: sealing, verdicts on damaged files, false matches, and looking
for a picture among a million by what it looks like, with the index and without."""

import argparse
import asyncio
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from licensing.authority import Authority, open_authority
from licensing.certificates import certify
from licensing.fingerprint import NEAR, fingerprint, is_telling
from licensing.looks import BANDS, nearest
from licensing.migrate import migrate
from licensing.seal import seal
from licensing.verify import verify
from tests.benchmarks.figures import Figure
from tests.licensing.drawings import drawing, encoded
from tests.licensing.papers import CERTIFICATE, CLAIM
from tests.postgres import running_server

EDGE = 1024
SEALED = 100
AT_ONCE = 50_000
SEQUENTIAL = 5
NOW = datetime(2026, 11, 28, tzinfo=UTC)
COLUMNS = [
    *("output_id", "order_id", "position", "client_id", "creator_id", "style_id", "tier", "test", "sha256", "phash"),
    *("certificate", "price", "share", "fee", "currency", "settled_at"),
]
SEQUENTIALLY = """
SELECT output_id, bit_count(phash # ('x' || $1)::bit(256))::integer AS distance FROM licensing.output
WHERE bit_count(phash # ('x' || $1)::bit(256)) <= $2 AND bit_count(phash) > $2 ORDER BY distance, settled_at LIMIT 1
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000, help="pictures in the registry that is searched")
    parser.add_argument("--pictures", type=int, default=200, help="drawings that are sealed, damaged and judged")
    parser.add_argument("--strangers", type=int, default=3000, help="other drawings, compared with each other")
    parser.add_argument("--searches", type=int, default=300, help="of each kind")


def measure(
    *, seed: int, say: Callable[[str], None], rows: int, pictures: int, strangers: int, searches: int
) -> list[Figure]:
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        url = server.url(server.create_database())
        migrate(url)
        authority = open_authority(Path(folder) / "authority")
        say(f"sealing {SEALED} pictures of {EDGE} pixels ...")
        figures = _seal_times(authority)
        say(f"judging {pictures} pictures and {strangers} that were never here ...")
        figures += asyncio.run(_verdicts(url, authority, pictures, strangers))
        say(f"filling a registry with {rows:,} pictures ...")
        figures += asyncio.run(_searches(url, np.random.default_rng(seed), rows, searches, say))
    return figures


def _seal_times(authority: Authority) -> list[Figure]:
    """Of a picture with as much in it as a painting has: a drawing under grain."""
    grain = np.random.default_rng(0).normal(0, 3, (EDGE, EDGE, 3))
    levels = np.asarray(drawing(1, side=EDGE), dtype=float) * 0.9 + grain
    png = encoded(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), "PNG")
    wall, cpu = [], []
    for number in range(SEALED):
        began, began_cpu = time.perf_counter(), time.process_time()
        seal(authority, png, "image/png", replace(CLAIM, output_id=f"out_{number}"))
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - began_cpu))
    return [
        Figure(
            name=f"seal, {EDGE} px PNG of {len(png) / 1e6:.1f} MB, p50",
            value=_p(wall, 50),
            unit="ms",
            goal=6,
            at_most=True,
        ),
        Figure(name="seal, p95", value=_p(wall, 95), unit="ms"),
        Figure(name="seal, processor time, p50", value=_p(cpu, 50), unit="ms"),
    ]


async def _verdicts(url: str, authority: Authority, pictures: int, strangers: int) -> list[Figure]:
    """Every picture as it was sold, with one byte turned, saved again, and pictures that nobody sold."""
    conn = await asyncpg.connect(url)
    sold = [_sold(authority, number) for number in range(pictures)]
    await _fill(conn, [row for _, _, row in sold])
    wall: list[float] = []

    async def judge(content: bytes) -> tuple[str, str | None]:
        began = time.perf_counter()
        verdict = await verify(conn, authority, content, now=NOW)
        wall.append(1000 * (time.perf_counter() - began))
        return verdict.verdict, verdict.output_id

    dice = np.random.default_rng(1)
    counts = {"valid": 0, "altered": 0, "stripped": 0}
    for image, file, row in sold:
        damaged = bytearray(file)
        damaged[int(dice.integers(40, len(file) - 12))] ^= 1 << int(dice.integers(8))
        again = encoded(image, "JPEG", quality=int(dice.integers(60, 95)))
        counts["valid"] += await judge(file) == ("valid", row[0])
        counts["altered"] += (await judge(bytes(damaged)))[0] == "altered"
        counts["stripped"] += await judge(again) == ("marked_but_stripped", row[0])
    unknown = [await judge(encoded(drawing(1_000_000 + n), "PNG")) for n in range(pictures)]
    await conn.close()
    near, nearest = _false_matches([fingerprint(encoded(drawing(n, side=64), "PNG")) for n in range(strangers)])
    return [
        Figure(name="verify, p50", value=_p(wall, 50), unit="ms"),
        Figure(name="verify, p95", value=_p(wall, 95), unit="ms"),
        Figure(name="the file that was sold -> valid", value=counts["valid"] / pictures, unit="share", goal=1),
        Figure(name="one byte turned -> altered", value=counts["altered"] / pictures, unit="share", goal=1),
        Figure(
            name="saved again as JPEG -> stripped, right output",
            value=counts["stripped"] / pictures,
            unit="share",
            goal=1,
        ),
        Figure(
            name=f"never here, {pictures} sold -> unknown",
            value=unknown.count(("unknown", None)) / pictures,
            unit="share",
            goal=1,
        ),
        Figure(name=f"false matches in 10^6 pairs of {strangers} drawings", value=near, unit="pairs"),
        Figure(name="nearest two different drawings", value=nearest, unit="bits", goal=NEAR + 1),
    ]


async def _searches(
    url: str, dice: np.random.Generator, rows: int, searches: int, say: Callable[[str], None]
) -> list[Figure]:
    conn = await asyncpg.connect(url)
    for band in range(BANDS):
        await conn.execute(f"DROP INDEX licensing.output_by_band_{band}")
    samples: list[bytes] = []
    for begin in range(0, rows, AT_ONCE):
        prints = looks(dice, min(AT_ONCE, rows - begin))
        # Pictures of next to one colour are in the registry, too, but are not looked for.
        some = prints[:: max(1, len(prints) * rows // (AT_ONCE * 4 * searches))]
        samples += [bytes(one) for one in some if is_telling(bytes(one).hex())]
        await _fill(conn, [_row(f"out_r{begin + n}", bytes(one)) for n, one in enumerate(prints)])
    began = time.perf_counter()
    for band in range(BANDS):
        await conn.execute(
            f"CREATE INDEX output_by_band_{band} ON licensing.output (licensing.band(phash, {band})) WHERE NOT test"
        )
    built_s = time.perf_counter() - began
    await conn.execute("VACUUM ANALYZE licensing.output")
    size = await conn.fetchval(
        "SELECT sum(pg_relation_size(indexrelid)) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'output_by_band%'"
    )
    say(f"searching, {searches} copies and {searches} strangers ...")
    chosen = dice.permutation(len(samples))[:searches]
    copies = [_turned(dice, samples[n]) for n in chosen]
    strangers = [bytes(one) for one in looks(dice, searches)]
    figures = [
        Figure(name=f"indexes over {rows:,} pictures", value=float(size) / 1e6, unit="MB"),
        Figure(name="indexes built in", value=built_s, unit="s"),
    ]
    missed = 0
    drawn = [bytes.fromhex(fingerprint(encoded(drawing(2_000_000 + n, side=128), "PNG"))) for n in range(searches)]
    for name, asked in (("copy", copies), ("stranger", strangers), ("drawing", drawn)):
        wall, found = await _search(conn, [one.hex() for one in asked if is_telling(one.hex())])
        if name == "copy":
            missed = found.count(None)
        figures += [
            Figure(name=f"look-up of a {name}, p50", value=_p(wall, 50), unit="ms"),
            Figure(name=f"look-up of a {name}, p95", value=_p(wall, 95), unit="ms"),
            Figure(name=f"look-up of a {name}, longest", value=max(wall), unit="ms"),
        ]
    figures.append(Figure(name="copies not found", value=missed, unit="copies", goal=0, at_most=True))
    figures += await _sequentially(conn, [one.hex() for one in (*copies[:SEQUENTIAL], *strangers[:SEQUENTIAL])])
    await conn.close()
    return figures


async def _search(conn: asyncpg.Connection, prints: Sequence[str]) -> tuple[list[float], list[int | None]]:
    """Milliseconds of each search, with what it takes to know what to ask for; and the distances found."""
    wall, found = [], []
    for one in prints:
        began = time.perf_counter()
        likeness = await nearest(conn, one)
        wall.append(1000 * (time.perf_counter() - began))
        found.append(likeness.distance if likeness else None)
    return wall, found


async def _sequentially(conn: asyncpg.Connection, prints: Sequence[str]) -> list[Figure]:
    """The same without the index, and whether it says the same."""
    wall, same = [], 0
    for one in prints:
        began = time.perf_counter()
        row = await conn.fetchrow(SEQUENTIALLY, one, NEAR)
        wall.append(1000 * (time.perf_counter() - began))
        _, (found,) = await _search(conn, [one])
        same += found == (row["distance"] if row else None)
    return [
        Figure(name="reading every picture instead, p50", value=_p(wall, 50), unit="ms"),
        Figure(name="the index finds the same", value=same / len(prints), unit="share", goal=1),
    ]


def looks(dice: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Fingerprints as pictures have them, (count, 32): frequencies that fall off, more slowly or faster, and in a
    quarter of the pictures those missing that mirror-symmetric things do not have."""
    down, along = np.mgrid[:16, :16]
    fall = dice.uniform(0.8, 2.4, (count, 1, 1))
    strengths = dice.normal(size=(count, 16, 16)) * np.hypot(np.maximum(down, 0.5), along) ** -fall
    strengths[dice.random(count) < 0.15, :, 1::2] = 0
    strengths[dice.random(count) < 0.1, 1::2, :] = 0
    flat = strengths.reshape(count, 256)
    flat[:, 0] = 0
    above = flat > 0.05 * np.sqrt(np.mean(flat[:, 1:] ** 2, axis=1, keepdims=True))
    return np.packbits(above, axis=1)


def _turned(dice: np.random.Generator, print_: bytes) -> bytes:
    """What saving again does to a fingerprint, and at times all that counts as the same."""
    bits = np.unpackbits(np.frombuffer(print_, dtype=np.uint8))
    bits[dice.permutation(256)[: dice.integers(0, NEAR + 1)]] ^= 1
    return np.packbits(bits).tobytes()


def _false_matches(prints: Sequence[str]) -> tuple[float, int]:
    """Pairs within NEAR bits in a million pairs of different pictures, and the distance of the nearest pair."""
    words = np.array([np.frombuffer(bytes.fromhex(one), dtype=np.uint64) for one in prints])
    apart = [np.bitwise_count(words[n + 1 :] ^ words[n]).sum(axis=1) for n in range(len(words) - 1)]
    distances = np.concatenate(apart)
    return 1e6 * float((distances <= NEAR).mean()), int(distances.min())


def _sold(authority: Authority, number: int) -> tuple[Image.Image, bytes, tuple]:
    output_id, image = f"out_s{number}", drawing(500_000 + number)
    file = seal(authority, encoded(image, "PNG"), "image/png", replace(CLAIM, output_id=output_id))
    phash, sha256 = fingerprint(file), hashlib.sha256(file).hexdigest()
    paper = certify(authority, replace(CERTIFICATE, output_id=output_id, output_sha256=sha256, phash=phash))
    return image, file, _row(output_id, bytes.fromhex(phash), sha256=sha256, certificate=paper)


def _row(output_id: str, print_: bytes, *, sha256: str | None = None, certificate: str | None = None) -> tuple:
    """A row as wide as real ones: a certificate has about 1,400 characters."""
    return (
        *(output_id, output_id, 1, "acc_client", "acc_creator", "sty_one", "personal", False),
        sha256 or hashlib.sha256(output_id.encode()).hexdigest(),
        asyncpg.BitString.frombytes(print_),
        certificate or f"{output_id:14}" * 100,
        *(60, 48, 12, "EUR", NOW),
    )


async def _fill(conn: asyncpg.Connection, rows: Sequence[tuple]) -> None:
    """Outputs without the orders they belong to."""
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.copy_records_to_table("output", schema_name="licensing", columns=COLUMNS, records=rows)


def _p(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
