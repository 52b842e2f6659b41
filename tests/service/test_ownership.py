"""Who owns what: read by everybody, accepted by people, and noted."""

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service import desk
from service.errors import NotStarted
from service.ownership import FILE, load_ownership_terms, put_in_force
from service.settings import ROOT
from tests.service.conftest import Place, connect, make_style, slug_of

SHIPPED = (ROOT / "configs" / FILE).read_text()


async def test_the_words_in_force_are_anybodys_to_read_and_to_check(place: Place):
    terms = (await place.stranger.get("/v1/terms")).json()
    page = (await place.stranger.get("/terms")).text

    said = {name: terms[name] for name in ("version", "since", "title", "clauses")}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert terms["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert terms["accepted"] is None
    assert (await place.stranger.get("/v1/terms/1")).json() == {**said, "sha256": terms["sha256"]}
    assert (await place.stranger.get("/v1/terms/7")).status_code == 404
    owners = {clause["id"]: clause["owner"] for clause in terms["clauses"]}
    assert (owners["works"], owners["style"]) == ("creator", "creator")
    assert (owners["picture_before_sale"], owners["picture_after_sale"]) == ("nobody", "client")
    assert next(clause["never"] for clause in terms["clauses"] if clause["id"] == "never")
    for clause in terms["clauses"]:
        assert clause["title"] in page
    assert "Accept version" not in page


async def test_an_account_is_opened_under_the_version_in_force_and_signing_up_accepts_it(place: Place):
    async with place.gateway.pool.acquire() as conn:
        now = place.gateway.clock()
        link = await desk.invite(conn, place.settings, role="client", email="ann@example.org", name="Ann", now=now)
    http = connect(place.app)
    form = (await http.get(link)).text
    version = re.search(r'name="terms" value="(\d+)"', form)
    assert version
    assert "Signing in for the first time you accept" in form
    assert (await _account(place, "ann@example.org"))["accepted_at"] is None

    await http.post("/sign-in", data={"link": link, "terms": version[1]})

    account = await _account(place, "ann@example.org")
    assert account["ownership_terms"] == 1
    assert account["accepted_at"] is not None
    async with place.gateway.pool.acquire() as conn:
        noted = await conn.fetch(
            "SELECT data::text FROM service.audit WHERE account_id = $1 AND kind = 'terms_accepted'", account["id"]
        )
    assert [json.loads(row["data"]) for row in noted] == [{"version": 1}]


async def _account(place: Place, email: str) -> Any:
    async with place.gateway.pool.acquire() as conn:
        return await conn.fetchrow("SELECT * FROM service.accounts WHERE email = $1", email)


async def test_a_version_once_kept_cannot_be_rewritten(place: Place):
    async with place.owner() as conn:
        for statement in ("UPDATE service.ownership_terms SET sha256 = ''", "DELETE FROM service.ownership_terms"):
            with pytest.raises(Exception, match="only added to"):
                await conn.execute(statement)
        await put_in_force(conn, place.gateway.ownership, now=place.gateway.clock() + timedelta(days=1))


async def test_reading_keys_accept_nothing_and_strangers_are_asked_who_they_are(place: Place):
    reader = await place.person("client", scopes=("read",))

    answer = await reader.http.post("/v1/terms/accept", json={"version": 1})
    stranger = await place.stranger.post("/v1/terms/accept", json={"version": 1})

    assert (answer.status_code, slug_of(answer)) == (403, "forbidden")
    assert (stranger.status_code, slug_of(stranger)) == (401, "unauthenticated")


async def test_accepting_twice_is_noted_once(place: Place):
    creator = await place.person("creator")

    for _ in range(2):
        assert (await creator.http.post("/v1/terms/accept", json={"version": 1})).status_code == 200

    record = (await creator.http.get("/v1/audit")).json()
    told = [line["sentence"] for line in record["items"] if line["what"] == "terms_accepted"]
    assert told == ["Version 1 of who owns what was accepted for your account."]
    assert await make_style(creator)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version = 1", "version = 0", "must be a number from 1"),
        ("since = 2026-11-28", 'since = "soon"', "and a day"),
        ("version = 1", "", "version"),
        ("version = 1", "version = 1\ncolour = 2", "colour"),
        ('owner = "creator"', 'owner = "us"', "owner 'us'"),
        ('id = "style"', 'id = "works"', "an id of its own"),
        ("[[clauses]]", "[[clause]]", "clauses"),
        ('title = "Styles"', 'title = "Styles"\nshade = 1', "shade"),
        ("version = 1", "version = ", "cannot be read"),
    ],
)
def test_words_that_cannot_be_terms_are_named(tmp_path: Path, old: str, new: str, complaint: str):
    count = -1 if old == "[[clauses]]" else 1
    (tmp_path / FILE).write_text(SHIPPED.replace(old, new, count))

    with pytest.raises(NotStarted, match=re.escape(complaint)) as caught:
        load_ownership_terms(tmp_path)

    assert FILE in str(caught.value)
