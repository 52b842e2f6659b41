"""A creator looks at pictures first: nobody gets or pays anything before, and every end is told as it is."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from service import decisions, generation, sweep
from service.approvals import clear_approvals
from service.turns import read_line
from tests.service.conftest import Person, slug_of
from tests.service.market import PRICE, Market, prepaid, publish_style, read_events, state_of


@pytest.fixture
async def looking(market: Market) -> Market:
    """The market with a style of which the creator looks at every picture."""
    style_id = await publish_style(market.gateway, market.creator, market.adapter, approval="all", name="Looked at")
    return replace(market, style_id=style_id)


async def waiting(market: Market, client: Person, **body: Any) -> str:
    """An order whose pictures wait for the creator; its id."""
    answer = await market.order(client, **body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "awaiting_approval", answer.text
    return str(answer.json()["id"])


async def decide(person: Person, order_id: str, decision: str) -> Any:
    body = {"reason": "It looks like a logo."} if decision == "reject" else None
    return await person.http.post(f"/v1/approvals/{order_id}/{decision}", json=body)


async def queue(person: Person) -> list[dict[str, Any]]:
    return list((await person.http.get("/v1/approvals")).json()["items"])


async def lease_until(market: Market, order_id: str) -> datetime:
    async with market.gateway.pool.acquire() as conn:
        found: datetime = await conn.fetchval("SELECT lease_until FROM licensing.hold WHERE order_id = $1", order_id)
    return found


async def is_empty(market: Market, order_id: str) -> None:
    """Nothing of the order lies under `pending/` any more, and nothing is kept for its settle."""
    await clear_approvals(market.gateway)
    async with asyncio.timeout(60):
        while any(order_id in key for key in market.pending()):
            await asyncio.sleep(0.05)
    async with market.gateway.pool.acquire() as conn:
        kept = await conn.fetchval("SELECT kept FROM service.approvals WHERE generation_id = $1", order_id)
    assert kept == "{}"


async def test_pictures_wait_for_the_creator_and_are_sold_when_released(looking: Market):
    client = await looking.client(cents=500)
    body = {"style": looking.style_id, "prompt": "a red apple", "count": 2}
    quote = (await client.http.post("/v1/quotes", json=body)).json()
    order_id = await waiting(looking, client, count=2)
    held = (await client.http.get(f"/v1/generations/{order_id}")).json()

    (one,) = await queue(looking.creator)
    pictures = [await looking.creator.http.get(picture["url"]) for picture in one["pictures"]]
    before = await prepaid(client)
    released = await decide(looking.creator, order_id, "approve")
    sold = await state_of(client, order_id, wanted="settled")

    assert quote["approval"] == {"hours": 48}
    assert held["outputs"] == []
    assert held["approval"]["until"] is not None
    assert "The creator looks at the pictures first, until 20" in held["message"]
    assert before == (500 - 2 * PRICE, 2 * PRICE)
    assert (one["id"], one["prompt"], one["client"]["id"]) == (order_id, "a red apple", client.account.id)
    assert (one["client"]["trust"], one["client"]["approved"], one["amount"]["amount"]) == ("by_count", 0, 2 * PRICE)
    assert [picture.status_code for picture in pictures] == [200, 200]
    assert (released.status_code, released.json()["decision"]) == (200, "approved")
    assert await prepaid(client) == (500 - 2 * PRICE, 0)
    assert (sold["message"], sold["approval"]["until"]) == (None, held["approval"]["until"])
    contents = [(await client.http.get(f"/v1/outputs/{output['id']}")).content for output in sold["outputs"]]
    assert contents == [picture.content for picture in pictures]
    assert await queue(looking.creator) == []
    await is_empty(looking, order_id)
    assert await looking.ledger_problems() == []


async def test_the_client_sees_nothing_of_them_before(looking: Market):
    client = await looking.client()
    order_id = await waiting(looking, client)
    url = (await queue(looking.creator))[0]["pictures"][0]["url"]
    async with looking.gateway.pool.acquire() as conn:
        rows = await conn.fetch("SELECT kind, data FROM service.events WHERE subject = $1 ORDER BY id", order_id)
        kept = await conn.fetchval(
            "SELECT kept -> 'pictures' -> 0 ->> 'output_id' FROM service.approvals WHERE generation_id = $1", order_id
        )

    assert slug_of(await client.http.get(f"/v1/outputs/{kept}")) == "not_found"
    assert slug_of(await client.http.get(url)) == "forbidden"
    assert slug_of(await client.http.get("/v1/approvals")) == "forbidden"
    assert slug_of(await looking.stranger.get(url)) == "unauthenticated"
    assert "progress" in {row["kind"] for row in rows}
    assert not any("preview" in row["data"] for row in rows)

    await decide(looking.creator, order_id, "reject")


async def test_the_stream_of_events_tells_that_they_wait_and_then_how_it_ended(looking: Market):
    client = await looking.client()
    order_id = await waiting(looking, client)
    reading = asyncio.create_task(client.http.get(f"/v1/generations/{order_id}/events"))
    await asyncio.sleep(0.3)
    await decide(looking.creator, order_id, "approve")

    told = read_events((await reading).text)

    kinds = [kind for kind, _ in told if kind != "progress"]
    assert kinds == ["queued", "started", "awaiting_approval", "output", "settled"]
    assert dict(told)["awaiting_approval"].keys() == {"until", "message"}


async def test_what_is_kept_back_costs_nothing_and_the_client_reads_why(looking: Market):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)

    answer = await decide(looking.creator, order_id, "reject")
    ended = (await client.http.get(f"/v1/generations/{order_id}")).json()

    assert answer.json()["decision"] == "rejected"
    assert (ended["state"], ended["amount"]["amount"], ended["outputs"]) == ("withdrawn", 0, [])
    assert ended["message"] == (
        "The creator looked at the pictures and does not release them: It looks like a logo. Nothing was charged."
    )
    assert await prepaid(client) == (500, 0)
    await is_empty(looking, order_id)
    assert (await looking.order(client, tier="draft", wait=0)).status_code == 201, "it is no mark against the client"


async def test_what_nobody_looks_at_in_time_expires_without_a_charge(looking: Market):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)
    web = looking.gateway
    soon = replace(web, clock=lambda: web.clock() + timedelta(hours=47, minutes=59))
    late = replace(web, clock=lambda: web.clock() + timedelta(hours=48, minutes=1))

    await sweep.keep_leases(soon)
    await sweep.expire(soon)
    still = (await client.http.get(f"/v1/generations/{order_id}")).json()
    with pytest.raises(Exception, match="waits no more: it is expired"):
        await decisions.approve(late, creator_id=looking.creator.account.id, order_id=order_id)
    await sweep.expire(late)
    ended = (await client.http.get(f"/v1/generations/{order_id}")).json()

    assert still["state"] == "awaiting_approval"
    assert (ended["state"], ended["amount"]["amount"]) == ("expired", 0)
    assert ended["message"] == "The creator did not look at the pictures in time; nothing was charged. Order again."
    assert await prepaid(client) == (500, 0)
    assert slug_of(await decide(looking.creator, order_id, "approve")) == "conflict"
    await is_empty(looking, order_id)


async def test_off_ends_what_waits(looking: Market):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)

    change = await looking.switch("off")
    ended = (await client.http.get(f"/v1/generations/{order_id}")).json()

    assert change["voided"] == 1
    assert (ended["state"], ended["amount"]["amount"]) == ("withdrawn", 0)
    assert await queue(looking.creator) == []
    assert slug_of(await decide(looking.creator, order_id, "approve")) == "conflict"
    assert await prepaid(client) == (500, 0)
    await is_empty(looking, order_id)


async def test_a_pause_leaves_what_waits_to_the_creator(looking: Market):
    client = await looking.client()
    order_id = await waiting(looking, client)

    await looking.switch("paused")
    await decide(looking.creator, order_id, "approve")

    await state_of(client, order_id, wanted="settled")


async def test_the_client_may_cancel_meanwhile(looking: Market):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)

    canceled = await client.http.post(f"/v1/generations/{order_id}/cancel")

    assert canceled.json()["state"] == "canceled"
    too_late = await decide(looking.creator, order_id, "reject")
    assert (slug_of(too_late), "it is canceled" in too_late.json()["detail"]) == ("conflict", True)
    assert await prepaid(client) == (500, 0)
    await is_empty(looking, order_id)


async def test_another_creator_finds_nothing(looking: Market):
    client, other = await looking.client(), await looking.person("creator")
    order_id = await waiting(looking, client)

    assert await queue(other) == []
    assert slug_of(await other.http.get(f"/v1/approvals/{order_id}/pictures/1")) == "not_found"
    for decision in ("approve", "reject"):
        assert slug_of(await decide(other, order_id, decision)) == "not_found"
        assert slug_of(await decide(looking.creator, "gen_nobody", decision)) == "not_found"
    assert [one["id"] for one in await queue(looking.creator)] == [order_id]
    assert slug_of(await looking.creator.http.get(f"/v1/approvals/{order_id}/pictures/2")) == "not_found"

    await decide(looking.creator, order_id, "reject")


@pytest.mark.parametrize(("first", "second"), [("approve", "reject"), ("reject", "approve")])
async def test_a_decision_can_be_repeated_and_not_turned_round(looking: Market, first: str, second: str):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)

    answers = [await decide(looking.creator, order_id, first) for _ in range(2)]
    turned = await decide(looking.creator, order_id, second)
    ended = await state_of(client, order_id, wanted="settled" if first == "approve" else "withdrawn")

    assert [answer.json()["repeated"] for answer in answers] == [False, True]
    assert answers[0].json()["decided_at"] == answers[1].json()["decided_at"]
    assert slug_of(turned) == "conflict"
    assert await prepaid(client) == (500 - ended["amount"]["amount"], 0)


async def test_of_many_decisions_at_once_one_counts(looking: Market):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)

    answers = await asyncio.gather(
        *(decide(looking.creator, order_id, decision) for decision in ("approve", "reject") * 4)
    )

    decided = {answer.json()["decision"] for answer in answers if answer.status_code == 200}
    assert len(decided) == 1
    wanted = "settled" if decided == {"approved"} else "withdrawn"
    ended = await state_of(client, order_id, wanted=wanted)
    assert await prepaid(client) == (500 - ended["amount"]["amount"], 0)
    assert sum(answer.status_code == 200 and not answer.json()["repeated"] for answer in answers) == 1


async def test_a_yes_whose_story_never_started_is_carried_out_by_the_sweep(
    looking: Market, monkeypatch: pytest.MonkeyPatch
):
    client = await looking.client(cents=500)
    order_id = await waiting(looking, client)

    async def forget(order_id: str) -> None:
        return None

    monkeypatch.setattr(decisions, "start_approved", forget)
    await decide(looking.creator, order_id, "approve")

    await state_of(client, order_id, wanted="settled")
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_the_step_that_lets_them_wait_may_run_twice(looking: Market):
    client = await looking.client()
    order_id = await waiting(looking, client)
    until, waits = await lease_until(looking, order_id), (await queue(looking.creator))[0]

    again = await generation.wait_for_creator(order_id, 1, [], None, [])

    assert again == {"end": "awaiting_approval"}
    assert await lease_until(looking, order_id) == until
    assert (await queue(looking.creator))[0] == waits

    await decide(looking.creator, order_id, "reject")


async def test_a_client_is_known_after_three_released_pictures(market: Market):
    style_id = await publish_style(market.gateway, market.creator, market.adapter, approval="new_clients")
    shop, client = replace(market, style_id=style_id), await market.client()

    draft = (await shop.order(client, tier="draft")).json()
    for count in (1, 2):
        order_id = await waiting(shop, client, count=count)
        await decide(market.creator, order_id, "approve")
        await state_of(client, order_id, wanted="settled")
    known = (await shop.order(client)).json()
    newcomer = await market.client()
    kept_back = await waiting(shop, newcomer, count=8)
    await decide(market.creator, kept_back, "reject")
    still_new = await waiting(shop, newcomer)

    assert draft["state"] == known["state"] == "settled"
    assert (draft["approval"], known["approval"]) == (None, None)
    clients = {one["id"]: one for one in (await market.creator.http.get("/v1/approvals/clients")).json()["items"]}
    assert (clients[client.account.id]["approved"], clients[newcomer.account.id]["approved"]) == (3, 0)
    await decide(market.creator, still_new, "reject")


async def test_a_creator_may_trust_a_client_or_always_look(market: Market):
    style_id = await publish_style(market.gateway, market.creator, market.adapter, approval="new_clients")
    shop, client, other = replace(market, style_id=style_id), await market.client(), await market.person("creator")
    url = f"/v1/approvals/clients/{client.account.id}"
    too_early = await market.creator.http.put(url, json={"trust": "trusted"})
    await shop.order(client, tier="draft")

    trusted = await market.creator.http.put(url, json={"trust": "trusted"})
    not_theirs = await other.http.put(url, json={"trust": "always_review"})
    passed = (await shop.order(client)).json()
    await market.creator.http.put(url, json={"trust": "always_review"})
    looked_at = await waiting(shop, client)

    assert trusted.json()["trust"] == "trusted"
    assert passed["state"] == "settled"
    assert slug_of(too_early) == slug_of(not_theirs) == "not_found"
    await decide(market.creator, looked_at, "reject")


async def test_nobody_looks_at_what_a_test_key_makes(looking: Market):
    tester = await looking.client(cents=0, kind="test")

    order = (await looking.order(tester)).json()

    assert (order["state"], order["approval"]) == ("settled", None)


async def test_a_licence_goes_on_as_it_was_bought(market: Market):
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    shop, client, late = replace(market, style_id=style_id), await market.client(), await market.client()
    bought = await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    assert bought.status_code == 201, bought.text

    await market.creator.http.patch(f"/v1/styles/{style_id}", json={"approval": "all"})
    under_licence = (await shop.order(client)).json()
    looked_at = await waiting(shop, late)

    assert (under_licence["state"], under_licence["approval"]) == ("settled", None)
    await decide(market.creator, looked_at, "reject")


async def test_pictures_that_wait_stand_in_nobodys_line(looking: Market):
    client = await looking.client()
    order_id = await waiting(looking, client)

    after = (await looking.order(client, tier="draft", wait=0)).json()
    async with looking.gateway.pool.acquire() as conn:
        line = await read_line(conn)

    assert order_id not in {order.id for order in line.orders if order.state != "settled" and order.waits}
    assert line.open_by_client[client.account.id] <= 1
    await decide(looking.creator, order_id, "reject")
    await state_of(client, after["id"], wanted="awaiting_approval")
    await decide(looking.creator, after["id"], "reject")
