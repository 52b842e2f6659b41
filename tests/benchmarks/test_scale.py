"""The model of many GPUs: what can be reckoned by hand comes out of it, and more GPUs never make people wait longer."""

from collections import Counter

import pytest

from inference.pace import Speed
from tests.benchmarks.scale.model import Machine, run
from tests.benchmarks.scale.plot import Line, draw
from tests.benchmarks.scale.traffic import DAY_S, Asked, Traffic, ask

SPEED = Speed(rows=4, questions=8, half_s=0.1, full_s=0.15, admission_s=0.01, finishing_s=0.2)
MACHINE = Machine(speed=SPEED, questions=2, adapters=3, loading_s=1.0)
TRAFFIC = Traffic(styles=50, pictures_per_day=200_000, steps=10)


def took(asked: list[Asked], replicas: int = 1) -> list[float]:
    drawn, _ = run(asked, MACHINE, replicas=replicas)
    return [one.took for one in sorted(drawn, key=lambda one: one.asked)]


def test_one_picture_takes_what_its_parts_take():
    # Its adapter is brought, its words are read, ten steps of two questions, and it is finished.
    alone = SPEED.step_seconds(2)
    assert took([Asked(at=5.0, style=0, steps=10)]) == [pytest.approx(1.0 + 0.01 + 10 * alone + 0.2)]


def test_an_adapter_that_lies_there_is_not_brought_again_until_others_have_its_place():
    styles = [0, 0, 1, 2, 3, 0]
    drawn, _ = run([Asked(at=60.0 * n, style=style, steps=1) for n, style in enumerate(styles)], MACHINE, replicas=1)
    assert [one.is_warm for one in drawn] == [False, True, False, False, False, False]


def test_pictures_that_come_at_once_share_their_steps():
    four = took([Asked(at=0.0, style=0, steps=10) for _ in range(4)])
    assert max(four) == pytest.approx(1.0 + 4 * 0.01 + 10 * SPEED.step_seconds(8) + 4 * 0.2)
    # A fifth waits for a place.
    assert max(took([Asked(at=0.0, style=0, steps=10) for _ in range(5)])) > max(four) + 10 * SPEED.step_seconds(2)


def test_every_picture_is_drawn_once_and_nobody_works_more_than_all_the_time():
    asked = list(ask(TRAFFIC, first_s=DAY_S / 2, last_s=DAY_S / 2 + 900, seed=1))
    drawn, busy = run(asked, MACHINE, replicas=3)
    assert Counter(one.asked for one in drawn) == Counter(one.at for one in asked)
    assert 0 < busy <= 1
    assert all(one.done > one.begun >= one.asked for one in drawn)


def test_more_replicas_never_make_anybody_wait_longer_on_average():
    asked = list(ask(TRAFFIC, first_s=DAY_S / 2, last_s=DAY_S / 2 + 600, seed=2))
    means = [sum(took(asked, replicas)) / len(asked) for replicas in (2, 3, 5, 8)]
    assert means == sorted(means, reverse=True)


def test_a_day_has_as_many_pictures_as_it_should_most_of_them_at_its_middle():
    asked = list(ask(Traffic(styles=100, pictures_per_day=40_000, steps=1), first_s=0.0, last_s=DAY_S, seed=3))
    assert len(asked) == pytest.approx(40_000, rel=0.03)
    middle = sum(0.45 * DAY_S < one.at < 0.55 * DAY_S for one in asked)
    assert middle == pytest.approx(2 * 4_000, rel=0.1)
    popular = Counter(one.style for one in asked)
    assert popular[0] == pytest.approx(2 * popular[1], rel=0.15)


def test_the_same_seed_asks_for_the_same():
    first, again, other = (list(ask(TRAFFIC, first_s=0.0, last_s=600.0, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_lines_are_drawn_within_their_picture():
    svg = draw(
        [Line(name="half & more", points=((1, 2.0), (3, 50.0)))], title="Waiting", across="GPUs", up="s", top=10.0
    )
    assert '<polyline points="60.0,259.2 660.0,40.0"' in svg
    assert "half &amp; more" in svg
