"""Adapters on the worker that draws: at hand before they are needed, and gone when they are switched off."""

import asyncio
import hashlib
import io
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image

from service import prefetch, purging, sweep
from service.drawing import studio
from service.prefetch import tell_wanted
from tests.service.conftest import Person
from tests.service.market import Market, flat_file, prepaid, publish_style, write_style_adapter

_SEEDS = itertools.count(100)


async def another_style(market: Market, folder: Path, *, with_flat: bool = False) -> tuple[str, str]:
    """A published style with an adapter of its own: the style's id and the adapter's hash."""
    adapter = write_style_adapter(market.settings.configs, folder / "style.safetensors", seed=next(_SEEDS))
    flat = flat_file(market.settings.configs, adapter) if with_flat else None
    style_id = await publish_style(market.gateway, market.creator, adapter, flat=flat)
    return style_id, hashlib.sha256(adapter).hexdigest()


def on_disk(market: Market, adapter_sha256: str) -> list[str]:
    """The endings of the files that lie there."""
    return [path.suffix for path in (market.settings.home / "cache" / "adapters").glob(f"{adapter_sha256}.*")]


async def until(is_so: Callable[[], bool], *, within_s: float = 20) -> bool:
    deadline = asyncio.get_running_loop().time() + within_s
    while not is_so() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    return is_so()


async def drawn(market: Market, client: Person, style_id: str, **body: object) -> bytes:
    """The bytes of a picture as it was drawn, from a paid order."""
    generation = (await market.order(client, style=style_id, **body)).json()
    assert generation["state"] == "settled", generation
    return (await client.http.get(f"/v1/outputs/{generation['outputs'][0]['id']}")).content


async def version_of(market: Market, style_id: str) -> str:
    async with market.gateway.pool.acquire() as conn:
        version_id: str = await conn.fetchval("SELECT id FROM service.versions WHERE style_id = $1", style_id)
    return version_id


async def test_a_version_with_a_flat_file_is_drawn_from_it_and_looks_the_same(market: Market, tmp_path: Path):
    client = await market.client()
    adapter = write_style_adapter(market.settings.configs, tmp_path / "style.safetensors", seed=next(_SEEDS))
    flat = await publish_style(
        market.gateway, market.creator, adapter, flat=flat_file(market.settings.configs, adapter)
    )
    pictures = []

    for style_id in (flat, await publish_style(market.gateway, market.creator, adapter)):
        pictures.append(await drawn(market, client, style_id, seed=5))
        studio().forget(hashlib.sha256(adapter).hexdigest())

    refs = [request.adapters[0] for request in market.curtain.requests[-2:]]
    assert [ref.flat_sha256 is not None for ref in refs] == [True, False]
    assert refs[0].sha256 == refs[1].sha256
    assert len({pixels_of(picture) for picture in pictures}) == 1


def pixels_of(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        return picture.convert("RGB").tobytes()


@pytest.mark.parametrize("level", ["off", "destroyed"])
async def test_off_leaves_nothing_on_the_workers_disk_and_in_its_memory(market: Market, tmp_path: Path, level: str):
    client = await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    await drawn(market, client, style_id)
    engine = studio().engines["tiny"]
    before = engine.adapter_tiers()["host"].num_bytes
    assert on_disk(market, sha256) == [".safetensors"]

    await market.switch(level, style_id)

    assert await until(lambda: not on_disk(market, sha256))
    assert await until(lambda: engine.adapter_tiers()["host"].num_bytes < before)


async def test_off_for_everything_a_creator_has_leaves_nothing_of_any_style(market: Market, tmp_path: Path):
    client = await market.client()
    styles = [await another_style(market, tmp_path) for _ in range(2)]
    for style_id, _ in styles:
        await drawn(market, client, style_id)

    await market.creator.http.put("/v1/switch", json={"level": "off"})

    assert await until(lambda: not any(on_disk(market, sha256) for _, sha256 in styles))
    await market.creator.http.put("/v1/switch", json={"level": "live"})


@pytest.mark.parametrize("level", ["closed", "paused", "wind_down"])
async def test_what_may_be_drawn_again_stays(market: Market, tmp_path: Path, level: str):
    client = await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    await drawn(market, client, style_id)

    await market.switch(level, style_id)
    await asyncio.sleep(0.3)
    await purging.purge(market.gateway, studio())

    assert on_disk(market, sha256)


async def test_a_style_that_is_off_for_one_client_stays_for_the_others(market: Market, tmp_path: Path):
    client, other = await market.client(), await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    await drawn(market, client, style_id)

    await market.creator.http.put(f"/v1/styles/{style_id}/clients/{client.account.id}/switch", json={"level": "off"})
    await asyncio.sleep(0.3)

    assert on_disk(market, sha256)
    assert await drawn(market, other, style_id)


async def test_a_wind_down_that_ends_leaves_nothing(market: Market, tmp_path: Path):
    client = await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    await drawn(market, client, style_id)
    await market.switch("wind_down", style_id)
    async with market.owner() as conn:
        await conn.execute(
            "UPDATE licensing.switch SET ends_at = $2 WHERE style_id = $1",
            *(style_id, market.gateway.clock() - timedelta(seconds=1)),
        )

    await sweep.end_periods(market.gateway)

    assert await until(lambda: not on_disk(market, sha256))


async def test_what_went_off_without_a_notice_is_purged_within_the_minute(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    client = await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    await drawn(market, client, style_id)
    monkeypatch.setattr(studio().watch, "_on_switch", lambda _: None)
    await market.switch("off", style_id)
    await asyncio.sleep(0.2)
    assert on_disk(market, sha256)

    await purging.purge(market.gateway, studio())

    assert not on_disk(market, sha256)


async def test_a_style_that_is_switched_on_again_is_drawn_again(market: Market, tmp_path: Path):
    client = await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    before = await drawn(market, client, style_id, seed=9)
    await market.switch("off", style_id)
    assert await until(lambda: not on_disk(market, sha256))

    await market.switch("live", style_id)

    assert pixels_of(await drawn(market, client, style_id, seed=9)) == pixels_of(before)


async def test_a_damaged_file_on_the_workers_disk_costs_no_order(market: Market, tmp_path: Path):
    client = await market.client(cents=500)
    style_id, sha256 = await another_style(market, tmp_path, with_flat=True)
    path = market.settings.home / "cache" / "adapters" / f"{sha256}.flat"
    path.write_bytes(b"not what it was")

    await drawn(market, client, style_id)

    assert on_disk(market, sha256) == [".safetensors"]
    assert await prepaid(client) == (440, 0)


async def test_who_asks_for_a_price_has_the_style_brought(market: Market, tmp_path: Path):
    client = await market.client()
    await drawn(market, client, market.style_id)
    style_id, sha256 = await another_style(market, tmp_path, with_flat=True)
    engine = studio().engines["tiny"]
    before = engine.adapter_tiers()["host"].misses

    quoted = await client.http.post("/v1/quotes", json={"style": style_id, "prompt": "an apple"})

    assert quoted.status_code == 200, quoted.text
    assert await until(lambda: on_disk(market, sha256) == [".flat"])
    assert await until(lambda: engine.adapter_tiers()["host"].misses == before + 1)
    await drawn(market, client, style_id)
    assert engine.adapter_tiers()["host"].misses == before + 1, "it was at hand"


async def test_an_accepted_order_has_its_style_brought_while_it_waits(market: Market, tmp_path: Path):
    client = await market.client()
    style_id, sha256 = await another_style(market, tmp_path)
    market.curtain.wait_at(1)
    for _ in range(market.settings.max_rows):
        await market.order(client, wait=0, tier="draft")
    assert await asyncio.to_thread(market.curtain.reached, 1)

    order_id = (await market.order(client, wait=0, style=style_id)).json()["id"]

    assert await until(lambda: bool(on_disk(market, sha256)))
    assert (await client.http.get(f"/v1/generations/{order_id}")).json()["state"] == "queued"
    market.curtain.wait_at(None)


async def test_nothing_is_brought_of_a_style_that_is_off_and_nothing_for_a_test_key(market: Market, tmp_path: Path):
    tester = await market.client(cents=0, kind="test")
    (off, off_sha256), (live, live_sha256) = [await another_style(market, tmp_path) for _ in range(2)]
    await market.switch("off", off)

    tell_wanted(market.gateway, await version_of(market, off))
    tell_wanted(market.gateway, "ver_nobody")
    await tester.http.post("/v1/quotes", json={"style": live, "prompt": "an apple"})
    await market.order(tester, style=live)
    later, later_sha256 = await another_style(market, tmp_path)
    tell_wanted(market.gateway, await version_of(market, later))

    assert await until(lambda: bool(on_disk(market, later_sha256)))
    assert not on_disk(market, off_sha256)
    assert not on_disk(market, live_sha256)


async def test_a_version_is_told_of_once_in_a_while_however_often_it_is_asked_for(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[str] = []

    async def hear(_: object, version_id: str) -> None:
        told.append(version_id)

    monkeypatch.setattr(prefetch, "_notify", hear)
    client = await market.client()
    style_id, _ = await another_style(market, tmp_path)

    for _ in range(10):
        await client.http.post("/v1/quotes", json={"style": style_id, "prompt": "an apple"})

    assert told == [await version_of(market, style_id)]


async def test_what_cannot_be_brought_ahead_is_brought_at_its_turn(market: Market, tmp_path: Path):
    client = await market.client()
    broken, _ = await another_style(market, tmp_path)
    async with market.gateway.pool.acquire() as conn:
        key: str = await conn.fetchval("SELECT adapter_key FROM service.versions WHERE style_id = $1", broken)
    content = market.gateway.storage.unlocked.get(key)
    market.gateway.storage.delete(key)
    tell_wanted(market.gateway, await version_of(market, broken))
    style_id, sha256 = await another_style(market, tmp_path)
    tell_wanted(market.gateway, await version_of(market, style_id))

    assert await until(lambda: bool(on_disk(market, sha256))), "the next one is brought all the same"
    market.gateway.storage.put(key, content)
    assert await drawn(market, client, broken)
