"""A creator's month on paper: what it came to, what each style earned, and every picture."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date

from reportlab.pdfgen.canvas import Canvas

from licensing.dues import DuesMonth, Kind
from licensing.money import Money
from licensing.papers import statement_rules
from licensing.papers.sheets import (
    ACCENT,
    BODY,
    HEADING,
    LEFT,
    NAME,
    RIGHT,
    SMALL,
    STRONG,
    TITLE,
    Block,
    Column,
    Type,
    beside,
    column_names,
    fitted,
    paragraph,
    row,
    rule,
    space,
    stacked,
    typeset,
    write,
)
from licensing.papers.wording import day, figure, sum_of
from licensing.papers.wording import month as month_name
from licensing.statements import Line, Movement, Statement

_SUMS_RIGHT = LEFT + 380.0
_FINE = Type(size=6.8, leading=9.0)


def statement_pdf(statement: Statement, *, creator: str, house: str, style_names: Mapping[str, str], on: date) -> bytes:
    """The month `statement` that `house` gives to `creator` (their names), drawn up `on` a day.

    A style without a name in `style_names` is called by its id.

    Raises ValueError for one whose sums are not those of its lines.
    """
    statement_rules.check(statement)
    name = f"Statement {month_name(statement.month)}"
    blocks = [
        *_summary(statement),
        *_owed(statement.dues),
        *_by_style(statement, style_names),
        *_pictures(statement, style_names),
    ]
    return typeset(
        blocks,
        masthead=_masthead(statement, creator, house),
        running=_running(name, creator),
        foot=[f"{house}  ·  drawn up on {day(on)}", f"Days and months are UTC, sums are in {statement.total.currency}"],
        title=name,
        author=house,
        subject=f"What {creator} earned at {house} in {month_name(statement.month)}",
        on=on,
    )


def _masthead(statement: Statement, creator: str, house: str) -> Block:
    title = Block(height=24.0, draw=lambda canvas, y: write(canvas, "Statement", RIGHT, y - 17.0, TITLE, "right"))
    for_whom = stacked(
        paragraph("For", Type(ink=SMALL.ink), width=300.0),
        paragraph(creator, HEADING, width=300.0),
        paragraph(month_name(statement.month), width=300.0),
    )
    return stacked(
        beside(paragraph(house, NAME, width=300.0), title),
        space(10.0),
        Block(height=22.0, draw=lambda canvas, y: rule(canvas, y, ink=ACCENT)),
        for_whom,
        space(22.0),
    )


def _running(name: str, creator: str) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        write(canvas, creator, LEFT, y - 9.0, SMALL)
        write(canvas, name, RIGHT, y - 9.0, SMALL, "right")
        rule(canvas, y - 16.0, ink=ACCENT)

    return Block(height=30.0, draw=draw)


def _summary(statement: Statement) -> list[Block]:
    """What the month came to, step by step, and what of it is still to be paid out."""
    pictures = sum(line.kind == "sale" for line in statement.lines)
    sums = [
        _sum(f"Charged for {pictures:,} {'picture' if pictures == 1 else 'pictures'}, less refunds", statement.gross),
        _sum("Fee of the house", statement.fee * -1),
        _sum("Tax, which the house pays on", statement.tax * -1),
        _sum("Computing, for your trainings", statement.compute * -1),
        *([_sum("Shares of other authors", statement.others * -1)] if statement.others.amount else []),
    ]
    moved = [_sum(_moved(movement), movement.amount) for movement in statement.movements]
    return [
        paragraph("What the month came to", HEADING, keeps=120.0),
        space(4.0),
        *sums,
        _result("Earned this month", statement.total),
        space(16.0),
        paragraph("What is yours", HEADING, keeps=60.0),
        space(4.0),
        _sum("Could be paid out at the beginning of the month", statement.opening),
        _sum("Earned this month", statement.total),
        *moved,
        _result("Could be paid out at its end", statement.closing),
        space(20.0),
    ]


def _owed(dues: DuesMonth) -> list[Block]:
    """What is owed beside the earnings: a debt of its own."""
    if dues.is_empty:
        return []
    return [
        paragraph("Monthly fee, which is owed beside your earnings", HEADING, keeps=60.0),
        space(4.0),
        _sum("Owed at the beginning of the month", dues.opening),
        *(_sum(f"{_DUES[line.kind]} on {day(line.at.date())}, {line.subject}", line.amount) for line in dues.lines),
        _result("Owed at its end", dues.closing),
        space(3.0),
        paragraph("Your payouts do not wait for it.", SMALL),
        space(20.0),
    ]


_DUES: dict[Kind, str] = {
    "dues": "Asked for",
    "dues_taken": "Taken from your earnings",
    "dues_paid": "Paid by you",
    "dues_waived": "Waived",
}


def _moved(movement: Movement) -> str:
    return f"{_MOVEMENTS.get(movement.kind, movement.kind)} on {day(movement.at.date())}, {movement.subject}"


_MOVEMENTS = {
    "payout": "Paid out",
    "payout_failed": "Came back from a payout that failed",
    "payout_reversed": "Came back from a payout",
    "dispute": "Set aside for a dispute",
    "dispute_end": "Back after a dispute",
    "dues_taken": "Taken for the monthly fee",
}


def _sum(label: str, money: Money) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        write(canvas, fitted(label, BODY, _SUMS_RIGHT - LEFT - 80.0), LEFT, y - 11.0, BODY)
        write(canvas, figure(money), _SUMS_RIGHT, y - 11.0, BODY, "right")

    return Block(height=16.0, draw=draw)


def _result(label: str, money: Money) -> Block:
    def draw(canvas: Canvas, y: float) -> None:
        rule(canvas, y - 1.0, right=_SUMS_RIGHT, ink=ACCENT)
        write(canvas, label, LEFT, y - 14.0, STRONG)
        write(canvas, sum_of(money), _SUMS_RIGHT, y - 14.0, STRONG, "right")

    return Block(height=20.0, draw=draw)


def _by_style(statement: Statement, style_names: Mapping[str, str]) -> list[Block]:
    """One row a style, the one that earned most first."""
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in statement.lines:
        lines[line.style_id].append(line)
    if not lines:
        return []
    columns = [
        Column(title="Style", x=LEFT, width=180.0),
        Column(title="Pictures", x=LEFT + 238.0, width=50.0, align="right"),
        Column(title="Price", x=LEFT + 302.0, width=60.0, align="right"),
        Column(title="Fee, computing", x=LEFT + 372.0, width=70.0, align="right"),
        Column(title="Tax", x=LEFT + 424.0, width=50.0, align="right"),
        Column(title="Share", x=RIGHT, width=60.0, align="right"),
    ]
    heads = column_names(columns)
    by_share = sorted(lines.items(), key=lambda item: (-sum(line.share.amount for line in item[1]), item[0]))
    rows = [
        row(columns, _style_cells(style_names.get(style_id, style_id), those, statement.total.currency), heads=heads)
        for style_id, those in by_share
    ]
    return [paragraph("By style", HEADING, keeps=60.0), space(3.0), stacked(heads, rows[0]), *rows[1:], space(20.0)]


def _style_cells(name: str, lines: list[Line], currency: str) -> list[str]:
    pictures = sum(line.kind == "sale" for line in lines) - sum(line.kind == "refund" for line in lines)
    sums = [
        Money(sum(getattr(line, part).amount for line in lines), currency) for part in ("price", "fee", "tax", "share")
    ]
    return [name, f"{pictures:,}", *(figure(sum_) for sum_ in sums)]


def _pictures(statement: Statement, style_names: Mapping[str, str]) -> list[Block]:
    """One row a line of the statement: price = fee + tax + share in each, and what other authors got."""
    if not statement.lines:
        return [paragraph("Nothing was sold in this month.")]
    heads = column_names(_PICTURE_COLUMNS)
    # A name is measured once and not ten thousand times.
    names = {
        style_id: fitted(style_names.get(style_id, style_id), _FINE, _PICTURE_COLUMNS[1].width)
        for style_id in {line.style_id for line in statement.lines}
    }
    rows = [_picture(line, names[line.style_id], heads) for line in statement.lines]
    return [paragraph("Every picture", HEADING, keeps=60.0), space(3.0), stacked(heads, rows[0]), *rows[1:]]


_PICTURE_COLUMNS = (
    Column(title="Date", x=LEFT, width=42.0),
    Column(title="Style", x=LEFT + 46.0, width=88.0),
    Column(title="Tier", x=LEFT + 138.0, width=64.0),
    Column(title="Price", x=LEFT + 236.0, width=36.0, align="right"),
    Column(title="Fee", x=LEFT + 270.0, width=34.0, align="right"),
    Column(title="Tax", x=LEFT + 302.0, width=32.0, align="right"),
    Column(title="Share", x=LEFT + 340.0, width=38.0, align="right"),
    Column(title="Picture", x=LEFT + 352.0, width=RIGHT - LEFT - 352.0),
)


def _picture(line: Line, name: str, heads: Block) -> Block:
    tier = f"{line.tier}, refund" if line.kind == "refund" else line.tier
    sums = (figure(sum_) for sum_ in (line.price, line.fee, line.tax, line.share))
    cells = (f"{line.at:%Y-%m-%d}", name, tier, *sums, line.output_id or _WITHOUT_PICTURE.get(line.kind, ""))

    def draw(canvas: Canvas, y: float) -> None:
        for column, cell in zip(_PICTURE_COLUMNS, cells, strict=True):
            write(canvas, cell, column.x, y - 8.0, _FINE, column.align)

    return Block(height=10.6, draw=draw, heads=heads)


_WITHOUT_PICTURE = {"unused": "left unused of a licence", "compute": "computing of a training"}
