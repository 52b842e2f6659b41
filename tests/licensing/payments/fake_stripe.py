"""A Stripe of our own for what no other peer does: a real HTTP server with cards that decline, idempotency keys,
Connect, disputes, signed webhooks and hosted pages; and with everything that goes wrong on the way, by seed.

Shapes and behaviour are those of Stripe's documentation. Objects are dicts as Stripe writes them; keys with an
underscore are the fake's own and never leave it.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response

from tests.licensing.payments import hosted_pages

GOOD_CARD = "4242424242424242"
POOR_CARD = "4000000000009995"
EXPIRED_CARD = "4000000000000069"
ASKING_CARD = "4000002760003184"
"""Its bank wants its owner to agree each time."""
SLOW_CARD = "4000000000006666"
"""A payment by it is `processing` until somebody ends it: `FakeStripe.finish`."""
SLOW_REFUND_CARD = "4000000000007726"
"""A refund to it is `pending` until somebody ends it: `FakeStripe.finish_refund`."""
DECLINES = {
    "4000000000000002": ("card_declined", "generic_decline"),
    POOR_CARD: ("card_declined", "insufficient_funds"),
    EXPIRED_CARD: ("expired_card", "expired_card"),
    ASKING_CARD: ("authentication_required", "authentication_required"),
}
BRANDS = {"4": "visa", "5": "mastercard", "3": "amex"}

Mishap = Literal["error_before", "error_after", "silence_before", "silence_after", "busy"]


class Refused(Exception):
    """An error as Stripe answers it."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **more}}


def invalid(message: str, *, status: int = 400, **more: Any) -> Refused:
    return Refused(status, "invalid_request_error", message, **more)


def missing(what: str, param: str) -> Refused:
    return invalid(f"No such {param}: '{what}'", code="resource_missing", param=param)


@dataclass(kw_only=True)
class FakeStripe:
    """What the server knows. `mishap` says for each call that changes something what goes wrong with it; `now` is its
    clock.

    Events wait in `outbox` until a test takes them (`deliveries`), or are sent to `webhook_url` as soon as they happen.
    """

    api_key: str = "sk_test_of_the_fake"
    webhook_secret: str = "whsec_of_the_fake"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    mishap: Callable[[str], Mishap | None] = lambda path: None
    silence_s: float = 2.0
    webhook_url: str | None = None
    base_url: str = ""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _answers: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def settings(self) -> dict[str, str]:
        """What makes a place take its cards."""
        return {
            "payments": "stripe",
            "stripe_api_key": self.api_key,
            "stripe_webhook_secrets": self.webhook_secret,
            "stripe_base_url": self.base_url,
        }

    # What tests do at its dashboard, and what banks do.

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind, the oldest first."""
        with self.lock:
            return [one for one in self.objects.values() if one["object"] == kind]

    def save_card(self, session_id: str, number: str = GOOD_CARD) -> None:
        """What the button of the hosted page does."""
        with self.lock:
            session = self.objects[session_id]
            if session["status"] != "open":
                return
            customer = session["customer"] or self.make("customer", "cus", email=None, metadata={})["id"]
            card = {"brand": BRANDS[number[0]], "last4": number[-4:], "exp_month": 12, "exp_year": 2034}
            method = self.make("payment_method", "pm", type="card", customer=customer, card=card, _number=number)
            intent = self.objects[session["setup_intent"]]
            intent |= {"status": "succeeded", "customer": customer, "payment_method": method["id"]}
            session |= {"status": "complete", "customer": customer}
            self.tell("setup_intent.succeeded", intent)
            self.tell("checkout.session.completed", session)

    def expire(self, session_id: str) -> None:
        with self.lock:
            self.objects[session_id]["status"] = "expired"
            self.tell("checkout.session.expired", self.objects[session_id])

    def complete_account(self, account_id: str) -> None:
        """What the button of the other hosted page does."""
        with self.lock:
            account = self.objects[account_id]
            account |= {"details_submitted": True, "payouts_enabled": True, "capabilities": {"transfers": "active"}}
            account["requirements"] = {"currently_due": []}
            self.tell("account.updated", account)

    def finish(self, intent_id: str, *, declined: bool = False) -> None:
        """End a payment that was processing."""
        with self.lock:
            intent = self.objects[intent_id]
            self._end_intent(intent, DECLINES[POOR_CARD] if declined else None)

    def finish_refund(self, refund_id: str, *, failed: bool = False) -> None:
        """End a refund that was pending, or fail one that had succeeded."""
        with self.lock:
            refund = self.objects[refund_id]
            refund["status"] = "failed" if failed else "succeeded"
            if failed:
                refund["failure_reason"] = "expired_or_canceled_card"
                self.tell("refund.failed", refund)
            self.tell("refund.updated", refund)

    def dispute(self, intent_id: str, *, amount: int | None = None) -> str:
        """The payer's bank takes money back."""
        with self.lock:
            intent = self.objects[intent_id]
            dispute = self.make(
                "dispute",
                "du",
                amount=amount or intent["amount"],
                currency=intent["currency"],
                charge=intent["latest_charge"],
                payment_intent=intent_id,
                reason="fraudulent",
                status="needs_response",
                metadata={},
            )
            self.tell("charge.dispute.created", dispute)
            self.tell("charge.dispute.funds_withdrawn", dispute)
            return str(dispute["id"])

    def close_dispute(self, dispute_id: str, status: Literal["won", "lost"]) -> None:
        with self.lock:
            self.objects[dispute_id]["status"] = status
            self.tell("charge.dispute.closed", self.objects[dispute_id])
            if status == "won":
                self.tell("charge.dispute.funds_reinstated", self.objects[dispute_id])

    def reverse(self, transfer_id: str, amount: int) -> None:
        with self.lock:
            self.objects[transfer_id]["amount_reversed"] += amount
            self.tell("transfer.reversed", self.objects[transfer_id])

    def forget_keys(self) -> None:
        """As if 24 hours had gone by."""
        with self.lock:
            self._answers.clear()

    def balance(self) -> int:
        """What all its lists sum to, whatever the currency."""
        with self.lock:
            taken = sum(one["amount_received"] for one in self.of("payment_intent"))
            refunded = sum(one["amount"] for one in self.of("refund") if one["status"] not in ("failed", "canceled"))
            disputed = sum(one["amount"] for one in self.of("dispute") if one["status"] != "won")
            sent = sum(one["amount"] - one["amount_reversed"] for one in self.of("transfer"))
            return taken - refunded - disputed - sent

    # Events.

    def signed(self, event: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        return signed(json.dumps(event).encode(), self.webhook_secret, self.now())

    def deliveries(
        self, *, dice: random.Random | None = None, lost: float = 0.0, doubled: float = 0.0
    ) -> list[tuple[bytes, dict[str, str]]]:
        """What waits, signed, and takes it out of the outbox. With `dice` in any order, some of it never and some
        twice."""
        with self.lock:
            events, self.outbox = self.outbox, []
        if dice is not None:
            events = [event for event in events if dice.random() >= lost]
            events += [event for event in events if dice.random() < doubled]
            dice.shuffle(events)
        return [self.signed(event) for event in events]

    def tell(self, kind: str, about: dict[str, Any]) -> None:
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": "2025-10-29.clover",
            "created": int(self.now().timestamp()),
            "data": {"object": json.loads(json.dumps(public(about)))},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.outbox.append(event)

    # Calls of the API.

    def make(self, kind: str, prefix: str, **fields: Any) -> dict[str, Any]:
        one = {
            "id": self.new_id(prefix),
            "object": kind,
            "created": int(self.now().timestamp()),
            "livemode": False,
            **fields,
        }
        self.objects[one["id"]] = one
        return one

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):014d}"

    def get(self, one_id: str, kind: str, param: str = "id") -> dict[str, Any]:
        found = self.objects.get(one_id)
        if found is None or found["object"] != kind:
            raise missing(one_id, param)
        return found

    def answer(self, method: str, path: str, asked: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        """Do what is asked, once per idempotency key: its first answer is the answer, errors and all."""
        fingerprint = json.dumps([method, path, asked], sort_keys=True)
        with self.lock:
            self.calls.append(f"{method} {path}")
            if key in self._answers:
                before, status, body = self._answers[key]
                if before != fingerprint:
                    raise Refused(
                        400,
                        "idempotency_error",
                        f"Keys for idempotent requests can only be used with the same parameters they were first used"
                        f" with. Try using a key other than '{key}' if you meant to execute a different request.",
                    )
                return status, body
            try:
                status, body = 200, self._do(method, path, asked)
            except Refused as refused:
                # What is not valid was never begun, and is not remembered.
                if refused.status != 402:
                    raise
                status, body = refused.status, refused.body
            if key is not None:
                self._answers[key] = fingerprint, status, json.loads(json.dumps(body))
            return status, body

    def remember_error(self, key: str | None) -> None:
        """The answer that got lost in an error is that error, from now on."""
        if key in self._answers:
            self._answers[key] = (self._answers[key][0], 500, SOMETHING_BROKE)

    def _do(self, method: str, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        for verb, pattern, name in _CALLS:
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                done: dict[str, Any] = getattr(self, name)(asked, *found.groups())
                return done
        raise Refused(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")

    def create_session(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("mode") != "setup":
            raise invalid("This fake saves cards only.", param="mode")
        customer = self.get(asked["customer"], "customer", "customer")["id"] if "customer" in asked else None
        intent = self.make(
            "setup_intent",
            "seti",
            customer=customer,
            payment_method=None,
            status="requires_payment_method",
            usage="off_session",
            metadata=asked.get("setup_intent_data", {}).get("metadata", {}),
        )
        session = self.make(
            "checkout.session",
            "cs_test",
            mode="setup",
            status="open",
            customer=customer,
            client_reference_id=asked.get("client_reference_id"),
            metadata=asked.get("metadata", {}),
            payment_method_types=asked.get("payment_method_types", ["card"]),
            setup_intent=intent["id"],
            success_url=asked["success_url"],
            cancel_url=asked["cancel_url"],
        )
        session["url"] = f"{self.base_url}/c/pay/{session['id']}"
        return public(session)

    def read_session(self, asked: dict[str, Any], session_id: str) -> dict[str, Any]:
        session = public(self.get(session_id, "checkout.session", "checkout.session"))
        if "setup_intent.payment_method" in asked.get("expand", []):
            intent = public(self.objects[session["setup_intent"]])
            if intent["payment_method"]:
                intent["payment_method"] = public(self.objects[intent["payment_method"]])
            session["setup_intent"] = intent
        return session

    def create_intent(self, asked: dict[str, Any]) -> dict[str, Any]:
        amount = int(asked["amount"])
        if amount < 50:
            raise invalid("Amount must be at least €0.50 eur", code="amount_too_small", param="amount")
        customer = self.get(asked["customer"], "customer", "customer")
        method = self.get(asked["payment_method"], "payment_method", "payment_method")
        if method["customer"] != customer["id"]:
            raise missing(method["id"], "payment_method")
        intent = self.make(
            "payment_intent",
            "pi",
            amount=amount,
            amount_received=0,
            currency=asked["currency"],
            customer=customer["id"],
            payment_method=method["id"],
            metadata=asked.get("metadata", {}),
            status="requires_confirmation",
            last_payment_error=None,
            latest_charge=None,
        )
        self.tell("payment_intent.created", intent)
        if asked.get("confirm") == "true":
            if method["_number"] == SLOW_CARD:
                intent["status"] = "processing"
                self.tell("payment_intent.processing", intent)
            else:
                self._end_intent(intent, DECLINES.get(method["_number"]))
        return public(intent)

    def _end_intent(self, intent: dict[str, Any], decline: tuple[str, str] | None) -> None:
        if decline is None:
            intent |= {
                "status": "succeeded",
                "amount_received": intent["amount"],
                "latest_charge": self.new_id("ch"),
            }
            self.tell("payment_intent.succeeded", intent)
            return
        code, decline_code = decline
        error = {"code": code, "decline_code": decline_code, "message": "Your card was declined.", "type": "card_error"}
        was_processing = intent["status"] == "processing"
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        self.tell("payment_intent.payment_failed", intent)
        if not was_processing:
            raise Refused(402, "card_error", **_without_type(error), payment_intent=public(intent))

    def create_refund(self, asked: dict[str, Any]) -> dict[str, Any]:
        intent = self.get(asked["payment_intent"], "payment_intent", "payment_intent")
        amount = int(asked["amount"])
        before = [
            one for one in self.of("refund") if one["payment_intent"] == intent["id"] and one["status"] != "failed"
        ]
        left = intent["amount_received"] - sum(one["amount"] for one in before)
        if any(one["payment_intent"] == intent["id"] and one["status"] != "won" for one in self.of("dispute")):
            raise invalid("Charge has been charged back; cannot issue a refund.", code="charge_disputed")
        if left == 0:
            raise invalid("Charge has already been refunded.", code="charge_already_refunded")
        if amount > left:
            raise invalid(
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
            )
        number = self.objects[intent["payment_method"]]["_number"]
        refund = self.make(
            "refund",
            "re",
            amount=amount,
            currency=intent["currency"],
            payment_intent=intent["id"],
            charge=intent["latest_charge"],
            metadata=asked.get("metadata", {}),
            status="pending" if number == SLOW_REFUND_CARD else "succeeded",
        )
        self.tell("refund.created", refund)
        return public(refund)

    def create_account(self, asked: dict[str, Any]) -> dict[str, Any]:
        return public(
            self.make(
                "account",
                "acct",
                type=asked["type"],
                metadata=asked.get("metadata", {}),
                capabilities={"transfers": "inactive"},
                charges_enabled=False,
                details_submitted=False,
                payouts_enabled=False,
                requirements={"currently_due": ["external_account", "tos_acceptance.date"]},
            )
        )

    def read_account(self, asked: dict[str, Any], account_id: str) -> dict[str, Any]:
        return public(self.get(account_id, "account", "account"))

    def create_link(self, asked: dict[str, Any]) -> dict[str, Any]:
        account = self.get(asked["account"], "account", "account")
        account["_return_url"] = asked["return_url"]
        url = f"{self.base_url}/setup/e/{account['id']}"
        return {"object": "account_link", "created": 0, "expires_at": 300, "url": url}

    def create_transfer(self, asked: dict[str, Any]) -> dict[str, Any]:
        account, amount = self.get(asked["destination"], "account", "destination"), int(asked["amount"])
        if account["capabilities"]["transfers"] != "active":
            raise invalid(
                "Your destination account needs to have at least one of the following capabilities enabled: transfers",
                code="insufficient_capabilities_for_transfer",
            )
        if amount > self.balance():
            raise invalid("You have insufficient available funds in your Stripe account.", code="balance_insufficient")
        transfer = self.make(
            "transfer",
            "tr",
            amount=amount,
            amount_reversed=0,
            currency=asked["currency"],
            destination=account["id"],
            metadata=asked.get("metadata", {}),
            transfer_group=asked.get("transfer_group"),
            reversed=False,
        )
        self.tell("transfer.created", transfer)
        return public(transfer)

    def detach(self, asked: dict[str, Any], method_id: str) -> dict[str, Any]:
        method = self.get(method_id, "payment_method", "payment_method")
        if method["customer"] is None:
            raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
        method["customer"] = None
        return public(method)

    def list_of(self, asked: dict[str, Any], path: str) -> dict[str, Any]:
        since, limit = int(asked.get("created", {}).get("gte", 0)), int(asked.get("limit", 10))
        found = [one for one in reversed(self.of(path.rstrip("s"))) if one["created"] >= since]
        after = asked.get("starting_after")
        if after is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        page = [public(one) for one in found[:limit]]
        return {"object": "list", "url": f"/v1/{path}", "has_more": len(found) > limit, "data": page}


_CALLS = (
    ("POST", "checkout/sessions", "create_session"),
    ("GET", "checkout/sessions/([^/]+)", "read_session"),
    ("POST", "payment_intents", "create_intent"),
    ("POST", "refunds", "create_refund"),
    ("POST", "accounts", "create_account"),
    ("GET", "accounts/([^/]+)", "read_account"),
    ("POST", "account_links", "create_link"),
    ("POST", "transfers", "create_transfer"),
    ("POST", "payment_methods/([^/]+)/detach", "detach"),
    ("GET", "(payment_intents|refunds|disputes|transfers)", "list_of"),
)
SOMETHING_BROKE = {"error": {"type": "api_error", "message": "An unexpected error occurred."}}


def _without_type(error: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in error.items() if name != "type"}


def public(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if not name.startswith("_")}


def signed(body: bytes, secret: str, at: datetime) -> tuple[bytes, dict[str, str]]:
    """A body and the headers by which Stripe signs it."""
    timestamp = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {"Stripe-Signature": f"t={timestamp},v1={digest}", "Content-Type": "application/json"}


def seeded_mishaps(seed: int, *, rate: float) -> Callable[[str], Mishap | None]:
    """One call in `1 / rate` goes wrong; the same seed breaks the same ones."""
    dice = random.Random(seed)
    kinds: tuple[Mishap, ...] = ("error_before", "error_after", "silence_before", "silence_after", "busy")
    return lambda path: dice.choice(kinds) if dice.random() < rate else None


def nested(flat: Any) -> dict[str, Any]:
    """`a[b][c]=1` as {"a": {"b": {"c": "1"}}}; numbers in brackets are places of a list."""
    whole: dict[str, Any] = {}
    for name, value in flat:
        first, *rest = re.findall(r"[^\[\]]+", name)
        inner = whole
        for part, following in itertools.pairwise([first, *rest]):
            inner = inner.setdefault(part, {})
            assert isinstance(inner, dict), f"{name} is a value and has parts, before {following}"
        inner[[first, *rest][-1]] = value
    return {name: _listed(value) for name, value in whole.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    parts = {name: _listed(one) for name, one in value.items()}
    return list(parts.values()) if all(name.isdigit() for name in parts) else parts


def make_app(fake: FakeStripe) -> FastAPI:
    app = FastAPI(openapi_url=None)
    hosted_pages.add_pages(app, fake)

    @app.api_route("/v1/{path:path}", methods=["GET", "POST"])
    async def call(request: Request, path: str) -> Response:
        if request.headers.get("authorization") != f"Bearer {fake.api_key}":
            return _json(
                401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: sk_t***"}}
            )
        form = (await request.form()).multi_items() if request.method == "POST" else request.query_params.multi_items()
        key = request.headers.get("idempotency-key")
        mishap = fake.mishap(path) if request.method == "POST" else None
        if mishap == "busy":
            return _json(
                429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many."}}
            )
        if mishap in ("error_before", "silence_before"):
            await asyncio.sleep(fake.silence_s if mishap == "silence_before" else 0)
            return _json(500, SOMETHING_BROKE)
        try:
            status, body = fake.answer(request.method, path, nested(form), key)
        except Refused as refused:
            status, body = refused.status, refused.body
        await _send_events(fake)
        if mishap == "silence_after":
            await asyncio.sleep(fake.silence_s)
        if mishap == "error_after":
            fake.remember_error(key)
            return _json(500, SOMETHING_BROKE)
        return _json(status, body)

    @app.middleware("http")
    async def send_events(request: Request, go_on: Any) -> Response:
        response: Response = await go_on(request)
        await _send_events(fake)
        return response

    return app


async def _send_events(fake: FakeStripe) -> None:
    if fake.webhook_url is None:
        return
    async with httpx.AsyncClient() as http:
        for body, headers in fake.deliveries():
            await http.post(fake.webhook_url, content=body, headers=headers)


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status, {"Content-Type": "application/json", "Request-Id": "req_of_the_fake"})


@contextmanager
def running(fake: FakeStripe) -> Iterator[FakeStripe]:
    """Serve it on a free port of this machine, in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(make_app(fake), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the fake Stripe did not start"
        assert time.monotonic() < deadline, "the fake Stripe is not up after 30 s"
        time.sleep(0.02)
    fake.base_url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.should_exit = True
        thread.join(10)
