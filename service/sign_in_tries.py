"""How often something was tried lately with an address or an account: after a few, each waits longer than the last.

Counted by what was typed, whether or not anything goes by it, so that nobody learns from a wait that there is an
account. The database holds a keyed digest of it. Nobody is shut out for good: waits have a longest one, a try that
succeeds forgets those before it, and so does a day without any.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from licensing.database import Connection
from licensing.sentence import Sentence, say
from service.errors import Problem

What = Literal["password", "code", "letter"]
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """`free` tries at any pace, then a wait of `first` that doubles with each, up to `longest`. `sentence` says after
    how many tries what waits for how long, and what else can be done."""

    free: int
    first: timedelta
    longest: timedelta
    sentence: Callable[[int, str], Sentence]

    def wait_after(self, count: int) -> timedelta:
        """How long the next try waits after so many."""
        if count < self.free:
            return timedelta()
        # So many doublings are more than the longest wait of any.
        return min(self.first * (1 << min(count - self.free, 32)), self.longest)


PATIENCE: Mapping[What, Patience] = {
    "password": Patience(
        free=5,
        first=timedelta(seconds=2),
        longest=timedelta(minutes=15),
        sentence=lambda count, wait: say(
            "Passwords were tried with this address {count} times; the next one waits {wait}. A link by e-mail"
            " signs in meanwhile.",
            count=count,
            wait=wait,
        ),
    ),
    "code": Patience(
        free=5,
        first=timedelta(seconds=2),
        longest=timedelta(minutes=15),
        sentence=lambda count, wait: say(
            "Codes were tried {count} times; the next one waits {wait}.", count=count, wait=wait
        ),
    ),
    "letter": Patience(
        free=3,
        first=timedelta(minutes=1),
        longest=timedelta(hours=1),
        sentence=lambda count, wait: say(
            "Links were asked for with this address {count} times; the next one waits {wait}. Look into the folder"
            " for unwanted mail, too.",
            count=count,
            wait=wait,
        ),
    ),
}


async def count_try(conn: Connection, what: What, name: str, *, pepper: bytes, now: datetime) -> None:
    """Count a try before it is made, so that none is free because many came at once. Raises Problem where it has to
    wait."""
    patience, digest = PATIENCE[what], _digest(what, name, pepper)
    async with conn.transaction():
        await conn.execute(
            "INSERT INTO service.sign_in_tries (digest, count, last_at, next_at) VALUES ($1, 0, $2, $2)"
            " ON CONFLICT DO NOTHING",
            *(digest, now),
        )
        row = await conn.fetchrow(
            "SELECT count, last_at, next_at FROM service.sign_in_tries WHERE digest = $1 FOR UPDATE", digest
        )
        assert row is not None
        left = row["next_at"] - now
        # Of several that come at once, one may be told an earlier time than the one before it.
        if row["count"] >= patience.free and left > timedelta():
            said = patience.sentence(row["count"], _words(left))
            raise Problem("rate_limited", said, retry_after_s=left.total_seconds())
        count = 1 if now - row["last_at"] > FORGOTTEN_AFTER else row["count"] + 1
        await conn.execute(
            "UPDATE service.sign_in_tries SET count = $2, last_at = $3, next_at = $4 WHERE digest = $1",
            *(digest, count, now, now + patience.wait_after(count)),
        )


async def forget_tries(conn: Connection, what: What, name: str, *, pepper: bytes) -> None:
    """It succeeded: those before do not count any more."""
    await conn.execute("DELETE FROM service.sign_in_tries WHERE digest = $1", _digest(what, name, pepper))


def _digest(what: What, name: str, pepper: bytes) -> bytes:
    return hmac.new(pepper, f"try {what} {name}".encode(), hashlib.sha256).digest()


def _words(left: timedelta) -> str:
    seconds = math.ceil(left.total_seconds())
    return f"{seconds} s" if seconds < 60 else f"{math.ceil(seconds / 60)} min"
