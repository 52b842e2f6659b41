"""No invoice is printed that does not add up or lacks what the law asks for."""

from dataclasses import replace

import pytest

from licensing.billing.invoices import Invoice, TaxLine
from licensing.money import Money
from licensing.papers.invoice_pdf import invoice_pdf
from licensing.papers.invoice_rules import check
from tests.licensing.paper_samples import EXEMPT, OUTSIDE, REDUCED, STANDARD, invoice, line
from tests.licensing.world import eur

SOUND = invoice(line(1), line(2, unit=33, rate=REDUCED))
CREDIT = invoice(kind="credit_note")


def with_line(changed: Invoice, **changes) -> Invoice:
    return replace(changed, lines=(replace(changed.lines[0], **changes), *changed.lines[1:]))


def with_tax(changed: Invoice, **changes) -> Invoice:
    return replace(changed, taxes=(replace(changed.taxes[0], **changes), *changed.taxes[1:]))


def test_what_adds_up_is_not_refused():
    check(SOUND)
    check(CREDIT)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(SOUND, lines=()), "no lines"),
        (with_line(SOUND, net=eur(748)), "3 times 2.49 EUR is not 7.48 EUR"),
        (with_line(SOUND, number=2), "one number"),
        (with_line(SOUND, rate=EXEMPT), "not summed up"),
        (with_tax(SOUND, net=eur(748), tax=eur(142)), "sum to 747"),
        (with_tax(SOUND, tax=eur(141)), "are not 1.41 EUR"),
        (replace(SOUND, taxes=(*SOUND.taxes, SOUND.taxes[0])), "summed up twice"),
        (replace(SOUND, net=eur(847)), "do not sum to 8.47 EUR"),
        (replace(SOUND, tax=eur(1)), "taxes do not sum"),
        (replace(SOUND, total=eur(1), paid=eur(1), due=eur(0)), "are not 0.01 EUR"),
        (replace(SOUND, paid=eur(0), due=eur(0)), "0.00 EUR and 0.00 EUR"),
        (replace(CREDIT, corrects=None), "which invoice it corrects"),
        (replace(SOUND, corrects="2026-0001"), "only a credit note"),
        (invoice(line(rate=replace(EXEMPT, why=""))), "why there is no tax"),
        (invoice(line(rate=replace(EXEMPT, bps=100))), "has no tax, and yet a rate"),
        (invoice(line(rate=replace(STANDARD, bps=0))), "standard rate of nothing"),
        (invoice(line(1), line(2, rate=OUTSIDE)), "make two"),
    ],
)
def test_what_does_not_hold_is_named_and_never_printed(broken: Invoice, said: str):
    with pytest.raises(ValueError, match=f"(?s){broken.number}.*{said}"):
        invoice_pdf(broken)


def test_two_currencies_are_never_one_invoice():
    foreign = replace(SOUND.lines[0], unit=Money(249, "USD"), net=Money(747, "USD"))

    with pytest.raises(ValueError, match="currencies"):
        check(replace(SOUND, lines=(foreign, *SOUND.lines[1:])))


@pytest.mark.parametrize(
    ("net", "bps", "tax"), [(5, 1000, 1), (4, 1000, 0), (50, 1900, 10), (0, 1900, 0), (-5, 1000, 0)]
)
def test_tax_is_rounded_once_and_half_up(net: int, bps: int, tax: int):
    rate = replace(STANDARD, bps=bps)
    sound = invoice(line(quantity=1, unit=net, rate=rate))

    check(sound)

    assert sound.taxes == (TaxLine(rate=rate, net=eur(net), tax=eur(tax)),)
