"""How often is counted everywhere: in every call of the API, every form, and every try to sign in."""

from collections.abc import Callable, Iterator

import pytest

from service.limits import Buckets
from tests.service.conftest import Person, Place, browser, connect, sign_in, slug_of

HTML = {"Accept": "text/html"}


@pytest.fixture
def buckets(place: Place) -> Iterator[Callable[..., None]]:
    """Gives the place other buckets until the end of the test."""
    before = dict(place.app.state._state)

    def replace(**chosen: int) -> None:
        for name, per_minute in chosen.items():
            setattr(place.app.state, name, Buckets(per_minute))

    yield replace
    place.app.state._state.update(before)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/styles",
        "/v1/styles/sty_none/works",
        "/v1/earnings",
        "/v1/switch/history",
        "/v1/audit",
        "/v1/trainings/trn_none",
    ],
)
async def test_every_call_of_a_creator_says_how_many_may_follow(creator: Person, path: str):
    answer = await creator.http.get(path)

    assert answer.headers["RateLimit-Policy"] == '"calls";q=1200;w=60'
    assert answer.headers["RateLimit"].startswith('"calls";r=1')


async def test_a_creator_who_calls_too_often_is_told_to_wait(creator: Person, buckets: Callable[..., None]):
    buckets(buckets=2)

    answers = [await creator.http.get("/v1/earnings") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert slug_of(answers[-1]) == "rate_limited"
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_whoever_tries_links_is_stopped_with_a_page(place: Place, buckets: Callable[..., None]):
    buckets(sign_ins=3)

    tries = [
        await place.stranger.post("/sign-in", data={"link": f"guess-{number}"}, headers=HTML) for number in range(4)
    ]

    assert [answer.status_code for answer in tries] == [422, 422, 422, 429]
    assert "text/html" in tries[-1].headers["content-type"]
    assert "tries to sign in" in tries[-1].text
    assert tries[-1].headers["RateLimit"].startswith('"tries to sign in";r=0')


async def test_whoever_tries_tokens_is_stopped_and_who_has_one_is_not(
    place: Place, client: Person, buckets: Callable[..., None]
):
    buckets(sign_ins=3)
    guesser = connect(place.app, "oh_live_" + "x" * 49)

    tries = [await guesser.get("/v1/usage") for _ in range(4)]

    assert [answer.status_code for answer in tries] == [401, 401, 401, 429]
    assert (await client.http.get("/v1/usage")).status_code == 200


async def test_forms_are_counted_for_each_account(
    place: Place, client: Person, creator: Person, buckets: Callable[..., None]
):
    buckets(forms=1)
    session, other = await sign_in(place, client.account), await sign_in(place, creator.account)

    first = await browser(place, session).post("/desk/keys", data={"csrf": session.csrf, "kind": "test"}, headers=HTML)
    second = await browser(place, session).post("/desk/keys", data={"csrf": session.csrf}, headers=HTML)
    elsewhere = await browser(place, other).post("/sign-out", data={"csrf": other.csrf}, headers=HTML)

    assert first.headers["RateLimit"].startswith('"forms";r=0')
    assert (second.status_code, elsewhere.status_code) == (429, 303)
    assert "wait 60 s" in second.text
