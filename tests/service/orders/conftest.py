"""Orders are tested in a market: a published style, a worker, clients with money."""

from tests.service.market import clock, market

__all__ = ["clock", "market"]
