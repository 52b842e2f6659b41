"""How long a training will take here, told before it starts: a worker measures its machine once, the place remembers.

    asked by a page or the API -> known for this base and recipe: reckoned at once
    not known -> `training.probe` as a child process of a worker -> kept -> whoever asks again is told

It waits for trainings and they for it, so that a machine is measured alone. Measured again where the base's entry, the
recipe or the device that was set changes.
"""

import hashlib
import json
import logging
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Literal

from licensing.compute import training_price
from licensing.database import Connection
from licensing.money import Money
from service.bases import base_here
from service.resources import Gateway, Resources
from service.scratch import Scratch, hold_scratch, remove_scratch
from service.settings import Settings
from service.styles import Style
from service.trainer import run_trainer
from service.workflows import BROKEN, TRAINING, durable_step, resources, start, states_of, story
from training.estimate import estimate
from training.messages import Estimate, Event, Speed, TrainingRequest, Way
from training.recipe import Recipe

log = logging.getLogger("ownhand.speeds")

# Raised when the probe measures other things: what was kept is measured again.
_KIND = 2
_AGAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training of a style would take as things stand.

    `measuring`: a worker is at it; `unknown`: it could not be measured, and a training is timed when it runs.
    """

    state: Literal["measuring", "ready", "unknown"]
    num_works: int
    num_held_out: int
    steps: int
    is_free: bool
    price: Money
    """What its creator is charged if it passes; to be told only where it `is_priced`."""
    estimate: Estimate | None = None
    device: str = ""

    @property
    def is_priced(self) -> bool:
        """Whether what it costs is known: told before it starts, or nothing in any case."""
        return self.estimate is not None or self.is_free


async def plan_training(web: Gateway, conn: Connection, style: Style, recipe: Recipe, *, num_works: int) -> Plan:
    """The plan of a training from so many works; where this place's speed is not known, a worker is asked for it."""
    plan = await known_plan(web, conn, style, recipe, num_works=num_works)
    if plan.estimate is None and await _is_under_way(web, conn, style.base, recipe):
        return replace(plan, state="measuring")
    return plan


async def known_plan(web: Gateway, conn: Connection, style: Style, recipe: Recipe, *, num_works: int) -> Plan:
    """The same from what is known already; nobody is asked."""
    spec = base_here(web.settings, style.base)
    speed = await _known(conn, _digest(web.settings, style.base, recipe))
    found, minute = (estimate(speed, spec, recipe, num_works) if speed else None), web.prices.training_minute
    return Plan(
        state="ready" if speed else "unknown",
        num_works=num_works,
        num_held_out=recipe.num_held_out(num_works),
        steps=recipe.steps,
        is_free=minute.amount == 0,
        price=training_price(minute, found.seconds if found else 0.0),
        estimate=found,
        device=speed.device if speed else "",
    )


async def known_way(opened: Resources, base: str, recipe: Recipe) -> Way | None:
    """The way of computing that was measured to be best for a training; None where nobody measured."""
    async with opened.pool.acquire() as conn:
        speed = await _known(conn, _digest(opened.settings, base, recipe))
    return speed.way if speed else None


@story("speed")
async def tell_speed(of: str, base: str, recipe: str) -> None:
    """Measure a machine for one base and recipe, on a worker."""
    await measure_speed(of, base, recipe)


@durable_step()
async def measure_speed(of: str, base: str, recipe: str) -> None:
    """Run the probe and keep what it found; where it fails the log says why, and it is tried again an hour later."""
    opened = resources()
    scratch_id = f"speed-{of[:16]}"
    try:
        async with hold_scratch(opened.settings.home, scratch_id) as scratch:
            speed = await _probe(opened, scratch, base, recipe)
    finally:
        remove_scratch(opened.settings.home, scratch_id)
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.speeds SET speed = $2, measured_at = $3 WHERE of = $1",
            *(of, json.dumps(asdict(speed)) if speed else None, opened.clock()),
        )


async def _probe(opened: Resources, scratch: Scratch, base: str, recipe: str) -> Speed | None:
    configs, heard = opened.settings.configs, list[Speed]()
    request = TrainingRequest(
        id="speed",
        base=str(configs / "bases" / f"{base}.toml"),
        works=(),
        out=scratch.folder / "out",
        scratch=scratch.folder / "trainer",
        recipe=str(configs / "recipes" / f"{recipe}.toml"),
    )
    scratch.request.write_text(request.to_json())

    async def hear(event: Event) -> None:
        if isinstance(event, Speed):
            heard.append(event)

    async def should_stop() -> bool:
        return False

    status = await run_trainer(
        scratch,
        opened.settings,
        prober_command(opened.settings),
        options=("--device", opened.settings.device),
        on_gpu=True,
        on_event=hear,
        should_stop=should_stop,
    )
    if heard:
        return heard[-1]
    log.error("the speed of %s with %s was not measured (status %s): %s", base, recipe, status, scratch.last_words)
    return None


def prober_command(settings: Settings) -> list[str]:
    return shlex.split(settings.prober) or [sys.executable, "-m", "training.probe"]


async def _known(conn: Connection, of: str) -> Speed | None:
    found = await conn.fetchval("SELECT speed FROM service.speeds WHERE of = $1 AND speed IS NOT NULL", of)
    if found is None:
        return None
    values = json.loads(found)
    return Speed(**{**values, "way": Way(**values["way"])})


async def _is_under_way(web: Gateway, conn: Connection, base: str, recipe: Recipe) -> bool:
    """Whether a worker measures or is going to; asks one where nobody has been asked lately."""
    of, now = _digest(web.settings, base, recipe), web.clock()
    row = await conn.fetchrow("SELECT asked, measured_at FROM service.speeds WHERE of = $1", of)
    if row is not None:
        states = await states_of([row["asked"]])
        if states.get(row["asked"]) not in {None, *BROKEN}:
            return True
        if row["measured_at"] is not None and now - row["measured_at"] < _AGAIN_AFTER:
            return False
    asked = web.new_id("spd")
    is_ours = await conn.fetchval(
        "INSERT INTO service.speeds (of, base, recipe, asked, asked_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (of) DO UPDATE SET asked = $4, asked_at = $5, measured_at = NULL"
        " WHERE speeds.asked = $6 RETURNING true",
        *(of, base, recipe.name, asked, now, row["asked"] if row else ""),
    )
    if is_ours:
        await start(TRAINING, asked, tell_speed, of, base, recipe.name, conn=conn)
    return True


def _digest(settings: Settings, base: str, recipe: Recipe) -> str:
    """Of all that a measurement depends on, but for the machine itself."""
    entry = (settings.configs / "bases" / f"{base}.toml").read_text()
    content = json.dumps([_KIND, entry, recipe.as_dict(), settings.device, settings.num_threads])
    return hashlib.sha256(content.encode()).hexdigest()
