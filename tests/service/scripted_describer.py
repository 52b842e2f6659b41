"""A describer that follows a script instead of looking: the events and manners of `python -m training.description`.

What it says stands in the works' names: `boat.png` is a boat. One that begins with `slow` takes ten seconds, `mute`
shows nothing that can be said, `lost` is a file that cannot be opened, and `broken` ends it with a sentence.
"""

import json
import sys
import threading
from pathlib import Path


def main() -> int:
    request = json.loads(Path(sys.argv[1]).read_text())
    assert sys.argv[2] == "--device"
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    print("a library says hello on standard output", flush=True)
    for work in request["works"]:
        name = Path(work["path"]).stem
        if name.startswith("broken"):
            sys.stderr.write(f"the captioning model {request['captioner']} cannot be opened\n")
            return 1
        if name.startswith("slow") and stopping.wait(10):
            return 75
        if name.startswith("lost"):
            say(
                "finding", work=work["id"], kind="damaged", severity="error", why="It is cut off.", fix="Save it again."
            )
            continue
        captions = [] if name.startswith("mute") else [f"a {name}", f"{name} seen by {request['captioner']}"]
        say("described", work=work["id"], captions=captions)
    return 0


def say(event: str, **content: object) -> None:
    print(json.dumps({"event": event, **content}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
