"""The functions of this room's schema: what several tables are told in one call, and the line. They are code: stored
again whenever they changed, as the licensing room's are (`licensing.upgrades`)."""

from pathlib import Path

from licensing.tenancy import lending_rights
from service.outbox import TELL_ORDERS

LENT = ("accept_plain", "begin_orders", "settle_orders")
"""What every order goes through. Each calls a verb of the licensing room that is the house's alone before it does
anything else, and then runs with its owner's rights: to ask again of each row whose it is costs as much as the work."""
_FILES = ("line", "accept", "begin", "settle")


def sources() -> list[str]:
    """SQL that makes them, or replaces those that are there."""
    files = [(Path(__file__).parent / "sql" / f"{name}.sql").read_text() for name in _FILES]
    return [*files, f"{TELL_ORDERS};", lending_rights("service", LENT)]
