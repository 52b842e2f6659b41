"""A worker dies by SIGKILL in the middle of a training, or of several in one trainer; the next one finishes them, each
from its last checkpoint on."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load, load_file

from service.app import create_app
from service.settings import ROOT, Settings, to_environ
from tests.inference.tiny_base import write_tiny_base
from tests.service.conftest import Person, Place, connect, copy_words, with_works
from tests.service.test_trainings import wait_until_gone
from training.messages import TrainingRequest, read_request
from training.pipeline import train

STEPS, CHECKPOINT_EVERY, KILLED_AT = 60, 5, 20
RECIPE = f"""\
base = "tiny"
rank = 2
learning_rate = 0.001
steps = {STEPS}
batch = 4
min_works = 4
checkpoint_every = {CHECKPOINT_EVERY}
heldout_every = 20
crops = 0
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A place whose base is random but real, and whose trainer is the true one."""
    configs = tmp_path_factory.mktemp("configs")
    for name in ("bases", "recipes"):
        (configs / name).mkdir()
    write_tiny_base(configs / "bases")
    (configs / "recipes" / "tiny-style.toml").write_text(RECIPE)
    copy_words(configs)
    return Settings(
        home=tmp_path_factory.mktemp("home"), configs=configs, default_base="tiny", num_threads=1, device="cpu"
    )


@pytest.fixture(scope="module")
async def web(database_url: str, settings: Settings) -> AsyncIterator[Place]:
    app = create_app(settings, database_url)
    async with app.router.lifespan_context(app):
        yield Place(app=app, settings=settings, database_url=database_url, stranger=connect(app))


@pytest.fixture
def workers() -> Iterator[list[psutil.Popen]]:
    """Workers started by the test; none outlives it."""
    started: list[psutil.Popen] = []
    yield started
    for worker in started:
        if worker.poll() is None:
            worker.kill()
        worker.wait()


def start_worker(web: Place) -> psutil.Popen:
    settings = replace(web.settings, database_url=web.database_url, supervised=True)
    environ = {**os.environ, **to_environ(settings)}
    return psutil.Popen(
        [sys.executable, "-W", "ignore", "-m", "service", "worker"], cwd=ROOT, env=environ, stdin=subprocess.PIPE
    )


async def wait_for(creator: Person, training_id: str, *, step: int = 0, state: str = "") -> dict[str, Any]:
    async with asyncio.timeout(300):
        while True:
            training: dict[str, Any] = (await creator.http.get(f"/v1/trainings/{training_id}")).json()
            assert training["state"] not in ("failed", "canceled"), training["message"]
            if training["step"] >= step and state in ("", training["state"]):
                return training
            await asyncio.sleep(0.05)


def scratch_of(web: Place, training_id: str) -> Path:
    return web.settings.home / "scratch" / training_id


async def test_a_killed_training_goes_on_from_its_checkpoint(web: Place, workers: list[psutil.Popen]):
    creator = await web.person("creator")
    style_id = await with_works(creator, count=8)
    workers.append(start_worker(web))
    answer = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": 1})
    training_id = answer.json()["id"]
    await wait_for(creator, training_id, step=KILLED_AT)
    trainer = next(child for child in workers[0].children() if "training.run" in child.cmdline())

    workers[0].kill()
    workers[0].wait()
    psutil.wait_procs([trainer], timeout=120)

    assert not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE, "the trainer ended with its worker"
    checkpoints = sorted((scratch_of(web, training_id) / "trainer" / "checkpoints").iterdir())
    workers.append(start_worker(web))
    ended = await wait_for_end(creator, training_id)
    steps = await steps_told(web, training_id)
    assert ended["state"] in ("passed", "refused")
    assert ended["version"] is not None
    assert checkpoints, "there was something to go on from"
    check_that_it_went_on(steps)
    await wait_until_gone(scratch_of(web, training_id))
    versions = (await creator.http.get(f"/v1/styles/{style_id}/versions")).json()["items"]
    assert [version["id"] for version in versions] == [ended["version"]]


async def test_creators_who_train_together_get_what_each_gets_alone_whoever_leaves_and_dies(
    web: Place, workers: list[psutil.Popen], tmp_path: Path
):
    creators = [await web.person("creator") for _ in range(3)]
    ids = [await begin(creator, seed=seed) for seed, creator in enumerate(creators)]
    workers.append(start_worker(web))
    await wait_for(creators[2], ids[2], step=KILLED_AT)
    [trainer] = [child for child in workers[0].children() if "training.run" in child.cmdline()]
    assert [str(scratch_of(web, one) / "request.json") in trainer.cmdline() for one in ids] == [True] * 3
    requests = [copied(scratch_of(web, one), tmp_path / one) for one in ids[:2]]

    await creators[2].http.post(f"/v1/trainings/{ids[2]}/cancel")
    async with asyncio.timeout(20):
        while (await creators[2].http.get(f"/v1/trainings/{ids[2]}")).json()["state"] != "canceled":
            await asyncio.sleep(0.05)
    for creator, one in zip(creators, ids[:2], strict=False):
        await wait_for(creator, one, step=2 * KILLED_AT)
    workers[0].kill()
    workers[0].wait()
    psutil.wait_procs([trainer], timeout=120)
    workers.append(start_worker(web))

    for creator, one, request in zip(creators, ids[:2], requests, strict=False):
        ended = await wait_for_end(creator, one)
        assert ended["version"] is not None, str(ended)
        version = (await creator.http.get(f"/v1/versions/{ended['version']}")).json()
        own = load((await creator.http.get(version["adapter"]["url"])).content)
        check_that_it_went_on(await steps_told(web, one))
        alone = await asyncio.to_thread(train, request, on_event=lambda event: None, stop=lambda: False)
        assert alone.adapter is not None
        expected = load_file(alone.adapter)
        assert own.keys() == expected.keys()
        assert max(tensor.abs().max() for name, tensor in own.items() if "lora_B" in name or "up" in name) > 1e-3
        for name, tensor in own.items():
            torch.testing.assert_close(tensor.float(), expected[name].float(), atol=2e-3, rtol=2e-2)


def check_that_it_went_on(steps: list[int]) -> None:
    restarts = [number for number in range(1, len(steps)) if steps[number] <= steps[number - 1]]
    assert len(restarts) <= 1, f"it went back more than once: {steps}"
    after = steps[restarts[0]] if restarts else steps[-1]
    assert after > CHECKPOINT_EVERY, f"it began anew: {steps}"
    assert steps[-1] == STEPS


async def begin(creator: Person, *, seed: int) -> str:
    answer = await creator.http.post(f"/v1/styles/{await with_works(creator, count=8)}/trainings", json={"seed": seed})
    return str(answer.json()["id"])


def copied(scratch: Path, folder: Path) -> TrainingRequest:
    """The request of a training that runs, over copies of its works, for another run of its own."""
    request = read_request((scratch / "request.json").read_text())
    shutil.copytree(scratch / "works", folder / "works")
    works = tuple(
        replace(work, path=folder / "works" / work.path.relative_to(scratch / "works")) for work in request.works
    )
    return replace(request, works=works, out=folder / "out", scratch=folder / "scratch")


async def wait_for_end(creator: Person, training_id: str) -> dict[str, Any]:
    async with asyncio.timeout(300):
        while True:
            training: dict[str, Any] = (await creator.http.get(f"/v1/trainings/{training_id}")).json()
            if training["state"] in ("passed", "refused", "failed", "canceled"):
                return training
            await asyncio.sleep(0.1)


async def steps_told(web: Place, training_id: str) -> list[int]:
    async with web.gateway.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT (data ->> 'step')::int AS step FROM service.events WHERE subject = $1 AND kind = 'progress'"
            " ORDER BY id",
            training_id,
        )
    return [row["step"] for row in rows]
