"""Sharing what a style earns, on pages: asked in percent, answered, seen on statements, ended and left."""

import re

import pytest

from tests.service.conftest import Person
from tests.service.market import Market, publish_style
from tests.service.pages.conftest import Seat, Sit, words_of


@pytest.fixture
async def style_id(market: Market) -> str:
    return await publish_style(market.gateway, market.creator, market.adapter, name="Two hands")


@pytest.fixture
async def maker(market: Market, sit: Sit) -> Seat:
    """The style's creator."""
    return await sit(market.creator)


@pytest.fixture
async def other(market: Market, sit: Sit) -> Seat:
    """Another creator here."""
    return await sit(await market.person("creator"))


async def ask(maker: Seat, style_id: str, other: Person, *, own: str = "70", part: str = "30") -> str:
    """The words of the page after somebody was asked."""
    form = {"own": own, "email": other.account.email, "part": part}
    answer = await maker.send(f"/studio/styles/{style_id}/authors", **form)
    assert answer.status_code == 303, words_of(answer.text)
    return await maker.read(answer.headers["location"])


async def offer_of(seat: Seat) -> str:
    """The id of the newest thing that somebody has a part of or is asked to."""
    return str((await seat.person.http.get("/v1/authorships")).json()["items"][0]["id"])


async def test_both_read_their_parts_before_and_after_the_yes_and_every_sale_on_their_statements(
    market: Market, style_id: str, maker: Seat, other: Seat
):
    assert "Nobody shares what this style earns" in await maker.read(f"/studio/styles/{style_id}/authors")
    asked = await ask(maker, style_id, other.person)
    front, offer = await other.read("/studio"), await other.read("/studio/shared")
    agreed = await other.send(f"/studio/shared/{await offer_of(other)}/accept")
    order = await market.order(await market.client(), wait=60, style=style_id)
    assert order.json()["state"] == "settled", order.text

    assert "Nothing changes before all of them have said yes." in asked
    assert re.search(r"You Yes Your style 70 % EUR 0.36 .* No answer 30 % EUR 0.15", asked)
    assert "Somebody asks you to share what a style earns." in front
    assert "offers you 30 % of what this style earns" in offer
    assert "costs EUR 0.60 before tax" in offer
    assert "All have said yes." in await other.read(agreed.headers["location"])
    assert "Somebody asks you" not in await other.read("/studio")
    assert "All said yes" in await maker.read(f"/studio/styles/{style_id}/authors")
    theirs = await other.http.get("/studio/earnings")
    assert re.search(
        r"Two hands Sold, personal, .* A style that you share ; .* EUR 0.72 EUR 0.12 EUR 0.09 EUR 0.36 EUR 0.15",
        words_of(theirs.text),
    )
    assert "/certificate" not in theirs.text, "it names the client, which is for the style's creator"
    assert "/dispute" not in theirs.text.split('id="lines"')[1]
    assert "EUR 0.15 EUR 0.36" in await maker.read("/studio/earnings")


async def test_parts_must_add_up_and_everybody_named_must_be_a_creator(
    market: Market, style_id: str, maker: Seat, other: Seat
):
    url = f"/studio/styles/{style_id}/authors"
    email = other.person.account.email
    client = await market.client()
    wrong = [
        ({"own": "70", "email": email, "part": "20"}, "add up to 90 % and must add up to 100 %: 10 % is missing."),
        ({"own": "70", "email": email, "part": "30.5"}, "0.5 % is too much."),
        ({"own": "70", "email": "", "part": ""}, "Nobody is named to share with"),
        ({"own": "some", "email": email, "part": "30"}, "Your part: 'some' is no percentage"),
        ({"own": "100", "email": email, "part": "0"}, f"Part of {email}: '0' cannot be"),
        ({"own": "66.667", "email": email, "part": "33.333"}, "with two digits at most"),
        ({"own": "70", "email": "nobody@example.org", "part": "30"}, "There is no creator nobody@example.org"),
        ({"own": "70", "email": client.account.email, "part": "30"}, f"There is no creator {client.account.email}"),
        ({"own": "70", "email": maker.person.account.email, "part": "30"}, "is named twice"),
        ({"own": "70", "email": "x" * 300, "part": "30"}, "200 characters"),
    ]

    for form, words in wrong:
        answer = await maker.send(url, **form)
        assert answer.status_code == 422, form
        assert words in words_of(answer.text), form
        assert f'value="{form["own"]}"' in answer.text, "what was typed is there to be changed"
    assert (await maker.person.http.get(f"/v1/styles/{style_id}/authors")).json()["waiting"] is None


async def test_more_lines_keep_what_was_typed_and_ask_nobody(style_id: str, maker: Seat):
    url = f"/studio/styles/{style_id}/authors"
    few = (await maker.http.get(url)).text.count('name="email"')

    more = await maker.send(url, own="40", email="a@example.org", part="60", do="more")

    assert more.status_code == 200
    assert 'value="a@example.org"' in more.text
    assert more.text.count('name="email"') > few
    assert "No answer" not in more.text


async def test_a_no_and_what_is_taken_back_leave_it_as_it_was_and_a_late_answer_is_told_why(
    style_id: str, maker: Seat, other: Seat
):
    url = f"/studio/styles/{style_id}/authors"
    await ask(maker, style_id, other.person)
    refused = await offer_of(other)
    declined = await other.send(f"/studio/shared/{refused}/decline")
    late = await other.send(f"/studio/shared/{refused}/accept")
    await ask(maker, style_id, other.person, own="50", part="50")
    taken = await offer_of(other)
    not_yet = await other.send(f"/studio/shared/{taken}/leave")
    back = await maker.send(f"{url}/end", authorship=taken)
    gone = await other.send(f"/studio/shared/{taken}/accept")

    assert "You said no." in await other.read(declined.headers["location"])
    assert [one.status_code for one in (late, not_yet, back, gone)] == [409, 409, 303, 409]
    assert "so it is over" in words_of(late.text)
    assert "say no to it instead" in words_of(not_yet.text)
    assert "look whether a newer one waits for you" in words_of(gone.text)
    assert "Nobody shares what this style earns" in await maker.read(url)
    assert "nobody asks you to share one" in await other.read("/studio/shared")


async def test_a_yes_may_become_a_no_while_others_have_not_answered(
    market: Market, style_id: str, maker: Seat, other: Seat
):
    third = await market.person("creator")
    body = {"weight": 1, "authors": [{"email": one.account.email, "weight": 1} for one in (other.person, third)]}
    await maker.person.http.post(f"/v1/styles/{style_id}/authors", json=body)
    offer = await offer_of(other)

    agreed = await other.send(f"/studio/shared/{offer}/accept")
    again = await other.send(f"/studio/shared/{offer}/accept")
    text = await other.read(agreed.headers["location"])
    await other.send(f"/studio/shared/{offer}/decline")

    assert "you can still say no" in text
    assert "33.33 %" in text, "2 : 1 : 1 and the like are shown as percent"
    assert again.status_code == 409
    assert (await third.http.get("/v1/authorships")).json()["items"] == []


async def test_an_author_leaves_and_the_creator_ends_it(style_id: str, maker: Seat, other: Seat):
    url = f"/studio/styles/{style_id}/authors"
    await ask(maker, style_id, other.person)
    offer = await offer_of(other)
    await other.send(f"/studio/shared/{offer}/accept")
    form = (await maker.http.get(url)).text
    left = await other.send(f"/studio/shared/{offer}/leave")
    twice = await other.send(f"/studio/shared/{offer}/leave")
    await ask(maker, style_id, other.person)
    await other.send(f"/studio/shared/{await offer_of(other)}/accept")
    ended = await maker.send(f"{url}/end", authorship=await offer_of(other))

    assert f'value="{other.person.account.email}"' in form, "the form begins with what is in force"
    assert 'name="own" inputmode="decimal" required value="70"' in form
    assert "You left." in await other.read(left.headers["location"])
    assert twice.status_code == 409
    assert "It is over." in await maker.read(ended.headers["location"])
    assert (await maker.send(f"{url}/end", authorship="aut_none")).status_code == 404
