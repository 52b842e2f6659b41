"""Where something lies that should be gone: every column of every table, and every object."""

import base64
import hashlib
import re

import asyncpg

from service.resources import Gateway

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1
"""
_BASE64 = re.compile(r"[A-Za-z0-9_+/-]{16,}={0,2}")


async def traces(web: Gateway, needle: str | bytes) -> list[str]:
    """The tables and objects that hold `needle`: as it is, in any case, in base64, or as bytes."""
    content = needle.encode() if isinstance(needle, str) else needle
    found = []
    async with web.pool.acquire() as conn:
        for record in await conn.fetch(_TABLES):
            table: str = record[0]
            if any(_holds(text, content) for text in await _rows(conn, table)):
                found.append(table)
    storage = web.storage.unlocked
    return found + [key for key in storage.list_keys("") if content.lower() in storage.get(key).lower()]


async def hash_traces(web: Gateway, content: bytes) -> list[str]:
    """The objects whose bytes are these."""
    storage, wanted = web.storage.unlocked, hashlib.sha256(content).digest()
    return [key for key in storage.list_keys("") if hashlib.sha256(storage.get(key)).digest() == wanted]


async def _rows(conn: asyncpg.Connection, table: str) -> list[str]:
    return [record[0] for record in await conn.fetch(f"SELECT t::text FROM {table} t")]


def _holds(row: str, content: bytes) -> bool:
    plain = row.lower().encode()
    if content.lower() in plain or content.hex().encode() in plain:
        return True
    return any(content.lower() in _decoded(word).lower() for word in _BASE64.findall(row))


def _decoded(word: str) -> bytes:
    """What a word of base64 says, at all four places where it may begin; empty where it is none."""
    plain = word.rstrip("=").replace("-", "+").replace("_", "/")
    texts = (plain[start : start + (len(plain) - start) // 4 * 4] for start in range(4))
    return b"|".join(base64.b64decode(text) for text in texts)
