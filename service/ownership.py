"""Who owns what here, and what the operator may never do: one document in versions, which people accept.

The words are data (`configs/ownership.toml`). Every version that was in force is kept in the database; its digest
stands for what was said, so words cannot change under a number that people have accepted.
"""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from licensing.database import Connection
from service import audit
from service.errors import NotStarted
from service.who import Who

FILE = "ownership.toml"
OWNERS = ("creator", "client", "operator", "nobody")


@dataclass(frozen=True, kw_only=True)
class Clause:
    """`owner` is one of OWNERS where the clause says whose something is. `never` is what the operator may not do."""

    id: str
    title: str
    text: str = ""
    owner: str | None = None
    never: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OwnershipTerms:
    """One version. `since` is the day from which it is asked for."""

    version: int
    since: date
    title: str
    clauses: tuple[Clause, ...]

    @property
    def document(self) -> dict[str, Any]:
        """As JSON. Its digest is the SHA-256 of this, keys sorted, without blanks, in UTF-8."""
        clauses = [{**asdict(clause), "never": list(clause.never)} for clause in self.clauses]
        return {"version": self.version, "since": self.since.isoformat(), "title": self.title, "clauses": clauses}

    @cached_property
    def sha256(self) -> str:
        text = json.dumps(self.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def load_ownership_terms(configs: Path) -> OwnershipTerms:
    """The version in force. Raises NotStarted naming what is missing, unknown or of the wrong kind."""
    path = configs / FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        clauses = tuple(_clause(one) for one in table.pop("clauses"))
        terms = OwnershipTerms(**table, clauses=clauses)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotStarted(f"{path} cannot be read as terms: {error}") from error
    if type(terms.version) is not int or terms.version < 1 or type(terms.since) is not date:
        raise NotStarted(
            f"{path}: version {terms.version!r} and since {terms.since!r} must be a number from 1 and a day"
        )
    if len({clause.id for clause in clauses}) != len(clauses) or not clauses:
        raise NotStarted(f"{path} needs clauses, each with an id of its own")
    return terms


async def put_in_force(conn: Connection, terms: OwnershipTerms, *, now: datetime) -> None:
    """Keep this version. Raises NotStarted where the same number said something else before, or a later one was in
    force."""
    await conn.execute(
        "INSERT INTO service.ownership_terms (version, sha256, document, created_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (version) DO NOTHING",
        *(terms.version, terms.sha256, json.dumps(terms.document), now),
    )
    latest = await conn.fetchval("SELECT max(version) FROM service.ownership_terms")
    if latest > terms.version:
        raise NotStarted(
            f"configs/{FILE} has version {terms.version}, but version {latest} was in force already; give it version"
            f" {latest + 1}, so that people are asked"
        )
    kept = await conn.fetchval("SELECT sha256 FROM service.ownership_terms WHERE version = $1", terms.version)
    if kept != terms.sha256:
        raise NotStarted(
            f"configs/{FILE} says something else than version {terms.version} did, which people have accepted; raise"
            f" `version` to {terms.version + 1}, or take back what was changed"
        )


async def find_version(conn: Connection, version: int) -> tuple[dict[str, Any], str] | None:
    """What a version says, and its digest."""
    row = await conn.fetchrow("SELECT document, sha256 FROM service.ownership_terms WHERE version = $1", version)
    return (json.loads(row["document"]), row["sha256"]) if row else None


async def accept(conn: Connection, *, account_id: str, version: int, by: Who, now: datetime) -> None:
    """The account's person said yes to this version. Saying so again changes nothing."""
    async with conn.transaction():
        status = await conn.execute(
            "UPDATE service.accounts SET ownership_terms = $2, accepted_at = $3"
            " WHERE id = $1 AND (ownership_terms < $2 OR accepted_at IS NULL)",
            *(account_id, version, now),
        )
        if status == "UPDATE 1":
            await audit.note(conn, "terms_accepted", account_id=account_id, by=by, now=now, version=version)


def _clause(table: dict[str, Any]) -> Clause:
    clause = Clause(**table | {"never": tuple(table.get("never", ()))})
    if clause.owner is not None and clause.owner not in OWNERS:
        raise ValueError(f"owner {clause.owner!r} of {clause.id} is none of {', '.join(OWNERS)}")
    if not clause.text and not clause.never:
        raise ValueError(f"{clause.id} says nothing")
    return clause
