"""A code after the password: set up, asked for, used once, lost and found."""

import asyncio
import base64
import re
from datetime import timedelta

import httpx

from service import desk, totp
from service.sessions import make_link
from tests.service.accounts.conftest import (
    PASSWORD,
    Browser,
    Sit,
    SteadyClock,
    chosen,
    hidden,
    letters_to,
    stranger,
    with_password,
    words,
)
from tests.service.conftest import Person, Place, redeem_link, slug_of

HALF_A_MINUTE = timedelta(seconds=30)


def code_now(secret: bytes, clock: SteadyClock) -> str:
    return totp.code_at(secret, totp.step_of(clock()))


async def set_up(seat: Browser, clock: SteadyClock) -> tuple[bytes, list[str]]:
    """Switch a second factor on; its secret, as an app reads it, and the recovery codes."""
    begun = await seat.send("/account/second-factor/begin")
    text = re.search(r"secret=([A-Z2-7]+)", begun.text)
    assert text, begun.text
    secret = base64.b32decode(text[1])
    assert "<svg" in begun.text
    answer = await seat.send("/account/second-factor/confirm", code=code_now(secret, clock))
    codes = re.findall(r"<li>(\w{4}-\w{4}-\w{4})</li>", answer.text)
    assert len(codes) == 8, answer.text
    # Its first code is used up.
    clock.ahead += HALF_A_MINUTE
    return secret, codes


async def by_password(place: Place, email: str) -> tuple[Browser, httpx.Response]:
    seat = stranger(place)
    return seat, await seat.send("/sign-in/password", email=email, password=PASSWORD, then="/desk/keys")


async def test_after_the_password_comes_a_code(place: Place, client: Person, sit: Sit, clock: SteadyClock):
    secret, _ = await set_up(await with_password(sit, client.account), clock)

    seat, asked = await by_password(place, client.account.email)
    assert (asked.status_code, "One step more" in asked.text) == (200, True)
    assert not await seat.is_in()
    wrong = await seat.send("/sign-in/code", step=hidden(asked, "step"), then=hidden(asked, "then"), code="000000")
    assert (wrong.status_code, "does not fit" in wrong.text) == (422, True)
    right = await seat.send(
        "/sign-in/code", step=hidden(wrong, "step"), then=hidden(wrong, "then"), code=code_now(secret, clock)
    )

    assert (right.status_code, right.headers["location"]) == (303, "/desk/keys")
    assert await seat.is_in()


async def test_a_code_is_taken_once_also_where_it_comes_twice_at_once(
    place: Place, client: Person, sit: Sit, clock: SteadyClock
):
    secret, _ = await set_up(await with_password(sit, client.account), clock)
    steps = [hidden((await by_password(place, client.account.email))[1], "step") for _ in range(4)]
    code = code_now(secret, clock)

    answers = await asyncio.gather(*[stranger(place).send("/sign-in/code", step=one, code=code) for one in steps])
    _, asked = await by_password(place, client.account.email)
    later = await stranger(place).send("/sign-in/code", step=hidden(asked, "step"), code=code)
    clock.ahead += HALF_A_MINUTE
    next_one = await stranger(place).send("/sign-in/code", step=hidden(asked, "step"), code=code_now(secret, clock))

    assert sorted(one.status_code for one in answers).count(303) == 1
    assert later.status_code == 422
    assert next_one.status_code == 303


async def test_the_step_of_a_sign_in_runs_out(place: Place, client: Person, sit: Sit, clock: SteadyClock):
    secret, _ = await set_up(await with_password(sit, client.account), clock)
    seat, asked = await by_password(place, client.account.email)
    clock.ahead += timedelta(minutes=11)

    late = await seat.send("/sign-in/code", step=hidden(asked, "step"), code=code_now(secret, clock))
    made_up = await seat.send("/sign-in/code", step="x" * 43, code=code_now(secret, clock))

    assert [late.status_code, made_up.status_code] == [409, 409]
    assert not await seat.is_in()


async def test_codes_cannot_be_guessed_by_trying(place: Place, client: Person, sit: Sit, clock: SteadyClock):
    secret, _ = await set_up(await with_password(sit, client.account), clock)
    seat, asked = await by_password(place, client.account.email)

    statuses = [
        (await seat.send("/sign-in/code", step=hidden(asked, "step"), code=f"{number:06}")).status_code
        for number in range(6)
    ]
    waits = await seat.send("/sign-in/code", step=hidden(asked, "step"), code=code_now(secret, clock))
    clock.ahead += timedelta(seconds=30)
    right = await seat.send("/sign-in/code", step=hidden(asked, "step"), code=code_now(secret, clock))

    assert statuses == [422] * 5 + [429]
    assert waits.status_code == 429
    assert right.status_code == 303


async def test_a_recovery_code_lets_in_once_and_is_kept_as_a_hash(
    place: Place, client: Person, sit: Sit, clock: SteadyClock
):
    _, codes = await set_up(await with_password(sit, client.account), clock)
    seat, asked = await by_password(place, client.account.email)

    used = await seat.send("/sign-in/code", step=hidden(asked, "step"), code=f" {codes[0].upper()} ")
    _, asked = await by_password(place, client.account.email)
    again = await stranger(place).send("/sign-in/code", step=hidden(asked, "step"), code=codes[0])
    page = await seat.read("/account/second-factor")
    async with place.owner() as conn:
        rows = [
            *await conn.fetch("SELECT * FROM service.recovery_codes"),
            *await conn.fetch("SELECT * FROM service.second_factors"),
        ]

    assert (used.status_code, again.status_code) == (303, 422)
    assert "7 recovery codes left of 8" in words(page)
    assert all(code.replace("-", "") not in str([dict(row) for row in rows]) for code in codes)
    assert codes[1] not in page.text
    assert "A recovery code of your account was used" in [
        one["subject"] for one in await letters_to(place, client.account.email)
    ]


async def test_the_secret_is_kept_encrypted(place: Place, client: Person, sit: Sit, clock: SteadyClock):
    secret, _ = await set_up(await with_password(sit, client.account), clock)

    async with place.owner() as conn:
        kept = await conn.fetchval("SELECT secret FROM service.second_factors WHERE account_id = $1", client.account.id)

    assert base64.urlsafe_b64encode(secret).decode()[:20] not in kept
    assert totp.as_text(secret) not in kept
    assert secret not in base64.urlsafe_b64decode(kept)


async def test_it_is_not_on_before_a_first_code(place: Place, client: Person, sit: Sit):
    seat = await with_password(sit, client.account)
    first = await seat.send("/account/second-factor/begin")
    second = await seat.send("/account/second-factor/begin")
    wrong = await seat.send("/account/second-factor/confirm", code="12345")

    _, entered = await by_password(place, client.account.email)

    assert entered.status_code == 303
    assert wrong.status_code == 422
    # Whoever reloads keeps what the app has.
    of = r"secret=([A-Z2-7]+)"
    assert re.findall(of, first.text) == re.findall(of, second.text) == re.findall(of, wrong.text)


async def test_links_ask_for_a_code_only_where_the_account_wishes(
    place: Place, client: Person, sit: Sit, clock: SteadyClock
):
    seat = await sit(client.account)
    secret, codes = await set_up(seat, clock)

    async def by_link() -> tuple[Browser, httpx.Response]:
        clock.ahead += timedelta(hours=1)
        await stranger(place).send("/sign-in/send", email=client.account.email)
        letter = [one for one in await letters_to(place, client.account.email) if one["kind"] == "sign_in.link"][-1]
        other = stranger(place)
        return other, await other.send("/sign-in", link=letter["link"].partition("link=")[2])

    _, before = await by_link()
    refused = await seat.send("/account/second-factor/links", at_links="yes", code="000000")
    wished = await seat.send("/account/second-factor/links", at_links="yes", code=code_now(secret, clock))
    other, after = await by_link()
    assert not await other.is_in()
    entered = await other.send("/sign-in/code", step=hidden(after, "step"), code=codes[0])

    assert (before.status_code, refused.status_code, wished.status_code) == (303, 422, 303)
    assert (after.status_code, entered.status_code) == (200, 303)
    assert await other.is_in()


async def test_it_goes_off_by_a_code_alone(place: Place, client: Person, sit: Sit, clock: SteadyClock):
    seat = await with_password(sit, client.account)
    secret, codes = await set_up(seat, clock)

    without = await seat.send("/account/second-factor/off", code="")
    renewed = await seat.send("/account/second-factor/codes", code=codes[0])
    old = await seat.send("/account/second-factor/off", code=codes[1])
    off = await seat.send("/account/second-factor/off", code=code_now(secret, clock))

    assert [one.status_code for one in (without, renewed, old, off)] == [422, 200, 422, 303]
    assert (await by_password(place, client.account.email))[1].status_code == 303


async def test_an_operator_lets_in_whoever_lost_everything(place: Place, client: Person, sit: Sit, clock: SteadyClock):
    seat = await with_password(sit, client.account)
    await set_up(seat, clock)
    async with place.gateway.house() as conn:
        link = await desk.reset_sign_in(conn, place.settings, email=client.account.email, now=clock())
        session = await redeem_link(conn, word=link.partition("link=")[2], now=clock(), days=1)

    assert session is not None
    assert not session.has_second_factor
    assert not await seat.is_in()
    assert (await by_password(place, client.account.email))[1].status_code == 422
    subjects = [one["subject"] for one in await letters_to(place, client.account.email)]
    assert subjects[-1] == "Your second factor was switched off"


async def test_where_operators_need_one_the_office_opens_with_it(place: Place, clock: SteadyClock, sit: Sit):
    operator, creator = await place.person("operator"), await place.person("creator")
    seat = await sit(operator.account)
    with chosen(place, operators_need_second_factor=True):
        office = await seat.read("/office")
        sent = await seat.send("/office/invitations", role="creator", email="invited@example.org")
        called = await seat.http.get("/v1/refunds")
        page = await seat.read("/account/second-factor")
        studio = await (await sit(creator.account)).read("/studio")

        assert (office.status_code, office.headers["location"]) == (303, "/account/second-factor")
        assert (sent.status_code, slug_of(called), studio.status_code) == (303, "forbidden", 200)
        assert "Operators need a second factor here" in page.text

        _, codes = await set_up(seat, clock)
        async with place.gateway.house() as conn:
            word = await make_link(conn, account_id=operator.account.id, now=clock(), minutes=5)
        other = stranger(place)
        asked = await other.send("/sign-in", link=word)
        entered = await other.send("/sign-in/code", step=hidden(asked, "step"), code=codes[0])

        assert (await seat.read("/office")).status_code == 200
        assert "One step more" in asked.text
        assert entered.status_code == 303


async def test_an_operator_is_advised_to_have_one(place: Place, sit: Sit, client: Person):
    operator = await place.person("operator")

    assert "This account runs the place. Set up a second factor" in words(
        await (await sit(operator.account)).read("/account")
    )
    assert "This account runs the place" not in words(await (await sit(client.account)).read("/account"))


async def test_an_erasure_leaves_nothing_that_proved_who_somebody_was(
    place: Place, client: Person, sit: Sit, clock: SteadyClock
):
    seat = await with_password(sit, client.account)
    await set_up(seat, clock)
    await by_password(place, client.account.email)
    tables = ("passwords", "second_factors", "recovery_codes", "sign_in_steps", "sessions", "sign_in_links", "letters")

    async def rows() -> dict[str, int]:
        async with place.owner() as conn:
            of = "SELECT count(*) FROM service.{} WHERE account_id = $1"
            return {name: await conn.fetchval(of.format(name), client.account.id) for name in tables}

    before = await rows()
    left = await seat.send("/account/erase", confirm=client.account.email, give_up="yes")

    assert left.status_code == 303
    assert min(before[name] for name in tables if name != "sign_in_links") > 0
    assert await rows() == dict.fromkeys(tables, 0)
