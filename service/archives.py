"""A ZIP archive that is sent while it is written: no file on disk, and in memory no more than the file just added."""

import hashlib
import zipfile
from datetime import datetime
from typing import Any

_PACKED = (".json", ".txt", ".html", ".csv", ".jws")
"""What becomes smaller; pictures and weights do not."""


class Archive:
    """`add` and `close` return the bytes that come next. What was added is known by path, size and SHA-256."""

    def __init__(self, now: datetime) -> None:
        self._sent = _Pipe()
        self._zip = zipfile.ZipFile(self._sent, "w")  # type: ignore[call-overload] # it writes, which is all it must do
        self._time = now.timetuple()[:6]
        self.files: list[dict[str, Any]] = []

    def add(self, path: str, content: bytes) -> bytes:
        """Blocks. `path` is relative, with slashes, and in the archive once."""
        assert not path.startswith("/"), path
        assert ".." not in path.split("/"), path
        entry = zipfile.ZipInfo(path, date_time=self._time)
        entry.compress_type = zipfile.ZIP_DEFLATED if path.endswith(_PACKED) else zipfile.ZIP_STORED
        entry.external_attr = 0o600 << 16
        self._zip.writestr(entry, content)
        self.files.append({"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        return self._sent.take()

    def close(self) -> bytes:
        """The archive's own list of what is in it, with which it ends."""
        self._zip.close()
        return self._sent.take()


class _Pipe:
    """What `zipfile` writes to: it cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing waits here for anything."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
