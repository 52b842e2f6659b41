"""The worker process: takes renderings, trainings and reviews from the queues. It holds no keys."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from inference.catalog import BaseSpec
from inference.devices import choose_device
from inference.events import Draws
from service import appearances, finetuning, rendering, reviewing, self_testing, speeds, trying
from service.clock import clock_of
from service.db.connections import application_url
from service.drawing import drawing_with, engine_options
from service.fleet.cluster import open_fleet
from service.lifeline import end_with_parent
from service.opening import opener
from service.resources import Resources, open_worker_resources
from service.scratch import tidying
from service.settings import Settings
from service.tracing.sending import tracing
from service.workflows import launch
from training.review.eye import Eye

log = logging.getLogger("ownhand.worker")

STORIES = (
    rendering.render,
    finetuning.tell_training,
    reviewing.tell_review,
    speeds.tell_speed,
    appearances.tell_appearance,
    appearances.tell_search,
    trying.tell_try,
    self_testing.make_picture,
)
"""What this process can tell: a story is known to the workflow engine once its module is imported."""


async def run_worker(settings: Settings, database_url: str) -> None:
    """Work until SIGTERM or Ctrl-C; what is unfinished then is taken up at the next start."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if settings.supervised:
        end_with_parent()
    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    with tracing(settings.traces_url, process="worker"), engines(settings, database_url) as drawn:
        async with (
            open_worker_resources(settings, database_url, clock=clock_of(settings)) as opened,
            drawing_with(opened, drawn.open, device=drawn.device, count=drawn.count),
            appearances.seeing_with(Eye),
            tidying(opened),
            drawn.scaled(opened),
            launch(opened, "worker") as executor,
        ):
            log.info("%s draws on %s and trains by %s", executor, drawn.device, finetuning.trainer_command(settings))
            await stopping.wait()


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What opens engines, on what device, and how many pictures they draw at once."""

    open: Callable[[BaseSpec], Draws]
    device: str
    count: Callable[[], int]
    scaled: Callable[[Resources], AbstractAsyncContextManager[None]]
    """Keeps them as many as are needed, while it is entered."""


@contextmanager
def engines(settings: Settings, database_url: str) -> Iterator[Engines]:
    """The engines that the settings name: in this process, or on a cluster. Raises NotStarted."""
    if settings.engine == "ray":
        with open_fleet(settings, application_url(database_url)) as fleet:
            from service.fleet.scaling import scaling

            yield Engines(
                open=fleet.engine,
                device="ray",
                count=lambda: fleet.num_rows,
                scaled=lambda opened: scaling(opened, fleet),
            )
        return
    device = choose_device(settings.device)
    yield Engines(
        open=opener(engine_options(settings), device=device),
        device=device,
        count=lambda: settings.max_rows,
        scaled=lambda opened: nullcontext(),
    )
