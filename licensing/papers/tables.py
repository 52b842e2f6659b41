"""Tables for spreadsheets and programs: comma-separated, UTF-8, sums in whole minor units beside their currency."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from itertools import chain

from licensing.billing.invoices import Invoice
from licensing.certificates import Certificate
from licensing.dues import DuesLine
from licensing.papers.bank_file import Transfer
from licensing.papers.characters import one_line
from licensing.statements import Line, Statement

INVOICE_COLUMNS = (
    *("invoice", "line", "kind", "text", "style", "tier", "quantity", "unit", "net", "tax_category", "tax_bps"),
    "currency",
)
STATEMENT_COLUMNS = (
    *("at", "kind", "style", "tier", "order", "output", "certificate", "price", "fee", "tax", "others", "share"),
    *("currency", "owed"),
)
TRANSFER_COLUMNS = ("name", "iban", "bic", "amount", "currency", "reference", "end_to_end_id")
LICENCE_COLUMNS = (
    *("output", "style", "maker", "licensed_to", "licence", "use", "right_ends", "amount", "currency", "issued_at"),
    *("test", "withdrawn_because", "picture_sha256"),
)


def invoice_csv(invoice: Invoice) -> bytes:
    """The lines of an invoice or a credit note; `tax_bps` in hundredths of a percent."""
    return _table(
        INVOICE_COLUMNS,
        (
            [
                *(invoice.number, line.number, line.kind, line.text, line.style_id, line.tier, line.quantity),
                *(line.unit.amount, line.net.amount, line.rate.category, line.rate.bps, line.net.currency),
            ]
            for line in invoice.lines
        ),
    )


def statement_csv(statement: Statement) -> bytes:
    """The lines of a creator's month: price = fee + tax + others + share, and what more is owed since for a flat sum a
    month (`owed`), which is no earning. `configs/recompute_statement.py` adds them up."""
    return _table(
        STATEMENT_COLUMNS,
        chain(
            (_earning(line) for line in statement.lines),
            (_dues(line) for line in statement.dues.lines),
        ),
    )


def _earning(line: Line) -> list[str | int | None]:
    return [
        *(line.at.isoformat(), line.kind, line.style_id, line.tier, line.order_id, line.output_id),
        f"/v1/outputs/{line.output_id}/certificate" if line.output_id else None,
        *(line.price.amount, line.fee.amount, line.tax.amount, line.others.amount, line.share.amount),
        *(line.share.currency, 0),
    ]


def _dues(line: DuesLine) -> list[str | int | None]:
    # It has no style and no picture, and is no part of what was earned.
    return [line.at.isoformat(), line.kind, *("",) * 5, *(0,) * 5, line.amount.currency, line.amount.amount]


def statement_name(statement: Statement) -> str:
    """The name of a statement's file, which tells what its lines must sum to: `statement-2026-03_net_12345_EUR.csv`."""
    return f"statement-{statement.month}_net_{statement.total.amount}_{statement.total.currency}.csv"


def transfers_csv(transfers: Iterable[Transfer]) -> bytes:
    """Payouts for a bank that takes no SEPA file, or in a currency that SEPA does not carry."""
    return _table(
        TRANSFER_COLUMNS,
        (
            [
                *(transfer.name, transfer.iban, transfer.bic, transfer.amount.amount, transfer.amount.currency),
                *(transfer.reference, transfer.end_to_end_id),
            ]
            for transfer in transfers
        ),
    )


def licences_csv(certificates: Iterable[tuple[Certificate, str | None]]) -> bytes:
    """What somebody may do with which picture; beside each certificate, why it was withdrawn, if it was."""
    return _table(
        LICENCE_COLUMNS,
        (
            [
                *(paper.output_id, paper.style_name, paper.creator_name, paper.client_name, paper.tier, paper.use),
                paper.expires_at.isoformat() if paper.expires_at else "never",
                *(paper.amount.amount, paper.amount.currency, paper.issued_at.isoformat()),
                *("yes" if paper.test else "no", withdrawn, paper.output_sha256),
            ]
            for paper, withdrawn in certificates
        ),
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | int | None]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell if isinstance(cell, int) else _inert(cell or "") for cell in row])
    return file.getvalue().encode()


# Where a spreadsheet may begin a cell: at the start, and behind what it may take for the end of a cell, which depends
# on its reader's language. The wide signs are the same formulae in East Asian editions.
_FORMULA = re.compile(r"""(^|[,;:|"])(\s*)(?=[=+\-@＝＋－＠])""")


def _inert(text: str) -> str:
    """`text` as no spreadsheet takes it for a formula: an apostrophe stands before each sign that could begin one.

    Source: OWASP, "CSV Injection".
    """
    return _FORMULA.sub(r"\1'\2", one_line(text))
