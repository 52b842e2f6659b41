"""The web process's server, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from service.settings import Settings
from service.web import Server, server_config
from tests.stories.processes import free_port

RESTS_S = 6.0
"""Longer than uvicorn keeps a connection if nobody says how long."""


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[str]:
    """A server that answers the port a caller has at its end."""
    app = FastAPI()

    @app.get("/")
    async def callers_port(request: Request) -> int:
        assert request.client is not None
        return request.client.port

    settings = Settings(home=tmp_path, port=free_port())
    server = Server(server_config(app, settings))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield settings.origin
    server.should_exit = True
    await serving


async def test_a_connection_that_rested_is_used_again(origin: str):
    async with httpx.AsyncClient(base_url=origin, limits=httpx.Limits(keepalive_expiry=60)) as http:
        before = (await http.get("/")).json()
        await asyncio.sleep(RESTS_S)
        after = (await http.get("/")).json()

    assert after == before
