"""What only the `stripe` provider has to do: read Stripe's events as they are documented, say in words why a card
failed, open creators' accounts, and keep its secrets to itself."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from licensing.errors import EventRefused, ProviderRefuses, ProviderUnreachable
from licensing.money import Money
from licensing.payments import Charge, Chargeback, ChargeRefund, CreatorAccount, Method, Setup, Transfer
from licensing.payments.stripe import Stripe
from tests.licensing.payments.fake_stripe import (
    ASKING_CARD,
    DECLINES,
    EXPIRED_CARD,
    GOOD_CARD,
    POOR_CARD,
    FakeStripe,
    running,
    signed,
)
from tests.licensing.payments.peers import receiving
from tests.licensing.world import eur

EVENTS = Path(__file__).parent / "payments" / "events"
"""Written after the shapes that Stripe documents for its API of 2025-10-29; none was sent by a real account."""
NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
SECRET, KEY = "whsec_of_the_test", "sk_test_only_for_this_test"
INTENT, REFUND, DISPUTE = "pi_3SPqLkF2mZ8vR1aB0cD4eF5g", "re_3SPqLkF2mZ8vR1aB0xYzAbCd", "du_1SPqQrF2mZ8vR1aBnMkLjHgF"


def charge(state: Any, reason: str = "") -> Charge:
    return Charge(payment_id="pay_recorded", reference=INTENT, state=state, amount=eur(9000), reason=reason)


def refund(state: Any, reason: str = "") -> ChargeRefund:
    return ChargeRefund(refund_id="ref_recorded", reference=REFUND, state=state, amount=eur(4000), reason=reason)


def chargeback(state: Any) -> Chargeback:
    return Chargeback(reference=DISPUTE, charge=INTENT, state=state, amount=eur(9000), reason="fraudulent")


def transfer(returned: int) -> Transfer:
    return Transfer(
        payout_id="out_recorded",
        reference="tr_1SPqTuF2mZ8vR1aBtRaNsFeR",
        state="succeeded",
        amount=eur(5100),
        returned=eur(returned),
    )


def account(is_ready: bool, *needs: str) -> CreatorAccount:
    return CreatorAccount(reference="acct_1SPqNsF4xQ7wE9rT", creator_id="acc_creator", is_ready=is_ready, needs=needs)


SESSION = "cs_test_c1RecordedSetupSession0000000000000000000000000000000000001"
TOLD = {
    "payment_intent.succeeded": charge("succeeded"),
    "payment_intent.succeeded.elsewhere": Charge(
        payment_id=None, reference="pi_3SPqZzF2mZ8vR1aB1Elsewhere", state="succeeded", amount=eur(9000)
    ),
    "payment_intent.payment_failed": charge(
        "failed", "there is not enough money on the card; use another card, or try again later"
    ),
    "payment_intent.payment_failed.authentication": charge(
        "failed", "the card's bank wants its owner to agree each time; use another card or way to pay"
    ),
    "payment_intent.processing": charge("pending"),
    "payment_intent.canceled": charge("failed", "it was canceled at Stripe"),
    "refund.created": refund("pending"),
    "refund.updated": refund("succeeded"),
    "refund.failed": refund("failed", "the payer's bank did not take it: expired or canceled card"),
    "charge.dispute.created": chargeback("open"),
    "charge.dispute.created.inquiry": None,
    "charge.dispute.closed.won": chargeback("won"),
    "charge.dispute.closed.lost": chargeback("lost"),
    "checkout.session.completed": Setup(
        reference=SESSION, state="succeeded", method=Method(reference="cus_1/pm_1", label="Visa ending 4242")
    ),
    "checkout.session.completed.payment": None,
    "checkout.session.expired": Setup(reference=SESSION, state="failed"),
    "account.updated": account(True),
    "account.updated.incomplete": account(False, "external_account", "individual.verification.document"),
    "transfer.created": transfer(0),
    "transfer.reversed": transfer(5100),
    "customer.created": None,
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeStripe]:
    with running(FakeStripe(api_key=KEY, webhook_secret=SECRET, now=lambda: NOW)) as server:
        yield server


@pytest.fixture
async def stripe(fake: FakeStripe) -> AsyncIterator[Stripe]:
    provider = Stripe(api_key=KEY, webhook_secrets=(SECRET,), base_url=fake.base_url)
    yield provider
    await provider.close()


async def saved(stripe: Stripe, fake: FakeStripe, number: str = GOOD_CARD, client_id: str = "acc_1") -> Method:
    fake.forget_keys()
    page = await stripe.begin_setup(setup_id="set_1", client_id=client_id, return_url="https://ownhand.example/desk")
    assert page is not None
    fake.save_card(page.reference, number)
    method = (await stripe.find_setup(page.reference)).method
    assert method is not None
    return method


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.iterdir()))
async def test_an_event_as_stripe_documents_it_is_read(stripe: Stripe, fake: FakeStripe, name: str):
    body = (EVENTS / f"{name}.json").read_bytes()
    card = {"brand": "visa", "last4": "4242"}
    fake.objects["pm_1"] = {"id": "pm_1", "object": "payment_method", "card": card}
    fake.objects["seti_1"] = {"id": "seti_1", "object": "setup_intent", "payment_method": "pm_1"}
    fake.objects[SESSION] = {"id": SESSION, "object": "checkout.session", "mode": "setup", "status": "complete"}
    fake.objects[SESSION] |= {"customer": "cus_1", "setup_intent": "seti_1"}

    event = await stripe.read_event(*signed(body, SECRET, NOW), now=NOW)

    written = json.loads(body)
    assert event.news == TOLD[name]
    assert (event.id, event.kind) == (written["id"], written["type"])
    assert event.at == datetime.fromtimestamp(written["created"], UTC)


def test_every_kind_of_news_is_read_from_a_written_event():
    assert set(TOLD) == {path.stem for path in EVENTS.iterdir()}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nothing",
        b"\xff\xfe",
        b'{"id": "evt_1", "type": "payment_intent.succeeded", "created": 1}',
        b'{"id": "evt_1", "type": "payment_intent.succeeded", "created": 1, "data": {"object": "pi_1"}}',
        b'{"id": "evt_1", "type": "customer.created", "created": "today", "data": {"object": {}}}',
    ],
)
async def test_what_is_signed_and_cannot_be_read_is_refused(stripe: Stripe, body: bytes):
    with pytest.raises(EventRefused):
        await stripe.read_event(*signed(body, SECRET, NOW), now=NOW)


async def test_an_event_signed_with_any_secret_in_use_is_read(fake: FakeStripe):
    body = (EVENTS / "payment_intent.succeeded.json").read_bytes()
    both = Stripe(api_key=KEY, webhook_secrets=("whsec_old", "whsec_new"), base_url=fake.base_url)

    for secret in both.webhook_secrets:
        assert (await both.read_event(*signed(body, secret, NOW), now=NOW)).news == charge("succeeded")
    with pytest.raises(EventRefused):
        await both.read_event(*signed(body, SECRET, NOW), now=NOW)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (POOR_CARD, "not enough money"),
        (EXPIRED_CARD, "has expired"),
        (ASKING_CARD, "owner to agree"),
        ("4000000000000002", "declined"),
    ],
)
async def test_why_a_card_failed_is_said_in_words(stripe: Stripe, fake: FakeStripe, number: str, says: str):
    method = await saved(stripe, fake, number)

    made = await stripe.charge(payment_id=f"pay_{number}", amount=eur(9000), method=method.reference)

    assert number in DECLINES
    assert (made.state, made.amount) == ("failed", eur(9000))
    assert says in made.reason
    assert made.reference is not None
    assert made.reference.startswith("pi_")


async def test_a_card_that_is_gone_or_was_never_saved_fails_in_words(stripe: Stripe, fake: FakeStripe):
    method = await saved(stripe, fake)

    await stripe.forget_method(method.reference)
    await stripe.forget_method(method.reference)

    gone = await stripe.charge(payment_id="pay_gone", amount=eur(9000), method=method.reference)
    none = await stripe.charge(payment_id="pay_none", amount=eur(9000), method=None)
    small = await stripe.charge(payment_id="pay_small", amount=eur(10), method=(await saved(stripe, fake)).reference)
    assert [one.state for one in (gone, none, small)] == ["failed"] * 3
    assert "save the card" in gone.reason
    assert "no card is saved" in none.reason
    assert "below what cards take" in small.reason


async def test_a_second_card_of_a_client_is_of_the_same_customer(stripe: Stripe, fake: FakeStripe):
    first = await saved(stripe, fake)
    fake.forget_keys()
    page = await stripe.begin_setup(
        setup_id="set_2", client_id="acc_1", return_url="https://ownhand.example/desk", present=first
    )
    assert page is not None
    fake.save_card(page.reference, "5555555555554444")

    second = (await stripe.find_setup(page.reference)).method

    assert second is not None
    assert second.label == "Mastercard ending 4444"
    assert second.reference.split("/")[0] == first.reference.split("/")[0]


async def test_a_client_saves_a_card_on_the_hosted_page_and_comes_back(stripe: Stripe, fake: FakeStripe):
    fake.forget_keys()
    page = await stripe.begin_setup(
        setup_id="set_3", client_id="acc_1", return_url="https://ownhand.example/desk?setup=3"
    )
    assert page is not None
    open_still = await stripe.find_setup(page.reference)

    async with httpx.AsyncClient() as browser:
        shown = await browser.get(page.url)
        answer = await browser.post(page.url, data={"number": "4242 4242 4242 4242", "go": "save"})

    assert "<button" in shown.text
    assert (answer.status_code, answer.headers["location"]) == (303, "https://ownhand.example/desk?setup=3")
    assert open_still.state == "pending"
    assert (await stripe.find_setup(page.reference)).state == "succeeded"


async def test_a_creator_opens_an_account_and_is_paid_once(stripe: Stripe, fake: FakeStripe):
    method = await saved(stripe, fake)
    await stripe.charge(payment_id="pay_income", amount=eur(20_000), method=method.reference)
    page = await stripe.begin_onboarding(
        creator_id="acc_maker", account=None, return_url="https://ownhand.example/studio"
    )
    assert page is not None
    again = await stripe.begin_onboarding(
        creator_id="acc_maker", account=page.reference, return_url="https://ownhand.example/studio"
    )
    before = await stripe.find_account(page.reference)
    early = await stripe.transfer(payout_id="out_early", amount=eur(5100), account=page.reference)

    async with httpx.AsyncClient() as browser:
        await browser.post(page.url, data={"go": "open"})
    sent = [await stripe.transfer(payout_id="out_1", amount=eur(5100), account=page.reference) for _ in range(3)]
    beyond = await stripe.transfer(payout_id="out_2", amount=eur(900_000), account=page.reference)

    assert again is not None
    assert again.reference == page.reference
    assert (before.is_ready, before.creator_id, before.needs[0]) == (False, "acc_maker", "external_account")
    assert (early.state, "complete it" in early.reason) == ("failed", True)
    assert (await stripe.find_account(page.reference)).is_ready
    assert len({one.reference for one in sent}) == 1
    assert (beyond.state, "does not cover it" in beyond.reason) == ("failed", True)
    assert sent[0].reference is not None
    fake.reverse(sent[0].reference, 5100)
    [listed] = [one async for one in stripe.list_transfers(NOW - timedelta(days=1))]
    assert (listed.payout_id, listed.amount, listed.returned) == ("out_1", eur(5100), eur(5100))


async def test_a_list_of_more_than_a_page_is_whole(stripe: Stripe, fake: FakeStripe):
    method = await saved(stripe, fake)
    customer, card = method.reference.split("/")
    asked = {"amount": "100", "currency": "eur", "customer": customer, "payment_method": card, "confirm": "true"}
    for number in range(230):
        fake.answer("POST", "payment_intents", {**asked, "metadata": {"payment_id": f"pay_many_{number}"}}, None)

    listed = [one.payment_id async for one in stripe.list_charges(NOW - timedelta(days=1))]

    many = [payment_id for payment_id in listed if payment_id and payment_id.startswith("pay_many_")]
    assert len(many) == len(set(many)) == 230
    assert [one async for one in stripe.list_charges(NOW + timedelta(hours=1))] == []


async def test_where_stripe_does_not_answer_money_is_pending_and_questions_say_so():
    nowhere = Stripe(api_key=KEY, webhook_secrets=(SECRET,), base_url="http://127.0.0.1:9", timeout_s=2)

    charged = await nowhere.charge(payment_id="pay_1", amount=eur(9000), method="cus_1/pm_1")
    refunded = await nowhere.refund(refund_id="ref_1", charge="pi_1", amount=eur(9000))
    sent = await nowhere.transfer(payout_id="out_1", amount=eur(9000), account="acct_1")

    assert [(one.state, one.reference) for one in (charged, refunded, sent)] == [("pending", None)] * 3
    with pytest.raises(ProviderUnreachable, match="try again later"):
        await nowhere.find_setup("cs_1")
    with pytest.raises(ProviderUnreachable):
        _ = [one async for one in nowhere.list_charges(NOW)]


async def test_secrets_are_in_no_text_and_no_log(fake: FakeStripe, caplog: pytest.LogCaptureFixture):
    wrong = Stripe(api_key="sk_test_wrong_secret", webhook_secrets=("whsec_hidden",), base_url=fake.base_url)
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ProviderRefuses, match="does not take the API key") as refused:
        await wrong.begin_setup(setup_id="set_9", client_id="acc_9", return_url="https://ownhand.example/")
    with pytest.raises(EventRefused) as unsigned:
        await wrong.read_event(*signed(b"{}", SECRET, NOW), now=NOW)
    with pytest.raises(ProviderRefuses):
        await wrong.charge(payment_id="pay_9", amount=eur(9000), method="cus_1/pm_1")

    texts = [repr(wrong), repr(refused.value), repr(unsigned.value), caplog.text]
    assert refused.value.__cause__ is None
    assert not any(secret in text for text in texts for secret in ("wrong_secret", "whsec_hidden"))


async def test_currencies_that_stripe_counts_otherwise_are_told_in_its_units(stripe: Stripe, fake: FakeStripe):
    method = await saved(stripe, fake)

    made = await stripe.charge(payment_id="pay_isk", amount=Money(1500, "ISK"), method=method.reference)

    assert made.amount == Money(1500, "ISK")
    assert fake.objects[made.reference or ""]["amount"] == 150_000
    with pytest.raises(ProviderRefuses, match="MGA"):
        await stripe.charge(payment_id="pay_mga", amount=Money(1500, "MGA"), method=method.reference)


async def test_the_same_id_for_another_amount_is_a_fault_and_no_second_charge(stripe: Stripe, fake: FakeStripe):
    method = await saved(stripe, fake)
    await stripe.charge(payment_id="pay_same", amount=eur(9000), method=method.reference)
    before = fake.balance()

    with pytest.raises(ProviderRefuses, match="same parameters"):
        await stripe.charge(payment_id="pay_same", amount=eur(9001), method=method.reference)

    assert fake.balance() == before


async def test_events_are_sent_as_soon_as_they_happen_where_an_address_is_set(stripe: Stripe, fake: FakeStripe):
    fake.deliveries()
    with receiving() as (url, received):
        fake.webhook_url = url
        method = await saved(stripe, fake)
        await stripe.charge(payment_id="pay_sent", amount=eur(9000), method=method.reference)
        fake.webhook_url = None

    kinds = [(await stripe.read_event(body, headers, now=NOW)).kind for body, headers in received]
    assert kinds[-1] == "payment_intent.succeeded"
