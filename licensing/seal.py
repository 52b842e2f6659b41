"""Signed provenance inside the picture: C2PA, under the operator's own root.

Signing and reading are synchronous and take some milliseconds: call them in a thread. Thumbnails are off: they would
cost ten times the rest. The key signs through a callback, so it may live elsewhere one day.
"""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import c2pa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from licensing.authority import Authority
from licensing.errors import SealRefused

Mime = Literal["image/png", "image/jpeg", "image/webp"]
SealState = Literal["intact", "broken", "foreign", "absent"]

_LICENCE = "ownhand.licence"
_MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_MINING = ("cawg.ai_generative_training", "cawg.ai_training", "cawg.data_mining")


@dataclass(frozen=True, kw_only=True)
class SealClaim:
    """What a seal says. `licence_id` is the order or licence under which the picture was made, `adapter_sha256` of the
    model that made it. `training_allowed` False writes that the picture may not be used to train models."""

    output_id: str
    licence_id: str
    style_id: str
    style_name: str
    version_id: str
    creator_name: str
    tier: str
    terms_version: int
    adapter_sha256: str
    made_at: datetime
    training_allowed: bool = False


@dataclass(frozen=True, kw_only=True)
class SealReading:
    """What a file's seal says.

    `intact`: ours and the bytes are as signed. `broken`: ours, but the bytes were changed. `foreign`: another signer's.
    `absent`: none. `claim` is what our assertion says, empty where its own signature does not hold.
    """

    state: SealState
    claim: dict[str, str | int]
    problems: tuple[str, ...]


def seal(authority: Authority, image: bytes, mime: Mime, claim: SealClaim) -> bytes:
    """`image` with a signed manifest in it; what was signed is verified before it is returned.

    Raises SealRefused for bytes that are not a picture of type `mime`. It does not ask whether signing is allowed:
    `gateway.may_sign` does, and must have been asked.
    """
    if mime_of(image) != mime:
        raise SealRefused(
            f"output {claim.output_id} is {mime_of(image) or 'no picture'}, not {mime}; nothing was signed"
        )
    signer = c2pa.Signer.from_callback(
        lambda data: authority.seal_key.sign(data, ec.ECDSA(hashes.SHA256())),
        c2pa.C2paSigningAlg.ES256,
        authority.chain,
    )
    sealed = io.BytesIO()
    try:
        with (
            c2pa.Context.from_dict(_settings(authority, verify_after_sign=True), signer=signer) as context,
            c2pa.Builder.from_json(json.dumps(_manifest(claim, mime)), context=context) as builder,
        ):
            builder.sign(mime, io.BytesIO(image), sealed)
    except c2pa.C2paError as error:
        raise SealRefused(f"output {claim.output_id} could not be sealed: {error}") from error
    return sealed.getvalue()


def read_seal(authority: Authority, content: bytes) -> SealReading:
    """What the seal in `content` says, whatever `content` is."""
    mime = mime_of(content)
    if mime is None:
        return _unreadable(content, "this is not a PNG, JPEG or WebP file")
    try:
        with (
            c2pa.Context.from_dict(_settings(authority, verify_after_sign=False)) as context,
            c2pa.Reader(mime, io.BytesIO(content), context=context) as reader,
        ):
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        return _unreadable(content, str(error))
    return _judge(report, labelled=_LICENCE.encode() in content)


def mime_of(content: bytes) -> Mime | None:
    """The type of a picture by its first bytes, None for any other file."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def _settings(authority: Authority, *, verify_after_sign: bool) -> dict[str, Any]:
    return {
        "builder": {"thumbnail": {"enabled": False}},
        "trust": {"trust_anchors": authority.root},
        "verify": {"verify_trust": True, "verify_after_sign": verify_after_sign, "remote_manifest_fetch": False},
    }


def _manifest(claim: SealClaim, mime: Mime) -> dict[str, Any]:
    use = "allowed" if claim.training_allowed else "notAllowed"
    licence = {
        "output_id": claim.output_id,
        "licence_id": claim.licence_id,
        "style_id": claim.style_id,
        "style": claim.style_name,
        "version_id": claim.version_id,
        "creator": claim.creator_name,
        "tier": claim.tier,
        "terms_version": claim.terms_version,
        "adapter_sha256": claim.adapter_sha256,
    }
    created = {
        "action": "c2pa.created",
        "when": claim.made_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "digitalSourceType": _MADE_BY_A_MODEL,
    }
    return {
        "claim_generator_info": [{"name": "Ownhand"}],
        "title": claim.output_id,
        "format": mime,
        "ingredients": [
            {
                "title": f"{claim.style_name} ({claim.version_id})",
                "format": "application/octet-stream",
                "instance_id": f"sha256:{claim.adapter_sha256}",
                "relationship": "inputTo",
                "data_types": [{"type": "c2pa.types.model"}],
            }
        ],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": "cawg.training-mining", "data": {"entries": {name: {"use": use} for name in _MINING}}},
            {"label": _LICENCE, "data": licence},
        ],
    }


def _judge(report: dict[str, Any], *, labelled: bool) -> SealReading:
    """A c2pa report in our words. The claim counts only if our certificate signed it and it is as signed.

    `labelled`: the label of our assertion is in the file. Where more is wrong than an unknown signer, a damaged
    certificate of ours looks like a stranger's; the label tells them apart.
    """
    results = report.get("validation_results", {}).get("activeManifest", {"success": [], "failure": []})
    passed = {(found["code"], found["url"].rsplit("/", 1)[-1]) for found in results["success"]}
    problems = tuple(sorted({found["code"] for found in results["failure"]}))
    if "signingCredential.trusted" not in {code for code, _ in passed}:
        damaged = labelled and set(problems) != {"signingCredential.untrusted"}
        return SealReading(state="broken" if damaged else "foreign", claim={}, problems=problems)
    claim: dict[str, str | int] = {}
    if "claimSignature.validated" in {code for code, _ in passed} and ("assertion.hashedURI.match", _LICENCE) in passed:
        # A damaged label can leave the report naming a manifest that is not in it.
        manifest = report["manifests"].get(report["active_manifest"], {"assertions": []})
        claim = next((item["data"] for item in manifest["assertions"] if item["label"] == _LICENCE), {})
    intact = report["validation_state"] == "Trusted" and bool(claim)
    return SealReading(state="intact" if intact else "broken", claim=claim, problems=problems)


def _unreadable(content: bytes, problem: str) -> SealReading:
    """No manifest can be read; the label of our assertion in the bytes still tells that there was one of ours."""
    state: SealState = "broken" if _LICENCE.encode() in content else "absent"
    return SealReading(state=state, claim={}, problems=(problem,))
