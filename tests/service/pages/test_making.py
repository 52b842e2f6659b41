"""The page on which pictures are made: parts that are redone, and what was typed stays."""

import io
import re

import httpx
import numpy as np
from PIL import Image

from tests.service.conftest import Person, draw
from tests.service.market import Market, state_of
from tests.service.pages.conftest import Seat, Sit

HTML = {"Accept": "text/html"}


def field(page: str, name: str) -> str:
    """What a field of the form holds."""
    found = re.search(rf'name="{name}"[^>]*?value="([^"]*)"', page)
    assert found, name
    return found[1]


async def fill(seat: Seat, market: Market, *, files: dict[str, bytes] | None = None, **fields: str) -> httpx.Response:
    """Send the form as it would order."""
    form = await seat.http.get(f"/desk/make?style={market.style_id}", headers=HTML)
    typed = {name: field(form.text, name) for name in ("key", "agreed")} | {
        **{"csrf": seat.csrf, "style": market.style_id, "prompt": "a boat", "tier": "personal", "count": "1"},
        **{"strength": "0.6", "seed": "5"},
        **fields,
    }
    sent = {name: (f"{name}.png", content, "image/png") for name, content in (files or {}).items()}
    return await seat.http.post("/desk/make", data=typed, files=sent or None, headers=HTML)


async def picture(client: Person, output_id: str) -> np.ndarray:
    content = (await client.http.get(f"/v1/outputs/{output_id}")).content
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int64)


async def test_a_rectangle_in_numbers_is_made_anew_and_all_around_it_stays(market: Market, sit: Sit):
    client = await market.client()
    seat = await sit(client)
    source = (await market.order(client)).json()["outputs"][0]["id"]

    answer = await fill(seat, market, source=source, left="0", top="0", width="50", height="100", strength="1")

    assert answer.status_code == 303, answer.text
    order = await state_of(client, answer.headers["location"].rsplit("/", 1)[-1], wanted="settled")
    assert order["mask"] is not None
    before, after = await picture(client, source), await picture(client, order["outputs"][0]["id"])
    middle = before.shape[1] // 2
    assert np.abs(before - after)[:, middle + 1 :].max() <= 2
    assert np.abs(before - after)[:, : middle - 1].mean() > 2


async def test_a_mask_as_a_file_is_the_orders_mask(market: Market, sit: Sit):
    client = await market.client()
    seat = await sit(client)

    answer = await fill(seat, market, files={"picture": draw(), "painted": draw()})

    assert answer.status_code == 303, answer.text
    order = (await client.http.get(f"/v1/generations/{answer.headers['location'].rsplit('/', 1)[-1]}")).json()
    assert (order["image"] is None, order["mask"] is None) == (False, False)
    assert order["image"] != order["mask"]


async def test_what_is_wrong_is_said_and_what_was_typed_and_sent_stays(market: Market, sit: Sit):
    client = await market.client()
    seat = await sit(client)

    outside = await fill(seat, market, files={"picture": draw()}, left="80", top="0", width="40", height="10")
    without = await fill(seat, market, left="10", top="10", width="40", height="10")
    broken = await fill(seat, market, files={"picture": draw(), "painted": b"no mask"}, seed="77")

    assert [one.status_code for one in (outside, without, broken)] == [422, 422, 422]
    assert "does not lie in the picture" in outside.text
    assert (field(outside.text, "left"), field(outside.text, "width")) == ("80", "40")
    assert field(outside.text, "source").startswith("img_")
    assert "choose the picture to start from, too" in without.text
    assert field(broken.text, "seed") == "77"
    assert ">a boat</textarea>" in broken.text


async def test_another_price_keeps_the_marked_part_which_can_be_taken_away(market: Market, sit: Sit):
    client = await market.client()
    seat = await sit(client)

    priced = await fill(seat, market, files={"picture": draw(), "painted": draw()}, count="2")
    page = await seat.http.get(priced.headers["location"], headers=HTML)
    source, mask = field(page.text, "source"), field(page.text, "mask")
    whole = await fill(seat, market, source=source, mask=mask, whole="yes")

    assert "A part is marked; all around it stays as it is." in page.text
    order = (await client.http.get(f"/v1/generations/{whole.headers['location'].rsplit('/', 1)[-1]}")).json()
    assert (order["image"], order["mask"]) == (source, None)


async def test_a_draft_leads_to_the_same_picture_unmarked(market: Market, sit: Sit):
    client = await market.client()
    seat = await sit(client)
    draft = (await market.order(client, tier="draft", seed=41, count=2)).json()

    page = (await seat.http.get(f"/desk/orders/{draft['id']}", headers=HTML)).text
    links = [found.replace("&amp;", "&") for found in re.findall(r'href="([^"]+)">Buy it unmarked', page)]
    form = (await seat.http.get(links[1], headers=HTML)).text

    assert field(form, "seed") == "42"
    assert '<option value="personal" selected' in form
    assert ">a red apple</textarea>" in form
