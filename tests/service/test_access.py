"""Who may do what: tokens, sessions, other people's pages, and what strangers are told."""

from datetime import timedelta

from licensing import keys
from service.retention import prune_sign_ins
from service.sessions import end_all_sessions, find_session, make_link
from tests.service.conftest import Person, Place, browser, connect, make_style, redeem_link, sign_in, slug_of

BODY = {"name": "Ink", "summary": "Loose ink"}


async def test_without_a_token_one_is_told_how_to_get_in(place: Place):
    answer = await place.stranger.post("/v1/styles", json=BODY)

    assert answer.status_code == 401
    assert slug_of(answer) == "unauthenticated"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_token_is_named_even_where_none_is_needed(place: Place):
    answer = await connect(place.app, "oh_creator_nonsense").get("/v1/styles")

    assert slug_of(answer) == "unauthenticated"


async def test_a_revoked_token_is_refused_at_once(place: Place, creator: Person):
    web = place.gateway
    assert (await creator.http.get("/v1/earnings")).status_code == 200

    async with web.pool.acquire() as conn:
        found = await keys.listing(conn, account_id=creator.account.id)
        await keys.revoke(conn, key_id=found[0].id, account_id=creator.account.id, now=web.clock())

    assert slug_of(await creator.http.get("/v1/earnings")) == "unauthenticated"


async def test_a_client_cannot_do_a_creators_work(client: Person):
    answer = await client.http.post("/v1/styles", json=BODY)

    assert answer.status_code == 403
    assert slug_of(answer) == "forbidden"
    assert "client" in answer.json()["detail"]


async def test_a_token_does_only_what_its_scopes_allow(place: Place):
    reader = await place.person("creator", scopes=("read",))

    assert (await reader.http.get("/v1/earnings")).status_code == 200
    assert slug_of(await reader.http.post("/v1/styles", json=BODY)) == "forbidden"


async def test_a_disabled_account_is_shut_out(place: Place, creator: Person):
    session = await sign_in(place, creator.account)
    web = place.gateway

    async with web.pool.acquire() as conn:
        await conn.execute("UPDATE service.accounts SET disabled_at = now() WHERE id = $1", creator.account.id)

        assert await find_session(conn, word=session.word, now=web.clock()) is None
    assert slug_of(await creator.http.get("/v1/earnings")) == "unauthenticated"


async def test_a_sign_in_link_works_once_and_not_for_long(place: Place, creator: Person):
    web, now = place.gateway, place.gateway.clock()
    async with web.pool.acquire() as conn:
        word = await make_link(conn, account_id=creator.account.id, now=now, minutes=60)
        old = await make_link(conn, account_id=creator.account.id, now=now, minutes=60)

        first = await redeem_link(conn, word=word, now=now, days=1)
        second = await redeem_link(conn, word=word, now=now, days=1)
        late = await redeem_link(conn, word=old, now=now + timedelta(minutes=61), days=1)
        guessed = await redeem_link(conn, word="x" * 43, now=now, days=1)

    assert first is not None
    assert first.account.id == creator.account.id
    assert second is late is guessed is None


async def test_the_database_holds_no_word_that_signs_in(place: Place, creator: Person):
    web = place.gateway
    session = await sign_in(place, creator.account)
    async with web.pool.acquire() as conn:
        word = await make_link(conn, account_id=creator.account.id, now=web.clock(), minutes=5)

        rows = await conn.fetch(
            "SELECT digest FROM service.sessions UNION ALL SELECT digest FROM service.sign_in_links"
        )

    stored = b"".join(row["digest"] for row in rows)
    assert session.word.encode() not in stored
    assert word.encode() not in stored


async def test_sessions_can_be_ended_everywhere(place: Place, creator: Person):
    web = place.gateway
    sessions = [await sign_in(place, creator.account) for _ in range(3)]

    async with web.pool.acquire() as conn:
        count = await end_all_sessions(conn, account_id=creator.account.id, now=web.clock())

        assert count == 3
        for session in sessions:
            assert await find_session(conn, word=session.word, now=web.clock()) is None


async def test_a_browser_reads_with_its_cookie_and_changes_only_with_the_csrf_token(place: Place, creator: Person):
    session = await sign_in(place, creator.account)
    http = browser(place, session)

    reading = await http.get("/v1/earnings")
    without = await http.post("/v1/styles", json=BODY)
    wrong = await http.post("/v1/styles", json=BODY, headers={"X-CSRF-Token": "0" * 64})
    right = await http.post("/v1/styles", json=BODY, headers={"X-CSRF-Token": session.csrf})

    assert reading.status_code == 200
    assert slug_of(without) == slug_of(wrong) == "forbidden"
    assert right.status_code == 201


async def test_another_sites_page_changes_nothing_even_with_the_token(place: Place, creator: Person):
    session = await sign_in(place, creator.account)
    http = browser(place, session)
    token = {"X-CSRF-Token": session.csrf}

    foreign = await http.post("/v1/styles", json=BODY, headers={**token, "Origin": "https://evil.example"})
    own = await http.post("/v1/styles", json=BODY, headers={**token, "Origin": "http://127.0.0.1:8000"})

    assert slug_of(foreign) == "forbidden"
    assert "evil.example" in foreign.json()["detail"]
    assert own.status_code == 201


async def test_a_creators_things_are_invisible_to_another(creator: Person, other_creator: Person):
    style_id = await make_style(creator)

    for path in ("works", "review", "trainings", "versions"):
        assert slug_of(await other_creator.http.get(f"/v1/styles/{style_id}/{path}")) == "not_found"
    assert slug_of(await other_creator.http.post(f"/v1/styles/{style_id}/trainings", json={})) == "not_found"


async def test_sign_ins_that_ran_out_are_forgotten_and_others_are_not(place: Place, client: Person):
    web = place.gateway
    async with web.pool.acquire() as conn:
        long_ago, account_id = web.clock() - timedelta(days=9), client.account.id
        old_link = await make_link(conn, account_id=account_id, now=long_ago, minutes=30)
        old = await redeem_link(conn, word=old_link, now=long_ago, days=7)
        new_link = await make_link(conn, account_id=account_id, now=web.clock(), minutes=30)
        assert old is not None

        await prune_sign_ins(web)

        assert await conn.fetchval("SELECT count(*) FROM service.sessions WHERE expires_at < $1", web.clock()) == 0
        assert await conn.fetchval("SELECT count(*) FROM service.sign_in_links WHERE expires_at < $1", web.clock()) == 0
        assert await redeem_link(conn, word=new_link, now=web.clock(), days=7) is not None
