"""A creator's month on paper: it adds up, names every picture, and takes seconds."""

import io
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime

import pypdf
import pytest

from licensing.dues import DuesLine, summed
from licensing.papers.statement_pdf import statement_pdf
from licensing.statements import Movement, Statement
from tests.licensing.paper_samples import compute, month, refund, sale
from tests.licensing.world import eur

NAMES = {"sty_ink": "Ink & wash", "sty_oil": "Öl auf Leinwand, sehr dick aufgetragen und lange getrocknet"}


def paper(month: Statement) -> bytes:
    return statement_pdf(month, creator="Ada Lovelace", house="Atelier Lumière", style_names=NAMES, on=date(2026, 4, 1))


def text_of(month: Statement) -> str:
    reader = pypdf.PdfReader(io.BytesIO(paper(month)))
    return " ".join(" ".join(page.extract_text().split()) for page in reader.pages)


def test_the_first_page_says_what_the_month_came_to():
    one = month(
        *(sale(number, price=11_900, fee=1_500, tax=1_900) for number in range(10)),
        refund(sale(1, price=11_900, fee=1_500, tax=1_900)),
        compute(1_250),
        opening=5_000,
        movements=[Movement(kind="payout", at=datetime(2026, 3, 15, tzinfo=UTC), subject="pyt_7", amount=eur(-4_000))],
    )
    first = " ".join(pypdf.PdfReader(io.BytesIO(paper(one))).pages[0].extract_text().split())

    for said in (
        *("Atelier Lumière", "Ada Lovelace", "March 2026", "10 pictures", "1,071.00", "-135.00", "-171.00", "-12.50"),
        *("752.50 EUR", "50.00", "Paid out on 15 March 2026, pyt_7", "-40.00", "762.50 EUR", "Page 1 of"),
    ):
        assert said in first, said


def test_every_picture_is_named_with_what_it_came_to():
    lines = [*(sale(number) for number in range(150)), sale(151, style="sty_oil"), sale(152, style="sty_unnamed")]
    text = text_of(month(*lines, refund(lines[3]), compute(900)))

    for line in lines:
        assert line.output_id in text
    assert text.count(lines[3].output_id) == 2
    assert "personal, refund" in text
    assert "Öl auf Leinwand, sehr dick aufgetragen und lange getrocknet" in text
    assert "sty_unnamed" in text


def test_what_is_owed_beside_the_earnings_has_its_own_sums():
    at = datetime(2026, 3, 1, tzinfo=UTC)
    owed = summed(eur(1_000), [DuesLine(kind="dues", at=at, subject="2026-03", amount=eur(2_500))])
    text = text_of(month(sale(1), dues=owed))

    assert "Monthly fee, which is owed beside your earnings" in text
    assert "Asked for on 1 March 2026, 2026-03 25.00" in text
    assert "35.00 EUR Your payouts do not wait for it." in text
    assert "Monthly fee" not in text_of(month(sale(1)))
    with pytest.raises(ValueError, match="its dues are"):
        paper(month(sale(1), dues=replace(owed, closing=eur(1))))


def test_a_month_without_a_sale_says_so():
    assert "Nothing was sold in this month." in text_of(month())


@pytest.mark.parametrize("part", ["gross", "fee", "tax", "compute", "others", "total", "closing"])
def test_what_does_not_add_up_is_never_printed(part: str):
    one = month(sale(1), compute(3), opening=7)

    with pytest.raises(ValueError, match=f"its {part}"):
        paper(replace(one, **{part: getattr(one, part) + eur(1)}))


def test_a_line_that_does_not_add_up_is_never_printed():
    one = month(sale(1))

    with pytest.raises(ValueError, match="out_0"):
        paper(replace(one, lines=(replace(one.lines[0], tax=eur(18)),)))


def test_the_same_month_is_the_same_bytes():
    assert paper(month(sale(1), sale(2))) == paper(month(sale(1), sale(2)))


TEN_THOUSAND = """
import resource, time
from datetime import UTC, date, datetime
from licensing.papers.statement_pdf import statement_pdf
from tests.licensing.paper_samples import month, sale
many = month(*(sale(number, style=f"sty_{number % 7}") for number in range(10_000)))
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
written = statement_pdf(many, creator="Ada", house="Atelier", style_names={}, on=date(2026, 4, 1))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(time.process_time() - began, grown / 1024, len(written))
"""


def test_ten_thousand_pictures_take_seconds_and_little_memory():
    done = subprocess.run([sys.executable, "-c", TEN_THOUSAND], check=True, capture_output=True, text=True, timeout=120)
    processor_s, grown_mib, size = (float(figure) for figure in done.stdout.split())

    assert processor_s < 20
    assert grown_mib < 200
    assert size < 4_000_000
