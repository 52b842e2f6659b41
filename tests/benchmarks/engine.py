"""What eight pictures in eight styles cost in one batch: against no styles, stock diffusers and peft's mixed batch.

Variants take turns in one process, on as many threads as the machine has cores; costs are processor seconds, so that
other load spoils little. Whether pictures are the same is measured beside what they cost.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from inference.adapters.cache import AdapterCache
from inference.adapters.files import diffusers_names
from inference.adapters.manifest import file_sha256
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import Adapter, Gathered, StackedAdapters, side_by_side
from inference.bases import Base, open_base
from inference.bases.sd import StableDiffusion
from inference.catalog import BaseSpec, base_spec
from inference.engine import Engine
from inference.fairness import Turn
from inference.jobs import Result
from inference.messages import AdapterRef, ImageRequest, Picture, Step
from tests.benchmarks.figures import Figure
from tests.benchmarks.training import interleaved
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.test_joining import SAME, largest_difference
from training.recipe import load_recipe

RANKS = (4, 8, 16, 32, 4, 8, 16, 32)
"""Of the eight adapters: mixed, as creators' are."""
STRENGTH = 0.1
"""Of the random adapters."""
HEAVY = 200
"""Pictures that one client asks for before another asks for one."""
COLD_READS = 9
SD15 = {
    "cross_attention_dim": 768,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "attention_head_dim": 8,
}
"""The settings of Stable Diffusion 1.5's UNet that are not the class's own."""
ETAS = 24
"""Requests whose estimates are compared with what came."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--rounds", type=int, default=8, help="turns that each variant takes")
    parser.add_argument("--steps", type=int, default=20, help="of a picture")


def measure(*, seed: int, say: Callable[[str], None], base: str, rounds: int, steps: int) -> list[Figure]:
    """Steps first, then whole pictures, then who waits for whom."""
    # As stock pipelines ask: two questions a step, both through the adapter.
    spec = replace(base_spec(base), style_guidance=0.0)
    opened = open_base(spec)
    adapters = random_adapters(opened, RANKS, seed=seed)
    with TemporaryDirectory() as folder:
        refs = written(Path(folder), adapters)
        say("one step ...")
        figures = steps_side_by_side(opened, adapters, rounds=rounds, seed=seed)
        say("whole pictures ...")
        figures += pictures_side_by_side(spec, refs, rounds=max(rounds // 4, 2), steps=steps, seed=seed)
        say("adapters from disk ...")
        figures += cold_adapters(opened, refs)
        figures += cold_large_adapter(Path(folder), seed=seed)
        say("nine guests ...")
        figures += guests(Path(folder))
        say("two clients ...")
        figures += two_clients(spec, steps=max(steps // 4, 2))
        say("estimates ...")
        return figures + estimates(spec, refs, steps=steps, seed=seed)


def random_adapters(base: Base, ranks: Sequence[int], *, seed: int) -> list[Adapter]:
    """One of each rank, over the layers that the base's recipe trains."""
    endings = load_recipe(f"{base.spec.id}-style").targets
    return [random_adapter(base.denoiser, endings, seed=seed + number, rank=rank) for number, rank in enumerate(ranks)]


def written(folder: Path, adapters: Sequence[Adapter]) -> list[AdapterRef]:
    """Adapters as files, so weak that pictures stay pictures."""
    return [
        replace(write_adapter(folder / f"{number}.safetensors", adapter), strength=STRENGTH)
        for number, adapter in enumerate(adapters)
    ]


def steps_side_by_side(base: Base, adapters: Sequence[Adapter], *, rounds: int, seed: int) -> list[Figure]:
    """The denoiser's answers about eight rows, each through its own adapter."""
    count = len(adapters)
    size = base.spec.size
    # As the engine lays them: those of nearly one rank are neighbours.
    adapters = [adapters[number] for number in side_by_side([((adapter, STRENGTH),) for adapter in adapters])]
    latents = torch.stack([next(base.noises(seed + number, width=size, height=size)) for number in range(count)])
    timesteps = torch.linspace(950, 50, count)
    texts = base.encode_prompts([f"an apple number {number}" for number in range(count)])
    stack = StackedAdapters(base.denoiser)
    mixed = peft_mixture(base.spec, adapters)

    # Gathered once, as the engine does where a picture joins or leaves, not in every step.
    each = [stack.gather([((adapter, STRENGTH),)]) for adapter in adapters]
    all_of_them = stack.gather([((adapter, STRENGTH),) for adapter in adapters])
    # As a base that weighs styles asks: three questions about a picture, one of them through its adapter.
    thrice = [number for _ in range(3) for number in range(count)]
    one_of_three = stack.gather([*(((adapter, STRENGTH),) for adapter in adapters), *((),) * (2 * count)])

    def ask(rows: slice | list[int], worn: Gathered) -> Tensor:
        stack.lay(worn)
        asked = [texts[number] for number in rows] if isinstance(rows, list) else texts[rows]
        with torch.no_grad():
            return base.predict(latents[rows], timesteps[rows], base.join_texts(asked))

    def together() -> Tensor:
        return ask(slice(None), all_of_them)

    def plain() -> Tensor:
        return ask(slice(None), {})

    def singly() -> Tensor:
        return torch.cat([ask(slice(number, number + 1), each[number]) for number in range(count)])

    def by_peft() -> Tensor:
        with torch.no_grad():
            names = [f"a{number}" for number in range(count)]
            answer: Tensor = mixed(latents, timesteps, base.join_texts(texts), return_dict=False, adapter_names=names)[
                0
            ]
        return answer

    variants = {"plain": plain, "ours": together, "singly": singly, "peft": by_peft}
    off = {name: float((variant() - together()).abs().max()) for name, variant in variants.items()}
    variants |= {"styles": lambda: ask(thrice, one_of_three), "no styles": lambda: ask(thrice, {})}
    seconds = interleaved({name: _endless(variant) for name, variant in variants.items()}, rounds=rounds, turn=1)
    stack.clear()
    return [
        Figure(name=f"step of {count} rows, no adapter", value=seconds["plain"], unit="CPU-s"),
        Figure(
            name=f"{count} adapters of mixed ranks against none",
            value=seconds["ours"] / seconds["plain"],
            unit="times",
            goal=1.10,
            at_most=True,
        ),
        Figure(name="the same, multiplications alone", value=_multiplied(together, plain), unit="times"),
        Figure(
            name=f"the same, {3 * count} questions, a third through adapters",
            value=seconds["styles"] / seconds["no styles"],
            unit="times",
        ),
        Figure(name="one after another against together", value=seconds["singly"] / seconds["ours"], unit="times"),
        Figure(name="peft's mixed batch against ours", value=seconds["peft"] / seconds["ours"], unit="times", goal=1.2),
        Figure(name="off from one at a time", value=off["singly"], unit="at most", goal=1e-4, at_most=True),
        Figure(name="off from peft's", value=off["peft"], unit="at most", goal=1e-4, at_most=True),
    ]


def _multiplied(variant: Callable[[], Any], plain: Callable[[], Any]) -> float:
    """How many multiplications one takes for each of the other's: no way of computing it in these ranks takes less."""
    aten = torch.ops.aten
    in_place = {aten.baddbmm_: lambda y, left, right, **_: left[0] * left[1] * left[2] * right[2] * 2}
    counts = []
    for one in (variant, plain):
        with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
            one()
        counts.append(counter.get_total_flops())
    return float(counts[0] / counts[1])


def pictures_side_by_side(
    spec: BaseSpec, refs: Sequence[AdapterRef], *, rounds: int, steps: int, seed: int
) -> list[Figure]:
    """Eight whole pictures, from words to pixels: our engine against stock diffusers with `set_adapters`."""
    stock: Any = StableDiffusionPipeline.from_pretrained(spec.path, safety_checker=None)
    stock.set_progress_bar_config(disable=True)
    for number, ref in enumerate(refs):
        stock.load_lora_weights(str(ref.path), adapter_name=f"a{number}")
    with Engine(spec, max_rows=len(refs), max_waiting=len(refs)) as engine:

        def ours() -> list[np.ndarray]:
            futures = [engine.submit(_request(spec, ref, n, steps, seed), stop=_never) for n, ref in enumerate(refs)]
            return [_pixels(_picture(future)) for future in futures]

        def theirs() -> list[np.ndarray]:
            return [_by_stock(stock, number, steps, seed, spec) for number in range(len(refs))]

        apart = max(int(np.abs(a - b).max()) for a, b in zip(ours(), theirs(), strict=True))
        seconds = interleaved({"ours": _endless(ours), "stock": _endless(theirs)}, rounds=rounds, turn=1)
    return [
        Figure(name=f"{len(refs)} pictures, our engine", value=seconds["ours"] / len(refs), unit="CPU-s each"),
        Figure(
            name="stock diffusers, one at a time, against ours",
            value=seconds["stock"] / seconds["ours"],
            unit="times",
            goal=2.2,
        ),
        Figure(name="pictures apart by", value=apart, unit="of 255", goal=1, at_most=True),
    ]


def cold_adapters(base: Base, refs: Sequence[AdapterRef]) -> list[Figure]:
    """From a file to an adapter that a step can use, the one of rank 32: read, hashed and checked."""
    largest = max(refs, key=lambda ref: ref.path.stat().st_size)
    return _cold(base, base.denoiser, largest, "adapter from disk to first step, rank 32", goal=50)


def cold_large_adapter(folder: Path, *, seed: int) -> list[Figure]:
    """The same for an adapter of rank 32 over the attention of a UNet of Stable Diffusion 1.5's shape.

    The UNet has no weights: they play no part in it.
    """
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
    base: Any = SimpleNamespace(
        spec=base_spec("openicons"),
        sha256="",
        names=StableDiffusion.names,
        device=torch.device("cpu"),
        text_stack=StackedAdapters(nn.Module()),
    )
    adapter = random_adapter(unet, ("to_q", "to_k", "to_v", "to_out.0"), seed=seed, rank=32)
    ref = write_adapter(folder / "large.safetensors", adapter)
    name = f"the same, SD 1.5's shape, rank 32, {ref.path.stat().st_size / 1e6:.0f} MB"
    return _cold(base, unet, ref, name, goal=100)


def _cold(base: Any, denoiser: nn.Module, own: AdapterRef, name: str, *, goal: float) -> list[Figure]:
    """An adapter's own file and the flat one made from it, read in turns: on the clock, and what both cost."""
    flat = _flattened(base, denoiser, own)
    seconds: dict[str, list[tuple[float, float]]] = {"own": [], "flat": []}
    for _ in range(COLD_READS):
        for kind, ref in (("own", own), ("flat", flat)):
            cache = AdapterCache(base, StackedAdapters(denoiser))
            clock, cpu = time.perf_counter(), time.process_time()
            cache.open(ref)
            seconds[kind].append((time.perf_counter() - clock, time.process_time() - cpu))
            cache.close()
    medians = {kind: 1000 * np.median(found, axis=0) for kind, found in seconds.items()}
    return [
        Figure(name=name, value=float(medians["own"][0]), unit="ms", goal=goal, at_most=True),
        Figure(name=f"{name}, flat file", value=float(medians["flat"][0]), unit="ms", goal=goal, at_most=True),
        Figure(name=f"{name}, processor time", value=float(medians["own"][1]), unit="CPU-ms"),
        Figure(name=f"{name}, flat file, processor time", value=float(medians["flat"][1]), unit="CPU-ms"),
    ]


def _flattened(base: Any, denoiser: nn.Module, own: AdapterRef) -> AdapterRef:
    path = own.path.with_suffix(".flat")
    path.write_bytes(AdapterReader(base, StackedAdapters(denoiser)).flat_file(own.path.read_bytes(), own.path.name))
    return replace(own, path=path, flat_sha256=file_sha256(path))


def guests(folder: Path) -> list[Figure]:
    """Pictures with eight samplers that join a batch at nine steps, against the stock pipeline one at a time."""
    apart, calls = largest_difference(folder)
    return [
        Figure(
            name="nine pictures, eight samplers: off from diffusers alone",
            value=apart,
            unit="share",
            goal=SAME,
            at_most=True,
        ),
        Figure(name=f"model calls together; alone {calls.alone}", value=calls.together, unit="calls"),
    ]


def two_clients(spec: BaseSpec, *, steps: int) -> list[Figure]:
    """How many pictures of one client's many end between another's single request and its picture."""
    ended: list[str] = []
    rows = 8
    with Engine(spec, max_rows=rows, max_waiting=HEAVY + 1) as engine:

        def submit(name: str, client: str) -> "Future[Result]":
            request = replace(_request(spec, None, 0, steps, 0), id=name)
            future = engine.submit(request, stop=_never, turn=Turn(client=client))
            future.add_done_callback(lambda done: done.cancelled() or ended.append(done.result().request_id))
            return future

        futures = [submit(f"heavy {number}", "heavy") for number in range(HEAVY)]
        while len(ended) < rows:
            time.sleep(0.001)
        before = len(ended)
        submit("light", "light").result()
        waited = ended.index("light") - before
        for future in futures[:HEAVY]:
            future.cancel()
    return [
        Figure(
            name=f"ended before a single picture, of {HEAVY} by another client",
            value=waited,
            unit="pictures",
            goal=rows,
            at_most=True,
        )
    ]


def estimates(spec: BaseSpec, refs: Sequence[AdapterRef], *, steps: int, seed: int) -> list[Figure]:
    """How far the time that is told when a picture is asked for is from the time that it takes.

    Of pictures that wait behind others, at an engine at work.
    """
    errors: list[float] = []
    with Engine(spec, max_rows=8, max_waiting=ETAS) as engine:
        taken: list[Step] = []
        for number, ref in enumerate(refs):
            engine.submit(_request(spec, ref, number, steps, seed), stop=_never, on_step=taken.append)
        while len(taken) < len(refs) * steps // 4:
            time.sleep(0.01)
        told: list[tuple[Future[Result], float, float]] = []
        ends: dict[int, float] = {}
        for number in range(ETAS):
            request = _request(spec, refs[number % len(refs)], number, steps + number % 5, seed)
            estimate = engine.estimate(request)
            began = time.perf_counter()
            future = engine.submit(request, stop=_never)
            future.add_done_callback(lambda _, n=number: ends.__setitem__(n, time.perf_counter()))
            told.append((future, estimate.ends_s, began))
        for number, (future, seconds, began) in enumerate(told):
            future.result()
            took = ends[number] - began
            errors.append(abs(seconds - took) / took)
    return [
        Figure(
            name="error of the estimate, 90th percentile",
            value=float(np.quantile(errors, 0.9)),
            unit="share",
            goal=0.25,
            at_most=True,
        ),
        Figure(name="error of the estimate, median", value=float(np.median(errors)), unit="share"),
    ]


def peft_mixture(spec: BaseSpec, adapters: Sequence[Adapter]) -> Any:
    """The UNet with all adapters in it, for calls with `adapter_names`, one a row."""
    unet = UNet2DConditionModel.from_pretrained(spec.path / "unet", torch_dtype=torch.float32).requires_grad_(False)
    mixed: Any = None
    for number, adapter in enumerate(adapters):
        rank = len(next(iter(adapter.layers.values())).down)
        config = LoraConfig(r=rank, lora_alpha=rank * STRENGTH, target_modules=list(adapter.layers))
        name = f"a{number}"
        if mixed is None:
            mixed = get_peft_model(unet, config, adapter_name=name)
        else:
            mixed.add_adapter(name, config)
        tensors = diffusers_names(adapter, StableDiffusion.names)
        found = {f"base_model.model.{key.removeprefix('unet.')}": value for key, value in tensors.items()}
        unknown = set_peft_model_state_dict(mixed, found, adapter_name=name).unexpected_keys
        assert not unknown, f"peft does not know {unknown[:3]}"
    return mixed.eval()


def _request(spec: BaseSpec, ref: AdapterRef | None, number: int, steps: int, seed: int) -> ImageRequest:
    return ImageRequest(
        id=f"{number}",
        base=spec.id,
        prompt="an apple",
        seed=seed + number,
        steps=steps,
        adapters=() if ref is None else (ref,),
    )


def _by_stock(stock: Any, number: int, steps: int, seed: int, spec: BaseSpec) -> np.ndarray:
    stock.set_adapters(f"a{number}", STRENGTH)
    image = stock(
        "an apple",
        negative_prompt="",
        num_inference_steps=steps,
        guidance_scale=spec.guidance,
        guidance_rescale=spec.guidance_rescale,
        generator=torch.Generator().manual_seed(seed + number),
        width=spec.size,
        height=spec.size,
    ).images[0]
    return np.asarray(image, dtype=int)


def _pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"), dtype=int)


def _picture(future: "Future[Result]") -> Picture:
    result = future.result()
    assert isinstance(result, Picture), f"{result} is no picture"
    return result


def _endless(variant: Callable[[], object]) -> Iterator[object]:
    while True:
        yield variant()


def _never() -> str | None:
    return None
