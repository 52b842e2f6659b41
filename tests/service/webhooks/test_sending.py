"""Messages arrive at least once, in order, signed; what fails is tried again, ever more seldom, and given up."""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

import pytest
from standardwebhooks import WebhookVerificationError

from service import sending, webhooks
from service.carrying import back_off_s
from service.posting import Answer
from service.resources import open_gateway
from service.retention import prune_messages
from service.sending import BACK_OFF_S, LEASE, PATIENCE, send_next
from tests.service.webhooks.conftest import Sender
from tests.service.webhooks.receiver import Receiver, receiving

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SOON = timedelta(seconds=BACK_OFF_S[0] * 1.2)
"""After the first try that failed."""


async def test_a_message_arrives_once_as_it_was_told_and_signed(sender: Sender, receiver: Receiver):
    endpoint, secret = await sender.endpoint(receiver.url)
    (message_id,) = await sender.tell(endpoint)

    tries = await sender.send()

    assert (tries, receiver.ids) == (1, [message_id])
    came = receiver.posts[0]
    assert came.verified(secret) == {"type": "style.switched", "data": {"number": 0}}
    assert came.path == "/hooks"
    assert came.headers["content-type"] == "application/json"
    state, attempts = (await sender.log(endpoint))[message_id]
    assert (state, [(one["status"], one["error"]) for one in attempts]) == ("delivered", [(204, None)])
    with pytest.raises(WebhookVerificationError):
        came.verified("whsec_" + "A" * 43 + "=")


async def test_what_failed_is_tried_again_under_the_same_id(sender: Sender, receiver: Receiver):
    endpoint, secret = await sender.endpoint(receiver.url)
    (message_id,) = await sender.tell(endpoint)
    receiver.answers(500)

    tries = [await sender.send(after) for after in (0 * SECOND, 4 * SECOND, SOON)]

    assert tries == [1, 0, 1]
    assert receiver.ids == [message_id, message_id]
    assert receiver.posts[1].verified(secret) == receiver.posts[0].verified(secret)
    state, attempts = (await sender.log(endpoint))[message_id]
    assert state == "delivered"
    assert [(one["status"], one["error"]) for one in attempts] == [
        (500, "It answered 500 Internal Server Error."),
        (204, None),
    ]
    assert (await sender.now_is(endpoint)).failing_since is None


async def test_what_comes_later_waits_behind_what_fails(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    first, second = await sender.tell(endpoint, 2)
    receiver.answers(500, 500)

    await sender.send()
    (third,) = await sender.tell(endpoint)
    await sender.send(SOON)
    waiting = await sender.states(endpoint)
    await sender.send(HOUR)

    assert waiting == ["waiting"] * 3
    assert receiver.ids == [first, first, first, second, third]


async def test_an_endpoint_that_fails_keeps_no_other_waiting(sender: Sender, receiver: Receiver):
    with receiving() as other:
        failing, _ = await sender.endpoint(receiver.url)
        well, _ = await sender.endpoint(other.url, client_id=failing.client_id)
        receiver.answers(500)
        await sender.tell(failing, 2)
        ids = await sender.tell(well, 2)

        await sender.send()

        assert other.ids == ids
        assert len(receiver.posts) == 1


async def test_several_web_processes_send_in_order_and_nothing_twice(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    ids = await sender.tell(endpoint, 12)
    async with AsyncExitStack() as stack:
        opened = open_gateway(sender.web.settings, sender.web.database_url)
        other = await stack.enter_async_context(opened)

        async def keep_sending(web) -> None:
            while receiver.ids != ids:
                if not await send_next(web, sender.http, now=sender.start):
                    await asyncio.sleep(0.01)

        async with asyncio.timeout(20):
            await asyncio.gather(*(keep_sending(web) for web in (sender.web, other) for _ in range(3)))

    assert receiver.ids == ids
    assert receiver.most_at_once == 1


async def test_whoever_dies_between_sending_and_noting_has_it_sent_again_under_the_same_id(
    sender: Sender, receiver: Receiver
):
    endpoint, _ = await sender.endpoint(receiver.url)
    (message_id,) = await sender.tell(endpoint)
    receiver.gate.clear()
    dying = asyncio.create_task(sender.send())
    assert await asyncio.to_thread(receiver.hears, 1)
    dying.cancel()
    with suppress(asyncio.CancelledError):
        # It died, as it was told to.
        await dying
    receiver.gate.set()

    too_early = await sender.send(LEASE - SECOND)
    again = await sender.send(LEASE)

    assert (too_early, again) == (0, 1)
    assert receiver.ids == [message_id, message_id]
    assert await sender.states(endpoint) == ["delivered"]


async def test_who_comes_back_after_its_claim_ran_out_writes_nothing(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    (message_id,) = await sender.tell(endpoint)
    late = await sending.take(sender.web, now=sender.start)
    other = await sending.take(sender.web, now=sender.start + LEASE)
    assert late is not None
    assert other is not None

    async with sender.web.pool.acquire() as conn:
        answer = Answer(status=204, error=None, ms=1)
        is_noted = await sending.note(conn, late, answer, now=sender.start + LEASE)

    assert not is_noted
    assert (await sender.log(endpoint))[message_id] == ("waiting", [])


async def test_a_message_that_arrived_is_sent_again_when_somebody_asks(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    first, second = await sender.tell(endpoint, 2)
    await sender.send()

    assert await sender.send_again(endpoint, first, SECOND)
    await sender.send(SECOND)

    assert receiver.ids == [first, second, first]
    assert len((await sender.log(endpoint))[first][1]) == 2


async def test_what_is_sent_again_waits_for_nothing_and_keeps_nothing_waiting(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    first, second, third = await sender.tell(endpoint, 3)
    receiver.answers(500, 500, 204)
    await sender.send()

    await sender.send_again(endpoint, third, SECOND)
    failed_again = await sender.send(SECOND)
    await sender.send_again(endpoint, third, 2 * SECOND)
    await sender.send(2 * SECOND)

    assert failed_again == 1
    # What arrives shows that the endpoint is well, so the others need not wait any longer.
    assert receiver.ids == [first, third, third, first, second]


async def test_what_is_asked_for_again_while_it_is_on_its_way_is_sent_again(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    (message_id,) = await sender.tell(endpoint)
    receiver.gate.clear()
    on_its_way = asyncio.create_task(send_next(sender.web, sender.http, now=sender.start))
    assert await asyncio.to_thread(receiver.hears, 1)
    await sender.send_again(endpoint, message_id, SECOND)
    receiver.gate.set()
    await on_its_way

    await sender.send(SECOND)

    assert receiver.ids == [message_id, message_id]
    state, attempts = (await sender.log(endpoint))[message_id]
    assert (state, len(attempts)) == ("delivered", 2)


async def test_an_endpoint_that_is_gone_is_disabled_until_a_ping_arrives(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    await sender.tell(endpoint, 3)
    receiver.answers(410, 410)

    tries = await sender.send()
    disabled = await sender.now_is(endpoint)
    await sender.ping(endpoint, SECOND)
    await sender.send(SECOND)
    still_disabled = await sender.now_is(endpoint)
    ping_id = await sender.ping(endpoint, 2 * SECOND)
    await sender.send(2 * SECOND)

    assert tries == 1
    assert (await sender.states(endpoint))[:3] == ["failed"] * 3
    assert disabled.disabled_at is not None
    assert "410 Gone" in str(disabled.disabled_why)
    assert still_disabled.disabled_at is not None
    assert receiver.ids[-1] == ping_id
    assert (await sender.now_is(endpoint)).disabled_at is None


async def test_a_ping_is_tried_once_and_says_what_came_of_it(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    receiver.answers(500)
    message_id = await sender.ping(endpoint)

    tries = [await sender.send(after) for after in (0 * SECOND, SOON, DAY)]

    assert tries == [1, 0, 0]
    state, attempts = (await sender.log(endpoint))[message_id]
    assert (state, [one["status"] for one in attempts]) == ("failed", [500])


async def test_a_busy_endpoint_is_left_alone_for_as_long_as_it_asks(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    await sender.tell(endpoint)
    receiver.answers(503, retry_after="600")

    tries = [await sender.send(after * SECOND) for after in (0, 599, 600)]

    assert tries == [1, 0, 1]


async def test_after_ten_tries_a_message_is_given_up_and_the_next_one_goes(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    first, second = await sender.tell(endpoint, 2)
    receiver.answers(*[500] * 10)
    after = timedelta(0)

    for pause_s in (0, *BACK_OFF_S):
        after += timedelta(seconds=pause_s * 1.2)
        await sender.send(after)

    assert receiver.ids == [first] * 10 + [second]
    log = await sender.log(endpoint)
    assert [state for state, _ in log.values()] == ["failed", "delivered"]
    assert len(log[first][1]) == 10


async def test_an_endpoint_at_which_nothing_arrived_for_five_days_is_disabled_and_says_why(
    sender: Sender, receiver: Receiver
):
    endpoint, _ = await sender.endpoint(receiver.url)
    await sender.tell(endpoint, 4)
    receiver.answers(*[500] * 100)
    after = timedelta(0)

    while (found := await sender.now_is(endpoint)).disabled_at is None and after < 10 * DAY:
        await sender.send(after)
        after += HOUR

    assert found.disabled_at is not None
    assert PATIENCE <= found.disabled_at - sender.start <= PATIENCE + DAY
    assert found.disabled_why == ("Nothing arrived there for 5 days. At last: It answered 500 Internal Server Error.")
    assert await sender.states(endpoint) == ["failed"] * 4


async def test_one_failure_long_after_another_disables_nothing(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    await sender.tell(endpoint)
    receiver.answers(*[500] * 11)
    for hours in range(120):
        await sender.send(hours * HOUR)

    await sender.tell(endpoint)
    await sender.send(30 * DAY)
    await sender.send(30 * DAY + SOON)

    assert await sender.states(endpoint) == ["failed", "delivered"]


async def test_for_a_day_after_a_rotation_both_secrets_sign(sender: Sender, receiver: Receiver):
    endpoint, old = await sender.endpoint(receiver.url)
    async with sender.web.pool.acquire() as conn:
        new = await webhooks.rotate_secret(conn, sender.web, endpoint.id, client_id=endpoint.client_id)
    assert new is not None
    await sender.tell(endpoint)
    await sender.send()
    during = receiver.posts[-1]
    async with sender.web.pool.acquire() as conn:
        await conn.execute("UPDATE service.webhooks SET old_secret_until = $2 WHERE id = $1", endpoint.id, sender.start)
    await sender.tell(endpoint)
    await sender.send()
    afterwards = receiver.posts[-1]

    assert during.verified(old) == during.verified(new)
    assert afterwards.verified(new)
    with pytest.raises(WebhookVerificationError):
        afterwards.verified(old)


async def test_a_secret_lies_in_the_database_only_under_a_key_of_the_gateways(sender: Sender, receiver: Receiver):
    endpoint, secret = await sender.endpoint(receiver.url)
    await sender.tell(endpoint)
    async with sender.web.pool.acquire() as conn:
        row = await conn.fetchrow("SELECT * FROM service.webhooks WHERE id = $1", endpoint.id)

    await sender.with_pepper(b"another one").send()

    assert secret.removeprefix("whsec_") not in str(row)
    assert receiver.posts == []
    ((state, attempts),) = (await sender.log(endpoint)).values()
    assert state == "waiting"
    assert "rotate it" in attempts[0]["error"]


async def test_a_removed_endpoint_hears_nothing_more(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    await sender.tell(endpoint, 2)
    async with sender.web.pool.acquire() as conn:
        assert not await webhooks.remove_endpoint(conn, endpoint.id, client_id="acc_other")
        assert await webhooks.remove_endpoint(conn, endpoint.id, client_id=endpoint.client_id)

    assert await sender.send() == 0
    assert receiver.posts == []


async def test_the_loop_sends_what_is_told_and_one_slow_endpoint_holds_up_no_other(sender: Sender, receiver: Receiver):
    with receiving() as other:
        slow, _ = await sender.endpoint(receiver.url)
        quick, _ = await sender.endpoint(other.url)
        receiver.gate.clear()
        async with sending.sending(sender.web), sending.sending(sender.web):
            await sender.ping(slow)
            assert await asyncio.to_thread(receiver.hears, 1, within_s=5)
            ids = [await sender.ping(quick) for _ in range(3)]
            is_heard = await asyncio.to_thread(other.hears, 3, within_s=5)

        assert is_heard
        assert sorted(other.ids) == sorted(ids)
        assert len(receiver.posts) == 1


async def test_old_messages_go_and_those_that_wait_stay(sender: Sender, receiver: Receiver):
    endpoint, _ = await sender.endpoint(receiver.url)
    await sender.tell(endpoint, 1)
    await sender.send()
    receiver.answers(500)
    await sender.tell(endpoint, 1)
    await sender.send()
    async with sender.web.pool.acquire() as conn:
        await conn.execute("UPDATE service.messages SET created_at = created_at - interval '31 days'")
    await sender.tell(endpoint, 1)

    await prune_messages(sender.web)

    assert await sender.states(endpoint) == ["waiting", "waiting"]


def test_pauses_grow_and_differ_by_their_seed_within_a_fifth():
    pauses = [back_off_s(BACK_OFF_S, tries, seed="a") for tries in range(len(BACK_OFF_S))]

    assert all(pause <= found <= pause * 1.2 for pause, found in zip(BACK_OFF_S, pauses, strict=True))
    assert pauses == sorted(pauses)
    assert pauses == [back_off_s(BACK_OFF_S, tries, seed="a") for tries in range(len(BACK_OFF_S))]
    assert pauses[0] != back_off_s(BACK_OFF_S, 0, seed="b")
