"""What was taken back, for everybody: a list that only grows at its end, and the same as one signed document.

With it, the public keys and a certificate anybody can tell without asking us whether the certificate is in force.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from licensing.authority import Authority, sign_document
from licensing.database import Connection

_KIND = "ownhand.revocations.v1"


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """One output whose sale was taken back, and its certificate with it. `reason` is for everybody to read."""

    output_id: str
    revoked_at: datetime
    reason: str


async def list_revocations(conn: Connection, *, after: str | None = None, limit: int | None = None) -> list[Revocation]:
    """Revocations, oldest first, behind that of the output `after`; whoever has read them goes on from the last."""
    rows = await conn.fetch(
        """
        SELECT output_id, revoked_at, revoked_reason AS reason FROM licensing.output
        WHERE revoked_at IS NOT NULL AND NOT test
          AND ($1::text IS NULL OR (revoked_at, output_id)
               > (SELECT revoked_at, output_id FROM licensing.output WHERE output_id = $1))
        ORDER BY revoked_at, output_id LIMIT $2
        """,
        *(after, limit),
    )
    return [Revocation(**row) for row in rows]


async def sign_revocations(conn: Connection, authority: Authority, *, now: datetime) -> str:
    """All revocations as of `now` as a compact Ed25519 JWS."""
    found = await list_revocations(conn)
    return sign_document(
        authority,
        {
            "kind": _KIND,
            "as_of": _text(now),
            "revocations": [
                {"output_id": one.output_id, "revoked_at": _text(one.revoked_at), "reason": one.reason} for one in found
            ],
        },
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
