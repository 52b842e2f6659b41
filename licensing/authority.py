"""The operator's own root of trust: a certificate authority for seals and an Ed25519 key for documents.

The folder is made once, at the first start, and holds:

    root.pem root.key     the root certificate, trust anchor of every seal
    seal.pem seal.key     the leaf that signs pictures (ES256, e-mail protection), with the root behind it
    licence.key           the Ed25519 key that signs certificates and receipts

Whoever copies the folder can sign in the operator's name. It is 0700, its files 0600.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from licensing.errors import AuthorityBroken

_FILES = ("root.pem", "root.key", "seal.pem", "seal.key", "licence.key")
_DOCUMENT = "Ed25519"
_YEARS = 20


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The opened keys. `root` and `chain` (leaf, then root) are PEM. Keys are not shown by repr; never pickle this."""

    root: str
    chain: str
    seal_key: ec.EllipticCurvePrivateKey = field(repr=False)
    licence_key: OKPKey = field(repr=False)


def open_authority(folder: Path) -> Authority:
    """Open the keys in `folder`, making them if it does not exist. Processes that start together get the same keys.

    Raises AuthorityBroken where a file is missing, unreadable, or readable by other users of the machine.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        _make(folder)
    for path in (folder, *(folder / name for name in _FILES)):
        if not path.exists():
            raise AuthorityBroken(
                f"{path} is missing; restore the folder from a backup, a new key would orphan all seals"
            )
        if path.stat().st_mode & 0o077:
            raise AuthorityBroken(f"{path} can be read by other users; run: chmod -R go= {folder}")
    try:
        seal_key = load_pem_private_key((folder / "seal.key").read_bytes(), None)
        licence_key = OKPKey.import_key((folder / "licence.key").read_bytes())
        chain = (folder / "seal.pem").read_text()
        x509.load_pem_x509_certificates(chain.encode())
    except (ValueError, JoseError) as error:
        raise AuthorityBroken(
            f"a key in {folder} cannot be read ({error}); restore the folder from a backup"
        ) from error
    if not isinstance(seal_key, ec.EllipticCurvePrivateKey):
        raise AuthorityBroken(f"{folder / 'seal.key'} is no elliptic curve key; restore the folder from a backup")
    return Authority(root=(folder / "root.pem").read_text(), chain=chain, seal_key=seal_key, licence_key=licence_key)


def sign_document(authority: Authority, payload: Mapping[str, Any]) -> str:
    """`payload` (what JSON can hold) as a compact Ed25519 JWS."""
    header = {"alg": _DOCUMENT, "typ": "JWT", "kid": authority.licence_key.thumbprint()}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return jws.serialize_compact(header, text.encode(), authority.licence_key, algorithms=[_DOCUMENT])


def verify_document(authority: Authority, document: str) -> dict[str, Any] | None:
    """The payload of a JWS that this authority signed; None for any other text, however damaged."""
    try:
        signed = jws.deserialize_compact(document.encode(), authority.licence_key, algorithms=[_DOCUMENT])
        payload = json.loads(signed.payload)
    except (JoseError, ValueError):
        return None
    return payload if isinstance(payload, dict) else None


def public_jwk(authority: Authority) -> dict[str, Any]:
    """The public half of the licence key, with which anybody can check certificates without asking us."""
    return {**authority.licence_key.as_dict(private=False), "kid": authority.licence_key.thumbprint()}


def _make(folder: Path) -> None:
    """Make all keys aside and rename the folder into place: it is there whole or not at all, and only the first of
    several processes succeeds, because a folder cannot be renamed onto one that has files."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    aside.mkdir(mode=0o700)
    try:
        for name, content in _keys().items():
            descriptor = os.open(aside / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            aside.rename(folder)
        except OSError:
            if not all((folder / name).exists() for name in _FILES):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _keys() -> dict[str, bytes]:
    """The contents of a new folder. X.509 dates are checked against the machine's clock, so they are made from it."""
    now = datetime.now(UTC)
    root_key, seal_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, seal_name = _name("Ownhand root"), _name("Ownhand seal")
    root = (
        _certificate(root_name, root_name, root_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(seal_name, root_name, seal_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = Encoding.PEM
    return {
        "root.pem": root.public_bytes(pem),
        "root.key": root_key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()),
        "seal.pem": leaf.public_bytes(pem) + root.public_bytes(pem),
        "seal.key": seal_key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()),
        "licence.key": ed25519.Ed25519PrivateKey.generate().private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()),
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ownhand"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
