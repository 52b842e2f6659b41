"""A key's spending limit: a quote knows it, and its owner may change it."""

from licensing import keys
from licensing.money import Money
from service.audit import list_entries
from tests.service.conftest import Person, browser, connect, sign_in, slug_of
from tests.service.market import PRICE, Market


async def capped_key(market: Market, client: Person, cents: int) -> keys.IssuedKey:
    web = market.gateway
    async with web.pool.acquire() as conn:
        return await keys.issue(
            conn,
            account_id=client.account.id,
            kind="live",
            cap=cents,
            new_id=web.new_id,
            now=web.clock(),
            pepper=web.pepper,
        )


async def quoted(market: Market, token: str, count: int) -> object:
    body = {"style": market.style_id, "prompt": "an apple", "count": count}
    return await connect(market.app, token).post("/v1/quotes", json=body)


async def test_a_quote_refuses_what_an_order_with_the_key_would_be_refused(market: Market):
    client = await market.client()
    token = (await capped_key(market, client, 2 * PRICE)).token

    within, over = await quoted(market, token, 2), await quoted(market, token, 3)

    assert within.json()["amount"]["amount"] == 2 * PRICE
    assert slug_of(over) == "spend_cap_reached"
    assert over.json()["values"]["left"] == 2 * PRICE
    assert (await quoted(market, client.token, 3)).status_code == 200


async def test_its_owner_raises_and_lowers_the_limit_but_not_below_what_is_spent(market: Market):
    client, stranger = await market.client(), await market.client()
    key = await capped_key(market, client, PRICE)
    spender = Person(account=client.account, token=key.token, http=connect(market.app, key.token))
    assert (await market.order(spender)).json()["state"] == "settled"
    session, other = await sign_in(market, client.account), await sign_in(market, stranger.account)
    desk, path = browser(market, session), f"/desk/keys/{key.id}/cap"

    raised = await desk.post(path, data={"csrf": session.csrf, "cap": "1.80"})
    quote = await quoted(market, key.token, 2)
    lowered = await desk.post(path, data={"csrf": session.csrf, "cap": "0.10"})
    foreign = await browser(market, other).post(path, data={"csrf": other.csrf, "cap": "9"})

    assert raised.headers["location"] == "/desk/keys?done=changed"
    assert quote.status_code == 200
    assert (lowered.status_code, foreign.status_code) == (409, 404)
    assert f"{Money(PRICE, 'EUR')} are spent and held" in lowered.text
    async with market.gateway.pool.acquire() as conn:
        (listed, *_) = [one for one in await keys.listing(conn, account_id=client.account.id) if one.id == key.id]
        record = await list_entries(conn, client.account.id, limit=20)
    assert (listed.cap, listed.spent) == (180, PRICE)
    assert [line.subject for line in record if line.kind == "key_cap_changed"] == [key.id]
    assert await market.ledger_problems() == []
