"""What can go wrong, and how it is said.

OwnhandError
├── NotStarted          a part of this place did not come up; the sentence says which and where to look
├── ObjectMissing       storage holds nothing under a key
├── StorageAway         the storage does not answer, or said that it cannot serve; it may come back
├── AdapterWithdrawn    an adapter was switched off while a worker fetched it
├── FileRefused         a creator's file was asked for without a purpose, or by a job that is not that creator's own
├── AddressRefused      a URL that a client gave leads where nothing of ours may go; the sentence says why
├── SecretLost          what signs messages cannot be read any more: the pepper is another one
└── Problem             an answer of the API (RFC 9457): a slug of SLUGS and a sentence

Domain functions return a licensing `Refusal` where a refusal is an expected answer; `refused` turns it into a Problem.
This is the only module that knows status codes.
"""

from http import HTTPStatus
from typing import Any

from licensing.errors import Refusal
from licensing.sentence import Sentence, say
from service.languages import translate

TYPE_PREFIX = "https://ownhand.invalid/problems/"

SLUGS: dict[str, tuple[int, Sentence]] = {
    "unauthenticated": (401, say("Sign in first")),
    "forbidden": (403, say("Not allowed")),
    "terms_not_accepted": (403, say("The terms have changed")),
    "style_off": (403, say("The style is switched off")),
    "style_not_offered": (403, say("The style is not for sale to you")),
    "base_not_for_sale": (403, say("What the base makes may not be sold")),
    "style_closed": (403, say("The style takes no new clients")),
    "style_exclusive": (403, say("The style is another client's alone")),
    "style_paused": (423, say("The style is paused")),
    "style_destroyed": (410, say("The style is gone")),
    "not_found": (404, say("Not found")),
    "method_not_allowed": (405, say("Method not allowed")),
    "conflict": (409, say("It does not fit the present state")),
    "gate_not_passed": (409, say("The release gate was not passed")),
    "rights_missing": (409, say("Rights are missing")),
    "idempotency_conflict": (409, say("The first request is still running")),
    "payload_too_large": (413, say("Too large")),
    "unsupported_media_type": (415, say("Unsupported kind of content")),
    "invalid_request": (422, say("The request is not valid")),
    "prompt_refused": (422, say("The prompt was refused")),
    "image_refused": (422, say("The picture was refused")),
    "idempotency_mismatch": (422, say("The idempotency key belongs to another request")),
    "payment_required": (402, say("Payment required")),
    "quota_exceeded": (402, say("The quota is used up")),
    "spend_cap_reached": (402, say("The spend cap is reached")),
    "rate_limited": (429, say("Too many requests")),
    "internal_error": (500, say("Something broke here")),
    "overloaded": (503, say("Too busy")),
}


class OwnhandError(Exception):
    """Whatever the service itself raises."""


class NotStarted(OwnhandError):
    """A part of this place did not come up."""


class ObjectMissing(OwnhandError):
    """Storage holds nothing under this key."""


class StorageAway(OwnhandError, ConnectionError):
    """The storage does not answer, or said that it cannot serve; the same may go well in a while."""


class AdapterWithdrawn(OwnhandError):
    """An adapter was switched off while a worker fetched it; nothing of it was kept."""


class StartWithdrawn(OwnhandError):
    """The work that an order starts from is no starting point any more; it was not read."""


class FileRefused(OwnhandError):
    """A creator's file was asked for without a purpose, or by a job that is not that creator's own; it was not read."""


class AddressRefused(OwnhandError):
    """A URL that a client gave leads where nothing of ours may go. Its text is a sentence for the client."""


class SecretLost(OwnhandError):
    """The secret that signs an endpoint's messages cannot be read any more. Its text is a sentence for the client."""


class Problem(OwnhandError):
    """An answer of the API: `slug` is one of SLUGS, `detail` says what happened, with the value, and the way out."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        retry_after_s: float | None = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        assert slug in SLUGS, slug
        self.slug = slug
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extra = extra or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        return SLUGS[self.slug][0]

    @property
    def document(self) -> dict[str, Any]:
        """The body of RFC 9457, with `extra` as extension members, in the language of whoever reads it."""
        status, title = SLUGS[self.slug]
        return {
            "type": TYPE_PREFIX + self.slug,
            "title": translate(title),
            "status": status,
            "detail": translate(self.detail),
            **self.extra,
        }


def not_found(kind: str, name: str) -> Problem:
    """The problem for an object that does not exist or is another tenant's: the two must read the same."""
    return Problem("not_found", say("There is no {kind} {name!r} here; check the id.", kind=say(kind), name=name))


def invalid(error: Exception) -> Problem:
    """The problem for what cannot be, as a sentence without its end that something raised."""
    said = error.args[0] if error.args and isinstance(error.args[0], Sentence) else str(error)
    return Problem("invalid_request", say("{what}.", what=said))


def refused(refusal: Refusal) -> Problem:
    """The problem for a refusal of the licensing room."""
    extra = {"values": dict(refusal.detail)} if refusal.detail else None
    return Problem(refusal.slug, refusal.message, retry_after_s=refusal.retry_after_s, extra=extra)


def from_status(status: int, detail: str) -> Problem:
    """The problem for a bare HTTP status that the framework raised."""
    slugs = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
    slugs |= {413: "payload_too_large", 415: "unsupported_media_type"}
    slug = slugs.get(status, "internal_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request")
    return Problem(slug, detail)
