"""A creator's statements: what stands on the page is what the file and the script say."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.service.market import Market
from tests.service.pages.conftest import Seat, Sit, words_of


@pytest.fixture
async def seat(market: Market, sit: Sit) -> Seat:
    """The creator, who has sold one picture more."""
    sold = (await market.order(await market.client(), wait=60)).json()
    assert sold["state"] == "settled", sold
    return await sit(market.creator)


async def test_every_line_leads_to_its_certificate_and_the_sums_are_the_ledgers(market: Market, seat: Seat):
    html = (await seat.http.get("/studio/earnings")).text
    text = words_of(html)
    month = f"{market.gateway.clock():%Y-%m}"
    told = (await seat.person.http.get(f"/v1/statements/{month}")).json()

    assert told["lines"]
    for line in told["lines"]:
        assert f'href="{line["certificate"]}"' in html
        assert (await seat.http.get(line["certificate"])).status_code == 200
    assert re.search(
        r"Inky Apples Sold, personal, [^U]+UTC out_\w+ Contest this line EUR 0.72 EUR 0.12 EUR 0.09 EUR 0.51", text
    )
    for name, words, sign in (("gross", "Clients paid", 1), ("tax", "Tax, passed on", -1), ("total", "Earned", 1)):
        cents = sign * told[name]["amount"]
        written = f"EUR {'−' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
        assert f"{words} {written}" in text
    assert "Still running" in text
    assert 'href="/studio/earnings"' in (await seat.http.get("/studio")).text


async def test_the_script_from_the_page_finds_the_sum_of_the_page(market: Market, seat: Seat, tmp_path: Path):
    html = (await seat.http.get("/studio/earnings")).text
    script = await seat.http.get("/studio/earnings/recompute_statement.py")
    month = f"{market.gateway.clock():%Y-%m}"
    table = await seat.http.get(f"/v1/statements/{month}?format=csv")
    command = re.search(r"python3 (\S+) (\S+\.csv)", html)
    assert command

    (tmp_path / command[1]).write_bytes(script.content)
    (tmp_path / command[2]).write_bytes(table.content)
    done = subprocess.run(
        [sys.executable, "-I", command[1], command[2]], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert script.headers["content-type"].startswith("text/x-python")
    assert f'filename="{command[2]}"' in table.headers["content-disposition"], "the command names the file as it comes"
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every row and the total agree." in done.stdout


async def test_long_months_are_shown_by_pages(market: Market, seat: Seat, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("service.pages.studio_earnings._PER_PAGE", 1)
    await market.order(await market.client(), wait=60)
    month = f"{market.gateway.clock():%Y-%m}"
    told = (await seat.person.http.get(f"/v1/statements/{month}")).json()["lines"]

    pages = [(await seat.http.get(f"/studio/earnings/{month}?page={number}")).text for number in (1, 2, 999)]

    assert told[0]["output"] in pages[0]
    assert told[0]["output"] not in pages[1]
    assert told[1]["output"] in pages[1]
    assert told[-1]["output"] in pages[2], "what is behind the last page is the last page"
    assert f"/studio/earnings/{month}?page=2#lines" in pages[0]
    assert f"1 to 1 of {len(told)} lines" in words_of(pages[0])


async def test_a_month_without_a_sale_and_one_that_is_none(seat: Seat):
    empty = await seat.read("/studio/earnings/2020-02")
    wrong = await seat.http.get("/studio/earnings/soon", headers={"Accept": "text/html"})
    no_page = await seat.http.get("/studio/earnings?page=0", headers={"Accept": "text/html"})

    assert "February 2020" in empty
    assert "Nothing was sold this month." in empty
    assert wrong.status_code == 422
    assert "'soon' is no month; write it like 2026-03." in words_of(wrong.text)
    assert no_page.status_code == 422


async def test_months_are_listed_and_nobody_elses(market: Market, seat: Seat, sit: Sit):
    now = datetime.now(UTC)
    stranger = await sit(await market.person("creator"))

    assert f"{now:%B %Y}" in await seat.read("/studio/earnings")
    text = await stranger.read("/studio/earnings")
    assert "Nothing was sold yet this month." in text
    assert text.count("EUR 0.51") == 0


async def test_a_floor_is_set_beside_the_price_and_never_below_the_operators(market: Market, seat: Seat):
    url = f"/studio/styles/{market.style_id}/offer"
    form = {"sell-personal": "yes", "price-personal": "0.60", "use-personal": "Private use.", "notice_days": "30"}

    shown = await seat.read(url)
    low = await seat.send(url, **form, **{"floor-personal": "0.10"})
    high = await seat.send(url, **form, **{"floor-personal": "0.70"})
    cheap = await seat.send(url, **form | {"price-personal": "0.15"}, **{"floor-personal": "0.15"})
    saved = await seat.send(url, **form, **{"floor-personal": "0.40"})
    kept = await seat.send(url, **form | {"price-personal": "0.50"})
    told = (await seat.person.http.get(f"/v1/styles/{market.style_id}")).json()["tiers"]["personal"]

    assert "asks EUR 0.20 for personal at least" in shown
    assert [one.status_code for one in (low, high, cheap)] == [422, 422, 422]
    assert "Nobody sells a picture of tier personal for less than 0.20 EUR here" in words_of(low.text)
    assert "above its price of 0.60 EUR" in words_of(high.text)
    assert "costs 0.20 EUR here at least" in words_of(cheap.text)
    assert (saved.status_code, kept.status_code) == (303, 303)
    assert told["floor"] == {"amount": 40, "currency": "EUR"}
    assert (
        'id="floor-personal" name="floor-personal" inputmode="decimal" value="0.40"' in (await seat.http.get(url)).text
    )
    public = (await market.stranger.get(f"/v1/styles/{market.style_id}")).json()
    assert "floor" not in public["tiers"]["personal"], "what a creator would still take is the creator's to know"


async def test_an_open_page_is_told_of_a_sale_and_of_nothing_else(market: Market, seat: Seat):
    html = (await seat.http.get("/studio/earnings")).text
    asks = re.search(r'hx-get="(/studio/earnings\?seen=\d+)"', html)
    assert asks
    asked = {"HX-Request": "true", "HX-Target": "news"}

    quiet = (await seat.http.get(asks[1], headers=asked)).text
    assert (await market.order(await market.client(), wait=60)).json()["state"] == "settled"
    told = (await seat.http.get(asks[1], headers=asked)).text

    assert asks[1] in quiet, "it goes on asking"
    assert 'id="earned"' not in quiet
    assert 'id="earned" class="stack far" hx-swap-oob="true"' in told
    assert asks[1] not in told
    assert words_of(told).count("Contest this line") == words_of(html).count("Contest this line") + 1
    assert "hx-get" not in (await seat.http.get("/studio/earnings/2025-01")).text, "a month that is over stands still"
