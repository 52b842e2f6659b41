"""Adapters' files on a worker's disk: brought once, within a budget, and gone when they are forgotten."""

import asyncio
import hashlib
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.adapter_files import AdapterFiles
from service.data_use import checked
from service.errors import AdapterWithdrawn, ObjectMissing
from service.storage.local import Folder, open_folder
from service.versions import Version

SIZE = 1000
JOB = "gen_1"


class Slow:
    """A storage that answers when a test lets it, and counts what it was asked."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def get(self, key: str) -> bytes:
        self.asked.append(key)
        assert self.go_on.wait(30)
        return self._folder.get(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._folder, name)


@pytest.fixture
def storage(tmp_path: Path) -> Slow:
    return Slow(open_folder(f"file:{tmp_path / 'objects'}"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache" / "adapters"


@pytest.fixture
def files(folder: Path, storage: Slow) -> AdapterFiles:
    return files_in(folder, storage)


def files_in(folder: Path, storage: Slow, *, budget_bytes: int = 10 * SIZE) -> AdapterFiles:
    async def fetch(key: str, sha256: str, job: str) -> bytes:
        assert job
        return checked(await asyncio.to_thread(storage.get, key), key=key, sha256=sha256)

    return AdapterFiles(folder, fetch, budget_bytes=budget_bytes)


def content_of(name: str) -> bytes:
    return name.encode().ljust(SIZE, b".")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stored(storage: Slow, name: str, *, with_flat: bool = False) -> Version:
    """A version whose adapter lies in the storage."""
    own, flat = content_of(name), content_of(f"{name}, flat")
    storage.put(f"{name}/adapter.safetensors", own)
    if with_flat:
        storage.put(f"{name}/adapter.flat", flat)
    return Version(
        id=f"ver_{name}",
        style_id="sty_1",
        creator_id="acc_1",
        training_id="trn_1",
        number=1,
        base="tiny",
        trigger="vozix",
        adapter_key=f"{name}/adapter.safetensors",
        adapter_sha256=sha256(own),
        report_key="",
        receipt_key="",
        sheet_key=None,
        looks_key=None,
        near_copies=0,
        examples=[],
        receipt={},
        scores={},
        work_ids=[],
        gate_passed=True,
        state="published",
        created_at=datetime.now(UTC),
        published_at=datetime.now(UTC),
        flat_key=f"{name}/adapter.flat" if with_flat else None,
        flat_sha256=sha256(flat) if with_flat else None,
    )


async def bring(files: AdapterFiles, version: Version) -> bool:
    """Whether it lay there."""
    async with files.lend(version, job=JOB) as lent:
        assert lent.ref.path.is_file()
        return lent.was_there


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


async def test_a_version_is_lent_as_its_flat_file_where_it_has_one(files: AdapterFiles, storage: Slow):
    with_flat, without = stored(storage, "one", with_flat=True), stored(storage, "two")

    async with files.lend(with_flat, job=JOB) as flat, files.lend(without, job=JOB) as own:
        assert flat.ref.path.read_bytes() == content_of("one, flat")
        assert (flat.ref.sha256, flat.ref.flat_sha256) == (with_flat.adapter_sha256, with_flat.flat_sha256)
        assert own.ref.path.read_bytes() == content_of("two")
        assert (own.ref.sha256, own.ref.flat_sha256) == (without.adapter_sha256, None)
        assert flat.ref.trigger == "vozix"


async def test_a_file_is_brought_once_and_outlives_a_restart(files: AdapterFiles, storage: Slow, folder: Path):
    version = stored(storage, "one")

    before = [await bring(files, version) for _ in range(3)]
    after = await bring(files_in(folder, storage), version)

    assert (before, after) == ([False, True, True], True)
    assert storage.asked == [version.adapter_key]
    assert (files.tier.hits, files.tier.misses, files.tier.num_bytes) == (2, 1, SIZE)


async def test_nobody_else_on_the_machine_may_read_the_files(files: AdapterFiles, storage: Slow, folder: Path):
    version = stored(storage, "one")

    async with files.lend(version, job=JOB) as lent:
        assert lent.ref.path.stat().st_mode & 0o077 == 0
        assert folder.parent.stat().st_mode & 0o077 == 0


async def test_a_cache_that_somebody_deletes_is_filled_again(files: AdapterFiles, storage: Slow, folder: Path):
    version = stored(storage, "one")
    await bring(files, version)
    shutil.rmtree(folder.parent)

    assert (files.idle(), files.tier.num_bytes) == ({version.adapter_sha256}, 0)
    assert await bring(files, version) is False


async def test_many_who_want_a_file_at_once_have_it_brought_once(files: AdapterFiles, storage: Slow):
    version = stored(storage, "one")
    storage.go_on.clear()
    wanting = [asyncio.create_task(bring(files, version)) for _ in range(5)]
    await asyncio.sleep(0.05)

    storage.go_on.set()

    assert await asyncio.gather(*wanting) == [False] * 5
    assert len(storage.asked) == 1


async def test_the_files_used_longest_ago_make_room_but_none_that_is_lent(storage: Slow, folder: Path):
    files = files_in(folder, storage, budget_bytes=3 * SIZE)
    versions = [stored(storage, f"{number}") for number in range(6)]
    for moment, version in enumerate(versions[:3]):
        await bring(files, version)
        os.utime(folder / f"{version.adapter_sha256}.safetensors", (moment, moment))
    await bring(files, versions[0])

    async with files.lend(versions[1], job=JOB) as lent:
        os.utime(lent.ref.path, (0, 0))
        await bring(files, versions[3])
        await bring(files, versions[4])

    here = {path.stem for path in folder.iterdir()}
    assert len(here) == 3
    assert {versions[number].adapter_sha256 for number in (1, 3, 4)} == here


async def test_a_file_larger_than_the_whole_budget_is_lent_and_then_makes_room(storage: Slow, folder: Path):
    files = files_in(folder, storage, budget_bytes=1)
    first, second = stored(storage, "one"), stored(storage, "two")

    await bring(files, first)
    await bring(files, second)

    assert names(folder) == {f"{second.adapter_sha256}.safetensors"}


async def test_a_file_that_is_forgotten_is_deleted_though_it_is_lent(files: AdapterFiles, storage: Slow, folder: Path):
    version = stored(storage, "one", with_flat=True)

    async with files.lend(version, job=JOB):
        files.forget(version.adapter_sha256)
        assert names(folder) == set()

    assert await bring(files, version) is False, "switched on again, it is brought again"


async def test_a_file_that_was_forgotten_on_its_way_is_thrown_away_when_it_comes(
    files: AdapterFiles, storage: Slow, folder: Path
):
    version = stored(storage, "one")
    storage.go_on.clear()
    late = asyncio.create_task(bring(files, version))
    await asyncio.sleep(0.05)

    files.forget(version.adapter_sha256)
    anew = asyncio.create_task(bring(files, version))
    await asyncio.sleep(0.05)
    storage.go_on.set()

    with pytest.raises(AdapterWithdrawn, match="switched off while it was fetched"):
        await late
    assert await anew is False
    assert names(folder) == {f"{version.adapter_sha256}.safetensors"}
    files.forget(version.adapter_sha256)
    assert names(folder) == set()


@pytest.mark.parametrize("damage", ["another", "missing"])
async def test_a_flat_file_that_is_not_what_it_should_be_is_not_used(
    files: AdapterFiles, storage: Slow, folder: Path, damage: str
):
    version = stored(storage, "one", with_flat=True)
    assert version.flat_key is not None
    storage.delete(version.flat_key)
    if damage == "another":
        storage.put(version.flat_key, b"something else")

    async with files.lend(version, job=JOB) as lent:
        assert lent.ref.path.read_bytes() == content_of("one")
        assert lent.ref.flat_sha256 is None

    assert names(folder) == {f"{version.adapter_sha256}.safetensors"}


async def test_an_adapter_that_is_not_what_it_should_be_is_not_kept(files: AdapterFiles, storage: Slow, folder: Path):
    version, gone = stored(storage, "one"), stored(storage, "two")
    storage.put(version.adapter_key, b"something else")
    storage.delete(gone.adapter_key)

    with pytest.raises(ValueError, match="expected was"):
        await bring(files, version)
    with pytest.raises(ObjectMissing):
        await bring(files, gone)

    assert names(folder) == set()


async def test_a_file_that_an_engine_refused_is_replaced_where_it_can_be(files: AdapterFiles, storage: Slow):
    version, plain = stored(storage, "one", with_flat=True), stored(storage, "two")
    answers = []

    async with files.lend(version, job=JOB) as flat:
        answers.append(files.turn_down(flat))
    async with files.lend(version, job=JOB) as own:
        assert own.ref.flat_sha256 is None
    await bring(files, plain)
    async with files.lend(plain, job=JOB) as lay_here:
        answers.append(files.turn_down(lay_here))
    async with files.lend(plain, job=JOB) as fresh:
        answers.append(files.turn_down(fresh))

    assert answers == [True, True, False]


async def test_what_a_killed_process_left_unfinished_is_deleted_and_nothing_else(
    files: AdapterFiles, storage: Slow, folder: Path
):
    version, coming = stored(storage, "one"), stored(storage, "two")
    await bring(files, version)
    (folder / ".left").write_bytes(b"half a file")
    storage.go_on.clear()
    on_its_way = asyncio.create_task(bring(files, coming))
    await asyncio.sleep(0.05)

    files.sweep()

    assert names(folder) == {f"{version.adapter_sha256}.safetensors"}
    storage.go_on.set()
    assert await on_its_way is False


async def test_what_is_lent_is_not_idle(files: AdapterFiles, storage: Slow, folder: Path):
    version, other = stored(storage, "one"), stored(storage, "two")
    await bring(files, other)
    (folder / f"{other.adapter_sha256}.safetensors").unlink()

    async with files.lend(version, job=JOB):
        assert files.idle() == {other.adapter_sha256}, "it may still lie in memory"

    assert files.idle() == {version.adapter_sha256, other.adapter_sha256}
