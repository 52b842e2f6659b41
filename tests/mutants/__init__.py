"""Guards that keep money, rights and tenants safe, each with the text that takes it away and the tests that miss it.

`python -m tests.mutants [WORD ...]` takes away one after the other in a copy of the tree and runs its tests: they must
fail. A guard whose absence no test notices is no guard, for the next change may take it away unseen.
"""

from pathlib import Path

from tests.mutants.guard import Guard
from tests.mutants.payments import PAYMENTS
from tests.mutants.sales import SALES

__all__ = ["GUARDS", "ROOT", "Guard"]

ROOT = Path(__file__).parents[2]
GUARDS = (*SALES, *PAYMENTS)
