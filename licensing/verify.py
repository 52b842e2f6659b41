"""What a file or a certificate proves: one of five verdicts."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from licensing.authority import Authority, verify_document
from licensing.certificates import Certificate, is_same, read_certificate
from licensing.database import Connection
from licensing.fingerprint import fingerprint, is_telling
from licensing.looks import nearest
from licensing.seal import SealReading, read_seal
from licensing.sentence import say
from licensing.watermarks import Watermark
from licensing.watermarks.registry import marked_output

VerdictName = Literal["valid", "altered", "marked_but_stripped", "unknown", "revoked"]

_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# A certificate is some two kilobytes; nothing longer is searched for one.
_DOCUMENT_BYTES_MAX = 64_000
# Whose right to use a picture is no question any more: there was none, or it was taken back.
_USELESS = ("unknown", "revoked")
_UNSOLD = say("This picture was signed here but never sold; it comes with no licence.")
_TEST = say("This is a test: it was made here with a test key, nobody bought it, and it comes with no licence.")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`valid`: sold here and unchanged. `altered`: our seal or signature, but not what was signed.
    `marked_but_stripped`: looks like an output sold here, or has its mark, and its seal is gone. `revoked`: sold here
    and taken back. `unknown`: nothing here says where it comes from, or nobody bought it.

    `sentence` says it to a person. `output_id` and `certificate` name the output wherever one was found; `document` is
    the certificate as signed. `distance` is how many of 256 bits of the perceptual hash differ, where that found it.
    `expired_at` is when the right to use it ended, None where it has not.
    `is_certain`: the bytes themselves prove which output it is, by their hash or by a signature of ours; else it is a
    likeness, or what somebody wrote.
    """

    verdict: VerdictName
    sentence: str
    output_id: str | None = None
    certificate: Certificate | None = None
    document: str | None = None
    distance: int | None = None
    revoked_reason: str | None = None
    expired_at: datetime | None = None
    is_certain: bool = False
    is_test: bool = False


async def verify(
    conn: Connection, authority: Authority, content: bytes, *, now: datetime, watermark: Watermark | None = None
) -> Verdict:
    """Judge a picture file, or a certificate (a JWS, alone or as `{"certificate": ...}`).

    A genuine one stays `valid` when the right to use it has ended; `expired_at` and the sentence say that.
    """
    found = await _judge(conn, authority, content, watermark)
    paper = found.certificate
    if not found.is_certain or found.verdict in _USELESS or paper is None or paper.expires_at is None:
        return found
    if paper.expires_at > now:
        return found
    ended = say(
        "{sentence} The right to use it ended on {day:%Y-%m-%d}.", sentence=found.sentence, day=paper.expires_at
    )
    return replace(found, expired_at=paper.expires_at, sentence=ended)


async def _judge(conn: Connection, authority: Authority, content: bytes, watermark: Watermark | None) -> Verdict:
    document = _document_in(content)
    if document is not None:
        return await _verify_document(conn, authority, document)
    row = await conn.fetchrow("SELECT * FROM licensing.output WHERE sha256 = $1", hashlib.sha256(content).hexdigest())
    if row is not None:
        return _proven(authority, row, "valid", say("This file was sold here and is unchanged."))
    reading = await asyncio.to_thread(read_seal, authority, content)
    if reading.claim:
        row = await _output(conn, str(reading.claim["output_id"]))
    if reading.state == "intact" and row is None:
        return _unknown(_UNSOLD)
    if row is not None:
        changed = say("This is an output sold here, but the file was changed after it was sealed.")
        return _proven(authority, row, "altered", changed)
    return await _verify_pixels(conn, authority, content, reading, watermark)


async def _verify_pixels(
    conn: Connection, authority: Authority, content: bytes, reading: SealReading, watermark: Watermark | None
) -> Verdict:
    """A file whose seal names nothing: does it carry the mark of something that was sold, or look like it?"""
    try:
        phash = await asyncio.to_thread(fingerprint, content)
    except ValueError as error:
        if reading.state == "broken":
            damaged = say("This file had a seal of ours and is damaged: {error}.", error=str(error))
            return Verdict(verdict="altered", sentence=damaged)
        return _unknown(say("Nothing is known of this file: {error}.", error=str(error)))
    marked = await _marked(conn, content, watermark)
    row = await (_output(conn, marked) if marked else _nearest(conn, phash))
    if reading.state == "broken":
        sentence = say("This file has a seal of ours that no longer fits it: it was changed after it was sealed.")
        return (
            Verdict(verdict="altered", sentence=sentence)
            if row is None
            else _named(authority, row, "altered", sentence)
        )
    if row is None:
        return _unknown(_UNSOLD if marked else say("Nothing like this picture was sold here."))
    if marked:
        sentence = say(
            "This carries the invisible mark of an output sold here, but its seal is gone, as after saving it again;"
            " ask for the original file."
        )
    else:
        sentence = say(
            "This looks like an output sold here ({distance} of 256 bits differ), but its seal is gone, as after saving"
            " it again; ask for the original file.",
            distance=row["distance"],
        )
    return _named(authority, row, "marked_but_stripped", sentence)


async def _verify_document(conn: Connection, authority: Authority, document: str) -> Verdict:
    certificate = read_certificate(authority, document)
    if certificate is None:
        signed = verify_document(authority, document)
        if signed is not None:
            return _unknown(say("This document was signed here, but it is no certificate of an output."))
        row = await _output(conn, _claimed_output(document))
        if row is None:
            return _unknown(say("This document was not signed here."))
        changed = say("This certificate was changed: its signature does not fit what it says.")
        return _named(authority, row, "altered", changed)
    row = await _output(conn, certificate.output_id)
    kept = read_certificate(authority, row["certificate"]) if row is not None else None
    if row is None or kept is None or not is_same(certificate, kept):
        return _unknown(say("This certificate was signed here, but what it names was never sold with it."))
    return _proven(authority, row, "valid", say("This certificate was signed here and is in force."))


def _proven(authority: Authority, row: Mapping[str, Any], verdict: VerdictName, sentence: str) -> Verdict:
    return replace(_named(authority, row, verdict, sentence), is_certain=True)


def _named(authority: Authority, row: Mapping[str, Any], verdict: VerdictName, sentence: str) -> Verdict:
    """A verdict about an output that was found. One that was taken back is `revoked` and one that nobody bought is
    `unknown`, unless the file was changed."""
    if verdict != "altered" and row["test"]:
        verdict, sentence = "unknown", _TEST
    elif verdict != "altered" and row["revoked_at"] is not None:
        verdict = "revoked"
        sentence = say(
            "This was sold here and taken back on {day:%Y-%m-%d}: {reason}",
            day=row["revoked_at"],
            reason=row["revoked_reason"],
        )
    return Verdict(
        verdict=verdict,
        sentence=sentence,
        output_id=row["output_id"],
        certificate=read_certificate(authority, row["certificate"]),
        document=row["certificate"],
        distance=row.get("distance"),
        revoked_reason=row["revoked_reason"],
        is_test=row["test"],
    )


def _unknown(sentence: str) -> Verdict:
    return Verdict(verdict="unknown", sentence=sentence)


async def _output(conn: Connection, output_id: str) -> Mapping[str, Any] | None:
    row: Mapping[str, Any] | None = await conn.fetchrow(
        "SELECT * FROM licensing.output WHERE output_id = $1", output_id
    )
    return row


async def _marked(conn: Connection, content: bytes, watermark: Watermark | None) -> str | None:
    """The output that an invisible mark names; None where no mark is looked for or none is there."""
    key = await asyncio.to_thread(watermark.detect, content) if watermark else None
    return await marked_output(conn, key) if key else None


async def _nearest(conn: Connection, phash: str) -> Mapping[str, Any] | None:
    """The sold output that looks most like this, if it is near enough."""
    found = await nearest(conn, phash) if is_telling(phash) else None
    row = await _output(conn, found.output_id) if found else None
    return None if row is None or found is None else {**row, "distance": found.distance}


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
