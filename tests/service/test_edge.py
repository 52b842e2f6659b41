"""What every answer has in common."""

from urllib.parse import quote

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from service.edge import install_edge
from service.errors import SLUGS
from tests.service.conftest import Person, Place, connect, slug_of


async def test_a_path_that_is_not_there_is_a_problem(place: Place):
    answer = await place.stranger.get("/v1/nothing")

    assert answer.status_code == 404
    assert slug_of(answer) == "not_found"
    assert "/v1/nothing" in answer.json()["detail"]


async def test_a_method_that_is_not_taken_is_a_problem(place: Place):
    answer = await place.stranger.delete("/v1/styles")

    assert answer.status_code == 405
    assert slug_of(answer) == "method_not_allowed"
    assert "GET" in answer.headers["allow"] or "POST" in answer.headers["allow"]


async def test_a_body_of_the_wrong_kind_is_a_problem(creator: Person):
    style = (await creator.http.post("/v1/styles", json={"name": "x", "summary": "x"})).json()["id"]

    answer = await creator.http.post(f"/v1/styles/{style}/works", json={"files": []})

    assert answer.status_code == 415
    assert slug_of(answer) == "unsupported_media_type"


async def test_a_body_that_is_no_json_is_a_problem(creator: Person):
    answer = await creator.http.post("/v1/styles", content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert slug_of(answer) == "invalid_request"


@pytest.mark.parametrize("name", ["Ink\0", "\0"])
async def test_a_character_that_cannot_be_kept_is_a_problem(creator: Person, client: Person, name: str):
    answers = [
        await creator.http.post("/v1/styles", json={"name": name + "x", "summary": "x"}),
        await creator.http.get("/v1/switch/history", params={"style_id": name}),
        await creator.http.get(f"/v1/works/{quote(name)}"),
        await client.http.post("/v1/licences", json={"style": name, "tier": "personal"}),
        await client.http.get(f"/v1/generations/{quote(name)}"),
    ]

    assert {answer.status_code for answer in answers} <= {404, 405, 422}
    assert "NUL" in answers[0].json()["detail"]


async def test_a_body_that_says_it_is_too_long_is_refused_unread(creator: Person):
    answer = await creator.http.post("/v1/styles", content=b"x" * (1024**2 + 1))

    assert answer.status_code == 413
    assert slug_of(answer) == "payload_too_large"


async def test_a_body_that_turns_out_too_long_is_cut_off(creator: Person):
    async def endless():
        for _ in range(40):
            yield b"x" * 65_536

    answer = await creator.http.post("/v1/styles", content=endless())

    assert answer.status_code == 413
    assert slug_of(answer) == "payload_too_large"


async def test_every_answer_carries_the_headers_that_keep_a_page_safe(place: Place):
    for path in ("/healthz", "/v1/nothing", "/openapi.json"):
        headers = (await place.stranger.get(path)).headers

        assert "unsafe" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_health_readiness_and_counters(place: Place):
    await place.stranger.get("/healthz")

    ready = await place.stranger.get("/readyz")
    await place.stranger.get("/v1/styles/none")
    metrics = await place.stranger.get("/metrics")

    assert ready.status_code == 200
    assert 'ownhand_http_requests_total{method="GET",route="/healthz",status="200"}' in metrics.text
    # The answer of the API, and not the page of the same name.
    assert 'ownhand_http_requests_total{method="GET",route="/v1/styles/{style_id}",status="404"}' in metrics.text
    assert 'route="/styles/{style_id}",status="404"' not in metrics.text
    assert "ownhand_executors" in metrics.text


async def test_the_openapi_document_names_what_there_is(place: Place):
    document = (await place.stranger.get("/openapi.json")).json()

    assert {"/v1/styles", "/v1/styles/{style_id}/works", "/v1/styles/{style_id}/switch"} <= document["paths"].keys()
    assert not [path for path in document["paths"] if not path.startswith(("/v1/", "/.well-known/"))]


async def test_a_fault_of_ours_tells_no_insides(place: Place, creator: Person):
    async with place.owner() as conn:
        await conn.execute("ALTER TABLE service.styles RENAME TO styles_away")
    try:
        answer: httpx.Response = await creator.http.post("/v1/styles", json={"name": "x", "summary": "x"})
    finally:
        async with place.owner() as conn:
            await conn.execute("ALTER TABLE service.styles_away RENAME TO styles")

    assert answer.status_code == 500
    assert slug_of(answer) == "internal_error"
    assert "styles_away" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        ConnectionRefusedError(111, "Connection refused"),
    ],
)
async def test_a_database_that_is_gone_is_said_to_be_and_not_called_a_fault(place: Place, error: Exception):
    app = FastAPI()
    install_edge(app, place.settings)

    @app.get("/v1/asks")
    async def asks() -> None:
        raise error

    answer = await connect(app).get("/v1/asks")

    assert answer.status_code == 503
    assert slug_of(answer) == "overloaded"
    assert answer.headers["retry-after"] == "2"


def test_every_problem_has_its_status():
    assert {slug: status for slug, (status, _) in SLUGS.items()} == {
        "unauthenticated": 401,
        "forbidden": 403,
        "style_off": 403,
        "style_not_offered": 403,
        "base_not_for_sale": 403,
        "style_closed": 403,
        "conflict": 409,
        "method_not_allowed": 405,
        "unsupported_media_type": 415,
        "style_paused": 423,
        "style_destroyed": 410,
        "not_found": 404,
        "invalid_request": 422,
        "prompt_refused": 422,
        "image_refused": 422,
        "style_exclusive": 403,
        "terms_not_accepted": 403,
        "payload_too_large": 413,
        "idempotency_conflict": 409,
        "idempotency_mismatch": 422,
        "payment_required": 402,
        "quota_exceeded": 402,
        "spend_cap_reached": 402,
        "rate_limited": 429,
        "gate_not_passed": 409,
        "rights_missing": 409,
        "overloaded": 503,
        "internal_error": 500,
    }
