"""Whose turn an order is among all that wait, however many processes draw (`inference.fairness.turn_in`).

An order gets its turn with its hold, in row-steps: what its client was given turns for so far, or what is drawn now
where that is more. Queues give out the lowest first. It keeps its turn when it is put back; a style's pause takes it
away, and it gets another when the pause ends: turns that lay unused would let a whole pile pass everybody else at once.

Nothing is written for a place as a whole: what is drawn now is read from the rows, so that only orders of one client
wait for each other.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from inference import fairness
from licensing.database import Connection
from service.orders import State
from service.resources import Gateway
from service.workflows import LAST_PRIORITY, set_priorities

ROW_STEPS_PER_PRIORITY = 16
"""Queues count in 31 bits and turns in row-steps; so much is less than one picture of a usual base."""
# What waits for its creator is drawn, and has left the line.
_OPEN = "g.state IN ('queued', 'running', 'sealing')"
_NOW = "SELECT coalesce(max(turn), 0) FROM service.generations WHERE turn IS NOT NULL AND started_at IS NOT NULL"
LINE = "SELECT * FROM service.in_line()"
"""In SQL: the line, as `service/db/sql/line.sql` finds it."""


@dataclass(frozen=True, kw_only=True)
class InLine:
    """An order in the line, or one that has left it a moment ago. `work` in row-steps, of all its pictures."""

    id: str
    client_id: str
    creator_id: str
    base: str
    state: State
    turn: int | None
    """None while its style is paused, and where nobody needs to know any more."""
    work: int
    count: int
    step: int
    steps: int | None
    was_taken: bool = False
    """Somebody began to draw it, once."""

    @property
    def waits(self) -> bool:
        return self.state == "queued" and self.turn is not None


@dataclass(frozen=True, kw_only=True)
class Line:
    """All orders that are not drawn yet, and what was drawn lately, by their turns; those without one last."""

    orders: tuple[InLine, ...]

    @property
    def now(self) -> int:
        """The turn that was taken last; where none was, the first that waits."""
        taken = [order.turn for order in self.orders if order.turn is not None and order.was_taken]
        return max(taken) if taken else min((order.turn for order in self.orders if order.turn is not None), default=0)

    @property
    def running(self) -> list[InLine]:
        return [order for order in self.orders if order.state == "running"]

    @property
    def open_by_client(self) -> Counter[str]:
        """How many orders of each client are not drawn yet, those of paused styles too."""
        return Counter(order.client_id for order in self.orders if order.state in ("queued", "running"))

    def before(self, order: InLine) -> list[InLine]:
        """What goes before an order that waits, the first first."""
        assert order.turn is not None
        mine = (order.turn, order.id)
        return [other for other in self.orders if other.waits and (other.turn, other.id) < mine]

    def position(self, order: InLine) -> int:
        """An order's place among those that wait; 1 is next."""
        return len(self.before(order)) + 1

    def find(self, order_id: str) -> InLine | None:
        return next((order for order in self.orders if order.id == order_id), None)

    def has_one_creator(self) -> Callable[[str, str], bool]:
        """Whether all that a client has waiting is for one creator: then an order for that one goes behind it."""
        waiting = {(one.client_id, one.creator_id) for one in self.orders if one.waits and not one.was_taken}
        clients = Counter(client_id for client_id, _ in waiting)
        return lambda client_id, creator_id: clients[client_id] == ((client_id, creator_id) in waiting)

    def followed_by(self, orders: Sequence[InLine]) -> "tuple[Line, list[InLine]]":
        """The line with orders in it, each behind all that its client was given, and those orders with their turns.

        As `joined_by` for one after the other, where each of their clients `has_one_creator`.
        """
        now, behind = self.now, dict[str, int]()
        for one in self.orders:
            if one.turn is not None:
                behind[one.client_id] = max(behind.get(one.client_id, 0), one.turn + one.work)
        placed = []
        for order in orders:
            turn = max(now, behind.get(order.client_id, 0))
            behind[order.client_id] = turn + order.work
            placed.append(replace(order, turn=turn))
        line = sorted([*self.orders, *placed], key=_by_turn)
        return Line(orders=tuple(line)), placed

    def positions(self, orders: Sequence[InLine]) -> list[int]:
        """`position` of each of these, that wait."""
        waiting = [_by_turn(one) for one in self.orders if one.waits]
        return [bisect_left(waiting, _by_turn(order)) + 1 for order in orders]

    def joined_by(self, order: InLine) -> "tuple[Line, InLine, list[InLine]]":
        """The line with an order in it, the order with its turn, and its client's others that moved back for it."""
        given = [one for one in self.orders if one.client_id == order.client_id and one.turn is not None]
        waiting = [one for one in given if one.waits and not one.was_taken and one.id != order.id]
        turn, place = fairness.turn_in(
            [fairness.InLine(creator=one.creator_id, turn=one.turn or 0, work=one.work) for one in waiting],
            order.creator_id,
            now=self.now,
            behind=max(((one.turn or 0) + one.work for one in given), default=0),
        )
        order = replace(order, turn=turn)
        moved = {one.id: replace(one, turn=(one.turn or 0) + order.work) for one in waiting[place:]}
        others = [moved.get(one.id, one) for one in self.orders if one.id != order.id]
        line = sorted([*others, order], key=_by_turn)
        return Line(orders=tuple(line)), order, list(moved.values())


def _by_turn(order: InLine) -> tuple[bool, int, str]:
    return order.turn is None, order.turn or 0, order.id


async def read_line(conn: Connection) -> Line:
    """The line as it is. Orders of test keys are not in it: nobody draws them."""
    return Line(orders=tuple(InLine(**row) for row in await conn.fetch(LINE)))


async def lock_line(conn: Connection, client_ids: Collection[str]) -> Line:
    """The line, in which nobody else gives these clients a turn until the end of the transaction."""
    await conn.execute("SELECT service.lock_turns($1)", list(client_ids))
    return await read_line(conn)


async def move_back(conn: Connection, moved: list[InLine]) -> None:
    """Give orders of one client, whose line is locked, the turns they carry; their queues hear of it."""
    if not moved:
        return
    await conn.execute(
        "UPDATE service.generations g SET turn = moved.turn FROM unnest($1::text[], $2::bigint[]) AS moved (id, turn)"
        " WHERE g.id = moved.id AND g.turn IS NOT NULL AND g.state = 'queued'",
        *([order.id for order in moved], [order.turn for order in moved]),
    )
    await set_priorities(conn, {order.id: priority_of(order.turn) for order in moved})


async def give_turns(conn: Connection, order_ids: Sequence[str]) -> dict[str, int | None]:
    """The turns of orders that are to be drawn; those that have none get theirs. None for an order of a test key."""
    rows = await conn.fetch(
        "SELECT id, client_id, turn, test FROM service.generations WHERE id = ANY($1::text[])", list(order_ids)
    )
    turns: dict[str, int | None] = {row["id"]: row["turn"] for row in rows}
    without = [row for row in rows if row["turn"] is None and not row["test"]]
    if without:
        # The locks of all of them at once: who takes one after the other may wait in a circle.
        await lock_line(conn, {row["client_id"] for row in without})
    for row in without:
        turns[row["id"]] = await _give_turn(conn, row["id"])
    return turns


async def _give_turn(conn: Connection, order_id: str) -> int | None:
    """A turn for an order that has none, and whose client's line is locked."""
    line = await read_line(conn)
    known = line.find(order_id)
    if known is None:
        # It has ended meanwhile, as its story is about to learn.
        return None
    _, order, moved = line.joined_by(known)
    await conn.execute("UPDATE service.generations SET turn = $2 WHERE id = $1", order_id, order.turn)
    await move_back(conn, moved)
    return order.turn


async def forget_turns(web: Gateway) -> None:
    """Forget turns of orders that ended and that nobody is behind any more; where nobody waits, all. A sweep.

    So turns begin at nothing after every rest of the place.
    """
    async with web.pool.acquire() as conn:
        await conn.execute(
            f"UPDATE service.generations g SET turn = NULL WHERE turn IS NOT NULL AND NOT {_OPEN}"
            f" AND (turn_end <= ({_NOW})"
            f"  OR NOT EXISTS (SELECT FROM service.generations g WHERE turn IS NOT NULL AND {_OPEN}))"
        )


def priority_of(turn: int | None) -> int:
    """What a queue is told of a turn: lower goes first. Orders of test keys, which have none, go last.

    A place that does not rest for years would come to the end of the numbers; from there on, who came first goes first.
    """
    return LAST_PRIORITY if turn is None else min(1 + turn // ROW_STEPS_PER_PRIORITY, LAST_PRIORITY)
