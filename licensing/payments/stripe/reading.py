"""Stripe's objects as the values that every provider tells (`licensing.payments`). Without its package: mappings in,
values out."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from licensing.errors import ProviderRefuses
from licensing.money import Money
from licensing.payments import (
    Charge,
    Chargeback,
    ChargeRefund,
    CreatorAccount,
    Method,
    News,
    Setup,
    State,
    Transfer,
)

_FACTORS = {"ISK": 100, "UGX": 100}
"""Stripe writes these with two digits that are always 0 (docs.stripe.com/currencies, special cases)."""
_UNLIKE = frozenset({"MGA"})
"""Stripe counts these in other units than ISO 4217."""
WORDS = {
    "authentication_required": "the card's bank wants its owner to agree each time; use another card or way to pay",
    "card_declined": "the card's bank declined it; ask the bank, or use another card",
    "currency_not_supported": "the card does not take this currency; use another card",
    "expired_card": "the card has expired; save a new one",
    "incorrect_cvc": "the card's security code is wrong; save the card again",
    "insufficient_funds": "there is not enough money on the card; use another card, or try again later",
    "processing_error": "the card's bank could not be reached; try again later",
    "resource_missing": "Stripe does not know any more what it goes by; save the card, or open the account, again",
    "amount_too_small": "the amount is below what cards take; pay more at once",
    "amount_too_large": "the amount is above what cards take; pay in parts",
    "balance_insufficient": "the operator's balance at Stripe does not cover it; it can be tried again later",
    "insufficient_capabilities_for_transfer": "the account does not take transfers yet; complete it at Stripe",
    "charge_already_refunded": "all of it was given back at Stripe before",
    "charge_disputed": "the payer's bank took it back; it is settled there",
}
"""Codes of errors and of declines -> why it failed and what to do. Of a card that was reported as stolen nothing is
said that its bearer should not know."""
_DISPUTES: Mapping[str, Literal["open", "won", "lost"]] = {
    "needs_response": "open",
    "under_review": "open",
    "won": "won",
    "lost": "lost",
}
"""Dispute.status -> `Chargeback.state`. Inquiries (`warning_...`) move no money."""


def sum_of(amount: Money) -> dict[str, Any]:
    if amount.currency in _UNLIKE:
        raise ProviderRefuses(f"Stripe counts {amount.currency} in other units than we do; use another currency")
    return {"amount": amount.amount * _FACTORS.get(amount.currency, 1), "currency": amount.currency.lower()}


def money_of(amount: int, currency: str) -> Money:
    return Money(amount // _FACTORS.get(currency.upper(), 1), currency.upper())


def reason_of(*codes: str | None) -> str:
    """The first code that there are words for, in words."""
    return next((WORDS[code] for code in codes if code in WORDS), WORDS["card_declined"])


def charge_of(told: Any) -> Charge:
    """A PaymentIntent. One that waits for somebody has failed: nobody is there."""
    state: State = "failed"
    amount, reason = told["amount"], ""
    if told["status"] == "succeeded":
        state, amount = "succeeded", told.get("amount_received", told["amount"])
    elif told["status"] in ("processing", "requires_capture", "requires_confirmation"):
        state = "pending"
    elif told["status"] == "requires_action":
        reason = WORDS["authentication_required"]
    elif told["status"] == "canceled":
        reason = "it was canceled at Stripe"
    else:
        error = told.get("last_payment_error") or {}
        reason = reason_of(error.get("decline_code"), error.get("code"))
    return Charge(
        payment_id=(told.get("metadata") or {}).get("payment_id"),
        reference=told["id"],
        state=state,
        amount=money_of(amount, told["currency"]),
        reason=reason,
    )


def refund_of(told: Any) -> ChargeRefund:
    state: State = "pending"
    if told["status"] in ("succeeded", "failed"):
        state = told["status"]
    elif told["status"] == "canceled":
        state = "failed"
    why = (told.get("failure_reason") or "canceled at Stripe").replace("_", " ")
    return ChargeRefund(
        refund_id=(told.get("metadata") or {}).get("refund_id"),
        reference=told["id"],
        state=state,
        amount=money_of(told["amount"], told["currency"]),
        reason=f"the payer's bank did not take it: {why}" if state == "failed" else "",
    )


def chargeback_of(told: Any) -> Chargeback | None:
    """A Dispute; None for an inquiry, in which no money moves."""
    state = _DISPUTES.get(told["status"])
    charge = told.get("payment_intent") or told.get("charge")
    if state is None:
        return None
    return Chargeback(
        reference=told["id"],
        charge=charge if isinstance(charge, str) else charge["id"],
        state=state,
        amount=money_of(told["amount"], told["currency"]),
        reason=told["reason"].replace("_", " "),
    )


def setup_of(told: Any) -> Setup | None:
    """A Checkout Session of mode `setup`; without the method where it does not say more than the card's id."""
    if told["mode"] != "setup":
        return None
    if told["status"] != "complete":
        return Setup(reference=told["id"], state="failed" if told["status"] == "expired" else "pending")
    intent = told["setup_intent"]
    if isinstance(intent, str) or isinstance(intent["payment_method"], str):
        return Setup(reference=told["id"], state="succeeded")
    card = intent["payment_method"]
    brand = card["card"]["brand"].replace("_", " ").title()
    return Setup(
        reference=told["id"],
        state="succeeded",
        method=Method(reference=f"{told['customer']}/{card['id']}", label=f"{brand} ending {card['card']['last4']}"),
    )


def account_of(told: Any) -> CreatorAccount:
    takes = (told.get("capabilities") or {}).get("transfers") == "active"
    needs = (told.get("requirements") or {}).get("currently_due") or []
    return CreatorAccount(
        reference=told["id"],
        creator_id=(told.get("metadata") or {}).get("creator_id"),
        is_ready=takes and bool(told["payouts_enabled"]),
        needs=tuple(needs),
    )


def transfer_of(told: Any) -> Transfer:
    return Transfer(
        payout_id=(told.get("metadata") or {}).get("payout_id"),
        reference=told["id"],
        state="succeeded",
        amount=money_of(told["amount"], told["currency"]),
        returned=money_of(told.get("amount_reversed") or 0, told["currency"]),
    )


NEWS: Mapping[str, Callable[[Any], News | None]] = {
    **dict.fromkeys(
        (f"payment_intent.{what}" for what in ("succeeded", "payment_failed", "processing", "canceled")), charge_of
    ),
    **dict.fromkeys((f"refund.{what}" for what in ("created", "updated", "failed")), refund_of),
    **dict.fromkeys(
        (f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")),
        chargeback_of,
    ),
    **dict.fromkeys((f"checkout.session.{what}" for what in ("completed", "expired")), setup_of),
    "account.updated": account_of,
    **dict.fromkeys((f"transfer.{what}" for what in ("created", "updated", "reversed")), transfer_of),
}
"""Event type -> how its object is read."""
