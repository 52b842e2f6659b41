"""No float touches money: where money is worked out there are whole numbers alone, in Python and in SQL.

Kept by looking at the code. In `licensing/`, and in every module of the service that takes money from there, nothing
may be a float, become one or be rounded, but in the places of `ALLOWED`, each of which says what it counts instead.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MONEY_MODULES = {
    *("compute", "ledger", "money", "plans", "prices", "rates", "refunds", "statements"),
    *("analytics", "billing", "disputes", "papers", "payments", "payouts"),
}
FLOATING_MODULES = {"statistics", "numpy"}
FLOATING_NAMES = {"float", "round"}
PATHS = {"ROOT", "_ROOM", "__file__", "aside", "configs", "folder", "home", "path"}
"""What a chain of `/` begins with where it joins a path."""

ALLOWED = {
    "licensing/audits.py Audit.seconds": "seconds that a check took",
    "licensing/authority.py": "seconds between two looks at a folder",
    "licensing/authority.py AuthorityFolder.__init__": "seconds between two looks at a folder",
    "licensing/batches.py Waiting.__init__": "seconds until an answer is given up",
    "licensing/batches.py Waiting.add": "seconds until an answer is given up",
    "licensing/batches.py Batches.ask": "seconds until an answer is given up",
    "licensing/compute.py training_price": "seconds of computing; whole minutes are counted before money comes in",
    "licensing/fingerprint.py": "brightness and frequencies of a picture",
    "licensing/fingerprint.py fingerprint": "brightness of a picture",
    "licensing/fingerprint.py _frequencies": "frequencies of a picture",
    "licensing/looks.py": "how long a look-up may take",
    "licensing/looks.py _radii": "how long a look-up takes",
    "licensing/looks.py _cost": "how long a look-up takes",
    "licensing/papers/invoice_pdf.py": "points on paper",
    "licensing/payments/stripe/__init__.py Stripe": "seconds until an answer is given up",
    "licensing/papers/sheets.py": "points on paper",
    "licensing/papers/statement_pdf.py": "points on paper",
    "service/__main__.py generate": "seconds that a caller waits",
    "service/__main__.py train": "minutes that a training may take",
    "service/acceptance.py _crowded": "seconds after which to order again",
    "service/acceptance.py _new_order": "seconds that an order takes",
    "service/acceptance.py _no_room": "seconds after which to order again",
    "service/acceptance.py _store": "seconds that an order takes",
    "service/api/quotes.py _document": "seconds that a test picture takes",
    "service/api/switch.py _measured": "milliseconds until nothing is made any more",
    "service/api/trainings.py NewTraining": "minutes that a training may take",
    "service/api/trainings.py Resumption": "minutes that a training may take",
    "service/api/trainings.py _allowed": "minutes that a training may take",
    "service/api/trainings.py _limit": "minutes that a training may take",
    "service/api/trainings.py _priced_plan": "seconds after which to ask again",
    "service/doctor.py _clocks": "seconds that a clock is off",
    "service/formats.py stopwatch": "seconds that are watched",
    "service/formats.py rate": "hundredths of a percent, as a decimal number",
    "service/formats.py tenths": "any number that is told with one decimal",
    "service/languages/__init__.py _wish": "how much a browser wants a language",
    "service/languages/figures.py number": "any number that is told, as a language writes it",
    "service/demo.py": "seconds; how far a variation is drawn anew",
    "service/demo.py Teller": "seconds",
    "service/demo.py Teller.show": "seconds",
    "service/demo.py _duration": "seconds",
    "service/demo.py _number": "scores of a training",
    "service/demo.py _order": "seconds between two looks",
    "service/demo.py _train": "steps of a training, as a bar",
    "service/demo.py _vary": "how far a variation is drawn anew",
    "service/demo.py _wait_ready": "seconds between two looks",
    "service/doctor.py _disk": "bytes of a disk",
    "service/formats.py duration": "seconds in words",
    "service/formats.py percent": "parts of a whole that are no money",
    "service/formats.py size": "bytes in words",
    "service/overview.py Queue": "seconds until the line is drawn",
    "service/overview.py UnderWay": "seconds that a training has left",
    "service/pages/day_charts.py ByDay": "where a chart names months and levels",
    "service/pages/day_charts.py PartSum": "where a bar begins and how long it is",
    "service/pages/desk_order.py _show": "seconds that a picture takes",
    "service/pages/home.py": "seconds that a form waits for a worker's look",
    "service/pages/shelf.py": "shares of the way to a maker's hand",
    "service/pages/shelf.py Book.faith": "a share of the way to a maker's hand",
    "service/speeds.py known_plan": "seconds that a training takes",
    "service/sweep.py": "seconds between two rounds",
    "service/sweep.py _repeat": "seconds between two rounds",
    "service/trainings.py Training": "seconds, minutes, and by what a model misses",
    "service/trainings.py _waiting": "trainings in a line, for each worker",
    "service/trainings.py add_training": "minutes that a training may take",
    "service/trainings.py resume": "minutes that a training may take",
}
"""Places as `module` (what is outside of functions), `module function`, or a module of `WHOLE`; and the reason."""
WHOLE = {"licensing/papers/invoice_pdf.py", "licensing/papers/sheets.py", "licensing/papers/statement_pdf.py"}
"""Modules that place marks on paper throughout. The amounts in them are `Money`, which refuses floats."""

FLOATING_SQL = re.compile(r"\b(double\s+precision|real|float[48]?)\b", re.IGNORECASE)
REAL_COLUMNS = {"loss", "eta_s", "estimate_s", "max_minutes"}
"""Of the service's tables: what a model misses by, seconds, minutes."""


def offences(source: str, name: str) -> Iterator[tuple[str, str]]:
    """Every float, or what makes one, as its place (see ALLOWED) and what is there."""

    def visit(node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
        what = _floating(node)
        if what:
            yield f"{name} {within}".strip(), f"line {getattr(node, 'lineno', 0)}: {what}"
        for child in ast.iter_child_nodes(node):
            is_joined = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _joins_paths(node)
            if is_joined and isinstance(child, ast.BinOp) and isinstance(child.op, ast.Div):
                continue
            is_place = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from visit(child, f"{within}.{node.name}".strip(".") if is_place else within)

    yield from visit(ast.parse(source), "")


def _floating(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        return f"the number {node.value!r}"
    if isinstance(node, ast.Name | ast.Attribute) and getattr(node, "id", None) in FLOATING_NAMES:
        return f"`{ast.unparse(node)}`"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _joins_paths(node):
        return f"`{ast.unparse(node)}` divides"
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
        return f"`{ast.unparse(node)}` divides"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "::" in node.value:
        found = re.search(r"::\s*" + FLOATING_SQL.pattern, node.value, re.IGNORECASE)
        return f"`{found[0]}` in a query" if found else None
    imported = [one.name for one in node.names] if isinstance(node, ast.Import) else []
    imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    taken = sorted(FLOATING_MODULES.intersection(one.split(".")[0] for one in imported))
    return f"the module {taken[0]}" if taken else None


def _joins_paths(node: ast.BinOp) -> bool:
    """Whether a `/` is one of paths: what it begins with is called like one, or a text is joined."""
    first: ast.AST = node
    while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Div):
        if isinstance(first.right, ast.JoinedStr):
            return True
        if isinstance(first.right, ast.Constant) and isinstance(first.right.value, str):
            return True
        first = first.left
    return (getattr(first, "attr", None) or getattr(first, "id", None)) in PATHS


def money_modules() -> list[Path]:
    """The licensing room, and of the service what takes money from it; migrations are dated documents."""
    room = [path for path in sorted((ROOT / "licensing").rglob("*.py")) if "migrations" not in path.parts]
    return room + [path for path in sorted((ROOT / "service").rglob("*.py")) if takes_money(path.read_text())]


def takes_money(source: str) -> bool:
    """Whether a module imports something of money."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            names = {one.name for one in node.names}
            if parts[0] == "licensing" and MONEY_MODULES & ({*parts[1:2]} if parts[1:] else names):
                return True
            if node.module == "service.api.shapes" and "money" in names:
                return True
    return False


def place_in_list(place: str) -> str:
    """How a place is called in the lists."""
    module = place.split(" ")[0]
    return module if module in WHOLE else place


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for path in money_modules():
        for place, what in offences(path.read_text(), str(path.relative_to(ROOT))):
            places.setdefault(place_in_list(place), []).append(what)
    return places


def test_no_float_touches_money(found: dict[str, list[str]]):
    offenders = {place: what for place, what in found.items() if place not in ALLOWED}

    assert not offenders, f"count in whole minor units, or say in ALLOWED what is counted instead: {offenders}"


def test_every_exception_is_still_one(found: dict[str, list[str]]):
    assert not sorted(ALLOWED.keys() - found.keys()), "take these out of ALLOWED: nothing is a float there any more"
    assert all(len(reason) > 5 for reason in ALLOWED.values())


@pytest.mark.parametrize(
    "planted",
    [
        "def due(net):\n    return net * 1.19",
        "def due(net):\n    return net * 119 / 100",
        "def due(net):\n    net /= 2\n    return net",
        "def due(net):\n    return int(float(net))",
        "def due(net):\n    return round(net, 2)",
        "def due(net: float):\n    return net",
        "def due(net):\n    return net * 1e2",
        "def due(net, part):\n    return sum(map(float, net))",
        "def due(conn):\n    return conn.fetchval('SELECT sum(net)::double precision FROM invoice')",
        "def due(net):\n    from statistics import median\n    return median(net)",
        "class Due:\n    def due(self, folder, net):\n        return folder / 'a' / f'{net / 2}'",
    ],
)
def test_a_float_that_is_planted_is_found_where_it_is(planted: str):
    places = [place for place, _ in offences(planted, "licensing/planted.py")]

    assert places
    assert set(places) <= {"licensing/planted.py due", "licensing/planted.py Due.due"}
    assert not set(places) & ALLOWED.keys()


@pytest.mark.parametrize(
    "innocent",
    [
        "def due(net, bps):\n    return -(-net * bps // 10_000)",
        "def due(folder, name):\n    return folder / name / 'a.csv'",
        "def due(self):\n    return self.settings.configs / 'bases' / f'{self.base}.toml'",
        "def due(conn):\n    return conn.fetchval('SELECT sum(net)::bigint FROM invoice')",
    ],
)
def test_whole_numbers_and_paths_are_let_pass(innocent: str):
    assert list(offences(innocent, "licensing/planted.py")) == []


def test_whoever_takes_money_from_the_gateway_is_looked_at():
    names = {str(path.relative_to(ROOT)) for path in money_modules()}

    assert {"licensing/money.py", "service/api/earnings.py", "service/invoicing.py", "service/formats.py"} <= names
    assert takes_money("from licensing import plans")
    assert takes_money("from licensing.billing.taxes import Taxes")
    assert not takes_money("from licensing.keys import issue")


def test_no_table_and_no_function_of_the_ledger_counts_in_floats():
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "licensing").rglob("*.sql"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FLOATING_SQL.search(line.partition("--")[0])
    ]

    assert not offenders, f"use bigint, or numeric where a part is divided: {offenders}"
    assert FLOATING_SQL.search("price double  precision NOT NULL")
    assert FLOATING_SQL.search("SELECT price::float8")


def test_of_the_services_tables_no_money_is_a_float():
    source = "\n".join(path.read_text() for path in sorted((ROOT / "service" / "db").glob("*.py")))

    columns = set(re.findall(r'\b_?real\("(\w+)"', source))
    made = re.findall(r"sa\.(?:Double|Float|REAL)\w*", source)

    assert columns == REAL_COLUMNS, f"use columns.number and minor units for money: {columns ^ REAL_COLUMNS}"
    assert len(made) == 1, "only `columns.real` makes such columns"
