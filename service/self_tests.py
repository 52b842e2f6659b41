"""Self tests as rows: that this place can train, draw, seal and verify, and how long each took. Nothing else of one
stays (`service.self_testing`)."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from licensing.database import Connection
from service.db.connections import read
from service.ids import NewId

State = Literal["waiting", "running", "passed", "failed"]
StepName = Literal["train", "draw", "seal", "verify", "tidy"]
STEPS: tuple[StepName, ...] = ("train", "draw", "seal", "verify", "tidy")
GIVEN_UP_AFTER = timedelta(hours=1)
"""One that no worker came for by then ends, so that another can be asked for."""
_LOCK = 6_027_024
_COLUMNS = "id, base, state, steps, problem, asked_at, ended_at"
_NOBODY_CAME = "No worker came for it within {time}; start one with: ownhand worker. Trainings go first."


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was done, in how many seconds, and what came of it."""

    name: StepName
    seconds: float
    sentence: str


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """One of them. `problem` says why it failed, and what to do."""

    id: str
    base: str
    state: State
    steps: list[dict[str, str | float]]
    problem: str | None
    asked_at: datetime
    ended_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def done(self) -> dict[str, Step]:
        """The steps that are done, by name."""
        return {
            str(one["name"]): Step(name=one["name"], seconds=one["seconds"], sentence=one["sentence"])  # type: ignore[arg-type]
            for one in self.steps
        }

    @property
    def at(self) -> StepName | None:
        """The step that is being done, or that failed."""
        return next((name for name in STEPS if name not in self.done), None)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.done.values())


async def ask_for_one(conn: Connection, *, base: str, now: datetime, new_id: NewId) -> tuple[SelfTest, bool]:
    """A new self test, or the one that is not over yet; and whether it is new. In a transaction."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    running = await last_self_test(conn)
    if running is not None and not running.is_over:
        if now - running.asked_at < GIVEN_UP_AFTER:
            return running, False
        await end(conn, running.id, problem=_NOBODY_CAME.format(time="an hour"), now=now)
    row = await conn.fetchrow(
        f"INSERT INTO service.self_tests (id, base, asked_at) VALUES ($1, $2, $3) RETURNING {_COLUMNS}",
        *(new_id("tst"), base, now),
    )
    assert row is not None
    return read(SelfTest, row), True


async def find_self_test(conn: Connection, test_id: str) -> SelfTest | None:
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM service.self_tests WHERE id = $1", test_id)
    return read(SelfTest, row) if row else None


async def last_self_test(conn: Connection, *, only_passed: bool = False) -> SelfTest | None:
    """The newest one; the newest that passed."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.self_tests WHERE state = 'passed' OR NOT $1"
        " ORDER BY asked_at DESC, id DESC LIMIT 1",
        only_passed,
    )
    return read(SelfTest, row) if row else None


async def begin(conn: Connection, test_id: str) -> SelfTest | None:
    """A worker takes it, perhaps again: what an earlier one had done counts no more. None where it is over."""
    row = await conn.fetchrow(
        "UPDATE service.self_tests SET state = 'running', steps = '[]'"
        f" WHERE id = $1 AND ended_at IS NULL RETURNING {_COLUMNS}",
        test_id,
    )
    return read(SelfTest, row) if row else None


async def note_step(conn: Connection, test_id: str, step: Step) -> None:
    """Done; a step that is told again keeps what was told first."""
    told = {"name": step.name, "seconds": round(step.seconds, 2), "sentence": step.sentence}
    await conn.execute(
        "UPDATE service.self_tests SET steps = steps || $2::jsonb"
        " WHERE id = $1 AND ended_at IS NULL AND NOT steps @> jsonb_build_array(jsonb_build_object('name', $3::text))",
        *(test_id, json.dumps([told]), step.name),
    )


async def end(conn: Connection, test_id: str, *, problem: str | None, now: datetime) -> None:
    """Passed, or failed with a sentence. One that is over stays as it is."""
    await conn.execute(
        "UPDATE service.self_tests SET state = CASE WHEN $2::text IS NULL THEN 'passed' ELSE 'failed' END,"
        " problem = $2, ended_at = $3 WHERE id = $1 AND ended_at IS NULL",
        *(test_id, problem, now),
    )
