"""Objects in memory, for tests that need a storage and nothing of where it lies."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from service.errors import ObjectMissing
from service.storage import Version, check_key


@dataclass(frozen=True)
class Memory:
    """The Storage protocol over a dictionary."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, key: str, content: bytes | BinaryIO) -> None:
        self.objects[check_key(key)] = content if isinstance(content, bytes) else content.read()

    def get(self, key: str) -> bytes:
        try:
            return self.objects[check_key(key)]
        except KeyError as error:
            raise ObjectMissing(key) from error

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self.get(key))

    def exists(self, key: str) -> bool:
        return check_key(key) in self.objects

    def delete(self, key: str) -> None:
        self.objects.pop(check_key(key), None)

    def list_keys(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))

    def list_versions(self, prefix: str) -> Iterator[Version]:
        for key in self.list_keys(prefix):
            yield Version(key=key, name="", num_bytes=len(self.objects[key]))

    def digest(self, version: Version) -> str:
        return hashlib.sha256(self.get(version.key)).hexdigest()

    def copy(self, source: str, target: str) -> None:
        self.put(target, self.get(source))

    def move(self, source: str, target: str) -> None:
        self.copy(source, target)
        self.delete(source)

    def drop_unfinished(self, prefix: str) -> int:
        return 0

    def link(self, key: str, *, seconds: int, mime: str, filename: str) -> str | None:
        return None
