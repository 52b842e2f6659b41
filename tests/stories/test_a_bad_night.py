"""A place on Debian's PostgreSQL, a bucket and three workers, in which one thing after the other goes wrong under load.

Needs root, for disks that can be filled.

Clients buy all the while and repeat what is not acknowledged under its Idempotency-Key. Beside it a style is switched
off in the middle of the fault. In the end every order has ended: delivered and paid once, or neither; nothing of the
style that is off was sold after its creator was told that it is; the books balance, nothing is left over.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest

from licensing.ledger import check
from service.db.prepare import prepare_database
from tests.postgres import Server
from tests.s3_gate import Gate, gate_before
from tests.service.conftest import Person
from tests.service.market import PRICE, publish_style, write_style_adapter
from tests.setups import debian_postgres, s3_server, start_again
from tests.stories.town import Town, open_town

WORKERS = 3
BUYERS = 3
PATIENCE_S = 300.0
CLOCK_OFF_S = 600
SECOND = timedelta(seconds=1)
# What a program that repeats its request may be told meanwhile.
_AGAIN = (409, 429, 500, 503)
_ENDS = ("settled", "failed", "withdrawn", "canceled", "expired")


@dataclass(kw_only=True)
class Night:
    """The place, what may go wrong with it, and what its clients were told."""

    town: Town
    gate: Gate
    postgres: Server
    doomed: str
    """The style that is switched off each time."""
    disks: dict[str, Path]
    """Small ones of their own, on which the `database` and the `home` of all processes lie."""
    acknowledged: list[str] = field(default_factory=list)
    is_over: bool = False

    async def told(self, person: Person, method: str, path: str, **more: Any) -> httpx.Response:
        """The first answer that is one, however often it takes to ask."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await person.http.request(method, path, timeout=30, **more)
                    if answer.status_code not in _AGAIN:
                        return answer
                await asyncio.sleep(0.2)

    async def order(self, style_id: str) -> str:
        body = {"style": style_id, "prompt": "a red apple", "seed": 3}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        answer = await self.told(self.town.client, "POST", "/v1/generations", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        order_id = str(answer.json()["id"])
        self.acknowledged.append(order_id)
        return order_id

    async def ended(self, order_id: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = (await self.told(self.town.client, "GET", f"/v1/generations/{order_id}")).json()
                if found["state"] in _ENDS:
                    return dict(found)
                await asyncio.sleep(0.2)

    async def buy(self) -> None:
        while not self.is_over:
            await self.ended(await self.order(self.town.style_id))

    async def switch(self, level: str) -> None:
        path = f"/v1/styles/{self.doomed}/switch"
        answer = await self.told(self.town.creator, "PUT", path, json={"level": level})
        assert answer.status_code == 200, answer.text

    def sessions(self) -> Sequence[psutil.Process]:
        """The database's processes, its first one first."""
        pid = int((self.postgres.socket_folder / "data" / "postmaster.pid").read_text().split()[0])
        first = psutil.Process(pid)
        return [first, *first.children()]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    if os.getuid() != 0:
        pytest.skip("disks that can be filled are mounted, which needs root")
    folder, sizes = tmp_path_factory.mktemp("disks"), {"database": "1g", "home": "256m"}
    with contextlib.ExitStack() as stack:
        for name, size in sizes.items():
            (folder / name).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", folder / name], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", folder / name], check=True)
        # The server is not root, and must reach its disk.
        for above in (folder, *tmp_path_factory.getbasetemp().parents[:1], tmp_path_factory.getbasetemp()):
            above.chmod(0o755)
        (folder / "database").chmod(0o777)
        yield {name: folder / name for name in sizes}


@pytest.fixture(scope="module")
def servers(disks: dict[str, Path]) -> Iterator[tuple[Server, Gate]]:
    with (
        pytest.MonkeyPatch.context() as patch,
        debian_postgres(change=_with_little_log, within=disks["database"]) as postgres,
        s3_server() as endpoint,
    ):
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        with gate_before(endpoint) as gate:
            yield postgres, gate


def _with_little_log(data: Path) -> None:
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("max_wal_size = 128MB\n")


@pytest.fixture(scope="module")
async def night(
    servers: tuple[Server, Gate], disks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Night]:
    postgres, gate = servers
    prepare_database(postgres.url("night"))
    boto3.client("s3", endpoint_url=gate.endpoint, region_name="us-east-1").create_bucket(Bucket="night")
    storage = f"s3://night/live?endpoint={gate.endpoint}&region=us-east-1"
    folder, more = tmp_path_factory.mktemp("night"), {"requests_per_minute": 100_000, "storage_url": storage}
    (folder / "home").symlink_to(disks["home"])
    async with open_town(postgres.url("night"), folder, workers=WORKERS, **more) as town:
        adapter = write_style_adapter(town.web.settings.configs, folder / "doomed.safetensors", seed=2)
        doomed = await publish_style(town.web, town.creator, adapter)
        yield Night(town=town, gate=gate, postgres=postgres, doomed=doomed, disks=disks)


@contextmanager
def web_killed(night: Night) -> Iterator[None]:
    night.town.processes.kill("web")
    yield
    night.town.processes.start("web")


@contextmanager
def worker_killed(night: Night) -> Iterator[None]:
    night.town.processes.kill("worker-2")
    yield
    night.town.processes.start("worker", name="worker-2")


@contextmanager
def workers_paused(night: Night) -> Iterator[None]:
    pids = [night.town.processes.pid(name) for name in ("worker", "worker-2")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def database_silent(night: Night) -> Iterator[None]:
    processes = night.sessions()
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    yield
    for process in reversed(processes):
        process.send_signal(signal.SIGCONT)


@contextmanager
def database_broken(night: Night) -> Iterator[None]:
    """One of its processes dies: it ends all of them and recovers from its log."""
    night.sessions()[-1].kill()
    yield


@contextmanager
def bucket_shut(night: Night) -> Iterator[None]:
    night.gate.shut()
    yield
    night.gate.open()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte more fits on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    yield
    filler.unlink()


@contextmanager
def database_full(night: Night) -> Iterator[None]:
    with filled(night.disks["database"]):
        yield
    # It ends where it has no room to recover in.
    start_again(night.postgres.socket_folder)


@contextmanager
def home_full(night: Night) -> Iterator[None]:
    """Where workers keep the adapters that they fetch, and these are fetched anew."""
    names = ("worker", "worker-2", "worker-3")
    for name in names:
        night.town.processes.kill(name)
    shutil.rmtree(night.disks["home"] / "cache")
    with filled(night.disks["home"]):
        for name in names:
            night.town.processes.start("worker", name=name)
        yield
    for name in names:
        if not night.town.processes.is_alive(name):
            night.town.processes.start("worker", name=name)


@contextmanager
def web_clock_wrong(night: Night) -> Iterator[None]:
    night.town.processes.kill("web")
    night.town.processes.start("web", ahead_s=CLOCK_OFF_S)
    yield
    night.town.processes.kill("web")
    night.town.processes.start("web")


@contextmanager
def worker_clocks_wrong(night: Night) -> Iterator[None]:
    clocks = {"worker-2": CLOCK_OFF_S, "worker-3": -CLOCK_OFF_S}
    for name, ahead_s in clocks.items():
        night.town.processes.kill(name)
        night.town.processes.start("worker", name=name, ahead_s=ahead_s)
    yield
    for name in clocks:
        night.town.processes.kill(name)
        night.town.processes.start("worker", name=name)


FAULTS: tuple[Callable[[Night], AbstractContextManager[None]], ...] = (
    web_killed,
    worker_killed,
    workers_paused,
    database_silent,
    database_broken,
    bucket_shut,
    database_full,
    home_full,
    web_clock_wrong,
    worker_clocks_wrong,
)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [10, 60])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_whatever_goes_wrong_nothing_is_lost_doubled_or_sold_after_off(
    night: Night, fault: Callable[[Night], AbstractContextManager[None]], seconds: float
):
    night.acknowledged.clear()
    night.is_over, before, begun = False, await night.town.spent(), night.town.web.clock()
    await night.switch("live")
    buying = [asyncio.create_task(night.buy()) for _ in range(BUYERS)]
    doomed = [await night.order(night.doomed) for _ in range(BUYERS)]

    with fault(night):
        switching = asyncio.create_task(_off(night))
        await asyncio.sleep(seconds)
    off_at = await switching
    night.is_over = True
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*buying)
    ended = {order_id: await night.ended(order_id) for order_id in night.acknowledged}

    sold = [one for one in ended.values() if one["state"] == "settled"]
    assert all(len(one["outputs"]) == one["count"] == 1 for one in sold)
    assert not any(one["outputs"] for one in ended.values() if one["state"] != "settled")
    assert sold, "it goes on after all"
    assert await night.town.spent() - before == PRICE * len(sold)
    for order_id in doomed:
        one = ended[order_id]
        assert one["state"] != "settled" or datetime.fromisoformat(one["ended_at"]) <= off_at, one
    # Whoever's clock is wrong, there is one time.
    for one in ended.values():
        times = [datetime.fromisoformat(one[name]) for name in ("created_at", "ended_at")]
        times = [begun - SECOND, *times, night.town.web.clock() + SECOND]
        assert times == sorted(times), one
    for one in sold:
        assert (await night.told(night.town.client, "GET", f"/v1/outputs/{one['outputs'][0]['id']}")).is_success
    await _is_tidy(night)


async def _off(night: Night) -> datetime:
    """Press off; when it was acknowledged."""
    await asyncio.sleep(1)
    await night.switch("off")
    return night.town.web.clock()


async def _is_tidy(night: Night) -> None:
    """Nothing lies under pending/, and the books balance."""
    storage = night.town.web.storage
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(lambda: list(storage.list_keys("pending/"))):
            await asyncio.sleep(0.5)
    async with night.town.web.pool.acquire() as conn:
        assert await check(conn) == []
