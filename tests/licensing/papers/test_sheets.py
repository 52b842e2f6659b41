"""Text stays inside of its width, and blocks inside of their page."""

import io
from datetime import date

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfbase import pdfmetrics

from licensing.papers.sheets import BODY, Block, column_names, fitted, paragraph, space, typeset, wrapped

NOTHING = space(0.0)


def width(text: str) -> float:
    return pdfmetrics.stringWidth(text, BODY.face, BODY.size)


@given(text=st.text(max_size=200), wide=st.sampled_from([40.0, 218.0]))
def test_text_stays_inside_of_its_width_whatever_it_is(text: str, wide: float):
    assert all(width(line) <= wide for line in wrapped(text, BODY, wide))
    assert width(fitted(text, BODY, wide)) <= wide


def test_nothing_of_a_text_is_lost_where_it_is_broken():
    text = "Donaudampfschifffahrtsgesellschaft " * 3 + "李" * 30

    assert "".join(wrapped(text, BODY, 60.0)) == "Donaudampfschifffahrtsgesellschaft" * 3 + "Li" * 30


def pages(*blocks: Block) -> list[str]:
    written = typeset(
        blocks,
        masthead=NOTHING,
        running=NOTHING,
        foot=["foot"],
        title="t",
        author="a",
        subject="s",
        on=date(2026, 1, 1),
    )
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(written)).pages]


def test_a_heading_is_never_the_last_thing_on_a_page():
    found = pages(space(670.0), paragraph("heading", keeps=60.0), paragraph("under it"))

    assert "heading" not in found[0]
    assert "heading" in found[1]
    assert "under it" in found[1]


@pytest.mark.parametrize("height", [30.0, 2_000.0])
def test_a_tables_head_stands_on_every_page_that_it_goes_on(height: float):
    heads = column_names([])
    row = Block(height=height, draw=paragraph("row").draw, heads=heads)

    found = pages(*[row] * 50)

    assert sum(page.count("row") for page in found) == 50
    assert [f"Page {number} of {len(found)}" in page for number, page in enumerate(found, 1)] == [True] * len(found)
