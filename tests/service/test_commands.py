"""The commands an operator types, called as functions where no process is needed."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from inference.checkers import CHECKERS
from inference.errors import CheckerUnusable
from licensing.authority import open_authority, sign_document, verify_document
from licensing.money import Money
from service import desk
from service.__main__ import main
from service.clock import utc_now
from service.doctor import examine
from service.ids import new_id
from service.worker import run_worker
from tests.inference.tiny_base import write_tiny_base
from tests.service.conftest import Person, Place, draw, redeem_link


async def test_an_invitation_makes_the_account_once_and_a_new_link_each_time(place: Place):
    web = place.gateway
    async with web.pool.acquire() as conn:
        email = f"{new_id('x')}@example.org"
        first = await desk.invite(conn, place.settings, role="creator", email=email, name="Ann", now=utc_now())
        second = await desk.invite(conn, place.settings, role="creator", email=email.upper(), name=None, now=utc_now())

        sessions = [
            await redeem_link(conn, word=link.split("link=")[1], now=web.clock(), days=1) for link in (first, second)
        ]

    assert first != second
    assert sessions[0] is not None
    assert sessions[1] is not None
    assert sessions[0].account == sessions[1].account
    assert sessions[0].account.name == "Ann"


async def test_an_address_keeps_its_role(place: Place, client: Person):
    async with place.gateway.pool.acquire() as conn:
        with pytest.raises(ValueError, match="already has an account as client"):
            await desk.invite(
                conn, place.settings, role="creator", email=client.account.email, name=None, now=utc_now()
            )
        with pytest.raises(ValueError, match="is no e-mail address"):
            await desk.invite(conn, place.settings, role="creator", email="nobody", name=None, now=utc_now())


async def test_a_token_is_of_its_accounts_role(place: Place, creator: Person, client: Person):
    async with place.gateway.pool.acquire() as conn:

        async def token(person: Person, **asked: object) -> str:
            plain = {"test": False, "scopes": [], "cap": None, **asked}
            return await desk.token(conn, place.settings, email=person.account.email, **plain, now=utc_now())

        assert (await token(creator)).startswith("oh_creator_")
        assert (await token(client)).startswith("oh_live_")
        assert (await token(client, test=True)).startswith("oh_test_")
        with pytest.raises(ValueError, match="test keys and caps are for clients"):
            await token(creator, cap=100)
        with pytest.raises(ValueError, match="there are read, generate"):
            await token(client, scopes=["fly"])
        with pytest.raises(ValueError, match="ownhand invite"):
            await desk.token(
                conn, place.settings, email="no@example.org", test=False, scopes=[], cap=None, now=utc_now()
            )


async def test_money_is_booked_once_per_reference(place: Place, client: Person, creator: Person):
    async with place.gateway.pool.acquire() as conn:
        email, money = client.account.email, Money(500, "EUR")
        first = await desk.credit(conn, email=email, money=money, reference="transfer 7", now=utc_now())
        again = await desk.credit(conn, email=email, money=money, reference="transfer 7", now=utc_now())
        with pytest.raises(ValueError, match="only clients have prepaid money"):
            await desk.credit(conn, email=creator.account.email, money=money, reference=None, now=utc_now())

    assert "500 free to spend" in first
    assert "was booked before" in again
    assert "500 free to spend" in again


async def test_a_file_from_elsewhere_is_unknown_here(place: Place, tmp_path: Path):
    (tmp_path / "picture.png").write_bytes(draw())

    async with place.gateway.pool.acquire() as conn:
        said = await desk.verdict(conn, place.settings, tmp_path / "picture.png", now=place.gateway.clock())

    assert said.startswith("unknown: ")


async def test_the_doctor_finds_everything_well_and_says_what_is_not(place: Place, tmp_path: Path):
    (tmp_path / "home").mkdir()
    settings = place.settings.__class__(
        **{**vars(place.settings), "database_url": place.database_url, "home": tmp_path / "home"}
    )
    shutil.copytree(place.settings.home / "authority", settings.home / "authority")

    before = {finding.subject: finding for finding in await examine(settings, with_ledger=True)}
    (settings.home / "authority" / "root.pem").chmod(0o644)
    (settings.home / "authority" / "licence.key").unlink()
    after = {finding.subject: finding for finding in await examine(settings)}

    assert {subject for subject, finding in before.items() if not finding.is_well} == {"bases"}, "tiny has no weights"
    assert re.fullmatch(r"every rule holds, and it agrees with [01] checkpoint\(s\)", before["ledger"].sentence)
    assert "both-" in before["processes"].sentence
    assert not after["keys"].is_well


async def test_the_doctor_says_which_content_check_there_is(place: Place, tmp_path: Path):
    plain = replace(place.settings, database_url=place.database_url, home=tmp_path)

    found = [
        next(one for one in await examine(settings) if one.subject == "content check")
        for settings in (plain, replace(plain, content_checker="nudnet"))
    ]

    assert found[0].is_well
    assert found[0].sentence == "none is active: pictures are not judged by what they show"
    assert not found[1].is_well
    assert "there is no content check 'nudnet'" in found[1].sentence


async def test_the_doctor_says_which_watermark_there_is(place: Place, tmp_path: Path):
    plain = replace(place.settings, database_url=place.database_url, home=tmp_path)

    found = [
        next(one for one in await examine(settings) if one.subject == "watermark")
        for settings in (plain, replace(plain, watermark="ink"))
    ]

    assert [one.is_well for one in found] == [True, False]
    assert found[0].sentence == "none is active: a picture that lost its seal is found by its looks alone"
    assert found[1].sentence == "there is no watermark 'ink'; there is none"


async def test_the_doctor_holds_the_ledger_against_checkpoints_kept_elsewhere(place: Place, tmp_path: Path):
    (tmp_path / "kept").mkdir()
    lanes = [{"lane": 9, "links": 1, "hash": "ab" * 32, "entries": 2}]
    document = {"kind": "ownhand.checkpoint.v1", "number": 7, "at": "2026-11-01T02:00:00+00:00", "lanes": lanes}
    signed = sign_document(place.gateway.authority, document)
    (tmp_path / "kept" / "7.jws").write_text(signed + "\n")
    settings = replace(place.settings, database_url=place.database_url)

    found = next(
        one for one in await examine(settings, with_ledger=True, elsewhere=tmp_path / "kept") if one.subject == "ledger"
    )

    assert not found.is_well
    assert "lane 9: checkpoint 7 of 2026-11-01 02:00 UTC counted 1 links, 0 are left" in found.sentence


def test_keys_are_rotated_by_a_command_and_say_what_became_of_the_old(tmp_path: Path):
    old = open_authority(tmp_path / "authority")
    document = sign_document(old, {"a": 1})

    both = CliRunner().invoke(main, ["rotate-keys", "--home", str(tmp_path)])
    (tmp_path / "authority" / "root.key").unlink()
    again = CliRunner().invoke(main, ["rotate-keys", "--home", str(tmp_path)])
    alone = CliRunner().invoke(main, ["rotate-keys", "--home", str(tmp_path), "--only", "documents"])

    new = open_authority(tmp_path / "authority")
    assert (both.exit_code, again.exit_code, alone.exit_code) == (0, 1, 0)
    assert "sealed with a new key" in both.output
    assert "what the one before it signed stays valid" in both.output
    assert "root.key is not here, and only the root's key signs a new leaf; put it back" in again.output
    assert len(new.retired) == 2, "nothing was rotated where one of the two could not be"
    assert new.chain != old.chain
    assert verify_document(new, document) == {"a": 1}


async def test_a_worker_that_cannot_check_what_it_shall_check_does_not_start(place: Place):
    with pytest.raises(CheckerUnusable, match="there is no content check 'nudnet'; there is nudenet, or none"):
        await run_worker(replace(place.settings, content_checker="nudnet"), place.database_url)


def test_a_picture_that_the_content_check_refuses_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(CHECKERS, "no_red", "tests.inference.checkers:NoRed")
    monkeypatch.setenv("OWNHAND_CONTENT_CHECKER", "no_red")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    out, source = tmp_path / "a.png", tmp_path / "red.png"
    base = ["--base", str(write_tiny_base(tmp_path))]

    result = CliRunner().invoke(
        main, ["generate", *base, "--prompt", "a cup", "--image", str(source), "--out", str(out), "--device", "cpu"]
    )

    assert result.exit_code == 3
    assert "this picture will not do; send another one" in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    "command",
    [
        *("serve", "web", "worker", "migrate", "doctor", "invite", "token", "credit", "verify", "train", "generate"),
    ],
)
def test_every_command_explains_itself(command: str):
    result = CliRunner().invoke(main, [command, "--help"])

    assert result.exit_code == 0
    assert len(result.output) > 80


@pytest.mark.parametrize(
    ("device", "sentence"),
    [("gpu", "'gpu' is no device; choose auto, cpu, cuda"), ("cuda:99", "cuda:99 was asked for")],
)
def test_a_device_that_is_not_there_is_named(device: str, sentence: str, tmp_path: Path):
    command = ["generate", "--prompt", "a cup", "--out", str(tmp_path / "a.png"), "--device", device]

    result = CliRunner().invoke(main, command)

    assert result.exit_code == 1
    assert sentence in result.output


def test_what_is_wrong_is_one_sentence_and_no_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OWNHAND_PROT", "1")

    result = CliRunner().invoke(main, ["doctor"])

    assert result.exit_code == 1
    assert "did you mean OWNHAND_PORT?" in result.output
    assert "Traceback" not in result.output
