"""Which output an invisible mark belongs to."""

import hashlib

from licensing.database import Connection
from licensing.watermarks import KEY_BYTES


def key_of(output_id: str) -> bytes:
    """What the mark of an output says."""
    return hashlib.sha256(output_id.encode()).digest()[:KEY_BYTES]


async def note_mark(conn: Connection, output_id: str) -> None:
    """Keep whose mark it is, before the picture can leave. Doing it twice is harmless."""
    await conn.execute(
        "INSERT INTO licensing.mark (key, output_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        *(key_of(output_id), output_id),
    )


async def marked_output(conn: Connection, key: bytes) -> str | None:
    """The id of the output that got this mark, sold or not."""
    found: str | None = await conn.fetchval("SELECT output_id FROM licensing.mark WHERE key = $1", key)
    return found
