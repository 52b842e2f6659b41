"""Signed words about where the ledger's chain stood, so that nobody can shorten or rewrite it unseen.

A chain shows what was changed in its middle. It cannot show that its end was cut off, nor that somebody who owns the
database wrote an entry anew and every link after it. A checkpoint can: it names the last link of every lane, is signed
with a key that the database does not hold, and whoever keeps a copy elsewhere can hold the ledger against it.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from licensing.authority import Authority, sign_document, verify_document
from licensing.database import Connection
from licensing.ledger import Problem

_KIND = "ownhand.checkpoint.v1"


@dataclass(frozen=True, kw_only=True)
class LaneHead:
    """The end of one lane: how many links it had, the hash of the last in hex, how many entries hang on all of them."""

    lane: int
    links: int
    hash: str
    entries: int


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The ends of all lanes that had any links. `document` is what was signed: keep it where the database's owner
    cannot reach."""

    number: int
    at: datetime
    heads: tuple[LaneHead, ...]
    document: str

    @property
    def name(self) -> str:
        return f"checkpoint {self.number} of {self.at:%Y-%m-%d %H:%M} UTC"


async def make_checkpoint(conn: Connection, authority: Authority, *, now: datetime) -> Checkpoint:
    """Sign where the lanes stand, and keep it."""
    rows = await conn.fetch(
        """
        SELECT head.lane, head.seq AS links, encode(head.hash, 'hex') AS hash,
               (SELECT count(*) FROM licensing.link l JOIN licensing.entry_group g USING (commit_no)
                JOIN licensing.entry e USING (group_no) WHERE l.lane = head.lane) AS entries
        FROM (SELECT DISTINCT ON (lane) * FROM licensing.link ORDER BY lane, seq DESC) head ORDER BY head.lane
        """
    )
    heads = tuple(LaneHead(**row) for row in rows)
    number: int = await conn.fetchval("SELECT nextval(pg_get_serial_sequence('licensing.checkpoint', 'checkpoint_no'))")
    payload = {
        "kind": _KIND,
        "number": number,
        "at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "lanes": [asdict(head) for head in heads],
    }
    document = sign_document(authority, payload)
    await conn.execute(
        "INSERT INTO licensing.checkpoint (checkpoint_no, at, document) VALUES ($1, $2, $3)", number, now, document
    )
    return Checkpoint(number=number, at=now, heads=heads, document=document)


def read_checkpoint(authority: Authority, document: str) -> Checkpoint | None:
    """A checkpoint that this authority signed; None for anything else."""
    payload = verify_document(authority, document)
    if payload is None or payload.get("kind") != _KIND:
        return None
    return Checkpoint(
        number=payload["number"],
        at=datetime.fromisoformat(payload["at"]),
        heads=tuple(LaneHead(**head) for head in payload["lanes"]),
        document=document,
    )


async def kept_checkpoints(conn: Connection) -> list[str]:
    """The documents that the database itself keeps."""
    rows = await conn.fetch("SELECT document FROM licensing.checkpoint ORDER BY checkpoint_no")
    return [row["document"] for row in rows]


async def compare(conn: Connection, authority: Authority, documents: Iterable[str]) -> list[Problem]:
    """Hold the ledger against checkpoints, whoever kept them: a problem for each lane that is not what it was, and for
    each document that was not signed here. An empty list means that the ledger has only grown."""
    read = [(document, read_checkpoint(authority, document)) for document in dict.fromkeys(documents)]
    problems = [_unsigned(document) for document, checkpoint in read if checkpoint is None]
    checkpoints = [checkpoint for _, checkpoint in read if checkpoint is not None]
    asked = [(head.lane, head.links) for checkpoint in checkpoints for head in checkpoint.heads]
    rows = await conn.fetch(
        "SELECT lane, seq, encode(hash, 'hex') AS hash FROM licensing.link"
        " JOIN unnest($1::integer[], $2::bigint[]) AS asked (lane, seq) USING (lane, seq)",
        *([lane for lane, _ in asked], [links for _, links in asked]),
    )
    hashes = {(row["lane"], row["seq"]): row["hash"] for row in rows}
    lengths = dict(await conn.fetch("SELECT lane, max(seq) FROM licensing.link GROUP BY lane"))
    for lane in sorted({lane for lane, _ in asked}):
        problem = _compare_lane(lane, checkpoints, hashes, lengths.get(lane, 0))
        problems += [problem] if problem else []
    return problems


def _compare_lane(
    lane: int, checkpoints: list[Checkpoint], hashes: dict[tuple[int, int], str], length: int
) -> Problem | None:
    """What is wrong with a lane, by the earliest checkpoint that it contradicts."""
    seen = sorted(
        ((head, checkpoint) for checkpoint in checkpoints for head in checkpoint.heads if head.lane == lane),
        key=lambda one: one[1].number,
    )
    last_right = "none"
    for head, checkpoint in seen:
        found = hashes.get((lane, head.links))
        if found == head.hash:
            last_right = checkpoint.name
            continue
        until = f"it agrees with {last_right} before"
        if found is None:
            return Problem(
                rule="no lane of the chain is shorter than it was",
                place=f"lane {lane}",
                detail=f"{checkpoint.name} counted {head.links} links, {length} are left; {until}",
            )
        return Problem(
            rule="no lane of the chain was rewritten",
            place=f"lane {lane}, link {head.links} or before",
            detail=f"{checkpoint.name} saw hash {head.hash[:16]}, it is {found[:16]}; {until}",
        )
    return None


def _unsigned(document: str) -> Problem:
    return Problem(
        rule="checkpoints are signed here",
        place=f"a checkpoint that ends in {document[-12:]}",
        detail="no key of this place fits its signature: it was changed, or comes from elsewhere",
    )
