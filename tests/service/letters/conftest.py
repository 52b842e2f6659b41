"""A web process without its loops, so that tests send by hand at the time they choose; and a mail server."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.accounts import Account, Role, ensure_account
from service.ids import new_id
from service.letters import Letter, write_letter
from service.mailing import send_next
from service.resources import Gateway, open_gateway
from service.settings import Settings
from tests.service.letters.mailbox import Mailbox, mailbox

SENDER = "Ownhand <office@ownhand.test>"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where letters are written and sent by hand. `start` is the time at which everything begins."""

    web: Gateway
    start: datetime

    async def person(self, role: Role = "creator", *, email: str = "", name: str | None = None) -> Account:
        async with self.web.house() as conn:
            return await ensure_account(
                conn,
                role=role,
                email=email or f"{new_id('x')}@example.org",
                name=name,
                ownership_terms=self.web.ownership.version,
                now=self.start,
                new_id=new_id,
            )

    async def write(self, account: Account | None = None, **values: Any) -> bool:
        """A letter about a new thing, with what is said of it otherwise."""
        said: dict[str, Any] = {"kind": "training.passed", "about": new_id("trn"), "path": "/studio"}
        said |= {"subject": "Your style is ready", "words": "It passed.\n\nLook at it, and publish it."}
        letter = Letter(account_id=account.id if account else None, **{**said, **values})
        async with self.web.house() as conn:
            return await write_letter(conn, letter, now=self.start)

    async def send(self, after: timedelta = timedelta(), **options: Any) -> int:
        """Send all that is due so long after the start; how many tries that took."""
        count = 0
        while await send_next(self.web, now=self.start + after, **options):
            count += 1
        return count

    async def rows(self) -> list[dict[str, Any]]:
        """All letters, the oldest first."""
        async with self.web.house() as conn:
            return [dict(row) for row in await conn.fetch("SELECT * FROM service.letters ORDER BY number")]

    async def states(self) -> list[str]:
        return [row["mail"] for row in await self.rows()]

    def web_at(self, after: timedelta) -> Gateway:
        """The same place, so long after the start."""
        return replace(self.web, clock=lambda: self.start + after)

    def with_settings(self, **changes: Any) -> "Desk":
        return replace(self, web=replace(self.web, settings=replace(self.web.settings, **changes)))

    def sending_to(self, box: Mailbox, scheme: str = "smtp", login: str = "", options: str = "") -> "Desk":
        """The same place, with this mail server."""
        url = f"{scheme}://{login}127.0.0.1:{box.port}{options}"
        return self.with_settings(smtp_url=url, mail_from=SENDER)


@pytest.fixture(scope="module")
async def web(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), configs=configs, public_url="https://ownhand.test")
    async with open_gateway(settings, database_url) as opened:
        yield opened


@pytest.fixture
async def desk(web: Gateway) -> Desk:
    """Without a mail server. Nothing is left to be sent from the test before."""
    async with web.house() as conn:
        await conn.execute("DELETE FROM service.letters")
    return Desk(web=web, start=web.clock())


@pytest.fixture(scope="module")
def module_box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


@pytest.fixture
def box(module_box: Mailbox) -> Mailbox:
    """A plain mail server that takes everything, empty."""
    if module_box.process is None:
        module_box.start()
    module_box.answers()
    module_box.empty()
    return module_box
