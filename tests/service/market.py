"""A small market: a published style on a tiny random base, drawn by the real engine, and clients with money."""

import asyncio
import hashlib
import io
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
import torch
from PIL import Image

from inference.adapters.manifest import AdapterManifest
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import StackedAdapters
from inference.bases import open_base
from inference.bases.sd import StableDiffusion
from inference.catalog import BaseSpec, base_spec
from inference.engine import Engine
from inference.events import Draws
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Result, Step, Tier
from inference.pace import Speed
from licensing.ledger import check
from licensing.money import Money
from licensing.payments import manual
from service import generation
from service.app import create_app
from service.appearances import seeing_with
from service.clock import Clock, utc_now
from service.drawing import drawing_with
from service.fleet.cluster import open_fleet
from service.ids import new_id
from service.resources import Gateway
from service.settings import ROOT, Settings
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.tiny_base import write_tiny_base
from tests.service.conftest import Person, Place, connect, copy_words, make_style
from tests.service.plain_eye import see
from tests.setups import more_settings, new_storage

TRIGGER = "zorvik"
PRICE = 60
"""Of a personal picture in the shipped prices, in cents."""


def write_configs(folder: Path, *, enlarger: bool = False) -> Path:
    """Prices as shipped and the tiny random base."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    copy_words(folder)
    write_tiny_base(folder / "bases", enlarger=enlarger)
    return folder


def write_style_adapter(configs: Path, path: Path, *, base: str = "tiny", seed: int = 1) -> bytes:
    """A random adapter of a base with its trigger inside, as a file's bytes."""
    spec = base_spec(base, folder=configs / "bases")
    adapter = random_adapter(StableDiffusion(spec).unet, ("to_q", "to_v"), seed=seed, rank=4)
    manifest = AdapterManifest(trigger=TRIGGER, base=base, rank=4)
    write_adapter(path, adapter, metadata=manifest.as_metadata(tensors_sha256="0"))
    return path.read_bytes()


def flat_file(configs: Path, adapter: bytes, *, base: str = "tiny") -> bytes:
    """The flat file of an adapter file."""
    opened = open_base(base_spec(base, folder=configs / "bases"))
    return AdapterReader(opened, StackedAdapters(opened.denoiser)).flat_file(adapter, "adapter.safetensors")


async def publish_style(
    web: Gateway, creator: Person, adapter: bytes, *, base: str = "tiny", flat: bytes | None = None, **fields: Any
) -> str:
    """A style of the creator with a published version whose adapter is `adapter`; its id. flat: its flat file."""
    style_id = await make_style(creator, base=base, **fields)
    training_id, version_id = new_id("trn"), new_id("ver")
    key = f"trainings/{training_id}/1/adapter.safetensors"
    web.storage.put(key, adapter)
    flat_key = None if flat is None else f"trainings/{training_id}/1/adapter.flat"
    if flat is not None and flat_key is not None:
        web.storage.put(flat_key, flat)
    async with web.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO service.trainings"
            " (id, style_id, creator_id, base, recipe, seed, state, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $4 || '-style', 0, 'passed', now(), now())",
            *(training_id, style_id, creator.account.id, base),
        )
        await conn.execute(
            "INSERT INTO service.versions (id, style_id, creator_id, training_id, number, base, trigger, adapter_key,"
            " adapter_sha256, flat_key, flat_sha256, report_key, receipt_key, gate_passed, created_at)"
            " VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, 'none', 'none', true, now())",
            *(version_id, style_id, creator.account.id, training_id, base, TRIGGER, key),
            *(hashlib.sha256(adapter).hexdigest(), flat_key, flat and hashlib.sha256(flat).hexdigest()),
        )
    answer = await creator.http.post(f"/v1/versions/{version_id}/publish")
    assert answer.status_code == 200, answer.text
    return style_id


class Curtain:
    """Lets a test decide how far pictures are drawn: `wait_at(n)` holds every picture after its step n.

    `wait_at(None)` lets go of all pictures there are, for good: one that is still on its way is no longer heard.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hold_at: int | None = None
        self._turn = 0
        self._act = 0
        self.seen: list[int] = []
        self.requests: list[ImageRequest] = []

    def wait_at(self, step: int | None) -> None:
        with self._changed:
            self._hold_at, self.seen = step, []
            self._turn += 1
            self._act += step is None
            self._changed.notify_all()

    def begin(self) -> int:
        """The act that a picture asked for now belongs to."""
        with self._changed:
            return self._act

    def reached(self, step: int, *, timeout_s: float = 60.0) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: step in self.seen, timeout_s)

    def hear(self, act: int, step: Step) -> None:
        with self._changed:
            if act != self._act:
                return
            self.seen.append(step.index)
            self._changed.notify_all()
            turn = self._turn
            if self._hold_at is not None and step.index >= self._hold_at:
                self._changed.wait_for(lambda: self._turn != turn, 60.0)


class CurtainedEngine:
    """An engine; a test may hold it, or what is heard of one elsewhere, between two steps."""

    def __init__(self, engine: Draws, curtain: Curtain) -> None:
        self._engine, self._curtain = engine, curtain

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        act = self._curtain.begin()

        def heard(step: Step) -> None:
            if on_step is not None:
                on_step(step)
            self._curtain.hear(act, step)

        self._curtain.requests.append(request)
        return self._engine.submit(request, stop=stop, on_step=heard, turn=turn, halfway=halfway)

    def speed(self) -> Speed:
        return self._engine.speed()

    def prefetch(self, ref: AdapterRef) -> None:
        self._engine.prefetch(ref)

    def forget(self, sha256: str) -> None:
        self._engine.forget(sha256)

    def adapter_tiers(self) -> dict[str, Tier]:
        return self._engine.adapter_tiers()

    def close(self) -> None:
        self._curtain.wait_at(None)
        self._engine.close()


@asynccontextmanager
async def real_engines(
    settings: Settings, database_url: str, curtain: Curtain
) -> AsyncIterator[Callable[[BaseSpec], CurtainedEngine]]:
    """What opens real engines behind the curtain: in this process, or where the run draws on a cluster, there."""
    if settings.engine == "ray":
        with open_fleet(settings, database_url) as fleet:
            # Processes take longer to start than a client waits for a picture: the base is open before anybody comes.
            await asyncio.to_thread(fleet.engine, base_spec(settings.default_base, folder=settings.configs / "bases"))
            yield lambda spec: CurtainedEngine(fleet.engine(spec), curtain)
    else:
        yield lambda spec: CurtainedEngine(Engine(spec, max_rows=settings.max_rows), curtain)


@dataclass(frozen=True, kw_only=True)
class Market(Place):
    """The application with a worker in it, a creator and one published style."""

    creator: Person
    style_id: str
    adapter: bytes
    curtain: Curtain

    async def client(self, *, cents: int = 10_000, kind: Any = None, email: str | None = None) -> Person:
        """A new client with prepaid money, or the one with that address with so much more."""
        person = await self.person("client", kind=kind, email=email)
        if cents:
            web = self.gateway
            async with web.pool.acquire() as conn, conn.transaction():
                await manual.credit(conn, person.account.id, Money(cents, "EUR"), new_id("pay"), web.clock())
        return person

    async def order(
        self,
        client: Person,
        *,
        wait: int = 30,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        """`POST /v1/generations`, waiting for the end."""
        asked = {"style": self.style_id, "prompt": "a red apple", "seed": 7} | body
        return await client.http.post(
            "/v1/generations",
            json=asked,
            headers={"Idempotency-Key": key or uuid.uuid4().hex, "Prefer": f"wait={wait}"} | (headers or {}),
        )

    async def switch(self, level: str, style_id: str | None = None) -> dict[str, Any]:
        answer = await self.creator.http.put(f"/v1/styles/{style_id or self.style_id}/switch", json={"level": level})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def pending(self) -> list[str]:
        return list(self.gateway.storage.list_keys("pending/"))

    async def nothing_pending(self, *, within_s: float = 60.0) -> bool:
        """Whether all that was drawn is moved or deleted soon: an order has ended a little before."""
        deadline = time.monotonic() + within_s
        while self.pending() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return not self.pending()

    async def ledger_problems(self) -> list[Any]:
        async with self.gateway.pool.acquire() as conn:
            return list(await check(conn))


def hold_sealing(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold every picture just before it is sealed: an event that says one is there, and one that lets them go on."""
    is_there, go_on, seal_picture = asyncio.Event(), asyncio.Event(), generation.seal_picture

    async def slow(*args: Any, **kwargs: Any) -> Any:
        is_there.set()
        await go_on.wait()
        return await seal_picture(*args, **kwargs)

    monkeypatch.setattr(generation, "seal_picture", slow)
    return is_there, go_on


async def state_of(client: Person, order_id: str, *, wanted: str, within_s: float = 60.0) -> dict[str, Any]:
    """The order once it is in the state that is wanted."""
    deadline = asyncio.get_running_loop().time() + within_s
    while asyncio.get_running_loop().time() < deadline:
        found: dict[str, Any] = (await client.http.get(f"/v1/generations/{order_id}")).json()
        if found["state"] == wanted:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{order_id} is {found['state']}, not {wanted}: {found['message']}")


async def usage(person: Person) -> dict[str, Any]:
    """Where a client stands."""
    answer = await person.http.get("/v1/usage")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def prepaid(person: Person) -> tuple[int, int]:
    """Cents free to spend, and cents held."""
    found = await usage(person)
    return found["prepaid"]["amount"], found["prepaid_held"]["amount"]


def read_events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The kinds and data of Server-Sent Events."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as picture:
        return picture.size


@asynccontextmanager
async def open_market(
    database_url: str,
    folder: Path,
    *,
    enlarger: bool = False,
    base: str = "tiny",
    draws: Callable[[BaseSpec], Draws] | None = None,
    clock: Clock = utc_now,
    words: Mapping[str, str] = MappingProxyType({}),
    creator_email: str | None = None,
    **settings: Any,
) -> AsyncIterator[Market]:
    """A market in this process: web and worker together. base: the tiny one, or one that is shipped. draws: opens
    another engine than one with a curtain. clock: one that a test moves. words: files of the configuration by their
    names, in place of the shipped ones; for the tiny base. creator_email: of one who has an account already."""
    configs = write_configs(folder / "configs", enlarger=enlarger) if base == "tiny" else ROOT / "configs"
    for name, text in words.items():
        (configs / name).write_text(text)
    chosen = Settings(
        home=folder / "home",
        configs=configs,
        default_base=base,
        poll_interval_s=0.05,
        max_rows=4,
        **more_settings() | {"checks_per_minute": 1000, "storage_url": new_storage()} | settings,
    )
    app, curtain = create_app(chosen, database_url, clock=clock, role="both"), Curtain()
    opening = real_engines(chosen, database_url, curtain) if draws is None else nullcontext(draws)
    async with (
        app.router.lifespan_context(app),
        opening as open_engine,
        drawing_with(app.state.gateway, open_engine),
        seeing_with(lambda: see),
    ):
        place = Place(app=app, settings=chosen, database_url=database_url, stranger=connect(app))
        creator = await place.person("creator", email=creator_email)
        adapter = write_style_adapter(configs, folder / "adapter.safetensors", base=base)
        style_id = await publish_style(
            place.gateway, creator, adapter, base=base, name="Inky Apples", summary="Round and inky"
        )
        yield Market(**vars(place), creator=creator, style_id=style_id, adapter=adapter, curtain=curtain)


@dataclass
class MovableClock:
    """The machine's time, moved on by as much as a test has added."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture(scope="module")
def clock() -> MovableClock:
    """The time of the market, for tests that move it."""
    return MovableClock()


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path_factory.mktemp("market"), clock=clock) as opened:
        yield opened
        opened.curtain.wait_at(None)
