"""The licence of one output as a signed document that outlives the style, the service and its database."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from licensing.authority import Authority, sign_document, verify_document
from licensing.money import Money
from licensing.terms import Permissions

_KIND = "ownhand.certificate.v1"
FORMER = "formerly "
"""What a name begins with that stands for an account that was erased; its id follows."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Who may use which picture how.

    Hashes are SHA-256 in hex; `prompt_sha256` commits to the prompt without telling it. `use` is the tier's sentence in
    the terms, `amount` what the picture cost. `width` and `height` are the delivered picture's, in pixels. `issued_at`
    is aware, to the second. `permissions` are those of the terms at the time of sale, `expires_at` is when the right to
    use the picture ends, None for never; `ownership_terms` is the version of who owns what that was in force. Documents
    of before they were written down have neither.
    """

    output_id: str
    order_id: str
    client_id: str
    client_name: str
    creator_id: str
    creator_name: str
    style_id: str
    style_name: str
    version_id: str
    tier: str
    terms_version: int
    use: str
    prompt_sha256: str
    output_sha256: str
    phash: str
    width: int
    height: int
    amount: Money
    issued_at: datetime
    test: bool = False
    permissions: Permissions | None = None
    expires_at: datetime | None = None
    ownership_terms: int | None = None


def is_same(document: Certificate, kept: Certificate) -> bool:
    """Whether a certificate that somebody shows is the one that is kept: it may name a party that was erased since."""
    names = {name: getattr(kept, name) for name in ("client_name", "creator_name")}
    erased = {name: value for name, value in names.items() if value.startswith(FORMER)}
    return replace(document, **erased) == kept


def certify(authority: Authority, certificate: Certificate) -> str:
    """The certificate as a compact Ed25519 JWS."""
    payload = asdict(certificate) | {
        "kind": _KIND,
        "issued_at": _written(certificate.issued_at),
        "expires_at": _written(certificate.expires_at) if certificate.expires_at else None,
    }
    return sign_document(authority, payload)


def read_certificate(authority: Authority, document: str) -> Certificate | None:
    """A certificate that this authority signed; None for anything else."""
    payload = verify_document(authority, document)
    if payload is None or payload.pop("kind", None) != _KIND:
        return None
    values = {"amount": Money(**payload["amount"]), "issued_at": datetime.fromisoformat(payload["issued_at"])}
    if payload.get("permissions"):
        values["permissions"] = Permissions(**payload["permissions"])
    if payload.get("expires_at"):
        values["expires_at"] = datetime.fromisoformat(payload["expires_at"])
    return Certificate(**payload | values)


def _written(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
