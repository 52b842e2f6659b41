"""Stories use the same database and the same market as the service's tests."""

from tests.service.conftest import database_url, migrated
from tests.service.market import market

__all__ = ["database_url", "market", "migrated"]
