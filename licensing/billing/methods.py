"""By what a client is charged: one saved method, kept by the provider; here is its name and words for its owner."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.payments import Method, Page, PaymentProvider, Setup
from licensing.sentence import say


@dataclass(frozen=True, kw_only=True)
class SavedMethod:
    """What a client saved, and at which provider."""

    client_id: str
    provider: str
    method: Method
    saved_at: datetime


async def begin_setup(
    conn: Connection, provider: PaymentProvider, *, setup_id: str, client_id: str, return_url: str, now: datetime
) -> Page | Refusal | None:
    """The provider's page on which the client saves a method; None where this provider saves none.

    Refusals: conflict (another setup has this id). Raises ProviderUnreachable: the same call may be repeated.
    """
    present = await saved_method(conn, client_id)
    kept = present.method if present is not None and present.provider == provider.name else None
    page = await provider.begin_setup(setup_id=setup_id, client_id=client_id, return_url=return_url, present=kept)
    if page is None:
        return None
    answer = await ask(conn, "begin_setup", setup_id, client_id, provider.name, page.reference, now)
    return answer.refusal or page


async def end_setup(conn: Connection, provider: str, setup: Setup, *, now: datetime) -> Refusal | None:
    """Write down how a setup went. What it saved replaces what an earlier setup did. Refusals: not_found."""
    method = setup.method or Method(reference="", label="")
    state = "pending" if setup.state == "succeeded" and setup.method is None else setup.state
    answer = await ask(conn, "end_setup", provider, setup.reference, state, method.reference, method.label, now)
    return answer.refusal


async def finish_setup(
    conn: Connection, provider: PaymentProvider, setup_id: str, *, client_id: str | None = None, now: datetime
) -> Refusal | None:
    """Ask how a setup went whose client (this one, if one is named) has come back, before the provider's event says it.
    Refusals: not_found. Raises ProviderUnreachable."""
    reference = await conn.fetchval(
        "SELECT reference FROM licensing.payment_setup"
        " WHERE setup_id = $1 AND provider = $2 AND ($3::text IS NULL OR client_id = $3)",
        *(setup_id, provider.name, client_id),
    )
    if reference is None:
        return refuse("not_found", what=say("setup"), id=setup_id)
    return await end_setup(conn, provider.name, await provider.find_setup(reference), now=now)


async def saved_method(conn: Connection, client_id: str) -> SavedMethod | None:
    """What this client is charged by."""
    row = await conn.fetchrow("SELECT * FROM licensing.payment_method WHERE client_id = $1", client_id)
    if row is None:
        return None
    kept = Method(reference=row["reference"], label=row["label"])
    return SavedMethod(client_id=client_id, provider=row["provider"], method=kept, saved_at=row["saved_at"])


async def forget_method(conn: Connection, *, client_id: str, now: datetime) -> SavedMethod | None:
    """Charge the client by nothing any more, and return what it was: the caller has its provider forget it too. A setup
    that was begun before saves nothing either."""
    saved = await saved_method(conn, client_id)
    await ask(conn, "forget_method", client_id, now)
    return saved
