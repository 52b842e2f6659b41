"""Adding money on the desk, by transfer, and what the office does with it."""

import re

import pytest

from tests.service.market import Market, prepaid
from tests.service.pages.conftest import Seat, Sit, words_of


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


async def payment_ids(seat: Seat) -> list[str]:
    return [one["id"] for one in (await seat.person.http.get("/v1/payments")).json()["items"]]


async def test_a_pack_by_transfer_waits_with_its_reference_until_the_office_books_it(
    market: Market, sit: Sit, office: Seat
):
    client = await sit(await market.client(cents=0))
    assert "Add money" in await client.read("/desk/money")
    html = (await client.http.get("/desk/money/payments")).text
    once = re.search(r'name="once" value="([^"]+)"', html)
    assert once
    for _ in range(2):
        asked = await client.send("/desk/money/payments", pack="large", once=once[1])
    (payment_id,) = await payment_ids(client)
    waiting = await client.read(asked.headers["location"])
    listed = await office.read("/office/payments")
    before = await prepaid(client.person)
    booked = await office.send(f"/office/payments/{payment_id}/received")

    assert "100 euros, 5 on top: pay EUR 100.00, get EUR 105.00" in words_of(html)
    assert "Save a card" not in html
    reference = re.search(r"with the reference (\S+);", waiting)
    assert reference
    assert reference[1] in listed
    assert "Transfer to DE89 3704 0044 0532 0130 00." in waiting
    assert (before, booked.status_code) == ((0, 0), 303)
    assert await prepaid(client.person) == (10_500, 0)
    assert "Arrived" in await client.read("/desk/money/payments")


async def test_what_cannot_be_paid_is_said_on_the_page(market: Market, sit: Sit):
    client = await sit(await market.client(cents=0))
    answers = [
        await client.send("/desk/money/payments", **form)
        for form in ({"amount": "lots"}, {"amount": "0"}, {"pack": "huge"}, {}, {"invoice": "1999-00001"})
    ]

    assert [one.status_code for one in answers] == [422, 422, 422, 422, 404]
    assert all('role="alert"' in one.text for one in answers)
    assert await payment_ids(client) == []
    assert (await client.http.get("/desk/money/save", headers={"Accept": "text/html"})).status_code == 409


async def test_money_that_is_not_spent_is_given_back_by_the_office_and_no_more(market: Market, sit: Sit, office: Seat):
    client = await sit(await market.client(cents=0))
    await client.send("/desk/money/payments", amount="7,50")
    (payment_id,) = await payment_ids(client)
    early = await office.send(f"/office/payments/{payment_id}/refunds", amount="1", why="not needed")
    await office.send(f"/office/payments/{payment_id}/received")

    no_words = await office.send(f"/office/payments/{payment_id}/refunds", amount="1", why="")
    too_much = await office.send(f"/office/payments/{payment_id}/refunds", amount="7.51", why="not needed")
    given = await office.send(f"/office/payments/{payment_id}/refunds", amount="2.50", why="not needed")
    text = await office.read(given.headers["location"])

    assert [one.status_code for one in (early, no_words, too_much, given)] == [409, 422, 409, 303]
    assert all('role="alert"' in one.text for one in (early, no_words, too_much))
    assert await prepaid(client.person) == (500, 0)
    assert "EUR 5.00 at most" in text
    assert "EUR 2.50 of it was given back." in await client.read("/desk/money/payments")
    assert (await office.send("/office/payments/pay_none/received")).status_code == 404
