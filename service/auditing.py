"""The nightly look at the whole ledger, and checkpoints of it kept outside the database."""

import asyncio
import logging
from collections.abc import Sequence

from licensing import checkpoints, ledger
from licensing.analytics import over
from licensing.audits import begin_audit, end_audit
from licensing.authority import Authority
from licensing.database import Connection
from licensing.ledger import Problem
from service.resources import Gateway
from service.storage import Storage

log = logging.getLogger("ownhand.auditing")

PREFIX = "checkpoints/"


async def audit_ledger(web: Gateway) -> None:
    """Once a day, whichever process comes first: recompute everything, hold it against every checkpoint there is, and
    make a new one. A sweep."""
    async with web.pool.acquire() as conn:
        day = await begin_audit(conn, now=web.clock())
        if day is None:
            return
        copies = await asyncio.to_thread(checkpoints_in, web.storage)
        problems, _ = await look_over(conn, web.authority, copies)
        for problem in problems:
            log.critical("the ledger is not as it should be: %s; %s: %s", problem.rule, problem.place, problem.detail)
        made = await checkpoints.make_checkpoint(conn, web.authority, now=web.clock())
        key = f"{PREFIX}{made.at:%Y-%m-%d}-{made.number:06}.jws"
        await asyncio.to_thread(web.storage.put, key, made.document.encode())
        # Last: an audit that broke on its way is done again.
        await end_audit(conn, day, problems, now=web.clock())


async def look_over(conn: Connection, authority: Authority | None, copies: Sequence[str]) -> tuple[list[Problem], int]:
    """Every rule of the ledger, its sums and every checkpoint: what is wrong, and how many checkpoints there were.

    copies: checkpoints kept outside the database. Without an authority none can be read, so there must be none.
    """
    documents = [*copies, *await checkpoints.kept_checkpoints(conn)]
    problems = [*await ledger.check(conn), *await over.differences(conn)]
    if authority is not None:
        problems += await checkpoints.compare(conn, authority, documents)
    elif documents:
        problems.append(
            Problem(rule="checkpoints can be read", place="the keys", detail="the folder of signing keys is not here")
        )
    return problems, len(set(documents))


def checkpoints_in(storage: Storage) -> list[str]:
    """The copies that lie in the object storage."""
    return [storage.get(key).decode(errors="replace") for key in storage.list_keys(PREFIX)]
