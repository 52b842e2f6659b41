"""The durable workflow engine (dbos), as this service uses it.

A story (one generation, one training) is an async function registered by `story`; its steps are registered by
`DBOS.step`. Its workflow's id is the id of the thing it is about, so starting it twice is harmless. Arguments and
results are JSON: numbers, strings, lists, dictionaries; nothing a worker sends is ever unpickled beside the keys.

Every story is started on a named queue, and a role consumes only its queues. A queue gives out the lowest priority
first, then who came first. After a kill a process takes up its own work again by its executor's name; `adopt` gives the
work of silent executors back to the queues.
"""

import asyncio
import fcntl
import functools
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, cast

import asyncpg
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetEnqueueOptions, SetWorkflowID, WorkflowHandleAsync

from licensing.database import Connection
from service import drawing
from service.beside import beside
from service.heartbeats import beating
from service.machines import Machine
from service.queues import CHANNEL, IDLE_POLL_S, ring, taking
from service.resources import Gateway, Resources
from service.skew import STEPS, apart, check_tables
from service.tracing.spans import link, span, story_span

Role = Literal["web", "worker", "both"]
GENERATION, RENDER, TRAINING, SIGNING = "generation", "render", "training", "signing"
REVIEW = "review"
"""Of its own, so that a review, which takes seconds, never waits for a training, which takes minutes to hours."""
QUEUES: dict[Role, tuple[str, ...]] = {
    "web": (GENERATION, SIGNING),
    "worker": (RENDER, TRAINING, REVIEW),
    "both": (GENERATION, SIGNING, RENDER, TRAINING, REVIEW),
}
_TAKEN = {"pictures": RENDER, "trainings": TRAINING, "reviews": REVIEW}
"""What each kind of `settings.WORK` lies in."""
_PER_PROCESS = {GENERATION: 1024, SIGNING: 4, RENDER: 1, TRAINING: 1, REVIEW: 2}
"""Stories at once. One of a generation only waits, most of the time; of renderings, as many as a worker has room for
(`_DOORS`)."""
_DOORS = {RENDER: drawing.has_room}
LAST_PRIORITY = 2**31 - 1
BROKEN = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
"""States of a story that will not go on; a thing that is unfinished all the same is broken."""
_LOOKS_PER_S = 8
_TAKE_UP_S = 3.0
"""How often a process looks for stories of its own that nobody tells any more."""
_APPLICATION = "ownhand"
# The engine's own function for it, which is one short statement on a connection of ours; its client in Python goes
# through a thread and statements of its own, which costs whoever orders pictures 10 to 20 ms.
_ENQUEUE = """
SELECT dbos.enqueue_workflow(
    workflow_name => $1, queue_name => $2, positional_args => $3::json[], workflow_id => $4, app_version => $5,
    priority => $6), pg_notify($7, $2)
"""
_HANDED_OVER = frozenset({GENERATION, SIGNING, RENDER, REVIEW})
"""Whose stories a process gives back when it ends. Of a training the checkpoints lie on its machine's disk, so it waits
for the process to come back, until that has been silent for a while."""
_HAND_OVER_S = 5.0

log = logging.getLogger("ownhand.workflows")

P = ParamSpec("P")
R = TypeVar("R")

# One workflow engine per process, as dbos has it; set while `launch` is open.
_resources: Resources | None = None
_stories: set[asyncio.Task[Any]] = set()
# What stories are registered as.
_names: dict[Callable[..., Awaitable[Any]], str] = {}
# What the stories of this process wait for, by the id of the story that is asked; set when somebody says that it ended.
_asked: dict[str, asyncio.Event] = {}


def story(name: str, *, is_asked: bool = False) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Register an async function as a workflow. It is cancelled, not failed, when its process ends in good order.

    is_asked: by another story, which waits for it (`ask`) and is told when it ends.
    """

    def register(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def told(*args: P.args, **kwargs: P.kwargs) -> R:
            task = asyncio.current_task()
            assert task is not None
            if _resources is None:
                # Taken from the queue while the process ends: the next one takes it up.
                raise asyncio.CancelledError
            _stories.add(task)
            try:
                with story_span(name, str(DBOS.workflow_id)):
                    return await function(*args, **kwargs)
            finally:
                _stories.discard(task)
                if is_asked and _resources is not None:
                    await ring(_resources, str(DBOS.workflow_id))

        registered = DBOS.workflow(name=name)(told)
        _names[registered] = name
        return registered

    return register


def resources() -> Resources:
    """What this process holds open, for the steps of a story."""
    assert _resources is not None, "no workflow engine runs in this process"
    return _resources


def gateway() -> Gateway:
    """The same, in steps that only the web role runs."""
    found = resources()
    assert isinstance(found, Gateway), "this step is for the web role"
    return found


async def start(
    queue: str,
    workflow_id: str,
    function: Callable[..., Awaitable[Any]],
    *args: Any,
    priority: int | None = None,
    conn: Connection | None = None,
) -> None:
    """Put a story on its queue and say so; nothing happens where its id is known already. priority: from 1; without
    one, first. Within a step of another story it is no child of that one.

    conn: the connection that the caller holds, who else would wait for a second one; in a transaction the story comes
    with what that commits.
    """
    documents = [json.dumps(arg) for arg in args]
    asked = (_ENQUEUE, _names[function], queue, documents, workflow_id, STEPS, priority, CHANNEL)
    if conn is not None:
        await conn.execute(*asked)
    else:
        async with resources().pool.acquire() as lent:
            await lent.execute(*asked)
    link(workflow_id.partition(".")[0])


async def ask(
    queue: str,
    workflow_id: str,
    function: Callable[..., Awaitable[R]],
    *args: Any,
    priority: int | None = None,
    when_asked: Callable[[], None] | None = None,
) -> R:
    """Inside a story: run another (`is_asked`) on its queue, maybe in another process, and wait for its result.

    `when_asked` is called once the question is stored.
    """
    told = _asked.setdefault(workflow_id, asyncio.Event())
    try:
        with SetWorkflowID(workflow_id), SetEnqueueOptions(priority=priority):
            handle: WorkflowHandleAsync[R] = await DBOS.enqueue_workflow_async(queue, cast(Any, function), *args)
        if when_asked is not None:
            when_asked()
        await ring(resources(), queue)
        await _until_ended(workflow_id, told)
    finally:
        _asked.pop(workflow_id, None)
    return await handle.get_result(polling_interval_sec=resources().settings.poll_interval_s)


def _hear_end(workflow_id: str) -> None:
    if workflow_id in _asked:
        _asked[workflow_id].set()


async def _until_ended(workflow_id: str, told: asyncio.Event) -> None:
    """Wait until somebody says that a story ended. That can be missed, so it is also looked at now and then: the more
    stories wait, the less often each, so that together they ask the database as often as a few do."""
    while not told.is_set():
        # In a context of its own: asked in the story's, the question would become one of its steps.
        looking = asyncio.create_task(states_of([workflow_id]), context=Context())
        if (await looking).get(workflow_id) in BROKEN:
            return
        with suppress(TimeoutError):
            # Where nobody called it is looked at again.
            async with asyncio.timeout(max(1.0, len(_stories) / _LOOKS_PER_S)):
                await told.wait()


def durable_step() -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Register an async function as a step of a story: its result is kept, and it is tried again, for about a minute,
    where the database or the storage could not be reached."""

    def register(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def told(*args: P.args, **kwargs: P.kwargs) -> R:
            with span(function.__name__):
                return await function(*args, **kwargs)

        return DBOS.step(retries_allowed=True, max_attempts=8, interval_seconds=0.5, should_retry=may_pass)(told)

    return register


def may_pass(error: BaseException) -> bool:
    """Whether what was done may go well when it is done again in a while."""
    # A database that stops or starts says so by an OperatorInterventionError. asyncpg answers with an
    # InternalClientError where a connection breaks in the middle of its own clean-up.
    return isinstance(
        error,
        OSError
        | asyncpg.PostgresConnectionError
        | asyncpg.OperatorInterventionError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError,
    )


async def states_of(workflow_ids: list[str]) -> dict[str, str]:
    """The engine's word for the state of each story; unknown ones are left out. See BROKEN."""
    stories = await DBOS.list_workflows_async(workflow_ids=workflow_ids, load_input=False, load_output=False)
    return {story.workflow_id: story.status for story in stories}


async def set_priorities(conn: Connection, priorities: Mapping[str, int]) -> None:
    """Give stories that lie on queues other priorities: those of these ids, and what they asked for (`<id>.<...>`).

    The engine has no call for it.
    """
    await conn.execute(
        "UPDATE dbos.workflow_status s SET priority = wanted.priority"
        " FROM unnest($1::text[], $2::int[]) AS wanted (id, priority)"
        " WHERE s.status = 'ENQUEUED' AND s.queue_name = ANY($3::text[])"
        " AND split_part(s.workflow_uuid, '.', 1) = wanted.id",
        *(list(priorities), list(priorities.values()), [GENERATION, RENDER]),
    )


async def forget_ended(before: datetime, *, most: int) -> int:
    """Delete the rows of up to `most` stories that ended before a moment, with those of their steps; how many."""
    ended = await DBOS.list_workflows_async(
        status=sorted(BROKEN), completed_before=before.isoformat(), limit=most, load_input=False, load_output=False
    )
    if ended:
        await DBOS.delete_workflows_async([story.workflow_id for story in ended])
    return len(ended)


async def forget_stories_of(conn: Connection, ids: Sequence[str]) -> None:
    """Delete the rows of stories that ended, of things with these ids and of what those stories asked for."""
    rows = await conn.fetch(
        "SELECT workflow_uuid FROM dbos.workflow_status WHERE split_part(workflow_uuid, '.', 1) = ANY($1::text[])"
        " AND status = ANY($2::text[])",
        *(list(ids), sorted(BROKEN)),
    )
    # By the engine: not everything it keeps goes with that row.
    if rows:
        await DBOS.delete_workflows_async([row["workflow_uuid"] for row in rows])


async def are_told(conn: Connection, ids: Sequence[str]) -> bool:
    """Whether a story of one of these things, or one that it asked for, has not ended."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM dbos.workflow_status WHERE split_part(workflow_uuid, '.', 1) = ANY($1::text[])"
        " AND status <> ALL($2::text[]))",
        *(list(ids), sorted(BROKEN)),
    )
    return found


async def adopt(executors: list[str]) -> int:
    """Put the unfinished stories of executors that died back on their queues; how many."""
    return len(await asyncio.to_thread(DBOS._recover_pending_workflows, executors))


async def _take_up_dropped(engine: DBOS, executor: str) -> None:
    """Put stories of this living process that nobody tells any more back on their queues.

    A database that goes away ends their telling, and cannot be told that it did. What was just taken from a queue is
    not told yet either, so a story must be missed twice in a row.
    """
    missed = set[str]()
    while True:
        await asyncio.sleep(_TAKE_UP_S)
        try:
            found = await DBOS.list_workflows_async(
                status="PENDING", executor_id=executor, load_input=False, load_output=False
            )
            missing = {one.workflow_id for one in found} - set(engine._active_workflows_set.activeList())
            for workflow_id in missing & missed:
                log.warning("nobody tells the story %s any more; it is queued again", workflow_id)
                await asyncio.to_thread(engine._sys_db.reenqueue_for_recovery, workflow_id, [executor], GENERATION)
            missed = missing - missed
        except Exception:
            log.exception("stories that nobody tells could not be looked for; it is tried again")


@asynccontextmanager
async def launch(opened: Resources, role: Role) -> AsyncIterator[str]:
    """Run the engine on this event loop, consuming the queues of `role`. Yields the executor's name."""
    takes = opened.settings.taken_work if role != "web" else ()
    machine = Machine(role, steps=STEPS, takes=takes)
    async with opened.pool.acquire() as conn:
        await check_tables(conn)
        others = await apart(conn, steps=STEPS, now=opened.clock(), silence_s=opened.settings.executor_silence_s)
    for sentence in others.values():
        log.warning("%s", sentence)
    with executor_name(opened.settings.home, role) as executor:
        # Heard of before it takes anything: nobody gives its work away while it starts.
        async with (
            beating(opened, executor=executor, role=role, speeds=drawing.speeds, machine=machine.describe),
            _engine(opened, executor, role),
        ):
            yield executor


@asynccontextmanager
async def _engine(opened: Resources, executor: str, role: Role) -> AsyncIterator[None]:
    global _resources
    engine = DBOS(config=_config(opened, executor))
    # None by the engine's own threads: see `service.queues`.
    DBOS.listen_queues([])
    _resources = opened
    try:
        # On the loop's own thread: the engine runs async stories on the loop it finds here.
        DBOS.launch()
        _keep_to(asyncio.get_running_loop(), engine)
        queues = {
            name: await DBOS.register_queue_async(
                name, worker_concurrency=per_process, polling_interval_sec=IDLE_POLL_S
            )
            for name, per_process in _PER_PROCESS.items()
        }
        left = {queue for kind, queue in _TAKEN.items() if kind not in opened.settings.taken_work}
        mine = [queues[name] for name in QUEUES[role] if name not in left]
        async with (
            taking(opened, engine, mine, doors=_DOORS, hear_end=_hear_end),
            beside(_take_up_dropped(engine, executor)),
        ):
            yield
    finally:
        _resources = None
        await _end(opened, engine, executor)


def _keep_to(loop: asyncio.AbstractEventLoop, engine: DBOS) -> None:
    """Run stories on this loop alone.

    Where it rests for a moment, as between two tests, the engine would take a loop of its own, in another thread; but
    the stories' connections belong to this one, and asyncpg crashes where two threads use a connection.
    """
    engine._background_event_loop.target_loop = lambda: loop  # type: ignore[method-assign]


async def _end(opened: Resources, engine: DBOS, executor: str) -> None:
    # It warns of every story that is cancelled; here that is meant.
    logging.getLogger("dbos").setLevel(logging.ERROR)
    for task in list(_stories):
        task.cancel()
    await asyncio.gather(*_stories, return_exceptions=True)
    try:
        async with asyncio.timeout(_HAND_OVER_S):
            await _hand_over(opened, engine, executor)
    except Exception as error:  # noqa: BLE001 - whatever it is: others find it when this process has been silent
        log.warning("what %s was in the middle of could not be handed over (%r); it is taken up later", executor, error)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as aside:
        await loop.run_in_executor(aside, DBOS.destroy)
    # The engine had put its own thread pool, now closed, behind `asyncio.to_thread`.
    loop.set_default_executor(ThreadPoolExecutor())


async def _hand_over(opened: Resources, engine: DBOS, executor: str) -> None:
    """Put what this process was in the middle of back on its queues, for the others to take at once."""
    found = await DBOS.list_workflows_async(status="PENDING", executor_id=executor, load_input=False, load_output=False)
    queues = {one.workflow_id: one.queue_name for one in found if one.queue_name in _HANDED_OVER}
    for workflow_id, queue in queues.items():
        await asyncio.to_thread(engine._sys_db.reenqueue_for_recovery, workflow_id, [executor], str(queue))
    for queue in set(queues.values()):
        await ring(opened, str(queue))


def _config(opened: Resources, executor: str) -> DBOSConfig:
    return DBOSConfig(
        name=_APPLICATION,
        system_database_url=opened.database_url,
        application_version=STEPS,
        executor_id=executor,
        serializer=DBOSPortableJSONSerializer(),
        sys_db_pool_size=opened.settings.num_workflow_connections,
        sys_db_idle_transaction_timeout_sec=opened.settings.idle_transaction_s,
        log_level="WARNING",
        run_migrations=False,
    )


@contextmanager
def executor_name(home: Path, role: Role) -> Iterator[str]:
    """A name that no living process has, and that the process has again after a restart.

    It is the role and a mark that lies in the first file of `home/executors` whose lock is free.
    """
    folder = home / "executors"
    folder.mkdir(parents=True, exist_ok=True)
    place = 0
    while True:
        place += 1
        with (folder / f"{role}-{place}").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            file.seek(0)
            mark = file.read()
            if not mark:
                mark = secrets.token_hex(4)
                file.write(mark)
                file.flush()
            yield f"{role}-{mark}"
            return
