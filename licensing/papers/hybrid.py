"""One file for people and programs: an invoice's PDF with its XML inside (Factur-X, also called ZUGFeRD; PDF/A-3)."""

import io
from datetime import date
from typing import Any

from lxml import etree
from PIL import ImageCms
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject, NumberObject, TextStringObject

from licensing.billing.invoices import Invoice
from licensing.errors import Refusal
from licensing.papers.e_invoice import e_invoice
from licensing.papers.invoice_pdf import invoice_pdf

_XMP_DATES = "{http://ns.adobe.com/xap/1.0/}"


def hybrid_invoice(invoice: Invoice, *, payment: str = "", iban: str | None = None) -> bytes | Refusal:
    """The PDF of `invoice` with its XML inside; arguments, refusals and errors are those of `e_invoice`."""
    xml = e_invoice(invoice, payment=payment, iban=iban)
    if isinstance(xml, Refusal):
        return xml
    # It brings a client for HTTP and the tables of every profile, which only this function needs.
    from facturx import generate_from_file

    file = io.BytesIO(invoice_pdf(invoice, payment=payment))
    said: Any = PdfReader(file).metadata
    generate_from_file(
        file,
        xml,
        flavor="factur-x",
        level="en16931",
        check_xsd=True,
        pdf_metadata={"title": said.title, "author": said.author, "subject": said.subject, "keywords": "Factur-X"},
        lang="en-GB",
        afrelationship="alternative",
        xmp_compression=False,
    )
    return _archival(file.getvalue(), invoice.issued_on)


def _archival(pdf: bytes, on: date) -> bytes:
    """`pdf` with what PDF/A asks for and the library does not do, which colours are meant, and without the clock: the
    same invoice is the same bytes whenever it is asked for."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    root: Any = writer.root_object
    root[NameObject("/OutputIntents")] = ArrayObject([writer._add_object(_output_intent(writer))])
    stamp = TextStringObject(f"D:{on:%Y%m%d}000000+00'00'")
    writer.pdf_header = "%PDF-1.7"
    writer.add_metadata({"/CreationDate": stamp, "/ModDate": stamp})
    _, attached = root["/Names"]["/EmbeddedFiles"]["/Names"]
    attached.get_object()["/EF"]["/F"]["/Params"][NameObject("/ModDate")] = stamp
    metadata = root["/Metadata"].get_object()
    described = etree.fromstring(metadata.get_data())
    for name in ("CreateDate", "ModifyDate"):
        for element in described.iter(f"{_XMP_DATES}{name}"):
            element.text = f"{on.isoformat()}T00:00:00+00:00"
    metadata.set_data(etree.tostring(described.getroottree(), encoding="UTF-8"))
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _output_intent(writer: PdfWriter) -> DictionaryObject:
    profile = DecodedStreamObject()
    profile.set_data(_srgb())
    profile[NameObject("/N")] = NumberObject(3)
    return DictionaryObject(
        {
            NameObject("/Type"): NameObject("/OutputIntent"),
            NameObject("/S"): NameObject("/GTS_PDFA1"),
            NameObject("/OutputConditionIdentifier"): TextStringObject("sRGB IEC61966-2.1"),
            NameObject("/Info"): TextStringObject("sRGB IEC61966-2.1"),
            NameObject("/DestOutputProfile"): writer._add_object(profile.flate_encode()),
        }
    )


def _srgb() -> bytes:
    """An ICC profile of sRGB. Bytes 24 to 35 say when it was made, six numbers of 16 bits: 1 January 2000, always."""
    made: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + b"".join(number.to_bytes(2, "big") for number in (2000, 1, 1, 0, 0, 0)) + made[36:]
