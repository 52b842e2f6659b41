"""Somebody leaves for good: nothing here tells any more who it was, and what was sold stays sold."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from licensing.verify import verify
from service import desk
from service.clock import utc_now
from service.erasure import erase_asked
from service.errors import Problem
from service.sessions import make_link
from tests.service.conftest import Person, browser, draw, sign_in, slug_of, upload
from tests.service.market import Market, open_market, prepaid, publish_style
from tests.service.traces import hash_traces, traces

PROMPT, SOURCE = "a quixotic lighthouse", "https://hooks.quixotic.example/notify"


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path_factory.mktemp("market"), webhook_networks="192.0.2.0/24") as opened:
        yield opened
        opened.curtain.wait_at(None)


class Unreachable:
    """A storage that deletes nothing at present."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def delete(self, key: str) -> None:
        raise OSError(f"{key} is out of reach")


async def named(market: Market, person: Person, name: str) -> Person:
    """The same person under a name that nobody else has."""
    async with market.gateway.pool.acquire() as conn:
        await conn.execute("UPDATE service.accounts SET name = $2 WHERE id = $1", person.account.id, name)
    return person


async def erased(market: Market, person: Person) -> None:
    async with asyncio.timeout(30):
        while True:
            await erase_asked(market.gateway)
            async with market.gateway.pool.acquire() as conn:
                if await conn.fetchval("SELECT erased_at FROM service.accounts WHERE id = $1", person.account.id):
                    return
            await asyncio.sleep(0.2)


async def leave(person: Person, **body: object) -> object:
    return await person.http.request("DELETE", "/v1/account", json={"confirm": person.account.email} | body)


async def test_a_client_is_told_what_is_in_the_way(market: Market):
    client = await market.client(cents=10_000)
    licence = await client.http.post("/v1/licences", json={"style": market.style_id, "tier": "personal"})
    assert licence.status_code == 201

    wrong = await client.http.request("DELETE", "/v1/account", json={"confirm": "else@example.org"})
    refused = await leave(client)
    shown = (await client.http.get("/v1/account")).json()

    assert slug_of(wrong) == "invalid_request"
    assert slug_of(refused) == "conflict"
    assert "of prepaid money left" in refused.json()["detail"]
    assert "The personal licence of Inky Apples runs until" in refused.json()["detail"]
    assert shown["in_the_way"] == refused.json()["in_the_way"]
    assert (await client.http.get("/v1/usage")).status_code == 200


async def test_nothing_tells_who_a_client_was_and_certificates_stay_valid(market: Market):
    client = await named(market, await market.client(), "Quirina Vellum-Oakes")
    source = draw(size=32)
    brought = await client.http.post("/v1/images", content=source, headers={"Content-Type": "image/png"})
    sold = (await market.order(client, prompt=PROMPT, image=brought.json()["id"], strength=0.5)).json()
    output_id = sold["outputs"][0]["id"]
    picture = (await client.http.get(f"/v1/outputs/{output_id}")).content
    paper = (await client.http.get(f"/v1/outputs/{output_id}/certificate")).json()["certificate"]
    async with market.gateway.pool.acquire() as conn:
        await make_link(conn, account_id=client.account.id, now=market.gateway.clock(), minutes=60)
    await sign_in(market, client.account)
    market.curtain.wait_at(1)
    waiting = (await market.order(client, prompt=PROMPT, wait=0)).json()
    blocked = {"blocked_clients": ["else@example.org", client.account.email.upper()]}
    keeper = await market.person("creator")
    assert (await keeper.http.put("/v1/rules", json=blocked)).status_code == 200
    needles = (client.account.email, client.account.email.upper(), "Quirina Vellum-Oakes", PROMPT, client.token[:12])
    for needle in needles:
        assert await traces(market.gateway, needle), needle

    answer = await leave(client, give_up=True)
    market.curtain.wait_at(None)
    await erased(market, client)

    assert answer.status_code == 202
    for needle in needles:
        assert await traces(market.gateway, needle) == [], needle
    rules = (await keeper.http.get("/v1/rules")).json()
    assert (rules.get("rules") or rules)["blocked_clients"] == ["else@example.org", client.account.id]
    assert await hash_traces(market.gateway, source) + await hash_traces(market.gateway, picture) == []
    assert slug_of(await client.http.get("/v1/usage")) == "unauthenticated"
    async with market.gateway.pool.acquire() as conn:
        assert await conn.fetchval("SELECT state FROM service.generations WHERE id = $1", waiting["id"]) == "canceled"
        for file in (picture, paper.encode()):
            found = await verify(conn, market.gateway.authority, file, now=market.gateway.clock(), watermark=None)
            assert found.verdict == "valid", found.sentence
            assert found.certificate.client_name == f"formerly {client.account.id}"
        kinds = await conn.fetch("SELECT kind FROM service.audit WHERE account_id = $1", client.account.id)
    assert {"erasure_asked", "account_erased"} <= {row["kind"] for row in kinds}
    assert await market.ledger_problems() == []
    again = await market.person("client")
    assert again.account.id != client.account.id


async def test_a_creator_takes_every_style_along_and_buyers_keep_what_they_bought(market: Market):
    creator = await named(market, await market.person("creator"), "Barnaby Inkwright")
    style_id = await publish_style(
        market.gateway, creator, market.adapter, name="Quill", summary="By Barnaby Inkwright"
    )
    await upload(creator, style_id, ("barnaby-inkwright-1.png", draw()), rights="mine")
    buyer = await market.client()
    licence = await buyer.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    assert licence.status_code == 201
    before = await prepaid(buyer)
    sold = (await market.order(buyer, style=style_id)).json()
    assert sold["state"] == "settled", sold
    output_id = sold["outputs"][0]["id"]
    picture = (await buyer.http.get(f"/v1/outputs/{output_id}")).content

    refused = await leave(creator)
    answer = await leave(creator, give_up=True)
    await erased(market, creator)

    assert "of earnings that can be paid out" in refused.json()["detail"]
    assert answer.status_code == 202
    for needle in (creator.account.email, "Barnaby Inkwright", "barnaby-inkwright"):
        # The buyer's own file names who made it, as it was when it was sold.
        left = [one for one in await traces(market.gateway, needle) if one != f"outputs/{output_id}.png"]
        assert [one for one in left if not one.startswith("outputs/")] == [], needle
    assert (await prepaid(buyer))[0] > before[0]
    assert (await buyer.http.get(f"/v1/outputs/{output_id}")).content == picture
    async with market.gateway.pool.acquire() as conn:
        found = await verify(conn, market.gateway.authority, picture, now=market.gateway.clock(), watermark=None)
    assert (found.verdict, found.certificate.creator_name) == ("valid", f"formerly {creator.account.id}")
    assert slug_of(await buyer.http.post("/v1/quotes", json={"style": style_id, "prompt": "a"})) in (
        "not_found",
        "style_destroyed",
    )
    assert await market.ledger_problems() == []


async def test_a_page_leads_out_after_the_address_was_typed(market: Market):
    client = await market.client(cents=0)
    session = await sign_in(market, client.account)
    http = browser(market, session)

    page = (await http.get("/account")).text
    wrong = await http.post("/account/erase", data={"csrf": session.csrf, "confirm": "else@example.org"})
    right = await http.post("/account/erase", data={"csrf": session.csrf, "confirm": client.account.email.upper()})

    assert client.account.email in page
    assert (wrong.status_code, right.status_code, right.headers["location"]) == (422, 303, "/?done=erased")
    assert (await http.get("/account")).status_code == 303


async def test_a_key_for_trying_erases_nothing(market: Market):
    tester = await market.person("client", kind="test")

    answer = await leave(tester)

    assert (answer.status_code, slug_of(answer)) == (403, "forbidden")
    assert (await tester.http.get("/v1/account")).status_code == 200


async def test_one_that_cannot_be_erased_keeps_nobody_waiting(market: Market, caplog: pytest.LogCaptureFixture):
    first, second = await market.client(cents=0), await market.client(cents=0)
    brought = await first.http.post("/v1/images", content=draw(size=32), headers={"Content-Type": "image/png"})
    assert brought.status_code == 201
    full = Unreachable(market.gateway.storage)
    there, market.app.state.gateway = market.gateway, replace(market.gateway, storage=full)
    try:
        stuck, gone = await leave(first), await leave(second)
    finally:
        market.app.state.gateway = there

    assert (stuck.status_code, stuck.json()["state"]) == (202, "erasing")
    assert (gone.status_code, gone.json()["state"]) == (202, "erased")
    assert f"account {first.account.id} could not be erased for now" in caplog.text
    await erased(market, first)
    async with market.gateway.pool.acquire() as conn:
        lines = "SELECT count(*) FROM service.audit WHERE account_id = $1 AND kind = 'account_erased'"
        assert [await conn.fetchval(lines, one.account.id) for one in (first, second)] == [1, 1]


async def test_an_operator_asks_at_the_shell_and_is_never_erased_themself(market: Market):
    client, operator = await market.client(cents=0), await market.person("operator")
    async with market.gateway.pool.acquire() as conn:
        for email in (client.account.email, operator.account.email):
            given = {"email": email, "confirm": email, "gives_up": False, "now": utc_now()}
            if email == operator.account.email:
                with pytest.raises(Problem, match="needed to run this place"):
                    await desk.erase(conn, market.settings, **given)
            else:
                assert "is closed" in await desk.erase(conn, market.settings, **given)

    await erased(market, client)

    assert await traces(market.gateway, client.account.email) == []
