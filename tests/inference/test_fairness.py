"""Turns are shared by work done, not by who asks most."""

from inference.fairness import FairQueue, Turn

ANNA, BEN = Turn(client="anna"), Turn(client="ben")


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


def test_who_is_next_can_be_passed_over_and_keeps_the_turn():
    queue, turns = filled(ANNA, BEN, ANNA)
    queue.charge(ANNA, 1.0)

    assert queue.in_turn(2) == ["1", "0"]
    assert queue.take("0") == "0"
    assert queue.in_turn(9) == ["1", "2"]
    assert taken(queue, turns) == ["1", "2"]


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
