"""What the trainer says, written down: in the training's row for who looks, as events for who listens."""

import asyncio
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from licensing.database import Connection
from service.events import append
from service.resources import Resources
from service.trainings import RUNNING, UNDER_WAY, Training, change_state
from training.messages import Estimate, Event, Finding, HeldOut, Progress, Sample, StateChanged

# Progress arrives every few steps; rows follow at this pace, and pages with them.
_PROGRESS_EVERY = timedelta(seconds=0.5)


class Superseded(Exception):
    """Another process took this training meanwhile, or it was stopped before it ran: our word counts no longer."""


class Recorder:
    """Writes a training's events as long as it is under way and `training.fence` is the newest.

    Call it with each event, in order.
    """

    def __init__(self, opened: Resources, training: Training) -> None:
        self._opened = opened
        self._training = training
        self._progress_at: datetime | None = None

    async def __call__(self, event: Event) -> None:
        """Write one event. Raises Superseded. The ends (`passed`, `refused`, `failed`) are left to the story."""
        now = self._opened.clock()
        if isinstance(event, Progress) and not self._is_due(event, now):
            return
        sample = await self._keep(event) if isinstance(event, Sample) else None
        try:
            await self._record(event, sample, now)
        except Superseded:
            if sample is not None:
                await asyncio.to_thread(self._opened.storage.delete, sample["key"])
            raise

    async def _record(self, event: Event, sample: dict[str, Any] | None, now: datetime) -> None:
        async with self._opened.pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(
                "SELECT state, heldout, samples FROM service.trainings"
                " WHERE id = $1 AND fence = $2 AND state = ANY($3::text[]) FOR UPDATE",
                *(self._training.id, self._training.fence, list(UNDER_WAY)),
            )
            if row is None:
                raise Superseded(self._training.id)
            if isinstance(event, StateChanged):
                if event.state in RUNNING and event.state != row["state"]:
                    await change_state(conn, self._training, event.state, now=now, message=event.message or None)
            elif isinstance(event, Progress):
                await self._write(conn, "progress", asdict(event), now, **asdict(event))
            elif isinstance(event, Estimate):
                await self._write(conn, "estimate", asdict(event), now, estimate_s=event.seconds, steps=event.steps)
            elif isinstance(event, HeldOut):
                curve = _extended(json.loads(row["heldout"]), asdict(event), "step")
                await self._write(conn, "heldout", asdict(event), now, heldout=json.dumps(curve))
            elif sample is not None:
                samples = _extended(json.loads(row["samples"]), sample, "name")
                shown = {"step": sample["step"], "name": sample["name"]}
                await self._write(conn, "sample", shown, now, samples=json.dumps(samples))
            elif isinstance(event, Finding):
                await self._write(conn, "finding", asdict(event), now)

    def _is_due(self, event: Progress, now: datetime) -> bool:
        if self._progress_at and now - self._progress_at < _PROGRESS_EVERY and event.step < event.steps:
            return False
        self._progress_at = now
        return True

    async def _keep(self, event: Sample) -> dict[str, Any]:
        name = f"{event.step:06d}-{event.path.name}"
        key = f"{self._training.files}/samples/{name}"
        content = await asyncio.to_thread(event.path.read_bytes)
        await asyncio.to_thread(self._opened.storage.put, key, content)
        return {"step": event.step, "name": name, "key": key}

    async def _write(self, conn: Connection, kind: str, data: dict[str, Any], now: datetime, **columns: object) -> None:
        columns["updated_at"] = now
        changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
        await conn.execute(
            f"UPDATE service.trainings SET {changes} WHERE id = $1", self._training.id, *columns.values()
        )
        await append(conn, subject=self._training.id, kind=kind, data=data, now=now)


def _extended(entries: list[dict[str, Any]], entry: dict[str, Any], name: str) -> list[dict[str, Any]]:
    # A training that went back to its checkpoint says some things again: the newer word replaces the older.
    return [*(old for old in entries if old[name] != entry[name]), entry]
