"""The storage as the service has it: creators' files can be stored, listed and deleted, and are opened by nobody."""

from collections.abc import Iterator
from typing import BinaryIO

from service.errors import FileRefused
from service.storage import Storage, Version

_CREATORS = ("works/", "trainings/")
_FOR_ANYBODY = "/examples/"
_SOLD = "outputs/"


def is_creators(key: str) -> bool:
    """Whether a creator's file lies there: a work, its thumbnail, or what a training made of works. Pictures that the
    trainer drew for the catalogue lie beside the latter and are for anybody."""
    return key.startswith(_CREATORS) and _FOR_ANYBODY not in key


class Closed:
    """The Storage protocol over another storage. `unlocked` is that one; only the data-use ledger may name it."""

    def __init__(self, unlocked: Storage) -> None:
        self.unlocked = unlocked

    def put(self, key: str, content: bytes | BinaryIO) -> None:
        self.unlocked.put(key, content)

    def get(self, key: str) -> bytes:
        """Raises FileRefused for a creator's file; so do the others that read."""
        return self.unlocked.get(_open_to_all(key))

    def open(self, key: str) -> BinaryIO:
        return self.unlocked.open(_open_to_all(key))

    def exists(self, key: str) -> bool:
        return self.unlocked.exists(key)

    def delete(self, key: str) -> None:
        self.unlocked.delete(key)

    def list_keys(self, prefix: str) -> Iterator[str]:
        return self.unlocked.list_keys(prefix)

    def list_versions(self, prefix: str) -> Iterator[Version]:
        return self.unlocked.list_versions(prefix)

    def digest(self, version: Version) -> str:
        """Of creators' files, too: a hash shows nobody what it is of."""
        return self.unlocked.digest(version)

    def copy(self, source: str, target: str) -> None:
        self.unlocked.copy(_open_to_all(source), target)

    def move(self, source: str, target: str) -> None:
        self.unlocked.move(_open_to_all(source), target)

    def drop_unfinished(self, prefix: str) -> int:
        return self.unlocked.drop_unfinished(prefix)

    def link(self, key: str, *, seconds: int, mime: str, filename: str) -> str | None:
        """Of a sold picture alone, which stays its buyer's at every level of the switch. A link works until it runs
        out, whatever is switched off meanwhile. Raises FileRefused for everything else."""
        if not key.startswith(_SOLD):
            raise FileRefused(f"{key} is no sold picture; it is sent by us, who can stop at once")
        return self.unlocked.link(key, seconds=seconds, mime=mime, filename=filename)


def _open_to_all(key: str) -> str:
    if is_creators(key):
        raise FileRefused(f"{key} is a creator's file; open it with a purpose, by service.data_use")
    return key
