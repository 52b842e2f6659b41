"""Guards that keep money, rights and tenants safe, each with the text that takes it away and the tests that miss it.

`python -m tests.mutants [WORD ...]` takes away one after the other in a copy of the tree and runs its tests: they must
fail. A guard whose absence no test notices is no guard, for the next change may take it away unseen.
"""

from pathlib import Path

from tests.mutants.accounts import ACCOUNTS
from tests.mutants.fleets import FLEETS
from tests.mutants.guard import Guard
from tests.mutants.payments import PAYMENTS
from tests.mutants.sales import SALES
from tests.mutants.starting import STARTING
from tests.mutants.teams import TEAMS

__all__ = ["GUARDS", "ROOT", "Guard"]

ROOT = Path(__file__).parents[2]
GUARDS = (*SALES, *PAYMENTS, *ACCOUNTS, *STARTING, *TEAMS, *FLEETS)
