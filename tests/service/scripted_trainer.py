"""A trainer that follows a script instead of learning: the events, files and manners of `python -m training.run`.

It takes 20 steps of 20 ms, keeps its place in a checkpoint file, stops with a checkpoint on SIGTERM and when its
standard input closes, and writes an adapter without tensors. The seed chooses the end: REFUSED by the gate, FAILS with
a sentence, DIES_ONCE without a word at its first start, LONG takes 500 steps. Its pictures are plain: works are red,
what the base draws is green, what the style draws is blue.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from PIL import Image

from inference.likeness import look_at, pack_looks
from training.report import Pair, draw_sheet

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
REFUSED, FAILS, DIES_ONCE, LONG = 1, 2, 3, 4
STEPS = {LONG: 500}


def main() -> int:
    request = json.loads(Path(sys.argv[1]).read_text())
    scratch, out, seed = Path(request["scratch"]), Path(request["out"]), request["seed"]
    scratch.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    say(event="state", state="preparing", message="")
    say(event="finding", work=None, kind="count", severity="note", why="Enough works.", fix="Nothing to do.")
    say(event="estimate", seconds=1.0, steps=STEPS.get(seed, 20))
    starts = scratch / "starts"
    starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
    if seed == DIES_ONCE and starts.read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    say(event="state", state="training", message="")
    if not take_steps(scratch, STEPS.get(seed, 20), stopping):
        return 4
    say(event="state", state="measuring", message="")
    if seed == FAILS:
        say(event="state", state="failed", message="The works taught nothing; add more.")
        return 1
    finish(request, out, "refused" if seed == REFUSED else "passed", device=sys.argv[sys.argv.index("--device") + 1])
    return 3 if seed == REFUSED else 0


def take_steps(scratch: Path, steps: int, stopping: threading.Event) -> bool:
    """True if all were taken; the place is kept after every step."""
    checkpoint = scratch / "step"
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    print("a library says hello on standard output", flush=True)
    for step in range(start + 1, steps + 1):
        if stopping.is_set():
            return False
        time.sleep(0.02)
        checkpoint.write_text(str(step))
        say(event="progress", step=step, steps=steps, loss=1 / step, eta_s=(steps - step) * 0.02)
        if step % 10 == 0:
            say(event="heldout", step=step, gain=step / 100)
            sample = scratch / "sample.png"
            sample.write_bytes(b"\x89PNG\r\n\x1a\n not much of a picture")
            say(event="sample", step=step, path=str(sample))
    return True


def finish(request: dict, out: Path, state: str, *, device: str) -> None:
    metadata = {"modelspec.trigger_phrase": "zorbel", "ownhand.base": request["base"], "ownhand.rank": "2"}
    header = json.dumps({"__metadata__": metadata}).encode()
    adapter = len(header).to_bytes(8, "little") + header
    (out / "adapter.safetensors").write_bytes(adapter)
    (out / "report.html").write_text(
        f"<!doctype html><title>Report</title><style>p {{color: green}}</style><p>It looks right, on {device}."
    )
    works = sorted(hashlib.sha256(Path(work["path"]).read_bytes()).hexdigest() for work in request["works"])
    receipt = {
        "adapter": {"sha256": hashlib.sha256(adapter).hexdigest()},
        "works": {"trained": works, "held_out": []},
    }
    (out / "receipt.json").write_text(json.dumps({"receipt": receipt, "signature": None}))
    files = {"adapter": "adapter.safetensors", "receipt": "receipt.json", "report": "report.html"}
    examples = draw_pictures(Path(request["scratch"]))
    looks = Path(request["scratch"]) / "looks.npy"
    looks.write_bytes(pack_looks([[look_at(Image.new("RGB", (24, 24), RED))] for _ in request["works"]]))
    paths = {name: str(out / file) for name, file in files.items()}
    say(event="done", scores={"heldout_gain": 0.2}, examples=examples, looks=str(looks), **paths)
    say(event="state", state=state, message="" if state == "passed" else "It copies its works; add different ones.")


def draw_pictures(scratch: Path) -> list[str]:
    """The sheet, as the last sample, and the examples, whose paths are returned."""
    work, without, with_style = (Image.new("RGB", (24, 24), colour) for colour in (RED, GREEN, BLUE))
    pair = Pair(caption="a shape", work=work, without=without, with_style=with_style)
    draw_sheet([pair, pair]).save(scratch / "with-and-without.png")
    say(event="sample", step=20, path=str(scratch / "with-and-without.png"))
    paths = [scratch / f"example-{number}.png" for number in (1, 2)]
    for path in paths:
        with_style.save(path)
    return [str(path) for path in paths]


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main())
