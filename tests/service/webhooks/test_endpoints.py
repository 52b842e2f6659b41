"""Endpoints over the API: registered, tried, rotated, removed, and nobody else's business."""

import asyncio
import re

import pytest

from service.webhooks import ENDPOINTS_MAX
from tests.service.conftest import Person, Place, slug_of
from tests.service.webhooks.receiver import Receiver


async def registered(client: Person, receiver: Receiver, path: str = "") -> str:
    answer = await client.http.post("/v1/webhooks", json={"url": receiver.url + path})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def delivered(client: Person, webhook_id: str, count: int) -> list[dict]:
    """The log once so many messages arrived."""
    async with asyncio.timeout(10):
        while True:
            log = (await client.http.get(f"/v1/webhooks/{webhook_id}/deliveries")).json()["items"]
            if [one["state"] for one in log].count("delivered") >= count:
                return list(log)
            await asyncio.sleep(0.02)


async def test_the_secret_is_shown_once_and_verifies_a_ping(client: Person, receiver: Receiver):
    body = {"url": receiver.url, "kinds": ["generation.settled"], "description": "the shop"}
    made = await client.http.post("/v1/webhooks", json=body)

    endpoint = made.json()
    pinged = await client.http.post(f"/v1/webhooks/{endpoint['id']}/ping")
    assert await asyncio.to_thread(receiver.hears, 1)

    assert (made.status_code, pinged.status_code) == (201, 202)
    secret = endpoint.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert (await client.http.get(made.headers["location"])).json() == endpoint
    assert (await client.http.get("/v1/webhooks")).json()["items"] == [endpoint]
    assert endpoint["kinds"] == ["generation.settled"]
    message = receiver.posts[0].verified(secret)
    assert (message["type"], message["data"]) == ("ping", {"webhook": endpoint["id"]})
    assert receiver.ids == [pinged.json()["id"]]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"url": "https://10.0.0.1/"}, "10.0.0.1 does not lead to public addresses alone"),
        ({"url": "https://[::1]/"}, "does not lead to public addresses alone"),
        ({"url": "http://1.1.1.1/"}, "must begin with https://"),
        ({"url": "hooks"}, "no web address"),
        ({"url": "http://127.0.0.1/", "kinds": []}, "kinds"),
        ({"url": "http://127.0.0.1/", "kinds": ["generation.started"]}, "kinds"),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "secret"),
        ({}, "url"),
    ],
)
async def test_what_cannot_be_registered_is_refused_with_the_reason(client: Person, body: dict, sentence: str):
    answer = await client.http.post("/v1/webhooks", json=body)

    assert (answer.status_code, slug_of(answer)) == (422, "invalid_request")
    assert sentence in answer.json()["detail"]


async def test_a_url_is_registered_once_and_their_number_has_an_end(client: Person, receiver: Receiver):
    first = await registered(client, receiver)
    twice = await client.http.post("/v1/webhooks", json={"url": receiver.url})
    for number in range(1, ENDPOINTS_MAX):
        await registered(client, receiver, f"/{number}")
    one_more = await client.http.post("/v1/webhooks", json={"url": receiver.url + "/more"})

    assert [slug_of(twice), slug_of(one_more)] == ["conflict", "conflict"]
    assert first in twice.json()["detail"]
    assert f"You have {ENDPOINTS_MAX} webhooks" in one_more.json()["detail"]


async def test_lists_come_by_pages(client: Person, receiver: Receiver):
    webhook_id = await registered(client, receiver)
    await registered(client, receiver, "/other")
    for _ in range(3):
        await client.http.post(f"/v1/webhooks/{webhook_id}/ping")
    await delivered(client, webhook_id, 3)

    for path, count in (("/v1/webhooks", 2), (f"/v1/webhooks/{webhook_id}/deliveries", 3)):
        found, cursor = [], ""
        while cursor is not None:
            page = (await client.http.get(path, params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
        whole = (await client.http.get(path)).json()["items"]
        assert found == [one["id"] for one in whole]
        assert len(found) == count


async def test_the_log_says_what_came_of_each_try_and_a_message_can_be_had_again(client: Person, receiver: Receiver):
    webhook_id = await registered(client, receiver)
    message_id = (await client.http.post(f"/v1/webhooks/{webhook_id}/ping")).json()["id"]
    await delivered(client, webhook_id, 1)

    again = await client.http.post(f"/v1/webhooks/{webhook_id}/deliveries/{message_id}/redeliver")
    assert await asyncio.to_thread(receiver.hears, 2)
    (line,) = await delivered(client, webhook_id, 1)

    assert (again.status_code, again.json()) == (202, {"id": message_id})
    assert receiver.ids == [message_id, message_id]
    assert (line["id"], line["kind"], line["state"]) == (message_id, "ping", "delivered")
    first = line["attempts"][0]
    assert (first["status"], first["error"]) == (204, None)
    assert first["ms"] >= 0


async def test_a_rotation_shows_a_new_secret_and_both_sign(client: Person, receiver: Receiver):
    made = (await client.http.post("/v1/webhooks", json={"url": receiver.url})).json()

    rotated = (await client.http.post(f"/v1/webhooks/{made['id']}/rotate")).json()
    await client.http.post(f"/v1/webhooks/{made['id']}/ping")
    assert await asyncio.to_thread(receiver.hears, 1)

    assert rotated["secret"] != made["secret"]
    assert receiver.posts[0].verified(made["secret"]) == receiver.posts[0].verified(rotated["secret"])


async def test_what_is_another_clients_reads_like_what_is_not_there(place: Place, client: Person, receiver: Receiver):
    webhook_id = await registered(client, receiver)
    message_id = (await client.http.post(f"/v1/webhooks/{webhook_id}/ping")).json()["id"]
    other = await place.person("client")
    own_id = await registered(other, receiver)

    answers = [
        await other.http.request(method, f"/v1/webhooks/{name}{rest}")
        for name in (webhook_id, "whk_nobody")
        for method, rest in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/rotate"),
            ("POST", "/ping"),
            ("GET", "/deliveries"),
            ("POST", f"/deliveries/{message_id}/redeliver"),
        )
    ]
    crossed = await other.http.post(f"/v1/webhooks/{own_id}/deliveries/{message_id}/redeliver")

    assert {(answer.status_code, slug_of(answer)) for answer in (*answers, crossed)} == {(404, "not_found")}
    assert [one["id"] for one in (await other.http.get("/v1/webhooks")).json()["items"]] == [own_id]
    assert (await client.http.get(f"/v1/webhooks/{webhook_id}")).status_code == 200


async def test_a_token_that_may_only_read_changes_nothing(place: Place, receiver: Receiver, creator: Person):
    reader = await place.person("client", scopes=("read",))

    assert (await reader.http.get("/v1/webhooks")).json() == {"items": [], "next_cursor": None}
    refused = await reader.http.post("/v1/webhooks", json={"url": receiver.url})
    foreign = await creator.http.get("/v1/webhooks")

    assert [slug_of(refused), slug_of(foreign)] == ["forbidden", "forbidden"]
