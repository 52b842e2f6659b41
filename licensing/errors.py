"""What can go wrong in this room.

Raised, because the caller or the machine is at fault:

- LicensingError
    - SealRefused        a signature was asked for that no open hold covers, or for bytes that are no picture
    - AuthorityBroken    the folder of signing keys is damaged or readable by others
    - WatermarkUnusable  an invisible mark that nobody knows or that is not installed was named
    - PricesInvalid      `prices.toml` says something that cannot be charged
    - RulesInvalid       `categories.toml` says something that no prompt can be judged by
    - StillCalled        an upgrade would take away what processes of the version before still use
    - LedgerBroken       an answer of the database that no healthy ledger gives
    - ProviderUnusable   a payment provider was named that nobody knows, that is not installed or not set up
    - ProviderRefuses    a payment provider does not take what it is asked as we ask it; somebody has to look
    - ProviderUnreachable  a payment provider did not answer; the same call may succeed later
    - EventRefused       an event that its provider did not sign, that is too old or that nobody can read

Returned, because it is an answer one must expect: `Refusal`. Its slugs are the problem types of the HTTP interface.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from licensing.money import Money
from licensing.said_in_sql import of_sql
from licensing.sentence import Sentence, templates


class LicensingError(Exception):
    """The root of everything that this room raises."""


class SealRefused(LicensingError):
    """A signature was asked for that no open hold covers, or for bytes that are no picture."""


class AuthorityBroken(LicensingError):
    """The folder of signing keys is damaged or readable by others."""


class WatermarkUnusable(LicensingError):
    """An invisible mark that nobody knows or that is not installed was named."""


class PricesInvalid(LicensingError):
    """`prices.toml` says something that cannot be charged."""


class RulesInvalid(LicensingError):
    """`categories.toml` says something that no prompt can be judged by."""


class StillCalled(LicensingError):
    """An upgrade would take away what processes of the version before still use; nothing was changed."""


class LedgerBroken(LicensingError):
    """The database gave an answer that no healthy ledger gives."""


class ProviderUnusable(LicensingError):
    """A payment provider was named that nobody knows, that is not installed or not set up."""


class ProviderRefuses(LicensingError):
    """A payment provider does not take what it is asked as we ask it: a wrong key, a missing right, a bad parameter."""


class ProviderUnreachable(LicensingError):
    """A payment provider did not answer. The same call may succeed later."""


class EventRefused(LicensingError):
    """An event that its provider did not sign, that is too old or that nobody can read. Nothing was done."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An expected no.

    `slug` is the problem type, `message` one sentence with the values and the way out, `detail` the values for
    programs, `retry_after_s` the seconds after which the same request may succeed without anybody changing anything.
    """

    slug: str
    message: str
    retry_after_s: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


_SENTENCES = templates(
    {
        "style_off": "Style {style_id} was switched off by its creator; choose another style. What was bought before"
        " stays its buyer's.",
        "style_paused": "Style {style_id} is paused by its creator; try again later, or choose another style.",
        "style_closed": "Style {style_id} takes no new clients at present; choose another style.",
        "style_not_offered": "{style} is not for sale to you, as its creator chose; choose another style. Nothing was"
        " charged.",
        "prompt_refused": "The creator of {style} does not have {words} drawn; leave that out. Nothing was charged.",
        "style_exclusive": "Style {style_id} is another client's alone until {until}; choose another style, or order"
        " after that.",
        "style_destroyed": "Style {style_id} was destroyed for good; choose another style. What was bought before stays"
        " its buyer's.",
        "not_found": "There is no {what} {id} that this account may see; check the id.",
        "unauthenticated": "Key {key_id} {why}; make a new key and use that.",
        "invalid_request": "{what}.",
        "idempotency_conflict": "A request with idempotency key {key} is being worked on; repeat this one in a moment.",
        "idempotency_mismatch": "Idempotency key {key} was used before for a request with another body; use a new key.",
        "payment_required": "This costs {amount} and {available} of prepaid money is free; add money or take a plan.",
        "quota_exceeded": "This needs {units} units and {left} are left until {until}; wait, or add prepaid money.",
        "spend_cap_reached": "This costs {amount} and key {key_id} may spend {left} more of its cap of {cap}; raise the"
        " cap, or use another key.",
        "conflict": "{what}.",
    }
)
_SUMS = ("amount", "available", "left", "cap")


def refuse(slug: str, /, *, retry_after_s: int | None = None, **detail: Any) -> Refusal:
    """The refusal `slug` with its sentence filled from `detail`.

    Where `detail` names a currency, its sums (minor units) are written as money; `until` (ISO 8601) as a date. An
    unknown slug or a missing value is a KeyError: the sentences above are all there are.
    """
    values = dict(detail)
    for name in ("what", "why"):
        if name in detail and not isinstance(detail[name], Sentence):
            values[name] = of_sql(detail[name])
    if "until" in detail:
        values["until"] = date.fromisoformat(detail["until"][:10])
    if "currency" in detail:
        values |= {name: Money(detail[name], detail["currency"]) for name in _SUMS if name in detail}
    return Refusal(slug=slug, message=Sentence(_SENTENCES[slug], values), retry_after_s=retry_after_s, detail=detail)
