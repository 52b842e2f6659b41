"""Trainings on the nodes of a real Ray cluster, by a trainer that follows a script."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from service.fleet.cluster import cluster
from tests.service.conftest import Place, open_place, wait_for, with_works
from tests.service.scripted_trainer import FAILS, LONG
from tests.service.test_trainings import start, wait_for_step


@pytest.fixture(scope="module")
async def place(
    ray_address: str, database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """A place whose trainings are on the cluster."""
    on_ray = {"engine": "ray", "ray_address": ray_address, "ray_gpus": 0.0}
    with cluster(ray_address):
        async with open_place(database_url, configs, home=tmp_path_factory.mktemp("home"), **on_ray) as opened:
            yield opened


def trainers(place: Place) -> list[psutil.Process]:
    """Scripted trainers of this place that live, wherever they were started from: other tests run beside these."""
    home = str(place.settings.home)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words[:1] == [sys.executable] and "tests.service.scripted_trainer" in words and home in " ".join(words):
            found.append(process)
    return found


async def gone(place: Place) -> None:
    """Until no trainer lives: they go a moment after they have said how they end."""
    async with asyncio.timeout(60):
        while trainers(place):
            await asyncio.sleep(0.1)


async def test_a_training_runs_on_the_cluster_and_ends_as_a_version(creator, place: Place):
    training_id = await start(creator, await with_works(creator), seed=LONG)
    await wait_for_step(creator, training_id, 20)
    parents = [process.parents()[0].cmdline() for process in trainers(place)]

    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    await wait_for(creator, training_id, "paused")

    # It is no child of the worker's.
    assert parents
    assert all("ray::TrainerHost" in " ".join(parent) for parent in parents)
    await gone(place)
    await creator.http.post(f"/v1/trainings/{training_id}/resume")
    await wait_for_step(creator, training_id, 40)
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")
    passed = await wait_for(creator, await start(creator, await with_works(creator)), "passed")
    assert passed["step"] == passed["steps"] == 20
    assert passed["version"].startswith("ver_")


async def test_a_training_whose_machine_dies_goes_on_from_its_checkpoint(creator, place: Place):
    training_id = await start(creator, await with_works(creator), seed=LONG)
    await wait_for_step(creator, training_id, 60)
    [trainer] = trainers(place)
    host = trainer.parent()
    assert host is not None

    host.kill()

    await wait_for_step(creator, training_id, 90)
    text = (await creator.http.get(f"/v1/trainings/{training_id}")).json()
    assert text["state"] == "training"
    # The orphan saw its standard input close and left; the folder was never two trainers'.
    async with asyncio.timeout(60):
        while len(trainers(place)) > 1 or trainer.is_running():
            await asyncio.sleep(0.1)
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")
    await gone(place)


async def test_a_training_that_fails_says_why(creator, place: Place):
    training = await wait_for(creator, await start(creator, await with_works(creator), seed=FAILS), "failed")

    assert training["message"]
