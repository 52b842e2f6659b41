"""Whether this process lives, whether it can work, and its counters."""

import asyncio

import asyncpg
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.auth import Web
from service.errors import Problem
from service.gauges import read_gauges, write_gauges

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
    """Prometheus' text format: what this process answered, and how the whole place stands (`service.gauges`)."""
    place = write_gauges(await read_gauges(web))
    return Response(generate_latest() + place, media_type=CONTENT_TYPE_LATEST)
