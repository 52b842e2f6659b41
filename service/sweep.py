"""What the web role tidies on the side, so that nothing depends on every process dying politely.

    at every switch notice, and every second   orders that the gateway ended get their state
    every second                               expired holds, accepted orders whose story never started or broke, what
                                               was kept for pictures that wait for their creator no more
    every few seconds                          the work of processes that fell silent goes back to the queues
    at every switch notice, and every half     changes of switches noted beside the backup keys
    minute
    every half minute                          leases renewed, objects of nobody deleted, notices and periods ended,
                                               people told what waits for them, letters and their links given up,
                                               renewals tried again, invoices paid, free pictures given, disputes
                                               closed, monthly dues posted, claims closed, payouts opened and sent,
                                               turns of the past forgotten, destroyed styles emptied, accounts erased,
                                               new versions looked at, searches by picture forgotten
    every hour                                 old prompts, clients' pictures, events, messages and finished stories
                                               deleted; uploads that nobody goes on with, and tries,
                                               forgotten; papers issued; payments compared with the provider's list;
                                               once a day, days that are over summed, and the audit; once a month, the
                                               public report

Each sweep may run in several processes at once; each does nothing where nothing is to be done. Where tests move the
clock, all look at once when it was moved.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from licensing.analytics.over import close_days
from licensing.gateway import expire_due, renew, standing
from licensing.plans import due_periods, roll_over
from licensing.switch import CHANNEL, due_notices, end_notice
from service import pending
from service.appearances import ask_for_appearances, forget_searches
from service.approvals import clear_approvals
from service.arriving import forget_uploads
from service.auditing import audit_ledger
from service.backups.switches import note_switches
from service.beside import beside
from service.charging import charge_invoices, charge_renewals, compare_with_provider
from service.closing import close_decided
from service.destruction import list_late_deletions, mend_destructions
from service.dues import post_monthly_dues
from service.ending_starts import end_orders_without_start
from service.erasure import erase_asked
from service.finetuning import mend_trainings
from service.generation import approved_story, start_approved, start_generation, void_order
from service.heartbeats import silent_executors
from service.invoicing import collect_due, grant_free_pictures, issue_monthly, renew_plans
from service.mailing import tidy_letters
from service.notices import listen
from service.orders import IS_OPEN, NOT_LOOKED_AT, UNPAID_SENTENCES, find_orders, list_open, mark_unpaid, mark_withdrawn
from service.outbox import tell_periods_ended, tell_switched, tell_unpaid
from service.reports import publish_reports
from service.resources import Gateway
from service.retention import (
    delete_images,
    delete_words,
    prune_events,
    prune_executors,
    prune_letters,
    prune_messages,
    prune_sign_ins,
    prune_stories,
)
from service.telling.of_disputes import tell_cases_waiting
from service.telling.of_licences import tell_ended, tell_licensees, tell_plan_unpaid
from service.telling.of_money import tell_charged_back
from service.telling.of_orders import tell_looked_at
from service.telling.of_styles import tell_waiting
from service.transfers import open_payouts, send_payouts
from service.trying import forget_tries, mend_tries
from service.turns import forget_turns
from service.withdrawing import close_claims
from service.workflows import BROKEN, adopt, states_of

log = logging.getLogger("ownhand.sweep")

QUICK_S = 1.0
ADOPT_S = 3.0
SLOW_S = 30.0
PRUNE_S = 3600.0
# A story is started right after its order's commit; what is younger than this is on its way.
_ON_ITS_WAY = timedelta(seconds=2)
_MOVED_EVERY_S, _MOVED = 0.2, timedelta(seconds=2)
_AT_ONCE = 200

Sweep = Callable[[Gateway], Awaitable[object]]


@asynccontextmanager
async def sweeping(web: Gateway) -> AsyncIterator[None]:
    """Sweep until the end of the block. Needs the workflow engine."""
    noticed = asyncio.Event()
    periods = (end_periods, charge_renewals, renew_plans, grant_free_pictures)
    money = (*periods, collect_due, charge_invoices, close_decided, post_monthly_dues, open_payouts, send_payouts)
    searched = (ask_for_appearances, forget_searches)
    told = (tell_what_waits, tidy_letters)
    ended = (close_claims, mend_tries, mend_destructions, list_late_deletions, erase_asked)
    slow = (keep_leases, collect, *told, *money, *ended, *searched)
    words = (delete_words, delete_images, prune_events, prune_messages, prune_letters)
    old = (prune_stories, *words, prune_executors, prune_sign_ins, forget_uploads, forget_tries)
    rare = (*old, sum_days_over, issue_monthly, compare_with_provider, audit_ledger, publish_reports)
    slowly, rarely, switched = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def hear(_: str) -> None:
        noticed.set()
        switched.set()

    works = [
        listen(web.database_url, CHANNEL, hear),
        _repeat(web, (reflect, expire, mend, clear_approvals), QUICK_S, noticed),
        _repeat(web, (adopt_silent, mend_trainings), ADOPT_S, asyncio.Event()),
        _repeat(web, (note_switches,), SLOW_S, switched),
        _repeat(web, (*slow, forget_turns), SLOW_S, slowly),
        _repeat(web, rare, PRUNE_S, rarely),
    ]
    if web.settings.movable_clock:
        works.append(_ring_when_moved(web, (slowly, rarely)))
    async with beside(*works):
        yield


async def reflect(web: Gateway) -> None:
    """Orders that a switch or a cancel ended at the gateway end here too, and those whose starting point is gone; their
    stories then tidy up."""
    async with web.pool.acquire() as conn:
        opened = await list_open(conn)
        order_ids = [order.id for order in opened]
        found = await standing(conn, order_ids) if order_ids else {}
    for order_id, now_is in found.items():
        if now_is.reason in UNPAID_SENTENCES:
            await void_order(web, order_id, reason=now_is.reason)
    if any(order.request.get("start") for order in opened):
        await end_orders_without_start(web)


async def expire(web: Gateway) -> None:
    """Holds that nobody renewed: the amount is back."""
    now = web.clock()
    async with web.pool.acquire() as conn, conn.transaction():
        orders = await find_orders(conn, await expire_due(conn, now=now, limit=_AT_ONCE))
        for order in orders.values():
            message = NOT_LOOKED_AT if order.state == "awaiting_approval" else None
            await mark_unpaid(conn, order.id, reason="expired", message=message, now=now)
            await tell_looked_at(conn, order.id, now=now)


async def mend(web: Gateway) -> None:
    """Start the stories that a crash kept from starting, and end the orders whose stories broke.

    What waits for its creator has no story; what was approved has another one.
    """
    before = web.clock() - _ON_ITS_WAY
    async with web.pool.acquire() as conn:
        opened = [order for order in await list_open(conn) if order.created_at < before]
    stories = {
        order.id: approved_story(order.id) if order.approval_until else order.id
        for order in opened
        if order.state != "awaiting_approval"
    }
    known = await states_of(list(stories.values())) if stories else {}
    for order in opened:
        state = known.get(stories.get(order.id, ""))
        if order.id in stories and state is None:
            log.warning("order %s was accepted but not started; starting it", order.id)
            await (start_approved(order.id) if order.approval_until else start_generation(order.id, order.turn))
        elif state in BROKEN and await void_order(web, order.id, reason="failed") == "failed":
            log.error("the story of order %s ended as %s; its hold was given back", order.id, state)
            await pending.drop(web.storage, order.id)


async def adopt_silent(web: Gateway) -> None:
    """Give the work of processes that fell silent to those that live."""
    async with web.pool.acquire() as conn:
        silent = await silent_executors(conn, now=web.clock(), silence_s=web.settings.executor_silence_s)
    if silent and (count := await adopt(silent)):
        log.warning("%s unfinished stories of silent processes (%s) are queued again", count, ", ".join(silent))


async def keep_leases(web: Gateway) -> None:
    """Renew the holds of orders that are on their way, for at most `max_order_hours` each. What waits for its creator
    has its own time."""
    since = web.clock() - timedelta(hours=web.settings.max_order_hours)
    async with web.pool.acquire() as conn:
        opened = [order for order in await list_open(conn) if order.state != "awaiting_approval"]
        order_ids = [order.id for order in opened if order.created_at > since]
        if order_ids:
            await renew(conn, order_ids, web.clock())


async def collect(web: Gateway) -> None:
    """Delete pictures under `pending/` that belong to no open order and to no buyer."""
    keys = await asyncio.to_thread(lambda: list(web.storage.list_keys(pending.PREFIX)))
    if not keys:
        return
    owners = sorted({pending.order_of(key) for key in keys})
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT id FROM service.generations WHERE id = ANY($1::text[])"
            f" AND ({IS_OPEN}"
            "  OR EXISTS (SELECT FROM service.outputs o WHERE o.generation_id = generations.id"
            "   AND o.storage_key LIKE 'pending/%'))",
            owners,
        )
    wanted = {row["id"] for row in rows}
    strays = [key for key in keys if pending.order_of(key) not in wanted]
    for key in strays:
        await asyncio.to_thread(web.storage.delete, key)
    if strays:
        log.warning("%s objects under %s belonged to nobody and were deleted", len(strays), pending.PREFIX)


async def end_periods(web: Gateway) -> None:
    """Wind-downs whose date has come become off; paid periods that are over end or renew. One a transaction."""
    now = web.clock()
    async with web.pool.acquire() as conn:
        for notice in await due_notices(conn, now=now):
            async with conn.transaction():
                change = await end_notice(conn, notice, now=now)
                if change is not None:
                    await tell_switched(conn, now=now, creator_id=notice.creator_id)
                    await tell_licensees(conn, now=now, creator_id=notice.creator_id)
                    await mark_withdrawn(conn, change.order_ids, now=now)
                    await tell_periods_ended(conn, now=now)
        for due in await due_periods(conn, now=now):
            async with conn.transaction():
                if await roll_over(conn, due, now=now, new_id=web.new_id, retry_days=web.prices.retry_days):
                    await tell_periods_ended(conn, now=now)
                    await tell_ended(conn, now=now)
                    await tell_unpaid(conn, due.id, now=now)
                    await tell_plan_unpaid(conn, due.id, now=now)


async def tell_what_waits(web: Gateway) -> None:
    """Tell creators and operators what came to wait for them since they were told last, and clients what their banks
    took back."""
    async with web.house() as conn:
        await tell_waiting(conn, None, now=web.clock())
        await tell_cases_waiting(conn, now=web.clock())
        await tell_charged_back(conn, now=web.clock())


async def sum_days_over(web: Gateway) -> None:
    """Add up what days that are over brought and cost, for the pages that show many of them."""
    async with web.house() as conn:
        if (until := await close_days(conn, now=web.clock())) is not None:
            log.info("sums of all days before %s are kept", until)


async def _ring_when_moved(web: Gateway, bells: tuple[asyncio.Event, ...]) -> None:
    """Have sweeps look when the clock went further than time did: nobody waits an hour for a month that is over."""
    before, since = web.clock(), time.monotonic()
    while True:
        await asyncio.sleep(_MOVED_EVERY_S)
        now, moment = web.clock(), time.monotonic()
        if now - before - timedelta(seconds=moment - since) > _MOVED:
            for bell in bells:
                bell.set()
        before, since = now, moment


async def _repeat(web: Gateway, sweeps: tuple[Sweep, ...], every_s: float, noticed: asyncio.Event) -> None:
    while True:
        noticed.clear()
        for sweep in sweeps:
            try:
                await sweep(web)
            except Exception:
                # Whatever one sweep met, the others go on and it is tried again.
                log.exception("the sweep %s could not be done", sweep.__name__)
        with contextlib.suppress(TimeoutError):
            # Where nobody called it is time anyway.
            async with asyncio.timeout(every_s):
                await noticed.wait()
