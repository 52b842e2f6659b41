"""The line chart's coordinates."""

from service.pages.charts import chart_of


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
