"""The story of one training, top to bottom: works with rights in, a draft version out.

    queued -> taken (fence + 1) -> works laid out -> trainer runs (preparing, training, measuring)
           -> files stored -> receipt signed by the web role -> version DRAFT, passed or refused by the gate
    any point -> failed (a sentence), paused or canceled (the creator); where the worker dies, the next one takes it
           again and the trainer goes on from its checkpoint

Only works with `include` and a right other than `unsure` are laid out.
"""

import asyncio
import hashlib
import json
import logging
import shlex
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from inference.adapters.manifest import read_manifest
from licensing.authority import sign_document
from licensing.compute import charge_training
from service import trainings
from service.accounts import account_by_id
from service.resources import Gateway, Resources
from service.scratch import Scratch, hold_scratch, lay_out, remove_scratch
from service.settings import Settings
from service.speeds import known_way
from service.styles import find_style
from service.trainer import run_trainer
from service.training_events import Recorder, Superseded
from service.trainings import Training
from service.versions import ADAPTER, EXAMPLES, RECEIPT, REPORT, add_version
from service.workflows import (
    BROKEN,
    SIGNING,
    TRAINING,
    ask,
    durable_step,
    gateway,
    resources,
    start,
    states_of,
    story,
)
from service.works import StoredWork, list_works
from training.messages import Done, Event, StateChanged
from training.recipe import Recipe, load_recipe

log = logging.getLogger("ownhand.finetuning")

# The trainer goes on from its checkpoint, so a second try is cheap.
_TRIES = 2
# A story is started right after its row's commit; what is younger than this is on its way.
_ON_ITS_WAY = timedelta(seconds=5)
_SORRY = "Something broke on our side and was logged. Resume goes on from the last checkpoint."


async def start_training(training: Training) -> None:
    """Put the story of a queued training on its queue. Doing it twice is harmless."""
    await start(TRAINING, training.workflow_id, tell_training, training.id, training.run)


@story("training")
async def tell_training(training_id: str, run: int) -> None:
    """One run of a training, on a worker."""
    try:
        made = await train(training_id, run)
        if made is not None:
            question = (training_id, made["adapter_key"], made["receipt"])
            jws = await ask(SIGNING, f"{training_id}.{run}.sign", tell_signing, *question)
            await file_version(training_id, made, jws)
    except Exception:
        log.exception("training %s failed", training_id)
        await fail(training_id, run)


@story("sign_receipt", is_asked=True)
async def tell_signing(training_id: str, adapter_key: str, receipt: dict[str, Any]) -> str:
    """The receipt as a signed document, on the web role: workers hold no key."""
    return await sign_receipt(training_id, adapter_key, receipt)


@durable_step()
async def train(training_id: str, run: int) -> dict[str, Any] | None:
    """Take the training, run the trainer to its end, store its files; None where there is no version to file."""
    opened = resources()
    async with opened.pool.acquire() as conn:
        training = await trainings.take(conn, training_id=training_id, run=run, now=opened.clock())
    if training is None:
        return None
    try:
        async with hold_scratch(opened.settings.home, training_id) as scratch:
            heard = await _run(opened, training, scratch)
            if heard.done is not None and heard.state in ("passed", "refused"):
                return await _store(opened, training, heard, heard.done)
    except Superseded:
        log.info("training %s goes on elsewhere", training_id)
        return None
    await _close(opened, training, heard)
    return None


@dataclass(kw_only=True)
class Heard:
    """What the trainer said last; everything goes on to the recorder."""

    record: Recorder
    state: str = ""
    message: str = ""
    done: Done | None = None

    async def __call__(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            self.state, self.message = event.state, event.message
        elif isinstance(event, Done):
            self.done = event
        await self.record(event)


async def _run(opened: Resources, training: Training, scratch: Scratch) -> Heard:
    async with opened.pool.acquire() as conn:
        found = await list_works(conn, style_id=training.style_id, creator_id=training.creator_id)
        words = await _names(conn, training)
    works = [work for work in found if work.may_train]
    way = await known_way(opened, training.base, recipe_of(opened, training))
    await lay_out(scratch, opened, training, works, style_words=words, way=way)
    await _fix_manifest(opened, training, works)
    heard = Heard(record=Recorder(opened, training))

    async def should_stop() -> bool:
        async with opened.pool.acquire() as conn:
            row = await conn.fetchrow("SELECT wanted, fence FROM service.trainings WHERE id = $1", training.id)
        return row is None or row["wanted"] is not None or row["fence"] != training.fence

    for _ in range(_TRIES):
        status = await run_trainer(
            scratch,
            opened.settings,
            trainer_command(opened.settings),
            options=("--device", opened.settings.device),
            on_event=heard,
            should_stop=should_stop,
        )
        if heard.state in ("passed", "refused", "failed") or await should_stop():
            break
        log.warning("the trainer of %s ended with status %s; see %s", training.id, status, scratch.log)
    return heard


def recipe_of(opened: Resources, training: Training) -> Recipe:
    return load_recipe(training.recipe, folder=opened.settings.configs / "recipes")


def trainer_command(settings: Settings) -> list[str]:
    return shlex.split(settings.trainer) or [sys.executable, "-m", "training.run"]


async def _names(conn: asyncpg.Connection, training: Training) -> tuple[str, ...]:
    # No caption may name the creator or the style: the trigger stands for both.
    account = await account_by_id(conn, training.creator_id)
    style = await find_style(conn, training.style_id, creator_id=training.creator_id)
    return tuple(found.name for found in (account, style) if found is not None)


async def _fix_manifest(opened: Resources, training: Training, works: list[StoredWork]) -> None:
    manifest = [{"id": work.id, "sha256": work.sha256} for work in works]
    async with opened.pool.acquire() as conn:
        status = await conn.execute(
            "UPDATE service.trainings SET manifest = $3, updated_at = $4 WHERE id = $1 AND fence = $2",
            *(training.id, training.fence, json.dumps(manifest), opened.clock()),
        )
    if status != "UPDATE 1":
        raise Superseded(training.id)


async def _store(opened: Resources, training: Training, heard: Heard, done: Done) -> dict[str, Any]:
    examples = {f"{training.files}/{EXAMPLES}/{number}.png": path for number, path in enumerate(done.examples, 1)}
    keys = {f"{training.files}/{ADAPTER}": done.adapter, f"{training.files}/{REPORT}": done.report} | examples
    for key, path in keys.items():
        with path.open("rb") as file:
            await asyncio.to_thread(opened.storage.put, key, file)
    async with opened.pool.acquire() as conn:
        fence = await conn.fetchval("SELECT fence FROM service.trainings WHERE id = $1", training.id)
    if fence != training.fence:
        for key in keys:
            await asyncio.to_thread(opened.storage.delete, key)
        raise Superseded(training.id)
    with done.adapter.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "fence": training.fence,
        "version_id": opened.new_id("ver"),
        "state": heard.state,
        "message": heard.message,
        "scores": dict(done.scores),
        "trigger": read_manifest(done.adapter).trigger,
        "adapter_key": f"{training.files}/{ADAPTER}",
        "adapter_sha256": digest,
        "examples": list(examples),
        "receipt": json.loads(done.receipt.read_text())["receipt"],
    }


async def _close(opened: Resources, training: Training, heard: Heard) -> None:
    """The trainer made nothing to file: the training is paused, canceled or failed."""
    async with opened.pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(
            "SELECT wanted FROM service.trainings WHERE id = $1 AND fence = $2 FOR UPDATE", training.id, training.fence
        )
        if row is None:
            return
        if row["wanted"] == "pause":
            await trainings.change_state(conn, training, "paused", now=opened.clock())
        elif row["wanted"] == "cancel":
            await trainings.change_state(conn, training, "canceled", now=opened.clock())
        elif heard.state == "refused":
            # Too few of the works could be used: there is nothing to make a version of.
            await trainings.change_state(conn, training, "refused", now=opened.clock(), message=heard.message)
        else:
            message = heard.message if heard.state == "failed" else _SORRY
            await trainings.change_state(conn, training, "failed", now=opened.clock(), message=message)
    if row["wanted"] == "cancel":
        await asyncio.to_thread(remove_scratch, opened.settings.home, training.id)


@durable_step()
async def sign_receipt(training_id: str, adapter_key: str, receipt: dict[str, Any]) -> str:
    """Sign what a worker says it trained, after checking it against the rows and the stored adapter.

    Raises ValueError where they do not agree: then nothing is signed.
    """
    opened = gateway()
    async with opened.pool.acquire() as conn:
        training = await trainings.find_training(conn, training_id, creator_id=None)
    if training is None or training.state not in trainings.RUNNING:
        raise ValueError(f"training {training_id} does not run; its receipt is not signed")
    if not adapter_key.startswith(f"trainings/{training_id}/"):
        raise ValueError(f"{adapter_key} is not of training {training_id}; its receipt is not signed")
    content = await asyncio.to_thread(opened.storage.get, adapter_key)
    if receipt["adapter"]["sha256"] != hashlib.sha256(content).hexdigest():
        raise ValueError(f"the receipt of training {training_id} is of another adapter; it is not signed")
    named = {*receipt["works"]["trained"], *receipt["works"]["held_out"]}
    if not named <= {work["sha256"] for work in training.manifest}:
        raise ValueError(f"the receipt of training {training_id} names works it was not given; it is not signed")
    return sign_document(opened.authority, receipt)


@durable_step()
async def file_version(training_id: str, made: dict[str, Any], jws: str) -> None:
    """The version as a draft, and the training's end, in one commit."""
    opened = resources()
    async with opened.pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow("SELECT fence, state FROM service.trainings WHERE id = $1 FOR UPDATE", training_id)
        if row is None or row["fence"] != made["fence"] or row["state"] in trainings.ENDS:
            return
        training = await trainings.find_training(conn, training_id, creator_id=None)
        assert training is not None
        signed = json.dumps({"receipt": made["receipt"], "signature": jws}, indent=1).encode()
        await asyncio.to_thread(opened.storage.put, f"{training.files}/{RECEIPT}", signed)
        await add_version(
            conn,
            version_id=made["version_id"],
            training=training,
            trigger=made["trigger"],
            adapter_sha256=made["adapter_sha256"],
            receipt=made["receipt"],
            examples=made["examples"],
            scores=made["scores"],
            gate_passed=made["state"] == "passed",
            now=opened.clock(),
        )
        if made["state"] == "passed":
            await _charge(opened, conn, training)
        await trainings.change_state(conn, training, made["state"], now=opened.clock(), message=made["message"] or None)
    await asyncio.to_thread(remove_scratch, opened.settings.home, training_id)


async def _charge(opened: Resources, conn: asyncpg.Connection, training: Training) -> None:
    """Exactly what was told before the start, and only for a version that may be published."""
    if training.price.amount > 0:
        await charge_training(
            conn,
            training_id=training.id,
            style_id=training.style_id,
            creator_id=training.creator_id,
            amount=training.price,
            now=opened.clock(),
        )


@durable_step()
async def fail(training_id: str, run: int) -> None:
    """The story broke: say so, unless the training went on elsewhere."""
    await _give_up(resources(), training_id, run)


async def _give_up(opened: Resources, training_id: str, run: int) -> None:
    async with opened.pool.acquire() as conn, conn.transaction():
        training = await trainings.take(conn, training_id=training_id, run=run, now=opened.clock())
        if training is not None:
            await trainings.change_state(conn, training, "failed", now=opened.clock(), message=_SORRY)


async def mend_trainings(web: Gateway) -> None:
    """Start the stories that a crash kept from starting, and end the trainings whose stories broke.

    A sweep of the web role: doing it often, or in several processes, is harmless.
    """
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT id, run FROM service.trainings WHERE state = ANY($1::text[]) AND updated_at < $2",
            *(["queued", *trainings.RUNNING], web.clock() - _ON_ITS_WAY),
        )
    runs = {f"{row['id']}.{row['run']}": (row["id"], row["run"]) for row in rows}
    if not runs:
        return
    known = await states_of(list(runs))
    for workflow_id, (training_id, run) in runs.items():
        if workflow_id not in known:
            log.warning("training %s was accepted but not started; starting it", workflow_id)
            await start(TRAINING, workflow_id, tell_training, training_id, run)
        elif known[workflow_id] in BROKEN:
            log.error("the story of training %s ended as %s", workflow_id, known[workflow_id])
            await _give_up(web, training_id, run)
