"""Where objects lie: works, adapters, pictures. One protocol, a folder or an S3 bucket behind it.

All calls block; callers on an event loop use `asyncio.to_thread`. `open_storage` chooses by URL.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

STORAGES = {
    "file": "service.storage.local:open_folder",
    "s3": "service.storage.s3:open_bucket",
}
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_KEY_CHARACTERS_MAX = 512


@dataclass(frozen=True, kw_only=True)
class Version:
    """An object, or what a bucket with versions still keeps of one that was replaced or deleted.

    `name` tells versions of one key apart; it is empty where a storage has only one of each.
    """

    key: str
    name: str
    num_bytes: int


class Storage(Protocol):
    """Bytes under keys like `works/wrk_1/original.png`."""

    def put(self, key: str, content: bytes | BinaryIO) -> None:
        """Store all of `content`, or nothing; what lay there before is replaced."""

    def get(self, key: str) -> bytes:
        """Everything under `key`. Raises ObjectMissing."""

    def open(self, key: str) -> BinaryIO:
        """A file to read piece by piece; the caller closes it. Raises ObjectMissing."""

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Remove it with all its versions; nothing happens where nothing lies."""

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts with `prefix`, in order."""

    def list_versions(self, prefix: str) -> Iterator[Version]:
        """Everything that lies under keys with this prefix, also what `get` no longer finds."""

    def digest(self, version: Version) -> str:
        """The SHA-256 of its bytes, in hexadecimal. Raises ObjectMissing."""

    def copy(self, source: str, target: str) -> None:
        """Raises ObjectMissing where `source` is missing."""

    def move(self, source: str, target: str) -> None:
        """Afterwards the object lies under `target` alone. Raises ObjectMissing where `source` is missing."""

    def drop_unfinished(self, prefix: str) -> int:
        """Delete what was begun to be stored under keys with this prefix and never finished; how many."""

    def link(self, key: str, *, seconds: int, mime: str, filename: str) -> str | None:
        """A URL that gives the object to anybody for so long, as a file of this name; None where the storage has none
        and whoever asks sends it."""


def open_storage(url: str | None, home: Path) -> Storage:
    """The storage that `url` names, `file:/folder` or `s3://bucket/prefix?endpoint=...`; without one, `home/objects`.

    Raises ValueError for a scheme or an option that nobody knows.
    """
    scheme = urlsplit(url).scheme if url else "file"
    if scheme not in STORAGES:
        raise ValueError(f"storage {url!r} is of no known kind; it starts with {' or '.join(sorted(STORAGES))}:")
    module, name = STORAGES[scheme].split(":")
    storage: Storage = getattr(import_module(module), name)(url or f"file:{home / 'objects'}")
    return storage


def check_key(key: str) -> str:
    """`key` itself. Raises ValueError for one that could leave its place: `..`, a leading slash, odd characters."""
    if len(key) > _KEY_CHARACTERS_MAX or not _KEY.fullmatch(key):
        raise ValueError(f"{key[:80]!r} is no storage key: parts of letters, digits, . _ - with / between them")
    return key
