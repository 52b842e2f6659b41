"""An invoice for programs: EN 16931 in the syntax of UN/CEFACT's Cross Industry Invoice, and inside a PDF as Factur-X.

Numbers like BT-31 name the fields of EN 16931-1. The order of elements is the schema's.
"""

from datetime import date

from lxml import etree

from licensing.billing.invoices import Invoice, InvoiceLine, TaxCategory, TaxLine, TaxRate
from licensing.billing.parties import Party
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.papers import invoice_rules
from licensing.papers.characters import one_line
from licensing.papers.wording import percent
from licensing.sentence import say

PROFILE = "urn:cen.eu:en16931:2017"
_NAMESPACES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
_TYPE_CODES = {"invoice": "380", "credit_note": "381"}
"""UNTDID 1001."""
_EXEMPTION_CODES: dict[TaxCategory, str] = {"AE": "VATEX-EU-AE", "O": "VATEX-EU-O"}
"""CEF VATEX; an exemption (E) has one by its paragraph, which only its sentence names."""
_ONE = "C62"
_DAY = "102"
_SEPA_CREDIT_TRANSFER = "58"
_DECIMALS_MAX = 2


def e_invoice(invoice: Invoice, *, payment: str = "", iban: str | None = None) -> bytes | Refusal:
    """`invoice` as XML (UTF-8). `payment` says how to pay what is due, `iban` names the account.

    invalid_request where EN 16931 has no place for it: the seller has neither VAT id nor tax number, a reverse charge
    names no VAT id of its buyer, or the currency has more than two decimals. Raises ValueError for an invoice that does
    not add up.
    """
    invoice_rules.check(invoice)
    refused = _unnameable(invoice)
    if refused:
        return refused
    root = etree.Element(_name("rsm:CrossIndustryInvoice"), nsmap=_NAMESPACES)
    context = _add(root, "rsm:ExchangedDocumentContext")
    _add(_add(context, "ram:GuidelineSpecifiedDocumentContextParameter"), "ram:ID", PROFILE)
    document = _add(root, "rsm:ExchangedDocument")
    _add(document, "ram:ID", invoice.number)
    _add(document, "ram:TypeCode", _TYPE_CODES[invoice.kind])
    _add_day(document, "ram:IssueDateTime", invoice.issued_on)
    trade = _add(root, "rsm:SupplyChainTradeTransaction")
    for line in invoice.lines:
        _add_line(trade, line)
    agreement = _add(trade, "ram:ApplicableHeaderTradeAgreement")
    out_of_scope = any(tax.rate.category == "O" for tax in invoice.taxes)
    _add_party(agreement, "ram:SellerTradeParty", invoice.seller, vat_id=not out_of_scope, is_seller=True)
    _add_party(agreement, "ram:BuyerTradeParty", invoice.buyer, vat_id=not out_of_scope)
    delivery = _add(trade, "ram:ApplicableHeaderTradeDelivery")
    _add_day(_add(delivery, "ram:ActualDeliverySupplyChainEvent"), "ram:OccurrenceDateTime", invoice.until)
    _add_settlement(trade, invoice, payment, iban)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def _unnameable(invoice: Invoice) -> Refusal | None:
    """What EN 16931 asks for beside the sums (BR-CO-26, BR-AE-02, BR-DEC)."""
    if not invoice.seller.vat_id and not invoice.seller.tax_number:
        return refuse(
            "invalid_request",
            what=say(
                "Seller {name} has no VAT id and no tax number, and an electronic invoice needs one; give one",
                name=invoice.seller.name,
            ),
        )
    if any(tax.rate.category == "AE" for tax in invoice.taxes) and not invoice.buyer.vat_id:
        return refuse(
            "invalid_request",
            what=say(
                "{number} leaves the tax to {name}, who has no VAT id; give it, or charge tax",
                number=invoice.number,
                name=invoice.buyer.name,
            ),
        )
    if len(invoice.total.number.partition(".")[2]) > _DECIMALS_MAX:
        return refuse(
            "invalid_request",
            what=say(
                "Electronic invoices have two decimals, {currency} has more; send the PDF alone",
                currency=invoice.total.currency,
            ),
        )
    return None


def _add_line(trade: etree._Element, line: InvoiceLine) -> None:
    item = _add(trade, "ram:IncludedSupplyChainTradeLineItem")
    _add(_add(item, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(line.number))
    product = _add(item, "ram:SpecifiedTradeProduct")
    if line.style_id:
        _add(product, "ram:SellerAssignedID", line.style_id)
    _add(product, "ram:Name", line.text)
    # A price is never below 0 (BR-27): of what is taken off, the quantity is.
    price, quantity = (line.unit, line.quantity) if line.unit.amount >= 0 else (line.unit * -1, -line.quantity)
    agreed = _add(_add(item, "ram:SpecifiedLineTradeAgreement"), "ram:NetPriceProductTradePrice")
    _add(agreed, "ram:ChargeAmount", price.number)
    _add(_add(item, "ram:SpecifiedLineTradeDelivery"), "ram:BilledQuantity", str(quantity), unitCode=_ONE)
    settled = _add(item, "ram:SpecifiedLineTradeSettlement")
    tax = _add(settled, "ram:ApplicableTradeTax")
    _add(tax, "ram:TypeCode", "VAT")
    _add(tax, "ram:CategoryCode", line.rate.category)
    _add_rate(tax, line.rate)
    summed = _add(settled, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    _add(summed, "ram:LineTotalAmount", line.net.number)


def _add_party(agreement: etree._Element, tag: str, party: Party, *, vat_id: bool, is_seller: bool = False) -> None:
    """BG-4 and BG-7. Where the sale is outside the scope of tax no VAT id may stand in its own field (BR-O-02), so the
    seller is known by another (BT-29)."""
    element = _add(agreement, tag)
    shown_vat_id = party.vat_id if vat_id else None
    if is_seller and not shown_vat_id:
        _add(element, "ram:ID", party.tax_number or party.vat_id or "")
    _add(element, "ram:Name", party.name)
    address = _add(element, "ram:PostalTradeAddress")
    if party.postcode:
        _add(address, "ram:PostcodeCode", party.postcode)
    _add(address, "ram:LineOne", party.street)
    _add(address, "ram:CityName", party.city)
    _add(address, "ram:CountryID", party.country)
    if party.email:
        _add(_add(element, "ram:URIUniversalCommunication"), "ram:URIID", party.email, schemeID="EM")
    if shown_vat_id:
        _add(_add(element, "ram:SpecifiedTaxRegistration"), "ram:ID", shown_vat_id, schemeID="VA")
    if is_seller and party.tax_number:
        _add(_add(element, "ram:SpecifiedTaxRegistration"), "ram:ID", party.tax_number, schemeID="FC")


def _add_settlement(trade: etree._Element, invoice: Invoice, payment: str, iban: str | None) -> None:
    settlement = _add(trade, "ram:ApplicableHeaderTradeSettlement")
    owed = invoice.kind == "invoice" and invoice.due.amount > 0
    _add(settlement, "ram:PaymentReference", invoice.number)
    _add(settlement, "ram:InvoiceCurrencyCode", invoice.total.currency)
    if iban and owed:
        means = _add(settlement, "ram:SpecifiedTradeSettlementPaymentMeans")
        _add(means, "ram:TypeCode", _SEPA_CREDIT_TRANSFER)
        _add(_add(means, "ram:PayeePartyCreditorFinancialAccount"), "ram:IBANID", iban)
    for tax in invoice.taxes:
        _add_tax(settlement, tax)
    period = _add(settlement, "ram:BillingSpecifiedPeriod")
    _add_day(period, "ram:StartDateTime", invoice.since)
    _add_day(period, "ram:EndDateTime", invoice.until)
    if owed or payment:
        terms = _add(settlement, "ram:SpecifiedTradePaymentTerms")
        if payment:
            _add(terms, "ram:Description", payment)
        if owed:
            _add_day(terms, "ram:DueDateDateTime", invoice.due_on)
    _add_totals(settlement, invoice)
    if invoice.corrects:
        _add(_add(settlement, "ram:InvoiceReferencedDocument"), "ram:IssuerAssignedID", invoice.corrects)


def _add_tax(settlement: etree._Element, tax: TaxLine) -> None:
    """BG-23, one for each rate."""
    element = _add(settlement, "ram:ApplicableTradeTax")
    _add(element, "ram:CalculatedAmount", tax.tax.number)
    _add(element, "ram:TypeCode", "VAT")
    if tax.rate.why:
        _add(element, "ram:ExemptionReason", tax.rate.why)
    _add(element, "ram:BasisAmount", tax.net.number)
    _add(element, "ram:CategoryCode", tax.rate.category)
    if tax.rate.category in _EXEMPTION_CODES:
        _add(element, "ram:ExemptionReasonCode", _EXEMPTION_CODES[tax.rate.category])
    _add_rate(element, tax.rate)


def _add_rate(parent: etree._Element, rate: TaxRate) -> None:
    """What is outside the scope of tax has no rate, not even 0 (BR-O-05)."""
    if rate.category != "O":
        _add(parent, "ram:RateApplicablePercent", percent(rate.bps))


def _add_totals(settlement: etree._Element, invoice: Invoice) -> None:
    """BG-22."""
    sums: list[tuple[str, Money]] = [
        ("ram:LineTotalAmount", invoice.net),
        ("ram:TaxBasisTotalAmount", invoice.net),
        ("ram:TaxTotalAmount", invoice.tax),
        ("ram:GrandTotalAmount", invoice.total),
        ("ram:TotalPrepaidAmount", invoice.paid),
        ("ram:DuePayableAmount", invoice.due),
    ]
    totals = _add(settlement, "ram:SpecifiedTradeSettlementHeaderMonetarySummation")
    for tag, money in sums:
        currency = {"currencyID": money.currency} if tag == "ram:TaxTotalAmount" else {}
        _add(totals, tag, money.number, **currency)


def _add_day(parent: etree._Element, tag: str, value: date) -> None:
    _add(_add(parent, tag), "udt:DateTimeString", f"{value:%Y%m%d}", format=_DAY)


def _add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, _name(tag), attributes)
    if text is not None:
        element.text = one_line(text)
    return element


def _name(tag: str) -> str:
    prefix, _, name = tag.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{name}"
