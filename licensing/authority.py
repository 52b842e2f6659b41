"""The operator's own root of trust: a certificate authority for seals and Ed25519 keys for documents.

The folder is made once, at the first start (`keymaking.py`), and holds:

    root.pem       the root certificate, trust anchor of every seal
    root.key       its key, which signs leaves: asked for when the leaf is rotated, and better kept elsewhere otherwise
    seal.pem       the leaf that signs pictures (ES256, e-mail protection): certificate, root, key
    licence.key    the Ed25519 key that signs documents
    retired.json   the public halves of those before it: what they signed stays valid for ever

Whoever copies the folder can sign in the operator's name. It is 0700, its files 0600.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from licensing.errors import AuthorityBroken
from licensing.keymaking import DOCUMENT_KEY, LEAF, RETIRED, ROOT, ROOT_KEY, make_folder

log = logging.getLogger("ownhand.authority")

LOOK_EVERY_S = 2.0
_DOCUMENT = "Ed25519"
_PRIVATE = "-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The opened keys. `root` and `chain` (leaf, then root) are PEM. Keys are not shown by repr; never pickle this.

    `licence_key` signs documents; `retired` are public halves of those that did.
    """

    root: str
    chain: str
    seal_key: ec.EllipticCurvePrivateKey = field(repr=False)
    licence_key: OKPKey = field(repr=False)
    retired: tuple[OKPKey, ...] = ()


class AuthorityFolder:
    """The keys of a folder, opened again within some seconds after they were rotated. One serves all threads.

    While a changed folder cannot be opened, the keys from before stay in use: they are as good as they were.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises AuthorityBroken."""
        self._folder, self._clock = folder, clock
        # Before the files are read: what changes meanwhile is then read again.
        self._stamp = _stamp(folder)
        self._opened = open_authority(folder)
        self._looked_at = clock()

    def current(self) -> Authority:
        """The keys as they are, or were `LOOK_EVERY_S` ago."""
        now = self._clock()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            stamp = _stamp(self._folder)
            if stamp != self._stamp:
                self._open_again(stamp)
        return self._opened

    def _open_again(self, stamp: tuple[tuple[int, int], ...]) -> None:
        try:
            self._opened = open_authority(self._folder)
        except (AuthorityBroken, OSError) as error:
            log.error("the changed keys cannot be opened (%s); those from before stay in use", error)
        else:
            self._stamp = stamp


def open_authority(folder: Path) -> Authority:
    """Open the keys in `folder`, making them if it does not exist. Processes that start together get the same keys.

    Raises AuthorityBroken where a file is missing, unreadable, or readable by other users of the machine.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        make_folder(folder)
    _check_folder(folder)
    try:
        leaf = _read_leaf(folder)
        chain = x509.load_pem_x509_certificates(leaf.encode())
        seal_key = load_pem_private_key(leaf[leaf.index(_PRIVATE) :].encode(), None)
        # Before the retired ones: who rotates writes them first, so that no key is ever missing from both.
        licence_key = OKPKey.import_key((folder / DOCUMENT_KEY).read_bytes())
        retired = _read_retired(folder / RETIRED)
    except (ValueError, KeyError, JoseError) as error:
        raise AuthorityBroken(
            f"a key in {folder} cannot be read ({error}); restore the folder from a backup"
        ) from error
    if not isinstance(seal_key, ec.EllipticCurvePrivateKey) or not _fit(seal_key, chain[0], folder / ROOT):
        raise AuthorityBroken(
            f"{folder / LEAF} does not fit {folder / ROOT}, so nobody would trust its seals;"
            " restore the folder from a backup"
        )
    return Authority(
        root=(folder / ROOT).read_text(),
        chain="".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        seal_key=seal_key,
        licence_key=licence_key,
        retired=retired,
    )


def sign_document(authority: Authority, payload: Mapping[str, Any]) -> str:
    """`payload` (what JSON can hold) as a compact Ed25519 JWS that names its key."""
    header = {"alg": _DOCUMENT, "typ": "JWT", "kid": authority.licence_key.thumbprint()}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return jws.serialize_compact(header, text.encode(), authority.licence_key, algorithms=[_DOCUMENT])


def verify_document(authority: Authority, document: str) -> dict[str, Any] | None:
    """The payload of a JWS that this authority signed, with this key or an earlier one; None for any other text,
    however damaged."""

    def named(told: Any) -> Any:
        kid = told.headers().get("kid")
        # joserfc raises a ValueError for the None of a key that nobody knows.
        return next((key for key in (authority.licence_key, *authority.retired) if key.thumbprint() == kid), None)

    try:
        signed = jws.deserialize_compact(document.encode(), named, algorithms=[_DOCUMENT])
        payload = json.loads(signed.payload)
    except (JoseError, ValueError):
        return None
    return payload if isinstance(payload, dict) else None


def public_keys(authority: Authority) -> list[dict[str, Any]]:
    """The public halves of all document keys as JWKs, the one that signs first. With them anybody can check documents
    without asking us."""
    keys = {key.thumbprint(): key for key in (authority.licence_key, *authority.retired)}
    return [{**key.as_dict(private=False), "kid": kid, "alg": _DOCUMENT, "use": "sig"} for kid, key in keys.items()]


def _fit(key: ec.EllipticCurvePrivateKey, leaf: x509.Certificate, root: Path) -> bool:
    """Whether the key is the leaf's and the root signed the leaf."""
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(root.read_bytes()))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return key.public_key() == leaf.public_key()


def _check_folder(folder: Path) -> None:
    """Raises AuthorityBroken where a file that must be there is missing, or one that is there is open to others."""
    for name in (ROOT, LEAF, DOCUMENT_KEY):
        if not (folder / name).exists():
            raise AuthorityBroken(
                f"{folder / name} is missing; restore the folder from a backup, a new key would orphan all seals"
            )
    for path in (folder, *(folder / name for name in (ROOT, ROOT_KEY, LEAF, DOCUMENT_KEY, RETIRED))):
        if path.exists() and path.stat().st_mode & 0o077:
            raise AuthorityBroken(f"{path} can be read by other users; run: chmod -R go= {folder}")


def _read_leaf(folder: Path) -> str:
    """Certificates and key of the leaf. A folder whose leaf was never rotated may have its key in a file of its own."""
    text = (folder / LEAF).read_text()
    beside = folder / "seal.key"
    return text + beside.read_text() if _PRIVATE not in text and beside.exists() else text


def _read_retired(path: Path) -> tuple[OKPKey, ...]:
    if not path.exists():
        return ()
    return tuple(OKPKey.import_key(one) for one in json.loads(path.read_text())["keys"])


def _stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """What changes when a file of the folder is replaced."""
    paths = [folder / name for name in (LEAF, DOCUMENT_KEY, RETIRED)]
    return tuple((found.st_ino, found.st_mtime_ns) for path in paths if path.exists() for found in [path.stat()])
