"""The replicas of a fleet, as the worker that owns them knows them. Needs Ray."""

import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayTaskError

from inference.catalog import BaseSpec
from inference.pace import Speed, forecast
from service.fleet.jobs import Job
from service.fleet.messages import ReplicaOptions, Report
from service.fleet.raised import cause_of
from service.fleet.routing import Candidate

log = logging.getLogger("ownhand.fleet")

REPORT_EVERY_S = 2.0
_numbers = itertools.count(1)


class Member:
    """One replica: what it was asked, what it said, and what it draws. Not for several threads at once.

    It is an actor that this process owns: it ends with this process, in whatever way that ends.
    """

    def __init__(self, options: ReplicaOptions, *, num_gpus: float, num_cpus: float) -> None:
        from service.fleet.replica import Replica

        self.name = f"replica-{next(_numbers)}"
        # Never restarted or asked again by Ray: a new process knows nothing, and a picture goes on from where it stood.
        self.actor: Any = (
            ray.remote(Replica)
            .options(
                num_gpus=num_gpus,
                num_cpus=num_cpus,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(options)
        )
        self.jobs: set[Job] = set()
        self.speeds: dict[str, Speed] = {}
        """Of the bases that are open there."""
        self.faults: dict[str, Exception] = {}
        """Why bases could not be opened there."""
        self.report: Report | None = None
        self.is_leaving = False
        self._sent: set[str] = set()
        """Adapters that it was sent since it was last asked for a report."""
        self._asked: dict[Any, Callable[[Any], None]] = {}
        self._opening: set[str] = set()
        self._reported_s = time.monotonic()

    def open(self, spec: BaseSpec) -> None:
        """Have a base opened; `speeds` or `faults` tell when it is."""
        if spec.id in self.speeds or spec.id in self._opening:
            return
        self._opening.add(spec.id)
        self.faults.pop(spec.id, None)

        def opened(report: Report | Exception) -> None:
            self._opening.discard(spec.id)
            if isinstance(report, Exception):
                self.faults[spec.id] = report
            else:
                self._take(report, frozenset())

        self._asked[self.actor.open.remote(spec)] = opened

    def tend(self) -> bool:
        """Take in what it has answered, and ask how it stands now and then. Whether anything was new.

        Raises RayError where it is gone.
        """
        if self.speeds and time.monotonic() - self._reported_s >= REPORT_EVERY_S:
            self._reported_s, sent = time.monotonic(), frozenset(self._sent)
            self._asked[self.actor.report.remote()] = lambda report: self._take(report, sent)
        if not self._asked:
            return False
        answered, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        for answer in answered:
            then = self._asked.pop(answer)
            try:
                then(ray.get(answer))
            except RayTaskError as error:
                then(cause_of(error))
        return bool(answered)

    def _take(self, report: Report | Exception, sent: frozenset[str]) -> None:
        if isinstance(report, Exception):
            log.error("%s cannot say how it stands", self.name, exc_info=report)
            return
        self.report = report
        self.speeds |= report.speeds
        self._sent -= sent

    def send(self, job: Job) -> None:
        """It draws a picture from here on, until `leave`."""
        self.jobs.add(job)
        self._sent |= set(job.adapters)

    def leave(self, job: Job) -> None:
        self.jobs.discard(job)

    def forget(self, sha256: str) -> None:
        """Have an adapter forgotten there."""
        self._sent.discard(sha256)
        self.actor.forget.remote(sha256)

    @property
    def device(self) -> str:
        """What it computes on, by name; "" before it has said so."""
        return self.report.device if self.report is not None else ""

    def is_warm(self, adapters: tuple[str, ...]) -> bool:
        """Whether adapters are there, or on their way."""
        return set(adapters) <= (self._sent | (self.report.adapters if self.report else frozenset()))

    def candidate(self, job: Job, speed: Speed) -> Candidate:
        """How a picture would do here, behind all that is drawn here already. speed: of this kind of replica."""
        begun = [one.load(speed) for one in self.jobs if one.index]
        waiting = [one.load(speed) for one in self.jobs if not one.index]
        estimate = forecast(
            begun,
            waiting,
            job.load(speed),
            max_rows=speed.rows,
            max_questions=speed.questions,
            step_seconds=speed.step_seconds,
        )
        return Candidate(name=self.name, ends_s=estimate.ends_s, is_warm=self.is_warm(job.adapters))

    def kill(self) -> None:
        """End its process, if it has not ended."""
        ray.kill(self.actor)
