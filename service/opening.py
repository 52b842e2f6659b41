"""Engines opened: the same way in a worker and in the replicas of its fleet. Needs torch."""

import gc
from collections.abc import Callable

from inference.catalog import BaseSpec
from inference.checkers import open_checker
from inference.engine import Engine
from service.drawing import EngineOptions


def opener(options: EngineOptions, *, device: str) -> Callable[[BaseSpec], Engine]:
    """What opens an engine of a base on a device. Raises BaseUnusable, as the engine does."""
    checkers = (open_checker(options.content_checker),) if options.content_checker else ()

    def open_engine(spec: BaseSpec) -> Engine:
        engine = Engine(
            spec,
            device=device,
            max_rows=options.max_rows,
            host_bytes=options.host_bytes,
            device_bytes=options.device_bytes,
            checkers=checkers,
        )
        # As in the web process: what was loaded stays, and no step waits for a search through it.
        gc.collect()
        gc.freeze()
        return engine

    return open_engine
