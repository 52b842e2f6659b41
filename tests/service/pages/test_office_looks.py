"""What the operator sees: machines, bases and whether they may be sold, everybody's record, and what comes first."""

import itertools
import os
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licensing.ledger import RULES
from service import audit
from service.auditing import audit_ledger
from service.heartbeats import list_executors
from service.machines import Machine, parse_gpus, read_gpus
from service.overview import long_held, needs, read_queue
from service.who import Who
from tests.service.conftest import TINY_RECIPE, Person, browser, make_style, sign_in, slug_of
from tests.service.market import Market, MovableClock, clock, open_market, state_of
from tests.service.pages.conftest import Seat, Sit, words_of

__all__ = ["clock"]

_MOMENTS = itertools.count(1)
SMI = "NVIDIA H200, 37, 1024, 143771\nA card with no counters, [N/A], [N/A], 2048\nnonsense\n"


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    folder = tmp_path_factory.mktemp("market")
    recipes = folder / "configs" / "recipes"
    recipes.mkdir(parents=True)
    (recipes / "tiny-style.toml").write_text(TINY_RECIPE)
    async with open_market(database_url, folder, clock=clock, forms_per_minute=10_000) as opened:
        yield opened
        opened.curtain.wait_at(None)


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


@pytest.fixture
def licence(market: Market) -> Iterator[Any]:
    """Gives the market's base another licence, until the end of the test."""
    file = market.settings.configs / "bases" / "tiny.toml"
    before = file.read_text()

    def set_licence(line: str) -> None:
        file.write_text(before.replace('licence = "MIT"', line))
        # Files are read anew when their time of change is another.
        moment = next(_MOMENTS)
        os.utime(file, ns=(moment, moment))

    yield set_licence
    file.write_text(before)


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command of that name that prints SMI."""
    file = tmp_path / "nvidia-smi"
    file.write_text(f"#!/bin/sh\nprintf '%s' '{SMI}'\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return file


async def test_machines_show_the_line_as_it_is_and_what_a_worker_has_open(market: Market, office: Seat):
    client = await market.client()
    market.curtain.wait_at(1)
    running = (await market.order(client, wait=0, count=4)).json()["id"]
    await state_of(client, running, wanted="running")
    waiting = (await market.order(client, wait=0, count=2)).json()["id"]

    async with market.gateway.house() as conn:
        queue = await read_queue(conn, market.gateway)
    text = await office.read("/office/machines")
    market.curtain.wait_at(None)
    await state_of(client, waiting, wanted="settled")
    async with market.gateway.house() as conn:
        after = await read_queue(conn, market.gateway)

    assert (queue.waiting, queue.running, queue.pictures) == (1, 1, 6)
    assert queue.row_steps > 0
    assert queue.eta_s is not None
    assert "Orders that wait 1 The last is drawn in about" in text
    assert "Being drawn 1 6 pictures in all" in text
    assert (after.waiting, after.running, after.row_steps, after.eta_s) == (0, 0, 0, None)


async def test_a_worker_says_its_version_its_memory_its_knee_and_its_gpus(
    market: Market, office: Seat, nvidia_smi: Path
):
    told = await Machine("worker", steps="1", takes=["pictures"]).describe()
    client = await market.client()
    await market.order(client)

    async with market.gateway.house() as conn:
        (one,) = [one for one in await list_executors(conn) if one.role == "both"]

    assert (told["version"], told["places"][1]) == ("0.1.0", market.settings.max_rows)
    assert 0 < told["memory"] < told["memory_all"]
    assert [gpu["name"] for gpu in told["gpus"]] == ["NVIDIA H200", "A card with no counters"]
    assert told["gpus"][0] == {
        "name": "NVIDIA H200",
        "busy": 0.37,
        "memory": 1024 * 1024**2,
        "memory_all": 143771 * 1024**2,
    }
    assert told["gpus"][1]["busy"] is None
    assert told["bases"]["tiny"]["knee"] > 0
    assert one.machine["memory"] > 0
    assert "process" in await office.read("/office/machines")


async def test_a_machine_without_a_gpu_or_with_a_broken_driver_says_nothing_of_gpus(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch
):
    nvidia_smi.write_text("#!/bin/sh\nexit 9\n")
    broken = await read_gpus()
    nvidia_smi.write_text("this is no program")
    nonsense = await read_gpus()
    monkeypatch.setenv("PATH", "/nowhere")

    assert (broken, nonsense, await read_gpus(), parse_gpus("")) == ([], [], [], [])


async def test_what_failed_and_what_is_held_for_long_is_told_with_its_reason(
    market: Market, office: Seat, clock: MovableClock
):
    client = await market.client()
    order = (await market.order(client)).json()
    market.curtain.wait_at(1)
    stuck = (await market.order(client, wait=0)).json()["id"]
    await state_of(client, stuck, wanted="running")
    async with market.owner() as conn:
        await conn.execute(
            "UPDATE service.generations SET state = 'failed', message = 'The lamp went out.' WHERE id = $1", order["id"]
        )
    now = market.gateway.clock()
    async with market.gateway.house() as conn:
        soon = await long_held(conn, now=now + timedelta(minutes=50))
        later = await long_held(conn, now=now + timedelta(minutes=70))
        found = await needs(conn, now=now, failed=[], held=later)
    text = await office.read("/office/machines")
    front = await office.read("/office")
    market.curtain.wait_at(None)
    await state_of(client, stuck, wanted="settled")

    assert soon == []
    assert [(one.order_id, one.waits_for_creator) for one in later] == [(stuck, False)]
    assert [(one.kind, one.num) for one in found] == [("holds", 1)]
    assert "Order of Inky Apples" in text
    assert "The lamp went out." in text
    assert "1 failure in the last day" in front


async def test_the_rules_of_the_ledger_are_all_there_with_their_differences(market: Market, office: Seat):
    async with market.owner() as conn:
        await conn.execute("DELETE FROM licensing.audit")
    before = await office.read("/office/machines")
    await audit_ledger(market.gateway)
    text = await office.read("/office/machines")

    assert "Not looked at yet" in before
    assert "0 differences" in text
    assert all(f"{rule} 0" in text for rule in RULES)


async def test_what_needs_a_person_comes_by_its_date_and_then_by_how_long_it_waits(market: Market, office: Seat):
    client = await market.client()
    order = (await market.order(client)).json()
    words = {"ground": "other", "words": "It is not what I asked for."}
    opened = await client.http.post(f"/v1/outputs/{order['outputs'][0]['id']}/disputes", json=words)
    assert opened.status_code == 201, opened.text
    now = market.gateway.clock()

    async with market.gateway.house() as conn:
        await conn.execute(
            "INSERT INTO service.cases (id, kind, subject, creator_id, evidence, opened_at)"
            " VALUES ('cas_1', 'near_duplicate', 'wrk_1', $1, '{}', $2)",
            *(market.creator.account.id, now - timedelta(days=30)),
        )
        found = await needs(conn, now=now, failed=[], held=[])
        await conn.execute("DELETE FROM service.cases WHERE id = 'cas_1'")
    front = await office.read("/office")

    assert [one.kind for one in found] == ["disputes", "cases"]
    assert found[0].due is not None
    assert "1 dispute Due" in front


async def test_what_a_base_makes_that_is_not_for_commerce_is_not_sold_anywhere(
    market: Market, office: Seat, licence: Any, sit: Sit
):
    creator, client = market.creator.http, await market.client()
    style = f"/v1/styles/{market.style_id}"
    version = (await creator.get(f"{style}/versions")).json()["items"][0]["id"]
    tiers = {"tiers": {"personal": {"price": {"amount": 90, "currency": "EUR"}}}}
    before = await market.order(client)

    licence('licence = "CC-BY-NC-4.0"')
    tried = {
        "publish": await creator.post(f"/v1/versions/{version}/publish"),
        "price": await creator.patch(style, json=tiers),
        "new style with a price": await creator.post("/v1/styles", json={"name": "A", "summary": "B", **tiers}),
        "quote": await client.http.post("/v1/quotes", json={"style": market.style_id, "prompt": "an apple"}),
        "order": await market.order(client),
        "licence": await client.http.post("/v1/licences", json={"style": market.style_id, "tier": "personal"}),
    }
    studio = await sit(market.creator)
    page = await studio.send(f"/studio/styles/{market.style_id}/versions/{version}")
    shown = await office.read("/office/bases")
    public = words_of((await market.stranger.get(f"/styles/{market.style_id}")).text)
    words_only = await creator.patch(style, json={"summary": "Round and inky"})
    licence('licence = "MIT"')
    after = await market.order(client)

    assert before.status_code == 201
    assert {name: (answer.status_code, slug_of(answer)) for name, answer in tried.items()} == dict.fromkeys(
        tried, (403, "base_not_for_sale")
    )
    assert "Its licence, CC-BY-NC-4.0, is not for commercial use." in tried["order"].json()["detail"]
    assert page.status_code == 403
    assert "Nothing made with the base tiny can be sold here" in words_of(page.text)
    assert "Tiny Not for sale" in shown
    assert "Inky Apples by" in shown
    assert "Not for sale." in public
    assert "Make a picture" not in public
    assert words_only.status_code == 200
    assert after.json()["state"] == "settled"


async def test_a_licence_that_nobody_knows_is_not_for_sale_until_the_file_says_so(
    market: Market, office: Seat, licence: Any
):
    licence('licence = "Our-Own-1.0"')
    unknown = await office.read("/office/bases")
    licence('licence = "Our-Own-1.0"\ncommercial = true')
    said = await office.read("/office/bases")

    assert "Nobody here knows whether its licence, Our-Own-1.0, lets pictures be sold." in unknown
    assert "Not for sale" in unknown
    assert "Not for sale" not in said
    assert "Its file says that what is made under Our-Own-1.0 may be sold." in said


async def test_everybodys_record_is_read_by_who_what_when_and_style(market: Market, office: Seat):
    other: Person = await market.person("creator")
    style_id = await make_style(other, name="Quiet lines")
    now = market.gateway.clock()
    async with market.gateway.house() as conn:
        await audit.note(
            conn,
            "sale_refunded",
            account_id=other.account.id,
            by=Who(role="operator", actor="x"),
            now=now,
            subject="o1",
        )
        await audit.note(
            *(conn, "dues_waived"),
            account_id=other.account.id,
            by=Who(role="operator", actor="x"),
            now=now - timedelta(days=40),
            amount="EUR 2.00",
        )
    today, long_ago = f"{now:%Y-%m-%d}", f"{now - timedelta(days=40):%Y-%m-%d}"

    everything = await office.read("/office/audit")
    theirs = await office.read(f"/office/audit?who={other.account.email}")
    refunds = await office.read(f"/office/audit?who={other.account.id}&what=sale_refunded&since={today}&until={today}")
    of_style = await office.read(f"/office/audit?style={style_id}")
    old = await office.read(f"/office/audit?who={other.account.id}&since={long_ago}&until={long_ago}")
    wrong = [
        await office.http.get(f"/office/audit?{query}", headers={"Accept": "text/html"})
        for query in ("who=nobody@example.org", "what=everything", "since=tomorrow", "before=x")
    ]

    assert "Quiet lines was made." in everything
    assert "Inky Apples was made." in everything
    assert "Quiet lines was made." in theirs
    assert "Inky Apples" not in theirs
    assert "The sale of picture o1 was taken back" in refunds
    assert "Quiet lines was made." not in refunds
    assert "Quiet lines was made." in of_style
    assert "o1" not in of_style
    assert "EUR 2.00 of your monthly fee was waived" in old
    assert "EUR 2.00 of your monthly fee" not in theirs, "without a date the last week is shown"
    assert [answer.status_code for answer in wrong] == [404, 422, 422, 422]


async def test_a_long_record_goes_on_on_the_next_page_without_a_gap(market: Market, office: Seat):
    other: Person = await market.person("client")
    now = market.gateway.clock()
    async with market.gateway.house() as conn:
        for number in range(70):
            await audit.note(
                *(conn, "sale_refunded"),
                account_id=other.account.id,
                by=Who(role="operator", actor="x"),
                now=now - timedelta(seconds=number // 3),
                subject=f"out_{number:03}_",
            )
    first = await office.http.get(f"/office/audit?who={other.account.id}", headers={"Accept": "text/html"})
    (older,) = [part.split('"')[0] for part in first.text.split('href="')[1:] if "before=" in part.split('"')[0]]
    second = await office.http.get(older.replace("&amp;", "&"), headers={"Accept": "text/html"})

    seen = [[number for number in range(70) if f"out_{number:03}_" in page.text] for page in (first, second)]
    assert first.text.count("<tr>") == 50 + 1, "and the table's head"
    assert sorted(seen[0] + seen[1]) == list(range(70))


async def test_pages_of_the_office_are_for_the_operator(market: Market):
    creator = browser(market, await sign_in(market, market.creator.account))
    for path in ("setup", "machines", "bases", "audit"):
        answer = await creator.get(f"/office/{path}", headers={"Accept": "text/html"})
        assert answer.status_code == 403, path
