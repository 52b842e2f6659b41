"""Paying by card on the desk: saved at the provider, shown here by its end, charged and removed."""

from collections.abc import AsyncIterator

import pytest

from tests.licensing.payments.fake_stripe import POOR_CARD, FakeStripe
from tests.service.market import Market, open_market, prepaid
from tests.service.pages.conftest import Seat, Sit


@pytest.fixture(scope="module")
async def market(
    stripe: FakeStripe, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Market]:
    """A market that takes cards."""
    async with open_market(
        database_url,
        tmp_path_factory.mktemp("market"),
        forms_per_minute=10_000,
        **stripe.settings,
    ) as opened:
        yield opened


@pytest.fixture
async def seat(market: Market, sit: Sit) -> Seat:
    """A client who has nothing."""
    return await sit(await market.client(cents=0))


async def save(stripe: FakeStripe, seat: Seat, *number: str) -> str:
    """To the provider's page, and back to the address that it leads to."""
    led = await seat.http.get("/desk/money/save", headers={"Accept": "text/html"})
    assert led.status_code == 303, led.text
    session_id = led.headers["location"].rsplit("/", 1)[-1]
    stripe.save_card(session_id, *number)
    (back,) = [one["success_url"] for one in stripe.of("checkout.session") if one["id"] == session_id]
    return "/desk/money/saved/" + back.rsplit("/", 1)[-1].split("?")[0]


async def test_a_card_is_saved_shown_charged_and_removed(market: Market, sit: Sit, seat: Seat, stripe: FakeStripe):
    other = await sit(await market.client(cents=0))
    assert "Save a card first" in await seat.read("/desk/money/payments")
    back = await save(stripe, seat)

    theirs = await other.http.get(back, headers={"Accept": "text/html"})
    came = await seat.http.get(back, headers={"Accept": "text/html"})
    saved = await seat.read(came.headers["location"])
    paid = await seat.send("/desk/money/payments", pack="small")
    money = await prepaid(seat.person)
    removed = await seat.send("/desk/money/method/remove")

    assert theirs.status_code == 404
    assert came.headers["location"].endswith("done=saved")
    assert "ending 4242" in saved
    assert paid.headers["location"].endswith("done=succeeded")
    assert money == (2000, 0)
    assert "Nothing is saved." in await seat.read(removed.headers["location"])
    assert (await seat.send("/desk/money/payments", pack="small")).status_code == 409


async def test_a_declined_card_says_why_and_costs_nothing(seat: Seat, stripe: FakeStripe):
    await seat.http.get(await save(stripe, seat, POOR_CARD))

    declined = await seat.send("/desk/money/payments", amount="20")
    text = await seat.read(declined.headers["location"])

    assert declined.headers["location"].endswith("done=failed")
    assert "It could not be charged" in text
    assert "Failed" in text
    assert await prepaid(seat.person) == (0, 0)
