"""Starting points: own works of a creator's from which clients may start variations.

    offered by its creator, work by work, where its rights allow it (`works.MAY_BE_START`)
    -> shown small to clients, read whole by a worker that draws an order which names it
    -> taken back, deleted, without its right, in a case, or its style destroyed: gone at once

An order whose starting point is gone ends without a charge (`service.ending_starts`).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from inference.likeness import is_nearly_same, look_at, pack_looks, unpack_looks
from inference.messages import AdapterRef, Plan
from inference.pictures import open_picture
from licensing.database import Connection
from licensing.sentence import say
from service.data_use import Use, read_file
from service.db.connections import read
from service.errors import FileRefused, ObjectMissing, Problem, StartWithdrawn
from service.heartbeats import this_process
from service.orders import Order
from service.resources import Resources
from service.works import IS_START
from training.works import MAX_WORK_PIXELS

LEAST_SHARE = 0.5
"""Of the steps that a picture has, so many are drawn anew at least when it starts from a creator's work.

`strength` times the steps, cut to a whole number, are drawn; the others are left out, and the work is noised to where
they would have led. From half of them on there is more noise than work in what is begun with: 0.87 to 0.49 with the
starter base, 0.81 to 0.59 with Stable Diffusion, half and half or more with flow matching. With 40 % it is 0.70 to 0.71
with Stable Diffusion: the work would still be most of it. It is the share that is asked for and not the strength, for
of a single step 0.9 is none. What is drawn is compared with the work all the same.
"""
_COLUMNS = "id, style_id, storage_key, width, height, offered_at"


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A work that clients may start from. Its `id` is the work's."""

    id: str
    style_id: str
    storage_key: str
    width: int
    height: int
    offered_at: datetime


async def list_starts(conn: Connection, style_id: str, *, limit: int, after: str | None = None) -> list[StartingPoint]:
    """A style's starting points in the order in which the works came; by the house's connection, as the next one."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.works WHERE style_id = $1 AND {IS_START} AND ($2::text IS NULL OR id > $2)"
        " ORDER BY id LIMIT $3",
        *(style_id, after, limit),
    )
    return [read(StartingPoint, row) for row in rows]


async def find_start(conn: Connection, start_id: str) -> StartingPoint | None:
    """One of them, of whatever style."""
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM service.works WHERE id = $1 AND {IS_START}", start_id)
    return read(StartingPoint, row) if row else None


def check_far_enough(planned: Plan) -> None:
    """Raises Problem for a variation of a work that leaves out so many steps that the work would be delivered again."""
    if planned.num_steps >= planned.steps * LEAST_SHARE:
        return
    raise Problem(
        "invalid_request",
        say(
            "Strength {strength:g} draws {made} of {steps} steps anew, and a variation of a maker's own work draws"
            " {least:.0%} of them at least, for with fewer the work itself would come out; choose a strength from"
            " {least:g} to 1.",
            strength=planned.strength,
            made=planned.num_steps,
            steps=planned.steps,
            least=LEAST_SHARE,
        ),
    )


async def read_start(opened: Resources, order: Order) -> bytes | None:
    """The work that an order starts from, for the worker that draws it; None for none. Its creator finds a line of it
    in the ledger of use. Raises StartWithdrawn where it is no starting point any more."""
    start_id: str | None = order.request.get("start")
    if start_id is None:
        return None
    async with opened.house() as conn:
        start = await find_start(conn, start_id)
    if start is None:
        raise StartWithdrawn(start_id)
    try:
        return await read_file(opened, Use(purpose="variation", by=this_process(), job=order.id), start.storage_key)
    except (FileRefused, ObjectMissing) as error:
        # Its creator was quicker.
        raise StartWithdrawn(start_id) from error


def compared_with(adapter: AdapterRef, start: bytes) -> AdapterRef:
    """An adapter whose pictures are compared with the work that they start from, too, whether it learnt from it or not.
    Blocks."""
    look = look_at(open_picture(start, max_pixels=MAX_WORK_PIXELS).image)
    try:
        works = unpack_looks(adapter.works) if adapter.works else ()
    except ValueError:
        # Whoever compares says so.
        return adapter
    if any(is_nearly_same(look, form) for forms in works for form in forms):
        return adapter
    return replace(adapter, works=pack_looks([*works, (look,)]))
