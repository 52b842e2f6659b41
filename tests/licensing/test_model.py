"""Any order of events: the real gateway answers as the small model does, and its ledger keeps every rule."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from licensing import gateway, keys, plans, switch, terms
from licensing.errors import Refusal
from licensing.ledger import balance, check
from licensing.orders import Hold, Replay, Settled, Voided
from licensing.payments import manual
from licensing.prices import load_prices
from licensing.refunds import refund_output
from tests.licensing import model
from tests.licensing.world import NOW, PEPPER, PRICES, eur, new_id, pictures

CLIENTS = st.sampled_from([0, 1])
CAP = model.PRICE * 8
OVERLAP = timedelta(hours=1)


def name_of(answer: Any) -> str:
    """An answer as the model names it."""
    if isinstance(answer, Refusal):
        return answer.slug
    names: dict[type, str] = {Hold: "held", Replay: "replayed", Settled: "settled", Voided: "voided"}
    return names.get(type(answer), "ended")


class Gateway(RuleBasedStateMachine):
    """Rules do the same to both and compare the answers; invariants compare what is left."""

    url = ""

    @initialize(prepaid=st.integers(0, 12))
    def begin_with_a_style(self, prepaid: int) -> None:
        self.loop = asyncio.Runner()
        self.conn: asyncpg.Connection = self.do(asyncpg.connect(self.url))
        prices = load_prices(PRICES)
        studio = prices.plans["studio"]
        self.plans = {plan.id: plan for plan in (studio, replace(studio, id="small", price=eur(490), units=10))}
        wanted = prices.default_terms(style_id=new_id("sty"), creator_id=new_id("acc"))
        self.style = self.do(terms.put_terms(self.conn, wanted, by="test", now=NOW))
        self.model = model.Model(now=NOW)
        self.clients = [new_id("acc") for _ in range(2)]
        self.sold: list[tuple[str, str]] = []
        self.placed: dict[str, gateway.Reserve] = {}
        for client in self.clients:
            self.model.free[client] = 0
            self.credit(self.clients.index(client), prepaid)
            issued = self.do(
                keys.issue(self.conn, account_id=client, kind="live", cap=CAP, new_id=new_id, now=NOW, pepper=PEPPER)
            )
            self.model.keys[issued.id] = model.Key(client, CAP)

    def do(self, work: Any) -> Any:
        return self.loop.run(work)

    @rule(client=CLIENTS, pictures=st.integers(1, 5))
    def credit(self, client: int, pictures: int) -> None:
        if pictures:
            amount = eur(model.PRICE * pictures)
            self.do(manual.credit(self.conn, self.clients[client], amount, new_id("ref"), self.model.now))
            self.model.free[self.clients[client]] += amount.amount

    @rule(client=CLIENTS, name=st.sampled_from(["studio", "small"]), has_money=st.booleans())
    def subscribe(self, client: int, name: str, has_money: bool) -> None:
        """Buy a plan, let it renew again, or try to change it while another runs."""
        plan, client_id = self.plans[name], self.clients[client]
        if has_money:
            self.do(manual.credit(self.conn, client_id, plan.price, new_id("ref"), self.model.now))
            self.model.free[client_id] += plan.price.amount
        answer = self.do(plans.subscribe(self.conn, client_id=client_id, plan=plan, now=self.model.now, new_id=new_id))
        said = answer.slug if isinstance(answer, Refusal) else "subscribed"
        assert said == self.model.subscribe(client_id, name, plan.units)

    @rule(client=CLIENTS)
    def end_renewal(self, client: int) -> None:
        name = self.clients[client]
        if name in self.model.plans:
            running = self.do(plans.current_plan(self.conn, client_id=name, now=self.model.now))
            assert running is not None
            self.do(plans.end_renewal(self.conn, client_id=name, allowance_id=running.id))
            self.model.plans[name].renews = False

    @rule(data=st.data())
    def rotate(self, data: st.DataObject) -> None:
        key_id = data.draw(st.sampled_from(list(self.model.keys)[-4:]))
        issued = self.do(
            keys.rotate(
                self.conn,
                key_id=key_id,
                account_id=self.model.keys[key_id].client,
                overlap=OVERLAP,
                new_id=new_id,
                now=self.model.now,
                pepper=PEPPER,
            )
        )
        assert (issued is not None) is self.model.rotate(key_id, issued.id if issued else "", OVERLAP)

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        key_id = data.draw(st.sampled_from(list(self.model.keys)[-4:]))
        key = self.model.keys[key_id]
        self.do(keys.revoke(self.conn, key_id=key_id, account_id=key.client, now=self.model.now))
        key.revoked = True

    @rule(client=CLIENTS, count=st.sampled_from([1, 2, 3, 60]), twice=st.booleans(), data=st.data())
    def reserve(self, client: int, count: int, twice: bool, data: st.DataObject) -> None:
        own = [key_id for key_id, key in self.model.keys.items() if key.client == self.clients[client]]
        order = gateway.Reserve(
            order_id=new_id("gen"),
            client_id=self.clients[client],
            key_id=data.draw(st.sampled_from([None, *own[-3:]])),
            idempotency_key=new_id("idem"),
            request_hash="body",
            style_id=self.style.style_id,
            creator_id=self.style.creator_id,
            tier="personal",
            count=count,
            hold_s=900,
        )
        answer = self.do(gateway.reserve(self.conn, order, now=self.model.now))
        said = self.model.reserve(order.order_id, order.client_id, count, order.key_id, order.request_hash)
        assert name_of(answer) == said
        self.placed[order.order_id] = order
        if twice and isinstance(answer, Hold):
            assert self.do(gateway.reserve(self.conn, order, now=self.model.now)) == Replay(hold=answer)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), body=st.sampled_from(["body", "another body"]))
    def replay(self, data: st.DataObject, body: str) -> None:
        """The same request later, under a new order id, whatever became of the first."""
        order_id = self.pick(data)
        again = replace(self.placed[order_id], order_id=new_id("gen"), request_hash=body)
        answer = self.do(gateway.reserve(self.conn, again, now=self.model.now))
        assert name_of(answer) == self.model.replay(order_id, body)
        assert not isinstance(answer, Replay) or answer.hold.order_id == order_id

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        order_id = self.pick(data)
        answer = self.do(gateway.begin(self.conn, order_id=order_id, now=self.model.now))
        assert name_of(answer) == self.model.begin(order_id)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        order_id = self.pick(data)
        fence = self.model.orders[order_id].fence
        answer = self.do(gateway.requeue(self.conn, order_id=order_id, fence=fence, now=self.model.now))
        assert name_of(answer) == self.model.requeue(order_id)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), made=st.integers(0, 4))
    def settle(self, data: st.DataObject, made: int) -> None:
        order_id = self.pick(data)
        outputs = [new_id("out") for _ in range(made)]
        fence = self.model.orders[order_id].fence
        work = gateway.settle(self.conn, order_id=order_id, fence=fence, made=pictures(*outputs), now=self.model.now)
        answer = self.do(work)
        assert name_of(answer) == self.model.settle(order_id, made)
        if isinstance(answer, Settled):
            order = self.model.orders[order_id]
            self.sold += [(output_id, order.pay) for output_id in outputs]

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), reason=st.sampled_from(["withdrawn", "canceled", "failed", "expired"]))
    def void(self, data: st.DataObject, reason: Any) -> None:
        order_id = self.pick(data)
        answer = self.do(gateway.void(self.conn, order_id=order_id, reason=reason, now=self.model.now))
        assert name_of(answer) == self.model.end(order_id, reason)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order_id = self.pick(data)
        order = self.model.orders[order_id]
        self.do(gateway.request_cancel(self.conn, order_id=order_id, client_id=order.client))
        order.canceled = order.canceled or order.state == "open"

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        order_ids = [self.pick(data), self.pick(data)]
        renewed = self.do(gateway.renew(self.conn, order_ids, self.model.now))
        assert set(renewed) == self.model.renew(order_ids)

    @rule(minutes=st.sampled_from([1, 10, 16, 200, 1500, 44_640]))
    def wait(self, minutes: int) -> None:
        self.model.now += timedelta(minutes=minutes)
        due = self.do(gateway.expire_due(self.conn, now=self.model.now, limit=10_000))
        assert set(due) & self.model.orders.keys() == self.model.expire()
        for period in self.do(plans.due_periods(self.conn, now=self.model.now, limit=10_000)):
            self.do(plans.roll_over(self.conn, period, now=self.model.now, new_id=new_id))
        self.model.roll_over()

    @rule(client=st.sampled_from([None, 0, 1]), level=st.sampled_from(model.STRICTNESS))
    def switch(self, client: int | None, level: Any) -> None:
        name = None if client is None else self.clients[client]
        where = {"creator_id": self.style.creator_id, "style_id": self.style.style_id, "client_id": name}
        change = self.do(switch.set_level(self.conn, **where, level=level, by="test", now=self.model.now))
        assert (change.stopped, change.voided) == self.model.switch(name or "", level)
        assert change.governing == self.model.level(name or "")

    @precondition(lambda self: self.sold)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        output_id, pay = self.sold.pop(data.draw(st.integers(0, len(self.sold) - 1)))
        amount, share = (model.UNIT, model.UNIT_SHARE) if pay == "plan" else (model.PRICE, model.SHARE)
        self.do(refund_output(self.conn, output_id=output_id, reason="r", by="test", now=self.model.now))
        client = self.do(self.conn.fetchval("SELECT client_id FROM licensing.output WHERE output_id = $1", output_id))
        self.model.free[client] += amount
        self.model.earned -= share

    @invariant()
    def purses_and_orders_agree(self) -> None:
        for client in getattr(self, "clients", []):
            usage = self.do(plans.usage(self.conn, client, self.model.now))
            assert usage.prepaid.amount == self.model.free[client]
            assert usage.left == (self.model.plans[client].left if client in self.model.plans else 0)
            left = {key_id: key.left for key_id, key in self.model.keys.items() if key.client == client}
            assert {cap.key_id: cap.cap - cap.spent - cap.held for cap in usage.caps} == left
        for order_id, order in getattr(getattr(self, "model", None), "orders", {}).items():
            hold = self.do(gateway.find_hold(self.conn, order_id, client_id=order.client))
            found = (hold.state, hold.reason, hold.fence, hold.running, hold.made, hold.pay)
            assert found == (order.state, order.reason, order.fence, order.running, order.made, order.pay)

    def pick(self, data: st.DataObject) -> str:
        """One of the orders, mostly a late one."""
        names = list(self.model.orders)[-4:]
        return data.draw(st.sampled_from(names))

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            assert self.do(check(self.conn)) == []
            earned = self.do(balance(self.conn, f"payable:{self.style.creator_id}:EUR"))
            self.do(self.conn.close())
            self.loop.close()
            assert earned == self.model.earned


@pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.long)])
def test_the_gateway_answers_as_the_model_does(licensing_url: str, examples: int):
    Gateway.url = licensing_url
    quiet = settings(
        max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )

    run_state_machine_as_test(Gateway, settings=quiet)
