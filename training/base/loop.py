"""The training loop of a stage: step numbers in, weights out; stops and continues at any checkpoint."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from training.base.crew import Crew, LossOf
from training.base.errors import Interrupted
from training.base.optimizer import MuonAdamW
from training.checkpoint import load_latest_checkpoint, pack_optimizer, save_checkpoint, unpack_optimizer

PROBE_STEPS = 6
DECAY_SHARE = 0.3
UNPLANNED = 1_000_000
Gradient = Callable[[int], Tensor]
"""Puts the gradient of a step into the network and returns the loss, detached (see `Crew.gradient`)."""
SECONDS_BETWEEN_CHECKPOINTS = 300
STEPS_BETWEEN_LINES = 50


def _never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Session:
    """How a stage is run here and now. Nothing in it changes what is learnt but `steps` and `minutes`.

    `steps` (0: as many as fit into `minutes`) sets the plan. `workers` processes share each batch (see `Crew`); a GPU
    wants one. `stop` is asked after every step; when it says True, a checkpoint is written and `Interrupted` raised.
    """

    say: Callable[[str], None]
    device: str = "cpu"
    minutes: float = 25
    steps: int = 0
    workers: int = 1
    stop: Callable[[], bool] = _never


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long a stage trains and how fast it learns. `steps` is fixed at the first start and saved.

    Weight matrices learn at `matrix_factor` times the learning rate (see `MuonAdamW`).
    """

    steps: int
    learning_rate: float
    warmup: int
    ema: float
    matrix_factor: float

    @property
    def descent(self) -> int:
        """The step at which the learning rate begins to fall."""
        return int(self.steps * (1 - DECAY_SHARE))

    def rate(self, step: int) -> float:
        """Learning rate of a step: up, level, then straight down to nothing over the last 30 percent.

        Level first, because such a run can be made longer before the descent without starting over.
        """
        start = self.descent
        down = 1.0 if step < start else max(0.0, (self.steps - step) / (self.steps - start))
        return self.learning_rate * min(1.0, (step + 1) / max(self.warmup, 1)) * down


class Pace(Protocol):
    """The part of a stage's recipe that says how fast it learns."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def ema(self) -> float: ...
    @property
    def matrix_factor(self) -> float: ...


@dataclass(kw_only=True)
class Run:
    """A network being trained: its weights, their moving average and the optimiser, at a step."""

    network: nn.Module
    average: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    step: int = 0


def new_run(network: nn.Module, weight_decay: float) -> Run:
    """A run at step 0."""
    average = {key: value.detach().clone() for key, value in network.state_dict().items()}
    return Run(network=network, average=average, optimizer=MuonAdamW(network, weight_decay))


def make_plan(run: Run, pace: Pace, loss_of: LossOf, folder: Path, session: Session) -> Plan:
    """The plan of a stage, with `run` brought to where the newest checkpoint of `folder` was."""
    planned = resume(run, folder)
    plan = Plan(
        steps=session.steps or planned or UNPLANNED,
        learning_rate=pace.learning_rate,
        warmup=pace.warmup,
        ema=pace.ema,
        matrix_factor=pace.matrix_factor,
    )
    if plan.steps == UNPLANNED:
        crew = Crew(run.network, loss_of, session.workers)
        plan = replace(plan, steps=steps_in(session.minutes, run, plan, crew.gradient))
        crew.close()
    return plan


def carry_out(run: Run, plan: Plan, loss_of: LossOf, folder: Path, session: Session) -> None:
    """Train to the end of the plan; the network then has its averaged weights. Raises Interrupted, as `train`."""
    session.say(f"{folder.name}: step {run.step} of {plan.steps} on {session.device}")
    crew = Crew(run.network, loss_of, session.workers)
    try:
        train(run, plan, crew.gradient, folder, session)
    finally:
        crew.close()
    run.network.load_state_dict(run.average)


def train(run: Run, plan: Plan, gradient: Gradient, folder: Path, session: Session) -> None:
    """Train to the end of the plan, with checkpoints in `folder` and a line per 50 steps.

    `gradient(step)` must draw all its randomness from the step number: then a resumed run equals an unbroken one.
    Raises Interrupted where the session is stopped before.
    """
    saved = started = time.monotonic()
    first, losses = run.step, []
    while run.step < plan.steps:
        if session.stop():
            save_run(run, plan, folder)
            raise Interrupted(f"Stopped at step {run.step} of {plan.steps}. The same command goes on from there.")
        losses.append(take_step(run, plan, gradient))
        if run.step % STEPS_BETWEEN_LINES == 0 or run.step == plan.steps:
            pace = (time.monotonic() - started) / (run.step - first)
            mean = float(torch.stack(losses).mean())
            losses.clear()
            session.say(
                f"step {run.step}/{plan.steps} loss {mean:.4f} rate {plan.rate(run.step - 1):.2e} "
                f"{pace * 1000:.0f} ms/step, {pace * (plan.steps - run.step) / 60:.1f} min left"
            )
            with (folder.parent / f"{folder.name}.jsonl").open("a") as log:
                log.write(json.dumps({"step": run.step, "loss": mean, "ms": pace * 1000}) + "\n")
        if run.step == plan.descent:
            # From here a longer plan can go on as if it had been the plan from the start.
            save_run(run, plan, folder.with_name(f"{folder.name}-level"))
        if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            save_run(run, plan, folder)
            saved = time.monotonic()
    save_run(run, plan, folder)


def take_step(run: Run, plan: Plan, gradient: Gradient) -> Tensor:
    """One optimiser step and one step of the moving average; returns the loss, detached."""
    for group in run.optimizer.param_groups:
        group["lr"] = plan.rate(run.step) * (plan.matrix_factor if group["matrices"] else 1)
    loss = gradient(run.step)
    nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    blend = max(1 - plan.ema, 9 / (10 + run.step))
    with torch.no_grad():
        for key, value in run.network.state_dict().items():
            if value.is_floating_point():
                run.average[key].lerp_(value, blend)
    return loss


def save_run(run: Run, plan: Plan, folder: Path) -> None:
    """A checkpoint of everything the next step depends on."""
    tensors = {f"model.{key}": value for key, value in run.network.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in run.average.items()}
    tensors |= pack_optimizer(run.optimizer)
    save_checkpoint(folder, f"step-{run.step:07d}", tensors, {"step": run.step, "steps": plan.steps})


def resume(run: Run, folder: Path) -> int | None:
    """Put the newest whole checkpoint of `folder` into `run`; returns its planned steps, None where there is none."""
    found = load_latest_checkpoint(folder)
    if found is None:
        return None
    run.network.load_state_dict(part(found.tensors, "model."))
    for key, value in part(found.tensors, "average.").items():
        run.average[key].copy_(value)
    unpack_optimizer(run.optimizer, found.tensors)
    run.step = int(found.state["step"])
    return int(found.state["steps"])


def steps_in(minutes: float, run: Run, plan: Plan, gradient: Gradient) -> int:
    """How many steps fit into `minutes` on this machine, from a few timed ones after which `run` is new again."""
    before = {key: value.clone() for key, value in run.network.state_dict().items()}
    seconds = []
    for _ in range(PROBE_STEPS):
        start = time.monotonic()
        take_step(run, plan, gradient)
        # A GPU works on after the call; reading a number waits for it.
        float(next(iter(run.average.values())).flatten()[0])
        seconds.append(time.monotonic() - start)
    run.network.load_state_dict(before)
    run.average = before
    run.optimizer.state.clear()
    run.step = 0
    return max(1, int(minutes * 60 / sorted(seconds)[PROBE_STEPS // 2]))


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
