"""Stories use the same database and the same market as the service's tests."""

from tests.service.conftest import database_url, migrated
from tests.service.market import clock, market

__all__ = ["clock", "database_url", "market", "migrated"]
