"""The office passes on what no e-mail brings, and sends again what was not taken."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from service.letters import Letter, seal_link, write_letter
from service.mailing import send_next, tidy_letters
from service.sessions import Session
from tests.service.conftest import Person, Place, browser, open_place, sign_in
from tests.service.letters.mailbox import Mailbox


@pytest.fixture(scope="module")
async def place(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Without a mail server."""
    async with open_place(database_url, configs, home=tmp_path_factory.mktemp("home")) as opened:
        yield opened


async def office(place: Place) -> tuple[httpx.AsyncClient, Session]:
    operator = await place.person("operator")
    session = await sign_in(place, operator.account)
    return browser(place, session), session


async def send_link(place: Place, person: Person, word: str) -> str:
    """A letter with a one-time link; its id."""
    now = place.gateway.clock()
    link = seal_link(f"/sign-in?link={word}", until=now + timedelta(hours=1), pepper=place.gateway.pepper)
    letter = Letter(
        kind="sign_in.link",
        account_id=person.account.id,
        key=word,
        subject="Your link to sign in",
        words="It works once.",
        path="/sign-in",
        link=link,
    )
    async with place.gateway.house() as conn:
        assert await write_letter(conn, letter, now=now)
        found: str = await conn.fetchval("SELECT max(id) FROM service.letters WHERE account_id = $1", person.account.id)
    return found


async def test_without_a_server_the_office_opens_a_link_and_its_owners_record_says_so(place: Place):
    http, session = await office(place)
    client = await place.person("client")
    letter_id = await send_link(place, client, "very-secret")

    page = (await http.get("/office/letters")).text
    assert "Nothing sends e-mail here" in page
    assert client.account.email in page
    assert "very-secret" not in page

    opened = await http.post(f"/office/letters/{letter_id}/link", data={"csrf": session.csrf})

    assert f"{place.settings.origin}/sign-in?link=very-secret" in opened.text
    assert opened.headers["cache-control"] == "no-store"
    told = (await client.http.get("/v1/audit")).json()["items"]
    assert [one["what"] for one in told].count("link_shown") == 1
    assert (await client.http.get("/v1/letters")).json()["items"] == []


async def test_a_link_that_ran_out_is_shown_to_nobody(place: Place):
    http, session = await office(place)
    client = await place.person("client")
    letter_id = await send_link(place, client, "old")
    async with place.gateway.house() as conn:
        await conn.execute("UPDATE service.letters SET link_until = $2 WHERE id = $1", letter_id, place.gateway.clock())

    early = await http.post(f"/office/letters/{letter_id}/link", data={"csrf": session.csrf})
    await tidy_letters(place.gateway)
    late = await http.post(f"/office/letters/{letter_id}/link", data={"csrf": session.csrf})

    assert (early.status_code, late.status_code) == (409, 409)
    assert "no link any more" in late.text
    assert "link=old" not in early.text + late.text


async def test_with_a_server_only_what_failed_is_opened_and_what_failed_goes_again(
    place: Place, box: Mailbox, monkeypatch: pytest.MonkeyPatch
):
    mail = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "office@ownhand.test"}
    web = place.gateway
    async with web.house() as conn:
        await conn.execute("DELETE FROM service.letters")
    monkeypatch.setattr(place.app.state, "gateway", replace(web, settings=replace(web.settings, **mail)))
    box.answers(rcpt="550 5.1.1 nobody here")
    http, session = await office(place)
    client = await place.person("client")
    letter_id = await send_link(place, client, "refused")
    waiting = await http.post(f"/office/letters/{letter_id}/link", data={"csrf": session.csrf})
    assert waiting.status_code == 409
    assert await send_next(place.gateway, now=web.clock())
    page = (await http.get("/office/letters")).text
    assert "nobody here" in page
    assert "Show its link" in page

    box.answers()
    again = await http.post(f"/office/letters/{letter_id}/again", data={"csrf": session.csrf})
    assert again.status_code == 303
    assert await send_next(place.gateway, now=web.clock())
    assert "link=refused" in box.came[0].text
    sent = await http.post(f"/office/letters/{letter_id}/link", data={"csrf": session.csrf})
    assert sent.status_code == 409
    gone = await http.post(f"/office/letters/{letter_id}/again", data={"csrf": session.csrf})
    assert gone.status_code == 409
    assert "Your link to sign in" in (await http.get("/office/letters?shelf=sent")).text
