"""Whose turn it is: fair between clients, and between the creators of one, in work done. Thin: no torch.

Within a process (`FairQueue`) every client has a counter of the work that was done for it. The next place goes to who
waits with the lowest: first the client, then the creator, then who came first. Who comes after a rest starts at the
lowest counter of those who are there, so nobody saves up turns. (Virtual token counters, Sheng and others, OSDI 2024,
arXiv 2401.00588, of whatever is counted here instead of tokens.)

In a line that many processes take from, nobody sees all the work that is done. There a request gets a number when it
comes, its turn, and the lowest is taken first (`turn_in`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Who a request is for. Any names will do: what has the same name shares its turns."""

    client: str = ""
    creator: str = ""
    priority: int = 0
    """Higher ones go before all lower ones, whoever they are for."""


@dataclass(frozen=True, kw_only=True)
class InLine:
    """A request that waits in a line of turns."""

    creator: str
    turn: int
    work: int
    """What it costs to do, in whole numbers of what turns are counted in."""


def turn_in(line: Sequence[InLine], creator: str, *, now: int, behind: int) -> tuple[int, int]:
    """The turn of a request that comes now, and how many of its client's waiting ones stay before it.

    line: what waits of the same client, in order of turns; the others of them have to move back by its work. now: the
    highest turn that was taken; behind: the turn behind all that the client was given. Turns of one client lie as far
    apart as they are work, so clients get equal shares, and a rest earns nothing (start-time fair queueing, Goyal, Vin
    and Cheng, SIGCOMM 1996). Between the creators of a client, who has less work waiting goes first; a client's other
    creators move back for it, other clients never do.
    """
    mine = sum(one.work for one in line if one.creator == creator)
    before: Counter[str] = Counter()
    place = len(line)
    for number, one in enumerate(line):
        if one.creator == creator:
            place = len(line)
        elif before[one.creator] > mine:
            place = min(place, number)
        before[one.creator] += one.work
    return (line[place].turn if place < len(line) else max(now, behind)), place


class FairQueue(Generic[Item]):
    """What waits and what was taken, each once and with its turn. Not for several threads at once."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Item, Turn]] = []
        self._taken: list[tuple[Item, Turn]] = []
        self._done = _Counters()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Item]:
        """Everything that waits, who came first first."""
        return iter([item for item, _ in self._waiting])

    def put(self, item: Item, turn: Turn) -> None:
        """Let it wait. Its client and creator are there from now on, until `leave`."""
        self._done.enter(turn)
        self._waiting.append((item, turn))

    def first(self) -> Item | None:
        """Whose turn it is now; it goes on waiting."""
        return self._waiting[_next(self._waiting, self._done)][0] if self._waiting else None

    def take(self) -> Item | None:
        """Whose turn it is now, no longer waiting but still there; None where nothing waits."""
        if not self._waiting:
            return None
        self._taken.append(self._waiting.pop(_next(self._waiting, self._done)))
        return self._taken[-1][0]

    def charge(self, turn: Turn, work: float) -> None:
        """Work was done for it."""
        self._done.add(turn, work)

    def leave(self, item: Item) -> None:
        """It has ended, whether it was taken before or not. Saying so again changes nothing."""
        for line in (self._waiting, self._taken):
            for place, (other, turn) in enumerate(line):
                if other == item:
                    del line[place]
                    self._done.leave(turn)
                    return

    def ahead_of(self, turn: Turn, work: Callable[[Item], float]) -> list[Item]:
        """What would be taken before a request that came now, in that order, if nobody else came. work: of each."""
        done = self._done.copy()
        done.enter(turn)
        left: list[tuple[Item | None, Turn]] = [*self._waiting, (None, turn)]
        before: list[Item] = []
        while True:
            item, its = left.pop(_next(left, done))
            if item is None:
                return before
            before.append(item)
            done.add(its, work(item))


class _Counters:
    """Work done for each client, and for each creator of a client, while they are there."""

    def __init__(self) -> None:
        self._there: Counter[tuple[str, ...]] = Counter()
        self._work: dict[tuple[str, ...], float] = {}

    def copy(self) -> "_Counters":
        same = _Counters()
        same._there, same._work = self._there.copy(), dict(self._work)
        return same

    def of(self, turn: Turn) -> tuple[float, float]:
        return self._work[turn.client,], self._work[turn.client, turn.creator]

    def enter(self, turn: Turn) -> None:
        for name in _names(turn):
            if not self._there[name]:
                beside = [self._work[other] for other in self._there if _are_compared(name, other)]
                self._work[name] = max(self._work.get(name, 0.0), min(beside, default=0.0))
            self._there[name] += 1

    def add(self, turn: Turn, work: float) -> None:
        for name in _names(turn):
            if name in self._work:
                self._work[name] += work

    def leave(self, turn: Turn) -> None:
        for name in _names(turn):
            self._there[name] -= 1
            if not self._there[name]:
                del self._there[name]
        # Whoever is gone and was given no more than those who are there would start where they are: nothing to keep.
        for name in [name for name in self._work if name not in self._there]:
            beside = [self._work[other] for other in self._there if _are_compared(name, other)]
            if self._work[name] <= min(beside, default=self._work[name]):
                del self._work[name]


def _names(turn: Turn) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (turn.client,), (turn.client, turn.creator)


def _are_compared(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Clients with clients, creators with those of the same client."""
    return len(one) == len(other) and one[:-1] == other[:-1]


def _next(waiting: list[tuple[Item, Turn]], done: _Counters) -> int:
    return min(range(len(waiting)), key=lambda place: (-waiting[place][1].priority, *done.of(waiting[place][1]), place))
