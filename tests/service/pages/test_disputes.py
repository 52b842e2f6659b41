"""Disputes on the desk, in the studio and in the office, from the first word to what a decision does."""

from datetime import timedelta

import pytest

from service.closing import close_decided
from tests.service.conftest import Person
from tests.service.market import Market, MovableClock, prepaid
from tests.service.pages.conftest import Seat, Sit, words_of


@pytest.fixture
async def buyer(market: Market) -> Person:
    return await market.client(cents=1000)


async def bought(market: Market, buyer: Person) -> str:
    order = (await market.order(buyer, wait=60)).json()
    assert order["state"] == "settled", order
    return str(order["outputs"][0]["id"])


async def opened(seat: Seat, path: str, **form: str) -> str:
    """The end of the dispute's address."""
    answer = await seat.send(path, **form)
    assert answer.status_code == 303, words_of(answer.text)
    return str(answer.headers["location"]).split("?")[0].rsplit("/", 1)[-1]


async def test_a_client_disputes_the_creator_answers_the_office_decides_and_an_appeal_is_final(
    market: Market, sit: Sit, buyer: Person
):
    output_id = await bought(market, buyer)
    desk, studio = await sit(buyer), await sit(market.creator)
    office = await sit(await market.person("operator"))
    spent = 1000 - (await prepaid(buyer))[0]
    form = f"/desk/outputs/{output_id}/dispute"
    assert f'href="{form}"' in (await desk.http.get(f"/desk/outputs/{output_id}")).text
    assert "The other side has 7 days to answer." in await desk.read(form)
    wordless = await desk.send(form, ground="other", words="")
    assert wordless.status_code == 422
    assert 'value="other" required checked' in wordless.text

    one = await opened(desk, form, ground="not_as_ordered", words="It is a pear.")
    certificate = await desk.read(f"/desk/outputs/{output_id}")
    assert "This picture is disputed." in certificate
    assert "Something is wrong" not in certificate
    assert "Dispute about it Open" in (earned := await studio.read("/studio/earnings"))
    assert "Contest this line" not in earned
    listed = await studio.read("/studio/disputes")
    assert "It is not what was ordered." in listed
    for seat, home in ((desk, "desk"), (studio, "studio"), (office, "office")):
        shown = await seat.read(f"/{home}/disputes/{one}")
        assert "Dispute about Inky Apples" in shown
        assert "Ordered as a red apple" in shown
        picture = await seat.http.get(f"/v1/disputes/{one}/outputs/{output_id}")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert "your answer, until" in listed
    assert "the other side’s answer, until" in await desk.read("/desk/disputes")
    assert "It is a pear." in await studio.read(f"/studio/disputes/{one}")
    assert "Decide" not in (await office.read(f"/office/disputes/{one}")).split("About")[0].split("What was said")[1]
    early = await office.send(f"/office/disputes/{one}/decide", outcome="refunded", reason="Too early.")
    assert early.status_code == 409
    await studio.send(f"/studio/disputes/{one}/notes", words="It is an apple.")
    assert "It is an apple." in await desk.read(f"/desk/disputes/{one}")

    partless = await office.send(f"/office/disputes/{one}/decide", outcome="partly", reason="Half.")
    decided = await office.send(f"/office/disputes/{one}/decide", outcome="released", reason="An apple it is.")
    assert (partless.status_code, decided.status_code) == (422, 303)
    assert "An apple it is." in await desk.read(f"/desk/disputes/{one}")
    appealed = await desk.send(f"/desk/disputes/{one}/appeal", words="Look at its stalk.")
    twice = await desk.send(f"/desk/disputes/{one}/appeal", words="Look again.")
    assert (appealed.status_code, twice.status_code) == (303, 409)
    final = await office.send(f"/office/disputes/{one}/decide", outcome="refunded", reason="A pear, after all.")
    assert final.status_code == 303

    assert "Taken back" in await desk.read(f"/desk/disputes/{one}")
    assert (await prepaid(buyer))[0] == 1000
    assert spent > 0
    certificate = await desk.read(f"/desk/outputs/{output_id}")
    assert "What was decided when it was disputed" in certificate
    assert "Something is wrong" not in certificate


async def test_a_decision_nobody_appeals_against_takes_effect_after_its_time(
    market: Market, clock: MovableClock, sit: Sit, buyer: Person
):
    output_id = await bought(market, buyer)
    desk, studio = await sit(buyer), await sit(market.creator)
    office = await sit(await market.person("operator"))
    one = await opened(desk, f"/desk/outputs/{output_id}/dispute", ground="other", words="It is blurred.")
    await studio.send(f"/studio/disputes/{one}/notes", words="A little.")
    before = (await prepaid(buyer))[0]
    await office.send(f"/office/disputes/{one}/decide", outcome="partly", amount="0.20", reason="A little.")
    assert "an appeal, if anybody makes one, until" in await desk.read("/desk/disputes")
    assert (await prepaid(buyer))[0] == before

    clock.ahead += timedelta(days=3, minutes=1)
    await close_decided(market.gateway)

    text = await (await sit(buyer)).read(f"/desk/disputes/{one}")
    assert "Partly given back: EUR 0.20 before tax." in text
    assert (await prepaid(buyer))[0] == before + 20 + 3, "with its tax, rounded down"


async def test_a_creator_contests_a_line_and_withdraws_and_its_client_learns_nothing(
    market: Market, sit: Sit, buyer: Person
):
    output_id = await bought(market, buyer)
    studio, desk = await sit(market.creator), await sit(buyer)
    path = f"/studio/sales/{output_id}/dispute"
    assert f'href="{path}"' in (await studio.http.get("/studio/earnings")).text

    one = await opened(studio, path, ground="share", words="The fee is too high.")
    theirs = await desk.http.get(f"/desk/disputes/{one}", headers={"Accept": "text/html"})
    held = await studio.read("/studio/payouts")
    picture = f"/v1/disputes/{one}/outputs/{output_id}"
    office = await sit(await market.person("operator"))
    assert "Ordered as" not in await studio.read(f"/studio/disputes/{one}")
    assert (await studio.http.get(picture)).status_code == 404
    assert (await office.http.get(picture)).status_code == 200
    wordless = await studio.send(f"/studio/disputes/{one}/withdraw", words="")
    gone = await studio.send(f"/studio/disputes/{one}/withdraw", words="I had misread it.")

    assert theirs.status_code == 404
    assert "Held in disputes EUR 0." in held
    assert (wordless.status_code, gone.status_code) == (422, 303)
    assert "Withdrawn" in await studio.read(gone.headers["location"])
    assert (await studio.send(path, ground="share", words="Again.")).status_code == 409


async def test_a_strangers_claim_is_opened_in_the_office_which_alone_sees_who_it_is(
    market: Market, sit: Sit, buyer: Person
):
    output_id = await bought(market, buyer)
    office, studio = await sit(await market.person("operator")), await sit(market.creator)
    claim = {"output": output_id, "words": "It shows my mark.", "contact": "ada@example.org"}
    nobody = await office.send("/office/takedowns", **claim | {"contact": ""})
    both = await office.send("/office/takedowns", **claim, order="gen_1")

    one = await opened(office, "/office/takedowns", **claim)

    assert (nobody.status_code, both.status_code) == (422, 422)
    assert "It shows my mark." in nobody.text, "what was typed is there to be changed"
    assert "ada@example.org" in await office.read(f"/office/disputes/{one}")
    theirs = await studio.read(f"/studio/disputes/{one}")
    assert "It shows my mark." in theirs
    assert f"/v1/disputes/{one}/outputs/{output_id}" in (await studio.http.get(f"/studio/disputes/{one}")).text
    assert "Ordered as" not in theirs, "the client has not been asked"
    assert (await market.creator.http.get(f"/v1/disputes/{one}")).json()["prompt"] is None
    assert "ada@example.org" not in theirs
    assert "Somebody else claims a right to it." in await office.read("/office/disputes")


async def test_who_is_no_party_sees_nothing_of_it(market: Market, sit: Sit, buyer: Person):
    output_id = await bought(market, buyer)
    one = await opened(await sit(buyer), f"/desk/outputs/{output_id}/dispute", ground="other", words="It is blurred.")
    stranger = await sit(await market.client())

    for path in (f"/desk/disputes/{one}", f"/desk/outputs/{output_id}/dispute"):
        assert (await stranger.http.get(path, headers={"Accept": "text/html"})).status_code == 404
    assert (await stranger.send(f"/desk/disputes/{one}/notes", words="Hello.")).status_code == 404
    assert "None." in await stranger.read("/desk/disputes")
