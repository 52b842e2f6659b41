"""Whether this process lives, whether it can work, and its counters."""

import asyncio

import asyncpg
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.auth import Web
from service.errors import Problem
from service.orders import IS_OPEN

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(web: Web) -> PlainTextResponse:
    """The database answers too, so requests make sense."""
    try:
        async with asyncio.timeout(2), web.pool.acquire() as conn:
            await conn.execute("SELECT 1")
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Problem("overloaded", "The database does not answer; try again shortly.", retry_after_s=5) from error
    return PlainTextResponse("ready\n")


@router.get("/metrics")
async def metrics(web: Web) -> Response:
    """Prometheus' text format: answers, and what is waiting."""
    async with web.house() as conn:
        generations = await conn.fetch(
            f"SELECT state, count(*) AS n FROM service.generations WHERE {IS_OPEN} GROUP BY state"
        )
        trainings = await conn.fetch(
            "SELECT state, count(*) AS n FROM service.trainings"
            " WHERE state IN ('queued', 'preparing', 'training', 'measuring', 'paused') GROUP BY state"
        )
        executors = await conn.fetch(
            "SELECT role, count(*) AS n FROM service.executors"
            " WHERE seen_at > $1::timestamptz - interval '15 seconds' GROUP BY role",
            web.clock(),
        )
    gauges = [
        *_gauge("ownhand_generations", "Generations that have not ended", "state", generations),
        *_gauge("ownhand_trainings", "Trainings that have not ended", "state", trainings),
        *_gauge("ownhand_executors", "Processes heard of in the last 15 s", "role", executors),
    ]
    return Response(generate_latest() + "".join(gauges).encode(), media_type=CONTENT_TYPE_LATEST)


def _gauge(name: str, meaning: str, label: str, rows: list[asyncpg.Record]) -> list[str]:
    lines = [f'{name}{{{label}="{row[label]}"}} {row["n"]}\n' for row in rows]
    return [f"# HELP {name} {meaning}\n# TYPE {name} gauge\n", *lines]
