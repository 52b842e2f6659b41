"""Which replica draws a picture."""

import pytest

from inference.messages import Tier
from inference.pace import Speed
from service.fleet.routing import Candidate, choose, speed_together, tier_together


def cold(name: str, ends_s: float) -> Candidate:
    return Candidate(name=name, ends_s=ends_s, is_warm=False)


def warm(name: str, ends_s: float) -> Candidate:
    return Candidate(name=name, ends_s=ends_s, is_warm=True)


def speed(*, rows: int = 4, full_s: float = 0.2) -> Speed:
    return Speed(rows=rows, questions=2.0 * rows, half_s=full_s / 2, full_s=full_s, admission_s=0.1, finishing_s=0.3)


def test_a_picture_goes_where_its_adapters_are():
    assert choose([cold("a", 5.0), warm("b", 5.9), cold("c", 5.0)], adapters=["x"], loading_s=1.0) == "b"


def test_it_goes_elsewhere_once_waiting_there_costs_more_than_loading():
    assert choose([cold("a", 5.0), warm("b", 6.1), cold("c", 5.5)], adapters=["x"], loading_s=1.0) == "a"


def test_a_warm_one_is_taken_where_it_is_all_the_same():
    assert choose([cold("a", 5.0), warm("b", 6.0)], adapters=["x"], loading_s=1.0) == "b"


def test_cold_ones_alike_are_chosen_by_the_adapter_and_shared_between_adapters():
    alike = [cold(name, 1.0) for name in "abc"]
    chosen = [choose(alike, adapters=[f"adapter {number}"], loading_s=1.0) for number in range(60)]
    assert chosen == [choose(alike[::-1], adapters=[f"adapter {number}"], loading_s=1.0) for number in range(60)]
    assert all(chosen.count(name) > 10 for name in "abc")


def test_when_one_of_the_cold_ones_goes_only_its_adapters_move():
    alike = [cold(name, 1.0) for name in "abc"]
    for number in range(30):
        before = choose(alike, adapters=[str(number)], loading_s=1.0)
        after = choose(alike[:2], adapters=[str(number)], loading_s=1.0)
        assert after == before or before == "c"


def test_two_replicas_draw_twice_as_many_pictures_in_the_same_time():
    one, both = speed(), speed_together([speed(), speed()])
    assert (both.rows, both.questions) == (2 * one.rows, 2 * one.questions)
    assert both.step_seconds(both.questions) == pytest.approx(one.step_seconds(one.questions))


def test_places_of_replicas_count_as_one():
    tiers = [Tier(hits=1, misses=2, num_bytes=3), Tier(hits=10, misses=20, num_bytes=30)]
    assert tier_together(tiers) == Tier(hits=11, misses=22, num_bytes=33)
