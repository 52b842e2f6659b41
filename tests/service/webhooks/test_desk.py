"""The desk's page of webhooks, by its forms alone."""

import asyncio
import html
import re

import httpx
import pytest

from service.sessions import Session
from service.webhooks import KINDS
from tests.service.conftest import Person, Place, browser, sign_in
from tests.service.webhooks.receiver import Receiver
from tests.service.webhooks.test_endpoints import delivered, registered

HTML = {"accept": "text/html"}


@pytest.fixture
async def session(place: Place, client: Person) -> Session:
    return await sign_in(place, client.account)


@pytest.fixture
def seat(place: Place, session: Session) -> httpx.AsyncClient:
    return browser(place, session)


async def test_a_client_adds_tries_and_removes_one_on_the_desk(
    client: Person, seat: httpx.AsyncClient, session: Session, receiver: Receiver
):
    form = {"csrf": session.csrf, "url": receiver.url, "description": "the shop", "kind-generation.settled": "yes"}

    added = await seat.post("/desk/webhooks", data=form, headers=HTML)
    secret = html.unescape(re.search(r'id="secret">([^<]+)<', added.text)[1])
    (endpoint,) = (await client.http.get("/v1/webhooks")).json()["items"]
    path = f"/desk/webhooks/{endpoint['id']}"
    pinged = await seat.post(f"{path}/ping", data={"csrf": session.csrf}, headers=HTML)
    (line,) = await delivered(client, endpoint["id"], 1)
    shown = (await seat.get("/desk/webhooks", headers=HTML)).text
    again = await seat.post(f"{path}/deliveries/{line['id']}/redeliver", data={"csrf": session.csrf}, headers=HTML)
    assert await asyncio.to_thread(receiver.hears, 2)
    rotated = await seat.post(f"{path}/rotate", data={"csrf": session.csrf}, headers=HTML)
    removed = await seat.post(f"{path}/remove", data={"csrf": session.csrf}, headers=HTML)

    assert receiver.posts[0].verified(secret)["type"] == "ping"
    assert endpoint["kinds"] == ["generation.settled"]
    assert (pinged.status_code, again.status_code, removed.status_code) == (303, 303, 303)
    assert secret not in shown
    assert "It answered 204." in shown
    assert "Arrived" in shown
    assert "whsec_" in rotated.text
    assert secret not in html.unescape(rotated.text)
    assert "None yet" in (await seat.get("/desk/webhooks", headers=HTML)).text


async def test_the_desk_says_what_is_wrong_with_an_address(seat: httpx.AsyncClient, session: Session):
    form = {"csrf": session.csrf, "url": "https://10.0.0.1/"} | {f"kind-{kind}": "yes" for kind in KINDS}

    private = await seat.post("/desk/webhooks", data=form, headers=HTML)
    deaf = await seat.post("/desk/webhooks", data={"csrf": session.csrf, "url": "https://1.1.1.1/"}, headers=HTML)

    assert (private.status_code, deaf.status_code) == (422, 422)
    assert "does not lead to public addresses" in private.text
    assert 'value="https://10.0.0.1/"' in private.text
    assert "tick at least one thing" in deaf.text


async def test_the_desk_shows_that_an_endpoint_is_disabled_and_the_way_out(
    place: Place, client: Person, seat: httpx.AsyncClient, receiver: Receiver
):
    webhook_id = await registered(client, receiver)
    receiver.answers(410)
    await client.http.post(f"/v1/webhooks/{webhook_id}/ping")
    async with asyncio.timeout(10):
        while (await client.http.get(f"/v1/webhooks/{webhook_id}")).json()["disabled_at"] is None:
            await asyncio.sleep(0.02)

    shown = (await seat.get("/desk/webhooks", headers=HTML)).text

    assert "Disabled." in shown
    assert "410 Gone" in shown
    assert "enabled when that arrives" in shown


async def test_the_desk_keeps_other_clients_out(place: Place, client: Person, receiver: Receiver):
    webhook_id = await registered(client, receiver)
    other = await sign_in(place, (await place.person("client")).account)
    seat = browser(place, other)

    answers = [
        await seat.post(f"/desk/webhooks/{webhook_id}/{verb}", data={"csrf": other.csrf}, headers=HTML)
        for verb in ("ping", "rotate", "remove")
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert receiver.url not in (await seat.get("/desk/webhooks", headers=HTML)).text
