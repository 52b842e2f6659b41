"""Samplers as tables of numbers, so that rows of one batch may each have their own.

A diffusers scheduler is linear in the starting noise, the model's outputs and the noise that it adds. Running it once
on unit vectors therefore reads out its whole run; from then on no scheduler object is needed, and one vectorised update
advances rows that differ in sampler, step count and position.

Shapes: S model calls of one picture, K outputs remembered.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from inspect import signature
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from inference.catalog import FLOW_SAMPLERS, SAMPLERS, Sampler
from inference.errors import BaseUnusable, InvalidRequest

_DRAWING = Lock()
"""Held while a scheduler's module draws what we say: modules are shared between threads."""
NEGLIGIBLE = 1e-9
"""A coefficient this far below its row's largest one is left out: it is under float32's resolution."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One run of one sampler. State 0 is the start, state S the finished latent.

    Call i feeds the model `scale_in_S[i] * state` at `timesteps_S[i]`; then
    `next state = carry_S[i] * state + sum_k mix_SK[i, k] * output(i - k) + fresh_S[i] * noise`, with noise that is
    drawn for this step alone, and only where fresh_S[i] is not 0.
    """

    timesteps_S: Tensor
    scale_in_S: Tensor
    carry_S: Tensor
    mix_SK: Tensor
    """Weights of the newest outputs, newest first."""
    fresh_S: Tensor
    clean_S1: Tensor
    noise_S1: Tensor
    """State i of a known picture is `clean_S1[i] * latent + noise_S1[i] * noise`; length S + 1."""
    start_noise: float
    """State 0 of a picture from nothing is this times noise."""

    def __len__(self) -> int:
        return len(self.timesteps_S)

    @property
    def memory(self) -> int:
        """K: how many outputs a row must remember."""
        return self.mix_SK.shape[1]

    @cached_property
    def sha256(self) -> str:
        """Of its numbers, in hexadecimal."""
        calls = (self.timesteps_S, self.scale_in_S, self.carry_S, self.mix_SK, self.fresh_S)
        digest = hashlib.sha256(repr(self.start_noise).encode())
        for numbers in (*calls, self.clean_S1, self.noise_S1):
            digest.update(repr(tuple(numbers.shape)).encode() + numbers.contiguous().numpy().tobytes())
        return digest.hexdigest()


def read_table(
    config: Mapping[str, Any], sampler: str, *, steps: int, strength: float = 1.0, mu: float | None = None
) -> Table:
    """Read out the run of `sampler` with a base's own scheduler settings.

    config: content of the base's `scheduler_config.json`. strength: the share of the steps that is run, as in
    diffusers' image-to-image pipelines; 1 runs all. mu: of flow samplers, how far the run is moved towards noise; the
    base knows it from the size of the picture. Raises InvalidRequest if the sampler cannot serve this base.
    """
    settings = tuple(sorted((key, _hashable(value)) for key, value in config.items()))
    return _read_table(settings, sampler, steps, strength, mu)


def start_state(table: Table, noise_CHW: Tensor, clean_CHW: Tensor | None = None) -> Tensor:
    """State 0: pure noise, or the noised latent of a source picture."""
    if clean_CHW is None:
        return table.start_noise * noise_CHW
    return known_state(table, 0, noise_CHW, clean_CHW)


def known_state(table: Table, index: int, noise_CHW: Tensor, clean_CHW: Tensor) -> Tensor:
    """State `index` of a picture that is known: what a redo of a part keeps outside its mask."""
    return table.clean_S1[index].item() * clean_CHW + table.noise_S1[index].item() * noise_CHW


@lru_cache(maxsize=256)
def _read_table(
    config: tuple[tuple[str, Any], ...], sampler: str, steps: int, strength: float, mu: float | None
) -> Table:
    if sampler in FLOW_SAMPLERS:
        scheduler = _open_flow_scheduler(dict(config), sampler)
        # From pure noise in even steps, before the shift; as every flow pipeline of diffusers does it.
        scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps, dtype=torch.float64).numpy(), mu=mu)
    else:
        scheduler = _open_scheduler(dict(config), sampler)
        try:
            scheduler.set_timesteps(steps)
        except ValueError as error:  # few-step samplers know a largest number
            raise InvalidRequest(f"sampler {sampler!r} does not draw in {steps} steps: {error}") from error
    begin = (steps - min(int(steps * strength), steps)) * scheduler.order
    timesteps = scheduler.timesteps[begin:]
    clean, noise = _levels(scheduler, timesteps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    states, scale_in = _run_on_unit_vectors(scheduler, timesteps)
    carry, mix, fresh = _as_recurrence(states)
    return Table(
        timesteps_S=timesteps.to(torch.float32),
        scale_in_S=scale_in.float(),
        carry_S=carry.float(),
        mix_SK=mix.float(),
        fresh_S=fresh.float(),
        clean_S1=clean.float(),
        noise_S1=noise.float(),
        start_noise=float(getattr(scheduler, "init_noise_sigma", 1.0)),
    )


def _open_scheduler(config: dict[str, Any], sampler: str) -> Any:
    if config.get("clip_sample") or config.get("thresholding"):
        raise BaseUnusable(
            "the base's scheduler_config.json clips or thresholds samples, which latent pictures never need; "
            "set clip_sample and thresholding to false there"
        )
    kind = _kind(SAMPLERS[sampler])
    if config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in signature(kind.__init__).parameters:
        raise InvalidRequest(
            f"sampler {sampler!r} cannot start from pure noise, as this base needs; choose ddim, dpmpp_2m or euler"
        )
    return kind.from_config(config, clip_sample=False, thresholding=False, **SAMPLERS[sampler].settings)


def _open_flow_scheduler(config: dict[str, Any], sampler: str) -> Any:
    if config.get("stochastic_sampling") or config.get("invert_sigmas"):
        raise BaseUnusable(
            "the base's scheduler_config.json adds noise while drawing or counts backwards, which tables cannot hold; "
            "set stochastic_sampling and invert_sigmas to false there"
        )
    return _kind(FLOW_SAMPLERS[sampler]).from_config(config, **FLOW_SAMPLERS[sampler].settings)


def _kind(sampler: Sampler) -> Any:
    module, _, name = sampler.scheduler.partition(":")
    return getattr(import_module(module), name)


def _levels(scheduler: Any, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of picture and noise in every state of a run, the finished one included."""
    clean, noise = torch.eye(2, dtype=torch.float64).reshape(2, 1, 1, 1, 2)
    shares = [_noised(scheduler, clean, noise, timestep.reshape(1)).flatten() for timestep in timesteps]
    stacked = torch.stack([*shares, torch.tensor([1.0, 0.0], dtype=torch.float64)])
    return stacked[:, 0], stacked[:, 1]


def _noised(scheduler: Any, clean: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    if hasattr(scheduler, "scale_noise"):  # what flow schedulers call it
        return scheduler.scale_noise(clean, timestep, noise)  # type: ignore[no-any-return]
    return scheduler.add_noise(clean, noise, timestep)  # type: ignore[no-any-return]


def _run_on_unit_vectors(scheduler: Any, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """States (S + 1, 1 + 2 S) written in the start, the S outputs and the S noises, and the input scales (S,)."""
    calls = len(timesteps)
    unit = torch.eye(1 + 2 * calls, dtype=torch.float64).reshape(-1, 1, 1, 1, 1 + 2 * calls)
    state = unit[0]
    states, scales = [state.flatten()], []
    for number, timestep in enumerate(timesteps):
        seen = scheduler.scale_model_input(unit[0], timestep) if hasattr(scheduler, "scale_model_input") else unit[0]
        scales.append(seen.flatten()[0].double())
        with _drawing(scheduler, unit[1 + calls + number]):
            state = scheduler.step(unit[1 + number], timestep, state, return_dict=False)[0].double()
        states.append(state.flatten())
    return torch.stack(states), torch.stack(scales) if scales else torch.zeros(0, dtype=torch.float64)


@contextmanager
def _drawing(scheduler: Any, noise: Tensor) -> Iterator[None]:
    """Whatever the scheduler draws is this noise. Schedulers of diffusers all draw by one function of their module."""
    module: Any = import_module(type(scheduler).__module__)
    if not hasattr(module, "randn_tensor"):
        yield
        return
    with _DRAWING:
        drawn, module.randn_tensor = module.randn_tensor, lambda *_, **__: noise
        try:
            yield
        finally:
            module.randn_tensor = drawn


def _as_recurrence(states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Carry (S,), mix (S, K) and fresh noise (S,) that lead from each state to the next, from all states written in the
    outputs and noises."""
    calls = len(states) - 1
    # What the start, or where nothing is left of it the noise that was added last, becomes in a step.
    last = [0 if number == 0 or states[number, 0] != 0 else calls + number for number in range(calls)]
    carry = states[range(1, calls + 1), last] / states[range(calls), last]
    added = states[1:] - carry[:, None] * states[:-1]
    mix = torch.zeros(calls, max(calls, 1), dtype=torch.float64)
    for number in range(calls):
        mix[number, : number + 1] = added[number, 1 : number + 2].flip(0)
    mix[mix.abs() < NEGLIGIBLE * mix.abs().amax(dim=1, keepdim=True)] = 0
    used = mix.abs().sum(dim=0).nonzero()
    fresh = added[:, 1 + calls :].diagonal().clone()
    fresh[fresh.abs() < NEGLIGIBLE] = 0
    return carry, mix[:, : int(used.max()) + 1 if len(used) else 1], fresh


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
