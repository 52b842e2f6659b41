"""What a check refuses is not delivered and not charged, and says so; near-copies are told by the works' looks."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from inference.engine import Engine
from inference.likeness import look_at, pack_looks
from inference.pictures import open_picture
from service.heartbeats import content_checks
from service.pages.office import content_check_words
from service.versions import Version, sold_version
from tests.inference.checkers import SENTENCE, ToldChecker, objecting, objection
from tests.service.conftest import Person, browser, draw, sign_in
from tests.service.market import PRICE, Market, open_market, prepaid, publish_style, read_events


@dataclass(frozen=True, kw_only=True)
class Checked(Market):
    """A market whose engine has a check that does as it is told."""

    told: ToldChecker

    def stored(self) -> list[str]:
        """Pictures that are somebody's, or might become it."""
        storage = self.gateway.storage
        return [*storage.list_keys("pending/"), *storage.list_keys("outputs/")]


@pytest.fixture(scope="module")
async def opened(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Checked]:
    told = ToldChecker()
    folder = tmp_path_factory.mktemp("checked")
    async with open_market(
        database_url, folder, draws=lambda spec: Engine(spec, max_rows=4, checkers=(told,))
    ) as market:
        yield Checked(**vars(market), told=told)


@pytest.fixture
def market(opened: Checked) -> Iterator[Checked]:
    opened.told.rule = objecting()
    yield opened
    opened.told.rule = objecting()


async def picture_of(client: Person, generation: dict[str, Any]) -> bytes:
    return (await client.http.get(f"/v1/outputs/{generation['outputs'][0]['id']}")).content


async def published(market: Market, style_id: str) -> Version:
    async with market.gateway.pool.acquire() as conn:
        version = await sold_version(conn, style_id=style_id)
    assert version is not None
    return version


async def knows_works(market: Market, style_id: str, *works: bytes) -> Version:
    """The style's version, with the looks of these works beside its adapter."""
    version = await published(market, style_id)
    key = f"trainings/{version.training_id}/1/looks.npy"
    market.gateway.storage.put(key, pack_looks([[look_at(open_picture(work).image)] for work in works]))
    async with market.gateway.pool.acquire() as conn:
        await conn.execute("UPDATE service.versions SET looks_key = $2 WHERE id = $1", version.id, key)
    return version


async def test_a_refused_picture_is_left_out_and_not_charged(market: Checked):
    client = await market.client(cents=500)
    numbers = itertools.count(1)
    market.told.rule = lambda image, stage: objection(stage) if stage == "picture" and next(numbers) == 2 else None
    before = len(market.stored())

    generation = (await market.order(client, count=3)).json()

    assert (generation["state"], generation["amount"]["amount"]) == ("settled", 2 * PRICE)
    assert len(generation["outputs"]) == 2
    (refused,) = generation["refused"]
    assert refused["number"] in (1, 2, 3)
    assert (refused["kind"], refused["message"]) == ("content", SENTENCE)
    assert generation["message"] == f"1 of 3 pictures left out and not charged: {SENTENCE}."
    assert await market.nothing_pending()
    assert len(market.stored()) == before + 2
    assert await prepaid(client) == (500 - 2 * PRICE, 0)
    page = await browser(market, await sign_in(market, client.account)).get(f"/desk/orders/{generation['id']}")
    assert SENTENCE in page.text
    assert await market.ledger_problems() == []


@pytest.mark.parametrize("stage", ["preview", "picture"])
async def test_where_every_picture_is_refused_nothing_is_charged_or_kept(market: Checked, stage: Any):
    client = await market.client(cents=500)
    market.told.rule = objecting("picture", stage)
    before = market.stored()

    generation = (await market.order(client, count=2)).json()
    events = (await client.http.get(f"/v1/generations/{generation['id']}/events")).text

    assert (generation["state"], generation["amount"]["amount"], generation["outputs"]) == ("failed", 0, [])
    assert [(one["number"], one["kind"]) for one in generation["refused"]] == [(1, "content"), (2, "content")]
    assert generation["message"] == "This picture will not do; send another one; nothing was charged."
    assert await market.nothing_pending()
    assert market.stored() == before
    assert await prepaid(client) == (500, 0)
    kind, data = read_events(events)[-1]
    assert (kind, data["message"]) == ("failed", generation["message"])
    assert "data:image" not in events
    assert await market.ledger_problems() == []


async def test_a_picture_to_start_from_that_is_refused_is_named_as_such(market: Checked):
    client = await market.client(cents=500)
    market.told.rule = objecting("image")
    image = (await client.http.post("/v1/images", files={"file": ("mine.png", draw())})).json()["id"]

    generation = (await market.order(client, count=2, image=image, strength=0.5)).json()

    assert generation["state"] == "failed"
    assert [one["kind"] for one in generation["refused"]] == ["image_refused"] * 2
    assert generation["progress"]["step"] == 0
    assert await prepaid(client) == (500, 0)


async def test_a_check_that_breaks_lets_nothing_pass_and_is_not_paid_for(
    market: Checked, caplog: pytest.LogCaptureFixture
):
    def broken(image: object, stage: object) -> None:
        raise RuntimeError("the model fell over")

    client = await market.client(cents=500)
    market.told.rule = broken

    generation = (await market.order(client)).json()

    assert (generation["state"], generation["refused"]) == ("failed", [])
    assert "the check 'told' broke" in generation["message"]
    assert "fell over" not in generation["message"]
    assert "fell over" in caplog.text, "its operator reads why"
    assert await prepaid(client) == (500, 0)


async def test_a_near_copy_of_a_work_goes_to_nobody_and_its_creator_reads_how_often(market: Checked):
    client = await market.client(cents=500)
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    first = (await market.order(client, style=style_id, seed=5)).json()
    version = await knows_works(market, style_id, draw(), await picture_of(client, first))

    copied = (await market.order(client, style=style_id, seed=5)).json()
    other = (await market.order(client, style=style_id, seed=6)).json()
    shown = (await market.creator.http.get(f"/v1/versions/{version.id}")).json()
    studio = browser(market, await sign_in(market, market.creator.account))
    page = (await studio.get(f"/studio/styles/{style_id}/offer")).text

    assert copied["state"] == "failed"
    assert [one["kind"] for one in copied["refused"]] == ["near_copy"]
    assert copied["message"].startswith("The picture came out nearly the same as a work")
    assert other["state"] == "settled"
    receipt = (await client.http.get(f"/v1/outputs/{other['outputs'][0]['id']}/receipt")).json()
    assert receipt["checks"] == ["told", "near_copies"]
    assert shown["near_copies"] == 1
    assert "1 picture came out nearly the same as one of your works. Nobody got it." in page
    assert await prepaid(client) == (500 - 2 * PRICE, 0)


async def test_a_near_copy_among_others_counts_as_well(market: Checked):
    client = await market.client(cents=500)
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    first = (await market.order(client, style=style_id, seed=5)).json()
    version = await knows_works(market, style_id, await picture_of(client, first))

    generation = (await market.order(client, style=style_id, seed=4, count=3)).json()

    assert generation["state"] == "settled"
    assert [(one["number"], one["kind"]) for one in generation["refused"]] == [(2, "near_copy")]
    assert (await published(market, style_id)).near_copies == 1
    assert version.near_copies == 0


async def test_a_version_of_before_says_that_nobody_looks_for_copies(market: Checked):
    version = await published(market, market.style_id)
    studio = browser(market, await sign_in(market, market.creator.account))

    page = (await studio.get(f"/studio/styles/{market.style_id}/offer")).text
    shown = (await market.creator.http.get(f"/v1/versions/{version.id}")).json()

    assert "What is made with version 1 is not compared with your works" in page
    assert shown["near_copies"] is None


async def test_looks_that_cannot_be_read_end_the_order_without_a_charge(market: Checked):
    client = await market.client(cents=500)
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    version = await knows_works(market, style_id, draw())
    market.gateway.storage.put(f"trainings/{version.training_id}/1/looks.npy", b"no looks")

    generation = (await market.order(client, style=style_id)).json()

    assert generation["state"] == "failed"
    assert "nobody can tell near-copies" in generation["message"]
    assert await prepaid(client) == (500, 0)


async def test_the_office_says_plainly_whether_anything_judges_what_pictures_show(market: Checked):
    operator = await market.person("operator")
    office = browser(market, await sign_in(market, operator.account))
    plain = "No content classifier is active: pictures are not judged by what they show."
    web = market.gateway

    before = (await office.get("/office")).text
    async with web.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO service.executors (id, role, host, pid, started_at, seen_at, content_check) VALUES"
            " ('worker-1', 'worker', 'a', 1, now(), now(), 'nudenet'), ('web-1', 'web', 'a', 2, now(), now(), ''),"
            " ('worker-2', 'worker', 'b', 1, now(), now() - interval '1 hour', 'nudenet')"
        )
        after = (await office.get("/office")).text
        counted = await content_checks(conn, now=web.clock(), silence_s=15)
        later = await content_checks(conn, now=web.clock() + timedelta(hours=1), silence_s=15)
        await conn.execute("DELETE FROM service.executors WHERE id IN ('worker-1', 'web-1', 'worker-2')")

    assert plain in before
    assert plain not in after
    assert "nudenet (licence AGPL-3.0-only) judges what pictures show, on 1 of 2 workers." in after
    assert "On the others no content classifier is active" in after
    assert (counted, later) == ({"": 1, "nudenet": 1}, {})


def test_who_judges_is_said_in_words():
    assert content_check_words({}).startswith("No content classifier is active")
    assert content_check_words({"": 3}) == content_check_words({})
    assert content_check_words({"nudenet": 1}) == (
        "nudenet (licence AGPL-3.0-only) judges what pictures show, on 1 of 1 worker."
    )
    assert "elsewhere (licence unknown here)" in content_check_words({"elsewhere": 2})
