"""The data-use ledger: every opening of a creator's file is a line, and a job that mixes creators opens nothing."""

import asyncio
import hashlib
import threading
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from service.data_use import PURPOSES, Use, check_files, open_files, read_file
from service.db.tables import DATA_USE_PURPOSES
from service.db.tenancy import acting_for
from service.errors import FileRefused, ObjectMissing
from service.heartbeats import this_process
from service.resources import Gateway
from service.storage import Storage
from service.storage.closed import Closed
from service.who import Who
from service.works import StoredWork, hashes_of, list_works
from tests.service.conftest import Person, Place, browser, draw, sign_in, slug_of, upload, wait_for, with_works
from tests.service.test_cases import add, as_file, case_of, picture
from tests.service.test_trainings import start


class Counting:
    """A storage that notes what was read."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get(self, key: str) -> bytes:
        with self._lock:
            self.read.append(key)
        return self._storage.get(key)


@pytest.fixture
def counting(place: Place) -> Counting:
    return Counting(place.gateway.storage.unlocked)


@pytest.fixture
def counted(place: Place, counting: Counting) -> Gateway:
    return replace(place.gateway, storage=Closed(counting))


@pytest.fixture
def stories_counted(counted: Gateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """The stories of this place read through the counting storage."""
    monkeypatch.setattr("service.workflows._resources", counted)
    return counted


async def uses_of(person: Person, **query: Any) -> list[dict[str, Any]]:
    answer = await person.http.get("/v1/data-use", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def works_of(place: Place, person: Person, style_id: str) -> list[StoredWork]:
    async with place.gateway.pool.acquire() as conn:
        return await list_works(conn, style_id=style_id, creator_id=person.account.id)


async def trained(person: Person, style_id: str) -> dict[str, Any]:
    return await wait_for(person, await start(person, style_id), "passed")


def training(job: str) -> Use:
    return Use(purpose="training", by=this_process(), job=job)


def test_the_ledger_and_the_database_know_the_same_purposes():
    assert PURPOSES == DATA_USE_PURPOSES


async def test_a_training_is_one_line_with_the_hash_of_every_work(creator: Person, place: Place):
    style_id = await with_works(creator, count=6)
    done = await trained(creator, style_id)

    lines = [one for one in await uses_of(creator, style=style_id) if one["purpose"] == "training"]

    filed, laid = lines
    assert (laid["job"], laid["num_files"], laid["refused"]) == (done["id"], 6, None)
    assert laid["who"] == {"role": "place", "key": None, "session": None}
    assert laid["process"] == this_process().actor
    assert (filed["job"], filed["num_files"]) == (done["id"], 1), "its adapter is read once, to be signed"
    files = (await creator.http.get(laid["url"])).json()["files"]
    works = await works_of(place, creator, style_id)
    assert {file["key"]: file["sha256"] for file in files} == hashes_of(works)


async def test_the_line_is_there_before_the_bytes_are(creator: Person, place: Place, counted: Gateway):
    style_id = await with_works(creator)
    job = await start(creator, style_id)
    await wait_for(creator, job, "passed")
    works = await works_of(place, creator, style_id)
    before = len(await uses_of(creator))

    files = await open_files(counted, training(job), hashes_of(works))

    assert len(await uses_of(creator)) == before + 1
    assert hashlib.sha256(files.read(works[0].storage_key)).hexdigest() == works[0].sha256


async def test_a_training_with_anothers_work_slipped_in_fails_and_reads_nothing(
    creator: Person, other_creator: Person, place: Place, counting: Counting, stories_counted: Gateway
):
    mine, theirs = await with_works(creator), await with_works(other_creator)
    (slipped, *_), (host, *_) = await works_of(place, other_creator, theirs), await works_of(place, creator, mine)
    async with place.gateway.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.works SET storage_key = $2, sha256 = $3 WHERE id = $1",
            *(host.id, slipped.storage_key, slipped.sha256),
        )

    job = await start(creator, mine)
    await wait_for(creator, job, "failed")

    (seen,) = await uses_of(other_creator)
    assert (seen["purpose"], seen["job"], seen["num_files"]) == ("training", job, 1)
    assert "no version of this style" in seen["refused"]
    files = (await other_creator.http.get(seen["url"])).json()["files"]
    assert files == [{"key": slipped.storage_key, "sha256": None}]
    assert not [key for key in counting.read if key.startswith("works/")], "not even the works that were its own"
    assert not [one for one in await uses_of(creator) if one["job"] == job]


async def test_what_another_style_of_the_same_creator_shows_is_not_a_trainings_either(
    creator: Person, place: Place, counted: Gateway, counting: Counting
):
    mine, other = await with_works(creator), await with_works(creator)
    job = await start(creator, mine)
    works = [*await works_of(place, creator, mine), *await works_of(place, creator, other)]

    with pytest.raises(FileRefused, match=job):
        await open_files(counted, training(job), hashes_of(works))

    assert counting.read == []
    assert [one["num_files"] for one in await uses_of(creator, style=other) if one["refused"]] == [6]


@pytest.mark.parametrize("purpose", ["review", "description"])
async def test_a_look_opens_the_works_of_its_own_style_alone(
    creator: Person, other_creator: Person, place: Place, counted: Gateway, purpose: Any
):
    mine, theirs = await with_works(creator), await with_works(other_creator)
    use = Use(purpose=purpose, by=this_process(), job="look_1", style_id=mine)

    await open_files(counted, use, hashes_of(await works_of(place, creator, mine)))
    with pytest.raises(FileRefused):
        await open_files(counted, use, hashes_of(await works_of(place, other_creator, theirs)))

    assert [(one["purpose"], one["refused"] is None) for one in await uses_of(creator)] == [(purpose, True)]
    assert [(one["purpose"], one["refused"] is None) for one in await uses_of(other_creator)] == [(purpose, False)]


async def test_a_drawing_opens_the_files_of_its_own_version_alone(
    creator: Person, other_creator: Person, place: Place, counted: Gateway, counting: Counting
):
    mine = await trained(creator, await with_works(creator))
    theirs = await trained(other_creator, await with_works(other_creator))
    async with place.gateway.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT id, adapter_key, looks_key, report_key FROM service.versions WHERE id = ANY($1::text[])",
            [mine["version"], theirs["version"]],
        )
    keys = {row["id"]: row for row in rows}
    own, foreign = keys[mine["version"]], keys[theirs["version"]]
    use = Use(purpose="drawing", by=this_process(), job=mine["version"])

    await check_files(counted, use, [own["adapter_key"], own["looks_key"]])
    for key in (foreign["adapter_key"], foreign["looks_key"], own["report_key"]):
        with pytest.raises(FileRefused):
            await read_file(counted, use, key)

    assert counting.read == []
    assert len([one for one in await uses_of(other_creator) if one["refused"]]) == 2
    assert [one["refused"] is None for one in await uses_of(creator) if one["purpose"] == "drawing"] == [False]


async def test_a_person_opens_their_own_files_and_nobody_elses(
    creator: Person, other_creator: Person, place: Place, counted: Gateway
):
    (work, *_) = await works_of(place, other_creator, await with_works(other_creator))
    by = Who(role="creator", actor=creator.account.id, via="key_1")

    with acting_for(creator.account.id), pytest.raises(FileRefused):
        await read_file(counted, Use(purpose="export", by=by), work.storage_key)

    (seen,) = await uses_of(other_creator)
    assert seen["refused"] == "They have no right to it."
    assert seen["who"]["key"] is None, "whose key it was is not theirs to know"


async def test_looking_at_ones_own_works_is_a_line_a_day_and_a_download_is_one_each(creator: Person, place: Place):
    style_id = await with_works(creator)
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    seat = browser(place, await sign_in(place, creator.account))

    for work in works:
        await creator.http.get(work["thumbnail_url"])
        await seat.get(work["thumbnail_url"])
    for work in works[:2]:
        await creator.http.get(work["file_url"])

    lines = await uses_of(creator)
    downloads, looks = [[one for one in lines if one["purpose"] == kind] for kind in ("export", "own")]
    assert [one["num_files"] for one in downloads] == [1, 1]
    assert {bool(one["who"]["key"]) for one in looks} == {True, False}
    assert len(looks) == 2, "one by the key, one by the browser"
    assert next(one for one in looks if one["who"]["session"])["who"]["session"].startswith("ses_")


async def test_a_work_that_the_operator_sees_in_a_case_is_told_to_its_creator(
    creator: Person, other_creator: Person, operator: Person, place: Place
):
    first = await add(creator, "first.png", as_file(picture(77_001)))
    copy = await add(other_creator, "copy.jpg", as_file(picture(77_001).resize((180, 180)), format="JPEG", quality=70))
    session = await sign_in(place, operator.account)
    office = browser(place, session)
    case_id = await case_of((office, session.csrf), place, copy)

    for side in ("subject", "other"):
        assert (await office.get(f"/office/cases/{case_id}/pictures/{side}")).status_code == 200

    for person, work in ((creator, first), (other_creator, copy)):
        (seen,) = [one for one in await uses_of(person) if one["purpose"] == "case"]
        assert (seen["who"]["role"], seen["job"]) == ("operator", case_id)
        assert seen["who"]["session"] is None, "the operator's session is not theirs to know"
        (file,) = (await person.http.get(seen["url"])).json()["files"]
        assert work["id"] in file["key"]


async def test_a_case_opens_its_two_works_for_an_operator_and_no_other_file(
    creator: Person, other_creator: Person, operator: Person, place: Place, counted: Gateway
):
    first = await add(creator, "first.png", as_file(picture(77_002)))
    copy = await add(other_creator, "copy.jpg", as_file(picture(77_002).resize((180, 180)), format="JPEG", quality=70))
    await upload(creator, first["style"], ("more.png", draw()), rights="mine")
    session = await sign_in(place, operator.account)
    case_id = await case_of((browser(place, session), session.csrf), place, copy)
    (work, more) = await works_of(place, creator, first["style"])
    decides = Who(role="operator", actor=operator.account.id)
    curious = Who(role="creator", actor=other_creator.account.id)

    await read_file(counted, Use(purpose="case", by=decides, job=case_id), work.storage_key)
    with pytest.raises(FileRefused):
        await read_file(counted, Use(purpose="case", by=decides, job=case_id), more.storage_key)
    with pytest.raises(FileRefused):
        await read_file(counted, Use(purpose="case", by=curious, job=case_id), work.storage_key)

    assert [one["refused"] is None for one in await uses_of(creator)] == [False, False, True]


async def test_what_is_deleted_leaves_its_hash_in_the_ledger(creator: Person, place: Place):
    style_id = await with_works(creator)
    work, *_ = await works_of(place, creator, style_id)

    await creator.http.delete(f"/v1/works/{work.id}")

    (line,) = [one for one in await uses_of(creator) if one["purpose"] == "deletion"]
    assert (line["who"]["role"], line["num_files"]) == ("creator", 1)
    files = (await creator.http.get(line["url"])).json()["files"]
    assert files == [{"key": work.storage_key, "sha256": work.sha256}]


async def test_files_that_are_not_what_was_noted_are_not_handed_out(creator: Person, place: Place):
    style_id = await with_works(creator)
    job = await start(creator, style_id)
    work, *_ = await works_of(place, creator, style_id)
    await wait_for(creator, job, "passed")
    place.gateway.storage.put(work.storage_key, b"something else")

    files = await open_files(place.gateway, training(job), hashes_of([work]))

    with pytest.raises(ValueError, match="expected was"):
        files.read(work.storage_key)
    with pytest.raises(KeyError):
        files.read("works/another")


async def test_without_a_purpose_a_creators_file_is_not_opened_at_all(creator: Person, place: Place):
    work, *_ = await works_of(place, creator, await with_works(creator))
    storage = place.gateway.storage

    for read in (storage.get, storage.open, lambda key: storage.copy(key, "x"), lambda key: storage.move(key, "x")):
        with pytest.raises(FileRefused, match="with a purpose"):
            read(work.storage_key)
    with pytest.raises(ObjectMissing):
        storage.get("trainings/trn_1/1/examples/1.png")
    with pytest.raises(ObjectMissing):
        await read_file(place.gateway, Use(purpose="training", by=this_process(), job="trn_1"), "works/sty_1/wrk_1.png")


async def test_other_tenants_see_nothing_of_the_ledger(
    creator: Person, other_creator: Person, client: Person, place: Place
):
    style_id = await with_works(creator)
    await trained(creator, style_id)
    (line, *_) = await uses_of(creator)

    assert await uses_of(other_creator) == []
    assert await uses_of(other_creator, style=style_id) == []
    assert await uses_of(other_creator, cursor="use_zzz") == []
    assert slug_of(await other_creator.http.get(line["url"])) == "not_found"
    assert slug_of(await client.http.get("/v1/data-use")) == "forbidden"
    assert slug_of(await place.stranger.get("/v1/data-use")) == "unauthenticated"


async def test_the_ledger_comes_by_pages_and_by_style(creator: Person):
    styles = [await with_works(creator) for _ in range(2)]
    for style_id in styles:
        await trained(creator, style_id)

    whole = await uses_of(creator, limit=200)
    first = (await creator.http.get("/v1/data-use", params={"limit": 1})).json()
    rest = await uses_of(creator, cursor=first["next_cursor"])

    assert [one["id"] for one in [*first["items"], *rest]] == [one["id"] for one in whole]
    assert {one["style"] for one in await uses_of(creator, style=styles[0])} == {styles[0]}


@pytest.mark.parametrize("table", ["data_use", "audit"])
@pytest.mark.parametrize(
    "change", ["UPDATE service.{} SET role = 'x'", "DELETE FROM service.{}", "TRUNCATE service.{}"]
)
async def test_no_line_is_ever_changed_or_deleted(creator: Person, place: Place, table: str, change: str):
    await with_works(creator)
    work, *_ = (await creator.http.get(f"/v1/styles/{await with_works(creator)}/works")).json()["items"]
    await creator.http.get(work["file_url"])

    async with place.owner() as conn:
        with pytest.raises(asyncpg.RestrictViolationError, match="only added to"):
            await conn.execute(change.format(table))


async def test_many_who_look_at_once_make_one_line(creator: Person, place: Place):
    style_id = await with_works(creator)
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]

    answers = await asyncio.gather(*(creator.http.get(work["thumbnail_url"]) for work in works * 3))

    assert {answer.status_code for answer in answers} == {200}
    assert len([one for one in await uses_of(creator) if one["purpose"] == "own"]) == 1
