"""A training's folder on the worker: its works, its checkpoints, what it made. `home/scratch/<training>`."""

import asyncio
import fcntl
import json
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import asyncpg

from service.beside import beside
from service.data_use import OpenedFiles, Use, open_files
from service.heartbeats import this_process
from service.inventory import files_under, note_files
from service.resources import Resources
from service.trainings import Training, find_training
from service.works import StoredWork, hashes_of
from training.kept import KEPT, WAY, look_name, place_of
from training.messages import TrainingRequest, Way, Work, read_works

log = logging.getLogger("ownhand.scratch")

_LOCK = "lock"
_TIDY_EVERY_S = 60.0
_LAST_CHARACTERS = 2000


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The folder, held by `lock`: a trainer that outlives its worker keeps the lock until it has ended."""

    folder: Path
    lock: IO[str]

    @property
    def request(self) -> Path:
        return self.folder / "request.json"

    @property
    def log(self) -> Path:
        return self.folder / "trainer.log"

    @property
    def last_words(self) -> str:
        """The end of the log. Some folders go when their child has ended: what is said in them goes to our own log."""
        return self.log.read_text(errors="replace")[-_LAST_CHARACTERS:]


@asynccontextmanager
async def hold_scratch(home: Path, training_id: str) -> AsyncIterator[Scratch]:
    """The training's folder for us alone, waited for where an orphaned trainer still ends in it."""
    folder = scratch_folder(home, training_id)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
        with (folder / _LOCK).open("w") as lock:
            if _is_locked(lock, folder):
                yield Scratch(folder=folder, lock=lock)
                return
        await asyncio.sleep(0.2)


def release_scratch(scratch: Scratch) -> None:
    """Let others have the folder, though a trainer that goes on with other trainings still holds its lock.

    The locked file is taken away; whoever comes makes another.
    """
    if _is_locked(scratch.lock, scratch.folder):
        (scratch.folder / _LOCK).unlink()


def _is_locked(lock: IO[str], folder: Path) -> bool:
    """Whether the folder's lock is ours: this very file, not one that was taken away while it was waited for."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock.fileno()), (folder / _LOCK).stat())
    except (BlockingIOError, FileNotFoundError):
        return False


async def lay_out(
    scratch: Scratch,
    opened: Resources,
    training: Training,
    works: Sequence[StoredWork],
    *,
    style_words: tuple[str, ...],
    way: Way | None,
) -> None:
    """Write the works and the request; what an earlier run with the same works and words left stays, checkpoints above
    all."""
    wanted = [{"id": work.id, "sha256": work.sha256} for work in works]
    is_other = bool(training.manifest) and training.manifest != wanted
    if is_other or await asyncio.to_thread(_has_other_words, scratch.request, works, style_words):
        # A checkpoint knows the works and the words it learnt from, so none of others may be gone on from.
        await asyncio.to_thread(_empty, scratch.folder)
    laid = await lay_works(scratch, opened, works, Use(purpose="training", by=this_process(), job=training.id))
    if training.of_training is not None:
        await _lay_kept(scratch, opened, training)
    configs = opened.settings.configs
    request = TrainingRequest(
        id=training.id,
        base=str(configs / "bases" / f"{training.base}.toml"),
        works=tuple(laid),
        out=scratch.folder / "out",
        scratch=scratch.folder / "trainer",
        seed=training.seed,
        recipe=str(configs / "recipes" / f"{training.recipe}.toml"),
        style_words=style_words,
        # Its creator has seen the review, or did not care to: the trainer need not read writing again.
        is_reviewed=True,
        max_minutes=training.max_minutes or 0.0,
        way=way,
        take=training.take_step or 0,
    )
    scratch.request.write_text(request.to_json())


async def _lay_kept(scratch: Scratch, opened: Resources, training: Training) -> None:
    """What an earlier training kept, where the trainer looks for it; noted as opened like the works."""
    async with opened.pool.acquire() as conn:
        earlier = await find_training(conn, str(training.of_training), creator_id=training.creator_id)
    assert earlier is not None
    taken = (KEPT, WAY, look_name(training.take_step or 0))
    named = {one["key"]: one for one in earlier.kept["files"] if one["name"] in taken}
    use = Use(purpose="training", by=this_process(), job=training.id)
    files = await open_files(opened, use, {key: one["sha256"] for key, one in named.items()})
    for key, one in named.items():
        path = place_of(one["name"], scratch.folder / "trainer")
        path.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(path.write_bytes, await asyncio.to_thread(files.read, key))


async def lay_works(scratch: Scratch, opened: Resources, works: Sequence[StoredWork], use: Use) -> list[Work]:
    """Each work's file in the folder, under the name that its creator knows; those that lie there stay, and are noted
    as opened like the others. Raises FileRefused where one is not for this use; then none is laid out."""
    files = await open_files(opened, use, hashes_of(works))
    return [await lay_work(scratch, files, work) for work in works]


async def lay_work(scratch: Scratch, files: OpenedFiles, work: StoredWork) -> Work:
    """One of them. Raises ObjectMissing where it was deleted."""
    return await asyncio.to_thread(_lay, files, work, scratch.folder / "works")


@asynccontextmanager
async def tidying(opened: Resources) -> AsyncIterator[None]:
    """Delete, now and every minute until the end of the block, what ended trainings left on this machine."""
    async with beside(_go_on_tidying(opened)):
        yield


async def tidy(opened: Resources) -> None:
    """Delete the folders of trainings that are over for good; a failed or paused one may still go on."""
    folders = [path.name for path in (opened.settings.home / "scratch").glob("*") if path.is_dir()]
    async with opened.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT t.id, t.style_id, s.destroyed_at FROM service.trainings t"
            " JOIN service.styles s ON s.id = t.style_id"
            " WHERE t.id = ANY($1::text[]) AND t.state = ANY($2::text[])",
            *(folders, ["passed", "refused", "canceled"]),
        )
    for row in rows:
        folder = scratch_folder(opened.settings.home, row["id"])
        with _if_free(folder) as is_free:
            # Where a trainer still ends in it, the next look finds it free.
            if is_free and row["destroyed_at"] is not None:
                await _note(opened, folder, style_id=row["style_id"])
            if is_free:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _note(opened: Resources, folder: Path, *, style_id: str) -> None:
    """Note what a destroyed style left here, checkpoints above all, before it is deleted."""
    files = await asyncio.to_thread(files_under, folder, place=this_process().actor, home=opened.settings.home)
    async with opened.pool.acquire() as conn:
        await note_files(conn, style_id, files, now=opened.clock())


async def _go_on_tidying(opened: Resources) -> None:
    while True:
        try:
            await tidy(opened)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            log.warning("the scratch folders could not be tidied now; it is tried again", exc_info=True)
        await asyncio.sleep(_TIDY_EVERY_S)


@contextmanager
def _if_free(folder: Path) -> Iterator[bool]:
    """Whether no trainer is in the folder; none can come while this is open."""
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except BlockingIOError:
            is_free = False
        yield is_free


def remove_scratch(home: Path, training_id: str) -> None:
    """Delete everything a training left on this machine."""
    shutil.rmtree(scratch_folder(home, training_id), ignore_errors=True)


def scratch_folder(home: Path, training_id: str) -> Path:
    return home / "scratch" / training_id


def _has_other_words(request: Path, works: Sequence[StoredWork], style_words: tuple[str, ...]) -> bool:
    """Whether the run before was asked for other words: its creator wrote some, or suggestions came meanwhile."""
    if not request.exists():
        return False
    try:
        asked = json.loads(request.read_text())
        before = {work.id: work.captions for work in read_works(asked["works"])}
    except (ValueError, KeyError):
        # Cut off while it was written: nobody can tell what lies here.
        return True
    words = {work.id: work.words for work in works}
    return before != words or tuple(asked.get("style_words", ())) != style_words


def _lay(files: OpenedFiles, work: StoredWork, folder: Path) -> Work:
    # The trainer takes a file's name for its caption where there are no words for it.
    path = folder / work.id / (Path(work.filename).name or "work")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        aside.write_bytes(files.read(work.storage_key))
        aside.rename(path)
    return Work(id=work.id, path=path, captions=work.words)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
