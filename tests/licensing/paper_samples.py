"""Invoices and months that stand for real ones. `invoice` sums up whatever lines it is given."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from licensing.billing.invoices import Invoice, InvoiceKind, InvoiceLine, TaxLine, TaxRate
from licensing.billing.parties import Party
from licensing.dues import DuesMonth, summed
from licensing.money import Money
from licensing.statements import Line, Movement, Statement

SELLER = Party(
    name="Atelier Łucja Dvořák & Töchter",
    street="Große Straße 7",
    postcode="10115",
    city="Berlin",
    country="DE",
    email="buchhaltung@atelier.example",
    vat_id="DE136695976",
)
SMALL_SELLER = replace(SELLER, vat_id=None, tax_number="37/123/45678")
BUYER = Party(
    name="Éditions <Ñandú> & Fils",
    street="12 rue de l'Échiquier",
    postcode="75010",
    city="Paris",
    country="FR",
    email="compta@nandu.example",
    vat_id="FR83404833048",
)
STANDARD = TaxRate(category="S", bps=1900)
REDUCED = TaxRate(category="S", bps=725)
REVERSE = TaxRate(category="AE", bps=0, why="Reverse charge: the recipient of the service owes the VAT.")
OUTSIDE = TaxRate(
    category="O", bps=0, why="Not subject to German VAT: the place of supply is outside the European Union."
)
EXEMPT = TaxRate(category="E", bps=0, why="No VAT is charged: small business under § 19 UStG.")
NO_DUES = summed(Money(0, "EUR"), ())


def line(
    number: int = 1,
    *,
    text: str = "Pictures in the style “Ink & wash”, personal",
    quantity: int = 3,
    unit: int = 249,
    rate: TaxRate = STANDARD,
    currency: str = "EUR",
) -> InvoiceLine:
    return InvoiceLine(
        number=number,
        kind="pictures",
        text=text,
        style_id="sty_01jd3vqz8x5n7r2k4m6p8t0w1y",
        tier="personal",
        quantity=quantity,
        unit=Money(unit, currency),
        net=Money(unit * quantity, currency),
        rate=rate,
    )


def invoice(
    *lines: InvoiceLine,
    kind: InvoiceKind = "invoice",
    paid: int | None = None,
    seller: Party = SELLER,
    buyer: Party = BUYER,
    number: str = "2026-0012",
) -> Invoice:
    """Of `lines` (one, where none is given); all of it is paid, unless `paid` says how much."""
    lines = lines or (line(),)
    currency = lines[0].net.currency
    taxes = taxes_of(lines)
    net, tax = sum(line.net.amount for line in lines), sum(tax.tax.amount for tax in taxes)
    paid = net + tax if paid is None else paid
    return Invoice(
        number=number,
        kind=kind,
        corrects="2026-0007" if kind == "credit_note" else None,
        client_id="acc_1",
        issued_on=date(2026, 12, 1),
        since=date(2026, 11, 1),
        until=date(2026, 11, 30),
        due_on=date(2026, 12, 15),
        seller=seller,
        buyer=buyer,
        lines=lines,
        taxes=taxes,
        net=Money(net, currency),
        tax=Money(tax, currency),
        total=Money(net + tax, currency),
        paid=Money(paid, currency),
        due=Money(net + tax - paid, currency),
        settled=Money(0, currency),
    )


def taxes_of(lines: Sequence[InvoiceLine]) -> tuple[TaxLine, ...]:
    """Reckoned in another way than the product does: in tenths of a minor unit, with Python's own division."""
    taxes = []
    for rate in dict.fromkeys(line.rate for line in lines):
        net = sum(line.net.amount for line in lines if line.rate == rate)
        tax, rest = divmod(net * rate.bps, 10_000)
        currency = lines[0].net.currency
        taxes.append(TaxLine(rate=rate, net=Money(net, currency), tax=Money(tax + (rest >= 5_000), currency)))
    return tuple(taxes)


def sale(number: int, *, style: str = "sty_ink", price: int = 119, fee: int = 15, tax: int = 19) -> Line:
    return Line(
        kind="sale",
        at=datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(minutes=4 * number),
        style_id=style,
        tier="personal",
        order_id=f"gen_{number:026}",
        output_id=f"out_{number:026}",
        price=Money(price, "EUR"),
        fee=Money(fee, "EUR"),
        tax=Money(tax, "EUR"),
        others=Money(0, "EUR"),
        share=Money(price - fee - tax, "EUR"),
    )


def refund(of: Line) -> Line:
    sums = {name: getattr(of, name) * -1 for name in ("price", "fee", "tax", "others", "share")}
    return replace(of, kind="refund", at=of.at + timedelta(days=2), **sums)


def compute(cost: int, *, style: str = "sty_ink") -> Line:
    return Line(
        kind="compute",
        at=datetime(2026, 3, 20, tzinfo=UTC),
        style_id=style,
        tier="training",
        order_id=None,
        output_id=None,
        price=Money(0, "EUR"),
        fee=Money(cost, "EUR"),
        tax=Money(0, "EUR"),
        others=Money(0, "EUR"),
        share=Money(-cost, "EUR"),
    )


def month(*lines: Line, opening: int = 0, movements: Sequence[Movement] = (), dues: DuesMonth = NO_DUES) -> Statement:
    def summed(part: str, *, computing: bool) -> int:
        return sum(getattr(line, part).amount for line in lines if (line.kind == "compute") is computing)

    net = summed("share", computing=False) + summed("share", computing=True)
    sums = {
        "gross": summed("price", computing=False),
        "fee": summed("fee", computing=False),
        "tax": summed("tax", computing=False),
        "compute": summed("fee", computing=True),
        "others": 0,
        "total": net,
        "opening": opening,
        "closing": opening + net + sum(one.amount.amount for one in movements),
    }
    return Statement(
        creator_id="acc_2",
        month="2026-03",
        lines=lines,
        num_lines=len(lines),
        movements=tuple(movements),
        dues=dues,
        **{name: Money(amount, "EUR") for name, amount in sums.items()},
    )
