"""The database over TLS, whose certificate is checked: by every library that this service connects with."""

import asyncio
import ipaddress
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from licensing.tenancy import APPLICATION
from service.backups.dumps import dumping
from service.db.connections import connect, open_pool
from service.db.prepare import prepare_database
from service.errors import NotStarted
from tests.postgres import Server
from tests.service.conftest import open_place
from tests.setups import debian_postgres, give_away

HOST = ipaddress.ip_address("127.0.0.1")
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Whoever signs certificates; `path` is its own."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_authority(path: Path, name_of_it: str = "an authority of tests") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name_of_it)])
    builder = _builder(name, key).issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(path=path, certificate=certificate, key=key)


def _builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + _DAY)


def let_in_by_tls_alone(data: Path, authority: Authority) -> None:
    """Give a server a certificate for 127.0.0.1, and let nobody in without TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")])
    builder = _builder(name, key).issuer_name(authority.certificate.subject)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(HOST)]), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    (data / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (data / "server.key").write_bytes(pem)
    (data / "server.key").chmod(0o600)
    give_away(data / "server.crt", data / "server.key")
    with (data / "postgresql.conf").open("a") as file:
        file.write("ssl = on\n")
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Server]:
    with debian_postgres(change=lambda data: let_in_by_tls_alone(data, authority)) as running:
        yield running


@pytest.fixture(scope="module")
def database_url(server: Server, authority: Authority) -> str:
    """A database that was prepared over TLS: by psycopg, by alembic and by the workflow engine."""
    url = f"{server.url('ownhand')}?sslmode=verify-full&sslrootcert={authority.path}"
    prepare_database(url)
    return url


async def test_everything_that_a_place_asks_goes_by_tls(database_url: str, configs: Path, tmp_path: Path):
    async with open_place(database_url, configs, home=tmp_path) as place:
        creator = await place.person("creator")
        assert (await creator.http.get("/v1/styles")).status_code == 200
        asker = await connect(database_url)
        rows = await asker.fetch(
            "SELECT ssl, application_name FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = $1",
            APPLICATION,
        )
        await asker.close()

    assert {row["ssl"] for row in rows} == {True}
    # The pool and who hears notices (asyncpg), and the workflow engine (psycopg).
    assert {row["application_name"] == "dbos_transact" for row in rows} == {True, False}


def test_a_dump_goes_by_tls(database_url: str):
    with closing(psycopg.connect(database_url)) as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        row = conn.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        with dumping(database_url, str(row[0])) as dump:
            assert dump.read(5) == b"PGDMP"
            dump.read()


async def test_a_server_that_another_authority_signed_is_not_spoken_to(
    server: Server, tmp_path: Path, database_url: str
):
    other = make_authority(tmp_path / "other.pem", "another authority")
    url = f"{server.url('ownhand')}?sslmode=verify-full&sslrootcert={other.path}"

    with pytest.raises(NotStarted, match=r"certificate verify failed.*compare its certificate") as raised:
        await asyncio.to_thread(prepare_database, url)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await open_pool(url, 1)

    assert "of-tests" not in str(raised.value)


async def test_a_server_under_another_name_is_not_spoken_to(server: Server, authority: Authority, database_url: str):
    elsewhere = server.url("ownhand").replace("127.0.0.1", "localhost")
    url = f"{elsewhere}?sslmode=verify-full&sslrootcert={authority.path}"

    with pytest.raises(NotStarted, match=r"localhost.*compare its certificate"):
        await asyncio.to_thread(prepare_database, url)
    with pytest.raises(OSError, match="localhost"):
        await open_pool(url, 1)


async def test_without_tls_nobody_is_let_in(server: Server, database_url: str):
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await open_pool(f"{server.url('ownhand')}?sslmode=disable", 1)
