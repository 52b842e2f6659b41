"""A trainer that follows a script instead of learning: the events, files and manners of `python -m training.run`.

Each of its trainings takes 20 steps, in turn with the others, 20 ms a round. It keeps their places in checkpoint files,
stops with checkpoints on SIGTERM and when its standard input closes, one alone at `stop <id>`, and writes adapters
without tensors. The seed chooses a training's end: REFUSED by the gate, FAILS with a sentence, DIES_ONCE without a word
at its first start, DIES after every three steps, DIES_IN_COMPANY alike, LONG takes 500 steps, MUTE as many and ignores
`stop`. Its pictures are plain: works are red, what the base draws is green, what the style draws is blue. Who was
started with whom lies in each scratch folder, as lines of `company`.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

from PIL import Image

from inference.likeness import look_at, pack_looks
from training.kept import KEPT, look_name, place_of
from training.report import Pair, draw_sheet
from training.wording import say

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
REFUSED, FAILS, DIES_ONCE, LONG, DIES, DIES_IN_COMPANY, MUTE = 1, 2, 3, 4, 5, 6, 7
STEPS = {LONG: 500, MUTE: 500}
PASSED, INTERRUPTED = 0, 75


def main() -> int:
    device = sys.argv[sys.argv.index("--device") + 1]
    requests = [json.loads(Path(path).read_text()) for path in sys.argv[1 : sys.argv.index("--device")]]
    ending, stopped = threading.Event(), set[str]()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    threading.Thread(target=listen, args=(ending, stopped), daemon=True).start()
    company = " ".join(request["id"] for request in requests)
    running = {
        request["id"]: Script(request, company if len(requests) > 1 else "", device).play() for request in requests
    }
    seeds = {request["id"]: request["seed"] for request in requests}
    for script in running.values():
        next(script)
    codes: list[int] = []
    while running:
        for training_id, script in list(running.items()):
            to_stop = ending.is_set() or (training_id in stopped and seeds[training_id] != MUTE)
            code = script.send(to_stop)
            if code is not None:
                codes.append(code)
                del running[training_id]
        time.sleep(0.02)
    return max(codes)


def listen(ending: threading.Event, stopped: set[str]) -> None:
    for line in sys.stdin:
        stopped.add(line.removeprefix("stop ").strip())
    ending.set()


class Script:
    """One training. `company`: all that were started with it, where there are others."""

    def __init__(self, request: dict, company: str, device: str) -> None:
        self.request, self.company, self.device = request, company, device
        self.scratch, self.out, self.seed = Path(request["scratch"]), Path(request["out"]), request["seed"]
        self.steps = STEPS.get(self.seed, 20)

    def play(self) -> Generator[int | None, bool, None]:
        """Yields None before every step, or the exit code at the end; is sent True where it is to stop."""
        self.start()
        yield None
        checkpoint = self.scratch / "step"
        start = int(checkpoint.read_text()) if checkpoint.exists() else 0
        if self.request["take"]:
            # What an earlier one kept is judged, and nothing is learnt.
            content = place_of(look_name(self.request["take"]), self.scratch).read_bytes()
            assert content == f"the adapter after {self.request['take']} steps".encode()
            start = self.steps
        for step in range(start + 1, self.steps + 1):
            if (yield None):
                self.say(event="state", state="interrupted", message="stopped")
                yield INTERRUPTED
            if step == start + 4 and (self.seed == DIES or (self.seed == DIES_IN_COMPANY and self.company)):
                os.kill(os.getpid(), signal.SIGKILL)
            checkpoint.write_text(str(step))
            self.tell(step)
        self.say(event="state", state="measuring", message="")
        yield self.end()

    def start(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        self.say(event="state", state="preparing", message="")
        self.say(event="finding", work=None, kind="count", severity="note", why="Enough works.", fix="Nothing to do.")
        self.say(event="estimate", seconds=1.0, steps=self.steps)
        with (self.scratch / "company").open("a") as companies:
            companies.write(f"{self.company}\n")
        starts = (self.scratch / "company").read_text().count("\n")
        if self.seed == DIES_ONCE and starts == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.say(event="state", state="training", message="")
        print("a library says hello on standard output", flush=True)

    def tell(self, step: int) -> None:
        self.say(event="progress", step=step, steps=self.steps, loss=1 / step, eta_s=(self.steps - step) * 0.02)
        if step % 10 == 0:
            self.say(event="heldout", step=step, gain=step / 100)
            sample = self.scratch / "sample.png"
            Image.new("RGB", (24, 24), BLUE).save(sample)
            self.say(event="sample", step=step, path=str(sample))

    def end(self) -> int:
        if self.seed == FAILS:
            self.say(event="state", state="failed", message="The works taught nothing; add more.")
            return 1
        self.write_files()
        state, message = (
            ("refused", "It copies its works; add different ones.") if self.seed == REFUSED else ("passed", "")
        )
        self.say(event="state", state=state, message=message)
        return 3 if self.seed == REFUSED else PASSED

    def write_files(self) -> None:
        metadata = {"modelspec.trigger_phrase": "zorbel", "ownhand.base": self.request["base"], "ownhand.rank": "2"}
        header = json.dumps({"__metadata__": metadata}).encode()
        adapter = len(header).to_bytes(8, "little") + header
        (self.out / "adapter.safetensors").write_bytes(adapter)
        (self.out / "report.html").write_text(
            '<!doctype html><html lang="en"><title>Report</title><style>p {color: green}</style>'
            f"<p>It looks right, on {self.device}.</p><h1>{say('passed_head')}</h1>"
        )
        works = sorted(hashlib.sha256(Path(work["path"]).read_bytes()).hexdigest() for work in self.request["works"])
        receipt = {
            "adapter": {"sha256": hashlib.sha256(adapter).hexdigest()},
            "works": {"trained": works, "held_out": []},
        }
        (self.out / "receipt.json").write_text(json.dumps({"receipt": receipt, "signature": None}))
        files = {"adapter": "adapter.safetensors", "receipt": "receipt.json", "report": "report.html"}
        examples = self.draw_pictures()
        paths = {name: str(self.out / file) for name, file in files.items()}
        if self.seed != REFUSED:
            flat = self.scratch / "adapter.flat"
            flat.write_bytes(b"the same, flat")
            paths["flat"] = str(flat)
        looks = self.scratch / "looks.npy"
        looks.write_bytes(pack_looks([[look_at(Image.new("RGB", (24, 24), RED))] for _ in self.request["works"]]))
        paths["looks"] = str(looks)
        kept = [] if self.request["take"] else self.keep()
        self.say(event="done", scores={"heldout_gain": 0.2}, examples=examples, kept=kept, **paths)

    def keep(self) -> list[str]:
        """The look in the middle, as something that could be released instead."""
        paths = [place_of(name, self.scratch) for name in (KEPT, look_name(10))]
        paths[1].parent.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(json.dumps({"looks": [{"step": 10, "gain": 0.1, "error": 0.02}]}))
        paths[1].write_text("the adapter after 10 steps")
        return [str(path) for path in paths]

    def draw_pictures(self) -> list[str]:
        """The sheet, as the last sample, and the examples, whose paths are returned."""
        work, without, with_style = (Image.new("RGB", (24, 24), colour) for colour in (RED, GREEN, BLUE))
        pair = Pair(caption="a shape", work=work, without=without, with_style=with_style)
        draw_sheet([pair, pair]).save(self.scratch / "with-and-without.png")
        self.say(event="sample", step=20, path=str(self.scratch / "with-and-without.png"))
        paths = [self.scratch / f"example-{number}.png" for number in (1, 2)]
        for path in paths:
            with_style.save(path)
        return [str(path) for path in paths]

    def say(self, **event: object) -> None:
        whose = {"training": self.request["id"]} if self.company else {}
        print(json.dumps({**whose, **event}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
