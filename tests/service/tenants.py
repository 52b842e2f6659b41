"""Two of everybody who owns things here, and what the first of each owns: for tests that try what the second may do.

`CALLS` describes the API from outside, for the matrix to hold it against; `PARAMETERS` says what a name in braces is,
`FORMS` what some pages must be sent. A call that is added later needs its line here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from licensing import keys, payouts
from licensing.billing import issuing
from licensing.billing.parties import Party
from licensing.billing.taxes import Seller
from licensing.billing.transfers_back import note_payer
from licensing.money import Money
from licensing.payees import CHANGE_DELAY
from service.accounts import Role
from service.ids import new_id
from tests.licensing.test_bank_statements import entry, statement
from tests.service.conftest import (
    SCRIPTED_DESCRIBER,
    SCRIPTED_PROBER,
    SCRIPTED_REVIEWER,
    SCRIPTED_TRAINER,
    TINY_RECIPE,
    Person,
    connect,
    draw,
    make_style,
    wait_for,
    with_works,
)
from tests.service.market import Market, open_market, publish_style
from tests.service.webhooks.receiver import NETWORKS

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
    "webhook_id": Parameter(owner="client", missing=_id("whk")),
    "message_id": Parameter(owner="client", missing=_id("msg")),
    "key_id": Parameter(owner="client", missing=_id("key")),
    "image_id": Parameter(owner="client", missing=_id("img")),
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
    "column": Parameter(owner=None, missing="nothing"),
    "side": Parameter(owner=None, missing="nothing"),
    "invoice_number": Parameter(owner="client", missing="1999-00001"),
    "code": Parameter(owner=None, missing="NO-SUCH-CODE"),
    "digest": Parameter(owner=None, missing="0"),
}

_LIVE = {"level": "live", "reason": None}

_CREATOR_READS, _CREATOR = Call(roles=("creator",)), Call(roles=("creator",), scope="write")
_CLIENT_READS, _CLIENT = Call(roles=("client",)), Call(roles=("client",), scope="generate")
_EVERYBODY = Call()

CALLS: dict[str, Call] = {
    "GET /.well-known/jwks.json": _EVERYBODY,
    "GET /.well-known/ownhand-root.pem": _EVERYBODY,
    "GET /v1/styles": _EVERYBODY,
    "GET /v1/styles/{style_id}": _EVERYBODY,
    "GET /v1/styles/{style_id}/examples/{number}": _EVERYBODY,
    "GET /v1/revocations": _EVERYBODY,
    "GET /v1/revocations/signed": _EVERYBODY,
    "POST /v1/verify": Call(json={"certificate": "nothing"}),
    "POST /v1/styles": Call(roles=("creator",), scope="write", json={"name": "Ink", "summary": "Loose ink"}),
    "PATCH /v1/styles/{style_id}": Call(roles=("creator",), scope="write", json={"name": "Ink"}),
    "GET /v1/styles/{style_id}/deletion": _CREATOR_READS,
    "POST /v1/styles/{style_id}/works": Call(roles=("creator",), scope="write", file="files"),
    "GET /v1/styles/{style_id}/works": _CREATOR_READS,
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
    "POST /v1/trainings/{training_id}/resume": Call(roles=("creator",), scope="write", json={}),
    "GET /v1/styles/{style_id}/versions": _CREATOR_READS,
    "GET /v1/versions/{version_id}": _CREATOR_READS,
    "POST /v1/versions/{version_id}/publish": _CREATOR,
    "GET /v1/versions/{version_id}/report": _CREATOR_READS,
    "GET /v1/versions/{version_id}/sheet": _CREATOR_READS,
    "GET /v1/versions/{version_id}/receipt": _CREATOR_READS,
    "GET /v1/versions/{version_id}/adapter": _CREATOR_READS,
    "PUT /v1/styles/{style_id}/switch": Call(roles=("creator",), scope="write", json=_LIVE),
    "PUT /v1/switch": Call(roles=("creator",), scope="write", json=_LIVE),
    "PUT /v1/styles/{style_id}/clients/{client_id}/switch": Call(roles=("creator",), scope="write", json=_LIVE),
    "GET /v1/switch/history": _CREATOR_READS,
    "GET /v1/data-use": _CREATOR_READS,
    "GET /v1/data-use/{use_id}": _CREATOR_READS,
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
    "GET /v1/account": Call(roles=("creator", "client")),
    "DELETE /v1/account": Call(
        roles=("creator", "client"), scope="whole", json={"confirm": "nobody@example.org"}, is_end=True
    ),
}

NAMED = {
    # What else may name an object than a path: members of a body, and words of a query.
    "POST /v1/quotes": ("image", "mask", "webhook", "version"),
    "POST /v1/generations": ("image", "mask", "webhook", "version"),
    "GET /v1/switch/history": ("style_id",),
    "GET /v1/data-use": ("style", "cursor"),
    "GET /v1/audit": ("style",),
    "GET /v1/generations": ("cursor",),
}
NAMED_OBJECTS = {
    "image": ("image", _id("img")),
    "mask": ("image", _id("img")),
    "webhook": ("webhook_id", _id("whk")),
    "version": ("hidden_version", _id("ver")),
    "style_id": ("style_id", _id("sty")),
    "style": ("style_id", _id("sty")),
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


@dataclass(frozen=True, kw_only=True)
class Tenants:
    """Two creators and two clients, an operator, and what the first of each has, by the names of PARAMETERS."""

    market: Market
    owners: dict[Role, Person]
    others: dict[Role, Person]
    owned: dict[str, str]
    """Of `owners`."""
    others_own: dict[str, str]
    """Of `others`: what a path may name first, so that only its second name is somebody else's."""

    async def with_scopes(self, person: Person, *scopes: str) -> httpx.AsyncClient:
        """The same person with a token that may only do this."""
        web = self.market.gateway
        kind: dict[Role, keys.KeyKind] = {"creator": "creator", "client": "live", "operator": "operator"}
        async with web.pool.acquire() as conn:
            issued = await keys.issue(
                conn,
                account_id=person.account.id,
                kind=kind[person.account.role],
                scopes=scopes,
                new_id=new_id,
                now=web.clock(),
                pepper=web.pepper,
            )
        return connect(self.market.app, issued.token)


@asynccontextmanager
async def open_tenants(database_url: str, folder: Path) -> AsyncIterator[Tenants]:
    """A market with a trainer that follows a script, and everybody's things made through the API."""
    recipes = folder / "configs" / "recipes"
    recipes.mkdir(parents=True)
    (recipes / "tiny-style.toml").write_text(TINY_RECIPE)
    async with open_market(
        database_url,
        folder,
        trainer=SCRIPTED_TRAINER,
        reviewer=SCRIPTED_REVIEWER,
        prober=SCRIPTED_PROBER,
        describer=SCRIPTED_DESCRIBER,
        device="cpu",
        webhook_networks=NETWORKS,
        requests_per_minute=1_000_000,
        checks_per_minute=1_000_000,
        forms_per_minute=1_000_000,
        sign_ins_per_minute=1_000_000,
    ) as market:
        owners: dict[Role, Person] = {
            "creator": market.creator,
            "client": await market.client(),
            "operator": await market.person("operator"),
        }
        others: dict[Role, Person] = {
            "creator": await market.person("creator"),
            "client": await market.client(),
            "operator": await market.person("operator"),
        }
        owned = await _creators_things(owners["creator"]) | await _clients_things(market, owners["client"])
        owned["approval_id"] = await _waiting_order(market, owners["creator"], owners["client"])
        owned["client_id"] = owners["client"].account.id
        owned["creator_id"] = owners["creator"].account.id
        owned["authorship_id"] = await _authorship(owners["creator"], owned["style_id"], market)
        owned["sold_id"] = owned["output_id"]
        owned |= await _payout(market, owners["creator"], owners["operator"])
        owned["any_payout_id"], owned["any_payment_id"] = owned["payout_id"], owned["payment_id"]
        disputed = {"ground": "other", "words": "It is not what I ordered."}
        dispute = await owners["client"].http.post(f"/v1/outputs/{owned['sold_id']}/disputes", json=disputed)
        owned["dispute_id"] = dispute.json()["id"]
        claimed = {"work": owned["work_id"], "words": "It is mine.", "contact": "Jo Painter"}
        claim = await owners["operator"].http.post("/v1/claims", json=claimed)
        owned["claim_id"] = claim.json()["id"]
        coupon = await owners["operator"].http.post("/v1/coupons", json={"code": "GIVEN-AWAY", "percent": 10})
        owned["code"] = coupon.json()["code"]
        owned["statement_id"] = await _bank_statement(owners["operator"])
        owned |= await _refund(market, owners["client"], owners["operator"])
        webhook = await others["client"].http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
        others_own = {"style_id": await make_style(others["creator"]), "webhook_id": webhook.json()["id"]}
        yield Tenants(market=market, owners=owners, others=others, owned=owned, others_own=others_own)


async def _creators_things(creator: Person) -> dict[str, str]:
    """A style with works, a training that passed, its version, a line of the data-use ledger; a style and a version
    that nobody else may see."""
    style_id = await with_works(creator)
    training_id = (await creator.http.post(f"/v1/styles/{style_id}/trainings", json={})).json()["id"]
    training = await wait_for(creator, training_id, "passed")
    published = await creator.http.post(f"/v1/versions/{training['version']}/publish")
    assert published.status_code == 200, published.text
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    hidden_style = await with_works(creator)
    hidden = (await creator.http.post(f"/v1/styles/{hidden_style}/trainings", json={})).json()["id"]
    hidden_version = (await wait_for(creator, hidden, "passed"))["version"]
    uses = (await creator.http.get("/v1/data-use")).json()["items"]
    return {
        "style_id": style_id,
        "hidden_style": hidden_style,
        "hidden_version": hidden_version,
        "work_id": works[0]["id"],
        "training_id": training_id,
        "version_id": training["version"],
        "use_id": uses[0]["id"],
        "name": training["samples"][0]["url"].rsplit("/", 1)[-1],
        "number": "1",
        "version": "1",
        "month": "2026-03",
        "row": "0",
        "column": "with",
    }


async def _authorship(creator: Person, style_id: str, market: Market) -> str:
    """A style that somebody is asked to share; that person is neither of the two."""
    colourist = await market.person("creator")
    asked = {"weight": 2, "authors": [{"email": colourist.account.email, "weight": 1}]}
    made = await creator.http.post(f"/v1/styles/{style_id}/authors", json=asked)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def _payout(market: Market, creator: Person, operator: Person) -> dict[str, str]:
    """A payout that is on its way in a file for the bank."""
    payee = {"holder": "Mara", "iban": "DE89370400440532013000", "minimum": 100, "schedule": "never"}
    told = await creator.http.put("/v1/payee", json=payee)
    assert told.status_code == 200, told.text
    async with market.gateway.house() as conn, conn.transaction():
        opened = await payouts.open_payout(
            conn,
            payout_id=new_id("pyt"),
            creator_id=creator.account.id,
            at_least=Money(1, "EUR"),
            now=market.gateway.clock() + 2 * CHANGE_DELAY,
        )
    assert isinstance(opened, payouts.Payout), opened
    run = await operator.http.post("/v1/payout-runs")
    return {"payout_id": opened.id, "run_id": run.json()["id"]}


async def _bank_statement(operator: Person) -> str:
    """A file of the bank's that nobody has confirmed."""
    kept = await operator.http.post(
        "/v1/bank-statements", files={"file": ("bank.xml", statement(entry("1.00", "tea")))}
    )
    assert kept.status_code == 201, kept.text
    return str(kept.json()["id"])


async def _refund(market: Market, client: Person, operator: Person) -> dict[str, str]:
    """A refund that stands in a file for the bank."""
    payment_id = (await client.http.post("/v1/payments", json={"amount": 900})).json()["id"]
    await operator.http.post(f"/v1/payments/{payment_id}/received")
    async with market.gateway.house() as conn:
        await note_payer(conn, payment_id=payment_id, holder="Client", iban="DE89370400440532013000")
    back = await operator.http.post(f"/v1/payments/{payment_id}/refunds", json={"amount": 100, "why": "a matrix"})
    made = await operator.http.post("/v1/refund-files")
    assert made.status_code == 201, made.text
    return {"refund_id": back.json()["id"], "file_id": made.json()["id"]}


async def _waiting_order(market: Market, creator: Person, client: Person) -> str:
    """An order whose pictures wait for their creator."""
    style_id = await publish_style(market.gateway, creator, market.adapter)
    changed = await creator.http.patch(f"/v1/styles/{style_id}", json={"approval": "all"})
    assert changed.status_code == 200, changed.text
    order = (await market.order(client, wait=60, style=style_id)).json()
    assert order["state"] == "awaiting_approval", order
    return str(order["id"])


async def _invoice(market: Market, client: Person) -> str:
    """A paper over what this client was charged until now."""
    seller = Party(name="Bildwerk", street="Kai 2", postcode="1", city="Hamburg", country="DE", tax_number="1")
    async with market.gateway.house() as conn, conn.transaction():
        numbers = await issuing.issue_papers(
            conn,
            client_id=client.account.id,
            currency="EUR",
            until=market.gateway.clock(),
            seller=Seller(party=seller, prefix="", pay_to=""),
            buyer=seller,
            style_names={},
            payment_days=14,
            now=market.gateway.clock(),
        )
    return numbers[0]


async def _clients_things(market: Market, client: Person) -> dict[str, str]:
    """A generation with an output, an endpoint with a message, and a key."""
    webhook = (await client.http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})).json()["id"]
    ping = (await client.http.post(f"/v1/webhooks/{webhook}/ping")).json()["id"]
    async with asyncio.timeout(60):
        generation = (await market.order(client, wait=60)).json()
    assert generation["state"] == "settled", generation
    image = await client.http.post("/v1/images", files={"file": ("a.png", draw(), "image/png")})
    async with market.gateway.pool.acquire() as conn:
        key = (await keys.listing(conn, account_id=client.account.id))[0].id
    return {
        "generation_id": generation["id"],
        "order_id": generation["id"],
        "output_id": generation["outputs"][0]["id"],
        "webhook_id": webhook,
        "message_id": ping,
        "key_id": key,
        "invoice_number": await _invoice(market, client),
        "payment_id": (await client.http.post("/v1/payments", json={"pack": "small"})).json()["id"],
        "provider_name": "manual",
        "image": image.json()["id"],
        "image_id": image.json()["id"],
    }
