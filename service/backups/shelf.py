"""How a folder of backups is laid out, and its files: encrypted when they are written, decrypted when they are read."""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pyrage

from service.backups.keys import PLACE, BackupKeys
from service.errors import NotStarted

MANIFEST, DATABASE, OBJECTS, SECRETS = "manifest.age", "database.age", "objects.age", "secrets.age"
FORMAT = "ownhand-backup/1"
_UNFINISHED, _LAST = ".unfinished", "last-backup"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object and whose it is: PLACE or the id of a style."""

    key: str
    num_bytes: int
    sha256: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A folder of backups."""

    folder: Path
    keys: BackupKeys

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes here meanwhile; what somebody who died had begun is deleted. Raises NotStarted."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NotStarted(f"another backup is being written to {self.folder}; wait for it") from None
            for left in self.folder.glob(f"*{_UNFINISHED}"):
                shutil.rmtree(left)
            yield

    def begin(self, now: datetime) -> Path:
        """The folder of a new backup, under a name that no reader takes for one."""
        aside = self.folder / f"{now:%Y-%m-%dT%H%M%SZ}{_UNFINISHED}"
        aside.mkdir()
        return aside

    def finish(self, aside: Path, *, at: datetime) -> Path:
        """From now on it is a backup, of this moment."""
        whole = aside.with_name(aside.name.removesuffix(_UNFINISHED))
        aside.replace(whole)
        _sync(self.folder)
        # Beside the keys, where the web role sees it: it does not know where backups lie.
        (self.keys.folder / _LAST).write_text(f"{at.isoformat()}\n")
        return whole

    def backups(self) -> list[Path]:
        """All that are whole, the newest last."""
        return sorted(path.parent for path in self.folder.glob(f"*Z/{MANIFEST}"))

    def write(self, path: Path, content: BinaryIO, owner: str = PLACE) -> bool:
        """Encrypt `content` for its owner into a new file, which is on the disk when this returns; False where the
        owner's key is gone."""
        identity = self.keys.of(owner)
        if identity is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with aside.open("wb") as file:
            pyrage.encrypt_io(content, file, [identity.to_public()])
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync(path.parent)
        return True

    def read(self, path: Path, into: BinaryIO, owner: str = PLACE) -> bool:
        """Decrypt a file into another; False where the owner's key is gone for good. Raises NotStarted where the file
        is missing or damaged."""
        identity = self.keys.find(owner)
        if identity is None:
            return False
        try:
            with path.open("rb") as file:
                pyrage.decrypt_io(file, into, [identity])
        except FileNotFoundError:
            raise NotStarted(f"{path} is missing; this backup is not whole, take another one") from None
        except (pyrage.DecryptError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            # What is damaged in its middle is an error of reading without a number.
            raise NotStarted(f"{path} cannot be decrypted ({error}): it is damaged, or of another place") from error
        return True

    def content(self, one: StoredObject) -> Path:
        """Where the content of an object lies, for all backups that have it."""
        return self.folder / "objects" / one.sha256[:2] / f"{one.sha256}.{one.owner}.age"

    def write_objects(self, backup: Path, objects: Iterable[StoredObject]) -> None:
        """The catalogue of a backup's objects."""
        lines = "".join(f"{json.dumps(asdict(one), sort_keys=True)}\n" for one in objects)
        self.write(backup / OBJECTS, io.BytesIO(lines.encode()))

    def read_objects(self, backup: Path) -> list[StoredObject]:
        """All of them. Raises NotStarted."""
        return [StoredObject(**json.loads(line)) for line in self.read_text(backup / OBJECTS).splitlines()]

    def read_text(self, path: Path) -> str:
        """A file of the place's. Raises NotStarted, also where the place's key is not there."""
        text = io.BytesIO()
        if not self.read(path, text):
            raise NotStarted(
                f"the place's backup key is not in {self.keys.folder}; without it no backup can be read"
                " (OWNHAND_BACKUP_KEYS names the folder)"
            )
        return text.getvalue().decode()

    def prune(self, keep: int) -> tuple[int, int]:
        """Delete all backups but the newest `keep`, then contents that none has; how many of each."""
        with self.alone():
            old = self.backups()[:-keep]
            for backup in old:
                # Without it the rest is no backup any more, whenever this is interrupted.
                (backup / MANIFEST).unlink()
                shutil.rmtree(backup)
            used = {self.content(one) for backup in self.backups() for one in self.read_objects(backup)}
            unused = [path for path in (self.folder / "objects").glob("*/*") if path not in used]
            for path in unused:
                path.unlink()
        return len(old), len(unused)


def last_backup(keys: Path) -> datetime | None:
    """Of which moment the newest backup is that came to its end; None where there was none. keys: their folder."""
    try:
        return datetime.fromisoformat((keys / _LAST).read_text().strip())
    except (FileNotFoundError, ValueError):
        return None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
