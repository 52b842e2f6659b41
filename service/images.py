"""Pictures that clients bring: sources of variations and masks. Only their owner's orders may use them."""

import asyncio
import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from inference.errors import ImageRefused
from inference.messages import MAX_IMAGE_BYTES
from inference.pictures import OpenedPicture, open_picture
from licensing.database import Connection
from licensing.sentence import say
from service.db.connections import read
from service.errors import Problem
from service.resources import Resources

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,", re.IGNORECASE)
_COLUMNS = "id, client_id, storage_key, sha256, mime, width, height, num_bytes, created_at, used_at"


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """One picture of a client. Stored as it came; the engine reads it upright, on white, without its metadata."""

    id: str
    client_id: str
    storage_key: str
    sha256: str
    mime: str
    width: int
    height: int
    num_bytes: int
    created_at: datetime
    used_at: datetime
    """Uploaded, priced or ordered with last: it is deleted a while after (`service.retention`)."""


async def keep_image(opened: Resources, *, client_id: str, content: bytes, name: str) -> StoredImage:
    """Check a picture and store it; the same bytes again are the same picture. `name` stands in front of a refusal.

    Raises Problem (image_refused) with what is wrong with the file and the way out.
    """
    picture = await asyncio.to_thread(check_image, content, name)
    sha256 = hashlib.sha256(content).hexdigest()
    async with opened.pool.acquire() as conn:
        there = await conn.fetchrow(
            f"UPDATE service.images SET used_at = $3 WHERE client_id = $1 AND sha256 = $2 RETURNING {_COLUMNS}",
            *(client_id, sha256, opened.clock()),
        )
    if there is not None:
        return read(StoredImage, there)
    now = opened.clock()
    image_id = opened.new_id("img")
    image = StoredImage(
        id=image_id,
        client_id=client_id,
        storage_key=f"images/{image_id}",
        sha256=sha256,
        mime=FORMATS[picture.format],
        width=picture.image.width,
        height=picture.image.height,
        num_bytes=len(content),
        created_at=now,
        used_at=now,
    )
    await asyncio.to_thread(opened.storage.put, image.storage_key, content)
    async with opened.pool.acquire() as conn:
        await conn.execute(
            f"INSERT INTO service.images ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            *(image.id, client_id, image.storage_key, sha256, image.mime, image.width, image.height),
            *(image.num_bytes, image.created_at, image.used_at),
        )
    return image


def check_image(content: bytes, name: str) -> OpenedPicture:
    """Decode it within the limits. Raises Problem (image_refused)."""
    if len(content) > MAX_IMAGE_BYTES:
        raise Problem(
            "image_refused",
            say(
                "{name} has {content:.1f} MiB, at most {most} MiB are read; save it smaller.",
                name=name,
                content=len(content) / 1024**2,
                most=MAX_IMAGE_BYTES // 1024**2,
            ),
        )
    try:
        picture = open_picture(content)
    except ImageRefused as error:
        raise Problem("image_refused", f"{name} {error}.") from error
    if picture.format not in FORMATS:
        raise Problem(
            "image_refused",
            say("{name} is a {format} file; save it as PNG, JPEG or WebP.", name=name, format=picture.format),
        )
    return picture


async def find_image(conn: Connection, image_id: str, *, client_id: str) -> StoredImage | None:
    """A client's own picture."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.images WHERE id = $1 AND client_id = $2", image_id, client_id
    )
    return read(StoredImage, row) if row else None


async def use_image(conn: Connection, image_id: str, *, client_id: str, now: datetime) -> StoredImage | None:
    """A client's own picture, for an order: kept as if it came now, so it is still there when it is drawn from."""
    row = await conn.fetchrow(
        f"UPDATE service.images SET used_at = $3 WHERE id = $1 AND client_id = $2 RETURNING {_COLUMNS}",
        *(image_id, client_id, now),
    )
    return read(StoredImage, row) if row else None


async def read_image(opened: Resources, image_id: str | None, *, client_id: str) -> bytes | None:
    """The bytes of a client's own picture; None for none. Raises ObjectMissing where it was deleted since."""
    if image_id is None:
        return None
    async with opened.pool.acquire() as conn:
        image = await find_image(conn, image_id, client_id=client_id)
    assert image is not None, "an order names its client's own pictures"
    return await asyncio.to_thread(opened.storage.get, image.storage_key)


def read_data_url(text: str, name: str) -> bytes | None:
    """The bytes of `data:image/...;base64,...`; None for a text that is no data URL. Raises Problem (image_refused)."""
    head = _DATA_URL.match(text)
    if head is None:
        return None
    try:
        return base64.b64decode(text[head.end() :], validate=True)
    except binascii.Error as error:
        raise Problem(
            "image_refused", say("{name} is a data URL whose base64 is broken; encode the file again.", name=name)
        ) from error
