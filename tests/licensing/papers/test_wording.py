"""Sums, rates, days and strangers' names, as papers write them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from licensing.money import Money
from licensing.papers.characters import one_line
from licensing.papers.wording import country, day, figure, month, percent, period, sum_of


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (0, "EUR", "0.00"),
        (5, "EUR", "0.05"),
        (-5, "EUR", "-0.05"),
        (-123_456, "EUR", "-1,234.56"),
        (123_456_789, "EUR", "1,234,567.89"),
        (1_234_567, "JPY", "1,234,567"),
        (-7, "JPY", "-7"),
        (1_234_567, "KWD", "1,234.567"),
    ],
)
def test_sums_are_written_in_their_currencys_digits(amount: int, currency: str, written: str):
    assert figure(Money(amount, currency)) == written
    assert sum_of(Money(amount, currency)) == f"{written} {currency}"


@pytest.mark.parametrize(("bps", "written"), [(0, "0"), (1900, "19"), (1950, "19.5"), (725, "7.25"), (705, "7.05")])
def test_rates_are_written_short(bps: int, written: str):
    assert percent(bps) == written


def test_days_are_written_so_that_no_country_reads_another_one():
    assert day(date(2026, 11, 9)) == "9 November 2026"
    assert period(date(2026, 2, 1), date(2026, 2, 28)) == "1 to 28 February 2026"
    assert period(date(2026, 12, 15), date(2027, 1, 14)) == "15 December 2026 to 14 January 2027"
    assert month("2026-03") == "March 2026"
    with pytest.raises(ValueError, match="month must be"):
        month("2026-13")


def test_countries_have_names_and_unknown_codes_stay():
    assert country("DE") == "Germany"
    assert country("ZZ") == "ZZ"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (" a\n\tb\x00c ", "a b c"),
        ("e\u0301", "é"),
        ("100\u202e00", "10000"),
        ("a\ud800", "a\ufffd"),
        ("  ", ""),
    ],
)
def test_a_name_is_one_line_without_what_cannot_be_seen(text: str, line: str):
    assert one_line(text) == line


@given(text=st.text())
def test_any_text_fits_into_any_paper(text: str):
    line = one_line(text)

    element = etree.Element("a")
    element.text = line

    assert etree.fromstring(etree.tostring(element)).text in (line, None)
    assert "\n" not in line
