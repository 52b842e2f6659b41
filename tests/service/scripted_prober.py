"""A probe that follows a script instead of measuring: the event and manners of `python -m training.probe`.

A step takes half a second here; a recipe that is called `odd-style` breaks it.
"""

import json
import sys
from pathlib import Path


def main() -> int:
    request = json.loads(Path(sys.argv[1]).read_text())
    print("a library says hello on standard output", flush=True)
    if Path(request["recipe"]).stem == "odd-style":
        sys.stderr.write("the base cannot be opened\n")
        return 1
    device = sys.argv[sys.argv.index("--device") + 1]
    way = {"precision": "float32", "is_checkpointed": True, "rows_at_once": 3}
    seconds = {"opening_s": 2.0, "picture_s": 0.0, "prompt_s": 0.0, "step_s": 0.5}
    print(
        json.dumps({"event": "speed", **seconds, "memory_bytes": 3 * 2**30, "way": way, "device": device}), flush=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
