"""Into a team: by a link that works once, for one address, and only as long as it should."""

import asyncio
from datetime import timedelta

import pytest

from service import teams
from service.errors import Problem
from service.ids import new_id
from service.retention import prune_sign_ins
from tests.service.accounts.conftest import (
    PASSWORD,
    SteadyClock,
    chosen,
    hidden,
    letters_to,
    stranger,
    words,
)
from tests.service.conftest import Person, Place, connect, slug_of
from tests.service.teams.conftest import acting, invite, member_of, sit


def new_address() -> str:
    return f"{new_id('ada')}@example.org"


async def members(place: Place, client: Person) -> list[str]:
    async with place.gateway.house() as conn:
        return [one.email for one in await teams.list_members(conn, client.account.id)]


async def accept(place: Place, word: str, person: Person) -> teams.Opened:
    web = place.gateway
    return await teams.accept(web, word, person=person.account, via="", now=web.clock())


async def refusal(place: Place, word: str, person: Person) -> str:
    with pytest.raises(Problem) as refused:
        await accept(place, word, person)
    return str(refused.value.detail)


async def test_the_owner_invites_and_a_stranger_makes_an_account_by_the_letter_and_acts(place: Place, client: Person):
    owner, email = await sit(place, client), new_address()

    asked = await owner.send("/desk/team/invitations", email=email, level="pays")
    (letter,) = await letters_to(place, email)
    seat = stranger(place)
    page = await seat.read(letter["link"])
    sent = {name: hidden(page, name) for name in ("word", "terms")} | {"name": "Ada", "password": PASSWORD}
    made = await seat.send("/team/join/account", **sent)

    assert f"{email} is invited" in words(asked)
    assert "word=" not in asked.text, "the letter alone has the link, so it proves the address"
    assert f"{client.account.name} asks you into its team" in words(page)
    assert "Sees and does what is about money" in words(page)
    assert (made.status_code, made.headers["location"]) == (303, "/desk")
    desk = words(await seat.read("/desk"))
    assert f"You act for {client.account.name} , as: Pays." in desk
    member = await member_of(place, client.account)
    assert (member.email, member.name, member.level) == (email, "Ada", "pays")
    shown = words(await owner.read("/desk/team"))
    assert "Ada" in shown
    assert "Who is invited" not in shown
    assert "Ada is in your team now" in [one["subject"] for one in await letters_to(place, client.account.email)]
    by_password = await stranger(place).send("/sign-in/password", email=email, password=PASSWORD)
    assert by_password.status_code == 303


async def test_opening_the_link_joins_nothing(place: Place, client: Person):
    person = await place.person("client")
    word = await invite(place, client.account, person.account.email)
    seat = await sit(place, person)

    shown = await seat.read(f"/team/join?word={word}")

    assert "Accept, and act for" in words(shown)
    assert await members(place, client) == []


async def test_a_link_that_was_used_withdrawn_or_is_too_old_lets_nobody_in(
    place: Place, client: Person, clock: SteadyClock
):
    person, owner = await place.person("client"), await sit(place, client)
    email = person.account.email
    used = await invite(place, client.account, email)
    await accept(place, used, person)
    member = await member_of(place, client.account)
    await owner.send(f"/desk/team/members/{member.id}/end")
    withdrawn = await invite(place, client.account, email)
    (waiting,) = (await owner.call("GET", "/v1/team")).json()["invitations"]
    taken_back = await owner.send(f"/desk/team/invitations/{waiting['id']}/withdraw")
    late = await invite(place, client.account, email)
    clock.ahead += timedelta(days=7, minutes=1)

    said = [await refusal(place, word, person) for word in (used, withdrawn, late, "never-was")]
    shown = [await stranger(place).read(f"/team/join?word={word}") for word in (used, withdrawn, late)]

    assert taken_back.status_code == 303
    assert {one.partition(";")[0] for one in said} == {"This invitation was used, was withdrawn or is too old"}
    assert {one.status_code for one in shown} == {422}
    assert await members(place, client) == []
    clock.ahead += timedelta(days=1)
    await prune_sign_ins(place.gateway)
    async with place.owner() as conn:
        left = await conn.fetchval("SELECT count(*) FROM service.team_invitations WHERE email = $1", email)
    assert left == 0


async def test_a_link_is_for_its_address_and_whoever_has_another_is_told(place: Place, client: Person):
    person, other = await place.person("client"), await place.person("client")
    word = await invite(place, client.account, person.account.email)
    seat = await sit(place, other)

    shown = await seat.read(f"/team/join?word={word}")
    sent = await seat.send("/team/join", word=word)

    told = f"You are signed in as {other.account.email}, and this invitation is for {person.account.email}."
    assert told in words(shown)
    assert "Accept" not in words(shown)
    assert sent.status_code == 403
    assert f"ask {client.account.name} for an invitation to {other.account.email}" in words(sent)
    assert await members(place, client) == []


async def test_two_acceptances_at_once_make_one_membership(place: Place, client: Person):
    person = await place.person("client")
    word = await invite(place, client.account, person.account.email)

    answers = await asyncio.gather(*(accept(place, word, person) for _ in range(4)), return_exceptions=True)

    assert sum(isinstance(one, teams.Opened) for one in answers) == 1
    assert all(isinstance(one, teams.Opened | Problem) for one in answers), answers
    assert await members(place, client) == [person.account.email]


async def test_two_accounts_at_once_are_one_account_and_one_membership(place: Place, client: Person):
    email = new_address()
    word, web = await invite(place, client.account, email), place.gateway

    answers = await asyncio.gather(
        *(
            teams.accept_anew(web, word, name=name, password="", terms_version=web.ownership.version, now=web.clock())
            for name in ("Ada", "Eve")
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(one, tuple) for one in answers) == 1, answers
    assert await members(place, client) == [email]


async def test_without_e_mail_the_link_is_shown_once_and_proves_no_address(place: Place, client: Person):
    owner, email = await sit(place, client), new_address()
    with chosen(place, smtp_url=None, mail_from=""):
        asked = await owner.send("/desk/team/invitations", email=email, level="makes")
    word = asked.text.partition("/team/join?word=")[2].partition("<")[0]
    version = str(place.gateway.ownership.version)

    page = await stranger(place).read(f"/team/join?word={word}")
    made = await stranger(place).send("/team/join/account", word=word, terms=version, name="Ada", password=PASSWORD)

    assert "pass this link on yourself" in words(asked)
    assert word
    assert word not in (await owner.read("/desk/team")).text
    assert "Make my account" not in words(page)
    assert made.status_code == 403
    assert "it does not show that" in words(made)
    async with place.owner() as conn:
        assert not await conn.fetchval("SELECT EXISTS (SELECT FROM service.accounts WHERE email = $1)", email)
    person = await place.person("client", email=email)
    assert (await accept(place, word, person)).client_id == client.account.id


async def test_what_cannot_be_invited_is_said(place: Place, client: Person, monkeypatch: pytest.MonkeyPatch):
    owner, person = await sit(place, client), await place.person("client")
    waiting = new_address()
    await accept(place, await invite(place, client.account, person.account.email), person)
    await invite(place, client.account, waiting)
    wrong = {
        client.account.email: "is your own address",
        person.account.email: "is in your team already",
        waiting: "is invited already",
        "nowhere": "is no e-mail address",
    }

    for email, sentence in wrong.items():
        answer = await owner.send("/desk/team/invitations", email=email, level="makes")
        assert answer.status_code in (409, 422), email
        assert sentence in words(answer)
        assert f'value="{email}"' in answer.text, "what was typed is kept"
    unknown = await owner.send("/desk/team/invitations", email=new_address(), level="owns")
    assert unknown.status_code == 422
    monkeypatch.setattr(teams, "OPEN_MAX", 1)
    many = await owner.send("/desk/team/invitations", email=new_address(), level="makes")
    monkeypatch.setattr(teams, "OPEN_MAX", 20)
    monkeypatch.setattr(teams, "MEMBERS_MAX", 1)
    full = await owner.send("/desk/team/invitations", email=new_address(), level="makes")
    assert "1 invitations are open, and 1 are the most" in words(many)
    assert f"1 people are in the team of {client.account.name}, and 1 are the most" in words(full)


async def test_a_team_that_is_full_by_now_takes_nobody_in(
    place: Place, client: Person, monkeypatch: pytest.MonkeyPatch
):
    first, second = await place.person("client"), await place.person("client")
    both = [await invite(place, client.account, one.account.email) for one in (first, second)]
    monkeypatch.setattr(teams, "MEMBERS_MAX", 1)
    await accept(place, both[0], first)

    said = await refusal(place, both[1], second)

    assert "1 are the most" in said
    monkeypatch.setattr(teams, "MEMBERS_MAX", 50)
    assert await accept(place, both[1], second), "the link is not used up by what was refused"


async def test_an_operator_joins_no_team(place: Place, client: Person, operator: Person):
    word = await invite(place, client.account, operator.account.email)

    assert "An operator's account joins no team" in await refusal(place, word, operator)


async def test_a_creator_may_act_for_a_client(place: Place, client: Person, creator: Person):
    seat = await acting(place, client, "makes", person=creator)

    assert (await seat.read("/desk")).status_code == 200
    refused = await seat.read("/studio")
    assert refused.status_code == 403
    assert "This is no part of what is done for" in words(refused)
    back = await seat.send("/account/acting", client="")
    assert back.headers["location"] == "/studio"
    assert (await seat.read("/studio")).status_code == 200


async def test_a_program_that_may_do_a_part_lets_nobody_in(place: Place, client: Person):
    body = {"email": new_address(), "level": "manages"}
    part = connect(place.app, (await place.person("client", scopes=("read", "generate"))).token)

    refused = await part.post("/v1/team/invitations", json=body)
    made = await client.http.post("/v1/team/invitations", json=body)

    assert slug_of(refused) == "forbidden"
    assert made.status_code == 201, made.text
    assert made.json()["url"] is None, "the letter has it"


async def test_the_api_does_what_the_page_does(place: Place, client: Person):
    seat = await acting(place, client, "makes")
    member = (await client.http.get("/v1/team")).json()["members"][0]

    changed = await client.http.patch(f"/v1/team/members/{member['id']}", json={"level": "manages"})
    after = (await client.http.get("/v1/team")).json()["members"][0]
    reached = await seat.read("/desk/keys")
    ended = await client.http.delete(f"/v1/team/members/{member['id']}")
    again = await client.http.delete(f"/v1/team/members/{member['id']}")

    assert [one.status_code for one in (changed, reached, ended, again)] == [204, 200, 204, 404]
    assert (member["level"], after["level"]) == ("makes", "manages")
    assert (await client.http.get("/v1/team")).json()["members"] == []


async def test_whoever_was_ended_may_be_invited_again(place: Place, client: Person):
    person = await place.person("client")
    seat = await acting(place, client, "makes", person=person)
    member = await member_of(place, client.account)
    await client.http.delete(f"/v1/team/members/{member.id}")

    again = await acting(place, client, "pays", person=person)

    assert (await again.read("/desk/money")).status_code == 200
    assert (await seat.read("/desk/money")).status_code == 200, "the other browser was switched to it before"
    assert [one["subject"] for one in await letters_to(place, person.account.email)].count(
        f"You do not act for {client.account.name} any more"
    ) == 1


async def test_a_signed_in_stranger_comes_back_to_the_invitation(place: Place, client: Person):
    person = await place.person("client")
    word = await invite(place, client.account, person.account.email)

    page = await stranger(place).read(f"/team/join?word={word}")

    assert f"/sign-in?then=/team/join%3Fword%3D{word}" in page.text
