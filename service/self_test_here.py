"""The self test in one process, from a shell: with the model stack beside the keys, and no row of it."""

import asyncio
from datetime import datetime

from inference.devices import choose_device
from inference.engine import Engine
from inference.events import Draws
from licensing.authority import Authority
from licensing.database import Connection
from service.bases import base_here
from service.ids import NewId
from service.self_testing import Note, make, seal_and_verify
from service.settings import Settings


async def self_test_here(
    settings: Settings, conn: Connection, authority: Authority, note: Note, *, new_id: NewId, now: datetime
) -> None:
    """The whole test in this process, with no row of it. Raises what its parts raise."""
    spec = base_here(settings, settings.default_base)
    engines: list[Engine] = []

    async def open_engine() -> Draws:
        engines.append(await asyncio.to_thread(lambda: Engine(spec, device=choose_device(settings.device), max_rows=1)))
        return engines[0]

    try:
        made = await make(settings, spec, note, open_engine)
    finally:
        for engine in engines:
            await asyncio.to_thread(engine.close)
    await seal_and_verify(conn, authority, made, note, new_id=new_id, now=now)
