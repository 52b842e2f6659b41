"""An account that its owner wants gone: asked for in a moment, done by the web role, and not to be undone.

From the asking on nobody is let in with it. Then a creator's styles are destroyed, for which clients get back the
unused part of what they paid; a client's open orders end without a charge, and bought pictures are deleted here.
Last goes whatever tells who it was: address, name, sessions, keys, webhooks, prompts, pictures, words. Ledger, orders
and certificates keep the id, which then is a pseudonym. Each part may be done twice, so a kill in between is no matter.
"""

import asyncio
import logging
from datetime import datetime

from licensing import docket, payouts, plans
from licensing.billing.methods import saved_method
from licensing.database import Connection
from licensing.erasure import forget_account
from licensing.ledger import balance
from licensing.money import Money
from licensing.sentence import say
from service import audit
from service.accounts import Account, account_by_id
from service.errors import Problem
from service.formats import count, day, inline, money
from service.generation import void_order
from service.languages import gettext
from service.orders import IS_OPEN
from service.resources import Gateway
from service.retention import UNREADABLE, WORDLESS
from service.sessions import end_all_sessions
from service.switching import change_switch
from service.who import Who
from service.workflows import are_told, forget_stories_of

log = logging.getLogger("ownhand.erasure")

# In order; $1 is the account, $2 the time. The account's row comes last: what it says then is not erased twice.
_FORGET = (
    "DELETE FROM service.sign_in_links WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.sessions WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.passwords WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.second_factors WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.recovery_codes WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.sign_ups WHERE email = (SELECT email FROM service.accounts WHERE id = $1)"
    " AND $2::timestamptz IS NOT NULL",
    "UPDATE service.team_members SET ended_at = $2 WHERE $1 IN (client_id, account_id) AND ended_at IS NULL",
    "DELETE FROM service.team_invitations WHERE $2::timestamptz IS NOT NULL"
    " AND (client_id = $1 OR email = (SELECT email FROM service.accounts WHERE id = $1))",
    "DELETE FROM service.sign_in_steps WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.messages m USING service.deliveries d, service.webhooks w WHERE m.id = d.message_id"
    " AND d.webhook_id = w.id AND w.client_id = $1 AND $2::timestamptz IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM service.deliveries o JOIN service.webhooks v ON v.id = o.webhook_id"
    "  WHERE o.message_id = m.id AND v.client_id <> $1)",
    "DELETE FROM service.webhooks WHERE client_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.letters WHERE $2::timestamptz IS NOT NULL"
    " AND (account_id = $1 OR address = (SELECT email FROM service.accounts WHERE id = $1))",
    "DELETE FROM service.letter_choices WHERE account_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.images WHERE client_id = $1 AND $2::timestamptz IS NOT NULL",
    "DELETE FROM service.events WHERE $2::timestamptz IS NOT NULL AND subject IN (SELECT id FROM service.generations"
    " WHERE client_id = $1 UNION ALL SELECT id FROM service.trainings WHERE creator_id = $1)",
    f"UPDATE service.outputs SET receipt = receipt || {UNREADABLE} WHERE client_id = $1 AND receipt <> '{{}}'",
    f"UPDATE service.generations SET words_deleted_at = $2, request = request || {WORDLESS}"
    " WHERE client_id = $1 AND words_deleted_at IS NULL",
    "UPDATE service.cases SET said = '[]' WHERE creator_id = $1 AND $2::timestamptz IS NOT NULL",
    "UPDATE service.consents SET asked = '', words = '', answered_by = NULL WHERE creator_id = $1"
    " AND $2::timestamptz IS NOT NULL",
    "UPDATE service.claims SET said = '[]' WHERE creator_id = $1 AND $2::timestamptz IS NOT NULL",
    "UPDATE service.styles SET name = 'A style that was deleted', summary = '', updated_at = $2 WHERE creator_id = $1",
    "UPDATE service.bank_lines SET text = '', holder = '', iban = '' WHERE party = $1 AND $2::timestamptz IS NOT NULL",
    "UPDATE service.accounts SET email = id || '@erased.invalid', name = 'A former ' || role, language = NULL,"
    " erased_at = $2 WHERE id = $1",
)


async def in_the_way(conn: Connection, account: Account, *, currency: str, now: datetime) -> list[str]:
    """What an account would give up by being erased, in sentences; nothing where there is nothing."""
    if account.role == "creator":
        cents = await balance(conn, f"payable:{account.id}:{currency}")
        owed = (
            gettext("There are {amount} of earnings that can be paid out.")
            if cents > 0
            else gettext("There are {amount} of trainings that are not paid for yet.")
        )
        return [owed.format(amount=_amount(abs(cents), currency))] if cents else []
    usage = await plans.usage(conn, account.id, now, currency=currency)
    prepaid = usage.prepaid.amount + usage.prepaid_held.amount
    left = gettext("There are {amount} of prepaid money left.").format(amount=_amount(prepaid, currency))
    said = [left] if prepaid else []
    rows = await conn.fetch(
        "SELECT id, name FROM service.styles WHERE id = ANY($1::text[])", [one.style_id for one in usage.allowances]
    )
    names = {row["id"]: row["name"] for row in rows}
    for one in usage.allowances:
        if one.kind == "free":
            continue
        runs = (
            gettext("The plan {name} runs until {until} with {left} pictures left.")
            if one.kind == "plan"
            else gettext("The {tier} licence of {name} runs until {until} with {left} pictures left.")
        )
        name = one.name if one.kind == "plan" else names.get(one.style_id) or gettext("a style that is gone")
        tier = inline(gettext((one.tier or "").capitalize()))
        said.append(runs.format(tier=tier, name=name, until=day(one.ends_at), left=one.left))
    return said


async def _must_end_first(conn: Connection, account: Account, *, currency: str) -> list[str]:
    """What concerns others, too, and so cannot be given up, in sentences."""
    disputes = [one for one in await docket.disputes_of(conn, account.id) if one.state != "closed"]
    waits = gettext("Wait for the end of {disputes} that you are in.")
    said = [waits.format(disputes=count(len(disputes), "dispute", "disputes"))] if disputes else []
    if account.role == "creator":
        paying = (await payouts.standing(conn, creator_id=account.id, currency=currency)).paying
        said += (
            [
                gettext("Wait until the {amount} that are on their way to you have arrived.").format(
                    amount=_amount(paying.amount, currency)
                )
            ]
            if paying.amount
            else []
        )
    else:
        owed = -await balance(conn, f"receivable:{account.id}:{currency}")
        pay = gettext("Pay the {amount} that came on account.").format(amount=_amount(owed, currency))
        said += [pay] if owed > 0 else []
    return said


async def ask_erasure(
    conn: Connection,
    account: Account,
    *,
    confirm: str,
    gives_up: bool,
    by: Who,
    currency: str,
    operator: str,
    now: datetime,
) -> None:
    """Close an account for good; `erase_asked` does the rest. Raises Problem where something is in the way."""
    if account.role == "operator":
        raise Problem("forbidden", say("An operator's account is needed to run this place; only others can be erased."))
    if confirm.strip().lower() != account.email:
        raise Problem(
            "invalid_request",
            say("{confirm!r} is not this account's e-mail address; type it to confirm.", confirm=confirm[:80]),
        )
    waits = await _must_end_first(conn, account, currency=currency)
    if waits:
        raise Problem(
            "conflict",
            say("{waits} Then the account can be erased.", waits=" ".join(waits)),
            extra={"in_the_way": waits},
        )
    said = await in_the_way(conn, account, currency=currency, now=now)
    if said and not gives_up:
        raise Problem(
            "conflict",
            say(
                "{said} Ask {operator} to pay it back, or use it up, or give it up: then it is gone.",
                said=" ".join(said),
                operator=operator,
            ),
            extra={"in_the_way": said},
        )
    async with conn.transaction():
        await end_all_sessions(conn, account_id=account.id, now=now)
        await conn.execute(
            "UPDATE service.accounts SET disabled_at = coalesce(disabled_at, $2), erase_asked_at = $2 WHERE id = $1",
            *(account.id, now),
        )
        await audit.note(conn, "erasure_asked", account_id=account.id, by=by, now=now)


async def erase_asked(web: Gateway) -> None:
    """Erase the accounts whose owners asked for it, as far as they can be by now. A sweep of the web role."""
    async with web.house() as conn:
        rows = await conn.fetch(
            "SELECT id FROM service.accounts WHERE erase_asked_at IS NOT NULL AND erased_at IS NULL ORDER BY id"
        )
    for row in rows:
        await erase(web, row["id"])


async def erase(web: Gateway, account_id: str) -> None:
    """One of them. What goes wrong with it is logged, and tried again by the sweep: the others do not wait for it."""
    try:
        await _erase(web, account_id)
    except Exception:
        log.exception("account %s could not be erased for now", account_id)


async def _erase(web: Gateway, account_id: str) -> None:
    async with web.house() as conn:
        account = await account_by_id(conn, account_id)
        assert account is not None
    if account.role == "creator":
        await _destroy_styles(web, account_id)
    await _void_orders(web, account_id)
    async with web.house() as conn:
        if await _is_unfinished(conn, account_id):
            # A style is being emptied, a bought picture is on its way to its place, or a story ends: at the next look.
            return
        # Of a creator's buyers, too: a story that sealed a picture holds its certificate, with both names.
        orders = await conn.fetch("SELECT id FROM service.generations WHERE $1 IN (client_id, creator_id)", account_id)
        await forget_stories_of(conn, [row["id"] for row in orders])
        keys = await conn.fetch(
            "SELECT storage_key FROM service.images WHERE client_id = $1"
            " UNION ALL SELECT storage_key FROM service.outputs WHERE client_id = $1",
            account_id,
        )
    for row in keys:
        await asyncio.to_thread(web.storage.delete, row["storage_key"])
    await _forget(web, account_id, now=web.clock())
    log.info("account %s was erased", account_id)


async def _destroy_styles(web: Gateway, account_id: str) -> None:
    async with web.house() as conn:
        has_styles = await conn.fetchval(
            "SELECT EXISTS (SELECT FROM service.styles WHERE creator_id = $1 AND destroyed_at IS NULL)", account_id
        )
    if has_styles:
        await change_switch(web, "destroyed", None, creator_id=account_id)


async def _void_orders(web: Gateway, account_id: str) -> None:
    async with web.house() as conn:
        rows = await conn.fetch(
            f"SELECT id FROM service.generations WHERE client_id = $1 AND {IS_OPEN}",
            account_id,
        )
    for row in rows:
        await void_order(web, row["id"], reason="canceled")


async def _is_unfinished(conn: Connection, account_id: str) -> bool:
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM service.styles WHERE creator_id = $1 AND emptied_at IS NULL) OR EXISTS"
        " (SELECT FROM service.outputs WHERE client_id = $1 AND storage_key LIKE 'pending/%')",
        account_id,
    )
    rows = await conn.fetch("SELECT id FROM service.generations WHERE $1 IN (client_id, creator_id)", account_id)
    return found or await are_told(conn, [row["id"] for row in rows])


async def _forget(web: Gateway, account_id: str, *, now: datetime) -> None:
    async with web.house() as conn, conn.transaction():
        email = await conn.fetchval(
            "SELECT email FROM service.accounts WHERE id = $1 AND erased_at IS NULL FOR UPDATE", account_id
        )
        if email is None:
            # Somebody else was first.
            return
        saved = await saved_method(conn, account_id)
        if saved is not None and saved.provider == web.provider.name:
            await web.provider.forget_method(saved.method.reference)
        await forget_account(conn, web.authority, account_id=account_id, email=email, now=now)
        for statement in _FORGET:
            await conn.execute(statement, account_id, now)
        await audit.note(conn, "account_erased", account_id=account_id, by=Who(role="place", actor=""), now=now)


def _amount(cents: int, currency: str) -> str:
    return money(Money(cents, currency))
