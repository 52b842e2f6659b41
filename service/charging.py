"""Money that clients pay: asked of the provider, told by it, and compared with its list. A provider's word is written
down by `licensing.billing`; here is who asks when."""

import hashlib
import logging
from datetime import timedelta

from licensing.billing import issuing, payments
from licensing.billing.methods import SavedMethod, saved_method
from licensing.billing.payments import Payment, Purpose
from licensing.billing.reconciliation import Finding, reconcile
from licensing.errors import ProviderUnreachable, Refusal
from licensing.money import Money
from service.resources import Gateway

log = logging.getLogger("ownhand.charging")

LOOKED_BACK = timedelta(days=7)
"""How far back a provider's list is compared with our rows; what is still open is, whenever it was begun."""


def payment_id_of(client_id: str, key: str) -> str:
    """The same wish of the same client has the same id, so it is paid once however often it is sent."""
    return "pay_" + hashlib.sha256(f"{client_id}\n{key}".encode()).hexdigest()[:26]


async def take_payment(
    web: Gateway,
    *,
    payment_id: str,
    client_id: str,
    purpose: Purpose,
    subject: str | None,
    amount: Money,
    bonus: Money | None = None,
) -> Payment | Refusal:
    """Begin a payment, and ask the provider for it: by the client's saved method, or as its instructions say."""
    async with web.house() as conn:
        saved = await saved_method(conn, client_id)
        async with conn.transaction():
            begun = await payments.begin_payment(
                conn,
                payment_id=payment_id,
                client_id=client_id,
                provider=web.provider.name,
                purpose=purpose,
                subject=subject,
                amount=amount,
                bonus=bonus,
                method=_reference(web, saved),
                now=web.clock(),
            )
        if isinstance(begun, Refusal):
            return begun
        return await payments.pay(conn, web.provider, begun, now=web.clock())


async def charge_invoices(web: Gateway) -> None:
    """Charge what invoices ask for to the clients who saved a method. Once a day for each; a sweep."""
    today = web.clock().date()
    async with web.house() as conn:
        due = await issuing.unpaid_invoices(conn)
        savers = {paper.client_id: await saved_method(conn, paper.client_id) for paper in due}
    for paper in due:
        if _reference(web, savers[paper.client_id]) is not None:
            await take_payment(
                web,
                payment_id=payment_id_of(paper.client_id, f"invoice {paper.number} {today}"),
                client_id=paper.client_id,
                purpose="invoice",
                subject=paper.number,
                amount=paper.due - paper.settled,
            )


async def charge_renewals(web: Gateway) -> None:
    """Charge what a renewal lacks to the client whose plan waits for money, once for each try. A sweep, before
    `renew_plans` looks whether the money is there."""
    async with web.house() as conn:
        rows = await conn.fetch(_LACKING, web.provider.name, web.clock())
    for row in rows:
        await take_payment(
            web,
            payment_id=payment_id_of(row["client_id"], f"renewal {row['allowance_id']} {row['tries']}"),
            client_id=row["client_id"],
            purpose="prepaid",
            subject=None,
            amount=Money(row["lacks"], row["currency"]),
        )


async def compare_with_provider(web: Gateway) -> list[Finding]:
    """Hold the provider's list against our rows: what ended there ends here; what one side does not know is logged and
    returned. A sweep."""
    try:
        async with web.house() as conn:
            found = await reconcile(conn, web.provider, since=web.clock() - LOOKED_BACK, now=web.clock())
    except ProviderUnreachable as error:
        log.warning("the payment provider did not answer; it is asked again: %s", error)
        return []
    for finding in found.findings:
        log.error("%s", finding.sentence)
    return list(found.findings)


def _reference(web: Gateway, saved: SavedMethod | None) -> str | None:
    return saved.method.reference if saved and saved.provider == web.provider.name else None


# What waiting renewals lack of their price: of clients who saved a method, at the first try and when one is due.
_LACKING = """
    SELECT r.allowance_id, r.client_id, r.tries, a.currency, cost.amount - purse.free AS lacks
    FROM licensing.renewal r JOIN licensing.allowance a USING (allowance_id)
    JOIN licensing.payment_method m ON m.client_id = r.client_id AND m.provider = $1,
        LATERAL (SELECT coalesce((a.next_plan ->> 'price')::bigint, a.price) AS net) price,
        LATERAL (SELECT price.net + licensing.tax_on(price.net, (licensing.tax_of(r.client_id)).bps) AS amount) cost,
        LATERAL (SELECT licensing.free_of('prepaid:' || r.client_id || ':' || a.currency) AS free) purse
    WHERE r.state = 'waiting' AND a.renews AND (r.tries = 0 OR r.next_at <= $2) AND cost.amount > purse.free
"""
