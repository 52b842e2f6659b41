"""The `stripe` provider: cards saved on Stripe's own page and charged later, refunds, creators' Connect accounts.

What Stripe is asked carries our id as metadata and in its idempotency key, so the same question is the same act. An
outcome that nobody knows (no answer, a 5xx, too many requests) is `pending`; Stripe's list tells it later.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import stripe

from licensing.errors import EventRefused, ProviderRefuses, ProviderUnreachable
from licensing.money import Money
from licensing.payments import (
    Charge,
    Chargeback,
    ChargeRefund,
    CreatorAccount,
    Event,
    Method,
    Page,
    Setup,
    Transfer,
)
from licensing.payments.stripe import reading

EVENT_AGE_MAX_S = 300
"""Older signatures are refused: somebody may have kept the event to send it again (Stripe's own default)."""
_PAGE = 100
_UNKNOWN_OUTCOME = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)
_FAILURES = (stripe.CardError, stripe.InvalidRequestError)


@dataclass(frozen=True, kw_only=True)
class Stripe:
    """One Stripe account. `webhook_secrets` are those of every endpoint that Stripe sends to, old ones while they are
    being replaced. `base_url` is where its API is."""

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    base_url: str = "https://api.stripe.com"
    timeout_s: float = 20.0
    name: str = "stripe"
    # Stripe forgets idempotency keys after 24 hours.
    repeats_within: timedelta | None = timedelta(hours=23)
    lists_all: bool = True

    @cached_property
    def _http(self) -> stripe.HTTPXClient:
        return stripe.HTTPXClient(timeout=self.timeout_s)

    @cached_property
    def _api(self) -> Any:
        # It would write an id of this machine into somebody's home and send it along.
        stripe.enable_telemetry = False
        # Retries are the caller's, who knows whether the outcome came by another way meanwhile.
        client = stripe.StripeClient(
            self.api_key,
            base_addresses={"api": self.base_url},
            http_client=self._http,
            max_network_retries=0,
        )
        return client.v1

    async def begin_setup(
        self, *, setup_id: str, client_id: str, return_url: str, present: Method | None = None
    ) -> Page | None:
        customer = {"customer": _split(present.reference)[0]} if present else {"customer_creation": "always"}
        ours = {"client_id": client_id, "setup_id": setup_id}
        with _reading():
            session = await self._api.checkout.sessions.create_async(
                {
                    "mode": "setup",
                    "payment_method_types": ["card"],
                    "client_reference_id": client_id,
                    "metadata": ours,
                    "setup_intent_data": {"metadata": ours},
                    "success_url": return_url,
                    "cancel_url": return_url,
                    **customer,
                },
                _once("setup", setup_id),
            )
        return Page(reference=session.id, url=session.url)

    async def find_setup(self, reference: str) -> Setup:
        with _reading():
            session = await self._api.checkout.sessions.retrieve_async(
                reference, {"expand": ["setup_intent.payment_method"]}
            )
        setup = reading.setup_of(session.to_dict())
        if setup is None:
            raise ProviderRefuses(f"Stripe's session {reference} saves no card; ask for one that does")
        return setup

    async def forget_method(self, method: str) -> None:
        with _reading():
            try:
                await self._api.payment_methods.detach_async(_split(method)[1])
            except stripe.InvalidRequestError as error:
                # It was detached before, or is gone with its customer.
                if error.http_status not in (400, 404):
                    raise

    def instructions(self, *, payment_id: str, amount: Money) -> str | None:
        return None

    async def charge(self, *, payment_id: str, amount: Money, method: str | None) -> Charge:
        asked = Charge(payment_id=payment_id, reference=None, state="pending", amount=amount)
        if method is None:
            return replace(asked, state="failed", reason="no card is saved; save one, or pay another way")
        customer, card = _split(method)
        wanted = {
            **reading.sum_of(amount),
            "customer": customer,
            "payment_method": card,
            "payment_method_types": ["card"],
            "off_session": True,
            "confirm": True,
            "metadata": {"payment_id": payment_id},
        }
        made, error = await _acted(self._api.payment_intents.create_async(wanted, _once("payment", payment_id)))
        if error is not None:
            reference = _intent_of(error)
            return replace(asked, reference=reference, state="failed", reason=_words(error))
        return asked if made is None else reading.charge_of(made)

    async def refund(self, *, refund_id: str, charge: str, amount: Money) -> ChargeRefund:
        asked = ChargeRefund(refund_id=refund_id, reference=None, state="pending", amount=amount)
        wanted = {
            "payment_intent": charge,
            "amount": reading.sum_of(amount)["amount"],
            "metadata": {"refund_id": refund_id},
        }
        made, error = await _acted(self._api.refunds.create_async(wanted, _once("refund", refund_id)))
        if error is not None:
            return replace(asked, state="failed", reason=_words(error))
        return asked if made is None else reading.refund_of(made)

    async def begin_onboarding(self, *, creator_id: str, account: str | None, return_url: str) -> Page | None:
        with _reading():
            if account is None:
                opened = await self._api.accounts.create_async(
                    {
                        "type": "express",
                        "capabilities": {"transfers": {"requested": True}},
                        "metadata": {"creator_id": creator_id},
                    },
                    _once("account", creator_id),
                )
                account = str(opened.id)
            link = await self._api.account_links.create_async(
                {
                    "account": account,
                    "type": "account_onboarding",
                    "return_url": return_url,
                    "refresh_url": return_url,
                }
            )
        return Page(reference=account, url=link.url)

    async def find_account(self, account: str) -> CreatorAccount:
        with _reading():
            found = await self._api.accounts.retrieve_async(account)
        return reading.account_of(found.to_dict())

    async def transfer(self, *, payout_id: str, amount: Money, account: str) -> Transfer:
        asked = Transfer(
            payout_id=payout_id, reference=None, state="pending", amount=amount, returned=Money(0, amount.currency)
        )
        wanted = {
            **reading.sum_of(amount),
            "destination": account,
            "transfer_group": payout_id,
            "metadata": {"payout_id": payout_id},
        }
        made, error = await _acted(self._api.transfers.create_async(wanted, _once("transfer", payout_id)))
        if error is not None:
            return replace(asked, state="failed", reason=_words(error))
        return asked if made is None else reading.transfer_of(made)

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        signature = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
        text, signed_at = self._verified(body, signature)
        if now - signed_at > timedelta(seconds=EVENT_AGE_MAX_S):
            raise EventRefused(
                f"the event was signed at {signed_at:%Y-%m-%dT%H:%M:%SZ} and is too old; Stripe sends it again"
            )
        try:
            told = json.loads(text)
            event_id, kind, about = told["id"], told["type"], told["data"]["object"]
            at = datetime.fromtimestamp(told["created"], UTC)
            news = reading.NEWS[kind](about) if kind in reading.NEWS else None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EventRefused(f"the event is signed, but it is none that can be read: {error!r}") from error
        if isinstance(news, Setup) and news.state == "succeeded":
            # The event names the card and does not say which it is.
            news = await self.find_setup(news.reference)
        return Event(id=event_id, kind=kind, at=at, news=news)

    def _verified(self, body: bytes, signature: str) -> tuple[str, datetime]:
        """The event's text, and when it was signed."""
        for secret in self.webhook_secrets:
            try:
                text = body.decode()
                stripe.WebhookSignature.verify_header(text, signature, secret)
                # The first, as the library takes it: a second one is not what was signed.
                signed_at = next(part[2:] for part in signature.split(",") if part.startswith("t="))
                return text, datetime.fromtimestamp(int(signed_at), UTC)
            except (stripe.SignatureVerificationError, ValueError, OverflowError):
                continue
        raise EventRefused(
            "the event's signature is not Stripe's; look whether the endpoint's secret is the one that is set here"
        )

    async def list_charges(self, since: datetime) -> AsyncIterator[Charge]:
        async for one in _all(self._api.payment_intents, since):
            yield reading.charge_of(one)

    async def list_refunds(self, since: datetime) -> AsyncIterator[ChargeRefund]:
        async for one in _all(self._api.refunds, since):
            yield reading.refund_of(one)

    async def list_chargebacks(self, since: datetime) -> AsyncIterator[Chargeback]:
        async for one in _all(self._api.disputes, since):
            if (told := reading.chargeback_of(one)) is not None:
                yield told

    async def list_transfers(self, since: datetime) -> AsyncIterator[Transfer]:
        async for one in _all(self._api.transfers, since):
            yield reading.transfer_of(one)

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


def _once(what: str, our_id: str) -> dict[str, str]:
    """Options by which Stripe does the same once, however often it is asked."""
    return {"idempotency_key": f"ownhand-{what}-{our_id}"}


@contextmanager
def _reading() -> Iterator[None]:
    """Stripe's errors as ours, for calls whose outcome is nothing but their answer."""
    try:
        yield
    except _UNKNOWN_OUTCOME as error:
        raise ProviderUnreachable(f"Stripe did not answer: {error}; try again later") from error
    except stripe.AuthenticationError:
        # What Stripe says of it repeats a part of the key.
        raise ProviderRefuses("Stripe does not take the API key; set the one of its dashboard") from None
    except stripe.StripeError as error:
        raise ProviderRefuses(f"Stripe refuses: {error}; look at its dashboard") from error


async def _acted(call: Awaitable[Any]) -> tuple[dict[str, Any] | None, stripe.StripeError | None]:
    """What a call that moves money made; or why it did not; or neither, where nobody knows yet."""
    try:
        with _reading():
            try:
                return (await call).to_dict(), None
            except _FAILURES as error:
                if isinstance(error, stripe.CardError) or error.code in reading.WORDS:
                    return None, error
                raise
    except ProviderUnreachable:
        return None, None


async def _all(kind: Any, since: datetime) -> AsyncIterator[dict[str, Any]]:
    with _reading():
        page = await kind.list_async({"created": {"gte": int(since.timestamp())}, "limit": _PAGE})
        async for one in page.auto_paging_iter():
            yield one.to_dict()


def _split(method: str) -> tuple[str, str]:
    customer, _, card = method.partition("/")
    return customer, card


def _words(error: stripe.StripeError) -> str:
    told = _told(error)
    return reading.reason_of(told.get("decline_code"), told.get("code"))


def _intent_of(error: stripe.StripeError) -> str | None:
    intent = _told(error).get("payment_intent") or {}
    found: str | None = intent.get("id")
    return found


def _told(error: stripe.StripeError) -> dict[str, Any]:
    body = error.json_body
    return body["error"] if isinstance(body, dict) else {}
