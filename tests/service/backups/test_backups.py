"""A place is backed up while it runs and made again elsewhere: same books, same pictures, what was off stays off."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.auditing import PREFIX as CHECKPOINTS
from service.auditing import audit_ledger
from service.backups.drill import look_after
from service.backups.dumps import dumping
from service.backups.keys import PLACE, BackupKeys
from service.backups.restoring import Restored, restore
from service.backups.shelf import DATABASE, MANIFEST, OBJECTS, Shelf
from service.backups.switches import FILE, Switched, note_switches, read_switches, stricter_since
from service.backups.taking import Taken, take_backup
from service.clock import utc_now
from service.db import connections as database
from service.errors import NotStarted
from service.outputs import move_output
from service.pending import PREFIX, final_key
from service.resources import Gateway
from service.settings import Settings
from tests.postgres import Server
from tests.service.conftest import connect
from tests.service.market import Market, open_market, publish_style, write_style_adapter


@pytest.fixture
async def market(database_url: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


def shelf_of(market: Market, tmp_path: Path) -> Shelf:
    return Shelf(folder=tmp_path / "backups", keys=BackupKeys(folder=market.settings.backup_keys_folder))


@pytest.fixture
def shelf(market: Market, tmp_path: Path) -> Shelf:
    return shelf_of(market, tmp_path)


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Another machine: an empty home and an empty database."""

    settings: Settings
    database_url: str


@contextmanager
def another_machine(market: Market, postgres: Server, tmp_path: Path) -> Iterator[Elsewhere]:
    name = postgres.create_database()
    (tmp_path / "elsewhere").mkdir()
    yield Elsewhere(settings=replace(market.settings, home=tmp_path / "elsewhere"), database_url=postgres.url(name))
    postgres.drop_database(name)


@pytest.fixture
def elsewhere(market: Market, postgres: Server, tmp_path: Path) -> Iterator[Elsewhere]:
    with another_machine(market, postgres, tmp_path) as made:
        yield made


async def back_up(market: Market, shelf: Shelf, database_url: str) -> Taken:
    return await asyncio.to_thread(take_backup, market.settings, database_url, shelf, now=utc_now())


async def bring_back(shelf: Shelf, backup: Path, elsewhere: Elsewhere) -> Restored:
    return await asyncio.to_thread(restore, elsewhere.settings, elsewhere.database_url, shelf, backup, now=utc_now())


async def another_style(market: Market, tmp_path: Path, *, seed: int, name: str) -> str:
    web = market.gateway
    adapter = write_style_adapter(web.settings.configs, tmp_path / f"{seed}.safetensors", seed=seed)
    return await publish_style(web, market.creator, adapter, name=name)


async def ask(database_url: str, question: str) -> Any:
    conn = await database.connect(database_url)
    try:
        return await conn.fetchval(question)
    finally:
        await conn.close()


async def quote(http: httpx.AsyncClient, style_id: str) -> str:
    """The last part of a refusal's type, or `open`."""
    answer = await http.post("/v1/quotes", json={"style": style_id, "prompt": "a boat", "tier": "personal"})
    return "open" if answer.status_code == 200 else str(answer.json()["type"]).rpartition("/")[2]


def on_day(web: Gateway, days: int) -> Gateway:
    """The same gateway some days from now, when the ledger is looked at again."""
    then = web.clock() + timedelta(days=days)
    return replace(web, clock=lambda: then)


async def emptied(market: Market, style_id: str) -> None:
    web = market.gateway
    for _ in range(600):
        async with web.house() as conn:
            if await conn.fetchval("SELECT emptied_at FROM service.styles WHERE id = $1", style_id):
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{style_id} was not emptied")


async def moved(market: Market, output_id: str) -> bytes:
    """A sold picture, once it lies where it stays, which is a moment after its order is settled."""
    web = market.gateway
    for _ in range(600):
        async with web.house() as conn:
            key = await conn.fetchval("SELECT storage_key FROM service.outputs WHERE id = $1", output_id)
        if key == final_key(output_id):
            return web.storage.get(key)
        await asyncio.sleep(0.05)
    raise AssertionError(f"{output_id} was not moved")


async def test_a_place_is_made_of_last_nights_backup(database_url: str, postgres: Server, tmp_path: Path):
    async with open_market(database_url, tmp_path) as market:
        shelf = shelf_of(market, tmp_path)
        doomed = await another_style(market, tmp_path, seed=2, name="Doomed")
        hushed = await another_style(market, tmp_path, seed=3, name="Hushed")
        reopened = await another_style(market, tmp_path, seed=4, name="Reopened")
        await market.switch("off", reopened)
        client = await market.client()
        bought = (await market.order(client, tier="personal", count=2)).json()
        assert bought["state"] == "settled", bought
        file = f"/v1/outputs/{bought['outputs'][0]['id']}/file"
        picture = (await client.http.get(file)).content

        taken = await back_up(market, shelf, database_url)
        await market.switch("off", hushed)
        await market.switch("live", reopened)
        await market.switch("destroyed", doomed)
        await emptied(market, doomed)
        await note_switches(market.gateway)
    with another_machine(market, postgres, tmp_path) as elsewhere:
        restored = await bring_back(shelf, taken.folder, elsewhere)
        findings = await look_after(elsewhere.settings, elsewhere.database_url, restored, now=utc_now())
        assert not [finding for finding in findings if not finding.is_well]
        assert restored.num_lost == 1, "the adapter of what was destroyed after the backup is noise"
        assert restored.num_objects == taken.num_objects - 1
        books = "SELECT md5(string_agg(e::text, '' ORDER BY e::text)) FROM licensing.entry e"
        assert await ask(elsewhere.database_url, books) == await ask(database_url, books)

        app = create_app(elsewhere.settings, elsewhere.database_url)
        async with app.router.lifespan_context(app):
            http = connect(app, client.http.headers["Authorization"].removeprefix("Bearer "))
            assert (await http.get(file)).content == picture, "with the same key, the same file"
            levels = {style_id: (await http.get(f"/v1/styles/{style_id}")).status_code for style_id in (doomed, hushed)}
            assert levels == {doomed: 410, hushed: 200}
            quotes = [await quote(http, style_id) for style_id in (doomed, hushed, reopened, market.style_id)]
            assert quotes == ["style_destroyed", "style_off", "style_off", "open"], (
                "looser since is not taken for granted"
            )


async def test_a_picture_that_moves_meanwhile_is_taken_under_the_name_that_the_snapshot_has(
    market: Market, shelf: Shelf, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """It was just paid for: its row says where it was made, and when its turn comes it lies where it stays."""
    web = market.gateway
    client = await market.client()
    output_id = (await market.order(client, tier="personal", seed=31)).json()["outputs"][0]["id"]
    here, there = f"{PREFIX}{output_id}/1.sealed.png", final_key(output_id)
    content = await moved(market, output_id)
    async with web.house() as conn:
        await move_output(conn, output_id, storage_key=here)
    web.storage.put(here, content)
    web.storage.delete(there)
    listed = web.storage.list_keys

    def list_and_move(_: object, prefix: str) -> Iterator[str]:
        for key in sorted(listed(prefix)):
            # What stays comes before what is on its way: neither place has it when its turn comes.
            if key == here and not prefix:
                web.storage.put(there, content)
                web.storage.delete(here)
            yield key

    monkeypatch.setattr(type(web.storage), "list_keys", list_and_move)
    taken = await back_up(market, shelf, database_url)

    kept = {one.key: one for one in await asyncio.to_thread(shelf.read_objects, taken.folder)}
    assert kept[here].sha256 == hashlib.sha256(content).hexdigest()
    assert there not in kept


@pytest.fixture
def own_database_url(postgres: Server, migrated: str) -> Iterator[str]:
    """A database that no other test has sold in."""
    name = postgres.create_database(template=migrated)
    yield postgres.url(name)
    postgres.drop_database(name)


async def test_a_checkpoint_of_what_the_snapshot_has_not_seen_is_not_taken(
    own_database_url: str, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The nightly look at the ledger comes while a backup is taken, and signs for a sale that the dump has not."""
    async with open_market(own_database_url, tmp_path) as market:
        web, shelf = market.gateway, shelf_of(market, tmp_path)
        client = await market.client()
        await market.order(client, tier="personal")
        await audit_ledger(on_day(web, 1))
        known = set(web.storage.list_keys(CHECKPOINTS))
        assert known
        loop = asyncio.get_running_loop()

        async def sell_and_audit() -> None:
            await market.order(client, tier="personal", seed=8)
            await audit_ledger(on_day(web, 2))

        @contextmanager
        def dumping_meanwhile(url: str, snapshot: str) -> Iterator[Any]:
            asyncio.run_coroutine_threadsafe(sell_and_audit(), loop).result()
            with dumping(url, snapshot) as dump:
                yield dump

        monkeypatch.setattr("service.backups.taking.dumping", dumping_meanwhile)
        taken = await back_up(market, shelf, own_database_url)

        assert len(set(web.storage.list_keys(CHECKPOINTS)) - known) >= 1
        kept = await asyncio.to_thread(shelf.read_objects, taken.folder)
        assert {one.key for one in kept if one.key.startswith(CHECKPOINTS)} == known
    with another_machine(market, postgres, tmp_path) as elsewhere:
        restored = await bring_back(shelf, taken.folder, elsewhere)
        findings = await look_after(elsewhere.settings, elsewhere.database_url, restored, now=utc_now())
        assert not [finding for finding in findings if not finding.is_well]


async def test_a_second_backup_holds_what_is_new_and_the_first_goes_whole(
    market: Market, shelf: Shelf, database_url: str, tmp_path: Path
):
    client = await market.client()
    await market.order(client, tier="personal")
    first = await back_up(market, shelf, database_url)
    assert first.num_new == first.num_objects > 0
    await asyncio.sleep(1)
    order = (await market.order(client, tier="personal", seed=8)).json()
    second = await back_up(market, shelf, database_url)
    assert second.num_new == 1, "one picture was sold meanwhile"

    assert await asyncio.to_thread(shelf.prune, 1) == (1, 0)
    assert shelf.backups() == [second.folder]
    kept = await asyncio.to_thread(shelf.read_objects, second.folder)
    assert f"outputs/{order['outputs'][0]['id']}.png" in {one.key for one in kept}
    assert all(shelf.content(one).exists() for one in kept)


async def test_nothing_of_a_backup_can_be_read_without_the_keys(market: Market, shelf: Shelf, database_url: str):
    taken = await back_up(market, shelf, database_url)
    files = [path for path in shelf.folder.rglob("*") if path.is_file() and path.stat().st_size]
    assert all(path.read_bytes().startswith(b"age-encryption.org/v1") for path in files)
    pepper = (market.settings.home / "keys" / "pepper").read_bytes()
    assert not any(pepper in path.read_bytes() for path in files)
    others = Shelf(folder=shelf.folder, keys=BackupKeys(folder=shelf.folder.parent / "nowhere"))
    with pytest.raises(NotStarted, match="OWNHAND_BACKUP_KEYS"):
        others.read_objects(taken.folder)


@pytest.mark.parametrize("name", [MANIFEST, DATABASE, OBJECTS])
async def test_a_damaged_backup_is_refused_and_changes_nothing(
    market: Market, shelf: Shelf, elsewhere: Elsewhere, database_url: str, name: str
):
    taken = await back_up(market, shelf, database_url)
    path = taken.folder / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(NotStarted, match=name):
        await bring_back(shelf, taken.folder, elsewhere)
    assert await ask(elsewhere.database_url, "SELECT count(*) FROM service.accounts") == 0


async def test_a_place_that_is_in_use_is_not_written_over(market: Market, shelf: Shelf, database_url: str):
    taken = await back_up(market, shelf, database_url)
    here = Elsewhere(settings=market.settings, database_url=database_url)
    with pytest.raises(NotStarted, match="accounts already"):
        await bring_back(shelf, taken.folder, here)


async def test_two_backups_at_once_are_one_after_the_other(market: Market, shelf: Shelf, database_url: str):
    with shelf.alone(), pytest.raises(NotStarted, match="another backup"):
        await back_up(market, shelf, database_url)
    assert shelf.backups() == []


def test_a_key_that_was_forgotten_is_never_made_again(tmp_path: Path):
    keys = BackupKeys(folder=tmp_path)
    made, own = keys.of("sty_1"), keys.of(PLACE)
    assert str(keys.of("sty_1")) == str(made)
    assert str(own) != str(made)
    assert (tmp_path / "sty_1.txt").stat().st_mode & 0o077 == 0
    keys.forget("sty_1")
    assert keys.of("sty_1") is None
    assert keys.find("sty_1") is None
    assert str(keys.of(PLACE)) == str(own)


async def test_changes_of_switches_are_noted_once_and_after_a_cut_off_line(market: Market):
    web = market.gateway
    await market.switch("off")
    await note_switches(web)
    path = web.settings.backup_keys_folder / FILE
    noted = read_switches(path)
    with path.open("a") as file:
        file.write(json.dumps({"event_no": 99})[:9])
    await market.switch("live")
    await note_switches(web)
    await note_switches(web)
    again = read_switches(path)
    assert [one.level for one in again if one.style_id == market.style_id] == ["off", "live"]
    assert again[: len(noted)] == noted
    assert len({one.event_no for one in again}) == len(again)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([(5, "off")], []),
        ([(11, "off")], ["off"]),
        ([(11, "off"), (12, "live")], []),
        ([(12, "live"), (11, "off")], []),
        ([(11, "closed")], []),
        ([(11, "destroyed"), (12, "off")], ["off"]),
    ],
)
def test_what_is_stricter_than_at_the_backup_counts(changes: list[tuple[int, Any]], wanted: list[str]):
    noted = [
        Switched(event_no=number, creator_id="acc_1", style_id="sty_1", client_id="", level=level)
        for number, level in changes
    ]
    found = stricter_since(noted, after=10, now={("acc_1", "sty_1", ""): "paused"})
    assert [one.level for one in found] == wanted
