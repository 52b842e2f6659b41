"""What the people of a client's team order: for the client, with its money, and with their name on it."""

import uuid

import httpx

from service import teams
from service.areas import Level
from service.sessions import find_session
from service.who import Who
from tests.service.accounts.conftest import words
from tests.service.conftest import Person, browser, sign_in
from tests.service.market import Market, prepaid, state_of

HTML = {"Accept": "text/html"}


async def member(market: Market, client: Person, level: Level) -> tuple[Person, httpx.AsyncClient, dict[str, str]]:
    """Somebody who acts for the client in a browser, and the header that the browser's calls carry."""
    web, person = market.gateway, await market.client()
    by = Who(role="client", actor=client.account.id)
    email = person.account.email
    made = await teams.invite(web, client_id=client.account.id, email=email, level=level, by=by, now=web.clock())
    session = await sign_in(market, person.account)
    http = browser(market, session)
    form = {"csrf": session.csrf, "word": made.link.partition("word=")[2]}
    assert (await http.post("/team/join", data=form)).status_code == 303
    async with web.house() as conn:
        acts = await find_session(conn, word=session.word, now=web.clock())
    assert acts is not None
    return person, http, {"X-CSRF-Token": acts.csrf}


async def test_a_member_orders_for_the_client_and_the_history_says_by_whom(market: Market):
    client = await market.client()
    person, http, token = await member(market, client, "makes")
    asked = {"style": market.style_id, "prompt": "a red apple", "seed": 7}
    own, others = (await prepaid(person))[0], (await prepaid(client))[0]

    ordered = await http.post("/v1/generations", json=asked, headers=token | {"Idempotency-Key": uuid.uuid4().hex})
    order = await state_of(client, ordered.json()["id"], wanted="settled")
    by_a_program = (await market.order(client, wait=60)).json()

    assert order["by"] == person.account.id
    assert by_a_program["by"] is None
    assert (await prepaid(person))[0] == own
    assert (await prepaid(client))[0] == others - order["amount"]["amount"] - by_a_program["amount"]["amount"]
    assert (await person.http.get("/v1/generations")).json()["items"] == [], "a token is the person's own, as before"
    owner = browser(market, await sign_in(market, client.account))
    for page in ("/desk/history", f"/desk/orders/{order['id']}"):
        for reader in (owner, http):
            shown = words(await reader.get(page, headers=HTML))
            assert f"by {person.account.name}" in shown
    history = words(await owner.get("/desk/history", headers=HTML))
    assert history.count(f", by {person.account.name}") == 1
    picture = await http.get(f"/v1/outputs/{order['outputs'][0]['id']}")
    assert picture.headers["content-type"] == "image/png"


async def test_without_a_team_nobody_is_named(market: Market):
    client = await market.client()
    session = await sign_in(market, client.account)
    http = browser(market, session)
    headers = {"X-CSRF-Token": session.csrf, "Idempotency-Key": uuid.uuid4().hex}
    asked = {"style": market.style_id, "prompt": "a red apple", "seed": 8}

    order = (await http.post("/v1/generations", json=asked, headers=headers)).json()

    assert order["by"] == client.account.id
    assert f"by {client.account.name}" not in words(await http.get("/desk/history", headers=HTML))


async def test_whoever_pays_cannot_order_and_sees_no_pictures(market: Market):
    client = await market.client()
    _, http, token = await member(market, client, "pays")
    order = (await market.order(client, wait=60)).json()
    asked = {"style": market.style_id, "prompt": "a red apple"}

    refused = [
        await http.post("/v1/generations", json=asked, headers=token | {"Idempotency-Key": uuid.uuid4().hex}),
        await http.get(f"/v1/generations/{order['id']}"),
        await http.get(f"/v1/generations/{order['id']}/events"),
        await http.get(f"/v1/outputs/{order['outputs'][0]['id']}"),
        await http.get("/desk/make", headers=HTML),
    ]
    desk = await http.get("/desk", headers=HTML)

    assert {one.status_code for one in refused} == {403}
    assert desk.status_code == 200
    assert "/v1/outputs/" not in desk.text, "no picture is asked for that would be refused"
    assert "/desk/make" not in desk.text
    assert "/desk/money" in desk.text
    assert (await http.get("/v1/usage")).json()["prepaid"] == (await client.http.get("/v1/usage")).json()["prepaid"]


async def test_whoever_makes_sees_no_money_and_no_keys(market: Market):
    _, http, _ = await member(market, await market.client(), "makes")

    desk = (await http.get("/desk", headers=HTML)).text
    style = await http.get(f"/styles/{market.style_id}", headers=HTML)

    assert not [path for path in ("/desk/money", "/desk/keys", "/desk/team", "/desk/webhooks") if path in desk]
    assert "/desk/make" in desk
    assert "Balance" not in desk
    assert style.status_code == 200
    assert f"/styles/{market.style_id}/licence" not in style.text.replace(f"/v1/styles/{market.style_id}/licence", "")
