"""Letters as the office sees them: what waits, what was not sent and why, and links that somebody has to pass on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from licensing.sentence import known_again, say
from service import audit
from service.db.connections import read
from service.errors import Problem, SecretLost, not_found
from service.kept_sentences import OF_DELIVERIES
from service.letters import PATIENCE, open_link
from service.mailing import send_again
from service.resources import Gateway
from service.who import Who

Shelf = Literal["open", "sent", "off"]
SHELVES: dict[Shelf, tuple[str, ...]] = {"open": ("waiting", "failed"), "sent": ("sent",), "off": ("off",)}
"""As which states of e-mail the office looks through letters."""

_COLUMNS = (
    "l.id, l.account_id, coalesce(l.address, a.email) AS to_address, a.name, l.kind, l.subject, l.words, l.path,"
    " l.link IS NOT NULL AS has_link, l.link_until, l.created_at, l.mail, l.tries, l.due_at, l.attempts"
)
_FROM = "FROM service.letters l LEFT JOIN service.accounts a ON a.id = l.account_id"


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A letter with what became of its e-mail. `name` is None for somebody without an account. `attempts` are
    `{"at", "code", "error", "ms"}`, the oldest first."""

    id: str
    account_id: str | None
    to_address: str
    name: str | None
    kind: str
    subject: str
    words: str
    path: str
    has_link: bool
    link_until: datetime | None
    created_at: datetime
    mail: str
    tries: int
    due_at: datetime
    attempts: list[dict[str, Any]]

    @property
    def paragraphs(self) -> list[str]:
        return self.words.split("\n\n")

    @property
    def last_error(self) -> str:
        """Why the last try came to nothing; empty where it did not, or where there was none."""
        said = str(self.attempts[-1]["error"] or "") if self.attempts else ""
        return known_again(said, OF_DELIVERIES) if said else ""

    @property
    def may_go_again(self) -> bool:
        """False where its link is gone, without which it would say nothing."""
        return self.link_until is None or self.has_link


async def list_posted(conn: Connection, shelf: Shelf, *, limit: int, before: str | None = None) -> list[Posted]:
    """Newest first, those before the letter `before`."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} {_FROM} WHERE l.mail = ANY($1::text[])"
        " AND ($2::text IS NULL OR l.number < (SELECT number FROM service.letters WHERE id = $2))"
        " ORDER BY l.number DESC LIMIT $3",
        *(list(SHELVES[shelf]), before, limit),
    )
    return [read(Posted, row) for row in rows]


async def show_link(web: Gateway, letter_id: str, *, by: Who, now: datetime) -> tuple[Posted, str]:
    """A letter and the whole address in it, for an operator to pass on. Where it was for an account, that account's
    record says so. Raises Problem: only what no e-mail has brought, or will bring, is opened."""
    async with web.house() as conn, conn.transaction():
        row = await conn.fetchrow(f"SELECT {_COLUMNS}, l.link {_FROM} WHERE l.id = $1 FOR UPDATE OF l", letter_id)
        if row is None:
            raise not_found("letter", letter_id)
        found = read(Posted, row)
        if row["link"] is None or found.link_until is None or found.link_until <= now:
            raise Problem(
                "conflict",
                say(
                    "Letter {letter_id} has no link any more: it was sent or ran out. Make a new one.",
                    letter_id=letter_id,
                ),
            )
        if web.settings.mail_server is not None and found.mail != "failed":
            raise Problem(
                "conflict",
                say(
                    "Letter {letter_id} is still on its way by e-mail; wait until that has failed.", letter_id=letter_id
                ),
            )
        try:
            path = open_link(row["link"], pepper=web.pepper)
        except SecretLost as error:
            raise Problem("conflict", str(error)) from error
        if found.account_id is not None:
            await audit.note(conn, "link_shown", account_id=found.account_id, by=by, now=now)
    return found, web.settings.origin + path


async def ask_again(web: Gateway, letter_id: str, *, now: datetime) -> None:
    """Send a letter again. Raises Problem."""
    if web.settings.mail_server is None:
        raise Problem("conflict", say("Nothing sends e-mail here: set OWNHAND_SMTP_URL and OWNHAND_MAIL_FROM first."))
    async with web.house() as conn:
        is_there = await conn.fetchval("SELECT true FROM service.letters WHERE id = $1", letter_id)
        if not is_there:
            raise not_found("letter", letter_id)
        if not await send_again(conn, letter_id, now=now, patience=PATIENCE):
            raise Problem(
                "conflict",
                say("The link in letter {letter_id} was sent or ran out; make a new one.", letter_id=letter_id),
            )
