"""The gateway of its benchmark: the application as it is served, with its engine, seal and workflow replaced.

`metered`: an order is paid where its workflow would start. `whole`: workflow and seal are real, the engine answers at
once. Prints where it is and its clients' tokens as JSON, then serves until it is told to end.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from inference.pace import Speed
from licensing.orders import Settled
from service import acceptance
from service.generation import Delivery, begin_all, settle_in
from service.resources import Gateway
from service.sealing import MIME, Sealed
from service.web import Server
from service.workflows import gateway
from tests.service.instant_engine import InstantEngine
from tests.service.market import Market, open_market

PNG_EDGE = 256
CERTIFICATE = "c" * 1200
"""As long as a real one."""
SPEED = Speed(rows=4, questions=8, half_s=0.01, full_s=0.02, admission_s=0.0, finishing_s=0.0)


async def pay(order_id: str, turn: int | None) -> None:
    """In place of the workflow: the order is begun and paid, with all others of the same moment."""
    await gateway().together(_pay_all, order_id)


async def _pay_all(web: Gateway, order_ids: Sequence[str]) -> list[None]:
    now = web.clock()
    wishes = [
        Delivery(order_id=order_id, fence=1, sealed=(_sealed(web, order_id),), message=None, refused=())
        for order_id in order_ids
    ]
    await begin_all(web, order_ids)
    async with web.pool.acquire() as conn:
        # What the worker and the seal would have noted.
        await conn.execute(
            "UPDATE service.generations SET state = 'sealing', started_at = $2 WHERE id = ANY($1::text[])",
            *(list(order_ids), now),
        )
        answers = await settle_in(conn, wishes, now=now)
    assert all(isinstance(answer, Settled) for answer in answers), answers
    return [None] * len(order_ids)


def _sealed(web: Gateway, order_id: str) -> Sealed:
    output_id = web.new_id("out")
    name = output_id.encode().hex()
    return Sealed(
        output_id=output_id,
        number=1,
        key=f"outputs/{output_id}",
        mime=MIME,
        width=PNG_EDGE,
        height=PNG_EDGE,
        num_bytes=100_000,
        sha256=name.ljust(64, "0")[:64],
        phash=name[::-1].ljust(64, "0")[:64],
        certificate=CERTIFICATE,
        receipt={},
    )


async def serve(kind: str, database_url: str, folder: Path, clients: int) -> None:
    if kind == "metered":
        acceptance.start_generation = pay
    options: dict[str, Any] = {"requests_per_minute": 10**9, "max_open_orders": 10**6}
    async with open_market(
        database_url, folder, draws=lambda _: InstantEngine(speed=SPEED, edge=PNG_EDGE), **options
    ) as market:
        tokens = [(await market.client(cents=10**9)).token for _ in range(clients)]
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        config = uvicorn.Config(market.app, lifespan="off", log_level="warning", access_log=False, server_header=False)
        server = Server(config)
        print(json.dumps(_document(market, listening.getsockname()[1], tokens)), flush=True)
        await server.serve(sockets=[listening])


def _document(market: Market, port: int, tokens: list[str]) -> dict[str, Any]:
    return {"port": port, "style": market.style_id, "tokens": tokens}


if __name__ == "__main__":
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(
        serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    )
