"""Hearing the database's notices for as long as a process runs, over every break of the connection."""

import asyncio
import functools
import logging
from collections.abc import Callable

import asyncpg

log = logging.getLogger("ownhand.notices")

_AGAIN_S = 1.0


async def listen(database_url: str, channel: str, hear: Callable[[str], None]) -> None:
    """Call `hear` with what every notice on `channel` says, until cancelled.

    After a break, and at the start, it is called once with an empty text: something may have been missed.
    """
    while True:
        try:
            conn = await asyncpg.connect(database_url)
            try:
                gone = asyncio.Event()
                conn.add_termination_listener(functools.partial(_set, gone))
                await conn.add_listener(channel, lambda _conn, _pid, _channel, text: hear(str(text)))
                hear("")
                await gone.wait()
            finally:
                conn.terminate()
        except Exception as error:  # noqa: BLE001 - whatever it is: who listens also looks now and then by itself
            log.warning(
                "notices on %s are not heard for now (%r); what they tell is seen a little later", channel, error
            )
        await asyncio.sleep(_AGAIN_S)


def _set(event: asyncio.Event, _connection: object) -> None:
    event.set()
