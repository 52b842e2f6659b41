"""The monthly fee as creators and the office see it: told before it counts, owed once, in nobody's way."""

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from licensing import payouts
from licensing.papers import wording
from service.dues import post_monthly_dues
from service.settings import ROOT
from tests.service.market import Market, MovableClock, open_market
from tests.service.pages.conftest import Seat, Sit


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    shipped = (ROOT / "configs" / "prices.toml").read_text()
    words = {"prices.toml": shipped.replace("[dues]\nmonth = 0\n", "[dues]\nmonth = 2500\n")}
    folder = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, clock=clock, words=words, forms_per_minute=10_000) as opened:
        yield opened
        opened.curtain.wait_at(None)


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


def first_after(moment: datetime, months: int = 1) -> datetime:
    """The beginning of a month, so many months later."""
    for _ in range(months):
        moment = (moment.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return moment.astimezone(UTC)


async def test_a_creator_is_told_owes_once_pays_and_is_paid_out_in_full_all_the_while(
    market: Market, clock: MovableClock, sit: Sit, office: Seat, tmp_path: Path
):
    seat = await sit(market.creator)
    await market.order(await market.client(), wait=60)
    api, web = market.creator.http, market.gateway
    await post_monthly_dues(web)

    told = (await api.get("/v1/dues")).json()
    home, terms = await seat.read("/studio"), await seat.read("/terms")
    first = next(one["month"] for one in told["months"] if one["amount"]["amount"])
    assert told["months"][0]["amount"]["amount"] == 0
    assert told["owed"] == {"amount": 0, "currency": "EUR"}
    assert f"From {wording.month(first)} on the monthly fee is EUR 25.00" in home
    assert "on EUR 25.00 a month" in terms
    assert "No payout, no style and no switch ever waits for it" in terms

    while f"{clock():%Y-%m}" != first:
        clock.ahead += timedelta(hours=12)
        await post_monthly_dues(web)
    for _ in range(3):
        await post_monthly_dues(web)
    seat, office = await sit(market.creator), await sit(office.person)
    page = await seat.read("/studio/earnings")
    statement = (await api.get(f"/v1/statements/{first}")).json()
    assert (await api.get("/v1/dues")).json()["owed"]["amount"] == 2500
    assert [(one["kind"], one["subject"]) for one in statement["dues"]["lines"]] == [("dues", first)]
    assert "Owed now EUR 25.00" in page
    assert told["reference"] in page

    payee = {"holder": "Mara", "iban": "DE89370400440532013000", "minimum": 100, "schedule": "never"}
    await api.put("/v1/payee", json=payee)
    clock.ahead += timedelta(days=3, minutes=1)
    await market.order(await market.client(), count=2, wait=60)
    asked = (await api.get("/v1/payouts")).json()["standing"]["payable"]["amount"]
    async with web.house() as conn:
        paid = await payouts.open_payout(
            conn, payout_id=web.new_id("pyt"), creator_id=market.creator.account.id,
            at_least=web.prices.payout_smallest, now=web.clock(),
        )  # fmt: skip
    assert isinstance(paid, payouts.Payout), paid
    assert paid.amount.amount == asked == 3 * 51, "a creator who never paid anything is paid out in full"

    table = await api.get(f"/v1/statements/{first}?format=csv")
    file = tmp_path / table.headers["content-disposition"].split('"')[1]
    file.write_bytes(table.content)
    script = [sys.executable, "-I", str(ROOT / "configs" / "recompute_statement.py"), str(file)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Beside that you owe 25.00 EUR more than before the month." in done.stdout
    assert (await api.get(f"/v1/statements/{first}?format=pdf")).content.startswith(b"%PDF")


async def test_taking_it_from_earnings_is_a_creators_word_and_the_office_books_and_waives(
    market: Market, clock: MovableClock, sit: Sit, office: Seat
):
    seat, creator = await sit(market.creator), market.creator.account.id
    newcomer = await market.person("creator")
    now, web = clock(), market.gateway
    yes = await seat.send("/studio/earnings/dues", from_earnings="yes")
    odd = await seat.send("/studio/earnings/dues", from_earnings="perhaps")
    page = await seat.read("/studio/earnings")
    await market.order(await market.client(), wait=60)
    before = (await market.creator.http.get("/v1/dues")).json()["owed"]["amount"]
    payable = (await market.creator.http.get("/v1/payouts")).json()["standing"]["payable"]["amount"]
    clock.ahead += first_after(now) - clock() + timedelta(minutes=1)
    await post_monthly_dues(web)
    dues = (await market.creator.http.get("/v1/dues")).json()
    month = dues["months"][0]["amount"]["amount"]
    seat, office = await sit(market.creator), await sit(office.person)

    paid = [
        await office.send(f"/office/dues/{creator}/payments", amount="10.00", reference="bank 77") for _ in range(2)
    ]
    waived = await office.send(f"/office/dues/{creator}/waivers", amount="5", why="a hard month")
    too_much = await office.send(f"/office/dues/{creator}/waivers", amount="5000", why="a hard month")
    nobody = await office.send(f"/office/dues/{office.person.account.id}/payments", amount="1", reference="bank 78")
    left = (await office.person.http.get("/v1/creator-dues")).json()["items"]
    record = (await market.creator.http.get("/v1/audit")).text

    assert (yes.status_code, odd.status_code) == (303, 422)
    assert (await newcomer.http.get("/v1/dues")).json()["owed"]["amount"] == 0, "nobody new owes so soon"
    assert "You said that it may be taken from your earnings" in page
    assert dues["from_earnings"] is True
    assert payable > 0
    assert dues["owed"]["amount"] == before + month - payable, "what was payable, and no more"
    assert [one.status_code for one in (*paid, waived, too_much, nobody)] == [303, 303, 303, 409, 404]
    [mine] = [one for one in left if one["creator"] == creator]
    assert mine["owed"]["amount"] == before + month - payable - 1000 - 500
    assert record.count("10.00 EUR of your monthly fee was booked as paid (bank 77).") == 1
    assert "5.00 EUR of your monthly fee was waived" in record
    assert "may be taken from your earnings: yes." in record
    found = await seat.read(f"/studio/earnings/{clock():%Y-%m}")
    assert "Taken from your earnings" in found
    assert "Taken for the monthly fee" in found
