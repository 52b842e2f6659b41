"""A file that lets a test decide when it is read."""

import threading
from pathlib import Path
from typing import Any


class SlowPath(type(Path())):  # type: ignore[misc]
    """A path whose file opens once `go_on` is set; `is_asked` says that somebody waits for it."""

    is_asked: threading.Event
    go_on: threading.Event

    def open(self, *args: Any, **kwargs: Any) -> Any:
        self.is_asked.set()
        assert self.go_on.wait(60)
        return super().open(*args, **kwargs)


def slow(path: Path) -> SlowPath:
    found = SlowPath(path)
    found.is_asked, found.go_on = threading.Event(), threading.Event()
    return found
