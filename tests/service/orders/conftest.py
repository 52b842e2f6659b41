"""Orders are tested in a market: a published style, a worker, clients with money."""

from tests.service.market import market

__all__ = ["market"]
