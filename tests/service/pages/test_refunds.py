"""Money that goes back by transfer: listed, in a file for the bank, sent once, and back if the bank says so."""

from dataclasses import replace

import pytest

from tests.licensing.test_bank_statements import DETAILS, ENTRY, entry, statement
from tests.service.market import Market, prepaid
from tests.service.pages.conftest import Seat, Sit

IBAN = "NL91ABNA0417164300"
PARTY = (
    "<RltdPties><Dbtr><Nm>Studio Nörth</Nm></Dbtr>"
    f"<DbtrAcct><Id><IBAN>{IBAN}</IBAN></Id></DbtrAcct></RltdPties><RmtInf>"
)


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


async def paid(client: Seat, office: Seat, cents: int, *, by_bank: bool) -> str:
    """A payment that arrived: by the bank's statement, which names its account, or as the office said."""
    asked = (await client.person.http.post("/v1/payments", json={"amount": cents})).json()
    if not by_bank:
        await office.send(f"/office/payments/{asked['id']}/received")
        return str(asked["id"])
    code = asked["instructions"].split("reference ")[1].split(";")[0]
    details = DETAILS.format(text=code).replace("<RmtInf>", PARTY)
    booked = ENTRY.format(amount=f"{cents / 100:.2f}", sign="CRDT", state="<Sts>BOOK</Sts>", ref=code, details=details)
    kept = await office.person.http.post("/v1/bank-statements", files={"file": ("b.xml", statement(booked))})
    done = await office.person.http.post(f"/v1/bank-statements/{kept.json()['id']}/confirm")
    assert done.json()["lines"][0]["does"] == "booked", done.text
    return str(asked["id"])


async def give_back(office: Seat, payment_id: str, amount: str) -> str:
    given = await office.send(f"/office/payments/{payment_id}/refunds", amount=amount, why="not needed")
    assert given.status_code == 303, given.text
    return str((await office.person.http.get("/v1/refunds?state=pending")).json()["items"][0]["id"])


async def test_a_refund_is_listed_goes_into_one_file_and_is_sent_once(
    market: Market, sit: Sit, office: Seat, monkeypatch: pytest.MonkeyPatch
):
    client, api = await sit(await market.client(cents=0)), office.person.http
    known = await give_back(office, await paid(client, office, 5000, by_bank=True), "12.50")
    blind = await give_back(office, await paid(client, office, 5000, by_bank=False), "3")
    told = {one["id"]: one for one in (await api.get("/v1/refunds?state=pending")).json()["items"]}
    listed = await office.read("/office/payments")

    assert told[known]["to"] == {"holder": "Studio Nörth", "iban": IBAN}
    assert (told[blind]["to"], told[blind]["amount"]["amount"]) == (None, 300)
    for said in ("Refunds to be sent", IBAN, told[known]["reference"], told[blind]["reference"], "EUR 12.50"):
        assert said in listed

    made = await office.send("/office/refund-files")
    none = await office.send("/office/refund-files")
    [file, *_] = (await api.get("/v1/refund-files")).json()["items"]
    table = await office.http.get(f"/office/refund-files/{file['id']}/file?format=csv")
    bank = await office.http.get(f"/office/refund-files/{file['id']}/file", headers={"Accept": "text/html"})
    assert (made.status_code, none.status_code) == (303, 409)
    assert "send the others by hand" in none.text
    assert f"Studio Nörth,{IBAN},,1250,EUR," in table.text
    assert f'refund {told[known]["reference"]}",{known}' in table.text
    assert blind not in table.text
    assert bank.status_code == 409, "the operator's own account is not configured here"
    taxes = market.gateway.taxes
    assert taxes.seller is not None
    own = replace(taxes, seller=replace(taxes.seller, iban="DE89370400440532013000"))
    monkeypatch.setitem(market.gateway.__dict__, "taxes", own)
    bank = await office.http.get(f"/office/refund-files/{file['id']}/file")
    assert bank.headers["content-disposition"] == f'attachment; filename="refunds-{file["id"]}.xml"'
    for said in ("pain.001", IBAN, "12.50", known.replace("_", "-"), file["id"].replace("_", "-"), "Studio North"):
        assert said in bank.text

    sent = await office.send(f"/office/refund-files/{file['id']}/sent")
    twice = await office.send(f"/office/refunds/{known}/sent")
    by_hand = await office.send(f"/office/refunds/{blind}/sent")
    page = await office.read("/office/payments")
    done = {one["id"]: one for one in (await api.get("/v1/refunds?state=succeeded")).json()["items"]}
    record = (await client.person.http.get("/v1/audit")).text
    assert [one.status_code for one in (sent, twice, by_hand)] == [303, 303, 303]
    assert {done[one]["sent_by"] for one in (known, blind)} == {office.person.account.id}
    assert f"as {office.person.account.name} said" in page
    assert record.count("12.50 EUR were sent back to you") == record.count("3.00 EUR were sent back to you") == 1

    seen = statement(entry("12.50", told[known]["reference"], sign="DBIT", ref=f"S{known}"))
    kept = (await api.post("/v1/bank-statements", files={"file": ("c.xml", seen)})).json()
    assert [one["does"] for one in kept["lines"]] == ["known"], "page, API and the bank say the same"
    assert await prepaid(client.person) == (10_000 - 1250 - 300, 0)


async def test_what_the_bank_sends_back_is_prepaid_money_again(market: Market, sit: Sit, office: Seat):
    client = await sit(await market.client(cents=0))
    refund = await give_back(office, await paid(client, office, 900, by_bank=False), "9")
    early = await office.send(f"/office/refunds/{refund}/returned", reason="too early")
    await office.send(f"/office/refunds/{refund}/sent")
    wordless = await office.send(f"/office/refunds/{refund}/returned", reason=" ")
    gone = await prepaid(client.person)

    back = [await office.send(f"/office/refunds/{refund}/returned", reason="account closed") for _ in range(2)]
    again = await office.send(f"/office/refunds/{refund}/sent")

    assert (early.status_code, wordless.status_code, again.status_code) == (409, 422, 409)
    assert "was not sent yet" in early.text
    assert [one.status_code for one in back] == [303, 303]
    assert (gone, await prepaid(client.person)) == ((0, 0), (900, 0))
    record = (await client.person.http.get("/v1/audit")).text
    assert record.count("came back") == 1
    assert (await office.send("/office/refunds/rfd_none/sent")).status_code == 404


async def test_packs_are_called_by_their_names(market: Market, sit: Sit, office: Seat):
    client = await sit(await market.client(cents=0))
    payment = (await client.person.http.post("/v1/payments", json={"pack": "large"})).json()["id"]

    places = {"/desk/money/payments": client, "/office/payments": office, f"/office/payments/{payment}": office}
    for path, seat in places.items():
        text = await seat.read(path)
        assert "Pack “100 euros, 5 on top”" in text
        assert "Pack large" not in text
