"""A place whose clock moves, and strangers' browsers in front of it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.accounts import Account
from service.app import create_app
from service.clock import utc_now
from service.letters import open_link
from service.settings import Settings
from tests.service.conftest import Place, browser, connect, sign_in

A_MOMENT = timedelta(milliseconds=1)
PASSWORD = "seven green kettles"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


@dataclass(kw_only=True)
class SteadyClock:
    """A moment passes each time that it is asked, however busy the machine is, and what a test adds."""

    at: datetime
    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        self.at += A_MOMENT
        return self.at + self.ahead


@pytest.fixture(scope="module")
def clock() -> SteadyClock:
    return SteadyClock(at=utc_now())


@pytest.fixture(scope="module")
async def place(
    database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory, clock: SteadyClock
) -> AsyncIterator[Place]:
    """The web process alone. Where anybody may sign up, and e-mail is sent, by a server that never answers."""
    home = tmp_path_factory.mktemp("home")
    async with open_web(database_url, configs, home, clock, sign_up="everyone") as opened:
        yield opened


@asynccontextmanager
async def open_web(
    database_url: str, configs: Path, home: Path, clock: SteadyClock, **more: Any
) -> AsyncIterator[Place]:
    """The web process alone, which writes e-mails that nobody takes."""
    settings = Settings(
        home=home,
        configs=configs,
        default_base="tiny",
        sign_ins_per_minute=10_000,
        forms_per_minute=10_000,
        smtp_url="smtp://127.0.0.1:9",
        mail_from="Ownhand <post@example.org>",
        **more,
    )
    app = create_app(settings, database_url, clock=clock)
    async with app.router.lifespan_context(app):
        yield Place(app=app, settings=settings, database_url=database_url, stranger=connect(app))


@contextmanager
def chosen(place: Place, **settings: Any) -> Iterator[None]:
    """Other settings, by name, until the end of the block."""
    gateway = place.gateway
    place.app.state.gateway = replace(gateway, settings=replace(place.settings, **settings))
    try:
        yield
    finally:
        place.app.state.gateway = gateway


@dataclass(frozen=True, kw_only=True)
class Browser:
    """Somebody's browser; `csrf` is empty until they are signed in."""

    http: httpx.AsyncClient
    csrf: str = ""

    async def read(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers={"Accept": "text/html"})

    async def send(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={"csrf": self.csrf, **fields}, headers={"Accept": "text/html"})

    async def is_in(self) -> bool:
        return (await self.read("/account")).status_code == 200


def stranger(place: Place) -> Browser:
    http = connect(place.app)
    http.headers["User-Agent"] = FIREFOX
    return Browser(http=http)


Sit = Callable[[Account], Awaitable[Browser]]


@pytest.fixture
def sit(place: Place) -> Sit:
    async def seat(account: Account) -> Browser:
        session = await sign_in(place, account)
        return Browser(http=browser(place, session), csrf=session.csrf)

    return seat


async def with_password(sit: Sit, account: Account) -> Browser:
    """Somebody who has set PASSWORD."""
    seat = await sit(account)
    answer = await seat.send("/account/password", new=PASSWORD)
    assert answer.status_code == 303, answer.text
    return seat


async def letters_to(place: Place, address: str) -> list[dict[str, Any]]:
    """What was written to an address or the account there, oldest first: kind, subject, words, link."""
    web = place.gateway
    async with web.house() as conn:
        rows = await conn.fetch(
            "SELECT l.kind, l.subject, l.words, l.link FROM service.letters l LEFT JOIN service.accounts a"
            " ON a.id = l.account_id WHERE $1 IN (l.address, a.email) ORDER BY l.number",
            address,
        )
    return [{**row, "link": open_link(row["link"], pepper=web.pepper) if row["link"] else ""} for row in rows]


def words(answer: httpx.Response) -> str:
    """What somebody reads of a page."""
    text = re.sub(r"<[^>]+>", " ", answer.text).replace("&#39;", "'")
    return re.sub(r"\s+", " ", text)


def hidden(answer: httpx.Response, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.text)
    assert found, answer.text
    return found[1]
