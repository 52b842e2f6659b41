"""The operator's money: coupons, what is open, and the papers as files."""

from datetime import timedelta
from typing import Any

import pytest

from service import invoicing
from tests.service.conftest import Person
from tests.service.market import Market, MovableClock, prepaid
from tests.service.pages.conftest import Seat, Sit, words_of


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


async def test_a_coupon_is_made_used_and_ended(market: Market, office: Seat, sit: Sit):
    made = await office.send("/office/money/coupons", code="spring-26", percent="50", periods="2", plan="studio")
    client = await sit(await market.client(cents=10_000))
    seen = {"coupon": "spring-26", "agreed": f"{2450 + 466} 0 EUR"}
    bought = await client.send("/desk/money/plan", plan="studio", renews="yes", **seen)
    listed = await office.read("/office/money")
    ended = await office.send("/office/money/coupons/SPRING-26/end")
    again = await office.send("/office/money/coupons/SPRING-26/end")
    late = await sit(await market.client(cents=10_000))
    refused = await late.send("/desk/money/plan", plan="studio", coupon="SPRING-26")

    assert (made.status_code, bought.status_code, ended.status_code) == (303, 303, 303)
    assert await prepaid(client.person) == (10_000 - 2450 - 466, 0)
    assert "SPRING-26 50 % off the first 2 periods of Studio until you end it 1" in listed
    assert again.status_code == 404
    assert refused.status_code == 409
    assert "Coupon SPRING-26 is over" in words_of(refused.text)
    assert "less while your coupon lasts" in await client.read("/desk/money")


async def test_a_coupon_that_cannot_be_is_refused_on_the_page(office: Seat):
    form = {"code": "TWICE", "percent": "10", "periods": "1"}
    answers = [
        await office.send("/office/money/coupons", **form | wrong)
        for wrong in (
            {"percent": "200"},
            {"percent": "much"},
            {"code": "!"},
            {"plan": "golden"},
            {"last_day": "soon"},
            {"uses_most": "0"},
        )
    ]
    first, second = [await office.send("/office/money/coupons", **form) for _ in range(2)]

    assert [one.status_code for one in answers] == [422] * 6
    assert all('role="alert"' in one.text for one in answers)
    assert (first.status_code, second.status_code) == (303, 409)
    assert "There is a coupon TWICE already" in words_of(second.text)


async def test_the_last_day_of_a_coupon_counts(market: Market, office: Seat):
    today = market.gateway.clock().date()
    await office.send("/office/money/coupons", code="TODAY", percent="10", periods="1", last_day=today.isoformat())

    (coupon,) = [one for one in (await office.person.http.get("/v1/coupons")).json()["items"] if one["code"] == "TODAY"]
    assert coupon["expires_at"].startswith((today + timedelta(days=1)).isoformat())


async def test_papers_that_cannot_be_issued_hold_up_nobody_else_s(
    market: Market, clock: MovableClock, sit: Sit, monkeypatch: pytest.MonkeyPatch
):
    clients: list[Person] = [await market.client(cents=20_000) for _ in range(2)]
    for client in clients:
        await (await sit(client)).send("/desk/money/plan", plan="studio")
    clock.ahead += timedelta(days=32)
    issue, broken = invoicing.issuing.issue_papers, min(client.account.id for client in clients)

    async def issue_some(conn: Any, *, client_id: str, **given: Any) -> list[str]:
        if client_id == broken:
            raise RuntimeError("no number is free")
        return await issue(conn, client_id=client_id, **given)

    async def counts() -> dict[str, int]:
        return {one.account.id: len((await one.http.get("/v1/invoices")).json()["items"]) for one in clients}

    with monkeypatch.context() as patch:
        patch.setattr(invoicing.issuing, "issue_papers", issue_some)
        await invoicing.issue_monthly(market.gateway)
    assert await counts() == {one.account.id: int(one.account.id != broken) for one in clients}

    await invoicing.issue_monthly(market.gateway)
    assert await counts() == {one.account.id: 1 for one in clients}


async def test_papers_are_listed_and_kept_as_files_by_the_operator_alone(market: Market, clock: MovableClock, sit: Sit):
    client: Person = await market.client(cents=20_000)
    await (await sit(client)).send("/desk/money/plan", plan="studio")
    clock.ahead += timedelta(days=32)
    await invoicing.issue_monthly(market.gateway)
    office, buyer = await sit(await market.person("operator")), await sit(client)
    number = (await client.http.get("/v1/invoices")).json()["items"][0]["id"]

    text = await office.read("/office/money")
    paper = await office.http.get(f"/office/money/papers/{number}?format=pdf")
    theirs = await buyer.http.get(f"/office/money/papers/{number}?format=pdf", headers={"Accept": "text/html"})
    none = await office.http.get("/office/money/papers/1999-00001", headers={"Accept": "text/html"})

    assert number in text
    assert "Nothing is open." in text
    assert "No invoice can be issued" not in text
    assert paper.content.startswith(b"%PDF")
    assert theirs.status_code == 403
    assert none.status_code == 404
