"""Acting for a client: looked at with every request, ended within it, and never mixed with what is one's own."""

from typing import Any

import pytest

from licensing.tenancy import HOUSE
from service.areas import LEVELS
from service.auth import Identity, identity_of, is_let_in
from service.db.tenancy import acting_for
from service.letters import Letter, write_letter
from service.sessions import find_session
from tests.service.accounts.conftest import letters_to, words
from tests.service.conftest import Person, Place, slug_of
from tests.service.teams.conftest import Seat, acting, as_now, end, invite, member_of, sit

ENDED = "You do not act for this client any more"


async def identity(place: Place, seat: Seat) -> Identity:
    async with place.gateway.house() as conn:
        session = await find_session(conn, word=seat.session.word, now=place.gateway.clock())
    assert session is not None
    return identity_of(session)


async def test_an_ended_membership_refuses_the_very_next_request_and_nothing_is_done_in_ones_own_name(
    place: Place, client: Person
):
    seat = await acting(place, client, "manages")
    assert (await seat.read("/desk/keys")).status_code == 200
    owner = await sit(place, client)
    member = await member_of(place, client.account)

    ended = await owner.send(f"/desk/team/members/{member.id}/end")
    page, made = await seat.read("/desk"), await seat.send("/desk/keys", kind="test", **{"scope-read": "yes"})
    call = await seat.call("POST", "/v1/quotes", {"style": "any", "prompt": "an apple"})

    assert ended.status_code == 303
    assert {page.status_code, made.status_code, call.status_code} == {403}
    assert slug_of(call) == "forbidden"
    for answer in (page, made):
        assert ENDED in words(answer)
        assert "Act for myself" in words(answer)
    async with place.owner() as conn:
        keys = await conn.fetch(
            "SELECT account_id FROM licensing.api_key WHERE account_id = ANY($1::text[])",
            [client.account.id, seat.person.account.id],
        )
    assert len(keys) == 2, "each has the one of before"
    assert f"You do not act for {client.account.name} any more" in [
        one["subject"] for one in await letters_to(place, seat.person.account.email)
    ]


async def test_who_acts_for_nobody_any_more_goes_on_in_their_own_name_with_one_press(place: Place, client: Person):
    seat = await acting(place, client, "makes")
    await end(place, client.account)
    assert (await seat.read("/account")).status_code == 200
    assert (await seat.read("/")).status_code == 200

    back = await seat.send("/account/acting", client="")

    assert (back.status_code, back.headers["location"]) == (303, "/desk")
    desk = await seat.read("/desk")
    assert desk.status_code == 200
    assert "Act for" not in words(desk)


async def test_a_member_leaves_alone_and_its_client_is_told(place: Place, client: Person):
    seat = await acting(place, client, "makes")
    assert f"Yes, leave the team of {client.account.name}" in words(await seat.read("/account"))

    left = await seat.send("/account/teams/leave", client=client.account.id)
    again = await (await as_now(place, seat)).send("/account/teams/leave", client=client.account.id)

    assert (left.status_code, left.headers["location"]) == (303, "/account?done=left#teams")
    assert again.status_code == 404
    assert "Act for" not in words(await seat.read("/desk")), "it goes on in the person's own name"
    assert (await client.http.get("/v1/team")).json()["members"] == []
    (told,) = [one for one in await letters_to(place, client.account.email) if "has left" in one["subject"]]
    assert told["subject"] == f"{seat.person.account.name} has left your team"
    async with place.owner() as conn:
        kept = "SELECT count(*) FROM service.audit WHERE account_id = $1 AND kind = 'member_left'"
        assert await conn.fetchval(kept, client.account.id) == 1


async def test_nobody_leaves_a_team_for_another(place: Place, client: Person):
    await acting(place, client, "makes")
    other = await sit(place, await place.person("client"))

    answer = await other.send("/account/teams/leave", client=client.account.id)

    assert answer.status_code == 404
    assert len((await client.http.get("/v1/team")).json()["members"]) == 1


async def test_a_member_is_told_of_another_level(place: Place, client: Person):
    seat, owner = await acting(place, client, "makes"), await sit(place, client)
    member = await member_of(place, client.account)

    await owner.send(f"/desk/team/members/{member.id}/level", level="pays")

    (told,) = [one for one in await letters_to(place, seat.person.account.email) if "was changed" in one["subject"]]
    assert told["subject"] == f"What you may do for {client.account.name} was changed"


async def test_a_stream_is_let_in_no_longer_than_the_membership_and_its_level_hold(place: Place, client: Person):
    seat, web = await acting(place, client, "makes"), place.gateway
    asker = await identity(place, seat)
    assert await is_let_in(web, asker)

    with acting_for(client.account.id):
        assert await is_let_in(web, asker), "as in a request, which acts for the client"
    member = await member_of(place, client.account)
    await client.http.patch(f"/v1/team/members/{member.id}", json={"level": "pays"})
    assert not await is_let_in(web, asker)
    asker = await identity(place, seat)
    assert await is_let_in(web, asker)
    await end(place, client.account)
    assert not await is_let_in(web, asker)


async def test_ones_own_streams_go_on_whoever_one_acts_for(place: Place, client: Person):
    person = await place.person("creator")
    seat = await sit(place, person)
    own = await identity(place, seat)

    await seat.send("/team/join", word=await invite(place, client.account, person.account.email))

    assert await is_let_in(place.gateway, own)
    acts = await identity(place, seat)
    await (await as_now(place, seat)).send("/account/acting", client="")
    assert not await is_let_in(place.gateway, acts), "what was read for the client is not one's own"


async def test_a_disabled_client_is_acted_for_by_nobody(place: Place, client: Person):
    seat = await acting(place, client, "manages")

    async with place.owner() as conn:
        await conn.execute("UPDATE service.accounts SET disabled_at = now() WHERE id = $1", client.account.id)

    assert ENDED in words(await seat.read("/desk"))
    assert (await seat.read("/account")).status_code == 200


async def test_what_is_personal_is_the_persons_own(place: Place, client: Person):
    seat = await acting(place, client, "manages")
    person = seat.person.account
    letter = Letter(kind="account.changed", account_id=person.id, subject="For Ada alone", words="w", path="/account")
    async with place.gateway.house() as conn:
        await write_letter(conn, letter, now=place.gateway.clock())

    account, inbox = await seat.read("/account"), await seat.read("/inbox")
    own = (await seat.call("GET", "/v1/account")).json()
    sessions = (await seat.call("GET", "/v1/sessions")).json()["items"]
    desk = await seat.read("/desk")

    assert person.email in account.text
    assert client.account.email not in account.text
    assert "What is on this page is your own." in words(account)
    assert "For Ada alone" in inbox.text
    assert own["id"] == person.id
    assert own["teams"] == [{"client": client.account.id, "name": client.account.name, "level": "manages"}]
    assert [one["id"] for one in sessions] == [seat.session.mark]
    assert "Inbox (1)" in words(desk), "the head of every page counts one's own letters"
    assert client.account.email not in desk.text


@pytest.mark.parametrize("level", LEVELS)
async def test_a_member_neither_invites_nor_raises_themselves_nor_closes_the_account(
    place: Place, client: Person, level: Any
):
    seat = await acting(place, client, level)
    member = await member_of(place, client.account)

    refused = [
        await seat.read("/desk/team"),
        await seat.send("/desk/team/invitations", email="eve@example.org", level="manages"),
        await seat.send(f"/desk/team/members/{member.id}/level", level="manages"),
        await seat.call("GET", "/v1/team"),
        await seat.call("POST", "/v1/team/invitations", {"email": "eve@example.org", "level": "manages"}),
        await seat.call("PATCH", f"/v1/team/members/{member.id}", {"level": "manages"}),
        await seat.call("DELETE", f"/v1/team/members/{member.id}"),
    ]
    closed = await seat.call("DELETE", "/v1/account", {"confirm": client.account.email})
    own = await seat.send("/account/acting", client="")
    as_self = await (await as_now(place, seat)).send(f"/desk/team/members/{member.id}/level", level="manages")

    assert {one.status_code for one in refused} == {403}
    assert closed.status_code == 422, "it is the person's own account that would be closed"
    assert own.status_code == 303
    assert as_self.status_code == 404, "in their own team there is no such member"
    assert (await member_of(place, client.account)).level == level


async def test_nobody_acts_for_a_client_whose_team_they_are_not_in(place: Place, client: Person):
    other, seat = await place.person("client"), await acting(place, client, "manages")

    refused = await seat.send("/account/acting", client=other.account.id)
    made_up = await seat.send("/account/acting", client="acc_" + "0" * 26)

    assert (refused.status_code, made_up.status_code) == (403, 403)
    assert words(refused) == words(made_up)
    assert f"You act for {client.account.name}" in words(await seat.read("/desk"))


async def test_a_page_of_before_a_switch_does_nothing_for_another(place: Place, client: Person):
    seat = await acting(place, client, "manages")
    await seat.send("/account/acting", client="")
    form = {"kind": "test", "scope-read": "yes"}

    stale = await seat.send("/desk/keys", **form)
    fresh = await (await as_now(place, seat)).send("/desk/keys", **form)
    back = await seat.send("/account/acting", client=client.account.id)
    own = await seat.send("/language", language="en", then="/")

    assert stale.status_code == 403
    assert "out of date" in words(stale)
    assert fresh.status_code == 200
    assert (back.status_code, own.status_code) == (303, 303), "what is one's own may come from any of one's pages"


async def test_the_record_names_the_person(place: Place, client: Person):
    seat = await acting(place, client, "manages")
    made = await seat.send("/desk/keys", kind="live", cap="5.00", **{"scope-read": "yes"})
    key_id = made.text.partition("/desk/keys/")[2].partition("/")[0]

    changed = await seat.send(f"/desk/keys/{key_id}/cap", cap="6.00")

    assert changed.status_code == 303, changed.text
    lines = (await client.http.get("/v1/audit")).json()["items"]
    line = next(one for one in lines if one["what"] == "key_cap_changed")
    person = seat.person.account
    assert line["person"] == {"id": person.id, "name": person.name}
    assert line["who"]["session"] == seat.session.mark
    made_by = next(one for one in lines if one["what"] == "key_made_by_member")
    assert (made_by["subject"], made_by["person"]["id"]) == (key_id, person.id)
    joined = next(one for one in lines if one["what"] == "member_joined")
    assert joined["person"]["name"] == person.name
    assert "makes pictures" not in joined["sentence"]
    assert "manages" in joined["sentence"]
    mine = (await seat.person.http.get("/v1/audit")).json()["items"]
    assert "key_cap_changed" not in [one["what"] for one in mine]


async def test_other_members_are_no_more_than_a_name(place: Place, client: Person):
    ada, bert = await acting(place, client, "manages"), await acting(place, client, "makes")

    for path in ("/desk", "/desk/history", "/desk/keys", "/desk/money", "/v1/audit", "/account"):
        answer = await ada.read(path)
        assert answer.status_code == 200, path
        assert bert.person.account.email not in answer.text, path


async def test_one_query_more_is_not_asked_for_a_team(place: Place, client: Person):
    alone, seat = await sit(place, await place.person("client")), await acting(place, client, "makes")
    web, asked = place.gateway, dict[str, int]()

    for name, one in (("alone", alone), ("acting", seat)):
        statements: list[str] = []
        async with web.house() as conn:
            with conn._con.query_logger(lambda record, kept=statements: kept.append(record.query)):
                await find_session(conn, word=one.session.word, now=web.clock())
        asked[name] = len(statements)

    assert asked["acting"] == asked["alone"]


async def test_rows_of_a_team_are_hidden_from_everybody_else_by_the_database(place: Place, client: Person):
    other, seat = await place.person("client"), await acting(place, client, "makes")
    await invite(place, client.account, "waiting-for-rows@example.org")
    seen: dict[str, tuple[int, ...]] = {}

    for who, party in {
        "client": client.account.id,
        "member": seat.person.account.id,
        "other": other.account.id,
        "house": HOUSE,
    }.items():
        with acting_for(party):
            async with place.gateway.pool.acquire() as conn:
                rows = [await conn.fetch(f"SELECT * FROM service.team_{name}") for name in ("members", "invitations")]
        seen[who] = tuple(len([row for row in found if row["client_id"] == client.account.id]) for found in rows)
        assert who == "house" or all(
            party in (row["client_id"], dict(row).get("account_id")) for found in rows for row in found
        )

    assert seen == {"client": (1, 2), "member": (1, 0), "other": (0, 0), "house": (1, 2)}
    with acting_for(other.account.id):
        async with place.gateway.pool.acquire() as conn:
            changed = await conn.execute("UPDATE service.team_members SET level = 'manages'")
    assert changed == "UPDATE 0"


async def test_a_member_who_is_erased_leaves_and_a_client_who_is_erased_has_no_team(place: Place, client: Person):
    leaving, staying = await acting(place, client, "makes"), await acting(place, client, "pays")
    word = {"confirm": leaving.person.account.email}
    gone = await leaving.person.http.request("DELETE", "/v1/account", json=word)
    assert gone.status_code == 202, gone.text
    left = (await client.http.get("/v1/team")).json()["members"]
    await invite(place, client.account, "never-answers@example.org")

    erased = await client.http.request("DELETE", "/v1/account", json={"confirm": client.account.email})

    assert [one["name"] for one in left] == [staying.person.account.name]
    assert erased.json()["state"] == "erased"
    assert ENDED in words(await staying.read("/desk"))
    async with place.owner() as conn:
        in_force = "SELECT count(*) FROM service.team_members WHERE client_id = $1 AND ended_at IS NULL"
        assert await conn.fetchval(in_force, client.account.id) == 0
        asked = "SELECT count(*) FROM service.team_invitations WHERE client_id = $1"
        assert await conn.fetchval(asked, client.account.id) == 0
