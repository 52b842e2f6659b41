"""`python -m training.probe REQUEST.json [--device auto]`: how fast this machine trains, and in which way, on stdout.

A few steps over grey pictures, before anything of a creator's is touched: no table of cards and presets, which is
always out of date. Exit codes as those of `training.run`.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import psutil
import torch
from PIL import Image
from torch import Tensor

from inference.adapters.stack import StackedAdapters
from inference.bases import Base, open_base
from inference.catalog import BaseSpec, base_spec
from inference.devices import AUTO, choose_device
from training import state, steps
from training.captions import with_trigger
from training.encode import ENCODE_BATCH, Encoded, encode_texts
from training.interruption import run_process
from training.messages import Speed, Way, event_line, read_request
from training.plan import Split
from training.recipe import Recipe, recipe_for
from training.ways import can_be_checkpointed, thread_counts

COUNTED = 2
"""Steps that are timed; the one before them is slower than any other and not counted."""
WORTH_CHANGING = 1.15
"""A way is changed for one that is so many times as fast: a closer race would end otherwise on another day, and the
precision is part of what an adapter is."""
MEMORY_SHARE = 0.8
"""Of the memory that is free, what rows may take; a GPU says by itself when there is too little."""
WORKS, CAPTION, TRIGGER = 4, "thing", "xovaj"
Answer = TypeVar("Answer")


def main(arguments: list[str]) -> int:
    """Measure for the training whose request is in the file that is named, on the device that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.probe", description="How fast a machine trains.")
    parser.add_argument("request", type=Path, help="a JSON file that holds a TrainingRequest; its works are not opened")
    parser.add_argument("--device", default=AUTO, help="cpu, cuda or cuda:1; auto takes a GPU if there is one")
    asked = parser.parse_args(arguments)

    def measure(go_on: Callable[[], None]) -> None:
        request = read_request(asked.request.read_text(encoding="utf-8"))
        spec = base_spec(request.base)
        recipe = recipe_for(spec, request.recipe)
        speed = probe(spec, recipe, device=choose_device(asked.device), go_on=go_on)
        sys.stdout.write(event_line(speed) + "\n")
        sys.stdout.flush()

    return run_process(measure)


def probe(spec: BaseSpec, recipe: Recipe, *, device: str, go_on: Callable[[], None] = lambda: None) -> Speed:
    """Open the base and measure it. `go_on` is called before every step and may raise to end it. Raises TooLarge."""
    began = time.perf_counter()
    base = open_base(spec, device=device)
    opening_s = time.perf_counter() - began
    data, picture_s, prompt_s = _encoded(base)
    way, step_s = fastest_way(base, data, recipe, go_on=go_on)
    return Speed(
        opening_s=round(opening_s, 2),
        picture_s=round(picture_s, 5),
        prompt_s=round(prompt_s, 5),
        step_s=round(step_s, 4),
        memory_bytes=_most_memory(base),
        way=way,
        device=device,
    )


def fastest_way(
    base: Base, data: Encoded, recipe: Recipe, *, stack: StackedAdapters | None = None, go_on: Callable[[], None]
) -> tuple[Way, float]:
    """The way that trains fastest of those that fit into memory, and the seconds of a step. Raises TooLarge.

    Exact numbers and nothing computed twice, unless another way is clearly faster. To compute things again only pays
    where it makes room for more rows, so it is not tried where all of them fit without. stack: the one that lies over
    the base's denoiser, if there is one.
    """
    timed = partial(_timed, base, data, recipe, stack=stack or StackedAdapters(base.denoiser), go_on=go_on)
    best, best_s = _fewest_threads(base.device.type, timed)
    plain = replace(best, rows_at_once=0)
    tried = [Way(precision="bfloat16")] if base.device.type == "cuda" else []
    if best.rows_at_once and can_be_checkpointed(base.denoiser):
        tried += [replace(way, is_checkpointed=True) for way in (plain, *tried)]
    for way in tried:
        found, seconds = timed(way)
        if seconds * WORTH_CHANGING < best_s:
            best, best_s = found, seconds
    return best, best_s


def _fewest_threads(kind: str, timed: Callable[[Way], tuple[Way, float]]) -> tuple[Way, float]:
    """The plain way by as few threads as twice as many are hardly faster than, and the seconds of a step.

    The steps of a small base are many small sums: its threads then wait for each other more than they compute, and take
    a core from whatever else the machine does.
    """
    counts = thread_counts()
    if kind != "cpu" or counts == [1]:
        return timed(Way())
    best, best_s = timed(Way(num_threads=counts[0]))
    for count in counts[1:]:
        found, seconds = timed(Way(num_threads=count))
        if seconds * WORTH_CHANGING >= best_s:
            break
        best, best_s = found, seconds
    return best, best_s


def _timed(
    base: Base, data: Encoded, recipe: Recipe, way: Way, *, stack: StackedAdapters, go_on: Callable[[], None]
) -> tuple[Way, float]:
    """The way with the rows that fit, and the seconds of one step."""
    if base.device.type == "cpu":
        way = replace(way, rows_at_once=rows_with_room(row_bytes(base, data, recipe, way, stack=stack)))
    seconds: list[float] = []
    with TemporaryDirectory() as folder:
        training = _training(base, data, replace(recipe, steps=COUNTED + 1), way, Path(folder), stack)
        for done in steps.take_steps(training):
            go_on()
            seconds.append(done.seconds)
            if done.rows_at_once < recipe.batch:
                way = replace(way, rows_at_once=done.rows_at_once)
    if way.rows_at_once >= recipe.batch:
        # More of them would fit as well, as far as anybody knows.
        way = replace(way, rows_at_once=0)
    return way, sum(seconds[1:]) / COUNTED


def rows_with_room(one_row_bytes: int) -> int:
    """How many rows a CPU's memory has room for, one at least.

    A CPU does not refuse memory, it swaps or kills: so a row is weighed before more of them are taken.
    """
    return max(int(MEMORY_SHARE * psutil.virtual_memory().available / one_row_bytes), 1)


def row_bytes(base: Base, data: Encoded, recipe: Recipe, way: Way, *, stack: StackedAdapters | None = None) -> int:
    """What one row keeps in memory between a step's forward and backward pass, the base's own weights aside.

    stack: the one that lies over the base's denoiser, if there is one.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with TemporaryDirectory() as folder, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        one_row = replace(recipe, batch=1, prior_share=0.0, steps=1)
        training = _training(base, data, one_row, way, Path(folder), stack)
        for _ in steps.take_steps(training):
            pass
    weights = {parameter.untyped_storage().data_ptr() for parameter in base.denoiser.parameters()}
    return max(sum(size for place, size in kept.items() if place not in weights), 1)


def _training(
    base: Base, data: Encoded, recipe: Recipe, way: Way, folder: Path, stack: StackedAdapters | None = None
) -> state.Training:
    split = Split(trained=tuple((work,) for work in range(data.num_works)), held_out=())
    stack = stack or StackedAdapters(base.denoiser)
    return state.begin(base, stack, data, split, recipe, seed=0, fingerprint="", folder=folder, way=way)


def _encoded(base: Base) -> tuple[Encoded, float, float]:
    """Square pictures of one grey with one caption; the seconds that one picture and one prompt take."""
    size = base.spec.size
    picture = Image.new("RGB", (size, size), (128, 128, 128))
    prompts = sorted({CAPTION, "", *with_trigger(CAPTION, TRIGGER), *with_trigger("", TRIGGER)})
    base.encode_images([picture])
    pictures, picture_s = _timed_call(lambda: base.encode_images([picture] * ENCODE_BATCH), base)
    texts, prompts_s = _timed_call(lambda: encode_texts(base, prompts), base)
    latents_VCHW = pictures[:WORKS, None].unbind(0)
    data = Encoded(latents_VCHW=latents_VCHW, captions=((CAPTION,),) * WORKS, trigger=TRIGGER, texts=texts)
    return data, picture_s / ENCODE_BATCH, prompts_s / len(prompts)


def _timed_call(call: Callable[[], Answer], base: Base) -> tuple[Answer, float]:
    began = time.perf_counter()
    answer = call()
    if base.device.type == "cuda":
        torch.cuda.synchronize(base.device)
    return answer, time.perf_counter() - began


def _most_memory(base: Base) -> int:
    if base.device.type == "cuda":
        return torch.cuda.max_memory_allocated(base.device)
    kilo = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
