"""Turns are shared by work done, not by who asks most."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from inference.fairness import FairQueue, InLine, Turn, turn_in

ANNA, BEN = Turn(client="anna"), Turn(client="ben")
MOST_WORK = 40


def taken(queue: FairQueue[str], turns: dict[str, Turn], *, work: float = 1.0) -> list[str]:
    """Everything that waits, in the order in which it is taken; each does `work` and leaves."""
    order = []
    while (item := queue.take()) is not None:
        queue.charge(turns[item], work)
        queue.leave(item)
        order.append(item)
    return order


def filled(*clients: Turn) -> tuple[FairQueue[str], dict[str, Turn]]:
    """A queue with one request each, called by its number."""
    queue: FairQueue[str] = FairQueue()
    turns = {str(number): turn for number, turn in enumerate(clients)}
    for item, turn in turns.items():
        queue.put(item, turn)
    return queue, turns


def test_one_client_is_served_in_order():
    assert taken(*filled(ANNA, ANNA, ANNA)) == ["0", "1", "2"]


def test_a_single_request_does_not_wait_behind_two_hundred():
    queue, turns = filled(*[ANNA] * 200)
    for _ in range(8):
        queue.charge(turns[queue.take() or ""], 20.0)

    queue.put("ben's", BEN)

    assert queue.take() == "ben's"


def test_two_clients_take_turns_whatever_they_ask_for():
    queue, turns = filled(*[ANNA] * 6, *[BEN] * 2)

    assert taken(queue, turns)[:4] == ["0", "6", "1", "7"]


def test_large_pictures_cost_more_turns_than_small_ones():
    queue, turns = filled(*[ANNA] * 3, *[BEN] * 3)
    order = []
    while (item := queue.take()) is not None:
        queue.charge(turns[item], 4.0 if turns[item] is ANNA else 1.0)
        order.append(turns[item].client)

    assert order[:5] == ["anna", "ben", "ben", "ben", "anna"]


def test_rest_is_not_saved_up():
    queue, _ = filled(ANNA)
    queue.put("early", BEN)
    queue.leave("early")
    for number in range(5):
        queue.put(f"anna {number}", ANNA)
        queue.charge(ANNA, 10.0)

    for number in range(3):
        queue.put(f"ben {number}", BEN)

    # Ben starts where Anna is, not fifty ahead of her.
    turns = {item: BEN if item.startswith("ben") else ANNA for item in queue}
    assert "0" in taken(queue, turns, work=10.0)[:2]


def test_who_left_after_taking_much_is_not_forgiven_by_coming_back():
    queue, _ = filled(ANNA, BEN)
    queue.charge(ANNA, 100.0)
    queue.leave("0")

    queue.put("again", ANNA)

    assert [queue.take(), queue.take()] == ["1", "again"]


def test_creators_of_one_client_take_turns_as_well():
    ink, oil = Turn(client="anna", creator="ink"), Turn(client="anna", creator="oil")

    assert taken(*filled(ink, ink, ink, oil)) == ["0", "3", "1", "2"]


def test_a_higher_priority_goes_first_whoever_it_is_for():
    queue, turns = filled(ANNA, ANNA, Turn(client="anna", priority=1))

    assert taken(queue, turns) == ["2", "0", "1"]


def test_leaving_twice_is_leaving_once():
    queue, _ = filled(ANNA, ANNA, BEN)
    queue.charge(ANNA, 5.0)

    for _ in range(3):
        queue.leave("0")

    assert list(queue) == ["1", "2"]
    assert queue.take() == "2", "Anna is still there, with what was done for her"


def test_what_is_ahead_is_what_is_taken_first():
    queue, turns = filled(*[ANNA] * 5, *[BEN] * 2)
    queue.charge(ANNA, 3.0)

    ahead = queue.ahead_of(BEN, lambda _: 1.0)

    queue.put("mine", BEN)
    order = taken(queue, turns | {"mine": BEN})
    assert ahead == order[: order.index("mine")]


def test_who_was_never_ahead_of_anybody_is_not_remembered():
    queue: FairQueue[str] = FairQueue()
    for number in range(1000):
        turn = Turn(client=f"client {number}")
        queue.put("one", turn)
        assert queue.take() == "one"
        queue.charge(turn, 1.0)
        queue.leave("one")

    assert len(queue._done._work) <= 2


@dataclass(kw_only=True)
class Lines:
    """A plain model of a line of turns: what waits of each client, in order, and what was taken."""

    waiting: dict[str, list[InLine]] = field(default_factory=dict)
    behind: Counter[str] = field(default_factory=Counter)
    now: int = 0
    taken: list[tuple[str, InLine]] = field(default_factory=list)

    def come(self, client: str, creator: str = "", *, work: int = 10) -> None:
        line = self.waiting.setdefault(client, [])
        turn, place = turn_in(line, creator, now=self.now, behind=self.behind[client])
        moved = [replace(one, turn=one.turn + work) for one in line[place:]]
        line[place:] = [InLine(creator=creator, turn=turn, work=work), *moved]
        self.behind[client] = line[-1].turn + line[-1].work

    def take(self) -> str | None:
        """The client of the lowest turn; None where nothing waits."""
        there = [client for client, line in self.waiting.items() if line]
        if not there:
            return None
        client = min(there, key=lambda one: self.waiting[one][0].turn)
        one = self.waiting[client].pop(0)
        self.now = max(self.now, one.turn)
        self.taken.append((client, one))
        return client


def creators_of(lines: Lines, client: str) -> str:
    return "".join(one.creator for one in lines.waiting[client])


def test_in_a_line_a_single_request_stands_before_all_but_one_of_two_hundred():
    lines = Lines()
    for _ in range(200):
        lines.come("anna")
    for _ in range(8):
        lines.take()

    lines.come("ben")

    assert "ben" in [lines.take(), lines.take()]


def test_in_a_line_a_rest_earns_nothing():
    lines = Lines()
    lines.come("ben")
    for _ in range(50):
        lines.come("anna")
    for _ in range(40):
        lines.take()

    for _ in range(10):
        lines.come("ben")

    assert [lines.take() for _ in range(8)].count("ben") <= 5


def test_in_a_line_who_took_much_at_once_waits_for_the_others_to_have_as_much():
    lines = Lines()
    for _ in range(20):
        lines.come("anna", work=10)
    lines.take()
    lines.come("ben", work=80)
    while lines.take() != "ben":
        continue

    lines.come("ben", work=80)

    assert [lines.take() for _ in range(7)].count("ben") == 0


def test_in_a_line_the_creators_of_a_client_take_turns_and_no_other_client_moves():
    lines = Lines()
    for _ in range(4):
        lines.come("anna", "x")
        lines.come("ben", "z")
    bens = lines.waiting["ben"][:]

    for _ in range(3):
        lines.come("anna", "y")

    assert creators_of(lines, "anna") == "xyxyxyx"
    assert [one.turn for one in lines.waiting["anna"]] == [0, 10, 20, 30, 40, 50, 60]
    assert lines.waiting["ben"] == bens


def test_in_a_line_small_requests_of_one_creator_do_not_wait_behind_a_large_one_of_another():
    lines = Lines()
    for _ in range(2):
        lines.come("anna", "x", work=40)

    for _ in range(5):
        lines.come("anna", "y", work=10)

    assert creators_of(lines, "anna") == "xyyyyxy", "four small ones are as much work as the large one"


BURSTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from("xyz"),
        st.integers(1, MOST_WORK),
        st.integers(0, 12),
        st.integers(0, 12),
    ),
    max_size=30,
)
"""Client, creator, work of a request, how many come at once, and how many are taken then."""


def bursts(lines: Lines, happens: list[tuple[str, str, int, int, int]]) -> Iterator[None]:
    """Let it happen, stopping after every single request that comes or is taken."""
    for client, creator, work, num_come, num_taken in happens:
        for _ in range(num_come):
            lines.come(client, creator, work=work)
            yield
        for _ in range(num_taken):
            lines.take()
            yield


@given(BURSTS)
def test_while_two_clients_wait_neither_is_given_more_than_the_other_but_for_a_request(happens):
    """Whatever came before: who rested, who took how much, for which creators."""
    lines = Lines()
    pairs = list(combinations("abc", 2))
    ahead, seen, waited = Counter[tuple[str, str]](), 0, set[str]()
    for _ in bursts(lines, happens):
        for client, request in lines.taken[seen:]:
            for one, other in pairs:
                ahead[one, other] += {one: request.work, other: -request.work}.get(client, 0)
        for pair in pairs:
            if not waited.issuperset(pair):
                # One of them had nothing to wait for: counted anew.
                ahead[pair] = 0
            assert abs(ahead[pair]) <= 2 * MOST_WORK
        seen, waited = len(lines.taken), {client for client, line in lines.waiting.items() if line}


@given(BURSTS)
def test_a_new_clients_request_waits_for_one_of_each_other_client_at_most(happens):
    lines = Lines()
    for _ in bursts(lines, happens):
        continue

    lines.come("new")

    before: Counter[str | None] = Counter(iter(lines.take, "new"))
    assert max(before.values(), default=0) <= 1


@given(BURSTS)
def test_a_new_creators_request_waits_for_one_of_each_other_creator_of_its_client_at_most(happens):
    lines = Lines()
    for _ in bursts(lines, happens):
        continue

    lines.come("a", "new")

    before = Counter(creators_of(lines, "a").partition("new")[0])
    assert max(before.values(), default=0) <= 1
