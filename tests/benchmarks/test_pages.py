"""A full place, made small: what is written down is sound, and every page and answer is asked for and comes."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from licensing.ledger import check
from tests.benchmarks.crowd.filling import Crowd, fill
from tests.benchmarks.crowd.hand import owner
from tests.benchmarks.crowd.size import Size
from tests.benchmarks.pages import asks, opened
from tests.postgres import Server
from tests.service.tally import tallied

STATEMENTS_MAX = 30
"""No page needs as many; one that asks for each of its rows does."""


@dataclass(frozen=True, kw_only=True)
class Filled:
    url: str
    folder: Path
    crowd: Crowd


@pytest.fixture(scope="module")
def filled(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("crowd")
    url = postgres.url("ownhand_crowd")
    crowd = asyncio.run(fill(url, folder, Size(styles=30, works=90, generations=120), seed=1, say=lambda _: None))
    yield Filled(url=url, folder=folder, crowd=crowd)
    postgres.drop_database("ownhand_crowd")


async def test_the_ledger_of_a_year_that_was_made_adds_up(filled: Filled):
    conn = await owner(filled.url)
    try:
        assert list(await check(conn)) == []
        sold = await conn.fetchval("SELECT count(*) FROM service.outputs")
        assert sold == await conn.fetchval("SELECT count(*) FROM licensing.output") > 80
    finally:
        await conn.close()


async def test_every_page_and_answer_comes_and_asks_for_no_row_by_itself(filled: Filled):
    with tallied() as tally:
        async with opened(filled.url, filled.folder, filled.crowd, tally) as place:
            answers = {name: await ask() for name, ask in await asks(place)}
            tally.is_on = True
            counted = {}
            for name, ask in await asks(place):
                tally.statements.clear()
                await ask()
                counted[name] = len(tally.statements)

    assert len(answers) > 140
    broken = {name: answer.status_code for name, answer in answers.items() if answer.status_code not in (200, 303, 409)}
    assert not broken
    # An export sends everything there is, one style and one month after the other.
    del counted["GET /v1/export"]
    assert {name: number for name, number in counted.items() if number > STATEMENTS_MAX} == {}
