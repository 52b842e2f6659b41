"""An invoice on paper says all that an invoice must, on as many pages as it needs."""

import io
from dataclasses import replace

import pypdf
import pytest

from licensing.billing.invoices import Invoice
from licensing.papers.invoice_pdf import invoice_pdf
from tests.licensing.paper_samples import (
    BUYER,
    EXEMPT,
    OUTSIDE,
    REDUCED,
    REVERSE,
    SELLER,
    SMALL_SELLER,
    invoice,
    line,
)

PAYMENT = "Transfer it to DE89 3704 0044 0532 0130 00.\nName the number of the invoice."


def pages_of(sample: Invoice, payment: str = PAYMENT) -> list[str]:
    """The text of each page, with single spaces."""
    reader = pypdf.PdfReader(io.BytesIO(invoice_pdf(sample, payment=payment)))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def test_everything_that_an_invoice_must_say_is_on_it():
    sample = invoice(line(1), line(2, text="Pack of 100", quantity=1, unit=123_456, rate=REDUCED), paid=50_000)
    (page,) = pages_of(sample)

    for said in (
        *("Invoice", "2026-0012", "1 December 2026", "1 to 30 November 2026", "15 December 2026"),
        *(SELLER.name, "Große Straße 7", "10115 Berlin", "Germany", "DE136695976", "buchhaltung@atelier.example"),
        *(BUYER.name, "12 rue de l'Échiquier", "75010 Paris", "France", "FR83404833048"),
        *("Pictures in the style “Ink & wash”, personal", "2.49", "7.47", "Pack of 100", "1,234.56"),
        *("19 %", "7.25 %", "1.42", "89.51", "1,242.03", "90.93", "1,332.96 EUR", "-500.00", "832.96 EUR"),
        *("How to pay", "DE89 3704 0044 0532 0130 00", "Page 1 of 1"),
    ):
        assert said in page, said


@pytest.mark.parametrize("rate", [REVERSE, OUTSIDE, EXEMPT], ids=["reverse charge", "outside the scope", "exempt"])
def test_an_untaxed_invoice_says_why_and_names_no_rate(rate):
    (page,) = pages_of(invoice(line(rate=rate)))

    assert rate.why in page
    assert "%" not in page
    assert "VAT rate" not in page


def test_a_small_seller_is_named_by_tax_number():
    (page,) = pages_of(invoice(line(rate=EXEMPT), seller=SMALL_SELLER))

    assert "37/123/45678" in page
    assert "Our VAT ID" not in page


def test_what_is_paid_asks_for_nothing():
    (page,) = pages_of(invoice())

    assert "Nothing is due" in page
    assert "How to pay" not in page
    assert "Due by" not in page


def test_a_credit_note_names_the_invoice_that_it_corrects():
    (page,) = pages_of(invoice(kind="credit_note"))

    assert "Credit note" in page
    assert "Corrects invoice 2026-0007" in page
    assert "Total credited 8.89 EUR" in page
    assert "Due by" not in page


def test_many_lines_take_several_pages_that_each_say_what_they_are():
    sample = invoice(*(line(number, text=f"Pictures {number}", quantity=number) for number in range(1, 101)), paid=0)
    pages = pages_of(sample)

    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "Description" in page
        assert sample.number in page
        assert SELLER.name in page
    everything = " ".join(pages)
    for number in range(1, 101):
        assert everything.count(f"Pictures {number} ") == 1
    assert "How to pay" in pages[-1]


def test_long_words_and_long_texts_stay_inside_of_their_column():
    text = "W" * 300 + " " + "word " * 100
    reader = pypdf.PdfReader(io.BytesIO(invoice_pdf(invoice(line(text=text), buyer=replace(BUYER, name="W" * 200)))))

    found = "".join(reader.pages[0].extract_text().split())
    assert found.count("W") >= 500
    assert found.count("word") == 100


def test_scripts_of_europe_are_printed_and_others_spelled_in_latin():
    names = "Łódź Žižkov Győr İstanbul Ελένη Україна"
    (page,) = pages_of(invoice(line(text=f"{names} 李明")))

    assert names in page
    assert "LiMing" in page.replace(" ", "")


def test_every_typeface_is_embedded():
    reader = pypdf.PdfReader(io.BytesIO(invoice_pdf(invoice())))

    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    assert fonts
    assert all("/FontFile2" in font["/FontDescriptor"] for font in fonts)


def test_the_same_invoice_is_the_same_bytes():
    assert invoice_pdf(invoice(), payment=PAYMENT) == invoice_pdf(invoice(), payment=PAYMENT)
