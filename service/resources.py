"""What a process holds open while it runs: the pool, the storage, and in the web role the keys."""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from licensing.authority import Authority, AuthorityFolder
from licensing.batches import Batches
from licensing.billing.buyers import apply_taxes
from licensing.billing.taxes import Taxes, load_taxes
from licensing.database import Connection
from licensing.payments import PaymentProvider, open_provider
from licensing.prices import Prices, load_prices
from licensing.rules import Category, load_categories
from licensing.tenancy import HOUSE
from licensing.watermarks import Watermark, open_watermark
from service.clock import Clock, utc_now
from service.clocks import put_right
from service.db.connections import application_url, open_pool
from service.db.patience import patience
from service.db.tenancy import acting_for
from service.fees import note_fees
from service.ids import NewId, new_id
from service.ownership import OwnershipTerms, load_ownership_terms, put_in_force
from service.settings import Settings
from service.storage import open_storage
from service.storage.closed import Closed

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What every role has. `clock` and `new_id` are here so that tests can pass their own."""

    settings: Settings
    database_url: str
    pool: asyncpg.Pool
    storage: Closed
    clock: Clock
    new_id: NewId

    @asynccontextmanager
    async def house(self) -> AsyncIterator[Connection]:
        """A connection that sees everything. Who asks, and for what, was checked by whoever takes it; in a request, for
        what concerns several parties at once (`service.db.tenancy`)."""
        with acting_for(HOUSE):
            conn = await self.pool.acquire()
        try:
            yield conn
        finally:
            await self.pool.release(conn)


@dataclass(frozen=True, kw_only=True)
class Gateway(Resources):
    """What the web role has on top, and a worker never: the signing keys, the secret that hashes tokens, prices, taxes,
    who takes payments, categories of prompts, who owns what, and the invisible mark where one is active."""

    authority_folder: AuthorityFolder
    pepper: bytes
    prices: Prices
    taxes: Taxes
    provider: PaymentProvider
    categories: Mapping[str, Category]
    ownership: OwnershipTerms
    watermark: Watermark | None = None
    _batches: dict[Any, Batches[Any, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def authority(self) -> Authority:
        """The keys as they are now: they may be rotated while the process runs."""
        return self.authority_folder.current()

    async def together(
        self,
        answer_all: "Callable[[Gateway, Sequence[Asked]], Awaitable[Sequence[Answered | Exception]]]",
        asked: Asked,
    ) -> Answered:
        """Have `answer_all` answer a question together with all that are asked of it at the same time: one commit, and
        one look at the database, for many requests (`licensing.batches`).

        Raises TimeoutError where that takes longer than a request waits; it may be answered all the same.
        """
        if answer_all not in self._batches:
            self._batches[answer_all] = Batches(partial(answer_all, self))
        answered: Answered = await self._batches[answer_all].ask(asked, within_s=patience().batch_s)
        return answered


@asynccontextmanager
async def open_worker_resources(
    settings: Settings, database_url: str, *, clock: Clock = utc_now
) -> AsyncIterator[Resources]:
    """A worker's resources, closed at the end."""
    async with await _pool(settings, database_url) as pool:
        async with pool.acquire() as conn:
            await put_right(conn, clock)
        yield Resources(
            settings=settings,
            database_url=application_url(database_url),
            pool=pool,
            storage=Closed(open_storage(settings.storage_url, settings.home)),
            clock=clock,
            new_id=partial(new_id, clock=clock),
        )


@asynccontextmanager
async def open_gateway(settings: Settings, database_url: str, *, clock: Clock = utc_now) -> AsyncIterator[Gateway]:
    """The web role's resources, closed at the end. The keys are made at the first start.

    Raises NotStarted where the terms of who owns what were changed without a new version.
    """
    ownership, taxes = load_ownership_terms(settings.configs), load_taxes(settings.configs / "seller.toml")
    prices = load_prices(settings.configs / "prices.toml")
    async with await _pool(settings, database_url) as pool:
        provider = open_payments(settings)
        async with pool.acquire() as conn:
            await put_right(conn, clock)
            await put_in_force(conn, ownership, now=clock())
            await apply_taxes(conn, taxes)
            await note_fees(conn, prices, now=clock())
        try:
            yield Gateway(
                settings=settings,
                database_url=application_url(database_url),
                pool=pool,
                storage=Closed(open_storage(settings.storage_url, settings.home)),
                clock=clock,
                new_id=partial(new_id, clock=clock),
                authority_folder=AuthorityFolder(authority_folder(settings)),
                pepper=read_pepper(settings),
                prices=prices,
                taxes=taxes,
                provider=provider,
                categories=load_categories(settings.configs / "categories.toml"),
                ownership=ownership,
                watermark=open_watermark(settings.watermark) if settings.watermark else None,
            )
        finally:
            await provider.close()


async def _pool(settings: Settings, database_url: str) -> asyncpg.Pool:
    return await open_pool(
        database_url, settings.num_database_connections, idle_transaction_s=settings.idle_transaction_s
    )


def open_payments(settings: Settings) -> PaymentProvider:
    """The payment provider that the settings name. Raises ProviderUnusable."""
    if settings.payments != "stripe":
        return open_provider(settings.payments)
    return open_provider(
        "stripe",
        api_key=settings.stripe_api_key or "",
        webhook_secrets=tuple(filter(None, (settings.stripe_webhook_secrets or "").replace(" ", "").split(","))),
        base_url=settings.stripe_base_url,
    )


def authority_folder(settings: Settings) -> Path:
    """Where the signing keys lie: the same folder for every web process."""
    return settings.home / "authority"


def keys_folder(settings: Settings) -> Path:
    """`home/keys`, made if it is not there, for this user alone."""
    folder = settings.home / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def read_pepper(settings: Settings) -> bytes:
    """The secret under which tokens are hashed: the setting, else the file in `home/keys`, made at first use."""
    if settings.pepper:
        return settings.pepper.encode()
    path = keys_folder(settings) / "pepper"
    aside = path.with_name(f"pepper.{os.getpid()}")
    if not path.exists():
        # A link fails where another process was first: both then read that one's secret.
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        try:
            os.link(aside, path)
        except FileExistsError:
            return path.read_bytes()
        finally:
            aside.unlink()
    return path.read_bytes()
