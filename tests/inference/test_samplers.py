"""A table read out of a scheduler must lead to the picture that the scheduler itself leads to."""

from collections import deque
from importlib import import_module

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

from inference.bases.flux2 import run_shift
from inference.catalog import SAMPLERS
from inference.errors import BaseUnusable, InvalidRequest
from inference.samplers import Table, read_table, start_state

CLASSIC = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
ZERO_SNR = {
    **CLASSIC,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "steps_offset": 0,
    "rescale_betas_zero_snr": True,
}
CASES = [(name, "classic", CLASSIC) for name in SAMPLERS] + [
    (name, "zero-snr", ZERO_SNR) for name in ("ddim", "ddpm", "dpmpp_2m", "euler", "euler_a", "lcm", "unipc")
]
STOCHASTIC = {"ddpm", "euler_a", "lcm"}


def model(sample: torch.Tensor, timestep: float) -> torch.Tensor:
    """Any function that is not linear and depends on the timestep."""
    return torch.tanh(sample.roll(1, -1) * 0.7 + sample.roll(1, -3) * 0.3 + timestep / 500 - 1)


def run_diffusers(sampler: str, config: dict, steps: int, strength: float, noise, clean):
    module, _, name = SAMPLERS[sampler].scheduler.partition(":")
    kind = getattr(import_module(module), name)
    scheduler = kind.from_config(config, clip_sample=False, **SAMPLERS[sampler].settings)
    more = {"generator": torch.Generator().manual_seed(8)} if sampler in STOCHASTIC else {}
    scheduler.set_timesteps(steps)
    begin = (steps - int(steps * strength)) * scheduler.order
    timesteps = scheduler.timesteps[begin:]
    start = noise * scheduler.init_noise_sigma
    state = start if clean is None else scheduler.add_noise(clean, noise, timesteps[:1])
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    for timestep in timesteps:
        seen = scheduler.scale_model_input(state, timestep)
        state = scheduler.step(model(seen, float(timestep)), timestep, state, return_dict=False, **more)[0]
    return state


def run_table(table: Table, noise, clean):
    generator = torch.Generator().manual_seed(8)
    state, outputs = start_state(table, noise, clean), deque(maxlen=table.memory)
    for number in range(len(table)):
        outputs.appendleft(model(state * table.scale_in_S[number], float(table.timesteps_S[number])))
        mixed = sum(weight * output for weight, output in zip(table.mix_SK[number], outputs, strict=False))
        state = table.carry_S[number] * state + mixed
        if table.fresh_S[number]:
            state = state + table.fresh_S[number] * torch.randn(state.shape, generator=generator)
    return state


@pytest.mark.parametrize(("sampler", "kind", "config"), CASES, ids=[f"{name}-{kind}" for name, kind, _ in CASES])
@pytest.mark.parametrize(("steps", "strength"), [(7, 1.0), (20, 1.0), (12, 0.55)])
def test_a_table_leads_where_the_scheduler_alone_leads(sampler, kind, config, steps, strength):
    generator = torch.Generator().manual_seed(3)
    noise, clean = torch.randn(2, 1, 4, 6, 6, generator=generator)
    source = None if strength == 1.0 else clean

    ours = run_table(read_table(config, sampler, steps=steps, strength=strength), noise, source)

    theirs = run_diffusers(sampler, config, steps, strength, noise, source)
    # Euler from pure noise works with numbers of 4096 and leaves 14: float32 itself loses 2e-5 there.
    tolerance = 5e-5 if (sampler, kind) == ("euler", "zero-snr") else 1e-5
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


SHIFTED = {"shift": 3.0, "use_dynamic_shifting": False}
BY_SIZE = {"shift": 3.0, "use_dynamic_shifting": True, "time_shift_type": "exponential"}


@pytest.mark.parametrize(("config", "mu"), [(SHIFTED, None), (BY_SIZE, 0.5), (BY_SIZE, 2.2)])
@pytest.mark.parametrize(("steps", "strength"), [(7, 1.0), (20, 1.0), (12, 0.5)])
def test_a_flow_table_leads_where_the_scheduler_alone_leads(config, mu, steps, strength):
    noise, clean = torch.randn(2, 1, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=mu)
    timesteps = scheduler.timesteps[steps - int(steps * strength) :]

    table = read_table(config, "flow_euler", steps=steps, strength=strength, mu=mu)
    ours = run_table(table, noise, None if strength == 1.0 else clean)

    theirs = noise if strength == 1.0 else scheduler.scale_noise(clean, timesteps[:1], noise)
    for timestep in timesteps:
        theirs = scheduler.step(model(theirs, float(timestep)), timestep, theirs, return_dict=False)[0]
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert table.memory == 1


@pytest.mark.parametrize("tokens", [16, 1024, 4096, 4300, 4301, 9216])
@pytest.mark.parametrize("steps", [4, 28, 50])
def test_a_run_is_shifted_as_the_stock_pipeline_shifts_it(tokens, steps):
    assert run_shift(steps, tokens=tokens) == pytest.approx(compute_empirical_mu(tokens, steps), rel=1e-9)


def test_a_flow_base_that_adds_noise_while_drawing_is_refused():
    with pytest.raises(BaseUnusable, match="stochastic_sampling"):
        read_table({**SHIFTED, "stochastic_sampling": True}, "flow_euler", steps=10)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_only_stochastic_samplers_add_noise(sampler):
    table = read_table(CLASSIC, sampler, steps=8)

    assert bool(table.fresh_S.any()) is (sampler in STOCHASTIC)
    assert table.fresh_S[-1] == 0, "nothing is added to a finished picture"


def test_what_schedulers_draw_by_is_left_as_it_was():
    module = import_module("diffusers.schedulers.scheduling_euler_ancestral_discrete")
    before = module.randn_tensor

    read_table(CLASSIC, "euler_a", steps=9)

    assert module.randn_tensor is before


def test_a_few_step_sampler_says_how_many_it_draws():
    with pytest.raises(InvalidRequest, match="'lcm' does not draw in 80 steps"):
        read_table(CLASSIC, "lcm", steps=80)


def test_a_full_strength_start_from_pure_noise_forgets_the_source():
    table = read_table(ZERO_SNR, "ddim", steps=10)
    noise, clean = torch.randn(2, 4, 6, 6)

    state = start_state(table, noise, clean)

    assert torch.allclose(state, noise, atol=1e-6)


def test_no_strength_means_no_steps():
    assert len(read_table(CLASSIC, "ddim", steps=10, strength=0.0)) == 0


def test_a_sampler_without_pure_noise_is_refused_for_a_base_that_needs_it():
    with pytest.raises(InvalidRequest, match="choose ddim"):
        read_table(ZERO_SNR, "heun", steps=10)


def test_a_base_that_clips_its_latents_is_refused():
    with pytest.raises(BaseUnusable, match="clip_sample"):
        read_table({**CLASSIC, "clip_sample": True}, "ddim", steps=10)
