"""What everything is written with: a connection of the tables' owner, dice, dates, one small file under many names."""

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from licensing.tenancy import ACTING, HOUSE
from service.ids import new_id
from service.resources import Gateway

DAYS = 365
PICTURE = "shared.png"


@dataclass(frozen=True, kw_only=True)
class Hand:
    """`now` is the end of the year that is written down. `picture` is the file that stands for all pictures."""

    conn: asyncpg.Connection
    web: Gateway
    dice: random.Random
    now: datetime
    objects: Path
    picture: Path

    @property
    def start(self) -> datetime:
        return self.now - timedelta(days=DAYS)

    def id(self, prefix: str, at: datetime) -> str:
        """A new id as it would have been made at that time."""
        return new_id(prefix, clock=lambda: at)

    def time(self, since: float = 0.0, until: float = 1.0) -> datetime:
        """A moment of the year, between these shares of it."""
        return self.start + timedelta(days=DAYS * self.dice.uniform(since, until))

    def times(self, count: int, since: float = 0.0, until: float = 1.0) -> list[datetime]:
        """Moments of the year, in order."""
        return sorted(self.time(since, until) for _ in range(count))

    def hex(self, num_bytes: int = 32) -> str:
        return self.dice.randbytes(num_bytes).hex()

    def lay(self, key: str, content: Path | None = None) -> str:
        """The picture, or another file, under a key of the storage; the key."""
        path = self.objects / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.link(content or self.picture, path)
        return key

    async def put(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of a table, all with the same columns; dictionaries and lists of them are written as JSON."""
        if not rows:
            return
        schema, name = table.split(".")
        columns = list(rows[0])
        records = [tuple(_written(row[column]) for column in columns) for row in rows]
        await self.conn.copy_records_to_table(name, schema_name=schema, columns=columns, records=records)


def _written(value: Any) -> Any:
    is_json = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    return json.dumps(value) if is_json else value


async def owner(database_url: str) -> asyncpg.Connection:
    """A connection of the tables' owner that acts for the house. What it commits need not be safe at once."""
    settings = {ACTING: HOUSE, "synchronous_commit": "off"}
    return await asyncpg.connect(database_url, server_settings=settings)
