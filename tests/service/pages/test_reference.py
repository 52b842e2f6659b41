"""The reference of the API as pages: nothing is missing, and what it shows is what is answered."""

import re

from service.pages.examples import ANSWERS
from service.pages.reference import read_nouns
from tests.service.conftest import draw
from tests.service.market import Market
from tests.service.pages.conftest import words_of

HTML = {"Accept": "text/html"}


async def test_every_call_stands_on_the_page_of_its_noun_with_all_that_it_takes(market: Market):
    document = market.app.openapi()
    nouns = read_nouns(document, "http://here")

    calls = {f"{call.method} {call.path}" for noun in nouns for call in noun.calls}
    assert calls == {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    order = next(
        call for noun in nouns for call in noun.calls if (call.method, call.path) == ("POST", "/v1/generations")
    )
    fields = {one.name: one for one in order.fields}
    assert fields["prompt"].is_required
    assert not fields["seed"].is_required
    assert fields["tier"].kind == '"draft" or "personal" or "commercial" or "exclusive"'
    assert fields["Idempotency-Key"].place == "header"
    assert "prompt_refused" in order.problems[422]
    assert "curl -sS -X POST http://here/v1/generations" in order.curl


async def test_the_pages_are_for_everybody_and_hold_no_script_of_their_own(market: Market):
    index = await market.stranger.get("/reference", headers=HTML)
    links = set(re.findall(r'href="(/reference/[\w-]+)"', index.text))

    assert index.status_code == 200
    assert "/reference/generations" in links
    for link in links:
        answer = await market.stranger.get(link, headers=HTML)
        assert answer.status_code == 200, link
        assert answer.text.count("<script") == index.text.count("<script") == 2
    assert "rate_limited" in words_of(index.text)
    assert f"{market.settings.requests_per_minute:,}" in words_of(index.text)


async def test_a_noun_that_there_is_not_is_not_found(market: Market):
    answer = await market.stranger.get("/reference/unicorns", headers=HTML)

    assert answer.status_code == 404


async def test_answers_that_are_shown_have_the_members_of_real_ones(market: Market):
    client = await market.client()
    order = (await market.order(client)).json()
    image = await client.http.post("/v1/images", content=draw(), headers={"Content-Type": "image/png"})
    real = {
        "POST /v1/generations": order,
        "GET /v1/generations/{generation_id}": (await client.http.get(f"/v1/generations/{order['id']}")).json(),
        "POST /v1/images": image.json(),
    }

    assert real.keys() == ANSWERS.keys()
    for call, answer in ANSWERS.items():
        assert answer.keys() == real[call].keys(), call
        nested = {name: value for name, value in answer.items() if isinstance(value, dict)}
        assert {name: value.keys() for name, value in nested.items()} == {
            name: real[call][name].keys() for name in nested
        }
