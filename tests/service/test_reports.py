"""The monthly report: counted from rows, nobody's business told, signed, and never changed once it is published."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from licensing.authority import verify_document
from service import desk
from service.reports import K, count_figures, differences, list_months, publish_reports, span_of
from tests.service.conftest import slug_of
from tests.service.market import Market, MovableClock, clock, open_market, publish_style
from tests.service.pages.conftest import words_of

__all__ = ["clock"]


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    """With a sale of every one of five creators to every one of five clients' first, in one month."""
    async with open_market(database_url, tmp_path_factory.mktemp("market"), clock=clock) as opened:
        # All of it in the first days of a month, so that it is one month's whatever day the test runs on.
        clock.ahead += _to_next_month(opened.gateway.clock())
        yield opened
        opened.curtain.wait_at(None)


def _to_next_month(now: datetime) -> timedelta:
    _, first = span_of(f"{now:%Y-%m}")
    return first + timedelta(days=1) - now


async def test_numbers_behind_which_few_stand_are_withheld_and_others_told(market: Market, clock: MovableClock):
    web = market.gateway
    month = f"{web.clock():%Y-%m}"
    creators = [market.creator, *[await market.person("creator") for _ in range(K - 1)]]
    styles = [market.style_id] + [
        await publish_style(web, creator, market.adapter, name=f"Style {number}")
        for number, creator in enumerate(creators[1:])
    ]
    clients = [await market.client() for _ in range(K)]

    async def counted() -> dict[str, Any]:
        async with web.house() as conn:
            return (await count_figures(conn, month, currency="EUR"))["figures"]

    for client, style in list(zip(clients, styles, strict=True))[:-1]:
        assert (await market.order(client, style=style)).json()["state"] == "settled"
    few = await counted()
    assert (await market.order(clients[-1], style=styles[-1], count=2)).json()["state"] == "settled"
    enough = await counted()
    refunded = (await market.order(clients[0])).json()["outputs"][0]["id"]
    operator = await market.person("operator")
    await operator.http.post(f"/v1/outputs/{refunded}/refund", json={"reason": "it was not wanted"})
    late = await counted()

    withheld = {"value": None, "withheld": "few_accounts"}
    assert few["pictures_sold"] == withheld
    assert few["fee_income"] == withheld
    assert few["disputes_opened"] == {"value": 0, "withheld": None}
    assert enough["pictures_sold"] == {"value": K + 1, "withheld": None}
    assert enough["fee_income"] == {"value": 9 * (K + 1), "withheld": None}
    assert enough["styles_on_sale"]["value"] is None or enough["styles_on_sale"]["value"] >= K
    assert late["sales_taken_back"] == withheld
    assert late["payout_days_median"] == {"value": None, "withheld": "not_measured"}
    # A purchase and its refund leave the operator with nothing of it.
    assert late["fee_income"] == enough["fee_income"]


async def test_a_month_is_published_when_it_is_over_once_and_signed(market: Market, clock: MovableClock):
    web = market.gateway
    month = f"{web.clock():%Y-%m}"
    running = await market.stranger.get(f"/v1/reports/{month}")
    _, end = span_of(month)
    clock.ahead += end - web.clock() + timedelta(minutes=30)
    await publish_reports(web)
    too_soon = await market.stranger.get(f"/v1/reports/{month}")

    clock.ahead += timedelta(hours=1)
    await publish_reports(web)
    first = (await market.stranger.get(f"/v1/reports/{month}")).json()
    await market.order(await market.client())
    await publish_reports(web)
    again = (await market.stranger.get(f"/v1/reports/{month}")).json()
    listed = (await market.stranger.get("/v1/reports")).json()["items"]

    assert (running.status_code, too_soon.status_code, slug_of(running)) == (404, 404, "not_found")
    assert first == again
    signed = verify_document(web.authority, first["document"])
    assert signed is not None
    assert {name: signed[name] for name in ("month", "figures", "uses", "currency", "k")} == {
        name: first[name] for name in ("month", "figures", "uses", "currency", "k")
    }
    assert signed["document"] == "ownhand.report/1"
    assert month in [one["month"] for one in listed]
    async with market.owner() as conn:
        with pytest.raises(asyncpg.RestrictViolationError, match="is published"):
            await conn.execute("UPDATE service.reports SET figures = '{}' WHERE month = $1", month)
        with pytest.raises(asyncpg.RestrictViolationError, match="is published"):
            await conn.execute("DELETE FROM service.reports WHERE month = $1", month)


async def test_a_report_is_counted_again_from_the_rows_and_what_differs_is_said(market: Market):
    async with market.gateway.house() as conn:
        month = (await list_months(conn))[0]
        is_same, lines = await desk.count_report(conn, market.settings, month)
    async with market.owner() as conn:
        first, _ = span_of(month)
        await conn.execute("UPDATE service.approvals SET num_pictures = num_pictures")
        await conn.execute(
            "INSERT INTO service.switch_stops (event_no, place, asked_at, stopped_at) VALUES (-1, 'fence', $1, $2)",
            *(first + timedelta(days=3), first + timedelta(days=3, milliseconds=7)),
        )
    async with market.gateway.house() as conn:
        is_same_later, later = await desk.count_report(conn, market.settings, month)

    assert is_same
    assert lines[-1].startswith("As it was published at")
    assert not is_same_later
    assert "switch_held_ms_worst: published withheld (not_measured), counted 7" in later


async def test_the_page_shows_what_was_published_and_before_that_when_it_comes(market: Market):
    async with market.gateway.house() as conn:
        month = (await list_months(conn))[0]
    newest = await market.stranger.get("/report", headers={"Accept": "text/html"})
    one = await market.stranger.get(f"/report/{month}", headers={"Accept": "text/html"})
    none = await market.stranger.get("/report/1999-01", headers={"Accept": "text/html"})
    text = words_of(one.text)
    figure = (await market.stranger.get(f"/v1/reports/{month}")).json()["figures"]["pictures_sold"]
    shown = f"fewer than {K} accounts" if figure["withheld"] else f"{figure['value']:,}"

    assert newest.status_code == one.status_code == 200
    assert none.status_code == 404
    assert f"Pictures that were sold {shown}" in text
    assert "How much of the time this place could be reached is not measured." in text
    assert f'href="/v1/reports/{month}"' in one.text


def test_a_difference_names_the_figure_with_both_values():
    told = {"value": 7, "withheld": None}
    hidden = {"value": None, "withheld": "few_accounts"}

    found = differences(
        {"figures": {"pictures_sold": told}, "uses": {}},
        {"figures": {"pictures_sold": hidden}, "uses": {"own": told}},
    )

    assert found == [
        "pictures_sold: published 7, counted withheld (few_accounts)",
        "own: published nothing, counted 7",
    ]


@pytest.mark.parametrize("text", ["2026-13", "november", "2026", "2026-11-02", ""])
def test_what_is_no_month_is_said_to_be_none(text: str):
    with pytest.raises(ValueError, match="is no month"):
        span_of(text)


def test_december_ends_with_january():
    assert span_of("2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
