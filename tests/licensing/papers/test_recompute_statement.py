"""The script that a creator checks a statement with: it needs nothing of ours."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from licensing.dues import DuesLine, summed
from licensing.money import Money
from licensing.papers.tables import statement_csv, statement_name
from licensing.statements import Statement
from tests.licensing.paper_samples import compute, month, refund, sale

SCRIPT = Path(__file__).parents[3] / "configs" / "recompute_statement.py"
MONTH = month(*(sale(number) for number in range(40)), refund(sale(3)), compute(1_250))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return exported(tmp_path, MONTH)


def exported(folder: Path, month: Statement) -> Path:
    file = folder / statement_name(month)
    file.write_bytes(statement_csv(month))
    return file


def recomputed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, *arguments], check=False, capture_output=True, text=True, timeout=60
    )


def test_a_statement_comes_to_what_its_name_says(export: Path):
    done = recomputed(export)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split() for line in done.stdout.splitlines()[:-1]] == [
        ["gross", "46.41", "EUR"],
        ["fee", "5.85", "EUR"],
        ["tax", "7.41", "EUR"],
        ["compute", "12.50", "EUR"],
        ["net", "20.65", "EUR"],
    ]
    assert str(MONTH.total) == "20.65 EUR"


def test_a_number_given_by_hand_counts_more_than_the_name(export: Path):
    assert recomputed(export, "2065").returncode == 0
    assert recomputed(export, "2066").returncode == 1


def test_a_month_without_a_line_comes_to_nothing(tmp_path: Path):
    assert recomputed(exported(tmp_path, month()), "0").returncode == 0


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (",119,15,19,0,85,EUR", ",119,15,18,0,85,EUR", "row 2: 119 is not 15 + 18 + 0 + 85"),
        (",119,15,19,0,85,EUR", ",120,15,19,0,86,EUR", "it should come to 20.65 EUR, and comes to 20.66 EUR"),
        (",119,15,19,0,85,EUR", ",119,15,19,0,85,USD", "several currencies"),
    ],
)
def test_a_row_that_was_changed_shows(export: Path, was: str, becomes: str, said: str):
    export.write_text(export.read_text().replace(was, becomes, 1))

    done = recomputed(export)

    assert done.returncode == 1
    assert said in done.stdout


def test_a_row_that_is_missing_shows(export: Path):
    rows = export.read_text().splitlines(keepends=True)
    export.write_text("".join(rows[:5] + rows[6:]))

    assert recomputed(export).returncode == 1


def test_it_says_where_it_was_told_no_total(export: Path):
    done = recomputed(export.rename(export.with_name("statement.csv")))

    assert done.returncode == 1
    assert "give the number" in done.stdout


def test_what_is_owed_beside_the_earnings_is_told_and_changes_no_sum(tmp_path: Path):
    at = datetime(2026, 3, 1, tzinfo=UTC)
    lines = [("dues", 2500), ("dues_taken", -1000), ("dues_paid", -200)]
    owed = summed(Money(0, "EUR"), [_owed(kind, cents, at) for kind, cents in lines])

    done = recomputed(exported(tmp_path, month(sale(1), dues=owed)))

    assert done.returncode == 0, done.stdout
    assert "Beside that you owe 13.00 EUR more than before the month." in done.stdout
    assert ["net", "0.85", "EUR"] in [line.split() for line in done.stdout.splitlines()]


def _owed(kind: Any, cents: int, at: datetime) -> DuesLine:
    return DuesLine(kind=kind, at=at, subject="2026-03", amount=Money(cents, "EUR"))
