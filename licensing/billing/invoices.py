"""Invoices and credit notes: what a client was charged in a month, numbered without gaps."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from licensing.billing.parties import Party
from licensing.money import Money

InvoiceKind = Literal["invoice", "credit_note"]
TaxCategory = Literal["S", "AE", "O", "E"]
"""As electronic invoices name them (UNCL 5305): standard rate, reverse charge, outside the scope, exempt."""


@dataclass(frozen=True, kw_only=True)
class TaxRate:
    """`bps` in hundredths of a percent. `why` is the sentence that an invoice without tax must have, else empty."""

    category: TaxCategory
    bps: int
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class InvoiceLine:
    """`quantity` times `unit` is `net`; both without tax. On a credit note the sums are what is given back, above 0."""

    number: int
    kind: str
    text: str
    style_id: str | None
    tier: str | None
    quantity: int
    unit: Money
    net: Money
    rate: TaxRate


@dataclass(frozen=True, kw_only=True)
class TaxLine:
    """The lines of one rate together: `tax` is `net` times the rate, rounded once, half up."""

    rate: TaxRate
    net: Money
    tax: Money


@dataclass(frozen=True, kw_only=True)
class Paper:
    """An invoice or a credit note, as lists have it. `number` is unique and without gaps in its series; a credit note
    names the invoice it `corrects`.

    `net` + `tax` = `total` = `paid` + `due`; `paid` came out of prepaid money when it was charged, `settled` is what of
    `due` was paid since. `since` is the first and `until` the last day of the time it is about.
    """

    number: str
    kind: InvoiceKind
    corrects: str | None
    client_id: str
    issued_on: date
    since: date
    until: date
    due_on: date
    seller: Party
    buyer: Party
    taxes: tuple[TaxLine, ...]
    net: Money
    tax: Money
    total: Money
    paid: Money
    due: Money
    settled: Money


@dataclass(frozen=True, kw_only=True)
class Invoice(Paper):
    """The whole paper: with its lines, of which a busy month has thousands."""

    lines: tuple[InvoiceLine, ...]
