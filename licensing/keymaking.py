"""Making the folder of keys, and new keys in it while others sign with the old ones.

Every file is replaced whole, by renaming, and in an order in which each moment in between is a valid folder. So web
processes go on meanwhile and find the new keys by looking (`authority.AuthorityFolder`).
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
from joserfc.jwk import OKPKey

from licensing.errors import AuthorityBroken

ROOT, ROOT_KEY, LEAF, DOCUMENT_KEY, RETIRED = "root.pem", "root.key", "seal.pem", "licence.key", "retired.json"
_YEARS = 20


def make_folder(folder: Path) -> None:
    """Make all keys aside and rename the folder into place: it is there whole or not at all, and only the first of
    several processes succeeds, because a folder cannot be renamed onto one that has files."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    aside.mkdir(mode=0o700)
    root, root_key = _new_root()
    contents = {
        ROOT: root.public_bytes(Encoding.PEM),
        ROOT_KEY: _private(root_key),
        LEAF: _new_leaf(root, root_key),
        DOCUMENT_KEY: _private(ed25519.Ed25519PrivateKey.generate()),
    }
    try:
        for name, content in contents.items():
            _write(aside / name, content)
        try:
            aside.rename(folder)
        except OSError:
            if not all((folder / name).exists() for name in contents):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def rotate_leaf(folder: Path) -> datetime:
    """Let another key sign pictures from now on; until when its certificate is good. The root stays, so every seal
    from before is as good as it was, and the old key is gone.

    Raises AuthorityBroken where the root's key is not in the folder or is another root's.
    """
    with _alone(folder):
        root = x509.load_pem_x509_certificate((folder / ROOT).read_bytes())
        leaf = _new_leaf(root, _read_root_key(folder, root))
        _replace(folder / LEAF, leaf)
        # Where the key of the first leaf lay in folders of an early version.
        (folder / "seal.key").unlink(missing_ok=True)
        return x509.load_pem_x509_certificates(leaf)[0].not_valid_after_utc


def rotate_document_key(folder: Path) -> str:
    """Let another key sign documents from now on; its `kid`. Of the old one only the public half is kept, for ever."""
    with _alone(folder):
        old = OKPKey.import_key((folder / DOCUMENT_KEY).read_bytes())
        path = folder / RETIRED
        retired = json.loads(path.read_text())["keys"] if path.exists() else []
        kept = [one for one in retired if one["kid"] != old.thumbprint()]
        kept.append({**old.as_dict(private=False), "kid": old.thumbprint()})
        # First: a document of the old key can be checked at every moment.
        _replace(path, json.dumps({"keys": kept}, indent=1).encode())
        new = _private(ed25519.Ed25519PrivateKey.generate())
        _replace(folder / DOCUMENT_KEY, new)
        return OKPKey.import_key(new).thumbprint()


def _read_root_key(folder: Path, root: x509.Certificate) -> ec.EllipticCurvePrivateKey:
    path = folder / ROOT_KEY
    if not path.exists():
        raise AuthorityBroken(
            f"{path} is not here, and only the root's key signs a new leaf; put it back for as long as that takes,"
            " or rotate the document key alone"
        )
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != root.public_key():
        raise AuthorityBroken(f"{path} is not the key of {folder / ROOT}; put that one there")
    return key


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process rotates meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(aside, content)
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _private(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _new_root() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("Ownhand root")
    root = (
        _certificate(name, name, key, until=datetime.now(UTC) + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return root, key


def _new_leaf(root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey) -> bytes:
    """The file of a leaf: its certificate, the root's, its key. One file, so that they change together."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        # A leaf that outlives its root would be good for nothing at the end.
        _certificate(_name("Ownhand seal"), root.subject, key, until=root.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM) + _private(key)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ownhand"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # X.509 dates are checked against the machine's clock, so they are made from it.
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=5))
        .not_valid_after(until)
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
