"""The end of a training that made something, on the web role: receipt signed, version filed, price booked.

    files stored by a worker -> receipt checked against the rows and signed -> version DRAFT, passed or refused

Workers hold no key. Where this story breaks, the sweep says so (`service.finetuning.mend_trainings`).
"""

import asyncio
import hashlib
import json
from typing import Any

import asyncpg

from licensing.authority import sign_document
from licensing.compute import charge_training
from service import trainings
from service.data_use import Use, read_file
from service.heartbeats import this_process
from service.resources import Resources
from service.scratch import remove_scratch
from service.trainings import Training
from service.versions import RECEIPT, add_version
from service.workflows import SIGNING, durable_step, gateway, resources, start, story


async def start_filing(opened: Resources, training: Training, made: dict[str, Any]) -> None:
    """Hand over what a worker made and stored: from now on this story tells the training."""
    filing_id = f"{training.workflow_id}.{training.fence}.file"
    await start(SIGNING, filing_id, tell_filing, training.id, made)
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.trainings SET told_by = $3 WHERE id = $1 AND fence = $2",
            *(training.id, training.fence, filing_id),
        )


@story("filing")
async def tell_filing(training_id: str, made: dict[str, Any]) -> None:
    """A version of what was made."""
    jws = await sign_receipt(training_id, made["adapter_key"], made["receipt"])
    await file_version(training_id, made, jws)


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
    use = Use(purpose="training", by=this_process(), job=training_id)
    content = await read_file(opened, use, adapter_key)
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
            flat_sha256=made["flat_sha256"],
            has_looks=made["has_looks"],
            receipt=made["receipt"],
            examples=made["examples"],
            scores=made["scores"],
            gate_passed=made["state"] == "passed",
            now=opened.clock(),
        )
        # Of a story that began before trainings kept anything there is nothing.
        await conn.execute(
            "UPDATE service.trainings SET kept = $2 WHERE id = $1", training_id, json.dumps(made.get("kept", {}))
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
