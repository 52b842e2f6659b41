"""Where pictures lie until they are paid for: `pending/<order>/`. Whatever lies there is nobody's yet."""

import asyncio

from service.storage import Storage

PREFIX = "pending/"


def drawn_key(order_id: str, number: int) -> str:
    """The unsealed picture, as the worker left it."""
    return f"{PREFIX}{order_id}/{number}.png"


def sealed_key(order_id: str, number: int, sha256: str) -> str:
    """The sealed picture. Its hash is part of the name: two attempts at once cannot swap each other's bytes."""
    return f"{PREFIX}{order_id}/{number}.{sha256[:16]}.sealed.png"


def halfway_key(order_id: str, number: int) -> str:
    """A picture in the middle of its making, as the engine wrote it down (`inference.halfway`)."""
    return f"{PREFIX}{order_id}/{number}.halfway"


def final_key(output_id: str) -> str:
    """Where a paid picture stays."""
    return f"outputs/{output_id}.png"


def order_of(key: str) -> str:
    """The order that a pending key belongs to."""
    return key.removeprefix(PREFIX).partition("/")[0]


async def drop(storage: Storage, order_id: str) -> int:
    """Delete everything of an order under `pending/`; how many objects that were."""

    def delete() -> int:
        keys = list(storage.list_keys(f"{PREFIX}{order_id}/"))
        for key in keys:
            storage.delete(key)
        return len(keys)

    return await asyncio.to_thread(delete)
