"""What an operator does at the shell: invite people, hand out tokens, book money, judge a file."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from licensing import keymaking, keys
from licensing.authority import LOOK_EVERY_S, open_authority
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.keys import KeyKind
from licensing.money import Money
from licensing.payments import manual
from licensing.prices import load_prices
from licensing.verify import verify
from licensing.watermarks import open_watermark
from service.accounts import Account, Role, account_by_email, ensure_account
from service.auth import SCOPES
from service.erasure import ask_erasure
from service.ids import new_id
from service.ownership import load_ownership_terms
from service.reports import count_figures, differences, find_report
from service.resources import authority_folder, read_pepper
from service.second_factors import take_away_factor
from service.sessions import end_all_sessions, make_link
from service.settings import Settings
from service.who import Who


async def invite(
    conn: Connection, settings: Settings, *, role: Role, email: str, name: str | None, now: datetime
) -> str:
    """A sign-in link for the account, which is made if there is none. Raises ValueError."""
    version = load_ownership_terms(settings.configs).version
    account = await ensure_account(
        conn, role=role, email=email, name=name, ownership_terms=version, now=now, new_id=new_id
    )
    word = await make_link(conn, account_id=account.id, now=now, minutes=settings.sign_in_link_minutes)
    return f"{settings.origin}/sign-in?link={word}"


async def count_report(conn: Connection, settings: Settings, month: str) -> tuple[bool, list[str]]:
    """A month's report counted again, as lines, and whether it is as it was published. Raises ValueError for what is
    no month."""
    published = await find_report(conn, month)
    currency = published.figures["currency"] if published else load_prices(settings.configs / "prices.toml").currency
    counted = await count_figures(conn, month, currency=currency)
    lines = [
        f"{name}: {figure['value'] if figure['withheld'] is None else figure['withheld']}"
        for part in ("figures", "uses")
        for name, figure in counted[part].items()
    ]
    if published is None:
        return True, [*lines, f"No report of {month} is published, so there is nothing to compare with."]
    if found := differences(published.figures, counted):
        return False, [*lines, *found]
    return True, [*lines, f"As it was published at {published.published_at.isoformat(timespec='seconds')}."]


async def reset_sign_in(conn: Connection, settings: Settings, *, email: str, now: datetime) -> str:
    """A sign-in link for somebody who lost password, app and recovery codes: these are taken away and all sessions
    ended. Raises ValueError."""
    account = await _account(conn, email)
    by = Who(role="operator", actor="")
    async with conn.transaction():
        await take_away_factor(conn, account_id=account.id, by=by, now=now)
        await conn.execute("DELETE FROM service.passwords WHERE account_id = $1", account.id)
        await end_all_sessions(conn, account_id=account.id, now=now)
        word = await make_link(conn, account_id=account.id, now=now, minutes=settings.sign_in_link_minutes)
    return f"{settings.origin}/sign-in?link={word}"


async def token(
    conn: Connection,
    settings: Settings,
    *,
    email: str,
    test: bool,
    scopes: Sequence[str],
    cap: int | None,
    days: int | None = None,
    now: datetime,
) -> str:
    """A new token of the account's role, which ends after so many days. Raises ValueError."""
    account = await _account(conn, email)
    if account.role != "client" and (test or cap is not None):
        raise ValueError(f"{account.email} is a {account.role}; test keys and caps are for clients")
    unknown = sorted(set(scopes) - set(SCOPES[account.role]))
    if unknown:
        known = ", ".join(SCOPES[account.role])
        raise ValueError(f"{', '.join(unknown)} is no scope of a {account.role}'s token; there are {known}")
    kinds: dict[Role, KeyKind] = {"creator": "creator", "operator": "operator", "client": "test" if test else "live"}
    issued = await keys.issue(
        conn,
        account_id=account.id,
        kind=kinds[account.role],
        scopes=scopes,
        cap=cap,
        expires_at=None if days is None else now + timedelta(days=days),
        new_id=new_id,
        now=now,
        pepper=read_pepper(settings),
    )
    return issued.token


async def credit(conn: Connection, *, email: str, money: Money, reference: str | None, now: datetime) -> str:
    """Prepaid money for a client, and the sentence that says so. Raises ValueError."""
    account = await _account(conn, email)
    if account.role != "client":
        raise ValueError(f"{account.email} is a {account.role}; only clients have prepaid money")
    booked = await manual.credit(conn, account.id, money, reference or new_id("pay"), now)
    if isinstance(booked, Refusal):
        raise ValueError(booked.message)
    how = "was booked before" if booked.repeated else "is booked"
    free = f"{booked.balance.amount} free to spend"
    return f"{money.amount} {money.currency} {how} for {account.email} ({booked.reference}); {free}."


async def erase(
    conn: Connection, settings: Settings, *, email: str, confirm: str, gives_up: bool, now: datetime
) -> str:
    """Close an account for good, and the sentence that says so. Raises ValueError, Problem."""
    account = await _account(conn, email)
    await ask_erasure(
        conn,
        account,
        confirm=confirm,
        gives_up=gives_up,
        by=Who(role="operator", actor=""),
        currency=load_prices(settings.configs / "prices.toml").currency,
        operator=settings.operator_name,
        now=now,
    )
    return f"{account.id} is closed; its web process erases it within a minute of running, styles first."


async def verdict(conn: Connection, settings: Settings, file: Path, *, now: datetime) -> str:
    """What a file proves, in a few lines."""
    authority = open_authority(authority_folder(settings))
    watermark = open_watermark(settings.watermark) if settings.watermark else None
    found = await verify(conn, authority, file.read_bytes(), now=now, watermark=watermark)
    lines = [f"{found.verdict}: {found.sentence}"]
    if found.certificate is not None:
        said = found.certificate
        lines.append(f"output {said.output_id}, style {said.style_name} by {said.creator_name}, tier {said.tier}")
        if not found.is_test:
            lines.append(f"licensed to {said.client_name} on {said.issued_at:%Y-%m-%d}: {said.use}")
    return "\n".join(lines)


def rotate_keys(settings: Settings, *, seal: bool, documents: bool) -> list[str]:
    """New keys for seals, for documents, or both, and what became of them in sentences. Raises AuthorityBroken."""
    folder = authority_folder(settings)
    open_authority(folder)
    said = []
    if seal:
        until = keymaking.rotate_leaf(folder)
        said.append(f"Pictures are sealed with a new key, whose certificate is good until {until:%Y-%m-%d}.")
    if documents:
        kid = keymaking.rotate_document_key(folder)
        said.append(f"Documents are signed with the new key {kid}; what the one before it signed stays valid.")
    return [*said, f"Web processes take them up within {LOOK_EVERY_S:.0f} s. Copy {folder} to wherever else they run."]


async def _account(conn: Connection, email: str) -> Account:
    account = await account_by_email(conn, email)
    if account is None:
        raise ValueError(f"{email} has no account; make one with `ownhand invite --role ... --email {email}`")
    return account
