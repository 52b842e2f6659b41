"""The export: everything that is a creator's, whole, checkable, and nothing of anybody else's."""

import hashlib
import io
import json
import zipfile
from typing import Any

import httpx
import pytest

from licensing.authority import verify_document
from service.sessions import end_all_sessions
from tests.service.conftest import Person, Place, browser, draw, make_style, sign_in, slug_of, upload, wait_for
from tests.service.test_destruction import destroy


async def exported(person: Person) -> zipfile.ZipFile:
    answer = await person.http.get("/v1/export")
    assert answer.status_code == 200, answer.text
    return zipfile.ZipFile(io.BytesIO(answer.content))


def read(archive: zipfile.ZipFile, path: str) -> Any:
    return json.loads(archive.read(path))


async def portfolio(person: Person, *files: tuple[str, bytes]) -> str:
    """A style with these works and a version; its id."""
    style_id = await make_style(person)
    await upload(person, style_id, *files, rights="mine")
    training = (await person.http.post(f"/v1/styles/{style_id}/trainings", json={})).json()["id"]
    await wait_for(person, training, "passed")
    return style_id


async def test_it_opens_and_every_file_is_the_one_that_the_manifest_names(creator: Person, place: Place):
    files = [(f"my work {at}.png", draw()) for at in range(6)]
    style_id = await portfolio(creator, *files)

    archive = await exported(creator)

    assert archive.testzip() is None
    manifest = read(archive, "manifest.json")
    listed = {one["path"]: one for one in manifest["files"]}
    assert set(archive.namelist()) == set(listed) | {"manifest.json", "manifest.jws"}
    for path, one in listed.items():
        content = archive.read(path)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["bytes"], one["sha256"]), path
    assert manifest["missing"] == []
    signed = verify_document(place.gateway.authority, archive.read("manifest.jws").decode())
    assert signed == manifest
    works = read(archive, f"styles/{style_id}/works.json")
    assert {work["filename"] for work in works} == {name for name, _ in files}
    for work in works:
        content = archive.read(f"styles/{style_id}/works/{work['id']}.png")
        assert hashlib.sha256(content).hexdigest() == work["sha256"]
    assert {archive.read(path) for path in listed if "/works/" in path} == {content for _, content in files}


async def test_it_holds_the_version_the_words_and_the_papers(creator: Person):
    style_id = await portfolio(creator, *[(f"{at}.png", draw()) for at in range(6)])
    (version,) = (await creator.http.get(f"/v1/styles/{style_id}/versions")).json()["items"]
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    asked = {"asked": "Café Nord", "works": [works[0]["id"]]}
    await creator.http.post(f"/v1/styles/{style_id}/consents", json=asked)
    await creator.http.put("/v1/rules", json={"refuse": ["swords"]})

    archive = await exported(creator)

    at = f"styles/{style_id}/versions/1"
    adapter = archive.read(f"{at}/adapter.safetensors")
    assert hashlib.sha256(adapter).hexdigest() == version["adapter"]["sha256"]
    assert {f"{at}/receipt.json", f"{at}/report.html", f"{at}/with-and-without.png"} <= set(archive.namelist())
    assert read(archive, f"styles/{style_id}/consents.json")[0]["asked"] == "Café Nord"
    assert read(archive, "rules.json")["refuse"] == ["swords"]
    assert read(archive, f"styles/{style_id}/style.json")["tiers"]
    assert {entry["what"] for entry in read(archive, "record.json")} >= {"style_made", "works_added", "training_ended"}
    assert [name for name in archive.namelist() if name.startswith("statements/")]
    assert creator.account.email in archive.read("README.txt").decode()


async def test_nothing_of_another_account_is_in_it(creator: Person, other_creator: Person):
    own, theirs = draw(), draw()
    await portfolio(other_creator, ("their secret.png", theirs), *[(f"t{at}.png", draw()) for at in range(5)])
    style_id = await make_style(creator)
    await upload(creator, style_id, ("own.png", own), rights="mine")

    archive = await exported(creator)

    everything = b"\n".join(archive.read(name) for name in archive.namelist())
    assert own in everything
    assert theirs not in everything
    for word in (other_creator.account.id, other_creator.account.email, "their secret"):
        assert word.encode() not in everything
    assert hashlib.sha256(theirs).hexdigest().encode() not in everything


async def test_what_was_taken_along_stands_in_the_ledger_of_use(creator: Person):
    style_id = await make_style(creator)
    await upload(creator, style_id, *[(f"{at}.png", draw()) for at in range(3)], rights="mine")

    await exported(creator)

    uses = (await creator.http.get("/v1/data-use", params={"style": style_id})).json()["items"]
    assert [(use["purpose"], use["num_files"], use["refused"]) for use in uses] == [("export", 3, None)]


async def test_a_file_that_is_gone_is_named_and_the_rest_comes(creator: Person, place: Place):
    style_id = await make_style(creator)
    await upload(creator, style_id, *[(f"{at}.png", draw()) for at in range(3)], rights="mine")
    work, *_ = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    place.gateway.storage.delete(f"works/{style_id}/{work['id']}.png")

    archive = await exported(creator)

    assert read(archive, "manifest.json")["missing"] == [f"styles/{style_id}/works/{work['id']}.png"]
    assert len([name for name in archive.namelist() if f"{style_id}/works/" in name]) == 2


async def test_a_destroyed_style_leaves_its_words_and_the_list_of_what_was_deleted(creator: Person):
    style_id = await portfolio(creator, *[(f"{at}.png", draw()) for at in range(6)])
    await destroy(creator, style_id)

    archive = await exported(creator)

    assert read(archive, f"styles/{style_id}/style.json")["deletion"]
    assert [name for name in archive.namelist() if f"{style_id}/works/" in name] == []


async def test_one_account_makes_one_at_a_time(creator: Person, place: Place):
    place.app.state.exports.add(creator.account.id)
    try:
        refused = await creator.http.get("/v1/export")
    finally:
        place.app.state.exports.discard(creator.account.id)

    assert slug_of(refused) == "conflict"
    await exported(creator)
    await exported(creator)


async def test_it_breaks_off_where_its_session_ends(creator: Person, place: Place, monkeypatch: pytest.MonkeyPatch):
    style_id = await make_style(creator)
    await upload(creator, style_id, *[(f"{at}.png", draw()) for at in range(3)], rights="mine")
    session = await sign_in(place, creator.account)
    monkeypatch.setattr("service.api.export._ASKED_EVERY_S", 0)
    seat = browser(place, session)

    async def ended(*_: Any) -> bool:
        return False

    monkeypatch.setattr("service.api.export.is_let_in", ended)
    try:
        answer = await seat.get("/v1/export")
        content = answer.content
    except httpx.HTTPError:
        content = b""
    async with place.gateway.house() as conn:
        await end_all_sessions(conn, account_id=creator.account.id, now=place.gateway.clock())

    assert not zipfile.is_zipfile(io.BytesIO(content))
    assert creator.account.id not in place.app.state.exports
    assert (await seat.get("/v1/export")).status_code == 401


async def test_the_page_says_what_is_in_it_and_leads_to_it(creator: Person, place: Place):
    style_id = await make_style(creator)
    await upload(creator, style_id, ("a.png", draw()), ("b.png", draw()), rights="mine")
    seat = browser(place, await sign_in(place, creator.account))

    page = (await seat.get("/studio/export")).text

    assert "2 works as you uploaded them" in page
    assert 'href="/v1/export"' in page
    assert (await seat.get("/v1/export")).headers["content-type"] == "application/zip"
