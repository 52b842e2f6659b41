"""The record of an account: everything that happened with what is theirs, in order, and nobody else's."""

from datetime import timedelta
from typing import Any, get_args

import pytest

from licensing import keys
from service.audit import _SENTENCES, Kind, list_entries
from service.retention import prune_sign_ins
from service.sessions import end_session, find_session, make_link
from tests.service.conftest import (
    Person,
    Place,
    browser,
    draw,
    redeem_link,
    sign_in,
    slug_of,
    upload,
    wait_for,
    with_works,
)
from tests.service.test_cases import add, as_file, case_of, picture
from tests.service.test_destruction import destroy
from tests.service.test_trainings import LONG, start, wait_for_step


async def record_of(person: Person, **query: Any) -> list[dict[str, Any]]:
    """Newest first; what every account's begins with is left out."""
    answer = await person.http.get("/v1/audit", params={"limit": 200, **query})
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["items"] if one["what"] not in ("account_made", "key_made", "key_first_used")]


def kinds(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["what"] for entry in entries]


def test_everything_that_can_happen_has_a_sentence():
    assert set(_SENTENCES) == {kind for part in get_args(Kind) for kind in (get_args(part) or (part,))}


async def test_a_styles_life_is_told_in_order_and_in_words(creator: Person, place: Place):
    style_id = await with_works(creator, count=5)
    training = await wait_for(creator, await start(creator, style_id), "passed")
    await creator.http.post(f"/v1/versions/{training['version']}/publish")
    await creator.http.patch(f"/v1/styles/{style_id}", json={"notice_days": 9})
    await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "paused"})
    await creator.http.put("/v1/switch", json={"level": "off"})
    work, *_ = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    await creator.http.patch(f"/v1/works/{work['id']}", json={"rights": "unsure"})
    await creator.http.delete(f"/v1/works/{work['id']}")

    told = list(reversed(await record_of(creator)))

    assert kinds(told)[:8] == [
        "style_made",
        "works_added",
        "training_started",
        "training_ended",
        "version_published",
        "terms_changed",
        "switch_changed",
        "switch_changed",
    ]
    assert sorted(kinds(told)[8:10]) == ["rights_changed", "version_unpublished"]
    assert kinds(told)[10:] == ["work_removed"]
    said = {entry["what"]: entry["sentence"] for entry in told}
    assert said["works_added"] == "5 works came to Ink."
    assert said["switch_changed"] == "The switch of all your styles went from live to off; it ended 0 orders."
    assert said["rights_changed"] == "The rights of 1 work of Ink were set to unsure."
    assert said["version_unpublished"].startswith("Version 1 of Ink is no longer published")
    assert said["work_removed"] == f"Work {work['id']} was removed from Ink."
    assert all("{" not in sentence for sentence in said.values())


async def test_it_says_by_which_key_or_session(creator: Person, place: Place):
    style_id = await with_works(creator)
    session = await sign_in(place, creator.account)
    seat = browser(place, session)
    await seat.post(
        f"/studio/styles/{style_id}/rights", data={"csrf": session.csrf, "rights": "licensed", "which": "all"}
    )

    entries = {entry["what"]: entry for entry in await record_of(creator)}

    assert entries["works_added"]["who"]["key"].startswith("key_")
    assert entries["rights_changed"]["who"] == {"role": "creator", "key": None, "session": session.mark}
    assert entries["rights_changed"]["sentence"] == "The rights of 6 works of Ink were set to licensed."
    assert entries["signed_in"]["who"]["session"] == session.mark


async def test_sign_ins_stay_when_their_sessions_are_forgotten(creator: Person, place: Place):
    web, now = place.gateway, place.gateway.clock()
    long_ago = now - timedelta(days=90)
    async with web.pool.acquire() as conn:
        word = await make_link(conn, account_id=creator.account.id, now=long_ago, minutes=60)
        session = await redeem_link(conn, word=word, now=long_ago + timedelta(minutes=1), days=1)
        assert session is not None
        await end_session(conn, session, now=long_ago + timedelta(hours=1))
        await end_session(conn, session, now=now)
        assert await find_session(conn, word=session.word, now=long_ago) is None
    await prune_sign_ins(web)

    told = await record_of(creator)

    assert kinds(told) == ["signed_out", "signed_in", "link_made"]
    assert [entry["who"]["role"] for entry in told] == ["creator", "creator", "operator"]
    assert session.word not in str(told)


async def test_a_key_is_told_when_made_used_first_and_revoked(place: Place, client: Person):
    web = place.gateway
    for _ in range(3):
        await client.http.get("/v1/usage")
    seen = (await client.http.get("/v1/audit")).json()["items"]
    session = await sign_in(place, client.account)
    async with web.pool.acquire() as conn:
        (key,) = await keys.listing(conn, account_id=client.account.id)
        await keys.revoke(conn, key_id=key.id, account_id=client.account.id, now=web.clock())

    after = (await browser(place, session).get("/v1/audit")).json()["items"]

    assert sorted(kinds(seen)) == ["account_made", "key_first_used", "key_made"]
    assert sorted(kinds(after)[:2]) == ["key_revoked", "signed_in"]
    assert client.token not in str(after)
    assert any(key.hint in entry["sentence"] for entry in after)


async def test_what_the_operator_does_in_a_case_is_told_to_those_it_is_about(
    creator: Person, other_creator: Person, operator: Person, place: Place
):
    await add(creator, "first.png", as_file(picture(77_003)))
    copy = await add(other_creator, "copy.jpg", as_file(picture(77_003).resize((180, 180)), format="JPEG", quality=70))
    session = await sign_in(place, operator.account)
    office = browser(place, session)
    case_id = await case_of((office, session.csrf), place, copy)
    await other_creator.http.post(
        f"/v1/works/{copy['id']}/answers", json={"kind": "others_work", "reason": "I drew it in May."}
    )
    await office.get(f"/office/cases/{case_id}/pictures/other")
    await office.post(
        f"/office/cases/{case_id}", data={"csrf": session.csrf, "outcome": "refused", "sentence": "It is older."}
    )

    theirs, first = await record_of(other_creator), await record_of(creator)
    own = await record_of(operator)

    about_it = [one for one in kinds(theirs) if one.startswith("case")]
    assert about_it == ["case_decided", "case_answered", "case_opened"]
    assert "It is older." in theirs[0]["sentence"]
    assert theirs[0]["who"]["role"] == "operator"
    assert kinds(first)[0] == "work_seen"
    assert case_id in first[0]["sentence"]
    assert other_creator.account.id not in str(first)
    assert kinds(own)[0] == "others_work_seen"
    assert own[0]["who"]["session"] == session.mark


async def test_a_training_that_goes_on_after_a_pause_keeps_its_pause_in_the_record(creator: Person):
    style_id = await with_works(creator)
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 1)
    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    await wait_for(creator, training_id, "paused")
    await creator.http.post(f"/v1/trainings/{training_id}/resume")
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")

    told = await record_of(creator, style=style_id)

    assert kinds(told)[:3] == ["training_ended", "training_resumed", "training_started"]
    assert told[1]["sentence"].endswith("which was paused, goes on.")


async def test_a_destroyed_style_keeps_its_record(creator: Person):
    style_id = await with_works(creator)
    await destroy(creator, style_id)

    told = await record_of(creator, style=style_id)

    assert kinds(told) == ["style_emptied", "switch_changed", "works_added", "style_made"]


async def test_it_comes_by_pages_that_leave_nothing_out(creator: Person):
    for _ in range(2):
        await upload(creator, await with_works(creator, count=4), ("more.png", draw()), rights="mine")
    whole = (await creator.http.get("/v1/audit", params={"limit": 200})).json()["items"]

    pages, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        found = (await creator.http.get("/v1/audit", params=query)).json()
        pages += found["items"]
        cursor = found["next_cursor"]
        if cursor is None:
            break

    assert pages == whole
    assert len({entry["id"] for entry in whole}) == len(whole)


@pytest.mark.parametrize("cursor", ["yesterday", "9" * 40, "x.y"])
async def test_a_cursor_that_is_none_is_named(creator: Person, cursor: str):
    assert slug_of(await creator.http.get("/v1/audit", params={"cursor": cursor})) == "invalid_request"


async def test_nobody_sees_anything_of_anothers_record(creator: Person, other_creator: Person, place: Place):
    style_id = await with_works(creator)
    await wait_for(creator, await start(creator, style_id), "passed")

    assert await record_of(other_creator) == []
    assert await record_of(other_creator, style=style_id) == []
    assert slug_of(await place.stranger.get("/v1/audit")) == "unauthenticated"
    async with place.gateway.pool.acquire() as conn:
        assert await list_entries(conn, "acc_nobody", limit=10) == []
