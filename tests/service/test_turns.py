"""The line of all orders: who goes before whom, and when one's pictures will be there."""

import json
import random
from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from inference.pace import Speed
from service.forecasts import FIRST_GUESS_S, eta_s
from service.heartbeats import Fleet, beating, read_fleet
from service.turns import ROW_STEPS_PER_PRIORITY, InLine, Line, priority_of
from service.workflows import LAST_PRIORITY
from tests.service.conftest import Place

SPEED = Speed(rows=4, questions=8, half_s=0.4, full_s=0.8, admission_s=0.0, finishing_s=0.5)
"""An engine that takes 0.1 s for each question, two a picture here."""


def order(number: int, client: str = "anna", *, creator: str = "ink", **fields: object) -> InLine:
    usual = {"base": "tiny", "state": "queued", "turn": None, "work": 40, "count": 1, "step": 0, "steps": 20}
    return InLine(id=f"gen_{number:03}", client_id=client, creator_id=creator, **usual | fields)  # type: ignore[arg-type]


def line_of(*orders: InLine) -> Line:
    """A line that the orders have joined one after the other."""
    line = Line(orders=())
    for one in orders:
        line, _, _ = line.joined_by(one)
    return line


def taken(line: Line, *numbers: int, state: str = "running") -> Line:
    """The line when somebody has begun to draw these."""
    ids = {f"gen_{number:03}" for number in numbers}
    begun = [replace(one, state=state, was_taken=True) if one.id in ids else one for one in line.orders]  # type: ignore[arg-type]
    return Line(orders=tuple(begun))


def ids(orders: list[InLine]) -> list[str]:
    return [one.id for one in orders]


def test_two_hundred_of_one_client_leave_the_next_place_to_anothers_single_order():
    line = taken(line_of(*[order(number) for number in range(200)]), *range(8))

    line, single, moved = line.joined_by(order(200, "ben"))

    assert (line.position(single), moved) == (1, [])
    assert line.before(single) == []


def test_an_order_that_was_never_drawn_costs_its_client_no_turn():
    line = line_of(*[order(number) for number in range(5)])
    ended = Line(orders=tuple(replace(one, state="canceled", turn=None) for one in line.orders))

    line, again, _ = ended.joined_by(order(5))

    assert again.turn == 0


def test_what_was_drawn_is_remembered_until_everybody_has_passed_it():
    line = taken(line_of(order(0, work=200), *[order(number, "ben") for number in range(1, 7)]), 0, 1)

    line, again, _ = taken(line, 0, 1, state="settled").joined_by(order(7))

    assert ids(line.before(again)) == [f"gen_00{number}" for number in range(2, 7)]


def test_the_creators_of_a_client_take_turns_and_other_clients_keep_their_place():
    line = line_of(*[order(number) for number in range(3)], *[order(number, "ben") for number in range(3, 6)])

    line, new, moved = line.joined_by(order(6, creator="oil"))

    assert ids(moved) == ["gen_001", "gen_002"]
    assert [one.turn for one in moved] == [80, 120]
    assert [(one.id, one.turn) for one in line.orders if one.client_id == "ben"] == [
        ("gen_003", 0),
        ("gen_004", 40),
        ("gen_005", 80),
    ]
    assert ids(line.before(new)) == ["gen_000", "gen_003", "gen_004"]


def test_an_order_of_a_paused_style_is_before_nobody():
    line = line_of(order(0), order(1), order(2))
    paused = Line(orders=tuple(replace(one, turn=None) if one.id == "gen_000" else one for one in line.orders))

    assert ids(paused.before(paused.orders[-1])) == ["gen_001"]
    assert paused.open_by_client == {"anna": 3}


def test_when_a_pause_ends_its_pile_does_not_pass_everybody_else():
    line = line_of(*[order(number, "ben") for number in range(10)], *[order(number) for number in range(10, 20)])
    line = Line(orders=tuple(replace(one, turn=None) if one.client_id == "anna" else one for one in line.orders))
    line = taken(line, *range(8), state="settled")

    for number in range(10, 20):
        known = line.find(f"gen_0{number}")
        assert known is not None
        line, _, _ = line.joined_by(known)

    bens = line.find("gen_009")
    assert bens is not None
    assert ids(line.before(bens)) == ["gen_010", "gen_008", "gen_011"]


@pytest.mark.parametrize("seed", range(20))
def test_orders_that_follow_together_lie_where_they_would_one_after_the_other(seed: int):
    dice, clients = random.Random(seed), ("anna", "ben", "cleo")
    line = line_of(*(order(n, dice.choice(clients), creator=dice.choice(("ink", "ink", "oil"))) for n in range(12)))
    line = taken(line, *dice.sample(range(12), dice.randrange(6)))
    has_one_creator = line.has_one_creator()
    coming = [
        order(n, client, creator="ink", work=dice.randrange(1, 50))
        for n in range(20, 30)
        if has_one_creator(client := dice.choice(clients), "ink")
    ]

    one_by_one, placed = line, []
    for one in coming:
        one_by_one, order_there, moved = one_by_one.joined_by(one)
        placed.append(order_there)
        assert moved == []
    together, placed_together = line.followed_by(coming)

    assert (together, placed_together) == (one_by_one, placed)
    assert together.positions(placed) == [together.position(one) for one in placed]


def test_queues_are_told_turns_within_their_numbers():
    assert priority_of(0) == 1
    assert priority_of(ROW_STEPS_PER_PRIORITY) == 2
    assert priority_of(2**50) == LAST_PRIORITY
    assert priority_of(None) == LAST_PRIORITY


def one_worker(**bases: Speed) -> Fleet:
    return Fleet(num_workers=1, speeds=bases)


def test_an_order_at_a_place_that_rests_takes_its_own_time():
    line, single, _ = Line(orders=()).joined_by(order(0))

    assert eta_s(one_worker(tiny=SPEED), line, single) == pytest.approx(20 * 0.2 + 0.5)


def test_a_single_order_of_a_new_client_is_not_told_the_time_of_two_hundred():
    crowd = taken(line_of(*[order(number) for number in range(200)]), *range(4))
    line, single, _ = crowd.joined_by(order(200, "ben"))
    line_behind, behind, _ = crowd.joined_by(order(200))

    # The four that run take twenty steps of 0.8 s; then it begins, in steps as full.
    soon = eta_s(one_worker(tiny=SPEED), line, single)
    late = eta_s(one_worker(tiny=SPEED), line_behind, behind)

    assert soon == pytest.approx(2 * 20 * 0.8, rel=0.3)
    assert late == pytest.approx(51 * (20 * 0.8 + 4 * 0.5), rel=0.1)


def test_two_workers_take_half_the_time_for_a_line():
    crowd, last, _ = line_of(*[order(number) for number in range(80)]).joined_by(order(80))

    one = eta_s(one_worker(tiny=SPEED), crowd, last)
    two = eta_s(Fleet(num_workers=2, speeds={"tiny": SPEED}), crowd, last)

    assert two == pytest.approx(one / 2, rel=0.1)


def test_steps_that_were_made_and_pictures_of_another_base_count_as_what_they_take():
    heavy = replace(SPEED, half_s=4.0, full_s=8.0)
    line = taken(line_of(order(0, base="large", step=10)), 0)
    line, single, _ = line.joined_by(order(1, "ben"))

    halfway = eta_s(one_worker(tiny=replace(SPEED, rows=1), large=heavy), line, single)

    assert halfway == pytest.approx(10 * 2.0 + 0.5 + 20 * 0.2 + 0.5)


def test_before_any_worker_told_its_pace_the_time_is_a_guess_by_pictures():
    line, single, _ = line_of(order(0, count=3)).joined_by(order(1, count=2))

    assert eta_s(one_worker(), line, single) == 5 * FIRST_GUESS_S


async def test_a_line_is_reckoned_with_the_workers_that_live_and_what_they_say(place: Place):
    web = place.gateway
    fast, slow = replace(SPEED, full_s=0.4), SPEED
    async with (
        beating(web, executor="one", role="worker", speeds=lambda: {"tiny": fast}),
        beating(web, executor="other", role="worker", speeds=lambda: {"tiny": slow, "large": slow}),
        web.pool.acquire() as conn,
    ):
        both = await read_fleet(conn, now=web.clock(), silence_s=15)
        await conn.execute("UPDATE service.executors SET seen_at = seen_at - interval '1 minute' WHERE id = 'one'")
        left = await read_fleet(conn, now=web.clock(), silence_s=15)
        nobody = await read_fleet(conn, now=web.clock() + timedelta(hours=1), silence_s=15)

    # The process that runs this test takes renderings as well.
    assert both == Fleet(num_workers=3, speeds={"tiny": replace(SPEED, full_s=pytest.approx(0.6)), "large": slow})
    assert left == Fleet(num_workers=2, speeds={"tiny": slow, "large": slow})
    assert nobody.num_workers == 1


async def test_how_fast_a_worker_drew_is_remembered_when_it_comes_back(place: Place):
    web = place.gateway
    async with beating(web, executor="one", role="worker", speeds=lambda: {"tiny": SPEED}):
        pass

    async with beating(web, executor="one", role="worker", speeds=dict), web.pool.acquire() as conn:
        told = await conn.fetchval("SELECT speeds FROM service.executors WHERE id = 'one'")

    assert json.loads(told) == {"tiny": asdict(SPEED)}
