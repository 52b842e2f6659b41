"""The self test: every step is really done, nothing of it is anywhere afterwards, and a failure says what to do."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service import self_testing
from service.auditing import PREFIX as CHECKPOINTS
from service.doctor import examine
from service.self_tests import GIVEN_UP_AFTER, STEPS, SelfTest, ask_for_one, last_self_test
from tests.service.conftest import draw
from tests.service.market import Market, MovableClock, clock, open_market
from tests.service.pages.conftest import Seat, Sit

__all__ = ["clock"]

PATIENCE_S = 300.0
OWN = {"service.self_tests", "service.executors", "service.audit", "service.sessions"}
OWN |= {"licensing.audit", "licensing.checkpoint", "licensing.closing"}
"""Tables that change while a self test runs: its result, what is heard of processes, who signed in to ask; and the
nightly look at the ledger, whose hour may just have come."""


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    folder = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, clock=clock, forms_per_minute=10_000) as opened:
        opened.gateway.settings.configs.joinpath("recipes").mkdir(exist_ok=True)
        yield opened
        opened.curtain.wait_at(None)


@pytest.fixture
async def office(market: Market, sit: Sit) -> Seat:
    return await sit(await market.person("operator"))


async def test_a_self_test_trains_draws_seals_and_verifies_and_leaves_only_its_result(market: Market, office: Seat):
    before, files = await counts(market), files_of(market)

    asked = await office.send("/office/setup/self-test", base="tiny")
    ended = await until_over(market)
    text = await office.read("/office/setup")

    assert asked.status_code == 303
    assert (ended.state, ended.problem) == ("passed", None)
    assert [step["name"] for step in ended.steps] == list(STEPS)
    assert ended.done["train"].seconds > 0.5, "a model was really trained"
    assert "32 x 32 pixels" in ended.done["draw"].sentence
    assert market.curtain.requests[-1].adapters[0].trigger, "the model that was trained is the one that draws"
    assert await counts(market) == before, "no sale, no money, no style, no file of anybody's"
    assert files_of(market) == files
    assert not (market.settings.home / "scratch" / self_testing.SCRATCH).exists()
    assert await market.ledger_problems() == []
    assert "Passed" in text
    assert "Run it again" in text


async def test_a_training_that_breaks_ends_the_test_with_a_sentence_and_nothing_left(
    market: Market, office: Seat, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(self_testing, "trainer_command", lambda settings: ["false"])
    files = files_of(market)

    await office.send("/office/setup/self-test", base="tiny")
    ended = await until_over(market)
    text = await office.read("/office/setup")

    assert ended.state == "failed"
    assert ended.problem is not None
    assert "The trainer ended with status 1" in ended.problem
    assert "ownhand doctor" in ended.problem
    assert (ended.steps, ended.at) == ([], "train")
    assert ended.problem.split(":")[0] in text
    assert files_of(market) == files


async def test_a_seal_that_cannot_be_read_fails_the_step_that_verifies(
    market: Market, office: Seat, monkeypatch: pytest.MonkeyPatch
):
    async def made(*_: object) -> self_testing.Made:
        return self_testing.Made(png=draw(), adapter_sha256="1" * 64)

    monkeypatch.setattr(self_testing, "make", made)
    monkeypatch.setattr(self_testing.seal, "seal", lambda authority, png, mime, claim: png)
    await office.send("/office/setup/self-test", base="tiny")
    ended = await until_over(market)

    assert ended.state == "failed"
    assert ended.problem is not None
    assert ended.problem.startswith("The seal of the picture reads as absent")
    assert list(ended.done) == ["seal"]


async def test_one_is_asked_for_at_a_time_until_nobody_came_for_it(market: Market, clock: MovableClock):
    web = market.gateway
    async with web.house() as conn:
        first, is_new = await ask_for_one(conn, base="tiny", now=clock(), new_id=web.new_id)
        again, is_new_again = await ask_for_one(conn, base="tiny", now=clock(), new_id=web.new_id)
        later, is_new_later = await ask_for_one(conn, base="tiny", now=clock() + GIVEN_UP_AFTER, new_id=web.new_id)
        gone = await conn.fetchrow("SELECT state, problem FROM service.self_tests WHERE id = $1", first.id)
        await conn.execute("DELETE FROM service.self_tests WHERE id = $1", later.id)

    assert (is_new, is_new_again, is_new_later) == (True, False, True)
    assert again.id == first.id
    assert gone["state"] == "failed"
    assert "start one with: ownhand worker" in gone["problem"]


async def test_a_base_that_is_not_there_is_no_base(office: Seat):
    answer = await office.send("/office/setup/self-test", base="../prices")

    assert answer.status_code == 422
    assert "is none of" in answer.text


async def test_set_up_says_what_this_place_is_and_how_each_thing_is_changed(market: Market, office: Seat):
    text = await office.read("/office/setup")

    assert "Your fee 15 % of every price Set operator_fee_bps in configs/prices.toml" in text
    assert "Passwords none is set by default" in text
    assert "Seller on invoices nobody" in text
    assert "Missing Without a seller no invoice is issued" in text
    assert "Its licence, MIT, lets anybody sell what is made with it." in text


async def until_over(market: Market) -> SelfTest:
    for _ in range(int(PATIENCE_S / 0.1)):
        async with market.gateway.house() as conn:
            found = await last_self_test(conn)
        if found is not None and found.is_over:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


def files_of(market: Market) -> set[str]:
    """All that lies in the storage, but what the nightly look at the ledger leaves there."""
    return {key for key in market.gateway.storage.list_keys("") if not key.startswith(CHECKPOINTS)}


async def counts(market: Market) -> dict[str, int]:
    async with market.owner() as conn:
        tables = await conn.fetch(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('licensing', 'service')"
        )
        return {
            row["name"]: await conn.fetchval(f"SELECT count(*) FROM {row['name']}")
            for row in tables
            if row["name"] not in OWN
        }


async def test_the_doctor_does_the_same_in_one_process_and_says_what_broke(market: Market):
    settings = replace(market.settings, database_url=market.database_url)
    before = await counts(market)

    well, broken = [
        next(one for one in await examine(tried, with_self_test=True) if one.subject == "self test")
        for tried in (settings, replace(settings, trainer="false"))
    ]

    assert well.is_well, well.sentence
    assert re.fullmatch(
        r"train [\d.]+ s; draw [\d.]+ s; seal [\d.]+ s; verify [\d.]+ s; nothing of it is left", well.sentence
    )
    assert not broken.is_well
    assert broken.sentence.startswith("The trainer ended with status 1")
    assert await counts(market) == before
    assert not (settings.home / "scratch" / self_testing.SCRATCH).exists()
