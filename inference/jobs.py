"""One submitted request on its way through the engine: what it asked, its row, and how it ends, exactly once."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from inference.denoise import Row
from inference.fairness import Turn
from inference.messages import Picture, Plan, Step, Stopped

Result = Picture | Stopped


@dataclass(kw_only=True, eq=False)
class Job:
    """A request with its future. Everything but `future` belongs to the engine's thread."""

    plan: Plan
    turn: Turn
    stop: Callable[[], str | None]
    on_step: Callable[[Step], None] | None
    future: "Future[Result]" = field(default_factory=Future)
    row: Row | None = None
    notes: tuple[str, ...] = ()
    largest_batch: int = 0
    """Questions that the fullest of its steps answered."""
    started_s: float = 0.0
    """By `time.perf_counter`."""
    stop_reason: str | None = None
    """Set once, then kept: a stop is never taken back."""
    stop_error: BaseException | None = None

    def begin(self, row: Row, notes: tuple[str, ...]) -> None:
        """The request is a row from now on; its future can no longer be cancelled, only stopped."""
        self.row, self.notes, self.started_s = row, notes, time.perf_counter()
        if not self.future.set_running_or_notify_cancel():
            self.stop_reason = "canceled"

    def must_end(self) -> bool:
        """Ask whether the request must stop. A stop that raises ends the request too: rather none than unwanted."""
        if self.stop_reason is None:
            try:
                self.stop_reason = "canceled" if self.future.cancelled() else self.stop()
            except Exception as error:  # noqa: BLE001 - the caller's function; its fault ends its own request
                self.stop_reason, self.stop_error = "its stop function failed", error
        return self.stop_reason is not None

    def started_row(self) -> Row:
        assert self.row is not None, "the job was not begun"
        return self.row

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
        step = 0 if self.row is None else self.row.index
        why = self.stop_reason or reason or "stopped"
        self.end_with(Stopped(request_id=self.plan.request.id, reason=why, step=step))

    def end_with(self, result: Result) -> None:
        if self._may_end():
            self.future.set_result(result)

    def end_failed(self, error: BaseException) -> None:
        if self._may_end():
            self.future.set_exception(error)

    def _may_end(self) -> bool:
        if self.future.cancelled():
            return False
        return self.future.running() or self.future.set_running_or_notify_cancel()
