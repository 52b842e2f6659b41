"""The database this room talks to: an asyncpg connection, and how its functions are asked (`licensing/sql/`)."""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from licensing.errors import LedgerBroken, Refusal, refuse

# A pool hands out a proxy of the same shape; both will do.
Connection: TypeAlias = asyncpg.Connection


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a function of `licensing/sql/` answered: see the type `licensing.answer`."""

    outcome: str
    slug: str | None
    detail: dict[str, Any]
    hold: Any

    @property
    def refusal(self) -> Refusal | None:
        """The refusal in words, None where the answer is not one."""
        if self.outcome != "refused":
            return None
        if self.slug is None:
            raise LedgerBroken(f"a refusal without a slug: {self.detail}")
        retry_after_s = 1 if self.slug == "idempotency_conflict" else None
        return refuse(self.slug, retry_after_s=retry_after_s, **self.detail)


async def ask(conn: Connection, function: str, *arguments: Any) -> Answer:
    """Call `licensing.<function>`, which returns a `licensing.answer`, with positional arguments."""
    return (await ask_all(conn, function, *arguments))[0]


async def ask_all(conn: Connection, function: str, *arguments: Any) -> list[Answer]:
    """Call `licensing.<function>`, which returns a set of `licensing.answer`, with positional arguments."""
    places = ", ".join(f"${number}" for number in range(1, len(arguments) + 1))
    rows = await conn.fetch(
        f"SELECT outcome, slug, detail::text AS detail, hold FROM licensing.{function}({places})", *arguments
    )
    return [to_answer(row) for row in rows]


def to_answer(row: Any) -> Answer:
    """A row of `licensing.answer`, its detail as text."""
    detail = json.loads(row["detail"]) if row["detail"] else {}
    return Answer(outcome=row["outcome"], slug=row["slug"], detail=detail, hold=row["hold"])
