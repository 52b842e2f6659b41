"""Several bought pictures as one file: what is in it, and whose they may be."""

import csv
import io
import json
import zipfile

import httpx

from service.api.bundles import PICTURES_MAX
from tests.service.conftest import Person, browser, sign_in, slug_of
from tests.service.market import Market, state_of

HTML = {"Accept": "text/html"}


async def bought(market: Market, client: Person, *prompts: str) -> list[str]:
    placed = [(await market.order(client, prompt=prompt, wait=0)).json()["id"] for prompt in prompts]
    orders = [await state_of(client, order_id, wanted="settled") for order_id in placed]
    return [output["id"] for order in orders for output in order["outputs"]]


def opened(answer: httpx.Response) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.content))


async def test_the_file_holds_each_picture_as_it_was_sold_with_its_certificate_and_a_sheet(market: Market):
    client = await market.client()
    first, second = await bought(market, client, "a cup", "a boat")

    archive = opened(await client.http.get("/v1/outputs.zip", params={"ids": [second, first, second]}))

    assert archive.testzip() is None
    assert sorted(archive.namelist()) == sorted(
        ["README.txt", "licences.csv"]
        + [f"pictures/{one}.png" for one in (first, second)]
        + [f"certificates/{one}.json" for one in (first, second)]
    )
    assert archive.read(f"pictures/{first}.png") == (await client.http.get(f"/v1/outputs/{first}")).content
    papers = [json.loads(archive.read(f"certificates/{one}.json")) for one in (first, second)]
    for paper in papers:
        verdict = await market.stranger.post("/v1/verify", json={"certificate": paper["certificate"]})
        assert verdict.json()["verdict"] == "valid"
    sheet = list(csv.DictReader(io.StringIO(archive.read("licences.csv").decode())))
    assert [row["output"] for row in sheet] == [second, first]
    assert {(row["style"], row["licence"], row["amount"], row["test"]) for row in sheet} == {
        ("Inky Apples", "personal", "60", "no")
    }
    words = archive.read("README.txt").decode()
    assert words.startswith("2 pictures from Ownhand")
    assert f"{first}.png" in words


async def test_ids_may_come_with_commas_and_a_sale_that_was_taken_back_says_so(market: Market):
    client, operator = await market.client(), await market.person("operator")
    first, second = await bought(market, client, "a cup", "a boat")
    await operator.http.post(f"/v1/outputs/{second}/refund", json={"reason": "Drawn badly."})

    archive = opened(await client.http.get("/v1/outputs.zip", params={"ids": f"{first}, {second}"}))

    withdrawn = {row["output"]: row["withdrawn_because"] for row in _rows(archive)}
    assert withdrawn == {first: "", second: "Drawn badly."}
    assert "The sale was taken back: Drawn badly." in archive.read("README.txt").decode()


async def test_one_picture_that_is_not_ones_own_and_nothing_is_sent(market: Market):
    client, other = await market.client(), await market.client()
    (own,), (theirs,) = await bought(market, client, "a cup"), await bought(market, other, "a cup")

    answer = await client.http.get("/v1/outputs.zip", params={"ids": [own, theirs]})
    never = await client.http.get("/v1/outputs.zip", params={"ids": [own, "out_never"]})

    assert (slug_of(answer), slug_of(never)) == ("not_found", "not_found")


async def test_a_file_has_so_many_pictures_at_most(market: Market):
    client = await market.client(cents=0)
    many = [f"out_{number}" for number in range(PICTURES_MAX + 1)]

    for asked in ({"ids": many}, {"ids": ",".join(many)}):
        assert slug_of(await client.http.get("/v1/outputs.zip", params=asked)) == "invalid_request"
    assert slug_of(await client.http.get("/v1/outputs.zip")) == "invalid_request"


async def test_a_person_ticks_pictures_of_one_style_and_day_and_gets_them_as_one_file(market: Market):
    client = await market.client()
    ids = await bought(market, client, "a cup", "a boat")
    http, _ = await _seat(market, client)
    today = market.gateway.clock().date().isoformat()

    shown = await http.get(f"/desk/history?style={market.style_id}&since={today}&until={today}", headers=HTML)
    earlier = await http.get("/desk/history?until=2020-01-01", headers=HTML)
    wrong = await http.get("/desk/history?since=yesterday", headers=HTML)
    archive = opened(await http.get("/desk/history/pictures.zip", params={"ids": ids}, headers=HTML))

    assert all(f'value="{one}"' in shown.text for one in ids)
    assert not any(one in earlier.text for one in ids)
    assert "No order fits." in earlier.text
    assert "is no day; write it like" in wrong.text
    assert len([name for name in archive.namelist() if name.startswith("pictures/")]) == 2


async def test_nothing_ticked_is_said_on_the_page_which_keeps_what_was_narrowed(market: Market):
    client = await market.client()
    (own,) = await bought(market, client, "a cup")
    http, _ = await _seat(market, client)

    nothing = await http.get(f"/desk/history/pictures.zip?style={market.style_id}", headers=HTML)
    wrong = await http.get("/desk/history/pictures.zip", params={"ids": [own, "out_never"]}, headers=HTML)

    assert (nothing.status_code, wrong.status_code) == (422, 404)
    assert "choose at least one" in nothing.text
    assert f'value="{market.style_id}" selected' in nothing.text
    assert f'value="{own}" checked' in wrong.text


def _rows(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read("licences.csv").decode())))


async def _seat(market: Market, client: Person) -> tuple[httpx.AsyncClient, str]:
    session = await sign_in(market, client.account)
    return browser(market, session), session.csrf
