"""Tables open in any spreadsheet and run nothing there."""

import csv
import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.money import Money
from licensing.papers.bank_file import Transfer
from licensing.papers.tables import invoice_csv, statement_csv, statement_name, transfers_csv
from tests.licensing.paper_samples import REDUCED, compute, invoice, line, month, refund, sale

HOSTILE = (
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "a;=1",
    "a,=1",
    'a";=1',
    '"=1',
    "a\n=1",
    "a|=cmd",
    "＝1",
    "\u200e=1",
)


def rows(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode(), newline="")))


def test_an_invoice_is_a_row_for_each_line():
    found = rows(invoice_csv(invoice(line(1), line(2, quantity=1, unit=-50, rate=REDUCED))))

    assert [(row["line"], row["quantity"], row["unit"], row["net"]) for row in found] == [
        ("1", "3", "249", "747"),
        ("2", "1", "-50", "-50"),
    ]
    assert {row["currency"] for row in found} == {"EUR"}
    assert {row["invoice"] for row in found} == {"2026-0012"}
    assert [row["tax_bps"] for row in found] == ["1900", "725"]


def test_a_statement_is_a_row_for_each_line_and_its_name_tells_the_sum():
    one = month(sale(1), refund(sale(1)), sale(2), compute(500))

    found = rows(statement_csv(one))

    assert [row["kind"] for row in found] == ["sale", "refund", "sale", "compute"]
    assert found[0]["certificate"] == f"/v1/outputs/{sale(1).output_id}/certificate"
    assert found[3]["output"] == found[3]["certificate"] == ""
    for row in found:
        assert int(row["price"]) == sum(int(row[part]) for part in ("fee", "tax", "others", "share"))
    assert sum(int(row["share"]) for row in found) == one.total.amount == -415
    assert statement_name(one) == "statement-2026-03_net_-415_EUR.csv"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_a_formula(name: str):
    transfer = Transfer(name=name, iban=name, bic=name, amount=Money(1, "USD"), reference=name, end_to_end_id=name)
    tables = [
        invoice_csv(invoice(replace(line(text=name), style_id=name, tier=name, kind=name), number=name)),
        statement_csv(month(replace(sale(1), style_id=name, tier=name, order_id=name, output_id=name))),
        transfers_csv([transfer]),
    ]

    for table in tables:
        for cell in cells(table):
            assert not begins_a_formula(cell), (name, cell)


@given(name=st.text(alphabet="=+-@;,:|\"' \t\n\rａ＝－a1", max_size=12))
def test_no_text_at_all_becomes_a_formula(name: str):
    for cell in cells(invoice_csv(invoice(line(text=name)))):
        assert not begins_a_formula(cell), cell


def cells(table: bytes) -> set[str]:
    """What a spreadsheet may take for a cell: by commas, or by any sign that separates in its reader's language."""
    text = table.decode()
    found = {cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row}
    return found | set(re.split(r"[,;:|\t\r\n\"]", text))


def begins_a_formula(cell: str) -> bool:
    return cell.lstrip()[:1] in tuple("=+-@＝＋－＠") and re.fullmatch(r"-\d+", cell) is None


def test_payouts_in_other_currencies_are_a_table():
    transfer = Transfer(name="Ada", iban="1", amount=Money(1234, "JPY"), reference="March", end_to_end_id="pyt_1")

    assert rows(transfers_csv([transfer])) == [
        {
            "name": "Ada",
            "iban": "1",
            "bic": "",
            "amount": "1234",
            "currency": "JPY",
            "reference": "March",
            "end_to_end_id": "pyt_1",
        }
    ]
