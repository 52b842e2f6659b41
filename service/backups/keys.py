"""Identities that decrypt backups: the place's own, and one for each style that is deleted with it."""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pyrage.x25519 import Identity

from service.errors import NotStarted

PLACE = "place"
"""Owns what is no style's."""
_NAME = re.compile(r"place|sty_[0-9a-z]+")


@dataclass(frozen=True, kw_only=True)
class BackupKeys:
    """The folder that holds them, readable by this user alone. Names are PLACE and ids of styles."""

    folder: Path

    def of(self, owner: str) -> Identity | None:
        """The owner's identity, made at first use; None where it was forgotten. Whoever is first makes it; the others
        read that one."""
        found = self.find(owner)
        if found is not None or self._gone(owner).exists():
            return found
        path = self._path(owner)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"{Identity.generate()}\n")
            file.flush()
            os.fsync(file.fileno())
        # Somebody else was first: theirs is the one that is read.
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
        return self.find(owner)

    def find(self, owner: str) -> Identity | None:
        """The owner's identity; None where there is none, as of a style that was destroyed. Raises NotStarted."""
        path = self._path(owner)
        try:
            return Identity.from_str(path.read_text().strip())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise NotStarted(f"the backup key {path} cannot be read ({error}); bring it back from a copy") from error

    def forget(self, owner: str) -> None:
        """From now on nobody can read what any backup holds of this owner, and no backup gets anything of it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._gone(owner).touch()
        self._path(owner).unlink(missing_ok=True)

    def _gone(self, owner: str) -> Path:
        return self.folder / f"{owner}.destroyed"

    def _path(self, owner: str) -> Path:
        assert _NAME.fullmatch(owner), owner
        return self.folder / f"{owner}.txt"
