"""A creator's account at the payment provider: begun there, looked at, and paid to once it takes money.

Which account was begun stands in the creator's record (`service.audit`): it is theirs to read, and never changes.
"""

from licensing import payees
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.payees import Payee, ProviderAccount, Schedule
from licensing.payments import CreatorAccount, Page
from service import audit
from service.resources import Gateway
from service.transfers import note_account
from service.who import Who


async def begin(web: Gateway, *, creator_id: str, by: Who) -> Page | None:
    """The provider's page on which the account is opened, or gone on with; None where creators need none. Raises
    ProviderUnreachable."""
    async with web.house() as conn:
        known = await _begun(conn, creator_id)
    back = f"{web.settings.origin}/studio/payouts/connected"
    page = await web.provider.begin_onboarding(creator_id=creator_id, account=known, return_url=back)
    if page is not None and page.reference != known:
        async with web.house() as conn, conn.transaction():
            now = web.clock()
            await audit.note(conn, "payee_connecting", account_id=creator_id, by=by, now=now, subject=page.reference)
    return page


async def look(web: Gateway, creator_id: str) -> CreatorAccount | None:
    """The account as the provider has it; None where none was begun. Raises ProviderUnreachable."""
    async with web.house() as conn:
        known = await _begun(conn, creator_id)
    return None if known is None else await web.provider.find_account(known)


async def come_back(web: Gateway, creator_id: str) -> CreatorAccount | None:
    """The same after a visit there: what takes money is paid to from now on, as the provider's event says a little
    later. Raises ProviderUnreachable."""
    found = await look(web, creator_id)
    if found is not None:
        async with web.house() as conn, conn.transaction():
            await note_account(conn, web.provider.name, found, prices=web.prices, now=web.clock())
    return found


async def be_paid_there(
    web: Gateway, account: CreatorAccount, *, creator_id: str, minimum: Money, schedule: Schedule, by: Who
) -> Payee | Refusal:
    """Be paid to that account from now on, as often and from as much on. Refusals: as `put_payee`."""
    async with web.pool.acquire() as conn, conn.transaction():
        stored = await payees.put_payee(
            conn,
            creator_id=creator_id,
            account=ProviderAccount(reference=account.reference),
            minimum=minimum,
            schedule=schedule,
            smallest=web.prices.payout_smallest,
            by=creator_id,
            now=web.clock(),
        )
        if isinstance(stored, Payee):
            await audit.note(conn, "payee_changed", account_id=creator_id, by=by, now=web.clock())
    return stored


async def _begun(conn: Connection, creator_id: str) -> str | None:
    found: str | None = await conn.fetchval(
        "SELECT subject FROM service.audit WHERE account_id = $1 AND kind = 'payee_connecting'"
        " ORDER BY at DESC LIMIT 1",
        creator_id,
    )
    return found
