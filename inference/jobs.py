"""One submitted request on its way through the engine: what it asked, its row, its checks, and its one end."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from PIL import Image

from inference.adapters.cache import AdapterLoad
from inference.adapters.flat import FlatAdapter
from inference.checkers import Checker
from inference.denoise import Row
from inference.errors import CheckFailed, PictureRefused, let_go
from inference.fairness import Turn
from inference.messages import FORGOTTEN, Plan, Refused, Result, Step, Stopped
from inference.verdicts import Objection, Stage


@dataclass(kw_only=True, eq=False)
class Job:
    """A request with its future. Everything but `future` and `is_forgotten` belongs to the engine's thread."""

    plan: Plan
    turn: Turn
    stop: Callable[[], str | None]
    on_step: Callable[[Step], None] | None
    halfway: bytes | None = None
    """Where another engine left it (`inference.halfway`)."""
    checkers: tuple[Checker, ...] = ()
    passed: dict[str, None] = field(default_factory=dict)
    """The names of those that looked and let something of it pass, in order."""
    future: "Future[Result]" = field(default_factory=Future)
    loads: tuple[AdapterLoad, ...] | None = None
    """Of its adapters, from when its turn is near until it is a row."""
    worn: tuple[FlatAdapter, ...] = ()
    """What it holds from then on."""
    is_forgotten: bool = False
    """Set once, by any thread: an adapter that it names may no longer be used."""
    row: Row | None = None
    draws: str = ""
    """What is drawn (`receipt.Receipt.draws`), from its beginning on."""
    notes: tuple[str, ...] = ()
    largest_batch: int = 0
    """Questions that the fullest of its steps answered."""
    started_s: float = 0.0
    """By `time.perf_counter`."""
    stop_reason: str | None = None
    """Set once, then kept: a stop is never taken back."""
    stop_error: BaseException | None = None
    is_canceled: bool = False
    """Its future was cancelled before it was begun, and whoever waits for it knows."""

    def begin(self, row: Row, notes: tuple[str, ...]) -> None:
        """The request is a row from now on; its future can no longer be cancelled, only stopped."""
        self.row, self.notes, self.started_s = row, notes, time.perf_counter()
        if not self._is_wanted():
            self.stop_reason = "canceled"

    def must_end(self) -> bool:
        """Ask whether the request must stop. A stop that raises ends the request too: rather none than unwanted."""
        if self.stop_reason is None:
            try:
                asked = "canceled" if self.future.cancelled() else self.stop()
                self.stop_reason = asked or (FORGOTTEN if self.is_forgotten else None)
            except Exception as error:  # noqa: BLE001 - the caller's function; its fault ends its own request
                self.stop_reason, self.stop_error = "its stop function failed", error
        return self.stop_reason is not None

    def names(self, sha256: str) -> bool:
        """Whether it asks for this adapter."""
        return any(ref.sha256 == sha256 for ref in self.plan.request.adapters)

    def may_pass(self, image: Image.Image, stage: Stage) -> bool:
        """Whether the checks let a picture of the request pass; False also where it was told to stop meanwhile.

        A check may be slow, so a stop is asked for after each, and goes before what was found. Raises PictureRefused,
        or CheckFailed: what could not be looked at does not leave.
        """
        for checker in self.checkers:
            if stage not in checker.stages:
                continue
            objection = _ask(checker, image, stage)
            if self.must_end():
                return False
            if objection is None:
                self.passed[checker.name] = None
            elif objection.ends or stage != "preview":
                raise PictureRefused(objection)
            else:
                return False
        return True

    def started_row(self) -> Row:
        assert self.row is not None, "the job was not begun"
        return self.row

    @property
    def num_done(self) -> int:
        """Steps."""
        return 0 if self.row is None else self.row.index

    @property
    def steps_left(self) -> int:
        return self.plan.num_steps if self.row is None else len(self.row.table) - self.row.index

    @property
    def num_asks(self) -> int:
        """Questions that a step asks about it."""
        return self.plan.num_asks if self.row is None else len(self.row.asks)

    @property
    def is_enlarged(self) -> bool:
        return self.plan.enlargement > 1

    def end_stopped(self, reason: str | None = None) -> None:
        if self.stop_error is not None:
            self.end_failed(self.stop_error)
            return
        why = self.stop_reason or reason or "stopped"
        self.end_with(Stopped(request_id=self.plan.request.id, reason=why, step=self.num_done))

    def end_with(self, result: Result) -> None:
        if self._is_wanted():
            self.future.set_result(result)

    def end_failed(self, error: BaseException) -> None:
        if isinstance(error, PictureRefused):
            self.end_with(Refused(request_id=self.plan.request.id, objection=error.objection, step=self.num_done))
        elif self._is_wanted():
            let_go(error)
            self.future.set_exception(error)

    def _is_wanted(self) -> bool:
        """Whether its future takes a result. One that was cancelled does not, and whoever waits for it is told so; any
        other can no longer be cancelled from here on."""
        if not (self.is_canceled or self.future.running()):
            self.is_canceled = not self.future.set_running_or_notify_cancel()
        return not self.is_canceled


def _ask(checker: Checker, image: Image.Image, stage: Stage) -> Objection | None:
    try:
        return checker.check(image, stage)
    except Exception as error:
        raise CheckFailed(
            f"the check {checker.name!r} broke while it looked at a picture, so none was let through; try again, and"
            " tell whoever runs this place if it happens again"
        ) from error
