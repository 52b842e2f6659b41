"""The metered path, verb by verb: what each does, and every no it may answer."""

import asyncio

import pytest

from licensing import gateway
from licensing.errors import LedgerBroken
from licensing.orders import AlreadyEnded, CancelRequested, Hold, Quote, Replay, Settled, Voided
from tests.licensing.world import World, eur, new_id, pictures, refused


async def test_a_quote_charges_nothing_and_says_who_would_pay(world: World):
    style, rich, poor = await world.style(), await world.client(prepaid=1000), await world.client()

    async with world.pool.acquire() as conn:
        ask = {"style_id": style.style_id, "tier": "personal", "count": 2, "now": world.now}
        quote = await gateway.quote(conn, client_id=rich, **ask)
        unpaid = await gateway.quote(conn, client_id=poor, **ask)

    assert quote == Quote(amount=eur(120), tax=eur(0), tax_bps=0, units=2, pay="prepaid", terms_version=1)
    assert unpaid == Quote(amount=eur(120), tax=eur(0), tax_bps=0, units=2, pay=None, terms_version=1)
    assert (await world.usage(rich)).prepaid == eur(1000)


async def test_a_quote_for_an_unknown_style_or_tier_is_refused(world: World):
    style, client = await world.style(), await world.client()

    async with world.pool.acquire() as conn:
        ask = {"client_id": client, "count": 1, "now": world.now}
        no_style = await gateway.quote(conn, style_id="sty_none", tier="personal", **ask)
        no_tier = await gateway.quote(conn, style_id=style.style_id, tier="gold", **ask)

    refused(no_style, "not_found")
    assert "draft, personal, commercial, exclusive" in refused(no_tier, "invalid_request").message


async def test_a_hold_takes_money_out_of_what_is_free(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)

    hold = await world.held(style, client, count=3)

    assert (hold.state, hold.pay, hold.amount, hold.fence, hold.running) == ("open", "prepaid", eur(180), 0, False)
    usage = await world.usage(client)
    assert (usage.prepaid, usage.prepaid_held) == (eur(820), eur(180))
    assert await world.balance(f"prepaid:{client}:EUR") == 1000


async def test_a_sale_is_split_between_creator_and_operator_to_the_cent(world: World):
    style, client = await world.style(fee_bps=3333), await world.client(prepaid=1000)
    before = await world.balance("fee:operator:EUR")

    sale = await world.sold(style, client, count=3)

    assert (sale.made, sale.amount, sale.share, sale.fee) == (3, eur(180), eur(120), eur(60))
    assert await world.balance(f"prepaid:{client}:EUR") == 820
    assert await world.balance(f"payable:{style.creator_id}:EUR") == 120
    assert await world.balance("fee:operator:EUR") - before == 60


async def test_pictures_that_were_not_made_are_not_charged(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client, count=4)
    await world.begin(hold)

    sale = await world.settle(hold, made=1)

    assert isinstance(sale, Settled)
    assert (sale.made, sale.amount) == (1, eur(60))
    usage = await world.usage(client)
    assert (usage.prepaid, usage.prepaid_held) == (eur(940), eur(0))


async def test_settling_the_same_pictures_again_charges_once(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)

    first, second = await world.settle(hold), await world.settle(hold)

    assert (first.repeated, second.repeated) == (False, True)
    assert first.amount == second.amount == eur(60)
    assert (await world.usage(client)).prepaid == eur(940)


async def test_settling_other_pictures_after_the_end_is_refused(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)
    await world.settle(hold)

    async with world.pool.acquire() as conn:
        answer = await gateway.settle(conn, order_id=hold.order_id, fence=1, made=pictures("other"), now=world.now)

    assert refused(answer, "conflict").detail["state"] == "settled"


@pytest.mark.parametrize("made", [0, 3])
async def test_settling_none_or_more_than_held_is_refused(world: World, made: int):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client, count=2)
    await world.begin(hold)

    answer = await world.settle(hold, made=made)

    refused(answer, "invalid_request")
    assert (await world.hold(hold.order_id, client)).state == "open"


async def test_only_the_latest_attempt_may_settle(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    first, second = await world.begin(hold), await world.begin(hold)

    late, right = await world.settle(hold, fence=first.fence), await world.settle(hold, fence=second.fence)

    assert refused(late, "conflict").detail["reason"] == "fence"
    assert isinstance(right, Settled)


async def test_an_order_nobody_began_cannot_settle(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)

    refused(await world.settle(hold, fence=0), "conflict")


async def test_voiding_gives_everything_back_once(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)

    first, second = await world.void(hold, "failed"), await world.void(hold, "canceled")

    assert first == Voided(order_id=hold.order_id, reason="failed", amount=eur(60), units=0)
    assert second == AlreadyEnded(order_id=hold.order_id, state="voided", reason="failed")
    usage = await world.usage(client)
    assert (usage.prepaid, usage.prepaid_held) == (eur(1000), eur(0))


async def test_a_settled_order_cannot_be_voided_nor_a_voided_one_settled(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sold, dropped = await world.held(style, client), await world.held(style, client)
    await world.begin(sold)
    await world.settle(sold)
    await world.begin(dropped)
    await world.void(dropped)

    assert await world.void(sold) == AlreadyEnded(order_id=sold.order_id, state="settled", reason=None)
    refused(await world.settle(dropped), "conflict")


async def test_unknown_orders_are_named_as_such(world: World):
    async with world.pool.acquire() as conn:
        begun = await gateway.begin(conn, order_id="gen_none", now=world.now)
        settled = await gateway.settle(conn, order_id="gen_none", fence=1, made=pictures("o"), now=world.now)
        canceled = await gateway.request_cancel(conn, order_id="gen_none", client_id="acc_none")
        standing = await gateway.standing(conn, ["gen_none"])
        with pytest.raises(LedgerBroken, match="gen_none"):
            await gateway.void(conn, order_id="gen_none", reason="failed", now=world.now)

    for answer in (begun, settled, canceled):
        refused(answer, "not_found")
    assert standing["gen_none"].reason == "unknown"


async def test_money_is_refused_in_words_when_it_is_not_there(world: World):
    style, client = await world.style(), await world.client(prepaid=59)

    answer = await world.reserve(style, client)

    assert "0.60 EUR" in refused(answer, "payment_required").message
    assert "0.59 EUR" in answer.message
    assert answer.detail == {"amount": 60, "currency": "EUR", "available": 59}


async def test_another_creators_style_is_not_found(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)

    answer = await world.reserve(style, client, creator_id=new_id("acc"))

    refused(answer, "not_found")


@pytest.mark.parametrize("count", [0, -1, 1001])
async def test_counts_that_cannot_be_ordered_are_refused(world: World, count: int):
    style, client = await world.style(), await world.client(prepaid=1000)

    refused(await world.reserve(style, client, count=count), "invalid_request")


async def test_a_refused_order_leaves_nothing_behind(world: World):
    style, client = await world.style(), await world.client()
    order = world.order(style, client, idempotency_key="k")
    async with world.pool.acquire() as conn:
        refused(await gateway.reserve(conn, order, now=world.now), "payment_required")

    await world.credit(client, 1000)
    async with world.pool.acquire() as conn:
        answer = await gateway.reserve(conn, order, now=world.now)

    assert isinstance(answer, Hold)


async def test_the_same_request_is_answered_with_the_first_hold(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)

    first = await world.held(style, client, idempotency_key="k")
    again = await world.reserve(style, client, idempotency_key="k")

    assert again == Replay(hold=first)
    assert (await world.usage(client)).prepaid == eur(940)


async def test_an_idempotency_key_with_another_body_is_a_mismatch(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.held(style, client, idempotency_key="k")

    answer = await world.reserve(style, client, idempotency_key="k", request_hash="other body")

    refused(answer, "idempotency_mismatch")


async def test_an_idempotency_key_belongs_to_its_client(world: World):
    style, one, other = await world.style(), await world.client(prepaid=1000), await world.client(prepaid=1000)
    await world.held(style, one, idempotency_key="k")

    assert isinstance(await world.reserve(style, other, idempotency_key="k", request_hash="other"), Hold)


async def test_a_request_whose_first_copy_is_being_created_is_a_conflict(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    async with world.pool.acquire() as slow, slow.transaction():
        await gateway.reserve(slow, world.order(style, client, idempotency_key="k"), now=world.now)

        meanwhile = await world.reserve(style, client, idempotency_key="k")

    assert refused(meanwhile, "idempotency_conflict").retry_after_s == 1
    assert isinstance(await world.reserve(style, client, idempotency_key="k"), Replay)


async def test_an_order_id_without_a_key_is_idempotent_by_itself(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    first = await world.held(style, client, order_id="gen_own")

    again = await world.reserve(style, client, order_id="gen_own")
    changed = await world.reserve(style, client, order_id="gen_own", count=2)

    assert again == Replay(hold=first)
    refused(changed, "conflict")


async def test_a_canceled_order_cannot_be_settled(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)

    async with world.pool.acquire() as conn:
        canceled = await gateway.request_cancel(conn, order_id=hold.order_id, client_id=client)
        standing = await gateway.standing(conn, [hold.order_id])

    assert canceled == CancelRequested(order_id=hold.order_id, running=True)
    assert (standing[hold.order_id].go, standing[hold.order_id].reason) == (False, "canceled")
    assert refused(await world.settle(hold), "conflict").detail["reason"] == "canceled"
    assert isinstance(await world.void(hold, "canceled"), Voided)


async def test_only_the_client_itself_cancels_and_only_an_open_order(world: World):
    style, client, stranger = await world.style(), await world.client(prepaid=1000), await world.client()
    hold = await world.held(style, client)

    async with world.pool.acquire() as conn:
        foreign = await gateway.request_cancel(conn, order_id=hold.order_id, client_id=stranger)
    await world.void(hold)
    async with world.pool.acquire() as conn:
        late = await gateway.request_cancel(conn, order_id=hold.order_id, client_id=client)
        unseen = await gateway.find_hold(conn, hold.order_id, client_id=stranger)

    refused(foreign, "not_found")
    assert isinstance(late, AlreadyEnded)
    assert unseen is None


async def test_a_hold_expires_unless_it_is_renewed(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    kept, left = await world.held(style, client, hold_s=60), await world.held(style, client, hold_s=60)

    async with world.pool.acquire() as conn:
        renewed = await gateway.renew(conn, [kept.order_id, "gen_none"], world.later(seconds=40))
        due = await gateway.expire_due(conn, now=world.later(seconds=30), limit=10_000)

    assert renewed == [kept.order_id]
    assert left.order_id in due
    assert kept.order_id not in due
    assert (await world.hold(left.order_id, client)).state == "expired"
    assert (await world.usage(client)).prepaid_held == eur(60)


async def test_sweepers_side_by_side_expire_each_hold_once(world: World):
    style, client = await world.style(), await world.client(prepaid=6000)
    for _ in range(20):
        await world.held(style, client, hold_s=1)
    world.later(hours=1)

    async def sweep() -> list[str]:
        async with world.pool.acquire() as conn:
            return await gateway.expire_due(conn, now=world.now, limit=7)

    swept = await asyncio.gather(*(sweep() for _ in range(6)))

    ended = [order_id for batch in swept for order_id in batch]
    assert len(ended) == len(set(ended))
    assert len(ended) >= 20
    assert (await world.usage(client)).prepaid_held == eur(0)


async def test_an_attempt_that_gives_up_leaves_the_order_queued_and_held(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    first = await world.begin(hold)

    async with world.pool.acquire() as conn:
        queued = await gateway.requeue(conn, order_id=hold.order_id, fence=first.fence, now=world.now)
        second = await gateway.begin(conn, order_id=hold.order_id, now=world.now)
        late = await gateway.requeue(conn, order_id=hold.order_id, fence=first.fence, now=world.now)

    assert isinstance(queued, Hold)
    assert (queued.running, queued.state) == (False, "open")
    assert second.fence == 2
    refused(late, "conflict")


async def test_a_test_order_costs_nothing_and_enters_no_ledger(world: World):
    style, client = await world.style(), await world.client()

    sale = await world.sold(style, client, test=True, count=2)

    assert (sale.made, sale.amount, sale.share) == (2, eur(0), eur(0))
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM licensing.entry_group WHERE subject = $1", sale.order_id) == 0
        assert await conn.fetchval("SELECT bool_and(test) FROM licensing.output WHERE order_id = $1", sale.order_id)


async def test_the_terms_at_the_time_of_the_order_hold(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    dearer = {name: tier for name, tier in style.tiers.items() if name == "commercial"}
    await world.style(style.creator_id, style_id=style.style_id, tiers=dearer)

    await world.begin(hold)
    sale = await world.settle(hold)

    assert (hold.terms_version, sale.amount) == (1, eur(60))
    refused(await world.reserve(style, client), "invalid_request")


async def test_the_callers_rows_commit_with_the_verb_or_not_at_all(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)

    async with world.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        answer = await gateway.settle(conn, order_id=hold.order_id, fence=1, made=pictures("undone"), now=world.now)
        await transaction.rollback()

    assert isinstance(answer, Settled)
    assert (await world.hold(hold.order_id, client)).state == "open"
    assert await world.balance(f"payable:{style.creator_id}:EUR") == 0


async def test_a_transaction_that_would_not_see_the_switch_is_refused(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)

    async with world.pool.acquire() as conn:
        with pytest.raises(Exception, match="READ COMMITTED"):
            async with conn.transaction(isolation="repeatable_read"):
                await gateway.reserve(conn, world.order(style, client), now=world.now)
