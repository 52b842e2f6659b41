"""The engine: takes requests from any thread, makes their pictures in one, joining and leaving at any step."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from types import TracebackType
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from inference.adapters.cache import DEVICE_BYTES, HOST_BYTES, AdapterCache
from inference.adapters.stack import RowAdapters, StackedAdapters
from inference.admission import make_row
from inference.bases import open_base
from inference.catalog import BaseSpec
from inference.checkers import Checker
from inference.checkers.near_copies import near_copies_of
from inference.denoise import Batch
from inference.devices import await_device, name_of
from inference.errors import EngineClosed, EngineFull, HalfwayUnusable, PictureFailed, TooLate
from inference.fairness import FairQueue, Turn
from inference.halfway import go_on, halfway_of
from inference.jobs import Job
from inference.knee import measure_finishing, measure_steps
from inference.messages import MAX_ASKS, AdapterRef, Estimate, ImageRequest, Picture, Plan, Result, Step, Tier, plan
from inference.pace import Load, Pace, Speed, forecast
from inference.pictures import jpeg_bytes, png_bytes
from inference.readings import Readings
from inference.receipt import Receipt, receipt_of

log = logging.getLogger("ownhand.engine")

PREVIEW_EVERY = 4
"""Steps between two previews of one picture, at least; each costs a decode, so together they have a budget."""
PREVIEW_EDGE = 128
STOPS_EVERY_S = 0.02
"""How often pictures that wait for nothing but an adapter are asked whether they must stop."""


class _Interrupted(Exception):
    """Raised between sub-blocks: some rows must leave, so this step is given up and done again without them; or the one
    picture that is being decoded must."""


class Engine:
    """One open base, one thread, up to `max_rows` pictures in the making.

    Use as a context manager or call `close`. `max_rows` and `max_waiting` bound what is made and what waits. A step
    answers `max_questions` at once, each about a picture of the base's own size: as many as pay on this machine
    (`inference.knee`), unless told. A larger picture counts as several; one alone may ask as much as it needs.
    Adapters are read aside and kept within `host_bytes`, on a GPU also within `device_bytes` there; what is worn or
    will be next stays whatever the budget.
    `checkers` look at the source of every request, at its previews and at its finished picture.
    """

    def __init__(
        self,
        spec: BaseSpec,
        *,
        device: str = "cpu",
        max_rows: int = 8,
        max_waiting: int = 256,
        max_questions: int | None = None,
        host_bytes: int = HOST_BYTES,
        device_bytes: int = DEVICE_BYTES,
        checkers: Sequence[Checker] = (),
    ) -> None:
        self.spec = spec
        self._checkers = tuple(checkers)
        self._base = open_base(spec, device=device)
        self._stack = StackedAdapters(self._base.denoiser)
        self._changed = Condition()
        self._cache = AdapterCache(
            self._base, self._stack, host_bytes=host_bytes, device_bytes=device_bytes, on_arrival=self._look_again
        )
        # As many as all rows together may read.
        self._readings = Readings(self._base, most=MAX_ASKS * max_rows)
        self._max_rows, self._max_waiting = max_rows, max_waiting
        self._pace = Pace()
        self._waiting: FairQueue[Job] = FairQueue()
        self._running: list[Job] = []
        self._batches: dict[tuple[int, int], tuple[list[Job], Batch]] = {}
        self._asked: list[Job] = []
        """Those for which the base is being asked something: they may end in the middle of it."""
        self._is_finishing = False
        """It is asked for one picture alone: any other may end meanwhile."""
        self._has_forgotten = self._is_closing = False
        for block in (*self._base.sub_blocks(), *self._base.finishing_blocks()):
            block.register_forward_pre_hook(self._between_sub_blocks)
        knee = measure_steps(self._base, self._pace, most=MAX_ASKS * max_rows)
        measure_finishing(self._base, self._pace)
        self.max_questions = max_questions or knee
        """Questions of one step."""
        self._thread = Thread(target=self._work, name=f"engine-{spec.id}", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        within_s: float | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        """Queue one picture.

        stop: called before every step, between sub-blocks, before and while the picture is decoded and enlarged, and
        before it is handed over; a reason ends this request alone. It must be quick and is called from the engine's
        thread, as is `on_step`. turn: whose it is; places are shared fairly, by pixels, questions and steps, and who
        has a lower priority makes room: it keeps its steps and waits. within_s: it is only taken if it will likely be
        finished within so many seconds. halfway: what `Step.halfway` wrote of the same request, in any process; it goes
        on from there. The future fails with an InferenceError if this request cannot be made, and is `Refused` if a
        check objects to it. Raises InvalidRequest at once for what can be seen without opening anything,
        EngineUnavailable if the engine takes none.
        """
        job = Job(
            plan=plan(request, self.spec),
            turn=turn or Turn(),
            stop=stop,
            on_step=on_step,
            halfway=halfway,
            checkers=self._checkers,
        )
        with self._changed:
            if self._is_closing:
                raise EngineClosed(f"the engine of base {self.spec.id!r} is shut down; submit to another worker")
            if len(self._waiting) >= self._max_waiting:
                seconds = self._estimate(job.plan, job.turn).begins_s
                raise EngineFull(f"{self._max_waiting} pictures are waiting already; try again in {seconds:.0f} s")
            if within_s is not None and (seconds := self._estimate(job.plan, job.turn).ends_s) > within_s:
                raise TooLate(
                    f"the picture would take about {seconds:.0f} s from now, {within_s:g} s were asked for; "
                    "ask for fewer steps, or allow more time"
                )
            self._waiting.put(job, job.turn)
            for ref in request.adapters:
                self._cache.prefetch(ref)
            self._changed.notify()
        return job.future

    def prefetch(self, ref: AdapterRef) -> None:
        """Begin to read an adapter that a request will likely name soon. It may come to nothing, and nobody is told."""
        with self._changed:
            if not self._is_closing:
                self._cache.prefetch(ref)

    def estimate(self, request: ImageRequest, *, turn: Turn | None = None) -> Estimate:
        """When a request submitted now would begin and end, from measured times. Raises InvalidRequest as `submit`."""
        planned = plan(request, self.spec)
        with self._changed:
            return self._estimate(planned, turn or Turn())

    def speed(self) -> Speed:
        """How fast it draws, for who reckons in another process. Call from any thread."""
        return Speed(
            rows=self._max_rows,
            questions=self.max_questions,
            half_s=self._pace.step_and_previews_seconds(self.max_questions / 2),
            full_s=self._pace.step_and_previews_seconds(self.max_questions),
            admission_s=self._pace.admission_seconds,
            finishing_s=self._pace.finish_seconds(1, enlarged=self._base.enlarger is not None),
        )

    def forget(self, sha256: str) -> None:
        """Drop an adapter that may no longer be used, and end the pictures that name it.

        No step is made with it after this, its numbers are overwritten, and a load of it that began before is refused
        when it arrives. A request that comes later reads it anew.
        """
        with self._changed:
            for job in (*self._waiting, *self._running):
                job.is_forgotten |= job.names(sha256)
            self._cache.forget(sha256)
            self._has_forgotten = True
            self._changed.notify()

    def adapter_tiers(self) -> dict[str, Tier]:
        """How often adapters were at hand when they were needed, by the place where they lie."""
        return self._cache.tiers()

    def close(self) -> None:
        """Stop what runs and waits (reason "closing"), then end the thread. Calling it again does nothing."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()
        self._cache.close()

    def _estimate(self, planned: Plan, turn: Turn) -> Estimate:
        leaving = self._who_makes_room(planned.num_asks * planned.share(self.spec), turn.priority) or []
        stay = [job for job in self._running if job not in leaving]
        return forecast(
            [self._load(job.plan, job.steps_left, job.num_asks, is_running=True) for job in stay],
            [
                self._load(job.plan, job.steps_left, job.num_asks)
                for job in self._waiting.ahead_of(turn, self._row_steps)
            ],
            self._load(planned, planned.num_steps, planned.num_asks),
            max_rows=self._max_rows,
            max_questions=self.max_questions,
            step_seconds=self._pace.step_and_previews_seconds,
        )

    def _load(self, planned: Plan, steps: int, num_asks: int, *, is_running: bool = False) -> Load:
        share = planned.share(self.spec)
        return Load(
            steps=max(steps, 1),
            all_steps=max(planned.num_steps, 1),
            questions=num_asks * share,
            admission_s=0.0 if is_running else self._pace.admission_seconds,
            finishing_s=self._pace.finish_seconds(share, enlarged=planned.enlargement > 1),
        )

    def _row_steps(self, job: Job) -> float:
        """What it costs to make a picture, in steps of one question about a picture of the base's own size."""
        return job.steps_left * self._questions(job)

    def _questions(self, job: Job) -> float:
        return job.num_asks * job.plan.share(self.spec)

    def _work(self) -> None:
        try:
            while self._await_work():
                self._wipe_forgotten()
                self._end_stopped()
                self._admit()
                for jobs in self._by_size():
                    self._step_together(jobs)
        except BaseException as error:
            # A fault of the engine itself: nobody may wait for a picture that will never come.
            self._end_all(error)
            raise
        self._end_all(None)

    def _await_work(self) -> bool:
        with self._changed:
            while not (self._waiting or self._running or self._has_forgotten or self._is_closing):
                self._changed.wait()
            if not (self._running or self._has_forgotten or self._is_closing or self._next()):
                self._changed.wait(STOPS_EVERY_S)
            return not self._is_closing

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify()

    def _wipe_forgotten(self) -> None:
        with self._changed:
            has_forgotten, self._has_forgotten = self._has_forgotten, False
        if has_forgotten:
            self._cache.wipe_forgotten()
            # What was gathered of it goes too, what was read through it, and what still lies over the base; those who
            # stay are gathered anew.
            self._batches.clear()
            self._readings.clear()
            self._stack.clear()

    def _end_stopped(self, *, with_waiting: bool = True) -> None:
        with self._changed:
            present = [*(self._waiting if with_waiting else ()), *self._running]
        stopped = [job for job in present if job.must_end()]
        for job in stopped:
            self._leave(job)
            job.end_stopped()

    def _admit(self) -> None:
        while (job := self._take()) is not None:
            # One that had made room is a row already.
            if job.row is None:
                self._begin(job)

    def _begin(self, job: Job) -> None:
        began = time.perf_counter()
        try:
            job.checkers += near_copies_of(job.plan.request.adapters)
            job.begin(*make_row(self._base, self._readings, self._wear(job), job.plan, job.may_pass))
            job.draws = self._receipt(job).draws
            self._go_on(job)
        except Exception as error:  # noqa: BLE001 - whatever one request breaks, the others go on
            self._fail(job, error)
            return
        self._pace.admitted(time.perf_counter() - began)
        self._after_step(job)

    def _go_on(self, job: Job) -> None:
        if job.halfway is None:
            return
        try:
            go_on(job.started_row(), job.halfway, draws=job.draws)
        except HalfwayUnusable as error:
            # The same picture comes out, only later.
            log.warning("%s begins anew, what was made of it cannot be used: %s", job.plan.request.id, error)

    def _wear(self, job: Job) -> RowAdapters:
        """The job's adapters on the device, held by it from here on."""
        job.worn = tuple(self._cache.on_device(load.result()) for load in job.loads or ())
        job.loads = None
        return [(one.adapter, ref.strength) for one, ref in zip(job.worn, job.plan.request.adapters, strict=True)]

    def _next(self) -> Job | None:
        """Whose turn it is of those whose adapters are there. Those of others whose turn is near are on their way then,
        and who is next after them goes first meanwhile."""
        for job in self._waiting.in_turn(self._max_rows):
            if job.row is not None:
                # It had made room, and wears what it wore.
                return job
            if job.loads is None:
                job.loads = tuple(self._cache.want(ref) for ref in job.plan.request.adapters)
            if all(load.done() for load in job.loads):
                return job
        return None

    def _take(self) -> Job | None:
        """Whose turn it is, if there is room: counted among the running at once, so that no estimate misses it."""
        with self._changed:
            job = self._next()
            if job is None:
                return None
            leaving = self._who_makes_room(self._questions(job), job.turn.priority)
            if leaving is None:
                return None
            self._waiting.take(job)
            for one in leaving:
                self._running.remove(one)
                self._waiting.give_back(one)
            self._running.append(job)
            return job

    def _who_makes_room(self, questions: float, priority: int) -> list[Job] | None:
        """Which pictures leave for one of so many questions: those of lower priority, as few as will do; None: there
        is no room for it."""
        stay, leaving = list(self._running), list[Job]()
        lower = sorted(
            (job for job in stay if job.turn.priority < priority), key=lambda job: (job.turn.priority, -job.steps_left)
        )
        while not self._has_room(stay, questions):
            if not lower:
                return None
            leaving.append(lower.pop(0))
            stay.remove(leaving[-1])
        return leaving

    def _has_room(self, running: list[Job], questions: float) -> bool:
        asked = questions + sum(self._questions(job) for job in running)
        return not running or (len(running) < self._max_rows and asked <= self.max_questions)

    def _by_size(self) -> list[list[Job]]:
        sizes: dict[tuple[int, int], list[Job]] = {}
        for job in self._running:
            sizes.setdefault((job.plan.width, job.plan.height), []).append(job)
        self._batches = {size: batch for size, batch in self._batches.items() if size in sizes}
        return list(sizes.values())

    def _step_together(self, jobs: list[Job]) -> None:
        try:
            self._step(jobs)
        except _Interrupted:
            return
        except Exception as error:  # noqa: BLE001 - find the row that breaks the step, so that it fails alone
            if isinstance(error, torch.OutOfMemoryError):
                # Those who are here are drawn one by one; so many are not let in again.
                self.max_questions = max(self.max_questions // 2, 1)
            if len(jobs) == 1:
                self._fail(jobs[0], error)
                return
            for job in jobs:
                self._step_together([job])

    def _step(self, jobs: list[Job]) -> None:
        batch = self._batch(jobs)
        batch.bind()
        began = time.perf_counter()
        with self._asking_for(jobs):
            batch.step()
            # Never more than one step ahead of a GPU: what is decided between steps is heeded by the next one.
            await_device(self._base.device)
        self._pace.saw(batch.num_forward_rows * jobs[0].plan.share(self.spec), time.perf_counter() - began)
        for job in jobs:
            job.largest_batch = max(job.largest_batch, batch.num_forward_rows)
        with self._changed:
            for job in jobs:
                self._waiting.charge(job.turn, self._questions(job))
        for job in jobs:
            self._after_step(job)

    def _batch(self, jobs: list[Job]) -> Batch:
        size = (jobs[0].plan.width, jobs[0].plan.height)
        known = self._batches.get(size)
        if known is None or known[0] != jobs:
            batch = Batch(self._base, self._stack, [job.started_row() for job in jobs])
            self._batches[size] = (list(jobs), batch)
        return self._batches[size][1]

    @contextmanager
    def _asking_for(self, jobs: list[Job], *, is_finishing: bool = False) -> Iterator[None]:
        self._asked, self._is_finishing = jobs, is_finishing
        try:
            yield
        finally:
            self._asked, self._is_finishing = [], False

    def _between_sub_blocks(self, *_: Any) -> None:
        if any(job.must_end() for job in self._asked):
            raise _Interrupted
        if self._is_finishing:
            self._end_stopped(with_waiting=False)

    def _after_step(self, job: Job) -> None:
        try:
            row = job.started_row()
            if not torch.isfinite(row.latent_CHW).all():
                raise PictureFailed(
                    "the picture broke into numbers that are not finite; try a lower adapter strength or guidance"
                )
            with suppress(_Interrupted):  # it was told to stop, and ends below
                if row.index:
                    self._tell(job)
                if row.is_finished and not job.must_end():
                    self._finish(job)
        except Exception as error:  # noqa: BLE001 - one picture or one listener fails alone
            self._fail(job, error)
        if job.stop_reason is not None:
            # Now, for whoever comes next may take long to finish.
            self._end_stopped(with_waiting=False)

    def _tell(self, job: Job) -> None:
        """Report a step. Nothing of a picture leaves, not even a preview, once its request was told to stop."""
        if job.on_step is None or job.must_end():
            return
        row = job.started_row()
        preview = None
        estimate_CHW = row.estimate_CHW if row.index % PREVIEW_EVERY == 0 and not row.is_finished else None
        if estimate_CHW is not None and self._pace.affords_preview:
            preview = self._preview(job, estimate_CHW)
            if job.must_end():
                return
        halfway = halfway_of(row, draws=job.draws)
        job.on_step(Step(index=row.index, total=len(row.table), preview=preview, halfway=halfway.as_bytes))

    def _preview(self, job: Job, estimate_CHW: Tensor) -> bytes | None:
        """What the picture is becoming; None where a check holds that back."""
        began = time.perf_counter()
        with self._asking_for([job], is_finishing=True):
            image = self._base.decode(estimate_CHW[None])[0]
        preview = jpeg_bytes(image, longest=PREVIEW_EDGE) if job.may_pass(image, "preview") else None
        self._pace.previewed(time.perf_counter() - began)
        return preview

    def _finish(self, job: Job) -> None:
        row, began = job.started_row(), time.perf_counter()
        with self._asking_for([job], is_finishing=True):
            image = _keep(row.kept, self._base.decode(row.latent_CHW[None])[0])
            if job.is_enlarged:
                image = _keep(row.kept_large, self._base.enlarge([image])[0])
        if not job.may_pass(image, "picture"):
            return
        png = png_bytes(image)
        if job.must_end():
            return
        self._pace.finished(job.plan.share(self.spec), time.perf_counter() - began, enlarged=job.is_enlarged)
        self._leave(job)
        job.end_with(
            Picture(
                request_id=job.plan.request.id,
                png=png,
                width=image.width,
                height=image.height,
                seed=job.plan.request.seed,
                steps=len(row.table),
                seconds=time.perf_counter() - job.started_s,
                receipt=self._receipt(job).as_dict(),
                notes=job.notes,
            )
        )

    def _receipt(self, job: Job) -> Receipt:
        row = job.started_row()
        return receipt_of(
            job.plan,
            base_sha256=self._base.sha256,
            table_sha256=row.table.sha256,
            weights=tuple(ask.weight for ask in row.asks),
            guidance_rescale=row.guidance_rescale,
            largest_batch=job.largest_batch,
            device=name_of(self._base.device),
            checks=tuple(job.passed),
        )

    def _fail(self, job: Job, error: BaseException) -> None:
        self._leave(job)
        job.end_failed(error)

    def _leave(self, job: Job) -> None:
        with self._changed:
            if job in self._running:
                self._running.remove(job)
            self._waiting.leave(job)

    def _end_all(self, error: BaseException | None) -> None:
        with self._changed:
            self._is_closing = True
            left = [*self._running, *self._waiting]
            self._running, self._waiting = [], FairQueue()
        for job in left:
            if error is None:
                job.end_stopped("closing")
            else:
                job.end_failed(error)


def _keep(kept: tuple[Image.Image, Image.Image] | None, image: Image.Image) -> Image.Image:
    """The picture with its source outside the mask; the picture itself where nothing is kept."""
    if kept is None:
        return image
    source, mask = kept
    return Image.composite(image, source, mask)
