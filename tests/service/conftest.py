"""The real application over a real database, and people with tokens."""

import asyncio
import io
import itertools
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from PIL import Image, ImageDraw

from licensing import keys
from service import trainings
from service.accounts import Account, Role, ensure_account
from service.app import create_app
from service.clock import utc_now
from service.db.prepare import prepare_database
from service.ids import new_id
from service.resources import Gateway
from service.sessions import Session, open_session, use_link
from service.settings import ROOT, Settings
from tests.licensing.payments.fake_stripe import FakeStripe, running
from tests.postgres import Server
from tests.setups import more_settings

SCRIPTED_TRAINER = f"{sys.executable} -m tests.service.scripted_trainer"
SCRIPTED_PROBER = f"{sys.executable} -m tests.service.scripted_prober"
SCRIPTED_REVIEWER = f"{sys.executable} -m tests.service.scripted_reviewer"
SCRIPTED_DESCRIBER = f"{sys.executable} -m tests.service.scripted_describer"
TINY_BASE = """\
name = "Tiny"
family = "sd"
path = "tiny"
size = 32
max_size = 64
size_step = 8
steps = 6
guidance = 3.0
sampler = "ddim"
lora_targets = ["to_q"]
licence = "MIT"
"""
TINY_RECIPE = """\
base = "tiny"
rank = 2
learning_rate = 0.001
steps = 20
batch = 2
min_works = 4
checkpoint_every = 5
heldout_every = 10
"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with an account, and a client of the API that carries their token."""

    account: Account
    token: str
    http: httpx.AsyncClient


@dataclass(frozen=True, kw_only=True)
class Place:
    """The application as it runs, and how to make people for it."""

    app: FastAPI
    settings: Settings
    database_url: str
    stranger: httpx.AsyncClient

    @property
    def gateway(self) -> Gateway:
        opened: Gateway = self.app.state.gateway
        return opened

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the tables' owner, for what nothing in the application may do."""
        conn = await asyncpg.connect(self.database_url)
        try:
            yield conn
        finally:
            await conn.close()

    async def person(
        self, role: Role, *, kind: keys.KeyKind | None = None, scopes: tuple[str, ...] = (), email: str | None = None
    ) -> Person:
        """A new account of a role, or the one with that address, with a token of it."""
        web = self.gateway
        kinds: dict[Role, keys.KeyKind] = {"creator": "creator", "client": "live", "operator": "operator"}
        async with web.pool.acquire() as conn:
            account = await ensure_account(
                conn,
                role=role,
                email=email or f"{role}-{next(_NUMBERS)}@example.org",
                name=None,
                ownership_terms=web.ownership.version,
                now=web.clock(),
                new_id=new_id,
            )
            issued = await keys.issue(
                conn,
                account_id=account.id,
                kind=kind or kinds[role],
                scopes=scopes,
                expires_at=web.clock() + timedelta(days=400),
                new_id=new_id,
                now=web.clock(),
                pepper=web.pepper,
            )
        return Person(account=account, token=issued.token, http=connect(self.app, issued.token))


_NUMBERS = itertools.count()


def copy_words(folder: Path) -> None:
    """Prices, categories of prompts and the terms of who owns what as they are shipped."""
    for name in ("prices.toml", "seller.toml", "categories.toml", "ownership.toml"):
        (folder / name).write_text((ROOT / "configs" / name).read_text())


def connect(app: FastAPI, token: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers, timeout=30)


@pytest.fixture(scope="session")
def migrated(postgres: Server) -> str:
    """The name of a database with every table, to be copied."""
    prepare_database(postgres.url("ownhand_template"))
    return "ownhand_template"


@pytest.fixture(scope="module")
def database_url(postgres: Server, migrated: str) -> Iterator[str]:
    """A migrated database for this module alone."""
    name = postgres.create_database(template=migrated)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def stripe() -> Iterator[FakeStripe]:
    """A payment provider that takes cards."""
    with running(FakeStripe()) as fake:
        yield fake


@pytest.fixture(scope="session")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prices as shipped; a base and a recipe small enough for tests."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "bases").mkdir()
    (folder / "recipes").mkdir()
    copy_words(folder)
    (folder / "bases" / "tiny.toml").write_text(TINY_BASE)
    (folder / "recipes" / "tiny-style.toml").write_text(TINY_RECIPE)
    return folder


@pytest.fixture(scope="module")
async def place(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """The web process; it also consumes the workers' queues, with a trainer that follows a script."""
    async with open_place(database_url, configs, home=tmp_path_factory.mktemp("home")) as opened:
        yield opened


@asynccontextmanager
async def open_place(database_url: str, configs: Path, *, home: Path, **more: Any) -> AsyncIterator[Place]:
    """The application until the end of the block, with further settings where a test names some."""
    settings = Settings(
        home=home,
        configs=configs,
        default_base="tiny",
        trainer=SCRIPTED_TRAINER,
        reviewer=SCRIPTED_REVIEWER,
        prober=SCRIPTED_PROBER,
        describer=SCRIPTED_DESCRIBER,
        device="cpu",
        poll_interval_s=0.05,
        max_files_per_upload=20,
        max_works_per_style=30,
        **more_settings() | more,
    )
    app = create_app(settings, database_url, clock=utc_now, role="both")
    async with app.router.lifespan_context(app):
        yield Place(app=app, settings=settings, database_url=database_url, stranger=connect(app))


@pytest.fixture
async def creator(place: Place) -> Person:
    return await place.person("creator")


@pytest.fixture
async def other_creator(place: Place) -> Person:
    return await place.person("creator")


@pytest.fixture
async def client(place: Place) -> Person:
    return await place.person("client")


@pytest.fixture
async def operator(place: Place) -> Person:
    return await place.person("operator")


@pytest.fixture
def drawing() -> Callable[[], bytes]:
    """Each call draws another small picture, as the bytes of a PNG."""
    return draw


def draw(*, size: int = 48) -> bytes:
    dice = random.Random(next(_NUMBERS))
    image = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        box = sorted(dice.randrange(size) for _ in range(2)), sorted(dice.randrange(size) for _ in range(2))
        colour = tuple(dice.randrange(256) for _ in range(3))
        pen.rectangle((box[0][0], box[1][0], box[0][1], box[1][1]), fill=colour)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def browser(place: Place, session: Session) -> httpx.AsyncClient:
    """A browser that carries a session's cookie."""
    http = connect(place.app)
    http.cookies.set("ownhand", session.word)
    return http


async def sign_in(place: Place, account: Account) -> Session:
    web = place.gateway
    async with web.pool.acquire() as conn:
        session = await open_session(conn, account_id=account.id, now=web.clock(), days=1)
    assert session is not None
    return session


async def redeem_link(conn: asyncpg.Connection, *, word: str, now: datetime, days: int) -> Session | None:
    """What the button behind a link does."""
    account_id = await use_link(conn, word=word, now=now)
    return await open_session(conn, account_id=account_id, now=now, days=days) if account_id else None


async def make_style(person: Person, **fields: Any) -> str:
    """A new style of a creator; its id."""
    answer = await person.http.post("/v1/styles", json={"name": "Ink", "summary": "Loose ink", **fields})
    assert answer.status_code == 201, answer.text
    style_id: str = answer.json()["id"]
    return style_id


async def upload(person: Person, style_id: str, *files: tuple[str, bytes], rights: str | None = None) -> httpx.Response:
    data = {"rights": rights} if rights else {}
    parts = [("files", (name, content, "application/octet-stream")) for name, content in files]
    return await person.http.post(f"/v1/styles/{style_id}/works", files=parts, data=data)


async def with_works(person: Person, *, count: int = 6, rights: str = "mine") -> str:
    """A style that can be trained; its id."""
    style_id = await make_style(person)
    answer = await upload(person, style_id, *[(f"work-{n}.png", draw()) for n in range(count)], rights=rights)
    assert answer.status_code == 201, answer.text
    return style_id


async def wait_for(person: Person, training_id: str, *states: str) -> dict[str, Any]:
    """The training once it is in one of these states."""
    async with asyncio.timeout(120):
        while True:
            training: dict[str, Any] = (await person.http.get(f"/v1/trainings/{training_id}")).json()
            if training["state"] in states:
                return training
            assert training["state"] not in trainings.ENDS, training
            await asyncio.sleep(0.05)


def slug_of(answer: httpx.Response) -> str:
    """The problem's slug, after checking that it is a proper problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert len(document["detail"]) > 20
    return str(document["type"]).rsplit("/", 1)[-1]
