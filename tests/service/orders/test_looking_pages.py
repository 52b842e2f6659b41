"""The studio's pages of rules and of pictures to look at, and what the desk says of them, as forms without scripts."""

import html
from dataclasses import replace

import httpx
import pytest

from service.pages import studio_approvals
from service.sessions import Session
from tests.service.conftest import Person, browser, sign_in
from tests.service.market import Market, prepaid, publish_style, state_of
from tests.service.orders.test_approvals import waiting
from tests.service.test_examples import HTML


@pytest.fixture
async def session(market: Market) -> Session:
    return await sign_in(market, market.creator.account)


@pytest.fixture
def studio(market: Market, session: Session) -> httpx.AsyncClient:
    return browser(market, session)


async def selling(market: Market, **fields: object) -> Market:
    return replace(market, style_id=await publish_style(market.gateway, market.creator, market.adapter, **fields))


async def text_of(http: httpx.AsyncClient, path: str) -> str:
    answer = await http.get(path, headers=HTML)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


async def test_rules_are_tried_on_examples_before_they_are_saved(
    market: Market, studio: httpx.AsyncClient, session: Session
):
    shop = await selling(market)
    page = f"/studio/styles/{shop.style_id}/rules"
    form = {
        "csrf": session.csrf,
        "refuse": "dragon*\n\n red boat ",
        "categories": ["weapons", "drugs"],
        "blocked_clients": "a@example.org",
        "only_clients": "",
        "examples": "two dragons with a rifle\na tree",
    }

    tried = html.unescape((await studio.post(page, data=form | {"do": "try"}, headers=HTML)).text)
    untouched = (await market.creator.http.get(f"/v1/styles/{shop.style_id}/rules")).json()
    saved = await studio.post(page, data=form | {"do": "save"}, headers=HTML)
    held = (await market.creator.http.get(f"/v1/styles/{shop.style_id}/rules")).json()

    assert "Because of words that begin with 'dragon', words that begin with 'rifle' (weapons)." in tried
    assert (tried.count(">Refused<"), tried.count(">Allowed<")) == (1, 1)
    assert "dragon*\nred boat</textarea>" in tried
    assert 'value="weapons" checked' in tried
    assert untouched["version"] == 0 or not untouched["own"]
    assert saved.status_code == 303
    assert (held["refuse"], held["categories"]) == (["dragon*", "red boat"], ["weapons", "drugs"])
    assert held["blocked_clients"] == ["a@example.org"]
    shown = await text_of(market.stranger, f"/styles/{shop.style_id}")
    assert "The maker lets nobody draw: Weapons, Drugs, dragon*, red boat." in shown
    assert "a@example.org" not in shown


async def test_rules_that_cannot_be_saved_come_back_as_they_were_typed(
    market: Market, studio: httpx.AsyncClient, session: Session
):
    shop = await selling(market)

    answer = await studio.post(
        f"/studio/styles/{shop.style_id}/rules",
        data={"csrf": session.csrf, "refuse": "g*n", "do": "save"},
        headers=HTML,
    )

    assert answer.status_code == 422
    assert "'g*n' is no term" in html.unescape(answer.text)
    assert "g*n</textarea>" in answer.text


async def test_a_style_follows_the_rules_for_all_again(market: Market, studio: httpx.AsyncClient, session: Session):
    shop = await selling(market, prompt_rules={"refuse": ["gore"]})
    page, form = f"/studio/styles/{shop.style_id}/rules", {"csrf": session.csrf}

    await studio.post("/studio/rules", data=form | {"refuse": "fog", "do": "save"}, headers=HTML)
    own = await text_of(studio, page)
    await studio.post(page, data=form | {"do": "follow"}, headers=HTML)
    followed = await text_of(studio, page)
    await studio.post("/studio/rules", data=form | {"refuse": "", "do": "save"}, headers=HTML)

    assert "gore</textarea>" in own
    assert "This style follows" in followed
    assert "fog</textarea>" in followed


async def test_whether_one_looks_first_is_set_with_the_terms(
    market: Market, studio: httpx.AsyncClient, session: Session
):
    shop = await selling(market)
    form = {"csrf": session.csrf, "sell-personal": "yes", "price-personal": "0.60", "notice_days": "30"}

    await studio.post(f"/studio/styles/{shop.style_id}/offer", data=form | {"approval": "new_clients"}, headers=HTML)

    assert 'name="approval" value="new_clients" checked' in await text_of(
        studio, f"/studio/styles/{shop.style_id}/offer"
    )
    shown = await text_of(market.stranger, f"/styles/{shop.style_id}")
    assert "The maker looks at the first pictures of new clients before they get them." in shown


async def buying(market: Market, client: Person) -> httpx.AsyncClient:
    return browser(market, await sign_in(market, client.account))


async def test_pictures_are_released_or_kept_back_from_one_page(
    market: Market, studio: httpx.AsyncClient, session: Session
):
    shop, client = await selling(market, approval="all"), await market.client(cents=500)
    first, second = await waiting(shop, client, count=2), await waiting(shop, client, prompt="a <b>bold</b> hat")
    form = {"csrf": session.csrf}

    front = await text_of(studio, "/studio")
    queue = (await studio.get("/studio/approvals", headers=HTML)).text
    unnamed = await studio.post(f"/studio/approvals/{second}", data=form | {"decision": "reject"}, headers=HTML)
    await studio.post(f"/studio/approvals/{first}", data=form | {"decision": "approve"}, headers=HTML)
    await studio.post(
        f"/studio/approvals/{second}", data=form | {"decision": "reject", "reason": "Not mine"}, headers=HTML
    )

    assert '<strong class="badge warn">2</strong>' in front
    assert "48 hours left" in queue or "47 hours" in queue
    assert queue.count(f"/v1/approvals/{first}/pictures/") == 4
    assert "&lt;b&gt;bold" in queue
    assert unnamed.status_code == 422
    assert (await state_of(client, first, wanted="settled"))["amount"]["amount"] == 120
    assert "Not mine" in (await state_of(client, second, wanted="withdrawn"))["message"]
    assert await prepaid(client) == (380, 0)
    assert "Nothing waits for you" in await text_of(studio, "/studio/approvals")


async def test_a_decision_that_comes_too_late_is_a_sentence_on_the_page(
    market: Market, studio: httpx.AsyncClient, session: Session
):
    shop, client = await selling(market, approval="all"), await market.client()
    order_id = await waiting(shop, client)
    await client.http.post(f"/v1/generations/{order_id}/cancel")

    answer = await studio.post(
        f"/studio/approvals/{order_id}", data={"csrf": session.csrf, "decision": "approve"}, headers=HTML
    )

    assert answer.status_code == 409
    assert "waits no more: it is canceled" in answer.text


async def test_a_client_is_trusted_from_the_same_page(market: Market, studio: httpx.AsyncClient, session: Session):
    shop, client = await selling(market, approval="new_clients"), await market.client()
    order_id = await waiting(shop, client)

    await studio.post(
        f"/studio/clients/{client.account.id}", data={"csrf": session.csrf, "trust": "trusted"}, headers=HTML
    )

    assert (await shop.order(client)).json()["state"] == "settled"
    assert 'value="trusted" selected' in await text_of(studio, "/studio/approvals")
    await market.creator.http.post(f"/v1/approvals/{order_id}/reject", json={"reason": "No"})


async def test_clients_come_in_pages_and_a_decision_leads_back_to_its_page(
    market: Market, studio: httpx.AsyncClient, session: Session, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(studio_approvals, "_CLIENTS_PER_PAGE", 1)
    shop = await selling(market, approval="new_clients")
    clients = [await market.client(), await market.client()]
    for client in clients:
        order_id = await waiting(shop, client)
        await market.creator.http.post(f"/v1/approvals/{order_id}/reject", json={"reason": "No"})

    first = await text_of(studio, "/studio/approvals")
    num_pages = int(first.partition("Page 1 of ")[2].split("<")[0])
    pages = [first] + [await text_of(studio, f"/studio/approvals?page={number}") for number in range(2, num_pages + 2)]
    last = num_pages
    shown = pages[last - 1].partition('action="/studio/clients/')[2].partition("?")[0]
    saved = await studio.post(
        f"/studio/clients/{shown}?page={last}", data={"csrf": session.csrf, "trust": "trusted"}, headers=HTML
    )

    assert [text.count('action="/studio/clients/') for text in pages] == [1] * (num_pages + 1)
    assert all(any(f"/studio/clients/{client.account.id}?" in text for text in pages) for client in clients)
    assert f"Page {last} of {last}" in pages[last]
    assert saved.headers["location"] == f"/studio/approvals?done=trust&page={last}#clients"


async def test_the_desk_says_beforehand_that_the_maker_looks_first_and_then_until_when(market: Market):
    shop, client = await selling(market, approval="all"), await market.client()
    desk = await buying(market, client)

    price = await text_of(desk, f"/desk/make?style={shop.style_id}")
    order_id = await waiting(shop, client)
    order = await text_of(desk, f"/desk/orders/{order_id}")

    assert "looks first." in price
    assert "for up to 48 hours after they are made" in price
    assert "With the creator" in order
    assert "The creator looks at the pictures first, until" in order
    assert "/v1/outputs/" not in order
    await market.creator.http.post(f"/v1/approvals/{order_id}/reject", json={"reason": "No"})
    assert "does not release them: No. Nothing was charged." in await text_of(desk, f"/desk/orders/{order_id}")


async def test_the_desk_tells_a_blocked_client_before_the_order(market: Market):
    client = await market.client()
    shop = await selling(market, prompt_rules={"blocked_clients": [client.account.id]})

    page = await text_of(await buying(market, client), f"/desk/make?style={shop.style_id}")

    assert "is not for sale to you, as its creator chose" in page


async def test_another_creators_pages_are_not_there(market: Market):
    other = await market.person("creator")
    seat = browser(market, await sign_in(market, other.account))

    assert (await seat.get(f"/studio/styles/{market.style_id}/rules", headers=HTML)).status_code == 404
    assert "Nothing waits for you" in await text_of(seat, "/studio/approvals")
