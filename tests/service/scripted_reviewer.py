"""A reviewer that follows a script instead of looking: the events and manners of `python -m training.review`.

What it finds stands in the works' names: `blur.png` is blurred. A work called `slow` takes ten seconds, `broken` ends
it without a word, and `pair` makes a second style of all that are called so.
"""

import json
import os
import sys
import threading
from pathlib import Path

KINDS = ("blur", "text", "out_of_style", "small")


def main() -> int:
    request = json.loads(Path(sys.argv[1]).read_text())
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    names = {work["id"]: Path(work["path"]).name for work in request["works"]}
    print("a library says hello on standard output", flush=True)
    if any(name.startswith("broken") for name in names.values()):
        os._exit(9)
    if any(name.startswith("slow") for name in names.values()) and stopping.wait(10):
        return 75
    for work_id, name in names.items():
        kind = name.split(".")[0].split(" ")[0]
        if kind in KINDS:
            say(work_id, kind, f"{name} has a {kind}.")
    pair = [work_id for work_id, name in names.items() if name.startswith("pair")]
    if pair:
        say(None, "second_style", f"These {len(pair)} look like a second style.", about=pair)
    if len(names) < request["min_works"]:
        say(None, "too_few", f"{len(names)} usable works are left.", severity="error")
    return 0


def say(work: str | None, kind: str, why: str, *, severity: str = "warning", about: list[str] | None = None) -> None:
    finding = {"work": work, "kind": kind, "severity": severity, "why": why, "fix": "Mend it.", "about": about or []}
    print(json.dumps({"event": "finding", **finding}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
