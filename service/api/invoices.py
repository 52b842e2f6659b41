"""`/v1/invoices`, what a client was charged by the month, and `/v1/buyer`, how invoices name a client."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from licensing.billing import buyers, issuing
from licensing.billing.invoices import Invoice, Paper, TaxRate
from licensing.billing.parties import Party
from licensing.errors import Refusal
from service.api.shapes import Cursor, Limit, bytes_of, file_response, form_asked_for, money, page
from service.auth import Client, ClientReading, Web
from service.errors import not_found, refused
from service.resources import Gateway

router = APIRouter(tags=["invoices"])

_FIELD = Field(max_length=200)


class BuyerBody(BaseModel):
    """`country` as its two letters; `vat_id` null where there is none."""

    model_config = ConfigDict(extra="forbid")

    name: str = _FIELD
    street: str = _FIELD
    postcode: str = _FIELD
    city: str = _FIELD
    country: str = _FIELD
    email: str = Field(default="", max_length=200)
    vat_id: str | None = Field(default=None, max_length=40)


@router.get("/buyer")
async def get_buyer(web: Web, asker: ClientReading) -> dict[str, Any]:
    """How invoices name this client, and which tax is charged: null before anything was told."""
    async with web.pool.acquire() as conn:
        buyer = await buyers.buyer_of(conn, asker.account_id)
    return _buyer_document(buyer, web.taxes.rate_for(buyer))


@router.put("/buyer")
async def put_buyer(web: Web, asker: Client, body: BuyerBody) -> dict[str, Any]:
    """Say who invoices are for. What is bought from now on is taxed accordingly; papers that were issued stay."""
    async with web.house() as conn:
        stored = await buyers.put_buyer(conn, asker.account_id, Party(**body.model_dump()), web.taxes)
    if isinstance(stored, Refusal):
        raise refused(stored)
    return _buyer_document(stored, web.taxes.rate_for(stored))


@router.get("/invoices")
async def get_invoices(web: Web, asker: ClientReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Invoices and credit notes, the newest first, each without its lines. They are issued at the beginning of each
    month."""
    async with web.pool.acquire() as conn:
        found = await issuing.list_invoices(conn, client_id=asker.account_id, limit=limit + 1, before=cursor)
    return page(found, limit, paper_document)


@router.get(
    "/invoices/{invoice_number}",
    response_class=Response,
    responses=bytes_of("application/json", "text/csv", "application/pdf", "application/xml"),
)
async def get_invoice(web: Web, asker: ClientReading, invoice_number: str, request: Request) -> Response:
    """One of them with its lines. By `Accept` or `?format=`: PDF, which is an electronic invoice (Factur-X) where the
    standard has a place for all that is on it; that invoice alone (EN 16931 as XML); or its lines as CSV."""
    return await paper_response(web, invoice_number, request, client_id=asker.account_id)


async def paper_response(web: Gateway, number: str, request: Request, *, client_id: str | None) -> Response:
    """The same of one client's, or of anybody's where the operator asks (None). Raises Problem."""
    async with web.pool.acquire() as conn:
        found = await issuing.find_invoice(conn, number, client_id=client_id)
    if found is None:
        raise not_found("invoice", number)
    form = form_asked_for(request, ("json", "csv", "pdf", "xml"))
    if form == "json":
        return JSONResponse(jsonable_encoder(invoice_document(found)))
    pay_to = web.taxes.seller.pay_to if web.taxes.seller else ""
    return await asyncio.to_thread(_paper, found, form, pay_to)


def _paper(paper: Invoice, form: str, pay_to: str) -> Response:
    """Raises Problem where an electronic invoice cannot say what is on this one."""
    # What draws papers takes half a second to load, which a web process that starts does not wait for.
    from licensing.papers.e_invoice import e_invoice
    from licensing.papers.hybrid import hybrid_invoice
    from licensing.papers.invoice_pdf import invoice_pdf
    from licensing.papers.tables import invoice_csv

    if form == "csv":
        return file_response(invoice_csv(paper), "text/csv", f"invoice-{paper.number}.csv")
    if form == "xml":
        document = e_invoice(paper, payment=pay_to)
        if isinstance(document, Refusal):
            raise refused(document)
        return file_response(document, "application/xml", f"invoice-{paper.number}.xml")
    whole = hybrid_invoice(paper, payment=pay_to)
    if isinstance(whole, Refusal):
        whole = invoice_pdf(paper, payment=pay_to)
    return file_response(whole, "application/pdf", f"invoice-{paper.number}.pdf")


def paper_document(paper: Paper) -> dict[str, Any]:
    """An invoice or a credit note as lists have it; `id` is its number."""
    sums = ("net", "tax", "total", "paid", "due", "settled")
    return {
        "id": paper.number,
        "kind": paper.kind,
        "corrects": paper.corrects,
        "issued_on": paper.issued_on,
        "since": paper.since,
        "until": paper.until,
        "due_on": paper.due_on,
        "seller": asdict(paper.seller),
        "buyer": asdict(paper.buyer),
        "taxes": [
            _rate_document(line.rate) | {"net": money(line.net), "amount": money(line.tax)} for line in paper.taxes
        ],
        **{name: money(getattr(paper, name)) for name in sums},
    }


def invoice_document(paper: Invoice) -> dict[str, Any]:
    """The same with its lines."""
    lines = [
        {
            "kind": line.kind,
            "text": line.text,
            "style": line.style_id,
            "tier": line.tier,
            "quantity": line.quantity,
            "unit": money(line.unit),
            "net": money(line.net),
            "tax": _rate_document(line.rate),
        }
        for line in paper.lines
    ]
    return paper_document(paper) | {"lines": lines}


def _buyer_document(buyer: Party | None, rate: TaxRate) -> dict[str, Any]:
    return {"buyer": asdict(buyer) if buyer else None, "tax": _rate_document(rate)}


def _rate_document(rate: TaxRate) -> dict[str, Any]:
    return {"category": rate.category, "bps": rate.bps, "why": rate.why or None}
