"""A power cut again and again, under load: gateway, worker and database of a real `ownhand serve` die by SIGKILL.

Clients buy all the while and repeat a request under its Idempotency-Key until it is acknowledged, as programs do. What
was acknowledged is there in the end, made and charged once; the books balance by `ownhand doctor --ledger`.
"""

import asyncio
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.postgres import database
from service.resources import open_gateway
from service.settings import ROOT, Settings, plain_environ, to_environ
from tests.benchmarks.figures import Figure, as_document, write
from tests.service.conftest import Person
from tests.service.market import PRICE, publish_style, write_configs, write_style_adapter
from tests.stories.processes import free_port
from tests.stories.town import CENTS, person

RESULTS = ROOT / "tests" / "benchmarks" / "results" / "kills.json"
VICTIMS = ("web", "database", "worker")
CLIENTS, ORDERS_AT_ONCE = 2, 2
ROUNDS, ROUNDS_LONG, SEED = 3, 100, 20261128
GOAL_S = 3.0
PATIENCE_S = 240.0
# What a program that repeats its request may be told meanwhile: still running, too fast, too busy, or that it broke.
_AGAIN = (409, 429, 500, 503)


@dataclass(kw_only=True)
class Serving:
    """A running `ownhand serve`, and what clients were told."""

    settings: Settings
    process: psutil.Popen
    style_id: str = ""
    clients: list[Person] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Generations by idempotency key."""
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_over: bool = False

    def victim(self, name: str) -> psutil.Process | None:
        """The process that plays a part now."""
        if name == "database":
            pid_file = self.settings.home / "postgres" / "postmaster.pid"
            with contextlib.suppress(OSError, IndexError, ValueError, psutil.NoSuchProcess):
                return psutil.Process(int(pid_file.read_text().split()[0]))
            return None
        for child in self.process.children():
            # One that was killed is a zombie until the supervisor has looked after it.
            with contextlib.suppress(psutil.NoSuchProcess):
                if name in child.cmdline():
                    return child
        return None

    async def is_ready(self, http: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await http.get("/readyz", timeout=2)).status_code == 200
        return False

    async def kill(self, name: str) -> float:
        """Kill what plays a part; seconds until another plays it and requests are served."""
        before = self.victim(name)
        assert before is not None
        os.kill(before.pid, signal.SIGKILL)
        began = time.monotonic()
        # A connection of its own each time: one from before would tell of the dead.
        while time.monotonic() - began < PATIENCE_S:
            after = self.victim(name)
            async with httpx.AsyncClient(base_url=self.settings.origin) as http:
                if after is not None and after.pid != before.pid and await self.is_ready(http):
                    return time.monotonic() - began
            await asyncio.sleep(0.02)
        raise AssertionError(f"{name} was not back within {PATIENCE_S:.0f} s")

    async def buy(self, client: Person) -> None:
        """Order, and wait for the end, until it is over."""
        while not self.is_over:
            key = uuid.uuid4().hex
            body = {"style": self.style_id, "prompt": "a red apple", "seed": 3}
            ordered = await self.told(client, "POST", "/v1/generations", json=body, headers={"Idempotency-Key": key})
            assert ordered.status_code == 201, ordered.text
            generation = ordered.json()
            self.acknowledged[key] = generation["id"]
            while not generation["ended_at"]:
                await asyncio.sleep(0.1)
                generation = (await self.told(client, "GET", f"/v1/generations/{generation['id']}")).json()
            self.ended[generation["id"]] = generation

    async def told(self, client: Person, method: str, path: str, **more: Any) -> httpx.Response:
        """The first answer that is one, however often it takes to ask."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.http.request(method, path, timeout=10, **more)
                if answer.status_code not in _AGAIN:
                    return answer
            await asyncio.sleep(0.1)
        raise AssertionError(f"{method} {path} was not answered within {PATIENCE_S:.0f} s")


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    """Start it on the embedded database, with a style on sale and clients with money."""
    settings = Settings(
        home=folder / "home",
        configs=write_configs(folder / "configs"),
        default_base="tiny",
        port=free_port(),
        num_threads=1,
        poll_interval_s=0.05,
        requests_per_minute=100_000,
    )
    with (folder / "log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-W", "ignore", "-m", "service", "serve"],
            cwd=ROOT,
            env=plain_environ() | to_environ(settings) | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        opened = Serving(settings=settings, process=process)
        async with httpx.AsyncClient(base_url=settings.origin) as http, asyncio.timeout(PATIENCE_S):
            while not await opened.is_ready(http):
                assert process.poll() is None, (folder / "log").read_text()[-4000:]
                await asyncio.sleep(0.1)
        with database(settings) as url:
            async with open_gateway(settings, url) as web:
                creator = await person(web, "creator", "creator")
                adapter = write_style_adapter(settings.configs, folder / "adapter.safetensors")
                opened.style_id = await publish_style(web, creator, adapter)
                opened.clients = [await person(web, "client", "live", name=f"client{n}") for n in range(CLIENTS)]
        yield opened
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        if process.poll() is None:
            for one in process.children(recursive=True):
                one.kill()
            process.kill()


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(ROUNDS_LONG, marks=pytest.mark.long)])
async def test_what_was_acknowledged_is_made_and_charged_once_however_often_anything_dies(tmp_path: Path, rounds: int):
    dice, took = random.Random(SEED), {name: list[float]() for name in VICTIMS}

    async with serving(tmp_path) as served:
        load = [asyncio.create_task(served.buy(client)) for client in served.clients for _ in range(ORDERS_AT_ONCE)]
        for number in range(rounds):
            victim = VICTIMS[number % len(VICTIMS)]
            await _until_bought(served, load, more=2)
            await asyncio.sleep(dice.random())
            took[victim].append(await served.kill(victim))
        await _until_bought(served, load, more=2)
        served.is_over = True
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*load)

        await _check_that_nothing_is_lost_or_doubled(served)
        doctor = await asyncio.to_thread(_doctor, served)

    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert max(max(times) for times in took.values() if times) < PATIENCE_S / 2
    if rounds == ROUNDS_LONG:
        _write_results(took, len(served.acknowledged))


async def _until_bought(served: Serving, load: list["asyncio.Task[None]"], *, more: int) -> None:
    """Wait until so many more pictures were delivered: nothing is killed before all work again."""
    before = len(served.ended)
    async with asyncio.timeout(PATIENCE_S):
        while len(served.ended) < before + more:
            for task in load:
                if task.done():
                    await task
            await asyncio.sleep(0.05)


async def _check_that_nothing_is_lost_or_doubled(served: Serving) -> None:
    """Held against what the service itself says: every order there is was acknowledged, made and charged once."""
    there: dict[str, dict[str, Any]] = {}
    spent = 0
    for client in served.clients:
        params: dict[str, Any] = {"limit": 200}
        while params.get("cursor", "first"):
            listed = (await client.http.get("/v1/generations", params=params)).json()
            there |= {one["id"]: one for one in listed["items"]}
            params["cursor"] = listed["next_cursor"]
        usage = (await client.http.get("/v1/usage")).json()
        assert usage["prepaid_held"]["amount"] == 0
        spent += CENTS - usage["prepaid"]["amount"]

    assert sorted(there) == sorted(served.acknowledged.values())
    assert {(one["state"], len(one["outputs"])) for one in there.values()} == {("settled", 1)}
    assert spent == PRICE * len(there)


def _doctor(served: Serving) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "service", "doctor", "--ledger", "--home", str(served.settings.home)],
        cwd=ROOT,
        env=plain_environ() | to_environ(served.settings) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def _write_results(took: dict[str, list[float]], orders: int) -> None:
    figures = [Figure(name="orders acknowledged, made and charged once", value=orders, unit="orders")]
    for name, times in took.items():
        what = f"{name} killed {len(times)} times: until it is there and requests are served"
        figures.append(Figure(name=f"{what}, median", value=statistics.median(times), unit="s"))
        figures.append(Figure(name=f"{what}, worst", value=max(times), unit="s", goal=GOAL_S, at_most=True))
    write(RESULTS, as_document("kills", figures, seed=SEED, now=datetime.now(UTC)))
