"""The engine: takes requests from any thread, makes their pictures in one, joining and leaving at any step."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from types import TracebackType
from typing import Any

import torch
from PIL import Image

from inference.adapters.cache import AdapterCache
from inference.adapters.stack import StackedAdapters
from inference.admission import make_row
from inference.bases import open_base
from inference.catalog import BaseSpec
from inference.denoise import Batch, Row
from inference.devices import await_device, name_of
from inference.errors import EngineClosed, EngineFull, PictureFailed, TooLate
from inference.fairness import FairQueue, Turn
from inference.jobs import Job, Result
from inference.knee import measure_finishing, measure_steps
from inference.messages import MAX_ASKS, Estimate, ImageRequest, Picture, Plan, Step, plan
from inference.pace import Load, Pace, Speed, forecast
from inference.pictures import jpeg_bytes, png_bytes
from inference.receipt import Receipt, receipt_of

PREVIEW_EVERY = 4
"""Steps between two previews of one picture, at least; each costs a decode, so together they have a budget."""
PREVIEW_EDGE = 128


class _Interrupted(Exception):
    """Raised between sub-blocks: some rows must leave, so this step is given up and done again without them."""


class Engine:
    """One open base, one thread, up to `max_rows` pictures in the making.

    Use as a context manager or call `close`. `max_rows` and `max_waiting` bound what is made and what waits. A step
    answers `max_questions` at once, each about a picture of the base's own size: as many as pay on this machine
    (`inference.knee`), unless told. A larger picture counts as several; one alone may ask as much as it needs.
    """

    def __init__(
        self,
        spec: BaseSpec,
        *,
        device: str = "cpu",
        max_rows: int = 8,
        max_waiting: int = 256,
        max_questions: int | None = None,
    ) -> None:
        self.spec = spec
        self._base = open_base(spec, device=device)
        self._stack = StackedAdapters(self._base.denoiser)
        self._cache = AdapterCache(self._base, self._stack)
        self._max_rows, self._max_waiting = max_rows, max_waiting
        self._pace = Pace()
        self._waiting: FairQueue[Job] = FairQueue()
        self._running: list[Job] = []
        self._batches: dict[tuple[int, int], tuple[list[Job], Batch]] = {}
        self._in_step: list[Job] = []
        self._to_forget: list[str] = []
        self._is_closing = False
        self._changed = Condition()
        for block in self._base.sub_blocks():
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
    ) -> "Future[Result]":
        """Queue one picture.

        stop: called before every step, between sub-blocks, before the picture is decoded, before it is enlarged and
        before it is handed over; a reason ends this request alone. It must be quick and is called from the engine's
        thread, as is `on_step`. turn: whose it is; places are shared fairly, by pixels, questions and steps. within_s:
        it is only taken if it will likely be finished within so many seconds. The future fails with an InferenceError
        if this request cannot be made. Raises InvalidRequest at once for what can be seen without opening anything,
        EngineUnavailable if the engine takes none.
        """
        job = Job(plan=plan(request, self.spec), turn=turn or Turn(), stop=stop, on_step=on_step)
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
            self._changed.notify()
        return job.future

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
        """Drop an adapter from memory, before the next step, because it may no longer be used."""
        with self._changed:
            self._to_forget.append(sha256)
            self._changed.notify()

    def close(self) -> None:
        """Stop what runs and waits (reason "closing"), then end the thread. Calling it again does nothing."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _estimate(self, planned: Plan, turn: Turn) -> Estimate:
        return forecast(
            [self._load(job.plan, job.steps_left, job.num_asks, is_running=True) for job in self._running],
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
                self._forget_dropped()
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
            while not (self._waiting or self._running or self._to_forget or self._is_closing):
                self._changed.wait()
            return not self._is_closing

    def _forget_dropped(self) -> None:
        with self._changed:
            dropped, self._to_forget = self._to_forget, []
        for sha256 in dropped:
            self._cache.forget(sha256)
        if dropped:
            # What was gathered of it goes too, and what still lies over the base; those who stay are gathered anew.
            self._batches.clear()
            self._stack.clear()

    def _end_stopped(self) -> None:
        with self._changed:
            present = [*self._waiting, *self._running]
        stopped = [job for job in present if job.must_end()]
        for job in stopped:
            self._leave(job)
            job.end_stopped()

    def _admit(self) -> None:
        while (job := self._take()) is not None:
            began = time.perf_counter()
            try:
                job.begin(*make_row(self._base, self._cache, job.plan))
            except Exception as error:  # noqa: BLE001 - whatever one request breaks, the others go on
                self._fail(job, error)
                continue
            self._pace.admitted(time.perf_counter() - began)
            self._after_step(job)

    def _take(self) -> Job | None:
        """Whose turn it is, if there is room: counted among the running at once, so that no estimate misses it."""
        with self._changed:
            job = self._waiting.first()
            if job is None:
                return None
            asked = sum(self._questions(one) for one in (*self._running, job))
            if self._running and (len(self._running) >= self._max_rows or asked > self.max_questions):
                return None
            self._waiting.take()
            self._running.append(job)
            return job

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
        self._in_step = jobs
        began = time.perf_counter()
        try:
            batch.step()
            # Never more than one step ahead of a GPU: what is decided between steps is heeded by the next one.
            await_device(self._base.device)
        finally:
            self._in_step = []
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

    def _between_sub_blocks(self, *_: Any) -> None:
        if any(job.must_end() for job in self._in_step):
            raise _Interrupted

    def _after_step(self, job: Job) -> None:
        try:
            row = job.started_row()
            if not torch.isfinite(row.latent_CHW).all():
                raise PictureFailed(
                    "the picture broke into numbers that are not finite; try a lower adapter strength or guidance"
                )
            if row.index:
                self._tell(job)
            if row.is_finished and not job.must_end():
                self._finish(job)
        except Exception as error:  # noqa: BLE001 - one picture or one listener fails alone
            self._fail(job, error)

    def _tell(self, job: Job) -> None:
        """Report a step. Nothing of a picture leaves, not even a preview, once its request was told to stop."""
        if job.on_step is None or job.must_end():
            return
        row = job.started_row()
        preview = None
        if row.index % PREVIEW_EVERY == 0 and not row.is_finished and self._pace.affords_preview:
            preview = self._preview(row)
            if job.must_end():
                return
        job.on_step(Step(index=row.index, total=len(row.table), preview=preview))

    def _preview(self, row: Row) -> bytes:
        assert row.estimate_CHW is not None, "previews are drawn after a step"
        began = time.perf_counter()
        preview = jpeg_bytes(self._base.decode(row.estimate_CHW[None])[0], longest=PREVIEW_EDGE)
        self._pace.previewed(time.perf_counter() - began)
        return preview

    def _finish(self, job: Job) -> None:
        row, began = job.started_row(), time.perf_counter()
        image = _keep(row.kept, self._base.decode(row.latent_CHW[None])[0])
        if job.is_enlarged:
            if job.must_end():
                return
            image = _keep(row.kept_large, self._base.enlarge([image])[0])
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
