"""What every payment provider keeps: `manual` with a bank's statement, `stripe` against a Stripe of our own and against
localstripe, which does less."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from licensing import ledger
from licensing.billing import methods, payments, transfers_back
from licensing.billing.payments import Payment, PaymentRefund
from licensing.billing.provider_events import Taken, take_event
from licensing.billing.reconciliation import Reconciled, reconcile
from licensing.errors import EventRefused, ProviderUnusable
from licensing.migrate import migrate
from licensing.payments import PROVIDERS, Page, open_provider
from licensing.payments.manual import Manual
from licensing.payments.stripe import EVENT_AGE_MAX_S, Stripe
from licensing.terms import StyleTerms
from tests.licensing.payments.fake_stripe import (
    ASKING_CARD,
    GOOD_CARD,
    POOR_CARD,
    SLOW_CARD,
    SLOW_REFUND_CARD,
    FakeStripe,
    running,
    seeded_mishaps,
)
from tests.licensing.payments.peers import Bank, FakePeer, LocalstripePeer, Peer, running_localstripe
from tests.licensing.world import World, eur, new_id, refused
from tests.postgres import Server

SEEDS_LONG = 100
IMPATIENT = pytest.mark.parametrize("fake", [0.4], indirect=True)


@pytest.fixture(scope="module")
def template(postgres: Server) -> Iterator[str]:
    name = postgres.create_database()
    migrate(postgres.url(name))
    yield name
    postgres.drop_database(name)


@pytest.fixture
async def world(postgres: Server, template: str) -> AsyncIterator[World]:
    """A ledger for each test: what a provider lists is all that there is. At its end every rule still holds."""
    name = postgres.create_database(template=template)
    async with asyncpg.create_pool(postgres.url(name), min_size=1, max_size=8) as pool:
        yield World(pool=pool)
        async with pool.acquire() as conn:
            assert await ledger.check(conn) == []
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def localstripe() -> Iterator[LocalstripePeer]:
    with running_localstripe() as peer:
        yield peer


@pytest.fixture
async def fake(world: World, request: pytest.FixtureRequest) -> AsyncIterator[FakePeer]:
    """A Stripe of our own, waited for as long as no busy machine needs; `IMPATIENT` tests meet its silence."""
    with running(FakeStripe(now=lambda: world.now)) as server:
        provider = Stripe(
            api_key=server.api_key,
            webhook_secrets=("whsec_before", server.webhook_secret),
            base_url=server.base_url,
            timeout_s=getattr(request, "param", 20.0),
        )
        yield FakePeer(fake=server, provider=provider)
        await provider.close()


@pytest.fixture(params=["manual", "stripe", "localstripe"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """Every provider, for what every peer can do."""
    if request.param == "manual":
        return Bank()
    found: Peer = request.getfixturevalue("fake" if request.param == "stripe" else "localstripe")
    return found


@pytest.fixture(params=["manual", "stripe"])
def listing(request: pytest.FixtureRequest) -> Peer:
    """Every provider whose peer lists what was done; localstripe lists nothing since a time."""
    return Bank() if request.param == "manual" else request.getfixturevalue("fake")


async def begun(world: World, peer: Peer, amount: int = 9000, *, method: Any = "saved", **given: Any) -> Payment:
    """A payment of a new client that was begun, by a method that can be charged."""
    client_id = given.pop("client_id", None) or new_id("acc")
    about: dict[str, Any] = {"purpose": "prepaid", "subject": None} | given
    if method == "saved":
        method = await peer.method_of(client_id)
    async with world.pool.acquire() as conn:
        payment = await payments.begin_payment(
            conn,
            payment_id=new_id("pay"),
            client_id=client_id,
            provider=peer.provider.name,
            amount=eur(amount),
            method=method,
            now=world.now,
            **about,
        )
    assert isinstance(payment, Payment), payment
    return payment


async def paid(world: World, peer: Peer, payment: Payment) -> Payment:
    async with world.pool.acquire() as conn:
        answer = await payments.pay(conn, peer.provider, payment, now=world.now)
    assert isinstance(answer, Payment), answer
    return answer


async def arrived(world: World, peer: Peer, amount: int = 9000, **given: Any) -> Payment:
    """A payment that has arrived, by whatever tells of it at this provider."""
    payment = await paid(world, peer, await begun(world, peer, amount, **given))
    peer.pays(payment.id, payment.amount)
    if payment.state == "pending":
        await reconciled(world, peer)
    found = await now_known(world, payment)
    assert found.state == "succeeded", found
    return found


async def now_known(world: World, payment: Payment) -> Payment:
    async with world.pool.acquire() as conn:
        found = await payments.find_payment(conn, payment.id, client_id=payment.client_id)
    assert found is not None
    return found


async def reconciled(world: World, peer: Peer) -> Reconciled:
    async with world.pool.acquire() as conn:
        return await reconcile(conn, peer.provider, since=world.now - timedelta(days=35), now=world.now)


async def taken(world: World, peer: Peer, deliveries: Any) -> list[Taken]:
    """Read and take events as a web process would, each on its own."""
    found = []
    for body, headers in deliveries:
        event = await peer.provider.read_event(body, headers, now=peer.now(world.now))
        async with world.pool.acquire() as conn:
            found.append(await take_event(conn, peer.provider.name, event, now=world.now))
    return found


async def refund(world: World, payment: Payment, amount: int, refund_id: str | None = None) -> Any:
    async with world.pool.acquire() as conn:
        return await payments.begin_refund(
            conn,
            refund_id=refund_id or new_id("ref"),
            payment_id=payment.id,
            amount=eur(amount),
            why="asked for",
            by="acc_operator",
            now=world.now,
        )


async def given_back(world: World, peer: Peer, wanted: PaymentRefund) -> PaymentRefund:
    async with world.pool.acquire() as conn:
        answer = await payments.give_back(conn, peer.provider, wanted, now=world.now)
    assert isinstance(answer, PaymentRefund), answer
    return answer


async def free(world: World, client_id: str) -> int:
    return (await world.usage(client_id)).prepaid.amount


async def test_a_payment_that_arrived_is_prepaid_money(world: World, peer: Peer):
    before, cash = peer.balance(), await world.balance("cash:operator:EUR")

    payment = await arrived(world, peer)

    assert payment.reference
    assert await free(world, payment.client_id) == 9000
    assert await world.balance("cash:operator:EUR") == cash - 9000
    assert peer.balance() == before + 9000


async def test_what_a_person_has_to_do_is_said_in_a_sentence_or_nothing_is(world: World, peer: Peer):
    said = peer.provider.instructions(payment_id="pay_1", amount=eur(9000))

    if isinstance(peer, Bank):
        assert said == "Transfer 90.00 EUR with the reference OH-DV412-4ENG7; it counts when it has arrived."
    else:
        assert said is None


async def test_an_event_with_a_bad_signature_is_refused(world: World, peer: Peer):
    body, headers = peer.forged(world.now)
    now = peer.now(world.now)

    for wrong in (headers, {}, {"Stripe-Signature": "t=1,v1="}, {"stripe-signature": "nonsense"}):
        with pytest.raises(EventRefused):
            await peer.provider.read_event(body, wrong, now=now)


async def test_an_event_that_its_provider_signed_is_refused_where_it_was_changed_or_is_too_old(
    world: World, fake: FakePeer
):
    await arrived(world, fake)
    body, headers = (await fake.events())[-1]
    late = world.now + timedelta(seconds=EVENT_AGE_MAX_S + 1)

    with pytest.raises(EventRefused, match="signature is not Stripe's"):
        await fake.provider.read_event(body.replace(b"9000", b"90000"), headers, now=world.now)
    with pytest.raises(EventRefused, match="too old"):
        await fake.provider.read_event(body, headers, now=late)
    # Nothing in the header but what was signed says when it was signed.
    signed_at, _, signature = headers["Stripe-Signature"].partition(",")
    for written in (
        f"{signed_at},t={late.timestamp():.0f}",
        f"{signed_at.replace('=', '= ')},t={late.timestamp():.0f}",
    ):
        with pytest.raises(EventRefused):
            await fake.provider.read_event(body, {"Stripe-Signature": f"{written},{signature}"}, now=late)
    assert (await fake.provider.read_event(body, headers, now=world.now)).kind.startswith("payment_intent.")


async def test_what_is_told_twice_happens_once(world: World, peer: Peer):
    payment = await arrived(world, peer)
    events = await peer.events()

    first = await taken(world, peer, events)
    again = await taken(world, peer, events)
    if not isinstance(peer, LocalstripePeer):
        assert (await reconciled(world, peer)).ended == (await reconciled(world, peer)).ended == ()

    assert [one.repeated for one in first] == [False] * len(events)
    assert [one.repeated for one in again] == [True] * len(events)
    assert await free(world, payment.client_id) == 9000
    assert isinstance(peer, Bank) or events


@IMPATIENT
async def test_an_event_alone_ends_a_payment_whose_answer_was_lost(world: World, fake: FakePeer):
    payment = await begun(world, fake)
    fake.fake.mishap = lambda path: "silence_after" if path == "payment_intents" else None

    unknown = await paid(world, fake, payment)
    await taken(world, fake, await fake.events())

    assert (unknown.state, unknown.reference) == ("pending", None)
    assert (await now_known(world, payment)).state == "succeeded"
    assert await free(world, payment.client_id) == 9000


async def test_what_an_event_should_have_told_is_found_in_the_list(world: World, listing: Peer):
    payment = await begun(world, listing)
    if isinstance(listing, FakePeer):
        listing.fake.mishap = lambda path: "error_after" if path == "payment_intents" else None
    pending = await paid(world, listing, payment)
    listing.pays(payment.id, payment.amount)
    await listing.events()

    found = await reconciled(world, listing)

    assert pending.state == "pending"
    assert payment.id in found.ended
    assert found.findings == ()
    assert await free(world, payment.client_id) == 9000


async def test_the_same_payment_asked_twice_is_one_charge(world: World, listing: Peer):
    before, payment = listing.balance(), await begun(world, listing)

    await asyncio.gather(*(paid(world, listing, payment) for _ in range(4)))
    listing.pays(payment.id, payment.amount)
    await reconciled(world, listing)

    assert listing.balance() == before + 9000
    assert await free(world, payment.client_id) == 9000


async def test_a_refund_is_never_above_its_payment(world: World, peer: Peer):
    payment = await arrived(world, peer)
    # Other money of the same client changes nothing about it.
    await world.credit(payment.client_id, 5000)

    refused(await refund(world, payment, 9001), "conflict")
    first = await refund(world, payment, 6000)
    refused(await refund(world, payment, 3001), "conflict")
    second = await refund(world, payment, 3000)
    nothing_left = refused(await refund(world, payment, 1), "conflict")

    assert "0 EUR" in nothing_left.message
    for one in (first, second):
        await given_back(world, peer, one)
        peer.takes_back(one.id, one.amount)
    if not isinstance(peer, LocalstripePeer):
        await reconciled(world, peer)
    async with world.pool.acquire() as conn:
        states = {one.state for one in await payments.refunds_of(conn, payment.id)}
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute("UPDATE licensing.payment SET given_back = amount + 1 WHERE payment_id = $1", payment.id)
    assert states == {"succeeded"}
    assert (await now_known(world, payment)).given_back == eur(9000)
    assert await free(world, payment.client_id) == 5000


async def test_of_refunds_asked_for_at_once_no_more_is_begun_than_arrived(world: World, peer: Peer):
    payment = await arrived(world, peer)
    await world.credit(payment.client_id, 50_000)

    answers = await asyncio.gather(*(refund(world, payment, 2000) for _ in range(12)))

    assert sum(isinstance(answer, PaymentRefund) for answer in answers) == 4


async def test_a_refund_asked_twice_is_sent_once(world: World, listing: Peer):
    payment, before = await arrived(world, listing), listing.balance()
    one = await refund(world, payment, 4000, "ref_twice_" + payment.id)
    again = await refund(world, payment, 4000, "ref_twice_" + payment.id)

    await asyncio.gather(*(given_back(world, listing, one) for _ in range(3)))
    listing.takes_back(one.id, one.amount)
    await reconciled(world, listing)

    assert again == one
    assert listing.balance() == before - 4000
    assert await free(world, payment.client_id) == 5000


async def test_who_sends_a_refund_is_the_one_who_says_so_and_the_list_agrees(world: World, peer: Peer):
    """A person sends those of `manual`, and every other provider its own."""
    payment = await arrived(world, peer)
    wanted = await given_back(world, peer, await refund(world, payment, 4000))
    is_by_hand = isinstance(peer, Bank)
    async with world.pool.acquire() as conn:
        said = [
            await transfers_back.send_refund(conn, refund_id=wanted.id, by="acc_operator", now=world.now)
            for _ in range(2)
        ]

    if not is_by_hand:
        assert [refused(one, "conflict").slug for one in said] == ["conflict"] * 2
        return
    assert {one.sent_by for one in said if isinstance(one, transfers_back.Refund)} == {"acc_operator"}
    peer.takes_back(wanted.id, wanted.amount)
    found = await reconciled(world, peer)
    assert (found.ended, found.findings) == ((), ())
    assert await free(world, payment.client_id) == 5000


async def test_what_one_side_does_not_know_is_named_and_nothing_is_booked(world: World, listing: Peer):
    cash = await world.balance("cash:operator:EUR")
    if isinstance(listing, Bank):
        listing.pays("pay_of_nobody", eur(700))
        reference = listing.provider.instructions(payment_id="pay_of_nobody", amount=eur(700)) or ""
    else:
        assert isinstance(listing, FakePeer)
        made = await listing.provider.charge(
            payment_id="pay_of_nobody", amount=eur(700), method=await listing.method_of("acc_elsewhere")
        )
        reference = made.reference or ""

    found = await reconciled(world, listing)

    [finding] = found.findings
    assert (finding.kind, finding.what, finding.amount) == ("unknown_here", "charge", eur(700))
    assert finding.id in reference
    assert await world.balance("cash:operator:EUR") == cash


async def test_another_amount_than_was_asked_for_is_named_and_not_booked(world: World):
    bank = Bank()
    payment = await paid(world, bank, await begun(world, bank))
    bank.pays(payment.id, eur(8900))

    short = await reconciled(world, bank)
    bank.pays(payment.id, eur(100))
    whole = await reconciled(world, bank)

    [finding] = short.findings
    assert (finding.kind, finding.amount) == ("differs", eur(8900))
    assert (whole.ended, whole.findings) == ((payment.id,), ())
    assert await free(world, payment.client_id) == 9000


async def test_a_payment_that_never_reached_its_provider_ends_when_it_cannot_any_more(world: World, fake: FakePeer):
    payment = await begun(world, fake)
    fake.fake.mishap = lambda path: "error_before" if path == "payment_intents" else None
    await paid(world, fake, payment)

    soon = await reconciled(world, fake)
    world.later(hours=25)
    fake.fake.mishap = lambda path: None
    unasked = await paid(world, fake, payment)
    later = await reconciled(world, fake)

    assert soon.ended == ()
    assert unasked.state == "pending"
    assert fake.fake.of("payment_intent") == []
    assert payment.id in later.ended
    ended = await now_known(world, payment)
    assert (ended.state, ended.reason) == ("failed", "it never reached the provider; begin it again")


async def test_what_is_gone_from_the_list_is_named(world: World, fake: FakePeer):
    payment = await arrived(world, fake)
    assert payment.reference is not None
    del fake.fake.objects[payment.reference]

    found = await reconciled(world, fake)

    named = [one for one in found.findings if one.id == payment.id]
    assert [(one.kind, one.what) for one in named] == [("unknown_there", "charge")]
    assert await free(world, payment.client_id) == 9000


async def test_a_card_and_a_chargeback_of_which_no_event_came_are_found(world: World, fake: FakePeer):
    payment, setup_id = await arrived(world, fake), new_id("set")
    back = "https://ownhand.example/desk"
    async with world.pool.acquire() as conn:
        about = {"setup_id": setup_id, "client_id": payment.client_id, "return_url": back, "now": world.now}
        page = await methods.begin_setup(conn, fake.provider, **about)
        assert isinstance(page, Page)
        waiting = await methods.finish_setup(conn, fake.provider, setup_id, now=world.now)
        assert await methods.saved_method(conn, payment.client_id) is None
    fake.fake.save_card(page.reference)
    assert payment.reference is not None
    dispute = fake.fake.dispute(payment.reference)
    fake.fake.deliveries()

    found = await reconciled(world, fake)
    fake.fake.close_dispute(dispute, "won")
    fake.fake.deliveries()
    world.later(days=60)
    later = await reconciled(world, fake)

    async with world.pool.acquire() as conn:
        saved = await methods.saved_method(conn, payment.client_id)
    assert waiting is None
    assert (found.ended, found.findings, later.findings) == ((setup_id,), (), ())
    assert saved is not None
    assert saved.method.label == "Visa ending 4242"
    assert (await now_known(world, payment)).charged_back == eur(0)
    assert await free(world, payment.client_id) == 9000


async def test_a_card_that_an_event_tells_of_is_saved_with_its_name(world: World, fake: FakePeer):
    client_id = new_id("acc")
    async with world.pool.acquire() as conn:
        about = {"setup_id": new_id("set"), "client_id": client_id, "return_url": "https://ownhand.example/desk"}
        page = await methods.begin_setup(conn, fake.provider, **about, now=world.now)
        again = await methods.begin_setup(conn, fake.provider, **about, now=world.now)
    assert isinstance(page, Page)
    fake.fake.save_card(page.reference)

    await taken(world, fake, await fake.events())

    async with world.pool.acquire() as conn:
        saved = await methods.saved_method(conn, client_id)
    assert again == page
    assert saved is not None
    assert saved.method.label == "Visa ending 4242"
    payment = await paid(world, fake, await begun(world, fake, client_id=client_id, method=saved.method.reference))
    assert payment.state == "succeeded"


async def test_where_a_person_pays_nothing_is_saved(world: World):
    async with world.pool.acquire() as conn:
        about = {"setup_id": "set_1", "client_id": "acc_1", "return_url": "https://ownhand.example/desk"}
        assert await methods.begin_setup(conn, Manual(), **about, now=world.now) is None
    assert (
        await Manual().begin_onboarding(creator_id="acc_1", account=None, return_url="https://ownhand.example/") is None
    )


def chaos_seeds() -> list[Any]:
    return [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, SEEDS_LONG))]


@IMPATIENT
@pytest.mark.parametrize("seed", chaos_seeds())
async def test_whatever_goes_wrong_on_the_way_both_sides_end_up_with_the_same(world: World, fake: FakePeer, seed: int):
    """Answers are lost, servers break after they did it, events come twice, late, in another order or never; cards
    decline, banks take back and give again. In the end our cash is what the provider's list sums to."""
    dice = random.Random(seed)
    cash = await world.balance("cash:operator:EUR")
    fake.fake.silence_s = 0.5
    cards = [GOOD_CARD, GOOD_CARD, GOOD_CARD, SLOW_REFUND_CARD, SLOW_CARD, POOR_CARD, ASKING_CARD]
    clients = {new_id("acc"): card for card in cards}
    methods = {client_id: await fake.method_of(client_id, card) for client_id, card in clients.items()}
    fake.fake.mishap = seeded_mishaps(seed, rate=0.35)
    style, late, begun_here = await world.style(), list[Any](), list[Payment]()
    for _ in range(20):
        client_id = dice.choice(list(clients))
        pack = (
            {"purpose": "pack", "subject": "pack_50", "bonus": eur(dice.randrange(1, 700))}
            if dice.random() < 0.4
            else {}
        )
        payment = await begun(
            world, fake, dice.randrange(60, 9000), client_id=client_id, method=methods[client_id], **pack
        )
        begun_here.append(await paid(world, fake, payment))
        await _something_else(world, fake, style, dice.choice(begun_here), dice)
        late += fake.fake.deliveries(dice=dice, lost=0.3, doubled=0.3)
        dice.shuffle(late)
        await taken(world, fake, [late.pop() for _ in range(dice.randrange(len(late) + 1))])
    fake.fake.mishap = lambda path: None
    await _end_what_waits(world, fake, dice)
    await taken(world, fake, late)

    world.later(hours=26)
    await reconciled(world, fake)
    rest = await reconciled(world, fake)

    assert rest == Reconciled(ended=(), findings=())
    assert cash - await world.balance("cash:operator:EUR") == fake.balance()
    async with world.pool.acquire() as conn:
        assert await ledger.check(conn) == []
        open_ones = await conn.fetchval(
            "SELECT count(*) FROM licensing.payment WHERE state = 'pending' AND client_id = ANY ($1)", list(clients)
        )
    assert open_ones == 0
    assert {await world.balance(f"returning:{client_id}:EUR") for client_id in clients} == {0}


async def _something_else(
    world: World, fake: FakePeer, style: StyleTerms, payment: Payment, dice: random.Random
) -> None:
    """The same payment again, a refund, a purchase, a chargeback or its end."""
    what, known = dice.randrange(6), await now_known(world, payment)
    if what == 0:
        await paid(world, fake, known)
    elif what in (1, 2) and known.state == "succeeded":
        wanted = await refund(world, known, dice.randrange(1, known.amount.amount + 1))
        if isinstance(wanted, PaymentRefund):
            await given_back(world, fake, wanted)
    elif what == 3:
        intents = [one for one in fake.fake.of("payment_intent") if one["status"] == "succeeded"]
        disputed = {one["payment_intent"] for one in fake.fake.of("dispute")}
        if intents and (intent := dice.choice(intents))["id"] not in disputed:
            fake.fake.dispute(intent["id"])
    elif what == 4:
        for dispute in fake.fake.of("dispute"):
            if dispute["status"] == "needs_response":
                fake.fake.close_dispute(dispute["id"], dice.choice(("won", "lost")))
    elif (count := min(20, await free(world, known.client_id) // 60)) > 0:
        await world.sold(style, known.client_id, count=count)


async def _end_what_waits(world: World, fake: FakePeer, dice: random.Random) -> None:
    for intent in fake.fake.of("payment_intent"):
        if intent["status"] == "processing":
            fake.fake.finish(intent["id"], declined=dice.random() < 0.5)
    for one in fake.fake.of("refund"):
        if one["status"] == "pending":
            fake.fake.finish_refund(one["id"], failed=dice.random() < 0.5)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_opened_by_its_name_and_says_what_it_lacks(name: str):
    settings = {"manual": {}, "stripe": {"api_key": "sk_test_1", "webhook_secrets": ("whsec_1",)}}[name]

    assert open_provider(name, **settings).name == name
    with pytest.raises(ProviderUnusable, match="is not set up"):
        open_provider(name, colour="red")


def test_a_provider_that_nobody_knows_or_installed_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PROVIDERS, "elsewhere", "a_package_that_nobody_has:Elsewhere")

    with pytest.raises(ProviderUnusable, match="there is no payment provider 'cowries'; there is manual, stripe"):
        open_provider("cowries")
    with pytest.raises(ProviderUnusable, match=r"needs a package .* pip install 'ownhand\[elsewhere\]'"):
        open_provider("elsewhere")
