"""The self test of this place, top to bottom: a tiny model is trained, draws one picture, which is sealed and verified.

    asked for -> a worker: works are drawn by a program -> trainer (train) -> engine (draw) -> `self-tests/<id>.png`
              -> the web role: sealed with the keys (seal), read and judged as anybody's picture is (verify)
              -> files deleted (tidy): its row in `self_tests` is what stays

It goes by no order: no hold, no entry, no style, no version, no certificate. What it seals is never handed out, and is
judged `unknown`, for nobody bought it. `ownhand doctor --self-test` does the same in one process
(`service.self_test_here`).
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from inference.adapters.manifest import file_sha256, read_manifest
from inference.catalog import BaseSpec
from inference.errors import InferenceError
from inference.events import Draws
from inference.messages import AdapterRef, ImageRequest, Picture
from licensing import seal
from licensing.authority import Authority
from licensing.database import Connection
from licensing.errors import LicensingError
from licensing.verify import verify
from service import self_tests
from service.bases import base_here
from service.drawing import studio
from service.errors import ObjectMissing, OwnhandError
from service.finetuning import trainer_command
from service.ids import NewId
from service.resources import Gateway
from service.scratch import Scratch, hold_scratch, remove_scratch
from service.self_test_works import CAPTION, draw_works
from service.self_tests import SelfTest, Step
from service.settings import Settings
from service.trainer import run_trainer
from service.workflows import GENERATION, TRAINING, ask, durable_step, gateway, resources, start, story
from training.messages import Done, Event, Progress, StateChanged, TrainingRequest

log = logging.getLogger("ownhand.self_testing")

PREFIX = "self-tests/"
SCRATCH: Final = "self-test"
"""One at a time on a machine: whatever an earlier one left is emptied by the next."""
_NAME = "Self test"
_SEED = 7
# As little as shows that every part works. The gate lets anything pass: whether a style is any good is not asked here.
_RECIPE = """\
base = "{base}"
rank = 2
learning_rate = 1e-3
steps = 12
batch = 4
warmup = 2
crops = 0
checkpoint_every = 12
heldout_every = 12
min_works = 8
[gate]
min_heldout_gain = -1000.0
max_member_gap = 1000.0
max_copies = 1000
max_recall = 1000.0
min_hand = -1000.0
max_drift = 1000.0
"""

_BROKE = "Something broke that nobody foresaw: {error}. The log of the {process} says more."


class SelfTestFailed(OwnhandError):
    """A step did not do what it should; the sentence says which, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """One picture, and the hash of the adapter that it was drawn with."""

    png: bytes
    adapter_sha256: str


Note = Callable[[Step], Awaitable[None]]


async def start_self_test(test: SelfTest) -> None:
    """Put the story of a self test on its queue. Doing it twice is harmless."""
    await start(GENERATION, test.id, tell_self_test, test.id)


@story("self_test")
async def tell_self_test(test_id: str) -> None:
    """A self test, in the web role."""
    told = await ask(TRAINING, f"{test_id}.made", make_picture, test_id)
    try:
        await conclude(test_id, told["problem"], told["adapter_sha256"] or "")
    except Exception as error:
        log.exception("the self test %s broke", test_id)
        await conclude(test_id, _BROKE.format(error=error, process="web process"), "")


@story("self_test_picture", is_asked=True)
async def make_picture(test_id: str) -> dict[str, str | None]:
    """A worker's part. Returns why it failed as `problem`; None where the picture lies in storage."""
    try:
        return await train_and_draw(test_id)
    except Exception as error:
        log.exception("the self test %s broke", test_id)
        return _failed(_BROKE.format(error=error, process="worker"))


@durable_step()
async def train_and_draw(test_id: str) -> dict[str, str | None]:
    """Train and draw; nothing where the test is over."""
    opened = resources()
    async with opened.pool.acquire() as conn:
        test = await self_tests.begin(conn, test_id)
    if test is None:
        return _failed("It had ended before a worker came for it.")

    async def note(step: Step) -> None:
        async with opened.pool.acquire() as conn:
            await self_tests.note_step(conn, test_id, step)

    spec = base_here(opened.settings, test.base)
    try:
        made = await make(opened.settings, spec, note, lambda: studio().engine(spec))
    except (SelfTestFailed, InferenceError) as error:
        return _failed(str(error))
    await asyncio.to_thread(opened.storage.put, _key(test_id), made.png)
    studio().forget(made.adapter_sha256)
    return {"problem": None, "adapter_sha256": made.adapter_sha256}


@durable_step()
async def conclude(test_id: str, problem: str | None, adapter_sha256: str) -> None:
    """Seal and verify what a worker made, delete it, and write down how the test ended."""
    web = gateway()

    async def note(step: Step) -> None:
        async with web.pool.acquire() as conn:
            await self_tests.note_step(conn, test_id, step)

    try:
        if problem is None:
            await _seal_stored(web, test_id, adapter_sha256, note)
    except (SelfTestFailed, LicensingError, ObjectMissing) as error:
        problem = str(error)
    began_s = time.monotonic()
    await asyncio.to_thread(web.storage.delete, _key(test_id))
    if problem is None:
        words = "The model, the picture and all files on the way are deleted."
        await note(Step(name="tidy", seconds=time.monotonic() - began_s, sentence=words))
    async with web.pool.acquire() as conn:
        await self_tests.end(conn, test_id, problem=problem, now=web.clock())


async def _seal_stored(web: Gateway, test_id: str, adapter_sha256: str, note: Note) -> None:
    made = Made(png=await asyncio.to_thread(web.storage.get, _key(test_id)), adapter_sha256=adapter_sha256)
    async with web.pool.acquire() as conn:
        await seal_and_verify(conn, web.authority, made, note, new_id=web.new_id, now=web.clock())


def _failed(problem: str) -> dict[str, str | None]:
    return {"problem": problem, "adapter_sha256": ""}


async def make(settings: Settings, spec: BaseSpec, note: Note, open_engine: Callable[[], Awaitable[Draws]]) -> Made:
    """Train a tiny model and draw one picture with it; nothing of both stays on this disk.

    Raises SelfTestFailed, InferenceError.
    """
    try:
        async with hold_scratch(settings.home, SCRATCH) as scratch:
            began_s = time.monotonic()
            adapter, steps = await _train(settings, spec, scratch)
            words = f"{steps} steps over {spec.name}, on pictures that a program drew."
            await note(Step(name="train", seconds=time.monotonic() - began_s, sentence=words))
            began_s = time.monotonic()
            sha256 = await asyncio.to_thread(file_sha256, adapter)
            drawn = await _draw(await open_engine(), spec, adapter, sha256)
            size = f"{drawn.width} x {drawn.height} pixels, {drawn.steps} steps"
            words = f"{size}, with the model that was just trained. A base that was not open yet was opened."
            await note(Step(name="draw", seconds=time.monotonic() - began_s, sentence=words))
            return Made(png=drawn.png, adapter_sha256=sha256)
    finally:
        remove_scratch(settings.home, SCRATCH)


async def seal_and_verify(
    conn: Connection, authority: Authority, made: Made, note: Note, *, new_id: NewId, now: datetime
) -> None:
    """Seal a picture as a sold one is, and have it judged. Raises SelfTestFailed, SealRefused."""
    began_s = time.monotonic()
    claim = seal.SealClaim(
        output_id=new_id("out"),
        licence_id=SCRATCH,
        style_id=SCRATCH,
        style_name=_NAME,
        version_id=SCRATCH,
        creator_name=_NAME,
        tier="test",
        terms_version=0,
        adapter_sha256=made.adapter_sha256,
        made_at=now,
    )
    sealed = await asyncio.to_thread(seal.seal, authority, made.png, "image/png", claim)
    words = "Signed with this place’s own keys (C2PA)."
    await note(Step(name="seal", seconds=time.monotonic() - began_s, sentence=words))
    began_s = time.monotonic()
    await _verify(conn, authority, sealed, claim, now=now)
    words = "The seal is whole, one changed bit is noticed, and nobody is said to have bought it."
    await note(Step(name="verify", seconds=time.monotonic() - began_s, sentence=words))


async def _verify(
    conn: Connection, authority: Authority, sealed: bytes, claim: seal.SealClaim, *, now: datetime
) -> None:
    reading = await asyncio.to_thread(seal.read_seal, authority, sealed)
    if reading.state != "intact" or reading.claim.get("output_id") != claim.output_id:
        raise SelfTestFailed(
            f"The seal of the picture reads as {reading.state} ({', '.join(reading.problems) or 'no reason given'});"
            " ownhand doctor looks at the keys."
        )
    changed = await asyncio.to_thread(seal.read_seal, authority, _with_one_bit_changed(sealed))
    if changed.state == "intact":
        raise SelfTestFailed(
            "A picture that was changed after it was sealed reads as intact; do not sell until it does"
        )
    verdict = await verify(conn, authority, sealed, now=now)
    if verdict.verdict != "unknown" or verdict.certificate is not None:
        raise SelfTestFailed(f"A picture that nobody bought is judged {verdict.verdict}: {verdict.sentence}")


async def _train(settings: Settings, spec: BaseSpec, scratch: Scratch) -> tuple[Path, int]:
    """The adapter's file, and after how many steps."""
    _empty(scratch)
    recipe = scratch.folder / "self-test.toml"
    recipe.write_text(_RECIPE.format(base=spec.id))
    request = TrainingRequest(
        id=SCRATCH,
        base=str(settings.configs / "bases" / f"{spec.id}.toml"),
        works=tuple(await asyncio.to_thread(draw_works, scratch.folder / "works", edge=spec.size)),
        out=scratch.folder / "out",
        scratch=scratch.folder / "trainer",
        seed=_SEED,
        recipe=str(recipe),
        is_reviewed=True,
    )
    scratch.request.write_text(request.to_json())
    heard: list[Event] = []

    async def hear(event: Event) -> None:
        heard.append(event)

    async def should_stop() -> bool:
        return False

    options = ("--device", settings.device)
    command = trainer_command(settings)
    status = await run_trainer(
        scratch, settings, command, options=options, on_gpu=True, on_event=hear, should_stop=should_stop
    )
    done = next((event for event in heard if isinstance(event, Done)), None)
    if done is None:
        said = next((event.message for event in reversed(heard) if isinstance(event, StateChanged)), "")
        last = said or scratch.last_words.strip().rpartition("\n")[2] or "it said nothing"
        raise SelfTestFailed(
            f"The trainer ended with status {status} and without a model: {last}."
            " ownhand doctor looks at the model stack, the disk and the base."
        )
    return done.adapter, max(event.step for event in heard if isinstance(event, Progress))


async def _draw(engine: Draws, spec: BaseSpec, adapter: Path, sha256: str) -> Picture:
    request = ImageRequest(
        id=SCRATCH,
        base=spec.id,
        prompt=CAPTION,
        seed=_SEED,
        adapters=(AdapterRef(path=adapter, sha256=sha256, trigger=read_manifest(adapter).trigger or None),),
    )
    result = await asyncio.wrap_future(engine.submit(request, stop=lambda: None))
    if not isinstance(result, Picture):
        raise SelfTestFailed(f"The engine drew no picture ({result}); look at what it says in the worker’s log.")
    return result


def _empty(scratch: Scratch) -> None:
    """What a self test that was cut off left; the lock stays."""
    for path in scratch.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _with_one_bit_changed(content: bytes) -> bytes:
    """In the pixels of a PNG, which lie behind the manifest."""
    at = content.rindex(b"IDAT") + 12
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _key(test_id: str) -> str:
    return f"{PREFIX}{test_id}.png"
