"""The other side of each payment provider: what payers and their banks do there, and what it tells us."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import httpx

from licensing.bank_statements import BankLine
from licensing.money import Money
from licensing.payments import PaymentProvider
from licensing.payments.manual import Manual, code_of
from licensing.payments.stripe import Stripe
from tests.licensing.payments.fake_stripe import GOOD_CARD, FakeStripe, signed

Delivery = tuple[bytes, dict[str, str]]
# Its own command listens on IPv6 alone, which not every machine has.
LOCALSTRIPE = (
    "import sys; from aiohttp import web; from localstripe.server import app;"
    " web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]))"
)


class Peer(Protocol):
    """One provider and everybody behind it. `forged` is an event as it would look if somebody else had made it."""

    provider: PaymentProvider

    async def method_of(self, client_id: str) -> str | None:
        """A saved method that can be charged, None where there are none."""

    def pays(self, payment_id: str, amount: Money) -> None:
        """The payer does what a payment needs of a person."""

    def takes_back(self, refund_id: str, amount: Money) -> None:
        """Whoever has to send a refund does."""

    def now(self, told: datetime) -> datetime:
        """The time by which its events are read; `told` is the test's own."""

    async def events(self) -> list[Delivery]:
        """What it has sent since it was last asked."""

    def forged(self, told: datetime) -> Delivery: ...

    def balance(self) -> int:
        """What its list sums to, in minor units."""


def forgery(at: datetime) -> Delivery:
    """A payment that nobody made, signed with a secret that is not shared."""
    intent = {
        "id": "pi_forged",
        "object": "payment_intent",
        "amount": 99_00,
        "amount_received": 99_00,
        "currency": "eur",
        "metadata": {"payment_id": "pay_forged"},
        "status": "succeeded",
    }
    event = {"id": "evt_forged", "object": "event", "type": "payment_intent.succeeded", "created": int(at.timestamp())}
    return signed(json.dumps(event | {"data": {"object": intent}}).encode(), "whsec_of_somebody_else", at)


@dataclass(kw_only=True)
class Bank:
    """The operator's bank account behind `manual`."""

    provider: Manual = field(default_factory=Manual)

    async def method_of(self, client_id: str) -> str | None:
        return None

    def pays(self, payment_id: str, amount: Money) -> None:
        self._book(f"invoice {code_of(payment_id).replace('-', ' ').lower()} thank you", amount)

    def takes_back(self, refund_id: str, amount: Money) -> None:
        self._book(code_of(refund_id, "OR"), amount * -1)

    def _book(self, text: str, amount: Money) -> None:
        line = BankLine(
            id=f"line {len(self.provider.lines)}", at=datetime(2025, 11, 3, tzinfo=UTC), amount=amount, text=text
        )
        self.provider = replace(self.provider, lines=(*self.provider.lines, line))

    def now(self, told: datetime) -> datetime:
        return told

    async def events(self) -> list[Delivery]:
        return []

    def forged(self, told: datetime) -> Delivery:
        return forgery(told)

    def balance(self) -> int:
        return sum(line.amount.amount for line in self.provider.lines)


@dataclass(kw_only=True)
class FakePeer:
    """Our own Stripe."""

    fake: FakeStripe
    provider: Stripe

    async def method_of(self, client_id: str, number: str = GOOD_CARD) -> str | None:
        page = await self.provider.begin_setup(
            setup_id=f"set_{client_id}_{number}", client_id=client_id, return_url="https://ownhand.example/desk"
        )
        assert page is not None
        self.fake.save_card(page.reference, number)
        setup = await self.provider.find_setup(page.reference)
        assert setup.method is not None
        return setup.method.reference

    def pays(self, payment_id: str, amount: Money) -> None:
        """The card does."""

    def takes_back(self, refund_id: str, amount: Money) -> None:
        """Stripe does."""

    def now(self, told: datetime) -> datetime:
        return told

    async def events(self) -> list[Delivery]:
        return self.fake.deliveries()

    def forged(self, told: datetime) -> Delivery:
        return forgery(told)

    def balance(self) -> int:
        return self.fake.balance()


@dataclass(kw_only=True)
class LocalstripePeer:
    """Somebody else's Stripe, a process of its own. It lists nothing by time and remembers no idempotency key."""

    provider: Stripe
    received: list[Delivery]

    async def method_of(self, client_id: str) -> str | None:
        async with httpx.AsyncClient(base_url=self.provider.base_url, auth=(self.provider.api_key, "")) as http:

            async def post(path: str, **asked: str) -> Any:
                answer = await http.post(path, data=asked)
                assert answer.status_code == 200, answer.text
                return answer.json()["id"]

            customer = await post("/v1/customers", description=client_id)
            card = {"card[number]": GOOD_CARD, "card[exp_month]": "12", "card[exp_year]": "2034", "card[cvc]": "123"}
            method = await post("/v1/payment_methods", type="card", **card)
            await post(f"/v1/payment_methods/{method}/attach", customer=customer)
        return f"{customer}/{method}"

    def pays(self, payment_id: str, amount: Money) -> None:
        """The card does."""

    def takes_back(self, refund_id: str, amount: Money) -> None:
        """It does."""

    def now(self, told: datetime) -> datetime:
        return datetime.now(UTC)

    async def events(self) -> list[Delivery]:
        # It waits a second with each.
        deadline = time.monotonic() + 10
        while not self.received and time.monotonic() < deadline:
            time.sleep(0.1)
        found, self.received[:] = list(self.received), []
        return found

    def forged(self, told: datetime) -> Delivery:
        return forgery(self.now(told))

    def balance(self) -> int:
        headers = {"Authorization": f"Bearer {self.provider.api_key}"}
        lists = {
            kind: httpx.get(f"{self.provider.base_url}/v1/{kind}?limit=100", headers=headers).json()["data"]
            for kind in ("payment_intents", "refunds")
        }
        taken = sum(one["amount"] for one in lists["payment_intents"] if one["status"] == "succeeded")
        return taken - sum(one["amount"] for one in lists["refunds"])


@contextmanager
def running_localstripe() -> Iterator[LocalstripePeer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", LOCALSTRIPE, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    provider = Stripe(
        api_key="sk_test_12345", webhook_secrets=("whsec_of_localstripe",), base_url=f"http://127.0.0.1:{port}"
    )
    try:
        _wait_for(server, port)
        with receiving() as (url, received):
            registered = httpx.post(
                f"{provider.base_url}/_config/webhooks/ours", data={"url": url, "secret": provider.webhook_secrets[0]}
            )
            assert registered.status_code == 200, registered.text
            yield LocalstripePeer(provider=provider, received=received)
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None, "localstripe ended"
            assert time.monotonic() < deadline, "localstripe did not start"
            time.sleep(0.1)


@contextmanager
def receiving() -> Iterator[tuple[str, list[Delivery]]]:
    """An address that keeps whatever is posted to it."""
    received = list[Delivery]()

    class Keeping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, dict(self.headers)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        server.server_close()
