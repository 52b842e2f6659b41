"""The Ray cluster that the settings name, and the fleet on it. Ray is read only here and where a fleet was opened."""

import importlib.util
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.drawing import engine_options
from service.errors import NotStarted
from service.fleet.messages import ReplicaOptions
from service.settings import Settings

if TYPE_CHECKING:
    from service.fleet.fleet import Fleet

log = logging.getLogger("ownhand.fleet")

NAMESPACE = "ownhand"
AUTO = "auto"
"""The cluster that this machine is part of."""
_PATIENCE_S = 10.0


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Be part of a cluster until the end of the block. Raises NotStarted."""
    if importlib.util.find_spec("ray") is None:
        raise NotStarted(
            'OWNHAND_ENGINE is ray, and Ray is not installed here; install it (pip install "ownhand[gpu,ray]"), or'
            " leave the setting out to draw in this process"
        )
    import ray

    if ray.is_initialized():
        # A process is part of one cluster; whoever came first leaves it.
        yield
        return
    ended = signal.getsignal(signal.SIGTERM)
    try:
        _reach(address)
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise NotStarted(
            f"no Ray cluster answers at {address!r} ({error}); start one (ray start --head), or correct"
            " OWNHAND_RAY_ADDRESS"
        ) from error
    # Ray puts its own handler in place of ours, which ends work in good order.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError or ValueError where nobody listens: Ray itself would try for minutes."""
    if address != AUTO:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()


@contextmanager
def open_fleet(settings: Settings, database_url: str) -> Iterator["Fleet"]:
    """The fleet that the settings ask for, ended with the block. Raises NotStarted."""
    options = ReplicaOptions(
        database_url=database_url,
        device=settings.device,
        engines=engine_options(settings),
        num_threads=settings.num_threads,
    )
    with cluster(settings.ray_address):
        from service.fleet.fleet import Fleet

        with Fleet(
            options, size=settings.ray_replicas, num_gpus=settings.ray_gpus, num_cpus=settings.ray_cpus
        ) as fleet:
            yield fleet
