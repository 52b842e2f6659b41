"""The worker process: takes renderings, trainings and reviews from the queues. It holds no keys."""

import asyncio
import gc
import logging
import signal

import torch

from inference.catalog import BaseSpec
from inference.checkers import open_checker
from inference.devices import choose_device
from inference.engine import Engine
from service import finetuning, rendering, reviewing, speeds
from service.clock import clock_of
from service.drawing import MIB, drawing_with
from service.lifeline import end_with_parent
from service.resources import open_worker_resources
from service.scratch import tidying
from service.settings import Settings
from service.workflows import launch

log = logging.getLogger("ownhand.worker")

STORIES = (rendering.render, finetuning.tell_training, reviewing.tell_review, speeds.tell_speed)
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
    device = choose_device(settings.device)
    checkers = (open_checker(settings.content_checker),) if settings.content_checker else ()

    def open_engine(spec: BaseSpec) -> Engine:
        engine = Engine(
            spec,
            device=device,
            max_rows=settings.max_rows,
            host_bytes=settings.adapter_host_mib * MIB,
            device_bytes=settings.adapter_device_mib * MIB,
            checkers=checkers,
        )
        # As in the web process: what was loaded stays, and no step waits for a search through it.
        gc.collect()
        gc.freeze()
        return engine

    async with (
        open_worker_resources(settings, database_url, clock=clock_of(settings)) as opened,
        drawing_with(opened, open_engine),
        tidying(opened),
        launch(opened, "worker") as executor,
    ):
        log.info("%s draws on %s and trains by %s", executor, device, finetuning.trainer_command(settings))
        await stopping.wait()
