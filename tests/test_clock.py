"""There is one clock, and product code reads no other: so a test can move it, and everything moves."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_tidy import ROOMS, ROOT, product_modules, tracked

READS_THE_MACHINES_TIME = {
    "service/clock.py": "the clock itself",
    "service/clocks.py": "the database's, to compare a machine's with it",
    # X.509 dates are compared with the machine's clock by whoever opens a picture.
    "licensing/keymaking.py": "the dates of certificates",
    "training/base/__main__.py": "the time of day before a line of progress, at a shell",
}
CALLS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "clock_gettime", "localtime", "gmtime", "strftime", "ctime", "asctime"},
}
SQL = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(\s*\)"
    r"|\b(current_timestamp|current_date|current_time|localtimestamp|localtime)\b",
    re.IGNORECASE,
)


def readings(source: str) -> list[str]:
    """Where a module reads the machine's time, or has the database read its own."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CALLS.get(_last_name(node.value), ()):
            found.append(f"{node.lineno} {_last_name(node.value)}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [f"{node.lineno} from time import {one.name}" for one in node.names if one.name in CALLS["time"]]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            found.append(f"{node.lineno} {SQL.search(node.value)[0]} in a text")  # type: ignore[index]
    return found


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_only_the_clock_reads_the_machines_time():
    migrations = [path for path in tracked(".py") if path.parent.name == "versions"]
    found = {str(path.relative_to(ROOT)): readings(path.read_text()) for path in [*product_modules(), *migrations]}

    offenders = {name: lines for name, lines in found.items() if lines and name not in READS_THE_MACHINES_TIME}

    assert not offenders, f"take `now`, or the clock, as an argument: {offenders}"
    assert all(found[name] for name in READS_THE_MACHINES_TIME), "an exception is needed no more: take it out"


def test_no_sql_asks_the_database_for_the_time():
    files = [path for path in tracked(".sql") if path.relative_to(ROOT).parts[0] in ROOMS]

    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SQL.search(line.partition("--")[0])
    ]

    assert len(files) > 10
    assert not offenders, f"take the time as an argument: {offenders}"


@pytest.mark.parametrize(
    "line",
    [
        "when = datetime.now(UTC)",
        "when = datetime.datetime.utcnow()",
        "day = date.today()",
        "stamp = time.time()",
        "clock = time.time_ns",
        "from time import time",
        "conn.execute('SELECT now()')",
        "conn.execute('UPDATE t SET at = CURRENT_TIMESTAMP')",
    ],
)
def test_a_second_clock_is_noticed(line: str):
    assert readings(line)


@pytest.mark.parametrize(
    "line",
    ["began = time.monotonic()", "when = web.clock()", "row['now_is']", "'what is known now (today)'"],
)
def test_what_is_no_clock_is_left_alone(line: str, tmp_path: Path):
    assert not readings(line)
