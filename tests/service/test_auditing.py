"""The nightly audit: once a day among all processes, loud where something is wrong, and what the office shows of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from licensing.audits import last_audit
from licensing.checkpoints import read_checkpoint
from service.auditing import PREFIX, audit_ledger, checkpoints_in
from service.resources import Gateway
from tests.service.conftest import Person, Place, browser, sign_in


def days_later(web: Gateway, days: int) -> Gateway:
    """The same gateway on another day."""
    then = web.clock() + timedelta(days=days)
    return replace(web, clock=lambda: then)


async def test_of_many_processes_one_audits_and_leaves_a_checkpoint_outside_the_database(place: Place):
    web = days_later(place.gateway, 10)
    now = web.clock().replace(microsecond=0)

    await asyncio.gather(*(audit_ledger(web) for _ in range(4)))

    # The place itself may audit meanwhile, by its own clock.
    copies = [one for one in checkpoints_in(web.storage) if read_checkpoint(web.authority, one).at == now]
    assert len(copies) == 1
    async with web.pool.acquire() as conn:
        found = await last_audit(conn)
        assert await conn.fetchval("SELECT count(*) FROM licensing.checkpoint WHERE document = $1", copies[-1]) == 1
    assert (found.ended_at, found.problems) == (web.clock(), ())


async def test_what_an_audit_finds_is_said_loudly_and_shown_in_the_office(
    place: Place, operator: Person, caplog: pytest.LogCaptureFixture
):
    office = browser(place, await sign_in(place, operator.account))
    web = days_later(place.gateway, 20)
    await audit_ledger(web)
    well = (await office.get("/office")).text
    key = f"{PREFIX}2026-01-01-000001.jws"
    web.storage.put(key, b"no.checkpoint.atall")

    await audit_ledger(days_later(web, 1))
    ill = (await office.get("/office")).text
    web.storage.delete(key)
    await audit_ledger(days_later(web, 2))

    assert "every signed checkpoint agree" in well
    assert "Adds up" in well
    assert "Does not add up" in ill
    assert "no key of this place fits its signature" in ill
    critical = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert ["the ledger is not as it should be: checkpoints are signed here" in one.message for one in critical] == [
        True
    ]
    assert "Adds up" in (await office.get("/office")).text


async def test_an_audit_that_broke_is_no_result(place: Place, monkeypatch: pytest.MonkeyPatch):
    web = days_later(place.gateway, 30)
    async with web.pool.acquire() as conn:
        before = await last_audit(conn)

    class Full:
        def list_keys(self, prefix: str) -> list[str]:
            return []

        def put(self, key: str, content: bytes) -> None:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        await audit_ledger(replace(web, storage=Full()))
    async with web.pool.acquire() as conn:
        assert await last_audit(conn) == before
    later = web.clock() + timedelta(hours=7)
    await audit_ledger(replace(web, clock=lambda: later))
    async with web.pool.acquire() as conn:
        assert (await last_audit(conn)).started_at == later
