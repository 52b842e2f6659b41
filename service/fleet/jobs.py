"""One picture on its way through a fleet: what it asked, how far it is, its one end. Thin: neither Ray nor torch."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from inference.catalog import BaseSpec
from inference.fairness import Turn
from inference.messages import Plan, Result, Step
from inference.pace import Load, Speed
from service.fleet.messages import Heard


@dataclass(kw_only=True, eq=False)
class Job:
    """A request with its future. It belongs to the thread that hears of it; others read `index`."""

    plan: Plan
    spec: BaseSpec
    stop: Callable[[], str | None]
    on_step: Callable[[Step], None] | None
    turn: Turn | None
    halfway: bytes | None
    """Where another replica goes on."""
    future: "Future[Result]" = field(default_factory=Future)
    index: int = 0
    """Steps that were made."""
    stop_reason: str | None = None
    """Set once, then kept: a stop is never taken back."""
    _write: Callable[[], bytes] = bytes

    def must_stop(self) -> str | None:
        """Why it must stop; as in the engine, it holds still while nobody knows."""
        if self.stop_reason is None:
            self.stop_reason = self.stop()
        return self.stop_reason

    def hear(self, heard: Heard) -> None:
        """A replica made a step. Nothing of a picture leaves once it was told to stop."""
        self.index = heard.index
        if heard.halfway is not None:
            self.halfway, self._write = heard.halfway, partial(bytes, heard.halfway)
        if self.on_step is not None and self.must_stop() is None:
            step = Step(index=heard.index, total=heard.total, preview=heard.preview, halfway=self._write)
            self.on_step(step)

    @property
    def adapters(self) -> tuple[str, ...]:
        """Their hashes."""
        return tuple(ref.sha256 for ref in self.plan.request.adapters)

    def load(self, speed: Speed) -> Load:
        """What it still costs where it is drawn at this speed."""
        share = self.plan.share(self.spec)
        return Load(
            steps=max(self.plan.num_steps - self.index, 1),
            all_steps=max(self.plan.num_steps, 1),
            questions=self.plan.num_asks * share,
            admission_s=0.0 if self.index else speed.admission_s,
            finishing_s=speed.finishing_s * share,
        )
