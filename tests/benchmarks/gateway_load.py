"""The load of the gateway's benchmark: as little work per request as Python can do, so that it measures the other side.

Reads what to do as JSON from standard input and prints what it saw, as JSON.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

from tests.benchmarks.gateway import Load


@dataclass(kw_only=True)
class Seen:
    """Latencies in seconds, of the requests that were paid; and how many were answered otherwise."""

    paid: list[float] = field(default_factory=list)
    refused: int = 0


def request_of(wish: dict[str, Any], token: str, number: int, run: str) -> bytes:
    """One order as bytes, with a key of its own."""
    body = json.dumps({"style": wish["style"], "prompt": "a red apple", "seed": number % 1000}).encode()
    prefer = f"Prefer: {wish['prefer']}\r\n" if wish["prefer"] else ""
    head = (
        f"POST /v1/generations HTTP/1.1\r\nHost: 127.0.0.1:{wish['port']}\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: {run}-{number}\r\nContent-Type: application/json\r\n{prefer}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection that asks and reads, one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> bool:
        """Whether it was taken: 201."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length:") + 15
        await self._reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        return head.startswith(b"HTTP/1.1 201")


async def load(wish: dict[str, Any]) -> Load:
    """Ask for `seconds`, on `connections` at once."""
    run, numbers, seen = f"{random.getrandbits(64):x}", itertools.count(), Seen()
    begun = time.perf_counter()
    ends = begun + wish["seconds"]

    async def one(place: int) -> None:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", wish["port"]))
        while time.perf_counter() < ends:
            number = next(numbers)
            due = time.perf_counter()
            if wish["per_s"]:
                # What is late counts from when it was due: a slow answer must not slow the clock that measures it.
                due = begun + number / wish["per_s"]
                if due > ends:
                    return
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            token = wish["tokens"][number % len(wish["tokens"])]
            if await connection.ask(request_of(wish, token, number, run)):
                seen.paid.append(time.perf_counter() - due)
            else:
                seen.refused += 1

    await asyncio.gather(*(one(place) for place in range(wish["connections"])))
    took_s = time.perf_counter() - begun
    ordered = sorted(seen.paid) or [0.0]
    return Load(
        paid=len(seen.paid),
        refused=seen.refused,
        per_s=len(seen.paid) / took_s,
        p50_ms=1000 * ordered[len(ordered) // 2],
        p99_ms=1000 * ordered[int(len(ordered) * 0.99)],
    )


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(load(json.load(sys.stdin))))))
