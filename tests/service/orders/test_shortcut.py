"""The call of programs goes a shorter way than all others, and is answered as they are."""

import json
import uuid
from typing import Any

import httpx
import pytest

from service.api import generations, shortcut
from service.limits import Buckets
from tests.service.conftest import Person, slug_of
from tests.service.market import Market

USUAL = "application/json; charset=utf-8"
"""A type that the shortcut leaves to the framework."""


async def post(client: Person, body: Any, *, key: str | None = None, kind: str = "application/json") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": kind, "Idempotency-Key": key or uuid.uuid4().hex}
    return await client.http.post("/v1/generations", content=content, headers=headers)


def order(market: Market, **fields: Any) -> dict[str, Any]:
    return {"style": market.style_id, "prompt": "a red apple", "seed": 7} | fields


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call that came, whether the shortcut took it."""
    ways: list[bool] = []
    plain_body = shortcut._plain_body

    async def noted(request: Any) -> Any:
        body = await plain_body(request)
        ways.append(body is not None)
        return body

    monkeypatch.setattr(shortcut, "_plain_body", noted)
    return ways


async def test_both_ways_answer_alike(market: Market, taken: list[bool]):
    client, key = await market.client(), uuid.uuid4().hex
    body = order(market, count=2, guidance=7.3, size=[32, 32])

    first = await post(client, body, key=key)
    short, usual = await post(client, body, key=key), await post(client, body, key=key, kind=USUAL)

    assert taken == [True, True, False]
    assert first.status_code == short.status_code == usual.status_code == 201
    assert set(short.headers) == set(usual.headers) == set(first.headers) | {"idempotent-replayed"}
    same = [name for name in short.headers if name not in ("ratelimit", "content-length")]
    assert {name: short.headers[name] for name in same} == {name: usual.headers[name] for name in same}
    moving = {"state", "progress", "eta_s", "started_at", "ended_at", "outputs", "prompt_kept_until"}
    assert left(short, moving) == left(usual, moving) == left(first, moving)
    assert list(short.json()) == list(usual.json())


def left(answer: httpx.Response, without: set[str]) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name not in without}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'"text"',
        b'{"style": "sty_1", "prompt": "x", "count": "many"}',
        b'{"style": "sty_1", "prompt": "x", "unheard_of": 1}',
        b'{"prompt": "x"}',
        b"[" * 100_000,
    ],
)
async def test_what_is_not_valid_is_said_as_ever(market: Market, taken: list[bool], body: bytes):
    client = await market.client(cents=0)

    short, usual = await post(client, body), await post(client, body, kind=USUAL)

    assert not any(taken)
    assert short.status_code == usual.status_code >= 400
    assert short.json() == usual.json()


@pytest.mark.parametrize("fields", [{"prompt": " "}, {"style": "sty_unknown"}, {"count": 99}, {"size": [1, 1]}])
async def test_what_is_refused_is_refused_alike(market: Market, taken: list[bool], fields: dict[str, Any]):
    client, body = await market.client(cents=0), order(market, **fields)

    short, usual = await post(client, body), await post(client, body, kind=USUAL)

    assert taken == [True, False]
    assert short.status_code == usual.status_code >= 400
    assert short.json() == usual.json()


async def test_it_lets_in_whom_the_usual_way_lets_in(market: Market, taken: list[bool]):
    reader = await market.person("client", scopes=("read",))
    body = order(market)

    for person in (reader, market.creator):
        short, usual = await post(person, body), await post(person, body, kind=USUAL)
        assert (short.status_code, slug_of(short)) == (403, "forbidden")
        assert short.json() == usual.json()
    for token in ("Bearer oh_live_none", "Basic abc", "Bearer"):
        headers = {"Authorization": token, "Idempotency-Key": "a"}
        short = await market.stranger.post("/v1/generations", json=body, headers=headers)
        assert (short.status_code, slug_of(short)) == (401, "unauthenticated")
    nobody = await market.stranger.post("/v1/generations", json=body, headers={"Idempotency-Key": "a"})
    assert (nobody.status_code, slug_of(nobody)) == (401, "unauthenticated")
    assert taken == [True, False, True, False, True, True, True, False]


async def test_it_counts_calls(market: Market, taken: list[bool]):
    client, usual = await market.client(cents=0), market.app.state.buckets
    market.app.state.buckets = Buckets(2)
    try:
        answers = [await post(client, order(market)) for _ in range(3)]
    finally:
        market.app.state.buckets = usual

    assert taken == [True] * 3
    assert [slug_of(answer) for answer in answers] == ["payment_required", "payment_required", "rate_limited"]


async def test_a_body_that_is_too_long_is_refused(market: Market, taken: list[bool]):
    client = await market.client(cents=0)
    content = b'{"prompt": "' + b"x" * market.settings.max_image_body_bytes + b'"}'

    answer = await post(client, content)

    assert (answer.status_code, slug_of(answer)) == (413, "payload_too_large")


def test_it_is_documented_as_any_other(market: Market):
    operation = market.app.openapi()["paths"]["/v1/generations"]["post"]

    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/OrderBody"
    }
    assert {one["name"] for one in operation["parameters"]} == {"Idempotency-Key", "prefer"}
    assert "201" in operation["responses"]
    assert operation["summary"] == "Post Generation"
    assert generations.post_generation.__doc__ is not None
