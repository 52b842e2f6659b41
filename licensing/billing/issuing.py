"""Issuing papers and reading them: `invoices.Paper` and `invoices.Invoice` out of rows."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from licensing.billing.invoices import Invoice, InvoiceLine, Paper, TaxLine, TaxRate
from licensing.billing.parties import Party
from licensing.billing.taxes import Seller
from licensing.database import Connection
from licensing.money import Money


def month_start(moment: datetime) -> datetime:
    """The first moment of the UTC month that a moment lies in."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


async def clients_to_invoice(conn: Connection, *, until: datetime) -> list[tuple[str, str]]:
    """Clients and currencies with charges from before `until` that are on no paper yet."""
    rows = await conn.fetch("SELECT client_id, currency FROM licensing.clients_to_invoice($1)", until)
    return [(row["client_id"], row["currency"]) for row in rows]


async def issue_papers(
    conn: Connection,
    *,
    client_id: str,
    currency: str,
    until: datetime,
    seller: Seller,
    buyer: Party,
    style_names: Mapping[str, str],
    payment_days: int,
    now: datetime,
) -> list[str]:
    """Put a client's charges from before `until` on papers: an invoice, and a credit note for each earlier invoice of
    which something was given back. Returns their numbers; none where all is on papers already.

    `buyer`: how a client is named who has told nothing. `style_names`: what styles are called, by id, at that time. In
    a transaction of its own."""
    rows = await conn.fetch(
        "SELECT number FROM licensing.issue_papers($1, $2, $3, $4, $5, $6, $7, $8, $9) AS number",
        *(client_id, currency, until, json.dumps(asdict(seller.party)), json.dumps(asdict(buyer))),
        *(json.dumps(dict(style_names)), seller.prefix, payment_days, now),
    )
    return [row["number"] for row in rows]


async def pay_invoice(conn: Connection, number: str, *, now: datetime) -> bool:
    """Pay what an invoice asks for out of prepaid money; True where nothing is due any more. In its own transaction."""
    is_paid: bool = await conn.fetchval("SELECT licensing.pay_invoice($1, $2)", number, now)
    return is_paid


async def find_invoice(conn: Connection, number: str, *, client_id: str | None = None) -> Invoice | None:
    """One paper, None where there is none (of this client)."""
    rows = await conn.fetch(_PAPERS + " WHERE number = $1 AND ($2::text IS NULL OR client_id = $2)", number, client_id)
    found = await _papers(conn, rows)
    return await _with_lines(conn, found[0], rows[0]["currency"]) if found else None


async def list_invoices(conn: Connection, *, client_id: str, limit: int = 50, before: str | None = None) -> list[Paper]:
    """A client's papers, the newest first, those after the one with the number `before`."""
    rows = await conn.fetch(
        _PAPERS + " WHERE client_id = $1 AND ($2::text IS NULL OR (issued_at, number) <"
        " (SELECT issued_at, number FROM licensing.invoice WHERE number = $2 AND client_id = $1))"
        " ORDER BY issued_at DESC, number DESC LIMIT $3",
        *(client_id, before, limit),
    )
    return await _papers(conn, rows)


async def recent_papers(conn: Connection, *, limit: int = 20) -> list[Paper]:
    """The last papers of all clients, the newest first."""
    rows = await conn.fetch(_PAPERS + " ORDER BY issued_at DESC, number DESC LIMIT $1", limit)
    return await _papers(conn, rows)


async def unpaid_invoices(conn: Connection, *, client_id: str | None = None) -> list[Paper]:
    """What is still to be paid, of one client or of all, by the day it is due."""
    rows = await conn.fetch(
        _PAPERS + " WHERE settled < due AND ($1::text IS NULL OR client_id = $1) ORDER BY due_on, number", client_id
    )
    return await _papers(conn, rows)


_PAPERS = "SELECT *, seller::text AS sold_by, buyer::text AS bought_by FROM licensing.invoice"


async def _papers(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Paper]:
    taxes = defaultdict(list)
    for tax in await conn.fetch(
        "SELECT * FROM licensing.invoice_tax WHERE number = ANY ($1) ORDER BY tax_bps DESC, tax_category",
        [row["number"] for row in rows],
    ):
        taxes[tax["number"]].append(tax)
    return [_paper(row, taxes[row["number"]]) for row in rows]


async def _with_lines(conn: Connection, paper: Paper, currency: str) -> Invoice:
    rows = await conn.fetch("SELECT * FROM licensing.invoice_line WHERE number = $1 ORDER BY line", paper.number)
    why: dict[str, str] = {tax.rate.category: tax.rate.why for tax in paper.taxes}
    return Invoice(**vars(paper), lines=tuple(_line(row, why, currency) for row in rows))


def _paper(row: Mapping[str, Any], taxes: Sequence[Mapping[str, Any]]) -> Paper:
    currency = row["currency"]
    why = {tax["tax_category"]: tax["why"] for tax in taxes}
    sums = {name: Money(row[name], currency) for name in ("net", "tax", "total", "paid", "due", "settled")}
    return Paper(
        number=row["number"],
        kind=row["kind"],
        corrects=row["corrects"],
        client_id=row["client_id"],
        issued_on=row["issued_at"].astimezone(UTC).date(),
        since=row["since"],
        until=row["until"],
        due_on=row["due_on"],
        seller=Party(**json.loads(row["sold_by"])),
        buyer=Party(**json.loads(row["bought_by"])),
        taxes=tuple(
            TaxLine(rate=_rate(tax, why), net=Money(tax["net"], currency), tax=Money(tax["tax"], currency))
            for tax in taxes
        ),
        **sums,
    )


def _line(line: Mapping[str, Any], why: Mapping[str, str], currency: str) -> InvoiceLine:
    return InvoiceLine(
        number=line["line"],
        kind=line["kind"],
        text=_text(line),
        style_id=line["style_id"],
        tier=line["tier"],
        quantity=line["quantity"],
        unit=Money(line["unit"], currency),
        net=Money(line["net"], currency),
        rate=_rate(line, why),
    )


def _text(line: Mapping[str, Any]) -> str:
    """What a line is about, as buyers read it."""
    style = f"style {line['style_name'] or line['style_id']}"
    texts = {
        "pictures": f"Pictures, {line['tier']} licence, {style}",
        "taken_back": f"Pictures taken back, {line['tier']} licence, {style}",
        "taken_back_in_part": f"Part of a picture's price, given back, {line['tier']} licence, {style}",
        "plan": f"Plan {line['name']}",
        "licence": f"Licence of {style}, {line['tier']}",
        "discount": f"Discount {line['name']}",
        "unused": f"Unused part of plan {line['name']}" if line["name"] else f"Unused part of the licence of {style}",
    }
    return texts[line["kind"]]


def _rate(row: Mapping[str, Any], why: Mapping[str, str]) -> TaxRate:
    return TaxRate(category=row["tax_category"], bps=row["tax_bps"], why=why.get(row["tax_category"], ""))
