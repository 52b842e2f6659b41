"""Own works as starting points: offered by their creator, seen small, drawn from, and gone at once when taken back."""

import asyncio
import io
import re
import uuid
from typing import Any

import pytest
from PIL import Image

from inference.checkers.near_copies import near_copies_of
from inference.likeness import look_at, pack_looks, unpack_looks
from inference.messages import AdapterRef
from inference.pictures import open_picture
from service import generation
from service.data_use import Use, read_file
from service.errors import FileRefused
from service.heartbeats import this_process
from service.orders import START_GONE
from service.starting_points import LEAST_SHARE, compared_with, find_start
from service.who import PLACE
from service.works import thumbnail_key
from tests.service.conftest import Person, browser, draw, sign_in, slug_of, upload
from tests.service.market import Market, prepaid, publish_style, state_of
from tests.service.test_consents import say
from tests.service.test_destruction import destroy


async def add_work(market: Market, *, style_id: str | None = None, rights: str = "mine") -> tuple[str, bytes]:
    """A new work of the market's creator; its id and its file."""
    content = draw(size=600)
    added = await upload(market.creator, style_id or market.style_id, ("a.png", content), rights=rights)
    assert added.status_code == 201, added.text
    return added.json()["items"][0]["work"]["id"], content


async def offer(market: Market, work_id: str, *, is_offered: bool = True) -> Any:
    return await market.creator.http.patch(f"/v1/works/{work_id}", json={"start": is_offered})


async def offered(market: Market, **fields: Any) -> tuple[str, bytes]:
    work_id, content = await add_work(market, **fields)
    answer = await offer(market, work_id)
    assert answer.json()["start"] is True, answer.text
    return work_id, content


async def starts(market: Market, client: Person, style_id: str | None = None) -> list[str]:
    found = await client.http.get(f"/v1/styles/{style_id or market.style_id}/starting-points")
    assert found.status_code == 200, found.text
    return [one["id"] for one in found.json()["items"]]


async def begun(market: Market, client: Person, work_id: str, **body: Any) -> str:
    """An order from a work that a worker draws and does not finish; its id."""
    market.curtain.wait_at(1)
    order = await market.order(client, wait=0, start=work_id, **body)
    assert order.status_code == 201, order.text
    assert await asyncio.to_thread(market.curtain.reached, 1)
    return str(order.json()["id"])


async def test_a_client_sees_an_offered_work_small_and_orders_a_variation_that_a_worker_draws_from_it(market: Market):
    client = await market.client()
    work_id, content = await offered(market)

    listed = (await client.http.get(f"/v1/styles/{market.style_id}/starting-points")).json()["items"]
    one = next(one for one in listed if one["id"] == work_id)
    small = await client.http.get(one["picture_url"])
    order = (await market.order(client, start=work_id, strength=0.7)).json()

    assert (one["width"], one["height"]) == (600, 600)
    assert not {"filename", "captions", "sha256", "file_url"} & one.keys()
    assert small.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(small.content)).size) == 384
    assert (await client.http.get(f"/v1/works/{work_id}/file")).status_code == 403
    assert order["state"] == "settled", order
    assert (order["start"], order["image"]) == (work_id, None)
    asked = market.curtain.requests[-1]
    assert (asked.image, asked.strength) == (content, 0.7)
    uses = (await market.creator.http.get("/v1/data-use")).json()["items"]
    drawn = next(use for use in uses if use["purpose"] == "variation")
    assert (drawn["job"], drawn["num_files"]) == (order["id"], 1)
    shown = next(use for use in uses if use["purpose"] == "showing")
    assert client.account.id not in str(shown)
    assert not any(use["refused"] for use in uses)


async def test_what_it_starts_from_is_always_among_what_the_pictures_are_compared_with(market: Market):
    client = await market.client()
    work_id, content = await offered(market)
    await market.order(client, start=work_id)

    (check,) = near_copies_of(market.curtain.requests[-1].adapters)

    objection = check.check(open_picture(content).image, "picture")
    assert objection is not None
    assert objection.kind == "near_copy"
    assert check.check(open_picture(draw(size=600)).image, "picture") is None


def test_a_work_that_was_learnt_from_is_compared_with_once(tmp_path: Any):
    works = [draw(size=200) for _ in range(6)]
    looks = [look_at(open_picture(one).image) for one in works]
    learnt = AdapterRef(path=tmp_path, sha256="", works=pack_looks([(look,) for look in looks[:5]]))

    same, more = compared_with(learnt, works[0]), compared_with(learnt, works[5])

    assert same.works == learnt.works
    assert more.works is not None
    assert len(unpack_looks(more.works)) == 6


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"strength": 0.3}, "0.3"),
        # Half of one step is none, and the work itself would come out.
        ({"steps": 1, "strength": 0.9}, "0 of 1"),
        ({"steps": 3, "strength": 0.65}, "1 of 3"),
    ],
)
async def test_a_strength_that_would_keep_the_work_is_refused_with_the_least_one(
    market: Market, fields: dict[str, Any], words: str
):
    client = await market.client()
    work_id, _ = await offered(market)
    body = {"style": market.style_id, "prompt": "an apple", "start": work_id, **fields}

    quoted = await client.http.post("/v1/quotes", json=body)
    ordered = await market.order(client, start=work_id, **fields)

    assert slug_of(quoted) == slug_of(ordered) == "invalid_request"
    assert words in ordered.json()["detail"]
    assert f"{LEAST_SHARE:g} to 1" in ordered.json()["detail"]
    assert (await client.http.post("/v1/quotes", json=body | {"steps": 6, "strength": LEAST_SHARE})).status_code == 200
    assert await prepaid(client) == (10_000, 0)


async def test_no_part_of_a_work_can_be_kept_and_one_picture_is_enough_to_start_from(market: Market):
    client = await market.client()
    work_id, _ = await offered(market)
    image = (await client.http.post("/v1/images", files={"file": ("a.png", draw(), "image/png")})).json()["id"]

    masked = await market.order(client, start=work_id, mask=image)
    both = await market.order(client, start=work_id, image=image)

    assert (slug_of(masked), slug_of(both)) == ("invalid_request", "invalid_request")
    assert "leave the mask out" in masked.json()["detail"]


async def test_nothing_is_offered_by_itself_and_only_what_is_the_creators_own(market: Market):
    client = await market.client()
    mine, _ = await add_work(market)
    refused = []
    for rights in ("unsure", "licensed", "client_consented"):
        work_id, _ = await add_work(market, rights=rights)
        refused.append(slug_of(await offer(market, work_id)))

    assert refused == ["conflict"] * 3
    assert mine not in await starts(market, client)
    assert slug_of(await market.order(client, start=mine)) == "not_found"
    assert (await client.http.get(f"/v1/styles/{market.style_id}/starting-points/{mine}")).status_code == 404


async def test_a_consent_covers_it_only_where_that_was_asked_and_until_it_is_taken_back(market: Market):
    client = await market.client()
    plain, _ = await add_work(market, rights="unsure")
    covered, _ = await add_work(market, rights="unsure")
    links = []
    for work_id, also in ((plain, False), (covered, True)):
        asked = {"asked": "Café Nord", "works": [work_id], "starts": also}
        made = await market.creator.http.post(f"/v1/styles/{market.style_id}/consents", json=asked)
        assert ("order a new picture that starts from it" in made.json()["words"]) is also
        assert ("no client sees them" in made.json()["words"]) is not also
        links.append(made.json()["url"])
        await say(market, links[-1], "yes")

    # What was said to be seen by nobody is not shown by calling it one's own either.
    assert slug_of(await offer(market, plain)) == "conflict"
    await market.creator.http.patch(f"/v1/works/{plain}", json={"rights": "mine"})
    assert slug_of(await offer(market, plain)) == "conflict"
    assert (await offer(market, covered)).status_code == 200
    assert covered in await starts(market, client)
    order_id = await begun(market, client, covered)
    await say(market, links[1], "withdraw")
    assert covered not in await starts(market, client)
    market.curtain.wait_at(None)
    assert (await state_of(client, order_id, wanted="withdrawn"))["message"] == START_GONE


@pytest.mark.parametrize("act", ["off", "deleted", "other rights"])
async def test_taking_it_back_takes_it_away_and_ends_what_started_from_it_without_a_charge(market: Market, act: str):
    client = await market.client()
    work_id, _ = await offered(market)
    order_id = await begun(market, client, work_id)

    http = market.creator.http
    if act == "off":
        await offer(market, work_id, is_offered=False)
    elif act == "deleted":
        await http.delete(f"/v1/works/{work_id}")
    else:
        await http.patch(f"/v1/works/{work_id}", json={"rights": "licensed"})
    # Ended before the call has answered; whoever draws it learns of it later.
    ended = (await client.http.get(f"/v1/generations/{order_id}")).json()
    market.curtain.wait_at(None)

    assert (ended["state"], ended["message"]) == ("withdrawn", START_GONE)
    assert await prepaid(client) == (10_000, 0)
    assert work_id not in await starts(market, client)
    assert slug_of(await market.order(client, start=work_id)) == "not_found"
    assert await market.nothing_pending()
    if act == "other rights":
        # Not by itself again: its creator has to offer it anew.
        await http.patch(f"/v1/works/{work_id}", json={"rights": "mine"})
        assert work_id not in await starts(market, client)


async def test_what_takes_it_away_without_a_call_ends_orders_by_the_sweep(market: Market):
    client = await market.client()
    work_id, _ = await offered(market)
    order_id = await begun(market, client, work_id)

    async with market.owner() as conn:
        await conn.execute("UPDATE service.works SET rights = 'unsure' WHERE id = $1", work_id)
    ended = await state_of(client, order_id, wanted="withdrawn", within_s=10)
    market.curtain.wait_at(None)

    assert ended["message"] == START_GONE


async def test_nothing_is_sealed_whose_starting_point_is_gone(market: Market, monkeypatch: pytest.MonkeyPatch):
    client = await market.client()
    work_id, _ = await offered(market)
    mark_sealing = generation.mark_sealing

    async def after_it_is_gone(*args: Any, **kwargs: Any) -> bool:
        async with market.owner() as conn:
            await conn.execute("UPDATE service.works SET offered_at = NULL WHERE id = $1", work_id)
        return await mark_sealing(*args, **kwargs)

    monkeypatch.setattr(generation, "mark_sealing", after_it_is_gone)
    order = (await market.order(client, start=work_id)).json()

    assert (order["state"], order["message"], order["outputs"]) == ("withdrawn", START_GONE, [])
    assert await prepaid(client) == (10_000, 0)


async def test_a_worker_opens_the_work_that_the_order_names_and_no_other(market: Market):
    client = await market.client()
    work_id, _ = await offered(market)
    other_id, _ = await offered(market)
    order = (await market.order(client, start=work_id)).json()
    use = Use(purpose="variation", by=this_process(), job=order["id"])
    async with market.gateway.house() as conn:
        other = await find_start(conn, other_id)
    assert other is not None

    with pytest.raises(FileRefused):
        await read_file(market.gateway, use, other.storage_key)

    (told,) = [one for one in (await market.creator.http.get("/v1/data-use")).json()["items"] if one["refused"]]
    assert (told["purpose"], told["job"]) == ("variation", order["id"])


async def test_nothing_is_shown_but_small_pictures_of_what_is_offered(market: Market):
    creator = await market.person("creator")
    style_id = await publish_style(market.gateway, creator, market.adapter)
    added = await upload(creator, style_id, ("a.png", draw()), ("b.png", draw()), rights="mine")
    shown, hidden = [one["work"] for one in added.json()["items"]]
    await creator.http.patch(f"/v1/works/{shown['id']}", json={"start": True})
    use = Use(purpose="showing", by=PLACE, style_id=style_id)
    keys = {work["id"]: f"works/{style_id}/{work['id']}.png" for work in (shown, hidden)}

    small = await read_file(market.gateway, use, thumbnail_key(keys[shown["id"]]))
    for key in (keys[shown["id"]], keys[hidden["id"]], thumbnail_key(keys[hidden["id"]])):
        with pytest.raises(FileRefused):
            await read_file(market.gateway, use, key)

    assert Image.open(io.BytesIO(small)).format == "JPEG"


async def test_a_work_of_another_style_is_no_starting_point_and_those_of_a_destroyed_one_are_gone(market: Market):
    client = await market.client()
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    work_id, _ = await offered(market, style_id=style_id)
    assert await starts(market, client, style_id) == [work_id]

    elsewhere = await market.order(client, start=work_id)
    await destroy(market.creator, style_id)
    gone = await client.http.get(f"/v1/styles/{style_id}/starting-points")

    assert slug_of(elsewhere) == "not_found"
    assert gone.status_code in (404, 410)
    assert (await client.http.get(f"/v1/styles/{style_id}/starting-points/{work_id}")).status_code in (404, 410)


async def test_the_record_tells_that_a_work_was_offered_and_taken_back(market: Market):
    work_id, _ = await offered(market)
    await offer(market, work_id)
    await offer(market, work_id, is_offered=False)

    told = (await market.creator.http.get("/v1/audit", params={"style": market.style_id})).json()["items"]

    of_it = [one["what"] for one in told if one["subject"] == work_id]
    assert of_it[:2] == ["start_taken_back", "start_offered"]
    assert of_it.count("start_offered") == 1


async def test_the_pages_offer_it_show_it_to_clients_alone_and_start_from_it_with_one_press(market: Market):
    client = await market.client()
    work_id, _ = await add_work(market)
    makers, clients = await sign_in(market, market.creator.account), await sign_in(market, client.account)
    studio, desk = browser(market, makers), browser(market, clients)
    form = {"csrf": makers.csrf, "rights": "mine", "include": "yes", "start": "yes"}
    assert (await studio.post(f"/studio/works/{work_id}", data=form)).status_code == 303
    pressed = f"/desk/make?style={market.style_id}&amp;source={work_id}"
    assert pressed in (await desk.get(f"/styles/{market.style_id}")).text
    assert work_id not in (await market.stranger.get(f"/styles/{market.style_id}")).text

    form = {"csrf": clients.csrf, "prompt": "a blue boat", "tier": "personal", "count": "2", "start": work_id}
    chosen = await desk.post("/desk/make", data=form)
    page = (await desk.get(chosen.headers["location"])).text

    assert "a blue boat" in page
    assert f'name="source" value="{work_id}"' in page
    assert f"/v1/styles/{market.style_id}/starting-points/{work_id}" in page
    assert 'id="part"' not in page
    form = {"csrf": clients.csrf, "style": market.style_id, "prompt": "a blue boat", "count": "1"}
    form |= {"source": work_id, "strength": "0.6", "key": uuid.uuid4().hex, "tier": "personal"}
    shown = await desk.post("/desk/make", data=form | {"only": "yes"})
    agreed = re.search(r'name="agreed" value="([^"]+)"', (await desk.get(shown.headers["location"])).text)
    assert agreed
    ordered = await desk.post("/desk/make", data=form | {"agreed": agreed[1]})
    order_id = ordered.headers["location"].rsplit("/", 1)[-1]
    assert (await state_of(client, order_id, wanted="settled"))["start"] == work_id
