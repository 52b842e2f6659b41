"""What must add up in a statement before it is printed."""

from licensing.money import Money
from licensing.statements import Statement


def check(statement: Statement) -> None:
    """Raises ValueError where the sums of `statement` are not those of its lines: such a statement is never printed."""
    for line in statement.lines:
        if line.fee + line.tax + line.share + line.others != line.price:
            raise ValueError(
                f"{line.kind} of {line.output_id or line.style_id}: {line.fee}, {line.tax}, {line.share} and"
                f" {line.others} are not {line.price}"
            )
    earned = [line for line in statement.lines if line.kind != "compute"]
    sums = {
        "gross": sum(line.price.amount for line in statement.lines),
        "fee": sum(line.fee.amount for line in earned),
        "tax": sum(line.tax.amount for line in statement.lines),
        "others": sum(line.others.amount for line in statement.lines),
        "compute": sum(line.fee.amount for line in statement.lines if line.kind == "compute"),
        "total": sum(line.share.amount for line in statement.lines),
    }
    owed = statement.dues
    made = Money(owed.opening.amount + sum(line.amount.amount for line in owed.lines), owed.opening.currency)
    if made != owed.closing:
        raise ValueError(f"statement of {statement.month}: its dues are {owed.closing}, their lines make {made}")
    sums["closing"] = statement.opening.amount + sums["total"] + sum(one.amount.amount for one in statement.movements)
    for name, amount in sums.items():
        if Money(amount, statement.total.currency) != getattr(statement, name):
            raise ValueError(
                f"statement of {statement.month}: its {name} is {getattr(statement, name)}, its lines make {amount}"
            )
