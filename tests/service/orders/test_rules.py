"""Orders judged by their creators' rules, and rules tried before they hold."""

from dataclasses import replace
from typing import Any

import pytest

from tests.service.conftest import Person, slug_of
from tests.service.market import Market, prepaid, publish_style, usage


async def selling(market: Market, **rules: list[str]) -> Market:
    """The market with a style of its own that has these rules."""
    style_id = await publish_style(market.gateway, market.creator, market.adapter, prompt_rules=rules)
    return replace(market, style_id=style_id)


async def ask(market: Market, client: Person, prompt: str) -> list[Any]:
    """The answers to a quote and to an order of the prompt."""
    body = {"style": market.style_id, "prompt": prompt}
    return [await client.http.post("/v1/quotes", json=body), await market.order(client, prompt=prompt)]


async def num_rows(market: Market, client: Person) -> int:
    """Whatever the place has written about a client's orders."""
    async with market.gateway.pool.acquire() as conn:
        found: int = await conn.fetchval(
            "SELECT (SELECT count(*) FROM licensing.hold WHERE client_id = $1)"
            " + (SELECT count(*) FROM licensing.idempotency WHERE client_id = $1)"
            " + (SELECT count(*) FROM service.generations WHERE client_id = $1)",
            client.account.id,
        )
    return found


@pytest.mark.parametrize(
    ("prompt", "rule", "term", "said"),
    [
        ("Blood on the snow", "blood", "blood", "does not have 'blood' drawn"),
        ("a sniper's r1fle", "weapons", "rifle*", "words that begin with 'rifle' (weapons)"),
    ],
)
async def test_a_refused_prompt_is_named_costs_nothing_and_harms_nobody(
    market: Market, prompt: str, rule: str, term: str, said: str
):
    shop, client = await selling(market, refuse=["blood"], categories=["weapons"]), await market.client(cents=500)
    before = await usage(client)

    answers = await ask(shop, client, prompt)

    for answer in answers:
        assert (answer.status_code, slug_of(answer)) == (422, "prompt_refused")
        document = answer.json()
        assert (document["rule"], document["term"], document["whose"]) == (rule, term, "creator")
        assert said in document["detail"]
        assert "Nothing was charged" in document["detail"]
    assert await usage(client) == before
    assert await num_rows(market, client) == 0
    assert (await shop.order(client)).json()["state"] == "settled"


async def test_an_order_keeps_the_version_of_the_rules_that_judged_it(market: Market):
    shop, client = await selling(market, refuse=["blood"]), await market.client()
    url = f"/v1/styles/{shop.style_id}/rules"
    first = (await market.creator.http.get(url)).json()["version"]

    before = (await shop.order(client, wait=0)).json()["id"]
    second = (await market.creator.http.put(url, json={"refuse": ["blood", "gore"]})).json()["version"]
    after = (await shop.order(client)).json()["id"]

    async with market.gateway.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT rules_version FROM service.generations WHERE id = ANY($1::text[]) ORDER BY id", [before, after]
        )
    assert [row["rules_version"] for row in rows] == [first, second]
    assert first < second


async def test_a_replay_is_answered_as_it_was_judged(market: Market):
    shop, client = await selling(market), await market.client()
    placed = await shop.order(client, key="first", prompt="a gory hat")
    await market.creator.http.put(f"/v1/styles/{shop.style_id}/rules", json={"refuse": ["gory"]})

    again = await shop.order(client, key="first", prompt="a gory hat")

    assert again.json()["id"] == placed.json()["id"]


@pytest.mark.parametrize("named_by", ["id", "email"])
async def test_a_blocked_client_hears_that_it_is_not_for_them_and_nothing_of_others(market: Market, named_by: str):
    blocked, other = await market.client(cents=5000), await market.client()
    shop = await selling(market, blocked_clients=[getattr(blocked.account, named_by), "acc_somebody_else"])

    answers = await ask(shop, blocked, "a red apple")
    licence = await blocked.http.post("/v1/licences", json={"style": shop.style_id, "tier": "personal"})
    seen = (await blocked.http.get(f"/v1/styles/{shop.style_id}")).json()

    for answer in (*answers, licence):
        assert (answer.status_code, slug_of(answer)) == (403, "style_not_offered")
        assert "not for sale to you" in answer.json()["detail"]
        assert "acc_" not in answer.text
    assert seen["prompt_rules"] == {"refuse": [], "categories": []}
    assert await num_rows(market, blocked) == 0
    assert (await shop.order(other)).json()["state"] == "settled"


async def test_a_style_for_a_few_is_for_nobody_else(market: Market):
    friend, stranger = await market.client(), await market.client(cents=500)
    shop = await selling(market, only_clients=[friend.account.email.upper()])

    assert (await shop.order(friend)).json()["state"] == "settled"
    assert slug_of(await shop.order(stranger)) == "style_not_offered"
    assert await prepaid(stranger) == (500, 0)


async def test_a_licence_that_was_paid_for_outlives_a_list(market: Market):
    client = await market.client()
    shop = await selling(market)
    await client.http.post("/v1/licences", json={"style": shop.style_id, "tier": "personal"})

    await market.creator.http.put(
        f"/v1/styles/{shop.style_id}/rules", json={"blocked_clients": [client.account.id], "refuse": ["gore"]}
    )

    assert (await shop.order(client)).json()["state"] == "settled"
    assert slug_of(await shop.order(client, prompt="gore")) == "prompt_refused"


async def test_rules_for_all_styles_hold_where_a_style_has_none(market: Market):
    creator, client = await market.person("creator"), await market.client()
    style_id = await publish_style(market.gateway, creator, market.adapter)
    shop = replace(market, style_id=style_id)
    url = f"/v1/styles/{style_id}/rules"

    await creator.http.put("/v1/rules", json={"refuse": ["gore"]})
    by_default = slug_of(await shop.order(client, prompt="gore"))
    own = (await creator.http.put(url, json={"refuse": []})).json()
    by_its_own = (await shop.order(client, prompt="gore")).json()["state"]
    back = (await creator.http.delete(url)).json()

    assert by_default == "prompt_refused"
    assert (own["own"], by_its_own) == (True, "settled")
    assert (back["own"], back["refuse"]) == (False, ["gore"])
    assert slug_of(await shop.order(client, prompt="gore")) == "prompt_refused"


async def test_a_dry_run_says_for_every_example_which_rules_refuse_it_and_changes_nothing(market: Market):
    shop = await selling(market, refuse=["gore"])
    tried = {"refuse": ["boat"], "categories": ["weapons"]}
    url = f"/v1/styles/{shop.style_id}/rules"

    answer = await market.creator.http.post(
        f"{url}/dry-run", json={"rules": tried, "examples": ["a gun on a boat", "a tree", "gore"]}
    )
    held = await market.creator.http.post(f"{url}/dry-run", json={"examples": ["gore"]})

    assert answer.json() == {
        "examples": [
            {
                "prompt": "a gun on a boat",
                "refused": True,
                "by": [
                    {"rule": "boat", "term": "boat", "whose": "creator"},
                    {"rule": "weapons", "term": "gun", "whose": "creator"},
                ],
            },
            {"prompt": "a tree", "refused": False, "by": []},
            {"prompt": "gore", "refused": False, "by": []},
        ],
        "orders": None,
    }
    assert held.json()["examples"][0]["refused"]
    assert (await market.creator.http.get(url)).json()["refuse"] == ["gore"]


async def test_a_dry_run_counts_past_orders_and_shows_none_of_their_prompts(market: Market):
    shop = await selling(market)
    clients = [await market.client() for _ in range(3)]
    url = f"/v1/styles/{shop.style_id}/rules/dry-run"
    tried = {"rules": {"refuse": ["apple"]}}
    for number in range(9):
        prompt = "a red apple" if number % 3 == 0 else f"a secret plan {number}"
        await shop.order(clients[number % 2], wait=0, tier="draft", prompt=prompt)
    too_few_clients = await market.creator.http.post(url, json=tried)

    await shop.order(clients[2], tier="draft", prompt="the last apple")
    answer = await market.creator.http.post(url, json=tried)

    assert too_few_clients.json()["orders"] is None
    assert answer.json()["orders"] == {"looked_at": 10, "refused": 4}
    assert "secret" not in answer.text


async def test_rules_are_their_creators_alone(market: Market):
    shop, other, client = await selling(market), await market.person("creator"), await market.client()
    url = f"/v1/styles/{shop.style_id}/rules"

    for answer in (
        await other.http.get(url),
        await other.http.put(url, json={"refuse": ["a"]}),
        await other.http.delete(url),
        await other.http.post(f"{url}/dry-run", json={"examples": ["a"]}),
    ):
        assert slug_of(answer) == "not_found"
    assert slug_of(await client.http.get(url)) == "forbidden"
    assert (await market.creator.http.get(url)).json()["version"] > 0


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"refuse": ["***"]}, "'***' is no term"),
        ({"categories": ["weather"]}, "There is no category 'weather'"),
    ],
)
async def test_rules_that_cannot_judge_are_refused_in_words(market: Market, rules: dict[str, Any], said: str):
    shop = await selling(market)
    url = f"/v1/styles/{shop.style_id}/rules"

    for answer in (
        await market.creator.http.put(url, json=rules),
        await market.creator.http.post(f"{url}/dry-run", json={"rules": rules}),
        await market.creator.http.put("/v1/rules", json=rules),
    ):
        assert slug_of(answer) == "invalid_request"
        assert said in answer.json()["detail"]


async def test_a_category_that_the_operator_took_away_is_named_to_its_creator(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    shop = await selling(market, categories=["weapons", "drugs"])
    known = market.gateway.categories
    assert isinstance(known, dict)
    monkeypatch.delitem(known, "drugs")

    found = (await market.creator.http.get(f"/v1/styles/{shop.style_id}/rules")).json()

    assert found["missing_categories"] == ["drugs"]
    assert "drugs" not in {one["id"] for one in found["known_categories"]}


async def test_a_destroyed_style_gets_no_rules(market: Market):
    shop = await selling(market)
    await shop.switch("destroyed")

    answer = await market.creator.http.put(f"/v1/styles/{shop.style_id}/rules", json={"refuse": ["a"]})

    assert slug_of(answer) == "style_destroyed"


async def test_changes_and_decisions_stand_in_the_creators_record(market: Market):
    creator, client = await market.person("creator"), await market.client()
    style_id = await publish_style(
        market.gateway, creator, market.adapter, approval="all", prompt_rules={"refuse": ["gore"]}
    )
    order_id = (await replace(market, style_id=style_id).order(client)).json()["id"]
    await creator.http.put("/v1/rules", json={"refuse": ["gore"]})
    await creator.http.post(f"/v1/approvals/{order_id}/reject", json={"reason": "No."})

    sentences = [line["sentence"] for line in (await creator.http.get("/v1/audit")).json()["items"]]

    assert "Rules, version 1, hold for Ink." in sentences
    assert "Rules, version 2, hold for all your styles." in sentences
    assert f"You kept 1 picture of Ink back from the client of {order_id}." in sentences
