"""Ways money comes in and goes out: what a payment provider is, and those there are by name. Thin.

A provider moves money and says what became of it; whose money it is, and whether it arrived, stands in our own rows
(`licensing.billing.payments`). What it says comes as an answer, as an event and in its list, always in the same values.
One module each, blind to each other.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Literal, Protocol

from licensing.errors import ProviderUnusable
from licensing.money import Money

PROVIDERS: dict[str, str] = {
    "manual": "licensing.payments.manual:Manual",
    "stripe": "licensing.payments.stripe:Stripe",
}
"""Name -> dotted name of its class. One that needs a package is an optional extra of the same name."""

State = Literal["pending", "succeeded", "failed"]
"""`pending` is also what nobody knows yet: it was asked for, and the answer was lost."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the provider's own to send a browser to. `reference` is what it is about, by the provider's name."""

    reference: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a client is charged by: the provider's name of it, and words for its owner (`Visa ending 4242`)."""

    reference: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How saving a method went; `method` where it succeeded."""

    reference: str
    state: State
    method: Method | None = None


@dataclass(frozen=True, kw_only=True)
class Charge:
    """Money from a client. `payment_id` is None where the provider does not know ours, `reference` None where it has
    not told its own yet. `reason` says in words why it failed."""

    payment_id: str | None
    reference: str | None
    state: State
    amount: Money
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ChargeRefund:
    """Money back to a client, part of a charge or all of it. Fields as in `Charge`."""

    refund_id: str | None
    reference: str | None
    state: State
    amount: Money
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Chargeback:
    """Money that a payer's bank took back from the charge `charge`: `open` and `lost` it is gone, `won` it came
    back."""

    reference: str
    charge: str
    state: Literal["open", "won", "lost"]
    amount: Money
    reason: str


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Money to a creator's account. `returned` is how much of it came back later, all of it or a part."""

    payout_id: str | None
    reference: str | None
    state: State
    amount: Money
    returned: Money
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CreatorAccount:
    """A creator's account at the provider. Money can be sent to it if it `is_ready`; `needs` are in the provider's
    words what its owner has still to give."""

    reference: str
    creator_id: str | None
    is_ready: bool
    needs: tuple[str, ...] = ()


News = Charge | ChargeRefund | Chargeback | Setup | Transfer | CreatorAccount


@dataclass(frozen=True, kw_only=True)
class Event:
    """One signed event: `id` is the provider's and never used again, `kind` its word. `news` is None where nothing here
    is concerned."""

    id: str
    kind: str
    at: datetime
    news: News | None


class PaymentProvider(Protocol):
    """What every provider does. Calls that ask for something take our id of it and may be repeated with the same id and
    the same arguments: it is done once. They answer `pending` where the outcome is not known, and never raise for that.

    Calls that only read, and those that give a page, raise ProviderUnreachable instead. All raise ProviderRefuses where
    the provider does not understand us.
    """

    @property
    def name(self) -> str:
        """By which rows say whose they are."""

    @property
    def repeats_within(self) -> timedelta | None:
        """How long a call may be repeated with the same id. Afterwards the provider would do it again, so it is looked
        up in its list instead, and what is not there was never done. None where nothing is ever done twice."""

    @property
    def lists_all(self) -> bool:
        """Whether its list names all that it did. Else what is not in it says nothing."""

    async def begin_setup(
        self, *, setup_id: str, client_id: str, return_url: str, present: Method | None = None
    ) -> Page | None:
        """The page on which a client saves a method, and which leads back to `return_url`. None where nothing is saved.
        `present` is the method that the new one is going to replace."""

    async def find_setup(self, reference: str) -> Setup:
        """How a setup went."""

    async def forget_method(self, method: str) -> None:
        """Forget a saved method; nothing can be charged by it any more. It may be gone already."""

    def instructions(self, *, payment_id: str, amount: Money) -> str | None:
        """What the client has to do to pay, as a sentence. None where the provider takes the money by itself."""

    async def charge(self, *, payment_id: str, amount: Money, method: str | None) -> Charge:
        """Take money by a saved method (its reference), while nobody is there to be asked."""

    async def refund(self, *, refund_id: str, charge: str, amount: Money) -> ChargeRefund:
        """Give back part of the charge with the reference `charge`, or all of it."""

    async def begin_onboarding(self, *, creator_id: str, account: str | None, return_url: str) -> Page | None:
        """The page on which a creator opens an account, or goes on with the `account` begun before (its reference). The
        page's reference is the account's. None where creators need none."""

    async def find_account(self, account: str) -> CreatorAccount:
        """Whether a creator's account takes money."""

    async def transfer(self, *, payout_id: str, amount: Money, account: str) -> Transfer:
        """Send money to a creator's account (its reference)."""

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        """An event as it came in, looked up where it leaves out what matters. Raises EventRefused."""

    def list_charges(self, since: datetime) -> AsyncIterator[Charge]:
        """Every charge that was begun at `since` or later, as it is now."""

    def list_refunds(self, since: datetime) -> AsyncIterator[ChargeRefund]:
        """Every refund that was begun at `since` or later, as it is now."""

    def list_chargebacks(self, since: datetime) -> AsyncIterator[Chargeback]:
        """Everything that banks took back at `since` or later, as it is now."""

    def list_transfers(self, since: datetime) -> AsyncIterator[Transfer]:
        """Every transfer that was begun at `since` or later, as it is now."""

    async def close(self) -> None:
        """Close its connections."""


def open_provider(name: str, **settings: Any) -> PaymentProvider:
    """The provider `name` with its settings (its class says which). Raises ProviderUnusable."""
    if name not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise ProviderUnusable(f"there is no payment provider {name!r}; there is {known}")
    module, _, kind = PROVIDERS[name].partition(":")
    try:
        provider: PaymentProvider = getattr(import_module(module), kind)(**settings)
    except ModuleNotFoundError as error:
        raise ProviderUnusable(
            f"payment provider {name!r} needs a package that is not installed; pip install 'ownhand[{name}]'"
        ) from error
    except TypeError as error:
        raise ProviderUnusable(f"payment provider {name!r} is not set up: {error}") from error
    return provider
