"""An invoice or a credit note on paper."""

from reportlab.pdfgen.canvas import Canvas

from licensing.billing.invoices import Invoice, InvoiceLine
from licensing.billing.parties import Party
from licensing.papers import invoice_rules
from licensing.papers.sheets import (
    ACCENT,
    BODY,
    HEADING,
    LABEL,
    LEFT,
    NAME,
    RIGHT,
    SMALL,
    STRONG,
    TITLE,
    Block,
    Column,
    Type,
    beside,
    column_names,
    lines_of,
    paragraph,
    row,
    rule,
    space,
    stacked,
    typeset,
    write,
)
from licensing.papers.wording import country, day, figure, percent, period, sum_of

_TITLES = {"invoice": "Invoice", "credit_note": "Credit note"}
_MIDDLE = LEFT + 255.0
_TOTALS_LEFT = RIGHT - 216.0
_SEPARATOR = "  ·  "


def invoice_pdf(invoice: Invoice, *, payment: str = "") -> bytes:
    """`invoice` on A4. `payment` says how to pay what is due, in lines of its own.

    Raises ValueError for an invoice that does not add up.
    """
    invoice_rules.check(invoice)
    name = f"{_TITLES[invoice.kind]} {invoice.number}"
    blocks = [*_lines(invoice), space(14.0), _sums(invoice), space(16.0), *_settlement(invoice, payment)]
    return typeset(
        blocks,
        masthead=_masthead(invoice),
        running=_running(invoice, name),
        foot=_sender(invoice.seller),
        title=name,
        author=invoice.seller.name,
        subject=f"{name} of {invoice.seller.name} to {invoice.buyer.name}, {day(invoice.issued_on)}",
        on=invoice.issued_on,
    )


def _masthead(invoice: Invoice) -> Block:
    seller = invoice.seller
    title = Block(
        height=24.0, draw=lambda canvas, y: write(canvas, _TITLES[invoice.kind], RIGHT, y - 17.0, TITLE, "right")
    )
    sender = stacked(
        paragraph(seller.name, NAME, width=300.0),
        space(2.0),
        paragraph("\n".join(_address(seller)), SMALL, width=300.0),
    )
    return stacked(
        beside(sender, title),
        space(12.0),
        Block(height=26.0, draw=lambda canvas, y: rule(canvas, y, ink=ACCENT)),
        beside(_recipient(invoice.buyer), _facts(invoice)),
        space(26.0),
    )


def _recipient(buyer: Party) -> Block:
    lines = [paragraph("To", LABEL), paragraph(buyer.name, STRONG, width=230.0)]
    lines.append(paragraph("\n".join(_address(buyer)), width=230.0))
    if buyer.vat_id:
        lines.append(paragraph(f"VAT ID {buyer.vat_id}", width=230.0))
    return stacked(*lines)


def _facts(invoice: Invoice) -> Block:
    """Number, dates, and by which numbers the tax office knows the seller."""
    seller = invoice.seller
    facts = [(f"{_TITLES[invoice.kind]} number", invoice.number), ("Date", day(invoice.issued_on))]
    if invoice.corrects:
        facts.append(("Corrects invoice", invoice.corrects))
    facts.append(("Period", period(invoice.since, invoice.until)))
    if invoice.due.amount > 0:
        facts.append(("Due by" if invoice.kind == "invoice" else "Paid to you by", day(invoice.due_on)))
    if seller.vat_id:
        facts.append(("Our VAT ID", seller.vat_id))
    if seller.tax_number:
        facts.append(("Our tax number", seller.tax_number))
    return stacked(*(_fact(label, text) for label, text in facts))


def _fact(label: str, text: str) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        write(canvas, label, _MIDDLE, y - BODY.size, Type(ink=SMALL.ink))

    return beside(
        Block(height=BODY.leading, draw=draw), paragraph(text, BODY, x=_MIDDLE + 100.0, width=RIGHT - _MIDDLE - 100.0)
    )


def _running(invoice: Invoice, name: str) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        write(canvas, invoice.seller.name, LEFT, y - 9.0, SMALL)
        write(canvas, name, RIGHT, y - 9.0, SMALL, "right")
        rule(canvas, y - 16.0, ink=ACCENT)

    return Block(height=34.0, draw=draw)


def _lines(invoice: Invoice) -> list[Block]:
    taxed = _is_taxed(invoice)
    columns = _columns(invoice.total.currency, taxed)
    heads = column_names(columns)
    rows = [row(columns, _cells(line, taxed), heads=heads) for line in invoice.lines]
    return [stacked(heads, rows[0]), *rows[1:]]


def _columns(currency: str, taxed: bool) -> list[Column]:
    """Without tax there is no column for it, and more room for words."""
    width = 218.0 if taxed else 258.0
    rate = [Column(title="VAT", x=RIGHT - 78.0, width=40.0, align="right")] if taxed else []
    return [
        Column(title="No.", x=LEFT, width=24.0),
        Column(title="Description", x=LEFT + 26.0, width=width),
        Column(title="Quantity", x=LEFT + 26.0 + width + 52.0, width=48.0, align="right"),
        Column(title=f"Unit {currency}", x=LEFT + 26.0 + width + 118.0, width=62.0, align="right"),
        *rate,
        Column(title=f"Net {currency}" if taxed else f"Sum {currency}", x=RIGHT, width=74.0, align="right"),
    ]


def _cells(line: InvoiceLine, taxed: bool) -> list[str]:
    rate = [f"{percent(line.rate.bps)} %"] if taxed else []
    return [str(line.number), line.text, f"{line.quantity:,}", figure(line.unit), *rate, figure(line.net)]


def _sums(invoice: Invoice) -> Block:
    """What the lines come to, and beside it the tax of each rate or why there is none."""
    return beside(_taxes(invoice), _totals(invoice))


def _taxes(invoice: Invoice) -> Block:
    width = _TOTALS_LEFT - LEFT - 30.0
    parts: list[Block] = []
    if _is_taxed(invoice):
        currency = invoice.total.currency
        columns = [
            Column(title="VAT rate", x=LEFT, width=50.0),
            Column(title=f"On {currency}", x=LEFT + 130.0, width=70.0, align="right"),
            Column(title=f"VAT {currency}", x=LEFT + width, width=70.0, align="right"),
        ]
        heads = column_names(columns, right=LEFT + width)
        parts.append(heads)
        for tax in invoice.taxes:
            cells = [f"{percent(tax.rate.bps)} %", figure(tax.net), figure(tax.tax)]
            parts.append(row(columns, cells, heads=heads, padding=2.5, right=LEFT + width))
        parts.append(space(6.0))
    parts += [paragraph(tax.rate.why, width=width) for tax in invoice.taxes if tax.rate.why]
    return stacked(*parts)


def _totals(invoice: Invoice) -> Block:
    """From the net sum down to what is due; a step that changes nothing is left out."""
    credit, taxed = invoice.kind == "credit_note", _is_taxed(invoice)
    kept = "Back to your prepaid money" if credit else "Paid from your prepaid money"
    sums = [_total("Net", figure(invoice.net)), _total("VAT", figure(invoice.tax))] if taxed else []
    if taxed or invoice.paid.amount:
        sums.append(_total("Total credited" if credit else "Total", sum_of(invoice.total), style=STRONG))
    if credit and invoice.due.amount == 0:
        return stacked(*sums, _result(kept, sum_of(invoice.paid)))
    if invoice.paid.amount:
        sums.append(_total(kept, figure(invoice.paid * -1)))
    return stacked(*sums, _result("To be paid to you" if credit else "Due", sum_of(invoice.due)))


def _total(label: str, text: str, style: Type = BODY) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        write(canvas, label, _TOTALS_LEFT, y - 9.5, style)
        write(canvas, text, RIGHT, y - 9.5, style, "right")

    return Block(height=17.0, draw=draw)


def _result(label: str, text: str) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        rule(canvas, y - 2.0, left=_TOTALS_LEFT, ink=ACCENT)
        write(canvas, label, _TOTALS_LEFT, y - 17.0, HEADING)
        write(canvas, text, RIGHT, y - 17.0, HEADING, "right")

    return Block(height=24.0, draw=draw)


def _settlement(invoice: Invoice, payment: str) -> list[Block]:
    """How what is due is paid, or that nothing is."""
    if invoice.due.amount == 0:
        said = "Nothing is due: everything " + (
            "went back to your prepaid money." if invoice.kind == "credit_note" else "was paid from your prepaid money."
        )
        return [paragraph(said)]
    if not payment:
        return []
    heading = "How you are paid" if invoice.kind == "credit_note" else "How to pay"
    return [paragraph(heading, HEADING, keeps=3 * BODY.leading), space(2.0), *lines_of(payment)]


def _is_taxed(invoice: Invoice) -> bool:
    return any(tax.rate.bps for tax in invoice.taxes)


def _address(party: Party) -> list[str]:
    town = f"{party.postcode} {party.city}".strip()
    return [party.street, town, country(party.country)]


def _sender(seller: Party) -> list[str]:
    """The foot of each page: who asks for the money, and where to ask back."""
    numbers = [f"VAT ID {seller.vat_id}"] if seller.vat_id else []
    numbers += [f"Tax number {seller.tax_number}"] if seller.tax_number else []
    numbers += [seller.email] if seller.email else []
    return [_SEPARATOR.join([seller.name, *_address(seller)]), _SEPARATOR.join(numbers)]
