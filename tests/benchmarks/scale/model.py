"""Replicas that draw what is asked for, without drawing: steps take the time that was measured, adapters lie where they
were last used, and who draws what is decided by the product's own rule.

A replica takes steps with all its pictures at once. Pictures join and leave between two steps; one whose adapter has to
be brought waits for it while others are drawn.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inference.pace import Speed
from service.fleet.routing import Candidate, choose
from tests.benchmarks.scale.traffic import Asked

SHORTLIST = 4
"""Of replicas where an adapter does not lie, those are asked where a picture would end first."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One replica. `questions`: of a step about one picture, 2 where the base is asked with and without the words.
    `adapters`: that fit; `loading_s`: until one is there that is not."""

    speed: Speed
    questions: float
    adapters: int
    loading_s: float


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One picture: when it was asked for, begun and done, in seconds, and whether its adapter lay there."""

    asked: float
    begun: float
    done: float
    is_warm: bool

    @property
    def took(self) -> float:
        return self.done - self.asked


@dataclass(kw_only=True)
class _Picture:
    asked: Asked
    is_warm: bool
    ready: float
    """When its adapter is there."""
    left: int
    begun: float = 0.0


@dataclass(kw_only=True)
class _Replica:
    name: str
    machine: Machine
    free_at: float = 0.0
    """When the step that it makes is over."""
    is_due: bool = False
    waiting: deque[_Picture] = field(default_factory=deque)
    running: list[_Picture] = field(default_factory=list)
    adapters: OrderedDict[int, float] = field(default_factory=OrderedDict)
    """By style, since when it lies there; the one that was used last at the end."""
    owed: float = 0.0
    """Questions that are still to be asked."""
    busy_s: float = 0.0

    def ends_s(self, now: float, asked: Asked) -> float:
        """Seconds until a picture that comes now would be done, its adapter being there."""
        speed, own = self.machine.speed, asked.steps * self.machine.questions
        alone = asked.steps * speed.step_seconds(self.machine.questions)
        together = (self.owed + own) * speed.full_s / speed.questions
        return max(self.free_at - now, 0.0) + speed.admission_s + max(alone, together) + speed.finishing_s

    def take(self, now: float, asked: Asked) -> None:
        is_warm = self.adapters.get(asked.style, float("inf")) <= now
        ready = self.adapters.setdefault(asked.style, now + self.machine.loading_s)
        self.adapters.move_to_end(asked.style)
        worn = {one.asked.style for one in (*self.running, *self.waiting)} | {asked.style}
        for style in [style for style in self.adapters if style not in worn]:
            if len(self.adapters) <= self.machine.adapters:
                break
            del self.adapters[style]
        self.owed += asked.steps * self.machine.questions
        self.waiting.append(_Picture(asked=asked, is_warm=is_warm, ready=max(ready, now), left=asked.steps))

    def work(self, now: float) -> list[Drawn]:
        """Take in what has room, and make the next step: `free_at` is when it is over. What is done then."""
        speed, each = self.machine.speed, self.machine.questions
        for one in [one for one in self.waiting if one.ready <= now]:
            room = min(speed.rows, max(speed.questions // each, 1))
            if len(self.running) >= room:
                break
            self.waiting.remove(one)
            one.begun = now
            now += speed.admission_s
            self.busy_s += speed.admission_s
            self.running.append(one)
        if not self.running:
            self.free_at = min((one.ready for one in self.waiting), default=now)
            return []
        took = speed.step_seconds(len(self.running) * each)
        done = [one for one in self.running if one.left == 1]
        for one in self.running:
            one.left -= 1
        self.running = [one for one in self.running if one.left]
        self.owed -= (len(self.running) + len(done)) * each
        ended = []
        for one in done:
            took += speed.finishing_s
            ended.append(Drawn(asked=one.asked.at, begun=one.begun, done=now + took, is_warm=one.is_warm))
        self.busy_s += took
        self.free_at = now + took
        return ended


def run(asked: Iterable[Asked], machine: Machine, *, replicas: int) -> tuple[list[Drawn], float]:
    """Every picture as it is drawn by so many replicas, and the share of their time that they worked."""
    fleet = [_Replica(name=f"{number}", machine=machine) for number in range(replicas)]
    due: list[tuple[float, int]] = []
    drawn: list[Drawn] = []
    last = 0.0

    def wake(number: int, at: float) -> None:
        if not fleet[number].is_due:
            fleet[number].is_due = True
            heapq.heappush(due, (at, number))

    def go_on(until: float) -> None:
        while due and due[0][0] <= until:
            at, number = heapq.heappop(due)
            one = fleet[number]
            one.is_due = False
            drawn.extend(one.work(at))
            if one.running or one.waiting:
                wake(number, one.free_at)

    for one in asked:
        go_on(one.at)
        last = one.at
        number = _choose(fleet, one)
        fleet[number].take(one.at, one)
        wake(number, max(one.at, fleet[number].free_at))
    go_on(float("inf"))
    return drawn, sum(one.busy_s for one in fleet) / (
        len(fleet) * max(last, max((one.done for one in drawn), default=1.0))
    )


def _choose(fleet: Sequence[_Replica], asked: Asked) -> int:
    ends = [one.ends_s(asked.at, asked) for one in fleet]
    warm = [number for number, one in enumerate(fleet) if asked.style in one.adapters]
    soonest = heapq.nsmallest(SHORTLIST, range(len(fleet)), key=ends.__getitem__)
    candidates = [
        Candidate(name=fleet[number].name, ends_s=ends[number], is_warm=asked.style in fleet[number].adapters)
        for number in {*warm, *soonest}
    ]
    loading_s = fleet[0].machine.loading_s
    return int(choose(candidates, adapters=(f"{asked.style}",), loading_s=loading_s))
