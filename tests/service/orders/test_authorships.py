"""Styles of several authors: shared once all said yes, and left again; nobody is made an author by somebody else."""

import httpx
import pytest

from tests.service.conftest import Person, slug_of
from tests.service.market import Market, publish_style


async def share(market: Market, creator: Person, *others: Person) -> httpx.Response:
    style_id = await publish_style(market.gateway, creator, market.adapter)
    authors = [{"email": other.account.email, "weight": 1} for other in others]
    return await creator.http.post(f"/v1/styles/{style_id}/authors", json={"weight": 2, "authors": authors})


async def test_a_style_is_shared_once_all_said_yes(market: Market):
    creator, first, second = market.creator, await market.person("creator"), await market.person("creator")
    made = (await share(market, creator, first, second)).json()
    client = await market.client()

    assert (await first.http.post(f"/v1/authorships/{made['id']}/accept")).json()["state"] == "waiting"
    before = (await market.order(client, wait=60, style=made["style"])).json()
    assert (await second.http.post(f"/v1/authorships/{made['id']}/accept")).json()["state"] == "in_force"
    after = (await market.order(client, wait=60, style=made["style"])).json()

    assert before["state"] == after["state"] == "settled"
    month = f"{market.gateway.clock():%Y-%m}"
    lines = {
        person.account.id: [
            line["share"]["amount"]
            for line in (await person.http.get(f"/v1/statements/{month}")).json()["lines"]
            if line["style"] == made["style"]
        ]
        for person in (creator, first, second)
    }
    assert len(lines[creator.account.id]) == 2
    assert lines[first.account.id] == lines[second.account.id]
    # 51 cents by 2 : 1 : 1, the odd ones by largest remainder.
    assert (lines[creator.account.id], lines[first.account.id]) == ([51, 25], [13])
    shown = (await creator.http.get(f"/v1/styles/{made['style']}/authors")).json()
    assert [author["weight"] for author in shown["in_force"]["authors"]] == [2, 1, 1]


async def test_one_no_is_enough_and_a_new_proposal_replaces_one_that_waits(market: Market):
    first, second = await market.person("creator"), await market.person("creator")
    declined = (await share(market, market.creator, first)).json()
    assert (await first.http.post(f"/v1/authorships/{declined['id']}/decline")).json()["state"] == "declined"
    again = await first.http.post(f"/v1/authorships/{declined['id']}/accept")
    assert slug_of(again) == "conflict"

    body = {"weight": 1, "authors": [{"email": second.account.email, "weight": 1}]}
    old = (await market.creator.http.post(f"/v1/styles/{declined['style']}/authors", json=body)).json()
    new = (await market.creator.http.post(f"/v1/styles/{declined['style']}/authors", json=body)).json()

    assert slug_of(await second.http.post(f"/v1/authorships/{old['id']}/accept")) == "conflict"
    assert (await second.http.get("/v1/authorships")).json()["items"][0]["id"] == new["id"]


async def test_an_author_leaves_and_the_others_go_on(market: Market):
    first, second = await market.person("creator"), await market.person("creator")
    made = (await share(market, market.creator, first, second)).json()
    for person in (first, second):
        await person.http.post(f"/v1/authorships/{made['id']}/accept")

    left = (await first.http.post(f"/v1/authorships/{made['id']}/leave")).json()
    assert [author["id"] for author in left["authors"]] == [market.creator.account.id, second.account.id]
    ended = (await market.creator.http.post(f"/v1/authorships/{made['id']}/leave")).json()

    assert ended["state"] == "ended"
    client = await market.client()
    await market.order(client, wait=60, style=made["style"])
    month = f"{market.gateway.clock():%Y-%m}"
    lines = (await second.http.get(f"/v1/statements/{month}")).json()["lines"]
    assert [line for line in lines if line["style"] == made["style"]] == []


@pytest.mark.parametrize("who", ["themselves", "nobody", "a client", "somebody twice", "no address"])
async def test_who_cannot_be_an_author_is_named(market: Market, who: str):
    other, client = await market.person("creator"), await market.client()
    emails = {
        "themselves": [market.creator.account.email],
        "nobody": ["nobody@example.org"],
        "a client": [client.account.email],
        "somebody twice": [other.account.email] * 2,
        "no address": ["nobody"],
    }[who]
    style_id = await publish_style(market.gateway, market.creator, market.adapter)

    answer = await market.creator.http.post(
        f"/v1/styles/{style_id}/authors",
        json={"weight": 1, "authors": [{"email": email, "weight": 1} for email in emails]},
    )

    assert answer.status_code in (404, 422)
    assert emails[0] in answer.json()["detail"]
