"""Letters on their way to a real mail server, a process of its own: once each, whatever it does meanwhile."""

import asyncio
import ipaddress
import itertools
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.carrying import back_off_s
from service.letters import PATIENCE, seal_link
from service.mail import Answer
from service.mail_server import MailServer, read_server
from service.mailing import BACK_OFF_S, LEASE, mailing, note, send_again, take
from tests.service.letters.conftest import Desk
from tests.service.letters.mailbox import Mailbox, mailbox


async def test_a_letter_arrives_once_with_everything_that_a_mail_needs(desk: Desk, box: Mailbox):
    person = await desk.person(email="maker@example.org", name="Maker\r\nBcc: all@example.org")
    await desk.write(
        person, subject="Style “Küste” is ready", words="It passed.\n\nPublish it.", path="/studio/styles/1"
    )
    sending = desk.sending_to(box)

    assert await sending.send() == 1
    assert await sending.send(timedelta(days=1)) == 0

    (came,) = box.came
    message = came.message
    assert came.sender == "office@ownhand.test"
    assert came.to == ["maker@example.org"]
    assert message["From"] == "Ownhand <office@ownhand.test>"
    assert message["To"] == "maker@example.org"
    assert "Bcc" not in message
    assert message["Subject"] == "Style “Küste” is ready"
    assert message["Date"].datetime == desk.start.replace(microsecond=0)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Unsubscribe"].startswith(f"<https://ownhand.test/letters/off/{person.id}/training/")
    assert message.get_content_type() == "text/plain"
    assert "It passed.\n\nPublish it.\n\nhttps://ownhand.test/studio/styles/1\n" in came.text.replace("\r\n", "\n")
    (row,) = await desk.rows()
    assert row["mail"] == "sent"
    assert came.id == f"<{row['id']}@ownhand.test>"


async def test_two_processes_send_a_letter_once(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    person = await desk.person()
    async with mailing(sending.web), mailing(sending.web):
        for _ in range(12):
            await desk.write(person)
        assert await asyncio.to_thread(box.hears, "came", 12)
        for _ in range(3):
            await desk.write(person)
        assert await asyncio.to_thread(box.hears, "came", 15)

    assert len(set(box.ids)) == len(box.ids) == 15


async def test_what_a_dead_process_had_handed_over_comes_again_under_the_same_name(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    await desk.write(await desk.person())
    claim = await take(sending.web, now=desk.start)
    assert claim is not None

    assert await sending.send() == 0
    assert await sending.send(LEASE) == 1
    async with desk.web.house() as conn:
        answer = Answer(code=None, error="The first one's word comes late.", ms=1, is_final=True)
        assert not await note(conn, claim, answer, now=desk.start + LEASE)

    assert await desk.states() == ["sent"]


async def test_a_server_that_dies_with_a_letter_in_its_hands_gets_it_when_it_is_back(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    await desk.write(await desk.person())
    box.answers(holds=True)
    task = asyncio.create_task(sending.send())
    assert await asyncio.to_thread(box.hears, "held")
    box.kill()
    assert await task == 1
    assert await sending.send(timedelta(seconds=7)) == 1
    assert await desk.states() == ["waiting"]
    assert box.came == []

    box.start()
    assert await sending.send(timedelta(minutes=2)) == 1

    assert len(box.came) == 1
    (row,) = await desk.rows()
    assert row["mail"] == "sent"
    assert row["tries"] == 3


async def test_a_server_that_is_slow_is_asked_by_one_alone(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    await desk.write(await desk.person())
    box.answers(holds=True)
    task = asyncio.create_task(sending.send())
    assert await asyncio.to_thread(box.hears, "held")

    assert await sending.send(LEASE - timedelta(seconds=1)) == 0

    box.answers()
    assert await task == 1
    assert len(box.came) == 1


@pytest.mark.parametrize("how", [{"rcpt": "550 5.1.1 no such person"}, {"data": "554 5.7.1 not that"}])
async def test_what_is_refused_for_good_is_not_tried_again_and_keeps_its_link(
    desk: Desk, box: Mailbox, how: dict[str, str]
):
    sending = desk.sending_to(box)
    link = seal_link("/sign-in/word", until=desk.start + timedelta(hours=1), pepper=desk.web.pepper)
    await desk.write(await desk.person(), kind="sign_in.link", link=link)
    box.answers(**how)

    assert await sending.send() == 1
    assert await sending.send(timedelta(minutes=30)) == 0

    (row,) = await desk.rows()
    assert row["mail"] == "failed"
    assert row["link"] is not None
    assert next(iter(how.values()))[4:] in row["attempts"]


@pytest.mark.parametrize("how", [{"rcpt": "450 4.2.0 greylisted"}, {"data": "452 4.3.1 full"}])
async def test_what_is_put_off_is_tried_ever_more_seldom_until_it_is_given_up(
    desk: Desk, box: Mailbox, how: dict[str, str]
):
    sending = desk.sending_to(box)
    await desk.write(await desk.person())
    box.answers(**how)
    after, times = timedelta(), []
    while (row := (await desk.rows())[0])["mail"] == "waiting":
        after = row["due_at"] - desk.start
        times.append(after)
        assert await sending.send(after) == 1

    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    assert pauses == [pytest.approx(back_off_s(BACK_OFF_S, n, seed=row["id"])) for n in range(len(pauses))]
    assert row["mail"] == "failed"
    assert PATIENCE - timedelta(hours=8) < after < PATIENCE
    assert box.came == []


async def test_a_link_is_deleted_once_it_was_sent_and_the_mail_alone_has_it(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    link = seal_link("/sign-in/very-secret", until=desk.start + timedelta(hours=1), pepper=desk.web.pepper)
    await desk.write(await desk.person(), kind="sign_in.link", link=link, path="/sign-in")

    await sending.send()

    assert "https://ownhand.test/sign-in/very-secret" in box.came[0].text
    assert "List-Unsubscribe" not in box.came[0].message
    (row,) = await desk.rows()
    assert row["link"] is None
    async with desk.web.house() as conn:
        assert not await send_again(conn, row["id"], now=desk.start, patience=PATIENCE)


async def test_what_is_asked_for_again_comes_as_another_message(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    await desk.write(await desk.person())
    await sending.send()
    (row,) = await desk.rows()
    later = desk.start + timedelta(days=9)

    async with desk.web.house() as conn:
        assert await send_again(conn, row["id"], now=later, patience=PATIENCE)
        assert not await send_again(conn, "ltr_of_nobody", now=later, patience=PATIENCE)
    assert await sending.send(timedelta(days=9)) == 1

    assert box.ids == [f"<{row['id']}@ownhand.test>", f"<{row['id']}.1@ownhand.test>"]
    assert box.came[1].message["Date"].datetime == later.replace(microsecond=0)


async def test_an_address_that_is_none_fails_by_itself_and_holds_up_nobody(desk: Desk, box: Mailbox):
    sending = desk.sending_to(box)
    await desk.write(address="no one>\r\nRCPT TO:<all@example.org", kind="account.invited", key="1")
    await desk.write(address="jürgen@example.org", kind="account.invited", key="2")
    await desk.write(address="anna@bücher.example", kind="account.invited", key="3")

    assert await sending.send() == 3

    assert await desk.states() == ["failed", "failed", "sent"]
    assert [one.to for one in box.came] == [["anna@xn--bcher-kva.example"]]


# --- what is said to the server -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of 127.0.0.1, by itself."""
    folder: Path = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}


@pytest.mark.parametrize(("tls", "scheme"), [("offered", "smtp"), ("at_once", "smtps")])
async def test_a_server_with_tls_is_spoken_to_in_private_and_shown_the_password(
    desk: Desk, certificate: dict[str, str], tls: str, scheme: str
):
    trusted = ssl.create_default_context(cafile=certificate["certificate"])
    with mailbox(tls=tls, login=["us@x", "p@ss word"], **certificate) as box:
        sending = desk.sending_to(box, scheme, login="us%40x:p%40ss%20word@")
        await desk.write(await desk.person())

        await sending.send(context=trusted)

        (came,) = box.came
        assert came.is_private
        assert came.user == "us@x"


async def test_a_server_that_cannot_show_who_it_is_is_told_nothing(desk: Desk, certificate: dict[str, str]):
    with mailbox(tls="offered", **certificate) as box:
        await desk.write(await desk.person())

        await desk.sending_to(box).send()

        assert box.came == []
        assert await desk.states() == ["waiting"]


async def test_where_tls_is_required_nothing_goes_without(desk: Desk, box: Mailbox):
    await desk.write(await desk.person())

    await desk.sending_to(box, options="?tls=required").send()

    assert box.came == []
    (row,) = await desk.rows()
    assert "tls=required" in row["attempts"]


async def test_a_wrong_password_is_the_operators_to_mend_and_the_letter_goes_then(
    desk: Desk, certificate: dict[str, str]
):
    trusted = ssl.create_default_context(cafile=certificate["certificate"])
    with mailbox(tls="offered", login=["us", "right"], **certificate) as box:
        await desk.write(await desk.person())
        await desk.sending_to(box, login="us:wrong@").send(context=trusted)
        assert await desk.states() == ["waiting"]

        await desk.sending_to(box, login="us:right@").send(timedelta(seconds=7), context=trusted)

        assert len(box.came) == 1
        assert "wrong" not in (await desk.rows())[0]["attempts"]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", MailServer(host="mail.example.org", port=587, tls="offered")),
        (
            "smtps://a:b@mail.example.org",
            MailServer(host="mail.example.org", port=465, tls="at_once", user="a", password="b"),
        ),
        ("smtp://127.0.0.1:25?tls=required", MailServer(host="127.0.0.1", port=25, tls="required")),
    ],
)
def test_a_server_is_one_url(url: str, server: MailServer):
    assert read_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.org",
        "smtp://",
        "smtp://a@mail.example.org",
        "smtp://h?tls=never",
        "smtp://h/x",
        "smtp://h?x=1",
    ],
)
def test_what_is_no_server_is_refused(url: str):
    with pytest.raises(ValueError, match=r"smtp|tls|user"):
        read_server(url)


def test_a_password_is_in_no_message():
    assert "hunter2" not in repr(read_server("smtp://a:hunter2@h"))
    with pytest.raises(ValueError, match="tls=required") as raised:
        read_server("smtp://a:hunter2@h?tls=never")
    assert "hunter2" not in str(raised.value)
