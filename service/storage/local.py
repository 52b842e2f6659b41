"""Objects as files in one folder."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from service.errors import ObjectMissing
from service.storage import Version, check_key

# Unfinished files wait here, outside every key: a part of a key never starts with a dot.
_ASIDE = ".unfinished"


def open_folder(url: str) -> "Folder":
    """The storage in the folder of `file:/a/folder`; made if it is not there, for this user alone."""
    root = Path(urlsplit(url).path)
    (root / _ASIDE).mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    return Folder(root)


class Folder:
    """The Storage protocol over files. A file appears under its key whole, by renaming."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, content: bytes | BinaryIO) -> None:
        target = self._path(key)
        handle, name = tempfile.mkstemp(dir=self._root / _ASIDE)
        try:
            with os.fdopen(handle, "wb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    shutil.copyfileobj(content, file, 1024**2)
                file.flush()
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def get(self, key: str) -> bytes:
        with self.open(key) as file:
            return file.read()

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError) as error:
            raise ObjectMissing(key) from error

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        self._drop_empty_folders(path.parent)

    def list_keys(self, prefix: str) -> Iterator[str]:
        keys = (path.relative_to(self._root).as_posix() for path in self._files(prefix))
        yield from sorted(key for key in keys if key.startswith(prefix) and not key.startswith(_ASIDE))

    def list_versions(self, prefix: str) -> Iterator[Version]:
        """Also files that were not finished when their process died."""
        for path in sorted(self._files(prefix)):
            key = path.relative_to(self._root).as_posix()
            if key.startswith(prefix):
                # Another process may delete it meanwhile.
                with suppress(FileNotFoundError):
                    yield Version(key=key, name="", num_bytes=path.stat().st_size)

    def digest(self, version: Version) -> str:
        try:
            with (self._root / version.key).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise ObjectMissing(version.key) from error

    def copy(self, source: str, target: str) -> None:
        with self.open(source) as file:
            self.put(target, file)

    def move(self, source: str, target: str) -> None:
        old, new = self._path(source), self._path(target)
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            old.replace(new)
        except FileNotFoundError as error:
            self._drop_empty_folders(new.parent)
            raise ObjectMissing(source) from error
        self._drop_empty_folders(old.parent)

    def _files(self, prefix: str) -> Iterator[Path]:
        # Not by `rglob`: a folder that goes away meanwhile has no files, and is no fault.
        for folder, _, names in os.walk(self._root / prefix.rpartition("/")[0]):
            yield from (Path(folder) / name for name in names)

    def drop_unfinished(self, prefix: str) -> int:
        """None: a file has no key before it is whole (`list_versions` of all shows those that are not)."""
        return 0

    def link(self, key: str, *, seconds: int, mime: str, filename: str) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _drop_empty_folders(self, folder: Path) -> None:
        while folder != self._root and folder.is_dir():
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent
