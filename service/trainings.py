"""Trainings as rows: what was asked, where it stands, and who may write to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.sentence import Sentence, say
from service.db.connections import read
from service.events import append
from service.kept_sentences import of_training
from service.telling.of_styles import tell_training_ended
from service.works import list_works

TrainingState = Literal[
    "queued", "preparing", "training", "measuring", "passed", "refused", "failed", "canceled", "paused"
]
RUNNING: tuple[TrainingState, ...] = ("preparing", "training", "measuring")
UNDER_WAY: tuple[TrainingState, ...] = ("queued", *RUNNING)
OPEN: tuple[TrainingState, ...] = (*UNDER_WAY, "paused")
ENDS = frozenset({"passed", "refused", "failed", "canceled"})
SORRY = "Something broke on our side and was logged. Resume goes on from the last checkpoint."

# Takings of a run after the first, which had been cut off.
_MISHAPS = 2
_COLUMNS = (
    "id, style_id, creator_id, base, recipe, seed, state, wanted, run, fence, message, manifest, step, steps, loss,"
    " eta_s, estimate_s, max_minutes, price, currency, heldout, samples, scores, version_id,"
    " of_training, take_step, kept, created_at, started_at, ended_at, updated_at"
)


@dataclass(frozen=True, kw_only=True)
class Training:
    """`run` counts starts by the creator (resuming makes the next), `fence` takings by a process: see `take`."""

    id: str
    style_id: str
    creator_id: str
    base: str
    recipe: str
    seed: int
    state: TrainingState
    wanted: Literal["pause", "cancel"] | None
    run: int
    fence: int
    message: str | None
    manifest: list[dict[str, Any]]
    step: int
    steps: int | None
    loss: float | None
    eta_s: float | None
    estimate_s: float | None
    max_minutes: float | None
    price: Money
    """What it costs its creator if it passes, as told before it started."""
    heldout: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    scores: dict[str, Any]
    version_id: str | None
    of_training: str | None
    """The training of which this one judges another adapter, after `take_step` steps; it learns nothing itself."""
    take_step: int | None
    kept: dict[str, Any]
    """Adapters that can be judged and released instead: `looks` (step, gain, error) and their `files`; see
    `training.keeping`."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime

    @property
    def workflow_id(self) -> str:
        """The story of this run; every run has its own, for a story that ended is not told again."""
        return f"{self.id}.{self.run}"

    @property
    def files(self) -> str:
        """Where in storage the process that took it puts what it makes: nobody else writes there."""
        return f"trainings/{self.id}/{self.fence}"

    @property
    def alternatives(self) -> list[dict[str, Any]]:
        """Its adapters that can be examined instead of the one that was: each its `step`, `gain` and `error`."""
        return list(self.kept.get("looks", []))

    @property
    def goes_alone(self) -> bool:
        """Whether so many processes that had taken it did not end it that it shares none with others any more.

        One may be killed for any reason; a training that is there whenever one dies may be that reason.
        """
        return self.fence - self.run >= _MISHAPS


async def add_training(
    conn: Connection,
    *,
    training_id: str,
    style_id: str,
    creator_id: str,
    base: str,
    recipe: str,
    seed: int,
    max_minutes: float,
    price: Money,
    now: datetime,
) -> Training | Refusal:
    """A queued training. Refusal: conflict, where one of this style has not ended."""
    async with conn.transaction():
        other = await _refuse_second(conn, style_id)
        if other is not None:
            return other
        row = await conn.fetchrow(
            "INSERT INTO service.trainings"
            " (id, style_id, creator_id, base, recipe, seed, max_minutes, price, currency, created_at, updated_at)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) RETURNING {_COLUMNS}",
            *(training_id, style_id, creator_id, base, recipe, seed, max_minutes, price.amount, price.currency, now),
        )
        await append(conn, subject=training_id, kind="state", data={"state": "queued"}, now=now)
    assert row is not None
    return _read(row)


async def add_retake(
    conn: Connection, training: Training, *, training_id: str, step: int, currency: str, now: datetime
) -> Training | Refusal:
    """A queued training that judges another adapter of an ended one. It costs nothing: the learning was paid for.

    Refusals: not_found, where no adapter is kept after so many steps; conflict, where a training of the style has not
    ended, it was examined already, or works have come or gone since.
    """
    if all(look["step"] != step for look in training.alternatives):
        steps = ", ".join(str(look["step"]) for look in training.alternatives)
        said = say(
            "Training {id} keeps no adapter after {step} steps; there are: {steps}.",
            id=training.id,
            step=step,
            steps=steps or say("none"),
        )
        return Refusal(slug="not_found", message=said)
    async with conn.transaction():
        other = await _refuse_second(conn, training.style_id)
        if other is not None:
            return other
        before = await conn.fetchrow(
            "SELECT id, state FROM service.trainings WHERE of_training = $1 AND take_step = $2"
            " AND state IN ('passed', 'refused') LIMIT 1",
            *(training.id, step),
        )
        if before is not None:
            said = say(
                "The adapter after {step} steps was examined already, by training {id}, which is {state}; look there.",
                step=step,
                id=before["id"],
                state=_STATE_NAMES[before["state"]],
            )
            return Refusal(slug="conflict", message=said)
        if not await _has_same_works(conn, training):
            said = say(
                "The works are not those that training {id} learnt from any more, so its adapters cannot be examined;"
                " train again.",
                id=training.id,
            )
            return Refusal(slug="conflict", message=said)
        row = await conn.fetchrow(
            "INSERT INTO service.trainings (id, style_id, creator_id, base, recipe, seed, price, currency, of_training,"
            f" take_step, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $10)"
            f" RETURNING {_COLUMNS}",
            *(training_id, training.style_id, training.creator_id, training.base, training.recipe, training.seed),
            *(currency, training.id, step, now),
        )
        await append(conn, subject=training_id, kind="state", data={"state": "queued"}, now=now)
    assert row is not None
    return _read(row)


async def _has_same_works(conn: Connection, training: Training) -> bool:
    works = await list_works(conn, style_id=training.style_id, creator_id=training.creator_id)
    return [{"id": work.id, "sha256": work.sha256} for work in works if work.may_train] == training.manifest


async def find_training(conn: Connection, training_id: str, *, creator_id: str | None) -> Training | None:
    """A creator's own training; with `creator_id` None anybody's, for the story itself."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.trainings WHERE id = $1 AND ($2::text IS NULL OR creator_id = $2)",
        *(training_id, creator_id),
    )
    return _read(row) if row else None


async def list_trainings(
    conn: Connection, *, style_id: str, creator_id: str, limit: int = 100, before: str | None = None
) -> list[Training]:
    """A style's trainings, newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.trainings WHERE style_id = $1 AND creator_id = $2"
        " AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        *(style_id, creator_id, before, limit),
    )
    return [_read(row) for row in rows]


async def ask_to(
    conn: Connection, *, training_id: str, creator_id: str, wanted: Literal["pause", "cancel"], now: datetime
) -> Training | Refusal:
    """Cancel or pause. What waits stops here; what runs is told and stops by itself within seconds.

    Refusals: not_found; conflict, where there is nothing left to stop.
    """
    async with conn.transaction():
        training = await _locked(conn, training_id, creator_id=creator_id)
        if training is None:
            return Refusal(
                slug="not_found",
                message=say("There is no training {training_id!r} here; check the id.", training_id=training_id),
            )
        if training.state in RUNNING:
            row = await conn.fetchrow(
                f"UPDATE service.trainings SET wanted = $2, updated_at = $3 WHERE id = $1 RETURNING {_COLUMNS}",
                *(training_id, wanted, now),
            )
            return _read(row)
        if training.state == "queued" or (training.state == "paused" and wanted == "cancel"):
            return await change_state(conn, training, "paused" if wanted == "pause" else "canceled", now=now)
        return Refusal(
            slug="conflict",
            message=say(
                "Training {training_id} is {state}; there is nothing to {wanted}.",
                training_id=training_id,
                state=_STATE_NAMES[training.state],
                wanted=_WANTED[wanted],
            ),
            detail={"state": training.state},
        )


async def resume(
    conn: Connection, *, training_id: str, creator_id: str, max_minutes: float | None, now: datetime
) -> Training | Refusal:
    """Queue a paused or failed training again; it goes on from its last checkpoint. `max_minutes` None: the old limit.

    Refusals: not_found; conflict, where it is neither paused nor failed.
    """
    async with conn.transaction():
        training = await _locked(conn, training_id, creator_id=creator_id)
        if training is None:
            return Refusal(
                slug="not_found",
                message=say("There is no training {training_id!r} here; check the id.", training_id=training_id),
            )
        if training.state not in ("paused", "failed"):
            return Refusal(
                slug="conflict",
                message=say(
                    "Training {training_id} is {state}; only a paused or failed one can go on.",
                    training_id=training_id,
                    state=_STATE_NAMES[training.state],
                ),
                detail={"state": training.state},
            )
        other = await _refuse_second(conn, training.style_id, beside=training_id)
        if other is not None:
            return other
        await conn.execute(
            "UPDATE service.trainings SET run = run + 1, wanted = NULL, ended_at = NULL, told_by = NULL,"
            " max_minutes = coalesce($2, max_minutes) WHERE id = $1",
            *(training_id, max_minutes),
        )
        return await change_state(conn, training, "queued", now=now)


async def take(
    conn: Connection, *, training_id: str, run: int, most: int, num_workers: int, now: datetime
) -> list[Training]:
    """A process takes a run, and with it others that wait for the same base and recipe: `most` altogether, and no more
    than its part of what waits where there are several workers. Their fences rise, and whoever had them before can no
    longer write.

    Of every creator one is taken before of any a second; else who came first comes first. What the same story took
    before, in a process that died, comes first of all, whatever became of the run itself. Empty where there is nothing
    to do any more: canceled, paused, resumed as another run, or taken along by another story.
    """
    story = f"{training_id}.{run}"
    async with conn.transaction():
        rows = await conn.fetch(
            "SELECT id FROM service.trainings WHERE state = ANY($4::text[])"
            " AND (told_by = $3 OR (id = $1 AND run = $2 AND told_by IS NULL)) ORDER BY id = $1 DESC, id FOR UPDATE",
            *(training_id, run, story, list(UNDER_WAY)),
        )
        taken = await _mark_taken(conn, [row["id"] for row in rows], story=story, now=now)
        if not taken or any(training.goes_alone for training in taken):
            return taken
        waiting = await _waiting(conn, beside=taken, most=most - len(taken), num_workers=num_workers)
        return taken + await _mark_taken(conn, waiting, story=story, now=now)


async def give_up(conn: Connection, *, story: str, now: datetime) -> None:
    """What a story tells, or waits to be told by it, failed on our side; its fence rises."""
    async with conn.transaction():
        rows = await conn.fetch(
            "UPDATE service.trainings SET fence = fence + 1 WHERE coalesce(told_by, id || '.' || run) = $1"
            f" AND state = ANY($2::text[]) RETURNING {_COLUMNS}",
            *(story, list(UNDER_WAY)),
        )
        for row in rows:
            await change_state(conn, _read(row), "failed", now=now, message=SORRY)


async def change_state(
    conn: Connection, training: Training, state: TrainingState, *, now: datetime, message: str | None = None
) -> Training:
    """Enter a state and say so to whoever listens."""
    row = await conn.fetchrow(
        "UPDATE service.trainings SET state = $2, message = $3, updated_at = $4,"
        f" ended_at = CASE WHEN $5 THEN $4::timestamptz END WHERE id = $1 RETURNING {_COLUMNS}",
        *(training.id, state, message, now, state in ENDS),
    )
    data = {"state": state} | ({"message": message} if message else {})
    await append(conn, subject=training.id, kind="state", data=data, now=now)
    if state in ENDS:
        data = {"version": row["version_id"]} | ({"message": message} if message else {})
        await append(conn, subject=training.id, kind=state, data=data, now=now)
    ended = _read(row)
    await tell_training_ended(
        conn,
        training_id=ended.id,
        style_id=ended.style_id,
        creator_id=ended.creator_id,
        run=ended.run,
        state=state,
        message=message,
        now=now,
    )
    return ended


def _read(row: Mapping[str, Any]) -> Training:
    values = dict(row)
    price = Money(values.pop("price"), values.pop("currency"))
    message = of_training(row["message"]) if row["message"] else row["message"]
    return read(Training, {**values, "price": price, "message": message})


async def _mark_taken(conn: Connection, ids: list[str], *, story: str, now: datetime) -> list[Training]:
    rows = await conn.fetch(
        "UPDATE service.trainings SET fence = fence + 1, told_by = $2, started_at = coalesce(started_at, $3),"
        f" updated_at = $3 WHERE id = ANY($1::text[]) RETURNING {_COLUMNS}",
        *(ids, story, now),
    )
    taken = {row["id"]: _read(row) for row in rows}
    return [taken[one] for one in ids]


async def _waiting(conn: Connection, *, beside: list[Training], most: int, num_workers: int) -> list[str]:
    """Whose turn it is to join these; locked. What another process takes at this moment is left to it."""
    in_line: int = await conn.fetchval(
        "SELECT count(*) FROM service.trainings WHERE state = 'queued' AND told_by IS NULL"
    )
    own_part = math.ceil((in_line + len(beside)) / num_workers) - len(beside)
    rows = await conn.fetch(
        "SELECT t.id FROM service.trainings t JOIN"
        " (SELECT id, row_number() OVER (PARTITION BY creator_id ORDER BY updated_at, id) AS place"
        "  FROM service.trainings WHERE state = 'queued' AND told_by IS NULL AND base = $1 AND recipe = $2"
        "   AND fence + 1 - run < $5) AS line USING (id)"
        " WHERE t.state = 'queued' AND t.told_by IS NULL"
        " ORDER BY line.place + (SELECT count(*) FROM unnest($3::text[]) AS creator WHERE creator = t.creator_id),"
        "  t.updated_at, t.id"
        " LIMIT $4 FOR UPDATE OF t SKIP LOCKED",
        *(beside[0].base, beside[0].recipe, [one.creator_id for one in beside], max(min(most, own_part), 0), _MISHAPS),
    )
    return [row["id"] for row in rows]


async def _refuse_second(conn: Connection, style_id: str, *, beside: str = "") -> Refusal | None:
    await conn.execute("SELECT 1 FROM service.styles WHERE id = $1 FOR UPDATE", style_id)
    other = await conn.fetchrow(
        "SELECT id, state FROM service.trainings WHERE style_id = $1 AND id <> $2 AND state = ANY($3::text[])",
        *(style_id, beside, list(OPEN)),
    )
    if other is None:
        return None
    return Refusal(
        slug="conflict",
        message=say(
            "Training {id} of this style is {state}; wait for it, or cancel it first.",
            id=other["id"],
            state=_STATE_NAMES[other["state"]],
        ),
        detail={"training": other["id"]},
    )


async def _locked(conn: Connection, training_id: str, *, creator_id: str) -> Training | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.trainings WHERE id = $1 AND creator_id = $2 FOR UPDATE",
        training_id,
        creator_id,
    )
    return _read(row) if row else None


_WANTED = {"pause": say("pause"), "cancel": say("cancel")}
_STATE_NAMES: Mapping[str, Sentence] = {
    "queued": say("queued"),
    "preparing": say("preparing"),
    "training": say("training"),
    "measuring": say("measuring"),
    "passed": say("passed"),
    "refused": say("refused"),
    "failed": say("failed"),
    "canceled": say("canceled"),
    "paused": say("paused"),
}
