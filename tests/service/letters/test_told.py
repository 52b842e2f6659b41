"""Who is told what: in the transaction of what happened, and nobody whom it does not concern."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service import sweep
from service.formats import day
from service.ids import new_id
from service.letters import Letter, write_letters
from service.telling.of_disputes import tell_cases_waiting
from service.telling.of_money import tell_payouts
from service.telling.of_styles import tell_training_ended, tell_waiting
from tests.service.conftest import Person, browser, sign_in
from tests.service.market import Market, MovableClock, clock, open_market, publish_style

__all__ = ["clock"]


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    folder: Path = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, clock=clock) as opened:
        yield opened
        opened.curtain.wait_at(None)


def euros(cents: int) -> dict[str, Any]:
    return {"amount": cents, "currency": "EUR"}


async def told(person: Person, kind: str = "") -> list[dict[str, Any]]:
    """What somebody was told, the oldest first."""
    answer = await person.http.get("/v1/letters?limit=200")
    assert answer.status_code == 200, answer.text
    return [one for one in reversed(answer.json()["items"]) if one["kind"].startswith(kind)]


async def licensed(market: Market, style_id: str) -> Person:
    client = await market.client(cents=100_000)
    bought = await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    assert bought.status_code in (200, 201), bought.text
    return client


@pytest.fixture
async def style_id(market: Market) -> str:
    return await publish_style(market.gateway, market.creator, market.adapter)


async def offered(market: Market, style_id: str) -> None:
    """It may be licensed."""
    terms = {
        "tiers": {"personal": {"price": euros(200), "licence": {"price": euros(3000), "units": 30, "months": 1}}},
        "notice_days": 7,
    }
    answer = await market.creator.http.patch(f"/v1/styles/{style_id}", json=terms)
    assert answer.status_code == 200, answer.text


async def test_a_licensee_reads_the_date_what_is_left_and_what_would_go_back(
    market: Market, style_id: str, clock: MovableClock
):
    await offered(market, style_id)
    client, other = await licensed(market, style_id), await market.client()

    ends_at = (await market.switch("wind_down", style_id))["ends_at"]

    (letter,) = await told(client, "style.")
    assert letter["subject"].endswith(f"ends on {day(datetime.fromisoformat(ends_at))}")
    assert "about EUR\N{NO-BREAK SPACE}23." in letter["words"]
    assert "30 pictures left" in letter["words"]
    assert letter["path"] == f"/styles/{style_id}"
    assert letter["topic"] == "licences"
    assert await told(other, "style.") == []
    assert await told(market.creator, "style.") == []

    clock.ahead += timedelta(days=8)
    await sweep.end_periods(market.gateway)
    _, ended = await told(client, "style.")
    assert ended["subject"].endswith("has ended")
    assert [one["kind"] for one in await told(client)].count("licence.ended") == 0


async def test_off_says_what_went_back_and_a_pause_that_it_stands_still(market: Market, style_id: str):
    await offered(market, style_id)
    client = await licensed(market, style_id)
    before = (await client.http.get("/v1/usage")).json()["prepaid"]["amount"]

    await market.switch("paused", style_id)
    await market.switch("live", style_id)
    await market.switch("closed", style_id)
    await market.switch("off", style_id)

    subjects = [one["subject"] for one in await told(client)]
    assert [subject.rsplit("” ", 1)[1] for subject in subjects] == ["is paused", "is back", "has ended"]
    after = (await client.http.get("/v1/usage")).json()["prepaid"]["amount"]
    words = (await told(client))[-1]["words"]
    back = after - before
    assert back > 0
    assert f"EUR\N{NO-BREAK SPACE}{back // 100}.{back % 100:02d} of it went back" in words


async def test_what_a_switch_that_is_refused_would_tell_is_not_told(market: Market, style_id: str):
    await offered(market, style_id)
    client = await licensed(market, style_id)
    await market.switch("destroyed", style_id)
    count = len(await told(client))

    answer = await market.creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "live"})

    assert answer.status_code >= 400
    assert len(await told(client)) == count


async def test_a_training_that_ends_is_told_each_time_it_ends_and_a_canceled_one_is_not(market: Market, style_id: str):
    training_id = new_id("trn")
    async with market.gateway.house() as conn:
        for run, state in ((1, "failed"), (1, "failed"), (2, "refused"), (3, "canceled"), (3, "passed")):
            await tell_training_ended(
                conn,
                training_id=training_id,
                style_id=style_id,
                creator_id=market.creator.account.id,
                run=run,
                state=state,
                message="It ran out of time.",
                now=market.gateway.clock(),
            )

    letters = await told(market.creator, "training.")
    assert [one["kind"] for one in letters] == ["training.failed", "training.refused", "training.passed"]
    assert letters[0]["words"].endswith("It ran out of time.")
    assert letters[0]["path"] == f"/studio/styles/{style_id}/training"


async def test_waiting_pictures_are_told_once_an_hour_and_none_is_forgotten(
    market: Market, style_id: str, clock: MovableClock
):
    await market.creator.http.patch(f"/v1/styles/{style_id}", json={"approval": "all"})
    client = await market.client()
    for _ in range(2):
        order = (await market.order(client, wait=60, style=style_id)).json()
        assert order["state"] == "awaiting_approval", order

    async def letters() -> list[dict[str, Any]]:
        return [one for one in await told(market.creator, "approvals.") if one["about"] == style_id]

    (first,) = await letters()
    assert "1 order made with your style waits" in first["words"]
    await sweep.tell_what_waits(market.gateway)
    assert len(await letters()) == 1

    clock.ahead += timedelta(minutes=61)
    await sweep.tell_what_waits(market.gateway)
    await sweep.tell_what_waits(market.gateway)
    _, second = await letters()
    assert "2 orders made with your style wait" in second["words"]

    clock.ahead += timedelta(minutes=61)
    async with market.gateway.house() as conn:
        await tell_waiting(conn, None, now=market.gateway.clock())
    assert len(await letters()) == 2


@pytest.mark.parametrize("end", ["approved", "rejected", "never looked at"])
async def test_who_ordered_hears_what_became_of_pictures_that_waited(
    market: Market, style_id: str, clock: MovableClock, end: str
):
    await market.creator.http.patch(f"/v1/styles/{style_id}", json={"approval": "all"})
    client, other = await market.client(), await market.client()
    order = (await market.order(client, wait=60, style=style_id)).json()
    assert order["state"] == "awaiting_approval", order
    assert await told(client, "order.") == [], "nothing has become of them yet"

    waiting = f"/v1/approvals/{order['id']}"
    if end == "approved":
        assert (await market.creator.http.post(f"{waiting}/approve")).is_success
    elif end == "rejected":
        assert (await market.creator.http.post(f"{waiting}/reject", json={"reason": "A logo."})).is_success
    else:
        clock.ahead += timedelta(hours=market.settings.approval_hours, minutes=1)
        await sweep.expire(market.gateway)
    async with asyncio.timeout(30):
        while not await told(client, "order."):
            await asyncio.sleep(0.05)

    [letter] = await told(client, "order.")
    ended = (await client.http.get(f"/v1/generations/{order['id']}")).json()
    assert (letter["about"], letter["path"]) == (order["id"], f"/desk/orders/{order['id']}")
    if end == "approved":
        assert letter["kind"] == "order.released"
        assert letter["subject"].endswith(" are there")
        assert "1 picture is yours. It cost EUR\N{NO-BREAK SPACE}0.60." in letter["words"]
    else:
        assert letter["kind"] == ("order.kept_back" if end == "rejected" else "order.expired")
        assert letter["words"] == ended["message"]
        assert "othing was charged" in letter["words"]
    assert await told(other, "order.") == []


async def test_both_sides_of_a_dispute_and_the_office_are_told_and_never_who_spoke(market: Market):
    operator, client = await market.person("operator"), await market.client()
    order = (await market.order(client, wait=60)).json()
    output_id = order["outputs"][0]["id"]

    opened = await client.http.post(
        f"/v1/outputs/{output_id}/disputes", json={"ground": "other", "words": "It is a pear."}
    )
    dispute_id = opened.json()["id"]
    await market.creator.http.post(f"/v1/disputes/{dispute_id}/notes", json={"words": "It is an apple."})
    decided = await operator.http.post(
        f"/v1/disputes/{dispute_id}/decide", json={"outcome": "released", "reason": "An apple it is."}
    )
    assert decided.status_code == 200, decided.text
    await client.http.post(f"/v1/disputes/{dispute_id}/appeal", json={"words": "Look at its stalk."})

    def about(letters: list[dict[str, Any]]) -> list[str]:
        return [one["kind"] for one in letters if one["about"] == dispute_id]

    assert about(await told(client)) == ["dispute.said", "dispute.decided"]
    assert about(await told(market.creator)) == ["dispute.opened", "dispute.decided", "dispute.appealed"]
    assert about(await told(operator)) == ["dispute.opened", "dispute.said", "dispute.appealed"]
    (decision,) = [one for one in await told(client) if one["kind"] == "dispute.decided"]
    assert "The sale stands as it is." in decision["words"]
    assert "An apple it is." in decision["words"]
    assert decision["path"] == f"/desk/disputes/{dispute_id}"
    words = str(await told(client)) + str(await told(market.creator))
    assert client.account.name not in words
    assert market.creator.account.name not in words


async def test_the_office_is_told_of_cases_once_an_hour(market: Market, clock: MovableClock):
    operator = await market.person("operator")

    async def open_one() -> None:
        async with market.gateway.house() as conn:
            await conn.execute(
                "INSERT INTO service.cases (id, kind, subject, creator_id, evidence, opened_at)"
                " VALUES ($1, 'near_duplicate', 'wrk_1', $2, '{}', $3)",
                *(new_id("cas"), market.creator.account.id, market.gateway.clock()),
            )
            await tell_cases_waiting(conn, now=market.gateway.clock())

    await open_one()
    await open_one()
    assert [one["subject"] for one in await told(operator, "cases.")] == ["1 case waits for a decision"]
    clock.ahead += timedelta(hours=2)
    await sweep.tell_what_waits(market.gateway)
    assert [one["subject"] for one in await told(operator, "cases.")][1:] == ["2 cases wait for a decision"]
    clock.ahead += timedelta(hours=2)
    await sweep.tell_what_waits(market.gateway)
    assert len(await told(operator, "cases.")) == 2


async def test_payouts_are_told_with_what_became_of_them(market: Market):
    creator, now = market.creator.account.id, market.gateway.clock()
    async with market.owner() as conn:
        await conn.execute("SET session_replication_role = replica")
        for state, reference, reason in (
            ("paid", "T1", None),
            ("failed", None, "no such account"),
            ("open", None, None),
        ):
            await conn.execute(
                "INSERT INTO licensing.payout (payout_id, creator_id, payee_version, method, amount, currency, state,"
                " reference, reason, opened_at, ended_at)"
                " VALUES ($1, $2, 1, 'manual', 4200, 'EUR', $3, $4, $5, $6, $7)",
                *(new_id("pyt"), creator, state, reference, reason, now, None if state == "open" else now),
            )
    async with market.gateway.house() as house:
        await tell_payouts(house, now=now)
        await tell_payouts(house, now=now)

    letters = await told(market.creator, "payout.")
    assert sorted(one["kind"] for one in letters) == ["payout.failed", "payout.paid"]
    assert all("EUR\N{NO-BREAK SPACE}42.00" in one["subject"] for one in letters)
    assert any("no such account" in one["words"] for one in letters)
    async with market.owner() as conn:
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("DELETE FROM licensing.payout")


async def test_a_client_hears_of_what_a_bank_took_back_and_the_office_sees_it(market: Market):
    client, other, german = await market.client(), await market.client(), await market.client()
    operator, now = await market.person("operator"), market.gateway.clock()
    async with market.owner() as conn:
        await conn.execute("SET session_replication_role = replica")
        taken = (
            "INSERT INTO licensing.chargeback (provider, reference, payment_id, client_id, amount, from_prepaid,"
            " from_account, bonus, currency, state, reason, created_at, ended_at)"
            " VALUES ('stripe', $1, 'pay_1', $2, 5000, 3800, 1200, 0, 'EUR', $3, 'fraudulent', $4, $5)"
        )
        await conn.execute(taken, "dp_open", client.account.id, "open", now, None)
        await conn.execute("UPDATE service.accounts SET language = 'de' WHERE id = $1", german.account.id)
        await conn.execute(taken, "dp_german", german.account.id, "lost", now, now)
        await conn.execute(taken, "dp_old", other.account.id, "lost", now - timedelta(days=9), now - timedelta(days=3))
    for _ in range(2):
        await sweep.tell_what_waits(market.gateway)
    [first] = await told(client, "payment.")
    session = browser(market, await sign_in(market, operator.account))
    office = (await session.get("/office")).text
    async with market.owner() as conn:
        await conn.execute("UPDATE licensing.chargeback SET state = 'won', ended_at = $1 WHERE state = 'open'", now)
    await sweep.tell_what_waits(market.gateway)
    second = (await told(client, "payment."))[-1]
    async with market.owner() as conn:
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("DELETE FROM licensing.chargeback")

    assert (first["kind"], first["path"]) == ("payment.charged_back", "/desk/money/payments")
    assert first["subject"] == "Your bank took back EUR\N{NO-BREAK SPACE}50.00"
    assert (
        "EUR\N{NO-BREAK SPACE}38.00 of it left your prepaid money. EUR\N{NO-BREAK SPACE}12.00 of it is owed"
        in first["words"]
    )
    assert "1 payment that its bank takes back" in office
    assert second["kind"] == "payment.given_back"
    [said] = await told(german, "payment.")
    assert said["subject"] == "Ihre Bank hat 50,00\N{NO-BREAK SPACE}EUR zurückgeholt"
    assert "38,00\N{NO-BREAK SPACE}EUR davon gingen" in said["words"]
    assert await told(other, "payment.") == [], "that is long ago"


async def test_the_inbox_is_read_marked_and_opened_without_scripts_by_its_person_alone(market: Market):
    client, other = await market.client(), await market.client()
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    await offered(market, style_id)
    await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    await market.switch("paused", style_id)
    await market.switch("live", style_id)
    session, others = await sign_in(market, client.account), await sign_in(market, other.account)
    http, other_http = browser(market, session), browser(market, others)

    page = (await http.get("/inbox")).text
    assert "Inbox (2)" in page
    assert page.count("Mark as read</button>") == 2
    back, paused = (await client.http.get("/v1/letters")).json()["items"][:2]

    theirs = await other_http.post(f"/inbox/{paused['id']}/read", data={"csrf": others.csrf})
    assert theirs.status_code == 404
    opened = await http.post(f"/inbox/{paused['id']}/open", data={"csrf": session.csrf})
    assert (opened.status_code, opened.headers["location"]) == (303, f"/styles/{style_id}")
    assert "Inbox (1)" in (await http.get("/")).text

    await market.switch("paused", style_id)
    await http.post("/inbox/read", data={"csrf": session.csrf, "until": back["id"]})
    page = (await http.get("/inbox")).text
    assert "Inbox (1)" in page
    unread = (await client.http.get("/v1/letters?unread=true")).json()["items"]
    assert len(unread) == 1
    assert "is paused" in unread[0]["subject"]
    assert (await client.http.post("/v1/letters/read")).json() == {"read": 1}
    assert "Inbox (" not in (await http.get("/inbox")).text
    assert "Nothing is here" in (await other_http.get("/inbox")).text


async def test_the_inbox_goes_by_pages_of_fifty(market: Market):
    client = await market.client(cents=0)
    async with market.gateway.house() as conn:
        letters = [
            Letter(
                kind="plan.ended",
                account_id=client.account.id,
                about=f"pln_{n}",
                subject=f"No. {n}.",
                words="w",
                path="/desk",
            )
            for n in range(53)
        ]
        assert await write_letters(conn, letters, now=market.gateway.clock()) == 53
    http = browser(market, await sign_in(market, client.account))

    first = (await http.get("/inbox")).text
    older = first.split('href="/inbox?before=')[1].split('"')[0]
    second = (await http.get(f"/inbox?before={older}")).text

    assert (first.count("Go there</button>"), second.count("Go there</button>")) == (50, 3)
    assert "No. 52." in first
    assert "No. 0." in second


async def test_a_sale_that_was_taken_back_is_told_to_both_sides_once(market: Market):
    operator, client = await market.person("operator"), await market.client()
    output_id = (await market.order(client, wait=60)).json()["outputs"][0]["id"]

    for _ in range(2):
        answer = await operator.http.post(f"/v1/outputs/{output_id}/refund", json={"reason": "Sold by mistake."})
        assert answer.status_code == 200, answer.text

    for person in (client, market.creator):
        (letter,) = [one for one in await told(person, "sale.") if one["about"] == output_id]
        assert letter["words"].endswith("The reason: Sold by mistake.")


async def test_authors_are_told_who_asks_and_what_was_answered(market: Market, style_id: str):
    author, other = await market.person("creator"), await market.person("creator")
    asked = await market.creator.http.post(
        f"/v1/styles/{style_id}/authors",
        json={"weight": 1, "authors": [{"email": one.account.email, "weight": 1} for one in (author, other)]},
    )
    one = asked.json()["id"]
    await author.http.post(f"/v1/authorships/{one}/accept")
    await other.http.post(f"/v1/authorships/{one}/accept")
    await author.http.post(f"/v1/authorships/{one}/leave")

    assert [letter["kind"] for letter in await told(author)] == ["authorship.asked"]
    assert [letter["kind"] for letter in await told(other)] == ["authorship.asked"]
    answered = [letter for letter in await told(market.creator, "authorship.") if letter["about"] == one]
    assert [letter["kind"] for letter in answered] == ["authorship.agreed", "authorship.agreed", "authorship.left"]
    assert [letter["words"] for letter in answered[:2]] == ["It waits for the others.", "It is shared from now on."]
