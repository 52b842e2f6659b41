"""The API from outside, for the matrix of tenants and the document of the API to hold it against.

`CALLS` says who may make each call; `PARAMETERS` what a name in braces is, `FORMS` what some pages must be sent. A call
that is added later needs its line here.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from service.accounts import Role

Scope = Literal["read", "write", "generate", "change", "whole"]
"""`change`: the one with which each role changes things; `whole`: only one without scopes, which carries them all."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the API: who may make it with which scope (nobody named: everybody), and a body that would do: JSON,
    or a picture in the field `file`."""

    roles: tuple[Role, ...] = ()
    scope: Scope = "read"
    json: Any = None
    file: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    is_published: bool = False
    """What its path names is a creator's and published: whoever has the role reaches it."""
    is_end: bool = False
    """After it the object is gone or ended, so it is tried last."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a name in a path stands for. `owner` is who has such objects, None where it belongs to nobody."""

    owner: Role | None
    missing: str
    """One that does not exist, as long as the real ones."""


def _id(prefix: str) -> str:
    return f"{prefix}_{'0' * 26}"


PARAMETERS = {
    "style_id": Parameter(owner="creator", missing=_id("sty")),
    "work_id": Parameter(owner="creator", missing=_id("wrk")),
    "try_id": Parameter(owner="creator", missing=_id("try")),
    "start_id": Parameter(owner="creator", missing=_id("wrk")),
    "consent_id": Parameter(owner="creator", missing=_id("cns")),
    "consent_word": Parameter(owner=None, missing="no-such-word"),
    "upload_file_id": Parameter(owner="creator", missing=_id("upf")),
    "training_id": Parameter(owner="creator", missing=_id("trn")),
    "version_id": Parameter(owner="creator", missing=_id("ver")),
    "payment_id": Parameter(owner="client", missing="pay_" + "0" * 26),
    "any_payment_id": Parameter(owner=None, missing="pay_" + "0" * 26),
    "setup_id": Parameter(owner=None, missing=_id("set")),
    "provider_name": Parameter(owner=None, missing="nobody"),
    "payout_id": Parameter(owner="creator", missing=_id("pyt")),
    "any_payout_id": Parameter(owner=None, missing=_id("pyt")),
    "run_id": Parameter(owner=None, missing=_id("run")),
    "sold_id": Parameter(owner="client", missing=_id("out")),
    "dispute_id": Parameter(owner="client", missing=_id("dsp")),
    "authorship_id": Parameter(owner="creator", missing=_id("aut")),
    "approval_id": Parameter(owner="creator", missing=_id("gen")),
    "use_id": Parameter(owner="creator", missing=_id("use")),
    "generation_id": Parameter(owner="client", missing=_id("gen")),
    "order_id": Parameter(owner="client", missing=_id("gen")),
    "output_id": Parameter(owner="client", missing=_id("out")),
    "member_id": Parameter(owner="client", missing=_id("mem")),
    "invitation_id": Parameter(owner="client", missing=_id("inv")),
    "webhook_id": Parameter(owner="client", missing=_id("whk")),
    "letter_id": Parameter(owner="client", missing=_id("ltr")),
    "account_id": Parameter(owner=None, missing=_id("acc")),
    "topic": Parameter(owner=None, missing="nothing"),
    "word": Parameter(owner=None, missing="0" * 40),
    "message_id": Parameter(owner="client", missing=_id("msg")),
    "key_id": Parameter(owner="client", missing=_id("key")),
    "image_id": Parameter(owner="client", missing=_id("img")),
    "session_id": Parameter(owner="client", missing="ses_00000000"),
    "client_id": Parameter(owner=None, missing=_id("acc")),
    "refund_id": Parameter(owner=None, missing=_id("rfd")),
    "file_id": Parameter(owner=None, missing=_id("rff")),
    "statement_id": Parameter(owner=None, missing=_id("bst")),
    "creator_id": Parameter(owner=None, missing=_id("acc")),
    "claim_id": Parameter(owner="creator", missing=_id("clm")),
    "case_id": Parameter(owner=None, missing=_id("cas")),
    "number": Parameter(owner=None, missing="999"),
    "name": Parameter(owner=None, missing="00000"),
    "version": Parameter(owner=None, missing="999"),
    "month": Parameter(owner=None, missing="1999-01"),
    "row": Parameter(owner=None, missing="9"),
    "step": Parameter(owner=None, missing="999"),
    **{name: Parameter(owner=None, missing="nothing") for name in ("column", "side", "noun")},
    "invoice_number": Parameter(owner="client", missing="1999-00001"),
    "code": Parameter(owner=None, missing="NO-SUCH-CODE"),
    "digest": Parameter(owner=None, missing="0"),
}

_LIVE = {"level": "live", "reason": None}

_CREATOR_READS, _CREATOR = Call(roles=("creator",)), Call(roles=("creator",), scope="write")
_CLIENT_READS, _CLIENT = Call(roles=("client",)), Call(roles=("client",), scope="generate")
_CLIENTS_READ = Call(roles=("client",), is_published=True)
_EVERYBODY = Call()

CALLS: dict[str, Call] = {
    "GET /.well-known/jwks.json": _EVERYBODY,
    "GET /.well-known/ownhand-root.pem": _EVERYBODY,
    "GET /v1/styles": _EVERYBODY,
    "GET /v1/styles/{style_id}": _EVERYBODY,
    "GET /v1/styles/{style_id}/examples/{number}": _EVERYBODY,
    "GET /v1/revocations": _EVERYBODY,
    "GET /v1/revocations/signed": _EVERYBODY,
    "GET /v1/reports": _EVERYBODY,
    "GET /v1/reports/{month}": _EVERYBODY,
    "POST /v1/verify": Call(json={"certificate": "nothing"}),
    "POST /v1/styles": Call(roles=("creator",), scope="write", json={"name": "Ink", "summary": "Loose ink"}),
    "PATCH /v1/styles/{style_id}": Call(roles=("creator",), scope="write", json={"name": "Ink"}),
    "GET /v1/styles/{style_id}/deletion": _CREATOR_READS,
    "POST /v1/styles/{style_id}/works": Call(roles=("creator",), scope="write", file="files"),
    "GET /v1/styles/{style_id}/works": _CREATOR_READS,
    "POST /v1/styles/{style_id}/consents": Call(
        roles=("creator",), scope="write", json={"asked": "Jo", "works": ["{work_id}"]}
    ),
    "GET /v1/styles/{style_id}/consents": _CREATOR_READS,
    "DELETE /v1/consents/{consent_id}": Call(roles=("creator",), scope="write", is_end=True),
    "POST /v1/styles/{style_id}/uploads": Call(
        roles=("creator",), scope="write", json={"files": [{"filename": "a.png", "bytes": 9}]}
    ),
    "GET /v1/styles/{style_id}/uploads": _CREATOR_READS,
    "DELETE /v1/styles/{style_id}/uploads": Call(roles=("creator",), scope="write", is_end=True),
    "PUT /v1/uploads/{upload_file_id}": _CREATOR,
    "GET /v1/styles/{style_id}/review": _CREATOR_READS,
    "POST /v1/works/{work_id}/answers": Call(
        roles=("creator",), scope="write", json={"kind": "blurred", "reason": "meant so"}
    ),
    "PATCH /v1/works/{work_id}": Call(roles=("creator",), scope="write", json={"include": True}),
    "DELETE /v1/works/{work_id}": Call(roles=("creator",), scope="write", is_end=True),
    "GET /v1/works/{work_id}/file": _CREATOR_READS,
    "GET /v1/works/{work_id}/thumbnail": _CREATOR_READS,
    "POST /v1/styles/{style_id}/trainings": Call(roles=("creator",), scope="write", json={}, is_end=True),
    "GET /v1/styles/{style_id}/trainings": _CREATOR_READS,
    "GET /v1/styles/{style_id}/estimate": _CREATOR_READS,
    "GET /v1/trainings/{training_id}": _CREATOR_READS,
    "GET /v1/trainings/{training_id}/events": _CREATOR_READS,
    "GET /v1/trainings/{training_id}/samples/{name}": _CREATOR_READS,
    "POST /v1/trainings/{training_id}/cancel": _CREATOR,
    "POST /v1/trainings/{training_id}/pause": _CREATOR,
    "POST /v1/trainings/{training_id}/candidates/{step}": _CREATOR,
    "POST /v1/trainings/{training_id}/resume": Call(roles=("creator",), scope="write", json={}),
    "GET /v1/styles/{style_id}/versions": _CREATOR_READS,
    "GET /v1/versions/{version_id}": _CREATOR_READS,
    "POST /v1/versions/{version_id}/publish": _CREATOR,
    "GET /v1/versions/{version_id}/report": _CREATOR_READS,
    "POST /v1/versions/{version_id}/tries": Call(roles=("creator",), scope="write", json={"prompt": "an apple"}),
    "GET /v1/versions/{version_id}/tries": _CREATOR_READS,
    "GET /v1/tries/{try_id}/picture": _CREATOR_READS,
    "GET /v1/versions/{version_id}/sheet": _CREATOR_READS,
    "GET /v1/versions/{version_id}/receipt": _CREATOR_READS,
    "GET /v1/versions/{version_id}/adapter": _CREATOR_READS,
    "PUT /v1/styles/{style_id}/switch": Call(roles=("creator",), scope="write", json=_LIVE),
    "PUT /v1/switch": Call(roles=("creator",), scope="write", json=_LIVE),
    "PUT /v1/styles/{style_id}/clients/{client_id}/switch": Call(roles=("creator",), scope="write", json=_LIVE),
    "GET /v1/switch/history": _CREATOR_READS,
    "GET /v1/data-use": _CREATOR_READS,
    "GET /v1/data-use/{use_id}": _CREATOR_READS,
    "GET /v1/letters": Call(roles=("creator", "client", "operator")),
    "POST /v1/letters/{letter_id}/read": Call(roles=("creator", "client", "operator"), scope="change"),
    "POST /v1/letters/read": Call(roles=("creator", "client", "operator"), scope="change"),
    "GET /v1/letter-topics": Call(roles=("creator", "client", "operator")),
    "PUT /v1/letter-topics": Call(roles=("creator", "client", "operator"), scope="change", json={"off": []}),
    "GET /v1/audit": Call(roles=("creator", "client", "operator")),
    "GET /v1/payments": _CLIENT_READS,
    "POST /v1/payments": Call(roles=("client",), scope="generate", json={"pack": "small"}),
    "GET /v1/payments/{payment_id}": _CLIENT_READS,
    "POST /v1/payments/{any_payment_id}/received": Call(roles=("operator",), scope="write"),
    "POST /v1/payments/{any_payment_id}/refunds": Call(
        roles=("operator",), scope="write", json={"amount": 1, "why": "a matrix"}
    ),
    "GET /v1/refunds": Call(roles=("operator",)),
    "POST /v1/refunds/{refund_id}/sent": Call(roles=("operator",), scope="write"),
    "POST /v1/refunds/{refund_id}/returned": Call(
        roles=("operator",), scope="write", json={"reason": "a matrix"}, is_end=True
    ),
    "GET /v1/refund-files": Call(roles=("operator",)),
    "POST /v1/refund-files": Call(roles=("operator",), scope="write"),
    "GET /v1/refund-files/{file_id}/file": Call(roles=("operator",)),
    "POST /v1/refund-files/{file_id}/sent": Call(roles=("operator",), scope="write"),
    "POST /v1/bank-statements": Call(roles=("operator",), scope="write", file="file"),
    "GET /v1/bank-statements": Call(roles=("operator",)),
    "GET /v1/bank-statements/{statement_id}": Call(roles=("operator",)),
    "POST /v1/bank-statements/{statement_id}/confirm": Call(roles=("operator",), scope="write"),
    "DELETE /v1/bank-statements/{statement_id}": Call(roles=("operator",), scope="write", is_end=True),
    "POST /v1/payment-method": _CLIENT,
    "DELETE /v1/payment-method": Call(roles=("client",), scope="generate", is_end=True),
    "POST /v1/provider-events/{provider_name}": _EVERYBODY,
    "GET /v1/payee": _CREATOR_READS,
    "PUT /v1/payee": Call(
        roles=("creator",),
        scope="write",
        json={"holder": "Mara", "iban": "DE89370400440532013000", "minimum": 100, "schedule": "never"},
    ),
    "POST /v1/payee/connect": _CREATOR,
    "GET /v1/payouts": _CREATOR_READS,
    "POST /v1/payouts": _CREATOR,
    "GET /v1/payouts/{payout_id}": _CREATOR_READS,
    "POST /v1/payouts/{any_payout_id}/fail": Call(
        roles=("operator",), scope="write", json={"reason": "no such account"}
    ),
    "GET /v1/payout-runs": Call(roles=("operator",)),
    "POST /v1/payout-runs": Call(roles=("operator",), scope="write"),
    "GET /v1/payout-runs/{run_id}": Call(roles=("operator",)),
    "GET /v1/payout-runs/{run_id}/file": Call(roles=("operator",)),
    "POST /v1/payout-runs/{run_id}/confirm": Call(roles=("operator",), scope="write", json={"reference": "bank 1"}),
    "GET /v1/dues": _CREATOR_READS,
    "PUT /v1/dues": Call(roles=("creator",), scope="write", json={"from_earnings": False}),
    "GET /v1/creator-dues": Call(roles=("operator",)),
    "POST /v1/creator-dues/{creator_id}/payments": Call(
        roles=("operator",), scope="write", json={"amount": 1, "reference": "bank 1"}
    ),
    "POST /v1/creator-dues/{creator_id}/waivers": Call(
        roles=("operator",), scope="write", json={"amount": 1, "why": "a matrix"}
    ),
    "POST /v1/outputs/{sold_id}/disputes": Call(
        roles=("client", "creator"), scope="change", json={"ground": "other", "words": "a matrix"}
    ),
    "POST /v1/takedowns": Call(
        roles=("operator",), scope="write", json={"output": "{sold_id}", "words": "mine", "contact": "a@example.org"}
    ),
    "POST /v1/claims/matches": Call(roles=("operator",), scope="write", file="picture"),
    "POST /v1/claims": Call(
        roles=("operator",), scope="write", json={"work": "{work_id}", "words": "It is mine.", "contact": "Jo"}
    ),
    "GET /v1/claims": Call(roles=("creator", "operator")),
    "GET /v1/claims/{claim_id}": Call(roles=("creator", "operator")),
    "POST /v1/claims/{claim_id}/notes": Call(
        roles=("creator", "operator"), scope="change", json={"words": "It is mine."}
    ),
    "POST /v1/claims/{claim_id}/appeal": Call(
        roles=("creator", "operator"), scope="change", json={"words": "It is mine."}
    ),
    "POST /v1/claims/{claim_id}/withdraw": Call(
        roles=("operator",), scope="write", json={"words": "They were wrong."}, is_end=True
    ),
    "POST /v1/claims/{claim_id}/decide": Call(
        roles=("operator",), scope="write", json={"outcome": "rejected", "reason": "No proof."}, is_end=True
    ),
    "POST /v1/claims/{claim_id}/retrain": Call(roles=("creator",), scope="write", json={}),
    "POST /v1/styles/{style_id}/withheld": Call(
        roles=("creator",), scope="write", json={"sha256": "0" * 64, "reason": "It is mine."}
    ),
    "GET /v1/disputes": Call(roles=("client", "creator", "operator")),
    "GET /v1/disputes/{dispute_id}": Call(roles=("client", "creator", "operator")),
    "GET /v1/disputes/{dispute_id}/outputs/{sold_id}": Call(roles=("client", "creator", "operator")),
    "POST /v1/disputes/{dispute_id}/notes": Call(
        roles=("client", "creator", "operator"), scope="change", json={"words": "a matrix"}
    ),
    "POST /v1/disputes/{dispute_id}/appeal": Call(
        roles=("client", "creator", "operator"), scope="change", json={"words": "a matrix"}
    ),
    "POST /v1/disputes/{dispute_id}/withdraw": Call(
        roles=("client", "creator", "operator"), scope="change", json={"words": "a matrix"}, is_end=True
    ),
    "POST /v1/disputes/{dispute_id}/decide": Call(
        roles=("operator",), scope="write", json={"outcome": "released", "reason": "a matrix"}, is_end=True
    ),
    "GET /v1/styles/{style_id}/authors": _CREATOR_READS,
    "POST /v1/styles/{style_id}/authors": Call(
        roles=("creator",), scope="write", json={"weight": 1, "authors": [{"email": "nobody@example.org", "weight": 1}]}
    ),
    "GET /v1/authorships": _CREATOR_READS,
    "POST /v1/authorships/{authorship_id}/accept": _CREATOR,
    "POST /v1/authorships/{authorship_id}/decline": _CREATOR,
    "POST /v1/authorships/{authorship_id}/leave": Call(roles=("creator",), scope="write", is_end=True),
    "GET /v1/earnings": _CREATOR_READS,
    "GET /v1/statements/{month}": _CREATOR_READS,
    "GET /v1/styles/{style_id}/rates": _CREATOR_READS,
    "PUT /v1/styles/{style_id}/rates/{client_id}": Call(
        roles=("creator",), scope="write", json={"tier": "personal", "price": {"amount": 55, "currency": "EUR"}}
    ),
    "POST /v1/quotes": Call(roles=("client",), scope="generate", json={"style": "{style_id}", "prompt": "an apple"}),
    "POST /v1/images": Call(roles=("client",), scope="generate", file="file"),
    "POST /v1/generations": Call(
        roles=("client",),
        scope="generate",
        json={"style": "{style_id}", "prompt": "an apple"},
        headers={"Idempotency-Key": "the matrix"},
        is_end=True,
    ),
    "GET /v1/generations": _CLIENT_READS,
    "GET /v1/generations/{generation_id}": _CLIENT_READS,
    "POST /v1/generations/{generation_id}/cancel": _CLIENT,
    "GET /v1/generations/{generation_id}/events": _CLIENT_READS,
    "GET /v1/outputs.zip": _CLIENT_READS,
    "GET /v1/outputs/{output_id}": _CLIENT_READS,
    "GET /v1/outputs/{output_id}/certificate": Call(roles=("client", "creator")),
    "GET /v1/outputs/{output_id}/receipt": _CLIENT_READS,
    "POST /v1/outputs/{output_id}/refund": Call(
        roles=("operator",), scope="write", json={"reason": "a matrix"}, is_end=True
    ),
    "GET /v1/usage": _CLIENT_READS,
    "GET /v1/spend": _CLIENT_READS,
    "GET /v1/spend/charges": _CLIENT_READS,
    "GET /v1/subscription": _CLIENT_READS,
    "PUT /v1/subscription": Call(roles=("client",), scope="generate", json={"plan": None}),
    "POST /v1/subscription/pause": Call(roles=("client",), scope="generate", json={}),
    "POST /v1/subscription/resume": _CLIENT,
    "PUT /v1/subscription/overage": Call(roles=("client",), scope="generate", json={"cap": 0}),
    "GET /v1/buyer": _CLIENT_READS,
    "PUT /v1/buyer": Call(
        roles=("client",),
        scope="generate",
        json={"name": "Harbour", "street": "Kai 1", "postcode": "1", "city": "Hamburg", "country": "DE"},
    ),
    "GET /v1/invoices": _CLIENT_READS,
    "GET /v1/invoices/{invoice_number}": _CLIENT_READS,
    "GET /v1/coupons": Call(roles=("operator",)),
    "POST /v1/coupons": Call(roles=("operator",), scope="write", json={"code": "MATRIX", "percent": 10}),
    "DELETE /v1/coupons/{code}": Call(roles=("operator",), scope="write", is_end=True),
    "GET /v1/licences": _CLIENT_READS,
    "POST /v1/licences": Call(roles=("client",), scope="generate", json={"style": "{style_id}", "tier": "personal"}),
    "POST /v1/webhooks": Call(roles=("client",), scope="generate", json={"url": "http://127.0.0.1:9/matrix"}),
    "GET /v1/webhooks": _CLIENT_READS,
    "GET /v1/webhooks/{webhook_id}": _CLIENT_READS,
    "DELETE /v1/webhooks/{webhook_id}": Call(roles=("client",), scope="generate", is_end=True),
    "POST /v1/webhooks/{webhook_id}/rotate": _CLIENT,
    "POST /v1/webhooks/{webhook_id}/ping": _CLIENT,
    "GET /v1/webhooks/{webhook_id}/deliveries": _CLIENT_READS,
    "POST /v1/webhooks/{webhook_id}/deliveries/{message_id}/redeliver": _CLIENT,
    "GET /v1/images/{image_id}": _CLIENT_READS,
    "GET /v1/styles/{style_id}/starting-points": _CLIENTS_READ,
    "GET /v1/styles/{style_id}/starting-points/{start_id}": _CLIENTS_READ,
    "GET /v1/styles/{style_id}/licence": _EVERYBODY,
    "GET /v1/styles/{style_id}/licence.xml": _EVERYBODY,
    "GET /v1/styles/{style_id}/licence/{version}": _EVERYBODY,
    "GET /v1/switch/latency": _EVERYBODY,
    "GET /v1/terms": _EVERYBODY,
    "GET /v1/terms/{version}": _EVERYBODY,
    "POST /v1/terms/accept": Call(roles=("creator", "client", "operator"), scope="change", json={"version": 1}),
    "GET /v1/rules": _CREATOR_READS,
    "PUT /v1/rules": Call(roles=("creator",), scope="write", json={"refuse": ["swords"]}),
    "GET /v1/styles/{style_id}/rules": _CREATOR_READS,
    "PUT /v1/styles/{style_id}/rules": Call(roles=("creator",), scope="write", json={"refuse": ["swords"]}),
    "DELETE /v1/styles/{style_id}/rules": _CREATOR,
    "POST /v1/styles/{style_id}/rules/dry-run": Call(roles=("creator",), json={"examples": ["an apple"]}),
    "GET /v1/approvals": _CREATOR_READS,
    "GET /v1/approvals/clients": _CREATOR_READS,
    "PUT /v1/approvals/clients/{client_id}": Call(roles=("creator",), scope="write", json={"trust": "trusted"}),
    "GET /v1/approvals/{approval_id}/pictures/{number}": _CREATOR_READS,
    "POST /v1/approvals/{approval_id}/approve": _CREATOR,
    "POST /v1/approvals/{approval_id}/reject": Call(roles=("creator",), scope="write", json={"reason": "no"}),
    "GET /v1/export": _CREATOR_READS,
    "GET /v1/team": _CLIENT_READS,
    "POST /v1/team/invitations": Call(
        roles=("client",), scope="whole", json={"email": "ada@example.org", "level": "makes"}
    ),
    "DELETE /v1/team/invitations/{invitation_id}": Call(roles=("client",), scope="whole", is_end=True),
    "PATCH /v1/team/members/{member_id}": Call(roles=("client",), scope="whole", json={"level": "pays"}),
    "DELETE /v1/team/members/{member_id}": Call(roles=("client",), scope="whole", is_end=True),
    "GET /v1/account": Call(roles=("creator", "client")),
    "GET /v1/sessions": Call(roles=("creator", "client", "operator")),
    "DELETE /v1/sessions/{session_id}": Call(roles=("creator", "client", "operator"), scope="change", is_end=True),
    "DELETE /v1/sessions": Call(roles=("creator", "client", "operator"), scope="change", is_end=True),
    "DELETE /v1/account": Call(
        roles=("creator", "client"), scope="whole", json={"confirm": "nobody@example.org"}, is_end=True
    ),
}

NAMED = {
    # What else may name an object than a path: members of a body, and words of a query.
    "POST /v1/quotes": ("image", "mask", "start", "webhook", "version"),
    "POST /v1/generations": ("image", "mask", "start", "webhook", "version"),
    "GET /v1/switch/history": ("style_id",),
    "GET /v1/data-use": ("style", "cursor"),
    "GET /v1/audit": ("style",),
    "GET /v1/generations": ("cursor",),
    "GET /v1/outputs.zip": ("ids",),
}
NAMED_OBJECTS = {
    "ids": ("output_id", _id("out")),
    **dict.fromkeys(("image", "mask"), ("image", _id("img"))),
    # A work that its maker does not offer.
    "start": ("work_id", _id("wrk")),
    "webhook": ("webhook_id", _id("whk")),
    "version": ("hidden_version", _id("ver")),
    **dict.fromkeys(("style_id", "style"), ("style_id", _id("sty"))),
    "cursor": ("use_id", _id("use")),
}
"""Of NAMED: which of the things in `Tenants.owned` it is, and one that does not exist."""

FORMS: dict[str, dict[str, str]] = {
    # Pages that look at what was typed before they look whose it is; others are tried without a field.
    "POST /studio/styles/{style_id}": {"name": "Ink", "summary": "Loose ink"},
    "POST /studio/styles/{style_id}/training/{training_id}": {"act": "cancel"},
    "POST /studio/styles/{style_id}/switch": {"level": "live"},
    "POST /studio/works/{work_id}": {"rights": "mine"},
    "POST /studio/approvals/{approval_id}": {"decision": "reject", "reason": "not mine"},
    "POST /desk/keys/{key_id}/cap": {"cap": "5.00"},
    "POST /desk/team/members/{member_id}/level": {"level": "pays"},
    "POST /desk/outputs/{output_id}/dispute": {"ground": "other", "words": "It is not mine."},
    "POST /studio/sales/{output_id}/dispute": {"ground": "other", "words": "It is not mine."},
    **{
        f"POST /{place}/disputes/{{dispute_id}}/{act}": {"words": "It is not mine."}
        for place in ("desk", "studio")
        for act in ("notes", "appeal", "withdraw")
    },
    "POST /studio/claims/{claim_id}/notes": {"words": "It is mine."},
    "POST /studio/claims/{claim_id}/appeal": {"words": "It is mine."},
    "POST /studio/styles/{style_id}/withheld": {"sha256": "0" * 64, "reason": "It is mine."},
}
