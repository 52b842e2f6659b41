"""The PDF that a client is sent holds the XML that its programs read, and can be kept for decades."""

import io
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pypdf
import pytest
from facturx import get_facturx_xml_from_pdf
from lxml import etree

from licensing.errors import Refusal
from licensing.papers.e_invoice import e_invoice
from licensing.papers.hybrid import hybrid_invoice
from licensing.papers.invoice_pdf import invoice_pdf
from tests.licensing.paper_samples import SELLER, invoice, line

PAYMENT = "Transfer it within 14 days."


@pytest.fixture(scope="module")
def reader() -> pypdf.PdfReader:
    written = hybrid_invoice(invoice(paid=0), payment=PAYMENT)
    assert isinstance(written, bytes)
    return pypdf.PdfReader(io.BytesIO(written), strict=True)


@pytest.fixture
def often_switching() -> Iterator[None]:
    """Threads take turns five hundred times as often as usual, so that a race is lost here and not in the wild."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 500)
    yield
    sys.setswitchinterval(usual)


def test_the_xml_inside_is_the_one_that_stands_alone():
    written = hybrid_invoice(invoice(paid=0), payment=PAYMENT)

    name, inside = get_facturx_xml_from_pdf(io.BytesIO(written))

    assert name == "factur-x.xml"
    assert inside == e_invoice(invoice(paid=0), payment=PAYMENT)


def test_the_pages_are_those_of_the_pdf(reader: pypdf.PdfReader):
    alone = pypdf.PdfReader(io.BytesIO(invoice_pdf(invoice(paid=0), payment=PAYMENT)))

    assert [page.extract_text() for page in reader.pages] == [page.extract_text() for page in alone.pages]


def test_it_says_that_it_is_to_be_archived_and_which_colours_it_means(reader: pypdf.PdfReader):
    root = reader.trailer["/Root"]
    described = etree.fromstring(root["/Metadata"].get_object().get_data())

    def said(name: str) -> list[str]:
        return [element.text for element in described.iter(f"{{*}}{name}")]

    assert (said("part"), said("conformance"), said("ConformanceLevel")) == (["3"], ["B"], ["EN 16931"])
    assert said("CreateDate") == said("ModifyDate") == ["2026-12-01T00:00:00+00:00"]
    (intent,) = root["/OutputIntents"]
    profile = intent.get_object()["/DestOutputProfile"].get_object().get_data()
    assert profile[36:40] == b"acsp"
    assert profile[16:20] == b"RGB "
    assert reader.metadata.creation_date.date() == date(2026, 12, 1)
    assert reader.metadata.title == "Invoice 2026-0012"
    assert "/ID" in reader.trailer


def test_the_same_invoice_is_the_same_bytes_at_any_time():
    before = hybrid_invoice(invoice(), payment=PAYMENT)
    # Libraries write the time in whole seconds.
    time.sleep(1.1)

    assert hybrid_invoice(invoice(), payment=PAYMENT) == before


def test_what_the_standard_has_no_place_for_has_no_xml():
    assert isinstance(hybrid_invoice(invoice(line(currency="KWD"), seller=SELLER)), Refusal)


def test_threads_do_not_get_into_each_others_papers(often_switching: None):
    samples = [
        invoice(line(text=f"Pictures {number} {chr(913 + number)}"), number=f"2026-{number}") for number in range(12)
    ]
    alone = [invoice_pdf(sample, payment=PAYMENT) for sample in samples]
    alone_hybrid = [hybrid_invoice(sample, payment=PAYMENT) for sample in samples]

    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda sample: invoice_pdf(sample, payment=PAYMENT), samples * 12))
        together_hybrid = list(threads.map(lambda sample: hybrid_invoice(sample, payment=PAYMENT), samples * 3))

    assert together == alone * 12
    assert together_hybrid == alone_hybrid * 3
