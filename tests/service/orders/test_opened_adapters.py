"""What drawing opens: a file fetched to a worker is a line; an order is drawn with its own version or not at all."""

import hashlib
import itertools
from pathlib import Path
from typing import Any

from inference.likeness import look_at, pack_looks
from inference.pictures import open_picture
from service.drawing import studio
from service.versions import sold_version
from tests.service.conftest import Person, draw
from tests.service.market import Market, prepaid, publish_style, write_style_adapter

_SEEDS = itertools.count(500)


async def another_style(market: Market, creator: Person, folder: Path) -> tuple[str, str]:
    """A published style of a creator with an adapter of its own: the style's id and the adapter's hash."""
    adapter = write_style_adapter(market.settings.configs, folder / "style.safetensors", seed=next(_SEEDS))
    return await publish_style(market.gateway, creator, adapter), hashlib.sha256(adapter).hexdigest()


async def uses_of(person: Person, style_id: str) -> list[dict[str, Any]]:
    return list((await person.http.get("/v1/data-use", params={"style": style_id})).json()["items"])


async def test_many_pictures_of_a_style_are_one_line_for_as_long_as_its_file_lies_there(market: Market, tmp_path: Path):
    client = await market.client()
    style_id, sha256 = await another_style(market, market.creator, tmp_path)

    orders = [(await market.order(client, style=style_id, seed=seed)).json() for seed in range(3)]

    assert {order["state"] for order in orders} == {"settled"}
    (line,) = await uses_of(market.creator, style_id)
    assert (line["purpose"], line["who"]["role"]) == ("drawing", "place")
    assert line["job"] in {orders[0]["id"], orders[0]["version"]}, "for the order, or ahead of it"
    (file,) = (await market.creator.http.get(line["url"])).json()["files"]
    assert file["sha256"] == sha256


async def test_what_works_look_like_is_read_with_every_picture_and_told_once_a_day(market: Market, tmp_path: Path):
    client = await market.client()
    style_id, _ = await another_style(market, market.creator, tmp_path)
    async with market.gateway.pool.acquire() as conn:
        training_id = await conn.fetchval("SELECT training_id FROM service.versions WHERE style_id = $1", style_id)
        key = f"trainings/{training_id}/1/looks.npy"
        await conn.execute("UPDATE service.versions SET looks_key = $2 WHERE style_id = $1", style_id, key)
    market.gateway.storage.put(key, pack_looks([[look_at(open_picture(draw()).image)]]))

    orders = [(await market.order(client, style=style_id, seed=seed)).json() for seed in range(3)]

    assert {order["state"] for order in orders} == {"settled"}
    lines = await uses_of(market.creator, style_id)
    assert sorted(one["purpose"] for one in lines) == ["checking", "drawing"]


async def test_an_order_that_is_handed_anothers_adapter_is_refused_though_it_lies_on_the_disk(
    market: Market, tmp_path: Path
):
    client, other = await market.client(cents=1_000), await market.person("creator")
    theirs, sha256 = await another_style(market, other, tmp_path)
    mine, _ = await another_style(market, market.creator, tmp_path)
    await market.order(client, style=theirs)
    assert sha256 in {path.stem for path in (market.settings.home / "cache" / "adapters").iterdir()}
    before, drawn = await prepaid(client), len(market.curtain.requests)
    async with market.gateway.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.versions SET adapter_key = v.adapter_key, adapter_sha256 = v.adapter_sha256"
            " FROM service.versions v WHERE service.versions.style_id = $1 AND v.style_id = $2",
            *(mine, theirs),
        )

    order = (await market.order(client, style=mine)).json()

    assert order["state"] == "failed"
    assert "nothing was charged" in order["message"]
    assert await prepaid(client) == before
    assert len(market.curtain.requests) == drawn
    refused, _ = await uses_of(other, theirs)
    assert (refused["purpose"], refused["job"], refused["num_files"]) == ("drawing", order["id"], 1)
    assert "no version of this style" in refused["refused"]
    assert await uses_of(market.creator, mine) == []
    studio().forget(sha256)


async def test_a_file_that_is_brought_ahead_of_orders_is_a_line_for_the_version(market: Market, tmp_path: Path):
    style_id, _ = await another_style(market, market.creator, tmp_path)
    async with market.gateway.pool.acquire() as conn:
        version = await sold_version(conn, style_id=style_id)
    assert version is not None

    await studio().prefetch(version)

    (line,) = await uses_of(market.creator, style_id)
    assert (line["purpose"], line["job"]) == ("drawing", version.id)
