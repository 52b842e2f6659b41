"""A worker's fleet: replicas on the GPUs of a Ray cluster, and pictures given to them by our own rule. Needs Ray.

    submit -> the replica that has it first (`service.fleet.routing`) -> steps heard -> its one end
    a replica dies -> another goes on from where the picture stood; the dead one is replaced
    the worker dies -> its replicas end with it, and its orders go to others as any dead worker's do

Ray carries the messages and finds the GPUs. It does not decide: not who draws what, not when something stops, and none
of its queues, retries or cancellations is used.
"""

import itertools
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Thread
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from inference.catalog import BaseSpec
from inference.errors import AdapterRefused, EngineClosed, EngineFull, EngineUnavailable, TooLate
from inference.events import UNHEARD
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Result, Step, Stopped, Tier, plan
from inference.pace import Speed, mean_speed
from service.fleet.jobs import Job
from service.fleet.members import Member
from service.fleet.messages import Event, Failed, Heard, ReplicaOptions
from service.fleet.raised import cause_of
from service.fleet.routing import choose, speed_together, tier_together

log = logging.getLogger("ownhand.fleet")

CLOSING = "closing"
READING_S = 0.25
"""What an adapter that is not at a replica costs there, beside the time in which its file is brought."""
LOOK_EVERY_S = 0.05
"""How often a picture that makes no step is asked for whether it must stop."""
_TEND_EVERY_S = 0.1
_REPLICAS_MAX = 2
"""That one picture may see die before its order goes back to the queue: what kills them is then looked at elsewhere."""
_BACK_OFF_S, _BACK_OFF_MAX_S = 1.0, 60.0
_GRACE_S = 20.0


class Lost(Exception):
    """A replica is gone, or of no use any more."""


class Fleet:
    """Replicas of one worker, `size` of them. Use as a context manager or call `close`."""

    def __init__(self, options: ReplicaOptions, *, size: int, num_gpus: float, num_cpus: float) -> None:
        self._options, self._num_gpus, self._num_cpus = options, num_gpus, num_cpus
        self._size = size
        self._changed = Condition()
        self._members: list[Member] = []
        self._specs: dict[str, BaseSpec] = {}
        self._files: OrderedDict[str, tuple[str, int, Any]] = OrderedDict()
        """By name, the adapter, bytes and Ray's object of each file that was sent, the one used longest ago first."""
        self._forgotten: Counter[str] = Counter()
        self._keys = itertools.count(1)
        self._is_closing = False
        self._start_s, self._back_off_s = 0.0, _BACK_OFF_S
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="fleet-files")
        self._thread = Thread(target=self._tend, name="fleet", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def engine(self, spec: BaseSpec) -> "FleetEngine":
        """The base, open on at least one replica; waited for, also while the cluster has no GPU free.

        Raises BaseUnusable where it cannot be opened, EngineClosed where the fleet is closed meanwhile.
        """
        with self._changed:
            self._specs[spec.id] = spec
            for member in self._members:
                member.open(spec)
            while True:
                self._require_open(spec)
                if self._open_at(spec):
                    return FleetEngine(self, spec)
                faults = [member.faults[spec.id] for member in self._members if spec.id in member.faults]
                if faults:
                    del self._specs[spec.id]
                    raise faults[0]
                self._changed.wait()

    def resize(self, size: int) -> None:
        """Have so many replicas. Those that are too many end when they have drawn what they have."""
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def drawing(self) -> dict[str, list[str]]:
        """The ids of the pictures that each replica has to draw, by its name; of those that have a base open."""
        with self._changed:
            return {
                member.name: sorted(job.plan.request.id for job in member.jobs)
                for member in self._members
                if member.speeds
            }

    @property
    def num_rows(self) -> int:
        """Pictures that the replicas that there are draw at once; those of one before the first is there."""
        return max(len(self.drawing()), 1) * self._options.engines.max_rows

    def row_steps_per_s(self) -> float:
        """What one replica draws in a second where it has enough to do; of several bases, of the slowest. 0 before one
        was measured."""
        with self._changed:
            speeds = [speed for member in self._members for speed in member.speeds.values()]
        return min((speed.questions / speed.full_s for speed in speeds), default=0.0)

    def close(self) -> None:
        """Stop what is drawn (reason "closing"), then end the replicas. Calling it again does nothing."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(member.jobs for member in self._members), _GRACE_S)
            members, self._members = self._members, []
            self._files.clear()
        self._thread.join()
        self._aside.shutdown()
        for member in members:
            member.kill()

    def draw(self, job: Job, is_closing: Callable[[], bool]) -> None:
        """Draw a picture beside the caller. `is_closing` ends it."""

        def run() -> None:
            job.future.set_running_or_notify_cancel()
            try:
                result = self._draw(job)
            except BaseException as error:  # noqa: BLE001 - whoever waits for the picture hears of it
                job.future.set_exception(error)
            else:
                job.future.set_result(result)

        stop = job.stop
        job.stop = lambda: stop() or (CLOSING if is_closing() or self._is_closing else None)
        Thread(target=run, name=f"fleet-{job.plan.request.id}", daemon=True).start()

    def prefetch(self, spec: BaseSpec, ref: AdapterRef) -> None:
        """Bring an adapter to the replica that would draw with it now. It may come to nothing, and nobody is told."""
        job = _idle_job(spec, ref)

        def bring() -> None:
            try:
                file = self._send_file(ref)
                with self._changed:
                    member = self._choose(job)
                    if member is not None and not member.is_warm(job.adapters):
                        member.actor.prefetch.remote(spec.id, ref, {ref.file_sha256: file})
            except (AdapterRefused, RayError) as error:
                log.warning("an adapter could not be brought ahead of its turn (%r)", error)

        if not self._is_closing:
            self._aside.submit(bring)

    def forget(self, sha256: str) -> None:
        """Have every replica forget an adapter and end what is drawn with it."""
        with self._changed:
            self._forgotten[sha256] += 1
            for name in [name for name, (adapter, _, _) in self._files.items() if adapter == sha256]:
                del self._files[name]
            for member in self._members:
                member.forget(sha256)

    def speed(self, spec: BaseSpec) -> Speed | None:
        """How fast the replicas together draw a base; None while none has it open."""
        with self._changed:
            speeds = [member.speeds[spec.id] for member in self._open_at(spec)]
        return speed_together(speeds) if speeds else None

    def tiers(self, spec: BaseSpec) -> dict[str, Tier]:
        """The places of all replicas' adapters of a base, each as one."""
        with self._changed:
            told = [one.report.tiers.get(spec.id, {}) for one in self._members if one.report is not None]
        places = {place for tiers in told for place in tiers}
        return {place: tier_together([tiers[place] for tiers in told if place in tiers]) for place in sorted(places)}

    def _require_open(self, spec: BaseSpec) -> None:
        if self._is_closing:
            raise EngineClosed(f"the fleet that draws base {spec.id!r} is shut down; submit to another worker")

    def _open_at(self, spec: BaseSpec) -> list[Member]:
        return [member for member in self._members if spec.id in member.speeds and not member.is_leaving]

    def _draw(self, job: Job) -> Result:
        for _ in range(_REPLICAS_MAX):
            member = self._take(job)
            if member is None:
                return self._stopped(job)
            try:
                return self._hear(job, member)
            except Lost as error:
                log.warning("%s is lost while it draws %s: %s", member.name, job.plan.request.id, error)
                self._drop(member)
            finally:
                with self._changed:
                    member.leave(job)
                    self._changed.notify_all()
        raise EngineClosed(f"{_REPLICAS_MAX} replicas ended while they drew one picture; submit it again")

    def _take(self, job: Job) -> Member | None:
        """The replica that draws it, waited for while there is none; None where it is to stop meanwhile."""
        while job.must_stop() is None:
            with self._changed:
                member = self._choose(job)
                if member is not None:
                    member.send(job)
                    return member
                self._changed.wait(LOOK_EVERY_S)
        return None

    def _choose(self, job: Job) -> Member | None:
        members = {member.name: member for member in self._open_at(job.spec)}
        if not members:
            return None
        bringing_s = max(one.report.bringing_s if one.report is not None else 0.0 for one in members.values())
        # Of one kind of GPU all are taken to be equally fast: what one measured lately tells of the pictures it drew.
        speeds: dict[str, list[Speed]] = {}
        for member in members.values():
            speeds.setdefault(member.device, []).append(member.speeds[job.spec.id])
        candidates = [member.candidate(job, mean_speed(speeds[member.device])) for member in members.values()]
        return members[choose(candidates, adapters=job.adapters, loading_s=READING_S + bringing_s)]

    def _hear(self, job: Job, member: Member) -> Result:
        """Hear a picture to its end. Raises Lost, and what it fails with."""
        key = f"{job.plan.request.id}#{next(self._keys)}"
        files = {ref.file_sha256: self._send_file(ref) for ref in job.plan.request.adapters}
        events = member.actor.draw.options(num_returns="streaming").remote(
            key, job.plan.request, files, turn=job.turn, halfway=job.halfway
        )
        is_told = False
        try:
            while True:
                event = _next_event(events)
                if job.must_stop() is not None and not is_told:
                    # It only makes it sooner; the replica's own watch does not wait for it.
                    member.actor.stop.remote(key, job.stop_reason)
                    is_told = True
                if isinstance(event, Heard):
                    job.hear(event)
                elif isinstance(event, Failed):
                    _raise(event.error)
                elif event is not None:
                    return self._stopped(job) if is_told and isinstance(event, Picture) else event
        except BaseException:
            # Whoever asked, or heard, broke: nobody wants the picture any more.
            member.actor.stop.remote(key, UNHEARD)
            raise

    def _stopped(self, job: Job) -> Stopped:
        return Stopped(request_id=job.plan.request.id, reason=job.stop_reason or CLOSING, step=job.index)

    def _send_file(self, ref: AdapterRef) -> list[Any]:
        """A file as an object of Ray's, which replicas fetch where they need it. Raises AdapterRefused."""
        name = ref.file_sha256
        with self._changed:
            times = self._forgotten[ref.sha256]
            if name in self._files:
                self._files.move_to_end(name)
                return [self._files[name][2]]
        try:
            content = ref.path.read_bytes()
        except OSError as error:
            raise AdapterRefused(f"the adapter file {ref.path.name!r} cannot be read ({error.strerror})") from error
        sent = ray.put(content)
        with self._changed:
            if self._forgotten[ref.sha256] != times:
                raise AdapterRefused(
                    f"the adapter {ref.sha256[:12]}... was put away while it was read; submit it again"
                )
            self._files[name] = (ref.sha256, len(content), sent)
            total = sum(size for _, size, _ in self._files.values())
            while total > self._options.engines.host_bytes and len(self._files) > 1:
                _, (_, size, _) = self._files.popitem(last=False)
                total -= size
        return [sent]

    def _drop(self, member: Member) -> None:
        with self._changed:
            if member in self._members:
                self._members.remove(member)
                self._start_s = time.monotonic() + self._back_off_s
                self._back_off_s = min(2 * self._back_off_s, _BACK_OFF_MAX_S)
            self._changed.notify_all()
        member.kill()

    def _tend(self) -> None:
        while not self._is_closing:
            with self._changed:
                try:
                    lost = [member for member in self._members if not self._is_well(member)]
                    self._fill()
                    lost += [member for member in self._members if member.is_leaving and not member.jobs]
                except Exception:
                    log.exception("the replicas cannot be looked after now; it is tried again")
                    lost = []
            for member in lost:
                self._drop(member)
            time.sleep(_TEND_EVERY_S)

    def _is_well(self, member: Member) -> bool:
        try:
            if member.tend():
                self._changed.notify_all()
            if member.speeds:
                self._back_off_s = _BACK_OFF_S
        except RayError as error:
            log.warning("%s is lost: %s", member.name, error)
            return False
        return True

    def _fill(self) -> None:
        """Start replicas that are missing, and let those go that are too many, who draws least first."""
        if self._is_closing:
            return
        staying = [member for member in self._members if not member.is_leaving]
        by_use = sorted(staying, key=lambda one: (bool(one.speeds), len(one.jobs)))
        for member in by_use[: max(len(staying) - self._size, 0)]:
            member.is_leaving = True
        if len(staying) < self._size and time.monotonic() >= self._start_s:
            for _ in range(self._size - len(staying)):
                member = Member(self._options, num_gpus=self._num_gpus, num_cpus=self._num_cpus)
                self._members.append(member)
                for spec in self._specs.values():
                    member.open(spec)


class FleetEngine:
    """One base of a fleet, as an engine (`inference.events.Draws`)."""

    def __init__(self, fleet: Fleet, spec: BaseSpec) -> None:
        self.spec = spec
        self._fleet = fleet
        self._jobs: set[Job] = set()
        self._is_closing = False
        self._speed = fleet.speed(spec)

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        """Queue one picture; see `Engine.submit`. Returns at once."""
        if self._is_closing:
            raise EngineClosed(f"the fleet no longer draws base {self.spec.id!r}; submit to another worker")
        job = Job(plan=plan(request, self.spec), spec=self.spec, stop=stop, on_step=on_step, turn=turn, halfway=halfway)
        self._jobs.add(job)
        job.future.add_done_callback(lambda _: self._jobs.discard(job))
        self._fleet.draw(job, lambda: self._is_closing)
        return job.future

    def speed(self) -> Speed:
        """How fast all replicas together draw; the last that was known while there is none."""
        self._speed = self._fleet.speed(self.spec) or self._speed
        assert self._speed is not None, "an engine of a fleet is made once a replica has its base open"
        return self._speed

    def prefetch(self, ref: AdapterRef) -> None:
        self._fleet.prefetch(self.spec, ref)

    def forget(self, sha256: str) -> None:
        self._fleet.forget(sha256)

    def adapter_tiers(self) -> dict[str, Tier]:
        return self._fleet.tiers(self.spec)

    def close(self) -> None:
        """Stop what is drawn with it; the replicas stay, with the base open."""
        self._is_closing = True
        deadline = time.monotonic() + _GRACE_S
        while self._jobs and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)


def _next_event(events: Any) -> Event | None:
    """What a replica says next; None where it says nothing for a moment. Raises Lost."""
    try:
        ready, _ = ray.wait([events], timeout=LOOK_EVERY_S)
        if not ready:
            return None
        event: Event = ray.get(next(events))
    except RayTaskError as error:
        raise cause_of(error) from None
    except (RayError, StopIteration) as error:
        raise Lost(str(error) or "it ended without a word") from error
    return event


def _raise(error: Exception) -> None:
    """A replica whose engine broke is of no use; whatever else there is, the picture is not made by others either."""
    if isinstance(error, EngineUnavailable) and not isinstance(error, EngineFull | TooLate):
        raise Lost(str(error)) from error
    raise error


def _idle_job(spec: BaseSpec, ref: AdapterRef) -> Job:
    """A picture of the base as it comes, for who chooses a replica before anything is ordered."""
    request = ImageRequest(id="", base=spec.id, prompt="a picture", seed=0, adapters=(ref,))
    return Job(plan=plan(request, spec), spec=spec, stop=lambda: None, on_step=None, turn=None, halfway=None)
