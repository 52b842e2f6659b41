"""Being paid through Stripe, on the page: begun, gone on with, come back from, chosen and left."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from licensing.errors import ProviderUnreachable
from licensing.payees import CHANGE_DELAY
from licensing.payments.stripe import Stripe
from service import transfers
from service.pages.studio_payouts import wanted_in_words
from tests.licensing.payments.fake_stripe import FakeStripe
from tests.service.market import Market, MovableClock, open_market, publish_style
from tests.service.orders.test_spend_and_earnings import sell
from tests.service.pages.conftest import Seat, Sit, words_of
from tests.service.pages.test_cards import save

BANK = {"holder": "Mara Lind", "iban": "DE89370400440532013000", "minimum": "1.00", "schedule": "never"}


@pytest.fixture(scope="module")
async def market(
    stripe: FakeStripe, database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    """A market whose operator pays through Stripe."""
    folder = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, clock=clock, forms_per_minute=10_000, **stripe.settings) as opened:
        yield opened


@pytest.fixture
async def studio(market: Market, sit: Sit) -> Seat:
    """A creator who has said nothing yet."""
    return await sit(await market.person("creator"))


async def begin(seat: Seat) -> str:
    """To Stripe's page; the account that was begun."""
    led = await seat.http.get("/studio/payouts/connect", headers={"Accept": "text/html"})
    assert led.status_code == 303, led.text
    return led.headers["location"].rsplit("/", 1)[-1]


async def come_back(seat: Seat) -> str:
    """What the page says after a visit to Stripe."""
    back = await seat.http.get("/studio/payouts/connected", headers={"Accept": "text/html"})
    assert back.status_code == 303, back.text
    return await seat.read(back.headers["location"])


async def test_an_account_is_begun_gone_on_with_and_paid_to(
    market: Market, clock: MovableClock, studio: Seat, stripe: FakeStripe, sit: Sit
):
    style_id = await publish_style(market.gateway, studio.person, market.adapter)
    client = await sit(await market.client(cents=0))
    await client.http.get(await save(stripe, client))
    await client.send("/desk/money/payments", amount="20")
    await sell(market, client.person, style_id, count=4)
    before = await studio.read("/studio/payouts")
    account = await begin(studio)
    unfinished = await come_back(studio)
    early = await studio.send("/studio/payouts/connected", minimum="1.00", schedule="never")
    stripe.forget_keys()
    again = await begin(studio)
    stripe.complete_account(account)
    ready = await come_back(studio)
    record = await studio.read("/studio/record/happened")
    clock.ahead += CHANGE_DELAY + timedelta(minutes=1)
    studio = await sit(studio.person)
    asked = await studio.send("/studio/payouts")
    said = await studio.read(asked.headers["location"])
    await transfers.send_payouts(market.gateway)
    paid = await studio.read("/studio/payouts")

    assert "Open an account at Stripe" in before
    assert "By bank transfer instead" in before
    assert "Your account at Stripe does not take money yet." in unfinished
    assert "Stripe still wants: the bank account that it pays to your yes to its terms" in unfinished
    assert early.status_code == 409
    assert "finish it first" in words_of(early.text)
    assert again == account, "what was begun is gone on with, also a day later"
    assert "Your account at Stripe takes money." in ready
    assert "Through Stripe:" in ready
    assert f"The account {account} at the payment provider was begun" in record
    assert "Stripe carries it out." in said
    assert (await studio.person.http.get("/v1/payouts")).json()["items"][0]["method"] == "stripe"
    assert "Paid on" in paid
    assert "Through Stripe pyt_" in paid


async def test_when_and_from_are_changed_there_and_a_bank_account_can_be_chosen_instead(
    studio: Seat, stripe: FakeStripe
):
    stripe.complete_account(await begin(studio))
    await come_back(studio)

    low = await studio.send("/studio/payouts/connected", minimum="0.00", schedule="weekly")
    changed = await studio.send("/studio/payouts/connected", minimum="25.00", schedule="weekly")
    weekly = await studio.read(changed.headers["location"])
    await studio.send("/studio/payouts/payee", **BANK)
    told = await come_back(studio)
    back = await studio.send("/studio/payouts/connected", minimum="25.00", schedule="monthly")

    assert low.status_code == 422
    assert "Every Monday, next" in weekly
    assert "From EUR 25.00" in weekly
    assert "By bank transfer: Mara Lind" in told, "whoever chose a bank account since is not brought back by Stripe"
    assert "Be paid through Stripe" in told
    assert "Through Stripe:" in await studio.read(back.headers["location"])


async def test_stripe_that_does_not_answer_is_said_and_the_rest_of_the_page_is_there(
    studio: Seat, monkeypatch: pytest.MonkeyPatch
):
    await begin(studio)

    async def silent(provider: Stripe, account: str) -> None:
        raise ProviderUnreachable("nobody there")

    monkeypatch.setattr(Stripe, "find_account", silent)
    page, back = await studio.read("/studio/payouts"), await come_back(studio)
    asked = await studio.send("/studio/payouts/connected", minimum="1.00", schedule="never")

    assert "Stripe does not answer at the moment, so how your account there stands cannot be shown." in page
    assert "Where your earnings are" in page
    assert "If you were done there, it will show here in a while." in back
    assert asked.headers["location"] == "/studio/payouts?done=asking"


def test_what_stripe_wants_is_said_once_and_in_words():
    needs = ("individual.first_name", "individual.dob.day", "individual.verification.document", "settings.new_thing")

    assert wanted_in_words(needs) == (
        "who you are, and where you live",
        "a document that shows who you are",
        "settings, new thing",
    )
