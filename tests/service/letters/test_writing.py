"""Letters are written in the transaction of what they tell of, once."""

import asyncio
from datetime import timedelta

import pytest

from licensing.tenancy import HOUSE
from service.db.tenancy import acting_for
from service.erasure import erase
from service.errors import SecretLost
from service.letters import PATIENCE, Letter, open_link, seal_link, write_letter, write_letters
from service.mailing import tidy_letters
from service.retention import prune_letters
from tests.service.letters.conftest import Desk


async def test_what_is_rolled_back_was_never_told(desk: Desk):
    person = await desk.person()
    letter = Letter(kind="training.passed", about="trn_1", account_id=person.id, subject="s", words="w", path="/studio")
    async with desk.web.house() as conn:
        transaction = conn.transaction()
        await transaction.start()
        assert await write_letter(conn, letter, now=desk.start)
        await transaction.rollback()

    assert await desk.rows() == []


async def test_the_same_thing_is_told_once_to_each(desk: Desk):
    one, other = await desk.person(), await desk.person()

    assert await desk.write(one, about="trn_1")
    assert not await desk.write(one, about="trn_1", subject="in other words")
    assert await desk.write(other, about="trn_1")
    assert await desk.write(one, about="trn_1", kind="training.failed")
    assert await desk.write(one, about="trn_1", key="run 2")

    assert len(await desk.rows()) == 4


async def test_what_comes_often_is_told_once_in_a_while_also_by_two_at_once(desk: Desk):
    person = await desk.person()
    hour = timedelta(hours=1)

    async def tell(after: timedelta) -> int:
        letter = Letter(
            kind="approvals.waiting", about="sty_1", account_id=person.id, subject="s", words="w", path="/studio"
        )
        async with desk.web.house() as conn:
            return await write_letters(conn, [letter], now=desk.start + after, at_most_every=hour)

    assert sorted(await asyncio.gather(*(tell(timedelta()) for _ in range(4)))) == [0, 0, 0, 1]
    assert await tell(timedelta(minutes=59)) == 0
    assert await tell(timedelta(minutes=61)) == 1


async def test_a_letter_is_seen_by_its_person_alone(desk: Desk):
    one, other = await desk.person(), await desk.person()
    await desk.write(one)
    await desk.write(address="nobody@example.org", kind="account.invited")

    seen = []
    for party in (one.id, other.id, HOUSE):
        with acting_for(party):
            async with desk.web.pool.acquire() as conn:
                seen.append(await conn.fetchval("SELECT count(*) FROM service.letters"))

    assert seen == [1, 0, 2]


async def test_a_one_time_link_is_nowhere_in_the_row_and_goes_when_it_runs_out(desk: Desk):
    person, until = await desk.person(), desk.start + timedelta(hours=1)
    sealed = seal_link("/sign-in/very-secret", until=until, pepper=desk.web.pepper)
    await desk.write(person, kind="sign_in.link", key="1", link=sealed)

    (row,) = await desk.rows()
    assert "very-secret" not in str(row)
    assert open_link(row["link"], pepper=desk.web.pepper) == "/sign-in/very-secret"
    with pytest.raises(SecretLost):
        open_link(row["link"], pepper=b"another")
    assert row["give_up_at"] == until
    assert not row["in_inbox"]

    await tidy_letters(desk.web_at(timedelta(hours=1)))
    (row,) = await desk.rows()
    assert row["link"] is None
    assert row["mail"] == "failed"


async def test_breaks_in_names_stay_out_of_subject_and_headers(desk: Desk):
    person = await desk.person()
    await desk.write(person, subject="Style “a\r\nBcc: all@example.org” is\x00 ready", words="One\n\nTwo\x00\r\nThree")

    (row,) = await desk.rows()
    assert row["subject"] == "Style “a Bcc: all@example.org” is ready"
    assert row["words"] == "One\n\nTwo Three"


async def test_without_a_server_letters_wait_and_are_given_up(desk: Desk):
    await desk.write(await desk.person())
    assert await desk.states() == ["waiting"]

    await tidy_letters(desk.web_at(PATIENCE))

    assert await desk.states() == ["failed"]


async def test_what_was_read_goes_after_a_while_and_what_was_not_after_a_year(desk: Desk):
    person = await desk.person()
    for about in ("trn_read", "trn_unread", "trn_waits", "trn_old"):
        await desk.write(person, about=about)
    async with desk.web.house() as conn:
        await conn.execute("UPDATE service.letters SET created_at = created_at - interval '31 days'")
        await conn.execute("UPDATE service.letters SET mail = 'sent' WHERE about <> 'trn_waits'")
        await conn.execute("UPDATE service.letters SET read_at = $1 WHERE about = 'trn_read'", desk.start)
        await conn.execute(
            "UPDATE service.letters SET created_at = created_at - interval '335 days' WHERE about = 'trn_old'"
        )

    await prune_letters(desk.web)

    assert [row["about"] for row in await desk.rows()] == ["trn_unread", "trn_waits"]


async def test_letters_go_with_their_account_and_none_comes_after(desk: Desk):
    person = await desk.person("client")
    await desk.write(person)
    await desk.write(address=person.email, kind="account.invited")
    async with desk.web.house() as conn:
        await conn.execute("UPDATE service.accounts SET erase_asked_at = $2 WHERE id = $1", person.id, desk.start)
    assert not await desk.write(person)

    await erase(desk.web, person.id)

    assert await desk.rows() == []
