"""A bank's statement in the office: seen before it counts, booked once, and nothing lost by a file that is none."""

import asyncio

import httpx
import pytest

from licensing.ledger import check
from tests.licensing.test_bank_statements import entry, statement
from tests.service.market import Market, prepaid
from tests.service.pages.conftest import Seat, Sit, words_of

FILE = "november.xml"


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


async def upload(seat: Seat, content: bytes, name: str = FILE) -> httpx.Response:
    return await seat.http.post(
        "/office/statements",
        data={"csrf": seat.csrf},
        files={"file": (name, content, "text/xml")},
        headers={"Accept": "text/html"},
    )


async def test_a_statement_is_looked_at_confirmed_and_books_once(market: Market, sit: Sit, office: Seat):
    client = await sit(await market.client(cents=0))
    payment = (await client.person.http.post("/v1/payments", json={"pack": "large"})).json()
    code = payment["instructions"].split("reference ")[1].split(";")[0]
    content = statement(
        entry("100.00", f"pack {code}", ref="N1"),
        entry("7.00", "a cake", ref="N2"),
        entry("900.00", "rent", sign="DBIT", ref="N3"),
        entry("100.00", f"pack {code}", ref="N1"),
    )
    html = (await office.http.get("/office/payments", headers={"Accept": "text/html"})).text
    shown = await upload(office, content)
    place = shown.headers["location"]
    text = await office.read(place)
    before = await prepaid(client.person)

    assert 'enctype="multipart/form-data"' in html
    assert "1 line would book something" in text
    assert "1 is known already, and 2 would do nothing" in text
    assert f"{client.person.account.name}: Pays the 100.00 EUR that were asked for as {code}." in text
    assert "Nothing here goes by what it says; look at it by hand. a cake" in text
    assert before == (0, 0), "nothing is booked by looking"

    done = await office.send(f"{place}/confirm")
    booked = await office.read(done.headers["location"])
    twice = await office.send(f"{place}/confirm")
    again = await upload(office, content, name="another name.xml")
    late = await upload(office, statement(entry("100.00", f"pack {code}", ref="N1"), entry("1.00", "tea", ref="N9")))
    kept = await office.send(f"{place}/drop")

    assert "1 line booked. The others say why not." in booked
    assert await prepaid(client.person) == (10_500, 0)
    assert (twice.status_code, kept.status_code) == (303, 409)
    assert again.headers["location"] == f"{place}?done=repeated"
    assert "This file was here before" in await office.read(again.headers["location"])
    assert "It came with another file before; it does nothing again." in await office.read(late.headers["location"])
    record = (await office.person.http.get("/v1/audit")).text
    assert "You uploaded a bank statement with 4 lines" in record
    assert record.count("1 line booked something") == 1
    listed = await office.read("/office/payments")
    assert f"{FILE} " in listed
    assert "Confirmed" in listed
    async with market.gateway.house() as conn:
        assert await check(conn) == []


async def test_confirmed_by_many_at_once_it_books_once(market: Market, office: Seat):
    client = await market.client(cents=0)
    payment = (await client.http.post("/v1/payments", json={"amount": 700})).json()
    code = payment["instructions"].split("reference ")[1].split(";")[0]
    api = office.person.http
    files = [statement(entry("7.00", code, ref="M1"), entry(f"{cents}.00", "x", ref=f"M{cents}")) for cents in (8, 9)]
    xml = {"Content-Type": "text/xml"}
    ids = [(await api.post("/v1/bank-statements", content=one, headers=xml)).json() for one in files]

    answers = await asyncio.gather(
        *(api.post(f"/v1/bank-statements/{one['id']}/confirm") for one in ids for _ in range(4))
    )

    assert {one.status_code for one in answers} == {200}
    does = [line["does"] for one in answers[::4] for line in one.json()["lines"] if line["line"] == "M1"]
    assert sorted(does) == ["booked", "nothing"]
    assert await prepaid(client) == (700, 0)


async def test_a_file_that_is_none_ends_in_a_sentence_and_loses_nothing(market: Market, office: Seat):
    before = await office.read("/office/payments")
    large = b"<Document>" + b" " * 20_000_001
    answers = {
        name: await upload(office, content)
        for name, content in {
            "no XML": b"hello",
            "another document": b"<html/>",
            "cut off": statement(entry("1.00", "tea"))[:-30],
            "no line": statement(),
            "large": large,
            "empty": b"",
        }.items()
    }
    nothing = await office.http.post(
        "/office/statements", data={"csrf": office.csrf}, files={"file": ("", b"")}, headers={"Accept": "text/html"}
    )
    stranger = await office.http.post("/office/statements", data={"csrf": "x"}, files={"file": (FILE, b"")})

    assert {name: one.status_code for name, one in answers.items()} == dict.fromkeys(answers, 422) | {"large": 413}
    for one in (*answers.values(), nothing):
        assert 'role="alert"' in one.text
    assert "export the bank's statement again, as camt.053" in words_of(answers["cut off"].text).replace("&#39;", "'")
    assert "export it for fewer days" in answers["large"].text
    assert (nothing.status_code, stranger.status_code) == (422, 403)
    assert before.count("Confirmed") == (await office.read("/office/payments")).count("Confirmed")


async def test_the_wrong_file_is_dropped_and_can_come_again(market: Market, office: Seat):
    content = statement(entry("3.00", "flowers", ref="W1"))
    place = (await upload(office, content)).headers["location"]

    dropped = await office.send(f"{place}/drop")
    gone = await office.http.get(place, headers={"Accept": "text/html"})
    again = await upload(office, content)

    assert "Nothing of it was booked" in await office.read(dropped.headers["location"])
    assert gone.status_code == 404
    assert "done=repeated" not in again.headers["location"]
