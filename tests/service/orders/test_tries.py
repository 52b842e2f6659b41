"""Tries: a creator's own pictures of an own version, small and marked, for nobody else and for nothing."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image

from service.trying import forget_tries, mend_tries
from tests.service.conftest import Person, browser, sign_in, slug_of
from tests.service.market import Market, open_market, publish_style
from tests.service.test_destruction import destroy

PER_DAY = 4


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path_factory.mktemp("market"), tries_per_day=PER_DAY) as opened:
        yield opened
        opened.curtain.wait_at(None)


async def unpublished(market: Market, creator: Person) -> tuple[str, str]:
    """A style with a version that nobody can order; its id and the version's."""
    style_id = await publish_style(market.gateway, creator, market.adapter)
    async with market.owner() as conn:
        await conn.execute("UPDATE service.styles SET published_version_id = NULL WHERE id = $1", style_id)
        version_id = await conn.fetchval(
            "UPDATE service.versions SET state = 'draft', published_at = NULL WHERE style_id = $1 RETURNING id",
            style_id,
        )
    return style_id, str(version_id)


async def drawn(person: Person, version_id: str, *states: str) -> dict[str, Any]:
    """The newest try once it has come to an end."""
    async with asyncio.timeout(60):
        while True:
            newest: dict[str, Any] = (await person.http.get(f"/v1/versions/{version_id}/tries")).json()["items"][0]
            if newest["state"] in (states or ("drawn",)):
                return newest
            assert newest["state"] == "waiting", newest
            await asyncio.sleep(0.05)


async def wish(person: Person, version_id: str, prompt: str = "a lighthouse", **fields: Any) -> Any:
    return await person.http.post(f"/v1/versions/{version_id}/tries", json={"prompt": prompt, **fields})


async def test_an_unpublished_version_draws_any_prompt_for_its_creator_free_and_marked(market: Market):
    creator = await market.person("creator")
    style_id, version_id = await unpublished(market, creator)

    asked = await wish(creator, version_id, seed=5)
    one = await drawn(creator, version_id)

    assert asked.status_code == 201
    assert (one["prompt"], one["seed"]) == ("a lighthouse", 5)
    picture = Image.open(io.BytesIO((await creator.http.get(one["picture_url"])).content)).convert("RGB")
    plain = market.curtain.requests[-1]
    assert picture.size == (plain.width // 2, plain.height // 2) or picture.size == (16, 16)
    # The band of the mark, in the corner.
    assert picture.getpixel((picture.width - 1, picture.height - 1)) == (255, 255, 255)
    assert plain.adapters[0].trigger is not None
    assert await market.ledger_problems() == []
    async with market.gateway.house() as conn:
        assert await conn.fetchval("SELECT count(*) FROM licensing.hold WHERE creator_id = $1", creator.account.id) == 0
        assert await conn.fetchval("SELECT count(*) FROM service.generations WHERE style_id = $1", style_id) == 0


async def test_nothing_of_the_adapter_stays_with_the_worker(market: Market):
    creator = await market.person("creator")
    _, version_id = await unpublished(market, creator)
    async with market.owner() as conn:
        # A file of its own: that of the market's style is sold.
        await conn.execute("UPDATE service.versions SET adapter_sha256 = adapter_sha256 WHERE id = $1", version_id)
    cache = market.settings.home / "cache" / "adapters"
    await market.switch("off")
    await wish(creator, version_id)
    await drawn(creator, version_id)

    async with asyncio.timeout(10):
        while list(cache.glob("[!.]*")):
            await asyncio.sleep(0.05)
    await market.switch("live")


async def test_the_files_that_a_try_opens_stand_in_the_ledger_of_use_for_it(market: Market):
    creator = await market.person("creator")
    _, version_id = await unpublished(market, creator)
    asked = (await wish(creator, version_id)).json()
    await drawn(creator, version_id)

    uses = (await creator.http.get("/v1/data-use")).json()["items"]

    assert [use["job"] for use in uses if use["purpose"] == "drawing"] in ([asked["id"]], [])
    assert not any(use["refused"] for use in uses)


async def test_only_so_many_are_drawn_in_a_day(market: Market):
    creator = await market.person("creator")
    _, version_id = await unpublished(market, creator)
    for number in range(PER_DAY):
        assert (await wish(creator, version_id, f"a lighthouse, {number}")).status_code == 201

    one_more = await wish(creator, version_id)

    assert slug_of(one_more) == "rate_limited"
    assert f"{PER_DAY} tries a day" in one_more.json()["detail"]
    assert int(one_more.headers["retry-after"]) > 80_000
    await drawn(creator, version_id)


async def test_nobody_else_sees_or_makes_one(market: Market):
    creator, other, client = [await market.person("creator"), await market.person("creator"), await market.client()]
    _, version_id = await unpublished(market, creator)
    await wish(creator, version_id)
    one = await drawn(creator, version_id)

    for person in (other, client):
        assert (await person.http.get(one["picture_url"])).status_code in (403, 404)
        assert (await wish(person, version_id)).status_code in (403, 404)
    assert (await market.stranger.get(one["picture_url"])).status_code == 401


async def test_it_is_deleted_after_its_days_and_with_its_style(market: Market):
    creator = await market.person("creator")
    style_id, version_id = await unpublished(market, creator)
    await wish(creator, version_id)
    first = await drawn(creator, version_id)
    later = market.gateway.clock() + timedelta(days=8)
    assert len([key for key in market.gateway.storage.list_keys("trainings/") if first["id"] in key]) == 1

    await forget_tries(replace(market.gateway, clock=lambda: later))

    assert (await creator.http.get(f"/v1/versions/{version_id}/tries")).json()["items"] == []
    assert [key for key in market.gateway.storage.list_keys("trainings/") if first["id"] in key] == []
    await wish(creator, version_id)
    second = await drawn(creator, version_id)
    await destroy(creator, style_id)
    assert [key for key in market.gateway.storage.list_keys("trainings/") if second["id"] in key] == []
    assert slug_of(await wish(creator, version_id)) in ("style_destroyed", "not_found")


async def test_one_whose_story_was_never_started_is_drawn_after_all(market: Market):
    creator = await market.person("creator")
    style_id, version_id = await unpublished(market, creator)
    ago = market.gateway.clock() - timedelta(minutes=1)
    async with market.owner() as conn:
        await conn.execute(
            "INSERT INTO service.tries (id, creator_id, style_id, version_id, prompt, seed, created_at)"
            " VALUES ('try_crashed', $1, $2, $3, 'a lighthouse', 1, $4)",
            *(creator.account.id, style_id, version_id, ago),
        )

    await mend_tries(market.gateway)

    assert (await drawn(creator, version_id))["id"] == "try_crashed"


async def test_a_version_whose_work_lost_its_right_draws_nothing(market: Market):
    creator = await market.person("creator")
    _, version_id = await unpublished(market, creator)
    async with market.owner() as conn:
        await conn.execute("UPDATE service.versions SET work_ids = '[\"wrk_gone\"]' WHERE id = $1", version_id)

    assert slug_of(await wish(creator, version_id)) == "rights_missing"


async def test_the_page_of_a_version_tries_a_prompt_and_shows_it(market: Market):
    creator = await market.person("creator")
    _, version_id = await unpublished(market, creator)
    session = await sign_in(market, creator.account)
    seat, path = browser(market, session), f"/studio/versions/{version_id}"

    empty = await seat.post(f"{path}/tries", data={"csrf": session.csrf, "prompt": " "})
    sent = await seat.post(f"{path}/tries", data={"csrf": session.csrf, "prompt": "a red boat"})
    one = await drawn(creator, version_id)

    assert empty.status_code == 422
    assert sent.status_code == 303
    page = (await seat.get(path)).text
    assert one["picture_url"] in page
    assert "a red boat" in page
