"""Signing in by a password and by a link that one asks for, and the sessions that come of it."""

import asyncio
import statistics
import time
from datetime import timedelta

import httpx

from tests.service.accounts.conftest import (
    PASSWORD,
    Browser,
    Sit,
    SteadyClock,
    letters_to,
    stranger,
    with_password,
    words,
)
from tests.service.conftest import Person, Place


async def try_password(place: Place, email: str, password: str) -> tuple[Browser, httpx.Response]:
    seat = stranger(place)
    return seat, await seat.send("/sign-in/password", email=email, password=password)


async def test_an_account_has_no_password_until_its_owner_sets_one(place: Place, client: Person):
    for guess in ("", "password", client.account.email, client.account.name, "ownhand"):
        seat, answer = await try_password(place, client.account.email, guess)

        assert answer.status_code in (422, 429)
        assert not await seat.is_in()


async def test_a_password_signs_in_and_leads_to_what_was_wanted(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)

    seat = stranger(place)
    address = client.account.email.upper()
    answer = await seat.send("/sign-in/password", email=address, password=PASSWORD, then="/desk/keys")

    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/keys")
    assert await seat.is_in()
    _, abroad = await try_password(place, client.account.email, PASSWORD)
    assert abroad.headers["location"] == "/desk"


async def test_a_wrong_password_and_an_unknown_address_are_told_the_same(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)
    bare = await place.person("client")
    answers = {}
    for email in (client.account.email, bare.account.email, "nobody.at.all@example.org"):
        _, answer = await try_password(place, email, "seven blue kettles")
        answers[email] = (answer.status_code, words(answer).replace(email, "…"), sorted(answer.headers))

    assert len({str(one) for one in answers.values()}) == 1
    assert "No account here goes by …" in words(answer).replace(email, "…")


async def test_saying_no_takes_as_long_where_there_is_no_account(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)
    took: dict[str, list[float]] = {"there": [], "not": []}
    for round_ in range(4):
        for which, email in (("there", client.account.email), ("not", f"nobody{round_}@example.org")):
            began = time.perf_counter()
            _, answer = await try_password(place, email, "seven blue kettles")
            took[which].append(time.perf_counter() - began)
            assert answer.status_code == 422

    # Without the work for a password that is not there, it is less than a quarter.
    assert statistics.median(took["not"]) > 0.5 * statistics.median(took["there"])


async def test_tries_wait_longer_and_longer_and_never_for_good(
    place: Place, client: Person, sit: Sit, clock: SteadyClock
):
    await with_password(sit, client.account)
    email = client.account.email
    for address in (email, "never.seen@example.org"):
        for _ in range(5):
            _, answer = await try_password(place, address, "seven blue kettles")
            assert answer.status_code == 422

        _, waits = await try_password(place, address, PASSWORD)

        assert waits.status_code == 429
        assert "Passwords were tried with this address 5 times; the next one waits" in words(waits)

    clock.ahead += timedelta(seconds=2)
    _, again = await try_password(place, email, "seven blue kettles")
    _, longer = await try_password(place, email, PASSWORD)
    clock.ahead += timedelta(minutes=15)
    seat, late = await try_password(place, email, PASSWORD)
    _, afterwards = await try_password(place, email, "seven blue kettles")

    assert (again.status_code, longer.status_code, late.status_code) == (422, 429, 303)
    assert await seat.is_in()
    # The count began anew.
    assert afterwards.status_code == 422


async def test_many_tries_at_once_are_no_way_around_the_wait(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)

    tries = [try_password(place, client.account.email, f"seven kettles no {number}") for number in range(12)]
    statuses = sorted(answer.status_code for _, answer in await asyncio.gather(*tries))

    assert statuses == [422] * 5 + [429] * 7


async def test_the_database_holds_no_password(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)

    async with place.owner() as conn:
        row = await conn.fetchrow("SELECT * FROM service.passwords WHERE account_id = $1", client.account.id)

    assert row is not None
    assert PASSWORD not in str(dict(row))


async def test_a_change_needs_the_old_password_and_ends_the_other_sessions(
    place: Place, client: Person, sit: Sit, clock: SteadyClock
):
    seat, other = await with_password(sit, client.account), await sit(client.account)
    clock.ahead += timedelta(minutes=16)

    without = await seat.send("/account/password", new="eight red teapots")
    wrong = await seat.send("/account/password", old="seven blue kettles", new="eight red teapots")
    weak = await seat.send("/account/password", old=PASSWORD, new="password123")
    assert await other.is_in()
    right = await seat.send("/account/password", old=PASSWORD, new="eight red teapots")

    assert [one.status_code for one in (without, wrong, weak, right)] == [422, 422, 422, 303]
    assert "The old password does not fit" in words(wrong)
    assert await seat.is_in()
    assert not await other.is_in()
    assert (await try_password(place, client.account.email, PASSWORD))[1].status_code == 422
    assert (await try_password(place, client.account.email, "eight red teapots"))[1].status_code == 303
    subjects = [one["subject"] for one in await letters_to(place, client.account.email)]
    assert subjects == ["Your password was set", "Your password was changed"]


async def test_right_after_a_link_a_forgotten_password_is_not_asked_for(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)

    by_link = await sit(client.account)
    by_password, entered = await try_password(place, client.account.email, PASSWORD)
    page = await by_password.read("/account")

    assert (await by_link.send("/account/password", new="eight red teapots")).status_code == 303
    assert entered.status_code == 303
    assert "The password until now" in page.text


async def test_a_link_comes_to_the_address_of_an_account_and_to_no_other(place: Place, client: Person):
    answers = []
    for email in (client.account.email, "unknown@example.org"):
        answer = await stranger(place).send("/sign-in/send", email=email)
        answers.append((answer.status_code, words(answer).replace(email, "…")))
    (letter,) = await letters_to(place, client.account.email)
    seat = stranger(place)
    shown = await seat.read(letter["link"])
    entered = await seat.send("/sign-in", link=letter["link"].partition("link=")[2])

    assert answers[0] == answers[1]
    assert "If an account goes by …, a link is on its way there." in answers[0][1]
    assert await letters_to(place, "unknown@example.org") == []
    assert letter["kind"] == "sign_in.link"
    assert "Your link is ready" in shown.text
    assert entered.status_code == 303
    assert await seat.is_in()
    again = await stranger(place).send("/sign-in", link=letter["link"].partition("link=")[2])
    assert again.status_code == 422


async def test_nobodys_mailbox_is_filled_with_links(place: Place, client: Person):
    statuses = [(await stranger(place).send("/sign-in/send", email=client.account.email)).status_code for _ in range(5)]

    assert statuses == [200, 200, 200, 429, 429]
    assert len(await letters_to(place, client.account.email)) == 3


async def test_sessions_are_listed_with_their_device_and_ended_one_by_one(place: Place, client: Person, sit: Sit):
    first = await with_password(sit, client.account)
    second, _ = await try_password(place, client.account.email, PASSWORD)
    await try_password(place, client.account.email, PASSWORD)

    page = await second.read("/account")
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    listed = (await second.http.get("/v1/sessions")).json()["items"]
    (this,) = [one for one in listed if one["is_this"]]
    old = listed[-1]

    assert [one["device"] for one in listed] == ["Firefox on Linux", "Firefox on Linux", ""]
    assert [one["way"] for one in listed] == ["password", "password", "link"]
    assert words(page).count("Firefox on Linux") == 2
    assert words(page).count("This one") == 1
    ended = await second.send(f"/account/sessions/{old['id']}/end", csrf=csrf)
    assert ended.status_code == 303
    assert not await first.is_in()
    others = await second.send("/account/sessions/end-others", csrf=csrf)
    assert others.status_code == 303
    left = (await second.http.get("/v1/sessions")).json()["items"]
    assert [one["id"] for one in left] == [this["id"]]
    out = await second.send(f"/account/sessions/{this['id']}/end", csrf=csrf)
    assert out.headers["location"] == "/"
    assert not await second.is_in()


async def test_anothers_session_is_ended_by_nobody(place: Place, client: Person, sit: Sit):
    other = await place.person("client")
    seat, theirs = await sit(client.account), await sit(other.account)
    (session,) = (await other.http.get("/v1/sessions")).json()["items"]

    answer = await seat.send(f"/account/sessions/{session['id']}/end")
    called = await client.http.delete(f"/v1/sessions/{session['id']}")

    assert (answer.status_code, called.status_code) == (404, 404)
    assert await theirs.is_in()


async def test_a_program_signs_every_browser_out(client: Person, sit: Sit):
    seats = [await sit(client.account) for _ in range(2)]

    answer = await client.http.delete("/v1/sessions")

    assert answer.json() == {"ended": 2}
    assert [await seat.is_in() for seat in seats] == [False, False]
    assert (await client.http.get("/v1/sessions")).json() == {"items": [], "next_cursor": None}


async def test_the_record_says_how_somebody_came_in(place: Place, client: Person, sit: Sit):
    await with_password(sit, client.account)
    await try_password(place, client.account.email, PASSWORD)

    told = [one["sentence"] for one in (await client.http.get("/v1/audit")).json()["items"]]

    assert "Somebody signed in to your account with a password." in told
    assert "Somebody signed in to your account with a link." in told
    assert "The password of your account was set; its other sessions were ended." in told
