"""What a file or a certificate proves: one of five verdicts."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from licensing.authority import Authority, verify_document
from licensing.certificates import Certificate, read_certificate
from licensing.database import Connection
from licensing.fingerprint import NEAR, fingerprint
from licensing.seal import SealReading, read_seal

VerdictName = Literal["valid", "altered", "marked_but_stripped", "unknown", "revoked"]

_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# A certificate is some two kilobytes; nothing longer is searched for one.
_DOCUMENT_BYTES_MAX = 64_000


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`valid`: sold here and unchanged. `altered`: our seal or signature, but not what was signed.
    `marked_but_stripped`: looks like an output sold here, its seal is gone. `revoked`: sold here and taken back.
    `unknown`: nothing here says where it comes from.

    `sentence` says it to a person. `output_id` and `certificate` name the output wherever one was found; `document` is
    the certificate as signed. `distance` is how many of 256 bits of the perceptual hash differ, where that found it.
    """

    verdict: VerdictName
    sentence: str
    output_id: str | None = None
    certificate: Certificate | None = None
    document: str | None = None
    distance: int | None = None
    revoked_reason: str | None = None


async def verify(conn: Connection, authority: Authority, content: bytes) -> Verdict:
    """Judge a picture file, or a certificate (a JWS, alone or as `{"certificate": ...}`)."""
    document = _document_in(content)
    if document is not None:
        return await _verify_document(conn, authority, document)
    row = await conn.fetchrow("SELECT * FROM licensing.output WHERE sha256 = $1", hashlib.sha256(content).hexdigest())
    if row is not None:
        return _named(authority, row, "valid", "This file was sold here and is unchanged.")
    reading = await asyncio.to_thread(read_seal, authority, content)
    if reading.claim:
        row = await _output(conn, str(reading.claim["output_id"]))
    if reading.state == "intact" and row is None:
        return _unknown("This picture was signed here but never sold; it comes with no licence.")
    if row is not None:
        return _named(
            authority, row, "altered", "This is an output sold here, but the file was changed after it was sealed."
        )
    return await _verify_by_looks(conn, authority, content, reading)


async def _verify_by_looks(conn: Connection, authority: Authority, content: bytes, reading: SealReading) -> Verdict:
    """A file whose seal names nothing: is it like something that was sold?"""
    try:
        phash = await asyncio.to_thread(fingerprint, content)
    except ValueError as error:
        if reading.state == "broken":
            return Verdict(verdict="altered", sentence=f"This file had a seal of ours and is damaged: {error}.")
        return _unknown(f"Nothing is known of this file: {error}.")
    row = await _nearest(conn, phash)
    if reading.state == "broken":
        sentence = "This file has a seal of ours that no longer fits it: it was changed after it was sealed."
        return (
            Verdict(verdict="altered", sentence=sentence)
            if row is None
            else _named(authority, row, "altered", sentence)
        )
    if row is None:
        return _unknown("Nothing like this picture was sold here.")
    sentence = (
        f"This looks like an output sold here ({row['distance']} of 256 bits differ), but its seal is gone, as after"
        " saving it again; ask for the original file."
    )
    return _named(authority, row, "marked_but_stripped", sentence)


async def _verify_document(conn: Connection, authority: Authority, document: str) -> Verdict:
    certificate = read_certificate(authority, document)
    if certificate is None:
        signed = verify_document(authority, document)
        if signed is not None:
            return _unknown("This document was signed here, but it is no certificate of an output.")
        row = await _output(conn, _claimed_output(document))
        if row is None:
            return _unknown("This document was not signed here.")
        return _named(
            authority, row, "altered", "This certificate was changed: its signature does not fit what it says."
        )
    row = await _output(conn, certificate.output_id)
    if row is None or row["certificate"] != document:
        return _unknown("This certificate was signed here, but what it names was never sold with it.")
    return _named(authority, row, "valid", "This certificate was signed here and is in force.")


def _named(authority: Authority, row: Mapping[str, Any], verdict: VerdictName, sentence: str) -> Verdict:
    """A verdict about an output that was found; one that was taken back is `revoked` unless the file was changed."""
    if row["revoked_at"] is not None and verdict != "altered":
        verdict = "revoked"
        sentence = f"This was sold here and taken back on {row['revoked_at']:%Y-%m-%d}: {row['revoked_reason']}"
    return Verdict(
        verdict=verdict,
        sentence=sentence,
        output_id=row["output_id"],
        certificate=read_certificate(authority, row["certificate"]),
        document=row["certificate"],
        distance=row.get("distance"),
        revoked_reason=row["revoked_reason"],
    )


def _unknown(sentence: str) -> Verdict:
    return Verdict(verdict="unknown", sentence=sentence)


async def _output(conn: Connection, output_id: str) -> Mapping[str, Any] | None:
    row: Mapping[str, Any] | None = await conn.fetchrow(
        "SELECT * FROM licensing.output WHERE output_id = $1", output_id
    )
    return row


async def _nearest(conn: Connection, phash: str) -> Mapping[str, Any] | None:
    """The sold output that looks most like this, if it is near enough. Reads the whole registry: 256 bits a picture.

    A fingerprint without a bit set is that of a picture of one colour, which is like everything and nothing.
    """
    if not int(phash, 16):
        return None
    row: Mapping[str, Any] | None = await conn.fetchrow(
        """
        SELECT * FROM (SELECT *, bit_count(phash # ('x' || $1)::bit(256)) AS distance FROM licensing.output) compared
        WHERE distance <= $2 ORDER BY distance, settled_at LIMIT 1
        """,
        *(phash, NEAR),
    )
    return row


def _document_in(content: bytes) -> str | None:
    """The JWS that `content` is or wraps, None for anything else."""
    if len(content) > _DOCUMENT_BYTES_MAX:
        return None
    try:
        text = content.decode("ascii").strip()
        if text.startswith("{"):
            text = json.loads(text)["certificate"]
    except (ValueError, KeyError):
        return None
    return text if isinstance(text, str) and _JWS.fullmatch(text) else None


def _claimed_output(document: str) -> str:
    """The output that an unverified JWS says it is about; '' if it says none. Never to be believed, only looked up."""
    payload = document.split(".")[1]
    try:
        claimed = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claimed["output_id"])
    except (ValueError, KeyError, TypeError):
        return ""
