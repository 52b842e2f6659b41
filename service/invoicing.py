"""What is paid by the calendar: monthly papers, what they ask for, renewals that wait for money, free pictures."""

import logging

from licensing import plans
from licensing.billing import issuing
from licensing.billing.parties import Party
from licensing.database import Connection
from service.accounts import account_by_id
from service.outbox import tell_invoiced, tell_unpaid
from service.resources import Gateway
from service.styles import style_names
from service.telling.of_licences import tell_plan_unpaid
from service.telling.of_money import tell_overdue, tell_paper

log = logging.getLogger("ownhand.invoicing")

_AT_ONCE = 200


async def issue_monthly(web: Gateway) -> None:
    """Put what was charged before this month on papers, client by client. Nothing where all is on papers; and nothing
    while nobody is named as the seller: what was charged waits."""
    if web.taxes.seller is None:
        return
    until = issuing.month_start(web.clock())
    async with web.house() as conn:
        waiting = await issuing.clients_to_invoice(conn, until=until)
        for client_id, currency in waiting:
            try:
                async with conn.transaction():
                    numbers = await _issue(web, conn, client_id, currency)
            except Exception:
                # One client's papers hold up nobody else's; they are tried again with the next sweep.
                log.exception("the papers of client %s could not be issued", client_id)
            else:
                log.info("papers %s were issued to client %s", ", ".join(numbers), client_id)


async def collect_due(web: Gateway) -> None:
    """Pay what invoices ask for out of prepaid money, where there is enough of it; tell of those whose day is over."""
    async with web.house() as conn:
        for paper in await issuing.unpaid_invoices(conn):
            async with conn.transaction():
                if not await issuing.pay_invoice(conn, paper.number, now=web.clock()):
                    await tell_overdue(conn, paper, now=web.clock())


async def renew_plans(web: Gateway) -> None:
    """Try again the renewals that found no money, and let plans run on that have been paused as long as they may be."""
    now = web.clock()
    async with web.house() as conn:
        for client_id in await plans.due_resumptions(conn, now=now):
            async with conn.transaction():
                await plans.resume(conn, client_id=client_id, now=now)
        for allowance_id in await plans.due_renewals(conn, now=now):
            async with conn.transaction():
                state = await plans.retry_renewal(conn, allowance_id, now=now, new_id=web.new_id)
                if state in ("waiting", "given_up"):
                    await tell_unpaid(conn, allowance_id, now=now)
                    await tell_plan_unpaid(conn, allowance_id, now=now)


async def grant_free_pictures(web: Gateway) -> None:
    """Give each client without any the free pictures of a month, where the operator gives some."""
    free = web.prices.free
    if free is None:
        return
    async with web.house() as conn:
        rows = await conn.fetch(
            "SELECT a.id FROM service.accounts a WHERE a.role = 'client' AND a.disabled_at IS NULL AND NOT EXISTS"
            " (SELECT FROM licensing.allowance f WHERE f.client_id = a.id AND f.kind = 'free' AND f.state = 'active')"
            " ORDER BY a.id LIMIT $1",
            _AT_ONCE,
        )
        for row in rows:
            await plans.grant_free(conn, client_id=row["id"], free=free, now=web.clock(), new_id=web.new_id)


async def _issue(web: Gateway, conn: Connection, client_id: str, currency: str) -> list[str]:
    seller, client = web.taxes.seller, await account_by_id(conn, client_id)
    assert seller is not None, "whoever issues has looked"
    name = client.name if client else client_id
    numbers = await issuing.issue_papers(
        conn,
        client_id=client_id,
        currency=currency,
        until=issuing.month_start(web.clock()),
        seller=seller,
        buyer=Party(name=name, street="", postcode="", city="", country="", email=client.email if client else ""),
        style_names=await style_names(conn, await _styles_of(conn, client_id)),
        payment_days=web.prices.payment_days,
        now=web.clock(),
    )
    for number in numbers:
        await tell_invoiced(conn, number, now=web.clock())
        await tell_paper(conn, number, now=web.clock())
    return numbers


async def _styles_of(conn: Connection, client_id: str) -> list[str]:
    """The styles that this client bought of."""
    rows = await conn.fetch(
        "SELECT style_id FROM licensing.output WHERE client_id = $1"
        " UNION SELECT style_id FROM licensing.allowance WHERE client_id = $1 AND style_id IS NOT NULL",
        client_id,
    )
    return [row["style_id"] for row in rows]
