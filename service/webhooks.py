"""Endpoints: addresses of a client's own that messages are posted to, and the secrets that sign these.

A secret must sign, so it cannot be kept as a hash: it lies in its row under a key that is derived from the gateway's
pepper, and is shown once.
"""

import base64
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from cryptography.fernet import InvalidToken

from licensing.database import Connection
from licensing.sentence import say
from service.addresses import find_route
from service.db.connections import read
from service.errors import AddressRefused, Problem, SecretLost
from service.resources import Gateway
from service.safe import open_safe

Kind = Literal[
    "generation.awaiting_approval",
    "generation.settled",
    "generation.failed",
    "generation.withdrawn",
    "generation.canceled",
    "generation.expired",
    "output.refunded",
    "style.switched",
    "licence.ended",
    "plan.ended",
    "plan.unpaid",
    "invoice.issued",
]
"""What an endpoint may want to hear of. `ping` comes when it is asked for, whatever an endpoint wants."""
KINDS: tuple[Kind, ...] = get_args(Kind)
ENDPOINTS_MAX = 20
"""Of one client."""
DESCRIPTION_CHARACTERS_MAX = 200
OVERLAP = timedelta(hours=24)
"""How long the secret before a rotation signs too."""
_SECRET_BYTES = 32
_OF = "secrets of webhooks"

_COLUMNS = "id, client_id, url, kinds, description, created_at, failing_since, retry_at, disabled_at, disabled_why"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where messages of a client go. `kinds` are those it wants, all where it is empty.

    Since `failing_since` nothing arrived; its oldest message, for which the others wait, is tried again at `retry_at`.
    Nothing is told to one that was disabled until a ping or a message sent again arrives there.
    """

    id: str
    client_id: str
    url: str
    kinds: list[str]
    description: str
    created_at: datetime
    failing_since: datetime | None
    retry_at: datetime | None
    disabled_at: datetime | None
    disabled_why: str | None


async def add_endpoint(
    conn: Connection, web: Gateway, *, client_id: str, url: str, kinds: list[Kind], description: str
) -> tuple[Endpoint, str]:
    """A new endpoint and its secret, which nobody sees again. Raises Problem: check its URL first."""
    secret = _new_secret()
    async with conn.transaction():
        # One after the other for a client, so that the limit holds.
        await conn.execute("SELECT FROM service.accounts WHERE id = $1 FOR NO KEY UPDATE", client_id)
        urls = {row["url"]: row["id"] for row in await _urls_of(conn, client_id)}
        if url in urls:
            raise Problem(
                "conflict",
                say("{url} is registered as {urls}; use that one, or remove it first.", url=url, urls=urls[url]),
            )
        if len(urls) >= ENDPOINTS_MAX:
            raise Problem(
                "conflict",
                say("You have {number} webhooks, which is as many as one may have; remove one.", number=len(urls)),
            )
        row = await conn.fetchrow(
            "INSERT INTO service.webhooks (id, client_id, url, kinds, description, secret, created_at)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_COLUMNS}",
            *(web.new_id("whk"), client_id, url, list(dict.fromkeys(kinds)), description),
            *(open_safe(web.pepper, _OF).encrypt(secret.encode()).decode(), web.clock()),
        )
    assert row is not None
    return read(Endpoint, row), secret


async def check_url(web: Gateway, url: str) -> None:
    """Raises Problem where messages may not go to a URL, as its name leads now. It is checked anew at every message."""
    try:
        await find_route(url, networks=web.settings.webhook_targets)
    except AddressRefused as error:
        raise Problem("invalid_request", str(error)) from error


async def find_endpoint(conn: Connection, name: str, *, client_id: str) -> Endpoint | None:
    """A client's own endpoint, by its id or its exact URL."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.webhooks WHERE client_id = $2 AND $1 IN (id, url)", name, client_id
    )
    return read(Endpoint, row) if row else None


async def list_endpoints(
    conn: Connection, *, client_id: str, limit: int = ENDPOINTS_MAX, before: str | None = None
) -> list[Endpoint]:
    """A client's endpoints, newest first, those before the id `before`."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.webhooks WHERE client_id = $1 AND ($2::text IS NULL OR id < $2)"
        " ORDER BY id DESC LIMIT $3",
        *(client_id, before, limit),
    )
    return [read(Endpoint, row) for row in rows]


async def remove_endpoint(conn: Connection, webhook_id: str, *, client_id: str) -> bool:
    """Nothing is sent there any more, and its log is gone. False where this client has no such endpoint."""
    status = await conn.execute("DELETE FROM service.webhooks WHERE id = $1 AND client_id = $2", webhook_id, client_id)
    return bool(status == "DELETE 1")


async def rotate_secret(conn: Connection, web: Gateway, webhook_id: str, *, client_id: str) -> str | None:
    """A new secret; the one before signs beside it for a day. None where this client has no such endpoint."""
    secret = _new_secret()
    status = await conn.execute(
        "UPDATE service.webhooks SET old_secret = secret, old_secret_until = $4, secret = $3"
        " WHERE id = $1 AND client_id = $2",
        *(webhook_id, client_id, open_safe(web.pepper, _OF).encrypt(secret.encode()).decode(), web.clock() + OVERLAP),
    )
    return secret if status == "UPDATE 1" else None


def open_secret(kept: str, *, pepper: bytes) -> str:
    """A secret as it was shown, from its row. Raises SecretLost."""
    try:
        return open_safe(pepper, _OF).decrypt(kept.encode()).decode()
    except InvalidToken as error:
        raise SecretLost(
            "The secret cannot be read any more, because this place's own secret was replaced; rotate it."
        ) from error


async def _urls_of(conn: Connection, client_id: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = await conn.fetch(
        "SELECT id, url FROM service.webhooks WHERE client_id = $1", client_id
    )
    return found


def _new_secret() -> str:
    """As Standard Webhooks writes secrets."""
    return "whsec_" + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()
