"""What must hold in an invoice before anybody is sent it, whatever form it is sent in."""

from licensing.billing.invoices import Invoice, TaxLine, TaxRate


def check(invoice: Invoice) -> None:
    """Raises ValueError with the first rule that `invoice` breaks: its sums, its rates, what it corrects.

    A paper that does not add up is a fault of whoever made the invoice, so it is never printed. Source: EN 16931-1,
    rules BR-16, BR-CO-10 to BR-CO-17 and those by category of tax.
    """
    for problem in (*_lines(invoice), *_taxes(invoice), *_totals(invoice), *_reference(invoice)):
        raise ValueError(f"{invoice.kind} {invoice.number}: {problem}")


def tax_of(tax: TaxLine) -> int:
    """Minor units of tax on `tax.net`: rounded once, half up (BR-CO-17)."""
    return (2 * tax.net.amount * tax.rate.bps + 10_000) // 20_000


def _lines(invoice: Invoice) -> list[str]:
    if not invoice.lines:
        return ["it has no lines"]
    problems = [
        f"line {line.number}: {line.quantity} times {line.unit} is not {line.net}"
        for line in invoice.lines
        if line.unit * line.quantity != line.net
    ]
    numbers = [line.number for line in invoice.lines]
    return problems if len(set(numbers)) == len(numbers) else [*problems, "two lines have one number"]


def _taxes(invoice: Invoice) -> list[str]:
    rates = [tax.rate for tax in invoice.taxes]
    problems = [problem for rate in rates for problem in _rate(rate)]
    if len({(rate.category, rate.bps) for rate in rates}) != len(rates):
        problems.append("a rate of tax is summed up twice")
    if len(rates) > 1 and any(rate.category == "O" for rate in rates):
        problems.append("what is outside the scope of tax and what is not are in one invoice; make two")
    problems += [
        f"line {line.number} has a rate that is not summed up" for line in invoice.lines if line.rate not in rates
    ]
    for tax in invoice.taxes:
        net = sum(line.net.amount for line in invoice.lines if line.rate == tax.rate)
        if net != tax.net.amount:
            problems.append(f"lines at {tax.rate.bps} hundredths of a percent sum to {net}, not to {tax.net}")
        if tax.tax.amount != tax_of(tax):
            problems.append(f"{tax.rate.bps} hundredths of a percent of {tax.net} are not {tax.tax}")
    return problems


def _rate(rate: TaxRate) -> list[str]:
    if rate.category == "S":
        return [] if rate.bps > 0 else ["a standard rate of nothing; name why there is no tax"]
    if rate.bps != 0:
        return [f"category {rate.category} has no tax, and yet a rate"]
    return [] if rate.why else [f"category {rate.category} needs the sentence why there is no tax"]


def _totals(invoice: Invoice) -> list[str]:
    problems = []
    if invoice.net.amount != sum(line.net.amount for line in invoice.lines):
        problems.append(f"its lines do not sum to {invoice.net}")
    if invoice.tax.amount != sum(tax.tax.amount for tax in invoice.taxes):
        problems.append(f"its taxes do not sum to {invoice.tax}")
    if invoice.net + invoice.tax != invoice.total:
        problems.append(f"{invoice.net} and {invoice.tax} are not {invoice.total}")
    if invoice.paid + invoice.due != invoice.total:
        problems.append(f"{invoice.paid} and {invoice.due} are not {invoice.total}")
    sums = [
        sum_ for part in (*invoice.lines, *invoice.taxes) for sum_ in vars(part).values() if hasattr(sum_, "currency")
    ]
    if any(sum_.currency != invoice.total.currency for sum_ in sums):
        problems.append("it has sums of several currencies")
    return problems


def _reference(invoice: Invoice) -> list[str]:
    if invoice.kind == "credit_note":
        return [] if invoice.corrects else ["it does not say which invoice it corrects"]
    return ["only a credit note corrects another invoice"] if invoice.corrects else []
