"""Where a creator is paid and when, and how the office pays."""

from datetime import timedelta

import pytest

from licensing.payees import CHANGE_DELAY
from tests.service.market import Market, MovableClock
from tests.service.pages.conftest import Seat, Sit, words_of

PAYEE = {"holder": "Mara Lind", "iban": "DE89370400440532013000", "minimum": "1.00", "schedule": "never"}


@pytest.fixture
async def studio(market: Market, sit: Sit) -> Seat:
    """The creator, who has sold two pictures more."""
    client = await market.client()
    for _ in range(2):
        assert (await market.order(client, wait=60)).json()["state"] == "settled"
    return await sit(market.creator)


async def test_a_creator_says_where_is_paid_by_a_file_and_what_comes_back_is_payable_again(
    market: Market, clock: MovableClock, sit: Sit, studio: Seat
):
    assert "Say where you are paid" in await studio.read("/studio/payouts")
    wrong = await studio.send("/studio/payouts/payee", **PAYEE | {"iban": "DE00"})
    small = await studio.send("/studio/payouts/payee", **PAYEE | {"minimum": "0.01"})
    odd = await studio.send("/studio/payouts/payee", **PAYEE | {"schedule": "hourly"})
    assert [one.status_code for one in (wrong, small, odd)] == [422, 422, 422]
    assert "is no IBAN" in words_of(wrong.text)
    assert 'value="Mara Lind"' in wrong.text, "what was typed is there to be changed"

    saved = await studio.send("/studio/payouts/payee", **PAYEE)
    text = await studio.read(saved.headers["location"])
    assert "Nothing is paid out before" in text
    assert PAYEE["iban"] not in text
    assert "3000" in text
    clock.ahead += CHANGE_DELAY + timedelta(minutes=1)
    studio, office = await sit(market.creator), await sit(await market.person("operator"))
    asked = await studio.send("/studio/payouts")
    assert asked.status_code == 303, words_of(asked.text)
    assert "On its way" in await studio.read(asked.headers["location"])
    again = await studio.send("/studio/payouts")
    assert again.status_code == 409

    assert market.creator.account.name in await office.read("/office/payouts")
    made = await office.send("/office/payouts/runs")
    run = made.headers["location"]
    none = await office.send("/office/payouts/runs")
    table = await office.http.get(f"{run}/file?format=csv", headers={"Accept": "text/html"})
    no_account = await office.http.get(f"{run}/file?format=xml", headers={"Accept": "text/html"})
    no_words = await office.send(f"{run}/confirm", reference="")
    confirmed = await office.send(f"{run}/confirm", reference="bank 7")
    assert [one.status_code for one in (none, table, no_account, no_words, confirmed)] == [409, 200, 409, 422, 303]
    assert PAYEE["iban"] in table.text
    assert "configs/seller.toml" in words_of(no_account.text)
    paid = await studio.read("/studio/payouts")
    assert "as bank 7" in paid

    payout_id = (await studio.person.http.get("/v1/payouts")).json()["items"][0]["id"]
    silent = await office.send(f"/office/payouts/{payout_id}/fail", reason="")
    back = await office.send(f"/office/payouts/{payout_id}/fail", reason="No such account.")
    assert (silent.status_code, back.status_code) == (422, 303)
    assert "No such account. It is payable again." in await studio.read("/studio/payouts")
    assert "Came back" in await office.read(back.headers["location"])
    assert (await office.send("/office/payouts/pyt_none/fail", reason="No.")).status_code == 404


async def test_a_change_of_the_account_waits_three_days_and_stands_in_the_history(studio: Seat):
    await studio.send("/studio/payouts/payee", **PAYEE)
    await studio.send("/studio/payouts/payee", **PAYEE | {"iban": "FR7630006000011234567890189", "schedule": "weekly"})

    text = await studio.read("/studio/payouts")
    refused = await studio.send("/studio/payouts")

    assert "If that was not you, change it back now." in text
    assert "Every Monday, next" in text
    assert "Every change" in text
    assert refused.status_code == 409
    assert 'role="alert"' in refused.text


async def test_nothing_of_a_provider_shows_where_creators_are_paid_by_bank_transfer(market: Market, sit: Sit):
    seat = await sit(await market.person("creator"))

    text = await seat.read("/studio/payouts")
    led = await seat.http.get("/studio/payouts/connect", headers={"Accept": "text/html"})
    back = await seat.http.get("/studio/payouts/connected", headers={"Accept": "text/html"})
    after = await seat.read(back.headers["location"])
    asked = await seat.send("/studio/payouts/connected", minimum="1.00", schedule="never")

    assert "Stripe" not in text + after
    assert "ank transfer" not in text
    assert led.status_code == asked.status_code == 409
    assert "Creators are paid by bank transfer here: give an IBAN instead." in words_of(led.text)
