"""Charts' coordinates."""

import pytest

from service.pages.charts import chart_of, columns_of, levels_between, outlook_of, rows_of


def test_the_chart_runs_from_the_left_to_the_right_and_higher_is_up():
    chart = chart_of([(0.0, 0.0), (50.0, 0.1), (100.0, 0.2)], width=640, height=180)

    xs, ys = [x for x, _ in chart.dots], [y for _, y in chart.dots]
    assert xs == sorted(xs)
    assert xs[0] == chart.left
    assert ys == sorted(ys, reverse=True)
    assert ys[0] == chart.bottom


def test_zero_is_always_on_the_chart():
    chart = chart_of([(0.0, -0.2), (10.0, -0.1)], width=640, height=180)

    assert 0.0 in [row.value for row in chart.rows]
    assert all(0 <= y <= chart.height for _, y in chart.dots)


def test_a_flat_line_lies_on_zero():
    chart = chart_of([(0.0, 0.0), (10.0, 0.0)], width=640, height=180)

    assert {y for _, y in chart.dots} == {float(chart.bottom)}


def test_columns_stand_in_their_order_and_are_as_high_as_their_values():
    columns = columns_of([0, 50, 100], width=900, height=240)

    assert [bar.height for bar in columns.bars] == [0, pytest.approx(100), pytest.approx(200)]
    assert [bar.y + bar.height for bar in columns.bars] == [pytest.approx(columns.zero)] * 3
    assert columns.zero == columns.bottom
    assert columns.bars[0].x + columns.bars[0].width < columns.bars[1].x
    assert columns.bars[2].x + columns.bars[2].width < columns.right


def test_a_column_below_nothing_hangs_from_the_line():
    above, below = columns_of([30, -10], width=900, height=240).bars

    assert below.y == pytest.approx(above.y + above.height)
    assert above.height == pytest.approx(3 * below.height)


def test_days_without_anything_have_columns_of_no_height():
    columns = columns_of([0, 0], width=900, height=240)

    assert {bar.height for bar in columns.bars} == {0}
    assert 0 <= columns.zero <= columns.height


@pytest.mark.parametrize(
    ("low", "high", "levels"),
    [
        (0, 430, [200, 400]),
        (0, 100, [50, 100]),
        (0, 1, [1]),
        (-120, 90, [-100]),
        (-10, 1999, [1000]),
        (0, 12_345_678, [5_000_000, 10_000_000]),
    ],
)
def test_lines_are_drawn_at_round_numbers_and_never_many(low: int, high: int, levels: list[int]):
    assert levels_between(low, high) == levels


def test_bars_beside_each_other_share_one_scale():
    assert rows_of([60, 30], width=900) == [(0, 900), (0, 450)]
    assert rows_of([20, -10], width=900) == [(300, 600), (0, 300)]
    assert rows_of([0], width=900) == [(0, 0)]


def test_what_may_come_lies_behind_what_is():
    outlook = outlook_of(50, low=60, likely=75, high=100, width=900, height=36)

    assert (outlook.now.x, outlook.now.width) == (0, 450)
    assert (outlook.box.x, outlook.box.x + outlook.box.width) == (540, 900)
    assert outlook.box.x < outlook.likely < 900


def test_an_outlook_of_nothing_is_still_a_picture():
    outlook = outlook_of(0, low=0, likely=0, high=0, width=900, height=36)

    assert outlook.box.width > 0
