"""Who is told what about a picture: whose style it is for everybody, who bought it for those it concerns."""

import io
import re
from typing import Any

import httpx
import pytest
from PIL import Image

from licensing.authority import verify_document
from service.audit import list_entries
from tests.service.conftest import Person, browser, sign_in, slug_of
from tests.service.market import PRICE, Market, prepaid

WITHHELD = {"generation", "client", "prompt_sha256", "amount"}


@pytest.fixture(scope="module")
async def buyer(market: Market) -> Person:
    return await market.client()


@pytest.fixture(scope="module")
async def sold(market: Market, buyer: Person) -> dict[str, Any]:
    """A picture that was bought: its output, its file, its certificate, and a copy that lost its seal."""
    return await bought(market, buyer)


async def bought(market: Market, client: Person, **body: Any) -> dict[str, Any]:
    output = (await market.order(client, **{"size": [64, 64]} | body)).json()["outputs"][0]["id"]
    picture = (await client.http.get(f"/v1/outputs/{output}")).content
    certificate = (await client.http.get(f"/v1/outputs/{output}/certificate")).json()["certificate"]
    copy = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(copy, "JPEG", quality=90)
    return {"id": output, "picture": picture, "certificate": certificate, "copy": copy.getvalue()}


async def told(http: httpx.AsyncClient, content: bytes) -> dict[str, Any]:
    answer = await http.post("/v1/verify", files={"file": ("a.png", content)})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_stranger_is_told_whose_style_it_is_and_what_it_may_be_used_for(
    market: Market, buyer: Person, sold: dict[str, Any]
):
    for content in (sold["picture"], sold["certificate"].encode()):
        verdict = await told(market.stranger, content)

        assert (verdict["verdict"], verdict["output"], verdict["test"]) == ("valid", sold["id"], False)
        assert verdict["certificate"]["creator"]["name"] == market.creator.account.name
        assert verdict["certificate"]["use"]
        assert not WITHHELD & verdict["certificate"].keys()
        assert verdict["document"] is None
        assert buyer.account.id not in str(verdict)
        assert buyer.account.name not in str(verdict)


async def test_another_client_is_a_stranger(market: Market, buyer: Person, sold: dict[str, Any]):
    other = await market.client(cents=0)

    verdict = await told(other.http, sold["picture"])

    assert buyer.account.name not in str(verdict)
    assert not WITHHELD & verdict["certificate"].keys()


async def test_of_a_likeness_a_stranger_learns_the_output_and_the_style_alone(market: Market, sold: dict[str, Any]):
    verdict = await told(market.stranger, sold["copy"])

    assert (verdict["verdict"], verdict["output"]) == ("marked_but_stripped", sold["id"])
    assert verdict["style"] == {"id": market.style_id, "name": "Inky Apples"}
    assert verdict["certificate"] is verdict["document"] is None
    assert market.creator.account.name not in str(verdict)


async def test_client_creator_and_operator_are_told_everything(market: Market, buyer: Person, sold: dict[str, Any]):
    operator = await market.person("operator")

    for person in (buyer, market.creator, operator):
        for content in (sold["picture"], sold["copy"]):
            verdict = await told(person.http, content)

            assert verdict["document"] == sold["certificate"]
            assert verdict["certificate"]["client"]["name"] == buyer.account.name
            assert verdict["certificate"]["amount"] == {"amount": PRICE, "currency": "EUR"}


async def test_the_page_tells_the_same(market: Market, buyer: Person, sold: dict[str, Any]):
    session = await sign_in(market, buyer.account)
    own = browser(market, session)

    async def page(http: httpx.AsyncClient, content: bytes, **form: str) -> str:
        answer = await http.post("/verify", files={"file": ("a.png", content)}, data=form)
        assert answer.status_code == 200, answer.text
        return answer.text

    exact, likeness = await page(market.stranger, sold["picture"]), await page(market.stranger, sold["copy"])
    signed_in = await page(own, sold["picture"], csrf=session.csrf)

    assert f"Inky Apples, by {market.creator.account.name}" in exact
    assert "This picture is genuine" in exact
    assert sold["id"] in exact
    assert sold["id"] in likeness
    assert market.creator.account.name not in likeness
    for text in (exact, likeness):
        assert "Licensed to" not in text
        assert "0.60" not in text
    assert re.search(rf"Licensed to</dt><dd>{re.escape(buyer.account.name)}", signed_in)
    assert "0.60" in signed_in


async def test_a_test_picture_is_said_to_be_one(market: Market):
    tester = await market.client(cents=0, kind="test")
    made = await bought(market, tester)

    verdicts = [await told(market.stranger, made[name]) for name in ("picture", "copy")]
    paper = await told(market.stranger, made["certificate"].encode())
    page = (await market.stranger.post("/verify", files={"file": ("a.png", made["picture"])})).text

    assert [verdict["verdict"] for verdict in (*verdicts, paper)] == ["unknown"] * 3
    assert [verdict["test"] for verdict in (*verdicts, paper)] == [True, False, True]
    assert "nobody bought it" in verdicts[0]["sentence"]
    assert "This is a test, not a sale" in page
    assert "Sold" not in page


async def test_a_crowd_of_files_from_one_address_is_told_to_wait(market: Market, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(market.app.state.checks, "per_minute", 3)
    client = await market.client(cents=0)

    answers = [await market.stranger.post("/v1/verify", files={"file": ("a", b"x")}) for _ in range(2)]
    pages = [
        await market.stranger.post("/verify", files={"file": ("a", b"x")}, headers={"Accept": "text/html"})
        for _ in range(2)
    ]
    last = await market.stranger.post("/v1/verify", files={"file": ("a", b"x")})
    other = await client.http.post("/v1/verify", files={"file": ("a", b"x")})

    assert [answer.status_code for answer in (*answers, *pages)] == [200, 200, 200, 429]
    assert "3 checks a minute are let in" in pages[1].text
    assert pages[1].headers["retry-after"] == "20"
    assert slug_of(last) == "rate_limited"
    assert other.status_code == 200


async def test_a_refund_gives_the_money_back_and_revokes_the_certificate_for_everybody(market: Market):
    client, operator = await market.client(cents=1000), await market.person("operator")
    made = await bought(market, client, seed=71)
    assert await prepaid(client) == (1000 - PRICE, 0)
    path, body = f"/v1/outputs/{made['id']}/refund", {"reason": " Not what was ordered "}

    first = await operator.http.post(path, json=body)
    again = await operator.http.post(path, json={"reason": "another"})

    assert first.status_code == again.status_code == 200
    assert first.json() | {"revoked_at": None} == {
        "output": made["id"],
        "amount": {"amount": PRICE, "currency": "EUR"},
        "revoked_at": None,
        "revoked_reason": "Not what was ordered",
        "repeated": False,
    }
    assert again.json() == first.json() | {"repeated": True}
    assert await prepaid(client) == (1000, 0)
    assert await market.ledger_problems() == []
    for name in ("picture", "copy"):
        verdict = await told(market.stranger, made[name])
        assert (verdict["verdict"], verdict["revoked_reason"]) == ("revoked", "Not what was ordered")
    for whose in (client.account.id, market.creator.account.id):
        async with market.gateway.pool.acquire() as conn:
            record = await list_entries(conn, whose, limit=10)
        lines = [line for line in record if line.kind == "sale_refunded" and line.subject == made["id"]]
        assert [line.role for line in lines] == ["operator"]
    listed = (await market.stranger.get("/v1/revocations?limit=200")).json()["items"][-1]
    assert (listed["id"], listed["reason"]) == (made["id"], "Not what was ordered")
    assert (await client.http.get(f"/v1/outputs/{made['id']}")).content == made["picture"], "what was bought is kept"


async def test_only_an_operator_who_may_write_takes_a_sale_back_and_says_why(market: Market, sold: dict[str, Any]):
    operator = await market.person("operator")
    reader = await market.person("operator", scopes=("read",))
    path = f"/v1/outputs/{sold['id']}/refund"

    refused = [
        await person.http.post(path, json={"reason": "r"}) for person in (market.creator, await market.client(), reader)
    ]
    nameless = [await operator.http.post(path, json=body) for body in ({}, {"reason": "  "}, {"reason": "x" * 301})]
    missing = await operator.http.post("/v1/outputs/out_none/refund", json={"reason": "r"})

    assert [slug_of(answer) for answer in refused] == ["forbidden"] * 3
    assert [slug_of(answer) for answer in nameless] == ["invalid_request"] * 3
    assert slug_of(missing) == "not_found"
    assert slug_of(await market.stranger.post(path, json={"reason": "r"})) == "unauthenticated"
    assert (await told(market.stranger, sold["picture"]))["verdict"] == "valid"


async def test_the_office_takes_a_sale_back_by_a_form(market: Market):
    client, operator = await market.client(), await market.person("operator")
    made = await bought(market, client)
    session = await sign_in(market, operator.account)
    office = browser(market, session)

    async def send(**form: str) -> httpx.Response:
        return await office.post("/office/refunds", data={"csrf": session.csrf, **form})

    done = await send(output=f" {made['id']} ", reason="Sold twice")
    again = await send(output=made["id"], reason="Sold twice")
    unknown = await send(output="out_none", reason="x")
    empty = await send(output=made["id"], reason="")

    assert (done.status_code, done.headers["location"]) == (303, "/office?done=refunded")
    assert again.headers["location"] == "/office?done=refunded_before"
    assert (unknown.status_code, empty.status_code) == (404, 422)
    assert "give both" in empty.text
    assert "certificate is revoked" in (await office.get("/office?done=refunded")).text
    assert (await told(market.stranger, made["picture"]))["revoked_reason"] == "Sold twice"


async def test_revocations_are_paged_and_signed_for_everybody(market: Market):
    client, operator = await market.client(), await market.person("operator")
    for number in range(2):
        output = (await bought(market, client))["id"]
        await operator.http.post(f"/v1/outputs/{output}/refund", json={"reason": f"r{number}"})

    whole = await market.stranger.get("/v1/revocations?limit=200")
    items, cursor = [], None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        part = (await market.stranger.get("/v1/revocations", params=query)).json()
        items += part["items"]
        if (cursor := part["next_cursor"]) is None:
            break
    signed = await market.stranger.get("/v1/revocations/signed")

    assert items == whole.json()["items"]
    assert len(items) >= 2
    document = verify_document(market.gateway.authority, signed.text)
    assert [one["output_id"] for one in document["revocations"]] == [one["id"] for one in items]
    assert signed.headers["content-type"].startswith("application/jose")
    for answer in (whole, signed):
        assert answer.headers["cache-control"] == "public, max-age=60"


async def test_the_office_says_plainly_that_no_mark_is_active(market: Market):
    operator = await market.person("operator")
    office = browser(market, await sign_in(market, operator.account))

    assert "No invisible watermark is active" in (await office.get("/office")).text
