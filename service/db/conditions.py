"""The conditions of a query that were named, and no others.

`$2::text IS NULL OR id < $2` says the same in one sentence, but Postgres keeps one plan for all that may be named: it
takes each such condition to leave out nearly everything, and then sorts all orders of a busy client to show fifty.
"""

from typing import Any


def named(*conditions: tuple[str, Any], after: int) -> tuple[str, list[Any]]:
    """` AND ...` for each condition whose value is not None, and these values; the first is parameter `after` + 1.

    A condition has `{}` where its value stands. What must hold for everybody, such as whose a row is, is not said here.
    """
    said = [(condition, value) for condition, value in conditions if value is not None]
    text = "".join(f" AND {condition.format(f'${after + nth}')}" for nth, (condition, _) in enumerate(said, start=1))
    return text, [value for _, value in said]
