"""Where messages may go: every way to lead us into a private network ends in a sentence."""

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.addresses import Resolve, find_route, is_public
from service.errors import AddressRefused
from service.posting import open_http, post
from tests.service.webhooks.receiver import Receiver, receiving

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PUBLIC, PUBLIC_V6 = "93.184.215.14", "2606:2800:21f:cb07::1"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
NAME = "hooks.example.com"


def leading_to(*addresses: str) -> Resolve:
    """A resolver that says the same of every name."""

    async def resolve(host: str, port: int) -> list[str]:
        if not addresses:
            raise OSError("no such name")
        return list(addresses)

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.31.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "3fff::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::1", "2002:a00:1::", "2001::1", "100::1"),
    ],
)
async def test_a_name_that_leads_into_a_private_network_is_refused(address: str):
    with pytest.raises(AddressRefused, match=f"{NAME} does not lead to public addresses alone"):
        await find_route(f"https://{NAME}/", networks=(), resolve=leading_to(address))


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_V6, "::ffff:93.184.215.14", "64:ff9b::5db8:d70e", "1.1.1.1"])
async def test_a_name_that_leads_to_a_public_address_is_taken(address: str):
    route = await find_route(f"https://{NAME}:8443/in", networks=(), resolve=leading_to(address))

    assert route.addresses == (ipaddress.ip_address(address),)


async def test_one_private_address_among_public_ones_is_enough():
    with pytest.raises(AddressRefused):
        await find_route(f"https://{NAME}/", networks=(), resolve=leading_to(PUBLIC, "10.0.0.1"))


async def test_a_name_that_is_not_there_reads_as_one_that_is_private():
    sentences = []
    for resolve in (leading_to(), leading_to("10.0.0.1")):
        with pytest.raises(AddressRefused) as refusal:
            await find_route("https://db.internal/", networks=(), resolve=resolve)
        sentences.append(str(refusal.value))

    assert sentences[0] == sentences[1]
    assert "10.0.0.1" not in sentences[1]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "127.0.0.1", "[::1]", "[::ffff:7f00:1]"])
async def test_odd_ways_to_write_this_machine_are_seen_through(host: str):
    with pytest.raises(AddressRefused, match="does not lead to public addresses"):
        await find_route(f"https://{host}/", networks=())


async def test_a_network_that_the_operator_allows_may_be_led_to_by_http_and_any_port():
    network = (ipaddress.ip_network("10.1.0.0/16"),)

    route = await find_route("http://hooks.lan:25/", networks=network, resolve=leading_to("10.1.2.3"))
    with pytest.raises(AddressRefused):
        await find_route("http://hooks.lan:25/", networks=network, resolve=leading_to("10.2.2.3"))
    with pytest.raises(AddressRefused):
        await find_route("http://hooks.lan:25/", networks=network, resolve=leading_to("10.1.2.3", "10.2.2.3"))

    assert [str(address) for address in route.addresses] == ["10.1.2.3"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (f"http://{NAME}/", "must begin with https://"),
        (f"https://{NAME}:25/", "Port 25 is not for messages"),
        (f"https://me:secret@{NAME}/", "carries a password"),
        (f"https://{NAME}/#part", "#fragment"),
        (f"ftp://{NAME}/", "no web address"),
        ("https:///path", "no web address"),
        ("hooks", "no web address"),
        (f"https://{NAME}:port/", "no URL"),
        (f"https://{NAME}/{'x' * 500}", "at most 500 are kept"),
    ],
)
async def test_other_urls_are_refused_with_the_way_out(url: str, sentence: str):
    with pytest.raises(AddressRefused, match=sentence):
        await find_route(url, networks=(), resolve=leading_to(PUBLIC))


def test_whatever_python_calls_private_is_not_public_here():
    samples = [
        ipaddress.ip_address(text)
        for text in (
            "192.0.0.170",
            "198.19.255.255",
            "203.0.113.9",
            "2001:2::1",
            "2001:10::1",
            "fe80::",
            "::1",
            "fc00::",
        )
    ]

    assert [str(one) for one in samples if is_public(one)] == []


async def test_what_is_connected_to_is_the_address_that_was_checked():
    looked_up: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.0.0.1"]

    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebinding.example.com")
        answer = await posted(url, resolve=rebinding)

    assert answer.error is None
    assert looked_up == ["rebinding.example.com"]
    assert receiver.posts[0].headers["host"] == url.split("/")[2]


async def test_where_one_address_does_not_answer_the_next_is_tried():
    with receiving() as receiver:
        # Only 127.0.0.1 is listened at.
        answer = await posted(receiver.url, resolve=leading_to("127.0.0.9", "127.0.0.1"))

    assert (answer.status, answer.error) == (204, None)


async def test_a_redirect_is_not_followed():
    with receiving() as receiver:
        receiver.answers(302, location=receiver.url + "/elsewhere")
        answer = await posted(receiver.url)

    assert answer.error == "It answered 302, a redirect; none is followed. Register where it leads to."
    assert len(receiver.posts) == 1


async def test_nobody_at_home_is_said_and_not_raised():
    with receiving() as receiver:
        url = receiver.url

    answer = await posted(url)

    assert answer.status is None
    assert answer.error is not None
    assert answer.error.startswith("It could not be reached")


@pytest.mark.parametrize(("said", "seconds"), [("120", 120), ("Sat, 28 Nov 2026 00:01:00 GMT", 60), ("soon", 0)])
async def test_a_busy_endpoint_says_when_to_come_again(said: str, seconds: float):
    with receiving() as receiver:
        receiver.answers(429, 500, retry_after=said)
        busy, broken = await posted(receiver.url), await posted(receiver.url)

    assert (busy.status, busy.retry_after_s) == (429, seconds)
    assert (broken.status, broken.retry_after_s) == (500, 0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for NAME alone, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Receiver]:
    """A receiver by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Secure(ThreadingHTTPServer):
        def get_request(self) -> tuple[Any, Any]:
            sock, address = super().get_request()
            return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    with receiving(Secure) as receiver:
        yield receiver


async def test_the_certificate_is_checked_against_the_name_and_not_the_address(secure: Receiver, certificate: Path):
    trusting = ssl.create_default_context(cafile=certificate)
    port = secure.url.split(":")[2]

    right = await posted(f"https://{NAME}:{port}", context=trusting)
    wrong = await posted(f"https://other.example.com:{port}", context=trusting)
    again = await posted(f"https://{NAME}:{port}", context=trusting)
    by_strangers = await posted(f"https://{NAME}:{port}")

    assert (right.error, again.error) == (None, None)
    assert "certificate is not valid for 'other.example.com'" in str(wrong.error)
    assert "certificate verify failed" in str(by_strangers.error)
    assert len(secure.posts) == 2


async def test_a_connection_that_was_checked_for_one_name_does_not_serve_another(secure: Receiver, certificate: Path):
    port = secure.url.split(":")[2]
    async with open_http(ssl.create_default_context(cafile=certificate)) as http:
        answers = [
            await post(
                http,
                f"https://{name}:{port}",
                body="{}",
                headers={},
                networks=LOOPBACK,
                now=NOW,
                resolve=leading_to("127.0.0.1"),
            )
            for name in (NAME, "other.example.com")
        ]

    assert answers[0].error is None
    assert answers[1].error is not None


async def posted(url: str, *, resolve: Resolve | None = None, context: ssl.SSLContext | None = None) -> Any:
    """What comes of one post to a URL, by a resolver that leads here."""
    async with open_http(context) as http:
        return await post(
            http,
            url,
            body="{}",
            headers={"webhook-id": "msg_1"},
            networks=LOOPBACK,
            now=NOW,
            resolve=resolve or leading_to("127.0.0.1"),
        )
