"""Whose the rows of this room are (`licensing.tenancy`), and for whom a connection acts.

A request acts for the account that it came from, from the moment that it is known; until then for nobody. What the
house does for several parties at once (stories, sweeps, group commits, an order that a creator's switch ends) acts for
the house: everything outside of a request does, and a request where it takes a connection of `Resources.house`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import asyncpg

from licensing.tenancy import ACTING, EVERYBODY, HOUSE, IS_HOUSE, ME, NO_PARTY, NOBODY, Table, owned_by
from service.db.patience import patience

_acting: ContextVar[str] = ContextVar("acting", default=HOUSE)
_ALL = "INSERT, UPDATE, DELETE"
_ADD = "INSERT"


def _through(table: str, condition: str) -> str:
    """A row is seen by whoever sees one of another table."""
    return f"EXISTS (SELECT FROM service.{table} WHERE {condition})"


TABLES: Mapping[str, Table] = {
    # Who sells is known by name, and clients to creators who look at their pictures.
    "accounts": Table(
        seen=f"{owned_by('id')} OR {_through('versions', 'creator_id = accounts.id AND published_at IS NOT NULL')}"
        f" OR {_through('approvals a', 'a.client_id = accounts.id')}"
        f" OR {_through('trust t', 't.client_id = accounts.id')}",
        writes=_ALL,
        written=f"{IS_HOUSE} OR {owned_by('id')}",
    ),
    "sign_in_links": Table(seen=owned_by("account_id"), writes=_ALL),
    "sessions": Table(seen=owned_by("account_id"), writes=_ALL),
    "passwords": Table(seen=owned_by("account_id"), writes=_ALL),
    "second_factors": Table(seen=owned_by("account_id"), writes=_ALL),
    "recovery_codes": Table(seen=owned_by("account_id"), writes=_ALL),
    # Of people who have not proved yet who they are: for the house alone.
    "sign_in_steps": Table(seen=NO_PARTY, writes=_ALL),
    "sign_ups": Table(seen=NO_PARTY, writes=_ALL),
    "sign_in_tries": Table(seen=NO_PARTY, writes=_ALL),
    # Whoever joins is another party than whoever asks, so the house alone writes.
    "team_members": Table(seen=owned_by("client_id", "account_id"), writes=_ALL, written=IS_HOUSE),
    "team_invitations": Table(seen=owned_by("client_id"), writes=_ALL, written=IS_HOUSE),
    "styles": Table(
        seen=f"{owned_by('creator_id')} OR EXISTS (SELECT FROM service.versions v"
        " WHERE v.style_id = styles.id AND v.published_at IS NOT NULL)",
        writes=_ALL,
        written=f"{IS_HOUSE} OR {owned_by('creator_id')}",
    ),
    "deleted_files": Table(seen=NO_PARTY, writes=_ALL),
    "approvals": Table(seen=owned_by("creator_id", "client_id"), writes=_ALL),
    "trust": Table(seen=owned_by("creator_id", "client_id"), writes=_ALL),
    "authorships": Table(seen=f"parts ? {ME}", writes=_ALL, written=IS_HOUSE),
    "ownership_terms": Table(seen=EVERYBODY, writes=_ADD),
    "works": Table(seen=owned_by("creator_id"), writes=_ALL),
    "tries": Table(seen=owned_by("creator_id"), writes=_ALL),
    "consents": Table(seen=owned_by("creator_id"), writes=_ALL),
    "consent_works": Table(seen=owned_by("creator_id"), writes=_ALL),
    "uploads": Table(seen=owned_by("creator_id"), writes=_ALL),
    "upload_files": Table(seen=owned_by("creator_id"), writes=_ALL),
    "looks": Table(seen=owned_by("creator_id"), writes=_ALL),
    "cases": Table(seen=owned_by("creator_id"), writes=_ALL),
    "claims": Table(seen=owned_by("creator_id"), writes=_ALL, written=IS_HOUSE),
    "claim_contacts": Table(seen=NO_PARTY, writes=_ALL),
    "trainings": Table(seen=owned_by("creator_id"), writes=_ALL),
    "speeds": Table(seen=EVERYBODY, writes=_ALL),
    "versions": Table(
        seen=f"{owned_by('creator_id')} OR published_at IS NOT NULL AND {EVERYBODY}",
        writes=_ALL,
        written=f"{IS_HOUSE} OR {owned_by('creator_id')}",
    ),
    # Of what anybody sees, and of nobody: whoever knows a search's id may turn its pages.
    "appearances": Table(seen=NO_PARTY, writes=_ALL),
    "searches": Table(seen=NO_PARTY, writes=_ALL),
    "images": Table(seen=owned_by("client_id"), writes=_ALL),
    "generations": Table(seen=owned_by("client_id", "creator_id"), writes=_ALL),
    "outputs": Table(seen=owned_by("client_id", "creator_id"), writes=_ALL),
    "events": Table(
        seen=f"{_through('generations g', 'g.id = subject')} OR {_through('trainings t', 't.id = subject')}",
        writes=_ALL,
    ),
    "webhooks": Table(seen=owned_by("client_id"), writes=_ALL),
    "messages": Table(seen=_through("deliveries d", "d.message_id = messages.id"), writes=_ALL),
    "deliveries": Table(seen=_through("webhooks w", "w.id = webhook_id"), writes=_ALL),
    "letters": Table(seen=owned_by("account_id"), writes=_ALL),
    "letter_choices": Table(seen=owned_by("account_id"), writes=_ALL),
    "switch_stops": Table(seen=EVERYBODY, writes=_ALL),
    "executors": Table(seen=EVERYBODY, writes=_ALL),
    "self_tests": Table(seen=NO_PARTY, writes=_ALL),
    "fees": Table(seen=EVERYBODY, writes=_ADD),
    "reports": Table(seen=EVERYBODY, writes=_ADD, written=IS_HOUSE),
    "data_use": Table(seen=owned_by("creator_id"), writes=_ADD),
    "audit": Table(seen=owned_by("account_id"), writes=_ADD),
    # Whole accounts and what strangers wrote: for the house alone.
    "bank_statements": Table(seen=NO_PARTY, writes=_ALL),
    "bank_lines": Table(seen=NO_PARTY, writes=_ALL),
    "alembic_version": Table(seen=NO_PARTY),
    "oldest_code": Table(seen=NO_PARTY),
}


def act_for(account_id: str) -> None:
    """From here to the end of the request, connections see what this account may see."""
    _acting.set(account_id)


@contextmanager
def acting_for(party: str) -> Iterator[None]:
    """Connections that are taken inside see what `party` may see."""
    before = _acting.set(party)
    try:
        yield
    finally:
        _acting.reset(before)


class LendingPool(asyncpg.Pool):  # type: ignore[misc] # asyncpg tells no types
    """A pool whose connections come in time, or not at all: TimeoutError (`service.db.patience`)."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        # The pool gives a connection back in the same time, or drops it.
        return super().acquire(timeout=timeout or patience().connect_s)


class LentConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg tells no types
    """A connection of the pool. It knows for whom it acts and how long a statement may take, and is told anew only
    where its next borrower is another. Raises TimeoutError where the server says nothing for longer.

    One that was told nothing, or whose session forgot, acts for nobody.
    """

    _told = (NOBODY, "0")

    async def tell_party(self) -> None:
        """Act for whom it is about to be lent to."""
        told = (_acting.get(), patience().statement_timeout)
        if told != self._told:
            await self.execute(
                f"SELECT set_config('{ACTING}', $1, false), set_config('statement_timeout', $2, false)", *told
            )
            self._told = told

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        done: str = await super().execute(query, *args, timeout=timeout or patience().answer_s)
        return done

    async def executemany(self, command: str, args: Any, *, timeout: float | None = None) -> None:
        await super().executemany(command, args, timeout=timeout or patience().answer_s)

    async def fetch(self, query: str, *args: Any, timeout: float | None = None, record_class: Any = None) -> Any:
        return await super().fetch(query, *args, timeout=timeout or patience().answer_s, record_class=record_class)

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None, record_class: Any = None) -> Any:
        return await super().fetchrow(query, *args, timeout=timeout or patience().answer_s, record_class=record_class)

    async def fetchval(self, query: str, *args: Any, column: int = 0, timeout: float | None = None) -> Any:
        return await super().fetchval(query, *args, column=column, timeout=timeout or patience().answer_s)


async def tell_party(conn: LentConnection) -> None:
    """What the pool does with a connection that it lends. One that cannot be told is closed by the pool."""
    await conn.tell_party()


async def take_back(conn: LentConnection) -> None:
    """What the pool does when a connection comes back, beside ending its transaction: nothing. Nobody sets anything on
    a session but for whom it acts, which is seen to when it is lent again; and locks and cursors end with their
    transaction. So each use costs the database a statement less."""
